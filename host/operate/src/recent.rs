//! A set that forgets the oldest: it bounds memory on a long log.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};

/// Remembers the fingerprints of so many items, of 8 bytes each.
#[derive(Clone, Debug)]
pub struct Recent {
    max: usize,
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Recent {
    /// Nothing yet; at most `max` items.
    pub fn new(max: usize) -> Self {
        Self { max, hasher: RandomState::new(), known: HashSet::new(), order: VecDeque::new() }
    }

    /// Adds an item.
    pub fn add(&mut self, item: &impl Hash) {
        let print = self.hasher.hash_one(item);
        if !self.known.insert(print) {
            return;
        }
        self.order.push_back(print);
        if self.order.len() > self.max
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether the item was added and is not forgotten.
    pub fn has(&self, item: &impl Hash) -> bool {
        self.known.contains(&self.hasher.hash_one(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest() {
        let mut recent = Recent::new(2);
        for item in ["a", "b", "b", "c"] {
            recent.add(&item);
        }
        assert_eq!(["a", "b", "c"].map(|item| recent.has(&item)), [false, true, true]);
    }
}
