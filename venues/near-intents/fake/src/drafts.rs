//! What a quote says: taken from a sample file, or made up by seed.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::config::{AmountRange, FakeVenueConfig, QuotesConfig};
use super::rng::Rng;

/// A quote to send; what is not in `data` is not in the frame, the `quote_id` is put in.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) data: Map<String, Value>,
    pub(super) metadata: Option<Value>,
    /// The flat shape of the documentation instead of `event`.
    pub(super) flat: bool,
}

/// The quote events of a sample file, as drafts.
pub(super) fn samples(config: &FakeVenueConfig) -> anyhow::Result<Vec<Draft>> {
    let Some(path) = &config.quotes.samples else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("read samples {}", path.display()))?;
    let mut drafts = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}:{}", path.display(), number.saturating_add(1));
        let sample: Value = serde_json::from_str(line).with_context(place)?;
        let field = |name| sample.get(name).and_then(Value::as_str);
        if field("stream") == Some("ws:quote") && field("dir") == Some("server->client") {
            let frame: Value = serde_json::from_str(field("raw").unwrap_or_default()).with_context(place)?;
            drafts.extend(sample_draft(&frame));
        }
    }
    Ok(drafts)
}

fn sample_draft(frame: &Value) -> Option<Draft> {
    let params = frame.get("params")?;
    match params.get("data") {
        Some(data) => {
            Some(Draft { data: data.as_object()?.clone(), metadata: params.get("metadata").cloned(), flat: false })
        }
        None => {
            let mut data = params.as_object()?.clone();
            data.remove("subscription");
            Some(Draft { data, metadata: None, flat: true })
        }
    }
}

/// The `number`th generated quote; None without pairs.
pub(super) fn generate(config: &QuotesConfig, rng: &mut Rng, number: u64, now_ms: u64) -> Option<Draft> {
    let count = u64::try_from(config.pairs.len()).ok()?;
    let pair = config.pairs.get(usize::try_from(number.checked_rem(count)?).ok()?)?;
    let mut data = Map::new();
    data.insert("defuse_asset_identifier_in".into(), json!(pair.asset_in));
    data.insert("defuse_asset_identifier_out".into(), json!(pair.asset_out));
    let amount = |rng: &mut Rng, range: AmountRange| json!(rng.between(range.min, range.max).to_string());
    let (side, range) = match (pair.exact_in, pair.exact_out) {
        (Some(_), Some(range)) if rng.chance(0.5) => ("exact_amount_out", range),
        (Some(range), _) => ("exact_amount_in", range),
        (None, Some(range)) => ("exact_amount_out", range),
        (None, None) => return None,
    };
    data.insert(side.into(), amount(rng, range));
    data.insert("min_deadline_ms".into(), json!(config.min_deadline_ms));
    data.insert("min_wait_ms".into(), json!(config.min_wait_ms));
    data.insert("max_wait_ms".into(), json!(config.max_wait_ms));
    data.insert("protocol_fee_included".into(), json!(rng.chance(0.1)));
    let partner = if rng.chance(0.5) { "1click" } else { "router-solver" };
    let trace = format!("00-{:016x}{:016x}-{:016x}-01", rng.next(), rng.next(), rng.next() | 1);
    let metadata = json!({"partner_id": partner, "quote_timestamp": now_ms, "traceparent": trace});
    let flat = rng.chance(config.flat_share);
    Some(Draft { data, metadata: (!flat).then_some(metadata), flat })
}

/// The frame for one subscription.
pub(super) fn frame(draft: &Draft, subscription: &str) -> String {
    if draft.flat {
        let mut params = draft.data.clone();
        params.insert("subscription".into(), json!(subscription));
        return json!({"jsonrpc": "2.0", "method": "subscribe", "params": params}).to_string();
    }
    let mut params = json!({"subscription": subscription, "data": draft.data});
    if let (Some(metadata), Some(params)) = (&draft.metadata, params.as_object_mut()) {
        params.insert("metadata".into(), metadata.clone());
    }
    json!({"jsonrpc": "2.0", "method": "event", "params": params}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pair;

    #[test]
    fn generated_quotes_repeat_by_seed_fix_one_side_each_and_stay_in_range() {
        let range = AmountRange { min: 10, max: 99 };
        let pair = Pair {
            asset_in: "nep141:a".into(),
            asset_out: "nep141:b".into(),
            exact_in: Some(range),
            exact_out: Some(range),
        };
        let config = QuotesConfig { pairs: vec![pair], ..QuotesConfig::default() };
        let run = |seed| -> Vec<String> {
            let mut rng = Rng::new(seed);
            (0..200).map(|number| frame(&generate(&config, &mut rng, number, 5).unwrap(), "sub")).collect()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        let (mut given, mut received, mut flat) = (0, 0, 0);
        for text in run(3) {
            let frame: Value = serde_json::from_str(&text).unwrap();
            flat += usize::from(frame["method"] == "subscribe");
            let data = frame["params"].get("data").unwrap_or_else(|| &frame["params"]);
            let sides = [data.get("exact_amount_in"), data.get("exact_amount_out")];
            assert_eq!(sides.iter().flatten().count(), 1);
            given += usize::from(sides[0].is_some());
            received += usize::from(sides[1].is_some());
            let amount: u128 = sides.iter().flatten().next().unwrap().as_str().unwrap().parse().unwrap();
            assert!((10..=99).contains(&amount));
        }
        assert!(given > 50 && received > 50 && (5..80).contains(&flat), "{given} {received} {flat}");
    }

    #[test]
    fn without_pairs_nothing_is_generated() {
        assert!(generate(&QuotesConfig::default(), &mut Rng::new(1), 0, 0).is_none());
    }
}
