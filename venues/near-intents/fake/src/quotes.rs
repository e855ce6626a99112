//! How quotes are sent, and when: written down first, then handed to every subscriber.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::drafts::{Draft, frame, generate};
use super::hub::{Stream, Target};
use super::ledger_lines::{Entry, Frame, Quote};
use super::rng;
use super::venue::Venue;

/// Answers are taken this long where a quote does not say.
const WAIT_MS_DEFAULT: u64 = 3_000;

/// Pause between looks at how many quotes are due.
const TICK: Duration = Duration::from_millis(2);

/// Quotes that may be due at once; after a stall the rest is forgone, not poured out.
const BURST_MAX: f64 = 64.0;

/// An auction that is written down (perhaps not yet on disk) and not yet sent.
struct Opened {
    quote_id: String,
    /// The number of its last ledger line.
    last: u64,
    frames: Vec<(Target, String)>,
}

/// Opens an auction for the connections that are subscribed.
fn open(venue: &Venue, mut draft: Draft) -> anyhow::Result<Opened> {
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
    let frames: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let text = frame(&draft, &target.subscription);
            (target, text)
        })
        .collect();
    let mut state = venue.state();
    let open_ms = wait_ms.saturating_add(venue.config.quotes.grace_ms);
    quote.closes_ms = venue.clock.now_ms().saturating_add(open_ms);
    let mut last = venue.record(&mut state, Entry::Quote(quote));
    for (target, frame) in &frames {
        let line = Frame::new(target.link.connection, Stream::Quote.name(), Some(&quote_id), frame.as_bytes());
        last = venue.record(&mut state, Entry::Frame(line));
    }
    Ok(Opened { quote_id, last, frames })
}

/// Waits for the disk once for all of them, then sends them in order.
async fn deliver(venue: &Venue, opened: Vec<Opened>) -> anyhow::Result<()> {
    if let Some(newest) = opened.last() {
        venue.ledger.durable(newest.last).await?;
    }
    for (target, frame) in opened.into_iter().flat_map(|one| one.frames) {
        target.link.send(Message::text(frame));
    }
    Ok(())
}

/// Opens an auction and sends it to the connections that are subscribed; gives its quote id.
pub(super) async fn send(venue: &Venue, draft: Draft) -> anyhow::Result<String> {
    let opened = open(venue, draft)?;
    let quote_id = opened.quote_id.clone();
    deliver(venue, vec![opened]).await?;
    Ok(quote_id)
}

/// What the generator sends next; None at the end of the plan.
fn next_draft(venue: &Venue) -> Option<Draft> {
    let mut state = venue.state();
    let number = state.quotes_planned;
    if venue.config.quotes.max.is_some_and(|max| number >= max) {
        return None;
    }
    let sample = usize::try_from(number).ok().and_then(|number| venue.samples.get(number)).cloned();
    let now_ms = venue.clock.now_ms();
    let draft = sample.or_else(|| generate(&venue.config.quotes, &mut state.rng, number, now_ms))?;
    state.quotes_planned = number.saturating_add(1);
    Some(draft)
}

/// Sends up to `count` quotes of the plan; false at its end.
pub(super) async fn send_next(venue: &Venue, count: usize) -> anyhow::Result<bool> {
    let drafts: Vec<_> = std::iter::from_fn(|| next_draft(venue)).take(count).collect();
    let more = drafts.len() == count;
    let opened = drafts.into_iter().map(|draft| open(venue, draft)).collect::<anyhow::Result<_>>()?;
    deliver(venue, opened).await?;
    Ok(more)
}

/// Sends quotes at the configured rate while a connection listens.
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
        let whole = due.trunc();
        if whole >= 1.0 {
            due -= whole;
            // At most BURST_MAX, so the conversion is exact.
            match send_next(venue, whole as usize).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return tracing::error!(%error, "quotes cannot be sent"),
            }
        }
        tokio::time::sleep(TICK).await;
    }
}
