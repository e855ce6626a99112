//! What the loop keeps of one partition beside the protocol's own state.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};
use unrip_bus::Outgoing;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::Action;

use super::records::Cause;
use crate::core::fold::Head;
use crate::core::partition::Partition;

/// How long a command is remembered after its deadline, in milliseconds: settlement news may come minutes late.
pub(crate) const REMEMBERED_MS: i64 = 900_000;

/// One partition.
pub(crate) struct Slot {
    /// The protocol.
    pub(crate) core: Partition,
    /// Commands in hand, and those whose settlement may still be told.
    pub(crate) held: BTreeMap<CommandId, Held>,
    /// Dead letters that go before their skips, by command offset.
    pub(crate) dead: BTreeMap<i64, Outgoing>,
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
    /// How it ended, if it has.
    pub(crate) ended: Option<ResultStatus>,
}

/// A prepared action.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    /// The action.
    pub(crate) action: Action,
    /// SHA-256 of its bytes, lower-case hex: what statements about it name.
    pub(crate) digest: String,
}

impl Slot {
    pub(crate) fn new(core: Partition) -> Self {
        let (held, dead) = (BTreeMap::new(), BTreeMap::new());
        Self { core, held, dead, publisher: None, next_offset: 0, paused: false }
    }

    /// Forgets commands whose settlement nobody waits for any more.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        let core = &self.core;
        self.held
            .retain(|id, held| core.holds(id) || now < held.cause.command.payload.deadline.plus_millis(REMEMBERED_MS));
    }

    /// The command whose claimed action has this digest.
    pub(crate) fn by_digest(&self, digest: &str) -> Option<CommandId> {
        let is = |held: &Held| held.claimed.as_ref().is_some_and(|claimed| claimed.digest == digest);
        self.held.iter().find(|(_, held)| is(held)).map(|(id, _)| *id)
    }

    /// The newest command with this reference of the venue whose action was claimed.
    pub(crate) fn by_venue_ref(&self, venue_ref: &str) -> Option<CommandId> {
        let is = |held: &Held| held.claimed.is_some() && held.cause.command.payload.venue_ref == venue_ref;
        self.held.iter().rev().find(|(_, held)| is(held)).map(|(id, _)| *id)
    }
}
