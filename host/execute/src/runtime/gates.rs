//! The kill switch as this process sees it, asked before a claim and again when the socket is ready.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use unrip_bus::{BusConfig, Isolation, LogReader, Position, Record, read_to_end};
use unrip_core::event::control::{Mode, Modes, ScopeMode};
use unrip_core::{Timestamp, topic};
use unrip_service::RunError;

use crate::runtime::time::Time;

/// Open partitions and modes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    state: Arc<RwLock<State>>,
}

#[derive(Debug, Default)]
struct State {
    modes: Modes,
    active: BTreeSet<i32>,
    /// Whether the clock is in doubt.
    clock_doubted: bool,
    /// The newest append time of the journal that was read.
    newest_append: Timestamp,
}

impl Gates {
    /// Why nothing of this account may be sent now; `None` if it may.
    pub(crate) fn refusal(&self, venue: &str, account: &str) -> Option<&'static str> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.clock_doubted {
            return Some("limit_clock_skew");
        }
        match state.modes.of_account(venue, account) {
            Mode::Active => None,
            // Positions are not known here, so reducing cannot be distinguished from adding.
            Mode::ReduceOnly => Some("reduce_only"),
            Mode::Halted => Some("halted"),
        }
    }

    /// Whether a partition is ours.
    pub(crate) fn is_active(&self, partition: i32) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).active.contains(&partition)
    }

    /// Whether this time of the clock, or a later one that the journal shows, has reached `until`.
    pub(crate) fn has_passed(&self, until: Timestamp, clock: Timestamp) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        clock.max(state.newest_append) >= until
    }

    /// Takes over what is known of the time: while the clock is in doubt nothing is sent.
    pub(crate) fn heed(&self, time: &Time) {
        let doubt = time.doubt();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.newest_append = time.newest_append();
        let before = std::mem::replace(&mut state.clock_doubted, doubt.is_some());
        drop(state);
        match doubt {
            Some(doubt) if !before => tracing::error!(doubt, "the clock is in doubt; nothing is sent"),
            None if before => tracing::info!("the clock agrees with the broker's again; sending"),
            _ => {}
        }
    }

    /// Opens or closes a partition.
    pub(crate) fn set_active(&self, partition: i32, active: bool) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if active {
            state.active.insert(partition);
        } else {
            state.active.remove(&partition);
        }
    }

    fn set_mode(&self, record: &Record) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let value = (!record.tombstone).then_some(record.value.as_slice());
        let Some(scope) = state.modes.fold(record.key.as_deref(), value) else { return };
        match state.modes.get(scope) {
            Some(ScopeMode::Set(set)) => tracing::info!(scope, mode = set.mode.as_str(), "kill switch set"),
            // Any doubt: do not send.
            Some(ScopeMode::Unreadable(reason)) => {
                tracing::error!(scope, reason, "cannot read the kill switch record; the scope counts as halted");
            }
            None => tracing::info!(scope, "kill switch record removed"),
        }
    }

    /// Reads the switch to its end, then follows it.
    pub(crate) async fn follow(&self, bus: &BusConfig) -> Result<(), RunError> {
        let unavailable =
            |error: unrip_bus::Error| RunError::Unavailable(format!("{}: {error}", topic::EXECUTION_CONTROL));
        let records = read_to_end(bus, Position::new(topic::EXECUTION_CONTROL, 0, 0), Isolation::ReadCommitted)
            .await
            .map_err(unavailable)?;
        let next = records.last().map_or(0, |record| record.offset + 1);
        records.iter().for_each(|record| self.set_mode(record));
        let from = vec![Position::new(topic::EXECUTION_CONTROL, 0, next)];
        let mut reader = LogReader::open(bus, from, Isolation::ReadCommitted).map_err(unavailable)?;
        let gates = self.clone();
        tokio::spawn(async move {
            loop {
                match reader.next().await {
                    Ok(records) => records.iter().for_each(|record| gates.set_mode(record)),
                    Err(error) if error.is_retriable() => {
                        tracing::warn!(%error, "cannot read the kill switch; retrying")
                    }
                    Err(error) => {
                        // A switch that cannot be read is closed.
                        tracing::error!(%error, "the kill switch cannot be read; everything is halted");
                        gates.state.write().unwrap_or_else(PoisonError::into_inner).modes = Modes::default();
                        return;
                    }
                }
            }
        });
        Ok(())
    }
}
