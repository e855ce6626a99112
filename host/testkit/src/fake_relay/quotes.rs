//! Where quotes come from, and how one is sent: written down first, then handed to every subscriber.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::config::{AmountRange, FakeVenueConfig, QuotesConfig};
use super::hub::Stream;
use super::ledger_lines::{Entry, Frame, Quote};
use super::rng::{self, Rng};
use super::venue::Venue;

/// Answers are taken this long where a quote does not say.
const WAIT_MS_DEFAULT: u64 = 3_000;

/// Pause between looks at how many quotes are due.
const TICK: Duration = Duration::from_millis(2);

/// Quotes that may be due at once; after a stall the rest is forgone, not poured out.
const BURST_MAX: f64 = 64.0;

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
fn generate(config: &QuotesConfig, rng: &mut Rng, number: u64, now_ms: u64) -> Option<Draft> {
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

/// Opens an auction and sends it to whoever is subscribed; gives its quote id.
pub(super) async fn send(venue: &Venue, mut draft: Draft) -> anyhow::Result<String> {
    let quote_id = rng::fresh_uuid()?;
    draft.data.insert("quote_id".into(), json!(quote_id));
    let text = |name| draft.data.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name| draft.data.get(name).and_then(Value::as_u64);
    let wait_ms = number("max_wait_ms").or_else(|| number("wait_ms")).unwrap_or(WAIT_MS_DEFAULT);
    let mut quote = Quote {
        quote_id: quote_id.clone(),
        asset_in: text("defuse_asset_identifier_in").unwrap_or_default(),
        asset_out: text("defuse_asset_identifier_out").unwrap_or_default(),
        amount_in: text("exact_amount_in"),
        amount_out: text("exact_amount_out"),
        min_deadline_ms: number("min_deadline_ms").unwrap_or(0),
        closes_ms: 0,
    };
    let targets = venue.hub.targets(Stream::Quote, Some((&quote.asset_in, &quote.asset_out)));
    let frames: Vec<_> = targets.iter().map(|target| frame(&draft, &target.subscription)).collect();
    let last = {
        let mut state = venue.state();
        let open_ms = wait_ms.saturating_add(venue.config.quotes.grace_ms);
        quote.closes_ms = venue.clock.now_ms().saturating_add(open_ms);
        let mut last = venue.record(&mut state, Entry::Quote(quote));
        for (target, frame) in targets.iter().zip(&frames) {
            let line = Frame::new(target.link.connection, Stream::Quote.name(), Some(&quote_id), frame.as_bytes());
            last = venue.record(&mut state, Entry::Frame(line));
        }
        last
    };
    venue.ledger.durable(last).await?;
    for (target, frame) in targets.into_iter().zip(frames) {
        target.link.send(Message::text(frame));
    }
    Ok(quote_id)
}

/// Sends what the generator would send next, if anything; false at the end of the plan.
pub(super) async fn send_next(venue: &Venue) -> bool {
    let draft = {
        let mut state = venue.state();
        let number = state.quotes_planned;
        if venue.config.quotes.max.is_some_and(|max| number >= max) {
            return false;
        }
        let sample = usize::try_from(number).ok().and_then(|number| venue.samples.get(number)).cloned();
        let now_ms = venue.clock.now_ms();
        let Some(draft) = sample.or_else(|| generate(&venue.config.quotes, &mut state.rng, number, now_ms)) else {
            return false;
        };
        state.quotes_planned = number.saturating_add(1);
        draft
    };
    if let Err(error) = send(venue, draft).await {
        tracing::error!(%error, "a quote could not be sent");
        return false;
    }
    true
}

/// Sends quotes at the configured rate while somebody listens.
pub(super) async fn run(venue: Arc<Venue>) {
    let per_second = venue.config.quotes.per_second;
    if per_second > 0.0 {
        paced(&venue, per_second).await;
    }
}

async fn paced(venue: &Venue, per_second: f64) {
    let mut due = 0.0_f64;
    let mut before = tokio::time::Instant::now();
    while !venue.stop.is_cancelled() {
        if !venue.hub.has_quote_subscriber() {
            tokio::select! {
                () = venue.stop.cancelled() => return,
                () = venue.subscribed.notified() => {}
            }
            before = tokio::time::Instant::now();
            due = due.min(1.0);
            continue;
        }
        venue.while_silent().await;
        let now = tokio::time::Instant::now();
        due = (now.duration_since(before).as_secs_f64().mul_add(per_second, due)).min(BURST_MAX);
        before = now;
        while due >= 1.0 {
            if !send_next(venue).await {
                return;
            }
            due -= 1.0;
        }
        tokio::time::sleep(TICK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_relay::Pair;

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
            let data = frame["params"].get("data").unwrap_or(&frame["params"]);
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
