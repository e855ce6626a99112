//! Repeatable numbers from a seed, for tests and drills; never for secrets.

/// SplitMix64: the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

/// What the state grows by with each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// The numbers of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Number `index` of seed 0, without the numbers before it.
    pub const fn nth(index: u64) -> u64 {
        Self(index.wrapping_mul(STEP)).next()
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the reference implementation (<https://prng.di.unimi.it/splitmix64.c>).
    #[test]
    fn gives_the_numbers_of_the_reference() {
        let mut random = SplitMix64::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        let mut random = SplitMix64::new(0);
        assert_eq!([0, 1, 2].map(SplitMix64::nth), [random.next(), random.next(), random.next()]);
    }
}
