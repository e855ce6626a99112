//! What the loop keeps of one partition beside the protocol's own state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use unrip_bus::{Outgoing, Record};
use unrip_core::event::journal::Reserve;
use unrip_core::{CommandId, Timestamp, Uuid};
use unrip_engine::executor::Action;

use crate::command::index::Index;
use crate::journal::records::Cause;
use unrip_protocol::fold::{Fact, Head, Placed};
use unrip_protocol::inventory::Inventory;
use unrip_protocol::limits::Limits;
use unrip_protocol::partition::Partition;

/// One partition.
pub(crate) struct Slot {
    /// The protocol.
    pub(crate) core: Partition,
    /// Commands in hand, and those whose settlement may still be told.
    pub(crate) held: BTreeMap<CommandId, Held>,
    /// How statements of the venue find them.
    pub(crate) index: Index,
    /// What they promise.
    pub(crate) inventory: Inventory,
    /// When records were written that have not come back, by the own clock.
    pub(crate) written: Written,
    /// Dead letters that go before their skips, by command offset.
    pub(crate) dead: BTreeMap<i64, Outgoing>,
    /// The record that is being taken in.
    pub(crate) in_hand: Option<Record>,
    /// The publisher, while the partition is ours.
    pub(crate) publisher: Option<RunningPublisher>,
    /// Where reading of commands begins or goes on.
    pub(crate) next_offset: i64,
    /// Whether reading is held because too many commands are in hand.
    pub(crate) paused: bool,
}

/// A publisher that ends when this is dropped.
pub(crate) struct RunningPublisher {
    pub(crate) poke: Arc<Notify>,
    pub(crate) _stop: DropGuard,
}

impl RunningPublisher {
    /// The handle and the token that its drop cancels.
    pub(crate) fn new(parent: &CancellationToken) -> (Self, CancellationToken) {
        let token = parent.child_token();
        (Self { poke: Arc::default(), _stop: token.clone().drop_guard() }, token)
    }
}

/// Journal records on their way: when they come back they tell whether the clock is right.
#[derive(Debug, Default)]
pub(crate) struct Written {
    fence: Option<(Uuid, Mark)>,
    /// By command: under which fence, and when first.
    commands: BTreeMap<CommandId, (i64, Mark)>,
}

/// A moment by the clock, and one to count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Timestamp,
    pub(crate) instant: Instant,
}

impl Mark {
    /// A moment that is now.
    pub(crate) fn now(at: Timestamp) -> Self {
        Self { at, instant: Instant::now() }
    }

    /// How long ago it was.
    pub(crate) fn elapsed_s(&self) -> f64 {
        self.instant.elapsed().as_secs_f64()
    }
}

impl Written {
    pub(crate) fn fence(&mut self, event_id: Uuid, mark: Mark) {
        if self.fence.is_none_or(|(known, _)| known != event_id) {
            self.fence = Some((event_id, mark));
        }
    }

    pub(crate) fn command(&mut self, id: CommandId, fence_offset: i64, mark: Mark) {
        // A record that is written again may come back as its first copy.
        self.commands.entry(id).or_insert((fence_offset, mark));
    }

    /// When this record was written, if it is one of ours.
    pub(crate) fn came_back(&mut self, placed: &Placed) -> Option<Mark> {
        match &placed.fact {
            Fact::Fence => self.fence.take_if(|(event_id, _)| *event_id == placed.event_id).map(|(_, mark)| mark),
            Fact::Claim { head, fence_offset } | Fact::Outcome { head, fence_offset, .. } => {
                self.commands.get(&head.id).filter(|(under, _)| under == fence_offset)?;
                self.commands.remove(&head.id).map(|(_, mark)| mark)
            }
            _ => None,
        }
    }
}

/// A command with everything that its records need.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// What the protocol knows of it.
    pub(crate) head: Head,
    /// The command and its trace.
    pub(crate) cause: Cause,
    /// The whole envelope as read.
    pub(crate) envelope: serde_json::Value,
    /// What is, or will be, claimed.
    pub(crate) claimed: Option<Claimed>,
    /// When this process took it up.
    pub(crate) taken_up: Instant,
}

/// A prepared action.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) action: Action,
    /// SHA-256 of its bytes, lower-case hex: what statements about it name.
    pub(crate) digest: String,
    /// What it promises.
    pub(crate) gives: Vec<Reserve>,
}

impl Slot {
    pub(crate) fn new(core: Partition) -> Self {
        Self {
            core,
            held: BTreeMap::new(),
            index: Index::default(),
            inventory: Inventory::default(),
            dead: BTreeMap::new(),
            in_hand: None,
            written: Written::default(),
            publisher: None,
            next_offset: 0,
            paused: false,
        }
    }

    /// Forgets commands that are neither in hand nor waiting for news of their settlement.
    pub(crate) fn sweep(&mut self, limits: &Limits, now: Timestamp) {
        self.inventory.sweep(limits, now);
        self.index.sweep(now);
        let (core, index) = (&self.core, &self.index);
        self.held.retain(|id, _| core.holds(id) || index.follows(id));
        self.index.retain(|id| self.held.contains_key(id));
        self.written.commands.retain(|id, _| core.holds(id));
    }
}
