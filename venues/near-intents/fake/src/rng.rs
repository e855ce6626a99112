//! A seeded generator (SplitMix64): the choices of a run can be had again by its seed.

/// Not for secrets.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// True with this probability; never at 0 and always at 1.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }

    /// Uniform in `min..=max`; `min` if the range is empty.
    pub(super) fn between(&mut self, min: u128, max: u128) -> u128 {
        let drawn = (u128::from(self.next()) << 64) | u128::from(self.next());
        match max.saturating_sub(min).checked_add(1) {
            Some(span) => min.saturating_add(drawn % span),
            None => drawn,
        }
    }
}

/// Randomness that no seed repeats: ids, hashes, salts.
pub(super) fn fresh_bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    Ok(bytes)
}

/// A random UUID (version 4).
pub(super) fn fresh_uuid() -> anyhow::Result<String> {
    Ok(uuid::Builder::from_random_bytes(fresh_bytes()?).into_uuid().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_choices_within_the_range() {
        let (mut one, mut two) = (Rng::new(7), Rng::new(7));
        for _ in 0..1_000 {
            let drawn = one.between(10, 1_000);
            assert_eq!(drawn, two.between(10, 1_000));
            assert!((10..=1_000).contains(&drawn));
        }
        assert_eq!(one.between(5, 5), 5);
        assert!(one.chance(1.0) && !one.chance(0.0));
        one.between(0, u128::MAX);
    }
}
