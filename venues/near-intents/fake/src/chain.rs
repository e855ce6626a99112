//! The chain behind the venue: blocks that come with wall time, and the salts in force at each of them.
//!
//! A height is computed from the time and nothing else, so a restarted venue continues where the wall clock is.

use sha2::{Digest as _, Sha256};

/// Blocks that exist already when a fresh ledger begins, so that the final one never lies before the first.
const BLOCKS_BEFORE_START: u64 = 100;

/// Bytes 0..4 of every block hash: a hash carries its height, so that it can be asked for.
const HASH_MARK: [u8; 4] = *b"fake";

const NANOS_PER_MS: u64 = 1_000_000;

/// Heights, timestamps and salts.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    genesis_ms: u64,
    genesis_height: u64,
    block_ms: u64,
    final_lag: u64,
    /// From which height which salt is the current one, oldest first.
    salts: Vec<(u64, [u8; 4])>,
    /// While it lasts no block after this one becomes final: height and time of the end.
    stalled: Option<(u64, u64)>,
}

impl Chain {
    pub(super) fn new(genesis_ms: u64, genesis_height: u64, block_ms: u64, final_lag: u64, salt: [u8; 4]) -> Self {
        Self {
            genesis_ms,
            genesis_height,
            block_ms: block_ms.max(1),
            final_lag,
            salts: vec![(genesis_height, salt)],
            stalled: None,
        }
    }

    /// When the first block of a chain was, if the ledger begins now.
    pub(super) fn genesis_for(now_ms: u64, block_ms: u64, final_lag: u64) -> u64 {
        now_ms.saturating_sub(block_ms.max(1).saturating_mul(BLOCKS_BEFORE_START.saturating_add(final_lag)))
    }

    pub(super) fn head(&self, now_ms: u64) -> u64 {
        self.genesis_height.saturating_add(now_ms.saturating_sub(self.genesis_ms) / self.block_ms)
    }

    pub(super) fn final_height(&self, now_ms: u64) -> u64 {
        let height = self.head(now_ms).saturating_sub(self.final_lag).max(self.genesis_height);
        match self.stalled {
            Some((last, until_ms)) if now_ms < until_ms => height.min(last),
            _ => height,
        }
    }

    /// No new final block until then; a stall continues from where it started.
    pub(super) fn stall(&mut self, now_ms: u64, until_ms: u64) {
        self.stalled = Some((self.final_height(now_ms), until_ms));
    }

    /// Whether a block of this height exists by now.
    pub(super) fn exists(&self, height: u64, now_ms: u64) -> bool {
        (self.genesis_height..=self.head(now_ms)).contains(&height)
    }

    pub(super) fn timestamp_ms(&self, height: u64) -> u64 {
        let since = height.saturating_sub(self.genesis_height).saturating_mul(self.block_ms);
        self.genesis_ms.saturating_add(since)
    }

    pub(super) fn timestamp_ns(&self, height: u64) -> u64 {
        self.timestamp_ms(height).saturating_mul(NANOS_PER_MS)
    }

    /// The block hash: the mark, the height, and a tail that depends on both and on the chain's beginning.
    pub(super) fn hash(&self, height: u64) -> String {
        let tail =
            Sha256::new().chain_update(self.genesis_ms.to_be_bytes()).chain_update(height.to_be_bytes()).finalize();
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(&HASH_MARK);
        bytes.extend_from_slice(&height.to_be_bytes());
        bytes.extend(tail.iter().take(20));
        bs58::encode(bytes).into_string()
    }

    /// The height of a block hash of this chain.
    pub(super) fn height_of(&self, hash: &str) -> Option<u64> {
        let bytes = bs58::decode(hash).into_vec().ok()?;
        let height = u64::from_be_bytes(bytes.get(4..12)?.try_into().ok()?);
        (self.hash(height) == hash).then_some(height)
    }

    pub(super) fn current_salt(&self, height: u64) -> [u8; 4] {
        self.salts
            .iter()
            .rev()
            .find(|(from, _)| *from <= height)
            .or_else(|| self.salts.first())
            .map_or([0; 4], |(_, salt)| *salt)
    }

    /// The current salt and the one before it are valid.
    pub(super) fn salt_is_valid(&self, salt: [u8; 4], height: u64) -> bool {
        self.salts.iter().rev().filter(|(from, _)| *from <= height).take(2).any(|(_, known)| *known == salt)
    }

    pub(super) fn rotate(&mut self, from_height: u64, salt: [u8; 4]) {
        self.salts.push((from_height, salt));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Chain {
        Chain::new(1_000_000, 500, 600, 2, [1; 4])
    }

    #[test]
    fn heights_and_timestamps_are_each_others_inverse() {
        let chain = chain();
        assert_eq!(chain.head(1_000_000), 500);
        assert_eq!(chain.head(1_000_599), 500);
        assert_eq!(chain.head(1_000_600), 501);
        assert_eq!(chain.timestamp_ns(501), 1_000_600_000_000);
        assert_eq!(chain.final_height(1_006_000), 508);
    }

    #[test]
    fn while_finality_stalls_blocks_go_on_and_the_final_one_stays() {
        let mut chain = chain();
        chain.stall(1_006_000, 1_009_000);
        assert_eq!((chain.final_height(1_008_999), chain.head(1_008_999)), (508, 514));
        chain.stall(1_008_000, 1_012_000);
        assert_eq!(chain.final_height(1_011_999), 508);
        assert_eq!(chain.final_height(1_012_000), 518);
        chain.stall(1_012_000, 0);
        assert_eq!(chain.final_height(1_012_600), 519);
    }

    #[test]
    fn a_block_hash_leads_back_to_its_height_and_a_foreign_one_nowhere() {
        let chain = chain();
        assert_eq!(chain.height_of(&chain.hash(777)), Some(777));
        let other = Chain::new(1_000_001, 500, 600, 2, [1; 4]);
        assert_eq!(chain.height_of(&other.hash(777)), None);
        assert_eq!(chain.height_of("not base58 0OIl"), None);
    }

    #[test]
    fn the_current_and_the_previous_salt_are_valid_from_their_heights_on() {
        let mut chain = chain();
        chain.rotate(510, [2; 4]);
        chain.rotate(520, [3; 4]);
        assert_eq!(chain.current_salt(509), [1; 4]);
        assert_eq!(chain.current_salt(510), [2; 4]);
        assert!(chain.salt_is_valid([1; 4], 519));
        assert!(!chain.salt_is_valid([1; 4], 520));
        assert!(chain.salt_is_valid([2; 4], 520));
        assert!(!chain.salt_is_valid([2; 4], 509));
    }
}
