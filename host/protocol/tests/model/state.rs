//! One state of the model: the log, what is under way to it, the executors, the venue, and what can still go wrong.

use std::collections::{BTreeMap, BTreeSet};

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp};
use unrip_protocol::fold::{Head, MemoryFold};
use unrip_protocol::partition::{Partition, Phase};

use super::log::{Draft, Log};
use super::shared::Shared;
use crate::common::at;

/// Before `dispatch_by`, between it and the deadline, after the deadline.
pub const TIMES: [i64; 3] = [1, 3_001, 66_000];
/// After this an append is made again; small beside the times above.
pub const RETRY_MS: i64 = 10;
/// More than that often a process does not make appends again, so that worlds stay finite.
pub const RETRIES_MAX: u8 = 6;

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    /// The group gives the partition to another while its owner knows nothing of it.
    pub steals: u8,
    /// The group takes the partition back in an orderly way.
    pub revokes: u8,
    /// An executor hears that it has lost the partition.
    pub losses: u8,
    /// A process dies; its disk stays.
    pub crashes: u8,
    /// A process dies with its disk.
    pub node_losses: u8,
    /// An append is lost.
    pub drops: u8,
    /// An append lands twice.
    pub duplicates: u8,
    /// An append is thought lost and made again.
    pub retries: u8,
    /// Another venue's executor fences itself on the same partition.
    pub foreign: u8,
    /// The kill switch closes before the bytes leave.
    pub halts: u8,
    /// No socket is ready.
    pub unready: u8,
    /// A flush is not finished: the connection closes.
    pub breaks: u8,
    /// An answer takes longer than we wait.
    pub timeouts: u8,
    /// The module cannot prepare yet.
    pub not_yet: u8,
    /// A person decides.
    pub decisions: u8,
}

/// What crosses from a state to the next besides the budget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub left: Budget,
    pub time: usize,
    pub log: Shared<Log>,
    /// Appends under way: they may land at any time and in any order, also after their writer is gone.
    pub flying: Vec<Flying>,
    pub executors: Vec<Shared<Executor>>,
    /// The owner as the group sees it.
    pub owner: Option<usize>,
    pub committed: i64,
    pub fences: u8,
    pub venue: Venue,
    /// The result topic as a `read_committed` reader sees it, and whose transactions it takes.
    pub results: Vec<(CommandId, ResultStatus)>,
    pub producer: Option<usize>,
    /// Set by a step that must never happen.
    pub wrong: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flying {
    pub draft: Shared<Draft>,
    pub from: usize,
}

/// The venue and the wire to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Venue {
    /// Every release of signed bytes: the command and the offset of the record from which they were made.
    pub sends: Vec<(CommandId, i64)>,
    /// Released and not there yet.
    pub wire: Vec<CommandId>,
    pub accepted: BTreeSet<CommandId>,
    pub refused: BTreeSet<CommandId>,
}

/// One process: the production core and the small host around it.
#[derive(Clone, Debug)]
pub struct Executor {
    /// For people who read a path; not part of the state.
    pub name: usize,
    pub core: Partition,
    /// How far the log is folded: LMDB, so it survives a crash.
    pub folded: usize,
    /// Ids of the fences that it wrote; only of such mutants.
    pub fences: BTreeSet<u128>,
    /// Only of mutants whose fold is not the log's.
    pub own: Option<Box<MemoryFold>>,
    /// Results that this disk knows to be published.
    pub noted: BTreeSet<CommandId>,
    pub host: Host,
}

/// What dies with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    pub next_read: usize,
    /// Being handed over in an orderly way.
    pub leaving: bool,
    pub commit: Option<i64>,
    /// How often appends were made again.
    pub retried: u8,
    /// Commands with the bytes that would be signed.
    pub held: BTreeMap<CommandId, Head>,
    pub preparing: BTreeSet<CommandId>,
    /// The dispatch was asked for; the gate was not asked yet.
    pub ordered: BTreeSet<CommandId>,
    /// The gate said yes; the process may be paused right before the write.
    pub writing: BTreeSet<CommandId>,
    /// The answer may still come on this connection.
    pub awaiting: BTreeSet<CommandId>,
    pub asking: BTreeSet<CommandId>,
    /// Handed to a socket by this process: only mutants look at it.
    pub handed: BTreeSet<CommandId>,
    pub publisher: Option<Publisher>,
}

/// Publishes what the log says while the partition is ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// Its transactions were opened and the topic was read to its end.
    pub ready: bool,
    pub poked: bool,
    /// What it found on the topic.
    pub known: BTreeSet<CommandId>,
}

impl PartialEq for Executor {
    fn eq(&self, other: &Self) -> bool {
        let disk = |it: &Self| (it.folded, it.own.clone(), it.fences.clone(), it.noted.clone());
        self.core == other.core && self.host == other.host && disk(self) == disk(other)
    }
}

impl Eq for Executor {}

impl std::hash::Hash for Executor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.core, self.folded, &self.own, &self.fences, &self.noted, &self.host).hash(state);
    }
}

impl Executor {
    pub fn is_idle(&self) -> bool {
        *self.core.phase() == Phase::Standby && self.core.open_count() == 0 && self.host == Host::default()
    }
}

impl State {
    pub fn now(&self, executor: &Executor) -> Timestamp {
        at(TIMES[self.time] + RETRY_MS * i64::from(executor.host.retried))
    }

    /// Executors are alike: states that differ only in who is who are one state.
    pub fn settle(&mut self) {
        self.flying.sort_by_key(|flying| (flying.draft.order(), flying.from));
        let mut order: Vec<usize> = (0..self.executors.len()).collect();
        order.sort_by_key(|who| self.executors[*who].order());
        if order.is_sorted() {
            return;
        }
        let place = |who: usize| order.iter().position(|old| *old == who).unwrap();
        self.executors = order.iter().map(|who| self.executors[*who].clone()).collect();
        self.owner = self.owner.map(place);
        self.producer = self.producer.map(place);
        self.flying.iter_mut().for_each(|flying| flying.from = place(flying.from));
        self.flying.sort_by_key(|flying| (flying.draft.order(), flying.from));
    }
}
