//! What waits for one topic, in order. Pure.

use std::collections::BTreeMap;

/// The records of one topic, by the order in which they were handed over.
#[derive(Debug)]
pub(super) struct Lane<T> {
    /// Handed to the producer and not acknowledged yet.
    pub(super) in_flight: usize,
    waiting: BTreeMap<u64, T>,
    blocked: Option<Blocked>,
}

/// Why a topic takes no records now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocked {
    /// For people.
    pub(super) reason: String,
    /// Whether only the operator can change that.
    pub(super) operators: bool,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { in_flight: 0, waiting: BTreeMap::new(), blocked: None }
    }
}

impl<T> Lane<T> {
    /// Whether a new record must wait behind others of its topic.
    pub(super) fn must_wait(&self) -> bool {
        self.blocked.is_some() || !self.waiting.is_empty()
    }

    /// Keeps a record at its place in the order.
    pub(super) fn wait(&mut self, number: u64, entry: T) {
        self.waiting.insert(number, entry);
    }

    /// The topic takes no records; whether that, or its reason, is news.
    pub(super) fn block(&mut self, blocked: Blocked) -> bool {
        self.blocked.replace(blocked.clone()) != Some(blocked)
    }

    /// The topic took a record; whether it was blocked before.
    pub(super) fn unblock(&mut self) -> bool {
        self.blocked.take().is_some()
    }

    pub(super) fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next record to write: of a blocked topic one alone, which shows whether the topic takes records again.
    pub(super) fn next(&mut self) -> Option<(u64, T)> {
        if self.blocked.is_some() && self.in_flight > 0 {
            return None;
        }
        self.waiting.pop_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> Blocked {
        Blocked { reason: "no such topic".to_owned(), operators: true }
    }

    #[test]
    fn keeps_the_order_and_tries_one_record_alone_while_blocked() {
        let mut lane = Lane::default();
        assert!(!lane.must_wait());
        assert!(lane.block(blocked()));
        assert!(!lane.block(blocked()), "the same reason is not news");
        for number in [3, 1, 2] {
            lane.wait(number, number);
        }
        assert_eq!(lane.next(), Some((1, 1)));
        lane.in_flight = 1;
        assert_eq!(lane.next(), None);
        lane.in_flight = 0;
        lane.wait(1, 1);
        assert_eq!(lane.next(), Some((1, 1)), "failed again: first again");
        assert!(lane.unblock() && !lane.unblock());
        lane.in_flight = 1;
        assert_eq!((lane.next(), lane.next(), lane.next()), (Some((2, 2)), Some((3, 3)), None));
        assert!(!lane.must_wait());
    }
}
