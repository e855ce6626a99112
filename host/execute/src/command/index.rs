//! Which command a statement of the venue is about, and which executed commands wait for news of their settlement.

use std::collections::{BTreeSet, HashMap, HashSet};

use unrip_core::{CommandId, Timestamp};

/// How long a command is remembered after its deadline, in milliseconds: settlement news may come minutes late.
pub(crate) const REMEMBERED_MS: i64 = 900_000;

/// Claimed commands by what the venue calls them.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_digest: HashMap<String, CommandId>,
    by_venue_ref: HashMap<String, CommandId>,
    /// Executed commands without news, and until when they are remembered.
    followed: HashMap<CommandId, Timestamp>,
    /// When each of them is asked about next.
    due: BTreeSet<(Timestamp, CommandId)>,
    /// Commands whose settlement status was already published.
    settled: HashSet<CommandId>,
}

impl Index {
    /// A command whose action is claimed.
    pub(crate) fn keep(&mut self, id: CommandId, venue_ref: &str, digest: String) {
        self.by_digest.insert(digest, id);
        // The newest command of a reference counts.
        self.by_venue_ref.insert(venue_ref.to_owned(), id);
    }

    /// The command whose claimed action has this digest.
    pub(crate) fn by_digest(&self, digest: &str) -> Option<CommandId> {
        self.by_digest.get(digest).copied()
    }

    /// The newest command with this reference of the venue whose action was claimed.
    pub(crate) fn by_venue_ref(&self, venue_ref: &str) -> Option<CommandId> {
        self.by_venue_ref.get(venue_ref).copied()
    }

    /// An executed command: ask what became of it when its deadline has passed, unless the venue says it before.
    pub(crate) fn follow(&mut self, id: CommandId, ask_at: Timestamp, deadline: Timestamp) {
        let until = deadline.plus_millis(REMEMBERED_MS);
        if !self.settled.contains(&id) && self.followed.insert(id, until).is_none() {
            self.due.insert((ask_at, id));
        }
    }

    /// Whether news of this command are waited for.
    pub(crate) fn follows(&self, id: &CommandId) -> bool {
        self.followed.contains_key(id)
    }

    /// Ask about it at this time.
    pub(crate) fn ask_again(&mut self, id: CommandId, at: Timestamp) {
        if self.follows(&id) {
            self.due.insert((at, id));
        }
    }

    /// News of the settlement: false if there was some before.
    pub(crate) fn news(&mut self, id: CommandId) -> bool {
        self.followed.remove(&id);
        self.settled.insert(id)
    }

    /// Takes at most `max` commands that are to be asked about now.
    pub(crate) fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<CommandId> {
        let due: Vec<_> = self.due.iter().take_while(|(at, _)| *at <= now).take(max).copied().collect();
        for one in &due {
            self.due.remove(one);
        }
        due.into_iter().map(|(_, id)| id).filter(|id| self.followed.contains_key(id)).collect()
    }

    /// Gives up on news that have not come for too long.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.followed.retain(|_, until| now < *until);
        let followed = &self.followed;
        self.due.retain(|(_, id)| followed.contains_key(id));
    }

    /// Forgets names of commands that are not held.
    pub(crate) fn retain(&mut self, held: impl Fn(&CommandId) -> bool) {
        self.by_digest.retain(|_, id| held(id));
        self.by_venue_ref.retain(|_, id| held(id));
        self.settled.retain(|id| held(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn asks_once_after_the_deadline_and_again_only_on_request() {
        let (mut index, id) = (Index::default(), "0".repeat(32).parse().unwrap());
        index.follow(id, at(1_000), at(1_000));
        index.follow(id, at(1_000), at(1_000));
        assert_eq!(index.take_due(at(999), 8), []);
        assert_eq!(index.take_due(at(1_000), 8), [id]);
        assert_eq!(index.take_due(at(9_000), 8), []);
        index.ask_again(id, at(2_000));
        assert_eq!(index.take_due(at(2_000), 8), [id]);
        assert!(index.news(id) && !index.news(id), "news count once");
        index.ask_again(id, at(3_000));
        index.follow(id, at(3_000), at(3_000));
        assert_eq!(index.take_due(at(9_000), 8), []);
    }

    #[test]
    fn gives_up_on_news_that_never_come() {
        let (mut index, id) = (Index::default(), "0".repeat(32).parse().unwrap());
        index.follow(id, at(1_000), at(1_000));
        index.sweep(at(1_000 + REMEMBERED_MS - 1));
        assert!(index.follows(&id));
        index.sweep(at(1_000 + REMEMBERED_MS));
        assert!(!index.follows(&id));
        assert_eq!(index.take_due(at(i64::MAX / 2_000), 8), []);
    }
}
