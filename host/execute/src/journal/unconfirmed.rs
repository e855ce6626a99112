//! Journal records on their way: when one comes back, its append time tells whether the clock is right.

use std::collections::BTreeMap;
use std::time::Instant;

use unrip_core::{CommandId, Timestamp, Uuid};

use unrip_protocol::fold::{Fact, Placed};

/// A moment by the clock, and one to count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Timestamp,
    instant: Instant,
}

impl Moment {
    /// This moment, which the clock calls `at`.
    pub(crate) fn now(at: Timestamp) -> Self {
        Self { at, instant: Instant::now() }
    }

    pub(crate) fn elapsed_s(&self) -> f64 {
        self.instant.elapsed().as_secs_f64()
    }
}

/// Appends of one partition that were not read back yet.
#[derive(Debug, Default)]
pub(crate) struct UnconfirmedAppends {
    fence: Option<(Uuid, Moment)>,
    /// By command: under which fence, and when first.
    commands: BTreeMap<CommandId, (i64, Moment)>,
}

impl UnconfirmedAppends {
    /// A fence is about to be appended; a repetition keeps the first moment.
    pub(crate) fn fence(&mut self, event_id: Uuid, moment: Moment) {
        if self.fence.is_none_or(|(known, _)| known != event_id) {
            self.fence = Some((event_id, moment));
        }
    }

    /// A record about a command is about to be appended.
    pub(crate) fn command(&mut self, id: CommandId, fence_offset: i64, moment: Moment) {
        // A record that is appended again may come back as its first copy.
        self.commands.entry(id).or_insert((fence_offset, moment));
    }

    /// When this record was written, if it is one of ours.
    pub(crate) fn came_back(&mut self, placed: &Placed) -> Option<Moment> {
        match &placed.fact {
            Fact::Fence => self.fence.take_if(|(event_id, _)| *event_id == placed.event_id).map(|(_, moment)| moment),
            Fact::Claim { head, fence_offset } | Fact::Outcome { head, fence_offset, .. } => {
                self.commands.get(&head.id).filter(|(under, _)| under == fence_offset)?;
                self.commands.remove(&head.id).map(|(_, moment)| moment)
            }
            _ => None,
        }
    }

    /// Forgets commands that are not in hand any more.
    pub(crate) fn retain(&mut self, is_held: impl Fn(&CommandId) -> bool) {
        self.commands.retain(|id, _| is_held(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(event_id: u128) -> Placed {
        let (offset, venue) = (7, "a-venue".to_owned());
        Placed { offset, event_id: Uuid::from_u128(event_id), venue, fact: Fact::Fence }
    }

    #[test]
    fn only_an_own_fence_comes_back_and_only_once() {
        let mut appends = UnconfirmedAppends::default();
        let first = Timestamp::from_millis(5);
        appends.fence(Uuid::from_u128(1), Moment::now(first));
        appends.fence(Uuid::from_u128(1), Moment::now(Timestamp::from_millis(9)));
        assert!(appends.came_back(&fence(2)).is_none(), "another executor's");
        assert_eq!(appends.came_back(&fence(1)).map(|moment| moment.at), Some(first));
        assert!(appends.came_back(&fence(1)).is_none());
    }
}
