//! What the executor keeps of one partition in addition to the protocol's own state.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use unrip_bus::{Outgoing, Record};
use unrip_core::event::result::{ResultStatus, StatusState};
use unrip_core::{CommandId, Timestamp};

use crate::command::index::Index;
use crate::command::open::OpenCommand;
use crate::journal::unconfirmed::{Moment, UnconfirmedAppends};
use unrip_protocol::fold::{Entry, Fact, Placed};
use unrip_protocol::inventory::Inventory;
use unrip_protocol::limits::Limits;
use unrip_protocol::partition::Partition;

/// One partition.
pub(crate) struct PartitionState {
    pub(crate) number: i32,
    /// The protocol.
    pub(crate) core: Partition,
    /// Commands in hand, and those whose settlement may still be reported.
    pub(crate) commands: BTreeMap<CommandId, OpenCommand>,
    /// How statements of the venue find them.
    pub(crate) index: Index,
    /// What they promise.
    pub(crate) inventory: Inventory,
    /// Appends that were not read back yet.
    pub(crate) unconfirmed: UnconfirmedAppends,
    /// The record that is being taken in: a skip makes its dead letter of it.
    pub(crate) in_hand: Option<Record>,
    /// Dead letters that go before their skips, by command offset, until the skip is read back.
    pub(crate) letters: BTreeMap<i64, Outgoing>,
    /// The publisher, while the partition is ours.
    pub(crate) publisher: Option<RunningPublisher>,
    /// Where reading of commands starts or continues.
    pub(crate) next_offset: i64,
    /// Whether reading is held because too many commands are in hand.
    pub(crate) paused: bool,
}

/// A publisher that ends when this is dropped.
pub(crate) struct RunningPublisher {
    pub(crate) poke: Arc<Notify>,
    _stop: DropGuard,
}

impl RunningPublisher {
    /// The handle and the token that its drop cancels.
    pub(crate) fn new(parent: &CancellationToken) -> (Self, CancellationToken) {
        let token = parent.child_token();
        (Self { poke: Arc::default(), _stop: token.clone().drop_guard() }, token)
    }
}

impl PartitionState {
    pub(crate) fn new(number: i32, core: Partition) -> Self {
        Self {
            number,
            core,
            commands: BTreeMap::new(),
            index: Index::default(),
            inventory: Inventory::default(),
            unconfirmed: UnconfirmedAppends::default(),
            in_hand: None,
            letters: BTreeMap::new(),
            publisher: None,
            next_offset: 0,
            paused: false,
        }
    }

    /// A record came back from the log; when it was written, if it is one of ours.
    pub(crate) fn came_back(&mut self, placed: &Placed) -> Option<Moment> {
        if let Fact::Skip { command_offset, .. } = &placed.fact {
            self.letters.remove(command_offset);
        }
        self.unconfirmed.came_back(placed)
    }

    /// An outcome is in the log: its promise ends or waits for news of the settlement. `ask_after_ms` after its
    /// deadline the venue is asked about an executed command.
    pub(crate) fn ended(&mut self, entry: &Entry, ask_after_ms: i64) {
        let Some(outcome) = entry.outcome else { return };
        let id = entry.head.id;
        if let Some(command) = self.commands.get_mut(&id) {
            // The claim holds it.
            command.envelope = serde_json::Value::Null;
        }
        match outcome.status {
            ResultStatus::Executed if entry.claim.is_some() => {
                let deadline = entry.head.deadline;
                self.index.follow(id, deadline.plus_millis(ask_after_ms), deadline);
            }
            // Never claimed, so never signed: nothing is promised.
            _ if entry.claim.is_none() => self.inventory.release(&id),
            // What may have been signed stays promised until the deadline.
            _ => {}
        }
    }

    /// News of the settlement; false if the news are not new.
    pub(crate) fn settled(&mut self, id: CommandId, now: Timestamp) -> bool {
        self.inventory.settled(&id, now);
        self.index.news(id)
    }

    /// The module or the host asked what became of an executed command.
    pub(crate) fn settlement_of(status: ResultStatus) -> Option<StatusState> {
        match status {
            ResultStatus::Executed => Some(StatusState::Settled),
            ResultStatus::NotExecuted => Some(StatusState::Lapsed),
            // The venue has no means to say; there is nothing to report.
            _ => None,
        }
    }

    /// Forgets commands that are neither in hand nor waiting for news of their settlement.
    pub(crate) fn sweep(&mut self, limits: &Limits, now: Timestamp) {
        self.inventory.sweep(limits, now);
        self.index.sweep(now);
        let (core, index) = (&self.core, &self.index);
        self.commands.retain(|id, _| core.holds(id) || index.follows(id));
        self.index.retain(|id| self.commands.contains_key(id));
        self.unconfirmed.retain(|id| core.holds(id));
    }
}
