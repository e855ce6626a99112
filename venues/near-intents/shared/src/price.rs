//! Exact prices: a fraction of base units, and every rounding in our favour.

use ethnum::U256;

/// Largest number of digits in a price, point left out.
const PRICE_DIGITS_MAX: usize = 30;
/// Largest number of decimals of an asset.
pub const DECIMALS_MAX: u8 = 30;
/// Basis points in one.
const BPS: u32 = 10_000;

/// Base units of `asset_out` that we give per base unit of `asset_in`: `num / den`, both below 2^128 and not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    num: u128,
    den: u128,
}

impl Price {
    /// From a price for people (whole `asset_out` per whole `asset_in`, `"2.54"`), what we keep of it in basis
    /// points, and both assets' decimals. The error says what is wrong.
    pub fn new(price: &str, spread_bps: u32, decimals_in: u8, decimals_out: u8) -> Result<Self, String> {
        if spread_bps >= BPS {
            return Err(format!("spread_bps is {spread_bps}: it must be below {BPS}"));
        }
        if decimals_in > DECIMALS_MAX || decimals_out > DECIMALS_MAX {
            return Err(format!("decimals_in, decimals_out: at most {DECIMALS_MAX}"));
        }
        let (digits, scale) = decimal(price)?;
        // num = price · (1 - spread) · 10^decimals_out, den = 10^decimals_in: 100 + 14 + 100 and 100 + 14 + 100 bits.
        let num = U256::from(digits) * U256::from(BPS - spread_bps) * pow10(u32::from(decimals_out));
        let den = pow10(scale) * U256::from(BPS) * pow10(u32::from(decimals_in));
        let divisor = gcd(num, den);
        match ((num / divisor).try_into(), (den / divisor).try_into()) {
            (Ok(num), Ok(den)) => Ok(Self { num, den }),
            _ => Err(format!("price `{price}` has too many digits for these decimals")),
        }
    }

    /// What we give for `amount_in`, rounded down; none if it does not fit into 128 bits.
    pub fn amount_out(&self, amount_in: u128) -> Option<u128> {
        (U256::from(amount_in) * U256::from(self.num) / U256::from(self.den)).try_into().ok()
    }

    /// What we ask for `amount_out`, rounded up; none if it does not fit into 128 bits.
    pub fn amount_in(&self, amount_out: u128) -> Option<u128> {
        let product = U256::from(amount_out) * U256::from(self.den);
        let num = U256::from(self.num);
        let rest = if product % num == U256::ZERO { U256::ZERO } else { U256::ONE };
        (product / num + rest).try_into().ok()
    }
}

/// The digits of a positive decimal without its point, and how many of them stood behind it.
fn decimal(text: &str) -> Result<(u128, u32), String> {
    let wrong = || format!("price `{}` is not a positive decimal string like \"2.54\"", crate::excerpt(text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) {
        return Err(wrong());
    }
    let fraction = fraction.trim_end_matches('0');
    let digits = format!("{}{fraction}", whole.trim_start_matches('0'));
    if digits.len() > PRICE_DIGITS_MAX || fraction.len() > PRICE_DIGITS_MAX {
        return Err(format!("price `{}` has more than {PRICE_DIGITS_MAX} digits", crate::excerpt(text)));
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        // At most 30.
        Ok(value) => Ok((value, fraction.len() as u32)),
    }
}

/// 10^exponent, for exponents up to 77.
fn pow10(exponent: u32) -> U256 {
    U256::from(10_u8).pow(exponent)
}

fn gcd(mut a: U256, mut b: U256) -> U256 {
    while b != U256::ZERO {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prices_in_base_units() {
        // 1 NEAR (24 decimals) at 2.50 USDC (6) less 20 bps.
        let near = Price::new("2.50", 20, 24, 6).unwrap();
        assert_eq!(near.amount_out(1_000_000_000_000_000_000_000_000), Some(2_495_000));
        assert_eq!(near.amount_in(2_495_000), Some(1_000_000_000_000_000_000_000_000));
        assert_eq!(near.amount_out(1), Some(0));
        // 0.001 BTC (8) for EURe (18) at 0.00001 BTC each.
        let eure = Price::new("0.00001", 0, 18, 8).unwrap();
        assert_eq!(eure.amount_in(100_000), Some(100_000_000_000_000_000_000));
    }

    #[test]
    fn says_what_does_not_fit() {
        let dear = Price::new("1000000", 0, 6, 24).unwrap();
        assert_eq!(dear.amount_out(u128::MAX), None);
        let cheap = Price::new("0.000001", 0, 24, 6).unwrap();
        assert_eq!(cheap.amount_in(u128::MAX), None);
        assert_eq!(cheap.amount_out(u128::MAX), Some(340_282_366_920_938));
    }

    #[test]
    fn refuses_prices_that_are_none() {
        for text in ["", ".", "1.", ".5", "0", "0.00", "-1", "+1", "1e3", "1,5", "NaN", &"1".repeat(31)] {
            assert!(Price::new(text, 0, 6, 6).is_err(), "{text}");
        }
        assert!(Price::new("1", 10_000, 6, 6).is_err());
        assert!(Price::new("1", 0, 31, 6).is_err());
        assert!(Price::new("0.000000000000000000000000000007", 1, 30, 0).unwrap_err().contains("too many digits"));
    }

    fn price() -> impl Strategy<Value = Price> {
        ("[1-9][0-9]{0,5}(\\.[0-9]{1,6})?", 0_u32..10_000, 0_u8..=24, 0_u8..=24)
            .prop_map(|(price, spread, d_in, d_out)| Price::new(&price, spread, d_in, d_out).unwrap())
    }

    proptest! {
        #[test]
        fn rounding_is_always_in_our_favour(price in price(), amount: u128) {
            if let Some(out) = price.amount_out(amount) {
                // out ≤ amount · num / den < out + 1
                let exact = U256::from(amount) * U256::from(price.num);
                prop_assert!(U256::from(out) * U256::from(price.den) <= exact);
                prop_assert!((U256::from(out) + 1) * U256::from(price.den) > exact);
            }
            if let Some(taken) = price.amount_in(amount) {
                let exact = U256::from(amount) * U256::from(price.den);
                prop_assert!(U256::from(taken) * U256::from(price.num) >= exact);
                prop_assert!(taken == 0 || U256::from(taken - 1) * U256::from(price.num) < exact);
            }
        }

        #[test]
        fn no_round_trip_gains_the_taker_anything(price in price(), amount: u128) {
            if let Some(taken) = price.amount_in(amount)
                && let Some(out) = price.amount_out(taken)
            {
                // Paying what we ask buys at least what was wanted, and never a whole step more than it is worth.
                prop_assert!(out >= amount);
                prop_assert!(price.amount_in(out).is_some_and(|again| again >= taken));
            }
        }

        #[test]
        fn any_text_is_a_price_or_an_error(text in "\\PC*", spread: u32, d_in: u8, d_out: u8) {
            let _ = Price::new(&text, spread, d_in, d_out);
        }
    }
}
