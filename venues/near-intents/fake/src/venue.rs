//! What all parts of a running venue share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::clock::WallClock;
use super::config::FakeVenueConfig;
use super::drafts::Draft;
use super::hub::Hub;
use super::ledger::Writer;
use super::ledger_lines::Entry;
use super::state::State;

/// Shared by every task; all of it is `Sync`.
#[derive(Debug)]
pub(super) struct Venue {
    pub(super) config: FakeVenueConfig,
    pub(super) clock: WallClock,
    pub(super) ledger: Writer,
    pub(super) hub: Hub,
    /// The sample quotes, sent before the generated ones.
    pub(super) samples: Vec<Draft>,
    pub(super) stop: CancellationToken,
    /// While true nothing is read from or written to the websockets.
    pub(super) silent: watch::Sender<bool>,
    /// New websockets are broken until then, milliseconds since 1970.
    pub(super) refuse_until_ms: watch::Sender<u64>,
    /// A connection subscribed to quotes.
    pub(super) subscribed: Notify,
    state: Mutex<State>,
}

impl Venue {
    pub(super) fn new(
        config: FakeVenueConfig,
        clock: WallClock,
        ledger: Writer,
        state: State,
        samples: Vec<Draft>,
    ) -> Self {
        Self {
            config,
            clock,
            ledger,
            hub: Hub::default(),
            samples,
            stop: CancellationToken::new(),
            silent: watch::Sender::new(false),
            refuse_until_ms: watch::Sender::new(0),
            subscribed: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// The state; held for moments only, never across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down what happened and changes the state by it, in one step; gives the number to wait for.
    pub(super) fn record(&self, state: &mut State, entry: Entry) -> u64 {
        if let Err(error) = state.apply(&entry) {
            // Only an entry that this venue made itself comes here: a fault in it, not in a client.
            tracing::error!(%error, "a ledger line does not apply");
        }
        self.ledger.append(self.clock.now_ms(), entry)
    }

    /// Waits until the venue's clock reads at least this, or the venue stops; false if it stops.
    pub(super) async fn sleep_until(&self, at_ms: u64) -> bool {
        let mut steps = self.clock.steps();
        loop {
            let now = self.clock.now_ms();
            if now >= at_ms {
                return !self.stop.is_cancelled();
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(Duration::from_millis(at_ms.saturating_sub(now))) => {}
                Ok(()) = steps.changed() => {}
            }
        }
    }

    /// Waits while the venue is silent.
    pub(super) async fn while_silent(&self) {
        // The sender lives as long as the venue, so this cannot fail.
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
    }
}
