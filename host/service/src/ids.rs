//! Fresh ids: events that nothing derives, spans, connections.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use unrip_core::random::SplitMix64;
use unrip_core::{Timestamp, TraceParent, Uuid, id};

/// Makes ids. Cheap to clone; clones never repeat each other.
#[derive(Clone, Debug, Default)]
pub struct Ids {
    /// Of a seeded source (tests): the next number. Without one, the system's randomness is used.
    seeded: Option<Arc<AtomicU64>>,
}

impl Ids {
    /// Ids from the system's randomness.
    pub fn random() -> Self {
        Self { seeded: None }
    }

    /// Ids that come out the same each time, for tests.
    pub fn seeded(seed: u64) -> Self {
        Self { seeded: Some(Arc::new(AtomicU64::new(seed))) }
    }

    /// The id of an event that nothing derives.
    pub fn uuid_v7(&self, at: Timestamp) -> Uuid {
        id::uuid_v7(at, self.bytes())
    }

    /// A name for a connection, new with each connect.
    pub fn connection_id(&self, at: Timestamp) -> String {
        self.uuid_v7(at).to_string()
    }

    /// The `traceparent` of a record that starts a chain.
    pub fn trace(&self) -> TraceParent {
        TraceParent { trace_id: self.bytes(), span_id: self.bytes() }
    }

    /// The span of one record.
    pub fn span_id(&self) -> [u8; 8] {
        self.bytes()
    }

    /// A number from 0 to 1 (excluded), for jitter.
    pub fn fraction(&self) -> f64 {
        // 53 bits: all that a float holds exactly.
        (u64::from_be_bytes(self.bytes()) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `N` fresh bytes, never all zero.
    fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.seeded {
            Some(counter) => fill_from(&mut bytes, || SplitMix64::nth(counter.fetch_add(1, Ordering::Relaxed))),
            None if getrandom::fill(&mut bytes).is_ok() => {}
            // Ids must be unique, not secret: without the system's source the hasher's keys do.
            None => fill_from(&mut bytes, || RandomState::new().hash_one(N)),
        }
        if bytes == [0; N] {
            bytes = [1; N];
        }
        bytes
    }
}

fn fill_from(bytes: &mut [u8], mut next: impl FnMut() -> u64) {
    for chunk in bytes.chunks_mut(8) {
        for (byte, fresh) in chunk.iter_mut().zip(next().to_be_bytes()) {
            *byte = fresh;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_repeats_and_is_repeatable_when_seeded() {
        let at = Timestamp::from_millis(1_795_341_600_123);
        let (one, two) = (Ids::seeded(7), Ids::seeded(7));
        let first = one.uuid_v7(at);
        assert_eq!(first, two.uuid_v7(at));
        assert_ne!(first, one.uuid_v7(at));
        assert_eq!(first.get_version_num(), 7);
        assert_ne!(Ids::random().trace(), Ids::random().trace());
        assert!((0.0..1.0).contains(&Ids::random().fraction()));
    }
}
