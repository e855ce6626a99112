//! The strategy `fixed-spread`: configured pairs at a configured price less a spread; everything else is declined
//! with a code that is counted. It reads no market data: an honest first strategy for trying the path, not for profit.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::normalize::parse_amount;
use crate::price::Price;
use crate::{TimestampUs, VENUE};

/// What NEAR's `token_diff` holds.
const AMOUNT_MAX: u128 = i128::MAX.unsigned_abs();
/// How long a relay takes answers where it does not say, in milliseconds.
const TTL_MS_DEFAULT: u64 = 3_000;
/// Microseconds in a millisecond.
const US_PER_MS: u64 = 1_000;

/// The strategy's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default = "default_strategy")]
    strategy: String,
    account: String,
    pairs: Vec<Pair>,
    #[serde(default = "default_margin")]
    deadline_margin_ms: u64,
    #[serde(default = "default_window")]
    dispatch_window_ms_max: u64,
    #[serde(default = "default_deadline_max")]
    deadline_ms_max: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    asset_in: String,
    asset_out: String,
    decimals_in: u8,
    decimals_out: u8,
    price: String,
    #[serde(default)]
    spread_bps: u32,
}

fn default_strategy() -> String {
    "fixed-spread".to_owned()
}

fn default_margin() -> u64 {
    5_000
}

fn default_window() -> u64 {
    60_000
}

fn default_deadline_max() -> u64 {
    610_000
}

/// A demand as the strategy sees it.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The venue of the event.
    pub venue: &'a str,
    /// When the frame reached the host.
    pub observed_at: TimestampUs,
    /// What the taker gives.
    pub asset_in: &'a str,
    /// What the taker receives.
    pub asset_out: &'a str,
    /// Base units, if fixed.
    pub amount_in: Option<&'a str>,
    /// Base units, if fixed.
    pub amount_out: Option<&'a str>,
    /// How long an answer must stay valid.
    pub min_deadline_ms: u64,
    /// How long answers are taken.
    pub ttl_ms: Option<u64>,
}

/// What the strategy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Answer(Answer),
    /// Do nothing, counted by this code.
    Decline(&'static str),
}

/// An answer to a demand. Quote id and assets are the demand's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What we receive.
    pub amount_in: u128,
    /// What we give.
    pub amount_out: u128,
    /// Whether the taker fixed what it receives.
    pub out_is_fixed: bool,
    /// Nothing may be sent after this time.
    pub dispatch_by: TimestampUs,
    /// The expiry inside the signed payload.
    pub deadline: TimestampUs,
    /// Why, for people.
    pub reason: String,
}

/// The strategy.
#[derive(Clone, Debug)]
pub struct FixedSpread {
    settings: Settings,
    prices: BTreeMap<(String, String), (Price, String)>,
}

impl FixedSpread {
    /// Reads and checks the configuration. The error names the key.
    pub fn read(text: &str) -> Result<Self, String> {
        let settings: Settings = crate::config::read(text)?;
        if settings.account.is_empty() {
            return Err("account: it must not be empty".into());
        }
        if settings.strategy.is_empty() || settings.strategy.contains(['/', '\n']) {
            return Err("strategy: a name without `/`, as it stands in ids".into());
        }
        for (key, value) in [
            ("deadline_margin_ms", settings.deadline_margin_ms),
            ("dispatch_window_ms_max", settings.dispatch_window_ms_max),
            ("deadline_ms_max", settings.deadline_ms_max),
        ] {
            if value == 0 {
                return Err(format!("{key}: it must not be 0"));
            }
        }
        let mut prices = BTreeMap::new();
        for (index, pair) in settings.pairs.iter().enumerate() {
            let priced = pair.read().map_err(|error| format!("pairs[{index}]: {error}"))?;
            if prices.insert((pair.asset_in.clone(), pair.asset_out.clone()), priced).is_some() {
                return Err(format!("pairs[{index}]: {} → {} stands twice", pair.asset_in, pair.asset_out));
            }
        }
        Ok(Self { settings, prices })
    }

    /// The strategy's name.
    pub fn name(&self) -> &str {
        &self.settings.strategy
    }

    /// The account that answers.
    pub fn account(&self) -> &str {
        &self.settings.account
    }

    /// What to do about a demand.
    pub fn decide(&self, demand: &Demand<'_>) -> Decision {
        self.answer(demand).map_or_else(Decision::Decline, Decision::Answer)
    }

    fn answer(&self, demand: &Demand<'_>) -> Result<Answer, &'static str> {
        if demand.venue != VENUE {
            return Err("other_venue");
        }
        if demand.asset_in == demand.asset_out {
            return Err("same_asset");
        }
        let fixed_in = within(demand.amount_in.map(parse_amount))?;
        let fixed_out = within(demand.amount_out.map(parse_amount))?;
        let horizon_ms = demand.min_deadline_ms.saturating_add(self.settings.deadline_margin_ms);
        if horizon_ms > self.settings.deadline_ms_max {
            return Err("deadline_too_long");
        }
        let key = (demand.asset_in.to_owned(), demand.asset_out.to_owned());
        let (price, reason) = self.prices.get(&key).ok_or("not_configured")?;
        let (amount_in, amount_out, out_is_fixed) = match (fixed_in, fixed_out) {
            (Some(amount), None) => (Some(amount), price.amount_out(amount), false),
            (None, Some(amount)) => (price.amount_in(amount), Some(amount), true),
            _ => return Err("amount_unclear"),
        };
        let (Some(amount_in), Some(amount_out)) = (within(Some(amount_in))?, within(Some(amount_out))?) else {
            return Err("amount_over_i128");
        };
        let window_ms = demand
            .ttl_ms
            .unwrap_or(TTL_MS_DEFAULT)
            .min(self.settings.deadline_margin_ms)
            .min(self.settings.dispatch_window_ms_max);
        let deadline = after(demand.observed_at, horizon_ms);
        Ok(Answer {
            amount_in,
            amount_out,
            out_is_fixed,
            dispatch_by: after(demand.observed_at, window_ms),
            deadline: deadline - deadline % US_PER_MS,
            reason: reason.clone(),
        })
    }
}

impl Pair {
    fn read(&self) -> Result<(Price, String), String> {
        if self.asset_in == self.asset_out || self.asset_in.is_empty() || self.asset_out.is_empty() {
            return Err("asset_in and asset_out must be two different assets".into());
        }
        let price = Price::new(&self.price, self.spread_bps, self.decimals_in, self.decimals_out)?;
        Ok((price, format!("price {} less {} bps", self.price, self.spread_bps)))
    }
}

/// Amounts that the venue can express and that are something. The outer option: whether it is given at all.
fn within(amount: Option<Option<u128>>) -> Result<Option<u128>, &'static str> {
    match amount {
        None => Ok(None),
        Some(Some(0)) => Err("amount_zero"),
        Some(Some(amount)) if amount <= AMOUNT_MAX => Ok(Some(amount)),
        // Over i128, or (by our own arithmetic) even over u128.
        Some(_) => Err("amount_over_i128"),
    }
}

fn after(time: TimestampUs, ms: u64) -> TimestampUs {
    time.saturating_add(ms.saturating_mul(US_PER_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBSERVED: TimestampUs = 1_795_341_600_123_456;

    fn strategy() -> FixedSpread {
        FixedSpread::read(
            r#"{"account":"solver.near","pairs":[
                {"asset_in":"near","asset_out":"usdc","decimals_in":24,"decimals_out":6,"price":"2.5","spread_bps":20},
                {"asset_in":"usdc","asset_out":"near","decimals_in":6,"decimals_out":24,"price":"0.4","spread_bps":20}]}"#,
        )
        .unwrap()
    }

    fn demand() -> Demand<'static> {
        Demand {
            venue: VENUE,
            observed_at: OBSERVED,
            asset_in: "near",
            asset_out: "usdc",
            amount_in: Some("1000000000000000000000000"),
            amount_out: None,
            min_deadline_ms: 60_000,
            ttl_ms: Some(3_000),
        }
    }

    fn answer(demand: &Demand<'_>) -> Answer {
        match strategy().decide(demand) {
            Decision::Answer(answer) => answer,
            Decision::Decline(code) => panic!("declined: {code}"),
        }
    }

    #[test]
    fn answers_with_the_missing_amount() {
        let given_in = answer(&demand());
        assert_eq!((given_in.amount_out, given_in.out_is_fixed), (2_495_000, false));
        let given_out = answer(&Demand { amount_in: None, amount_out: Some("2495001"), ..demand() });
        assert_eq!((given_out.amount_out, given_out.out_is_fixed), (2_495_001, true));
        assert!(given_out.amount_in > 1_000_000_000_000_000_000_000_000);
    }

    #[test]
    fn times_are_the_rules_of_records() {
        let given = answer(&demand());
        assert_eq!(given.dispatch_by, OBSERVED + 3_000_000);
        assert_eq!(given.deadline, 1_795_341_665_123_000, "cut to whole milliseconds");
        assert_eq!(answer(&Demand { ttl_ms: None, ..demand() }).dispatch_by, OBSERVED + 3_000_000);
        assert_eq!(answer(&Demand { ttl_ms: Some(90_000), ..demand() }).dispatch_by, OBSERVED + 5_000_000);
        assert_eq!(answer(&Demand { ttl_ms: Some(0), ..demand() }).dispatch_by, OBSERVED);
    }

    #[test]
    fn declines_by_code() {
        let over = (i128::MAX.unsigned_abs() + 1).to_string();
        let cases = [
            (Demand { venue: "other", ..demand() }, "other_venue"),
            (Demand { asset_out: "near", ..demand() }, "same_asset"),
            (Demand { amount_in: Some(&over), ..demand() }, "amount_over_i128"),
            (Demand { amount_in: Some("0"), ..demand() }, "amount_zero"),
            (Demand { amount_in: Some("1"), ..demand() }, "amount_zero"),
            (Demand { min_deadline_ms: 605_001, ..demand() }, "deadline_too_long"),
            (Demand { min_deadline_ms: u64::MAX, ..demand() }, "deadline_too_long"),
            (Demand { asset_out: "doge", ..demand() }, "not_configured"),
            (Demand { amount_out: Some("1"), ..demand() }, "amount_unclear"),
            (
                Demand {
                    asset_in: "usdc",
                    asset_out: "near",
                    amount_in: Some("1000000000000000000000000000"),
                    ..demand()
                },
                "amount_over_i128",
            ),
        ];
        for (demand, code) in cases {
            assert_eq!(strategy().decide(&demand), Decision::Decline(code), "{demand:?}");
        }
        assert!(matches!(strategy().decide(&Demand { min_deadline_ms: 605_000, ..demand() }), Decision::Answer(_)));
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        for (text, key) in [
            (r#"{"account":"a","pairs":[],"pears":1}"#, "pears"),
            (r#"{"pairs":[]}"#, "account"),
            (r#"{"account":"","pairs":[]}"#, "account"),
            (r#"{"account":"a","pairs":[],"deadline_margin_ms":0}"#, "deadline_margin_ms"),
            (r#"{"account":"a","pairs":[],"strategy":"a/b"}"#, "strategy"),
            (
                r#"{"account":"a","pairs":[{"asset_in":"x","asset_out":"y","decimals_in":1,"decimals_out":1,"price":"x"}]}"#,
                "pairs[0]: price",
            ),
            (
                r#"{"account":"a","pairs":[{"asset_in":"x","asset_out":"y","decimals_in":1,"decimals_out":1,"price":"1"},
                    {"asset_in":"x","asset_out":"y","decimals_in":1,"decimals_out":1,"price":"2"}]}"#,
                "pairs[1]",
            ),
        ] {
            let error = FixedSpread::read(text).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
    }
}
