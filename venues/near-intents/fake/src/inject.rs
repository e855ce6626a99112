//! Hostile frames between the quotes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as RawWsFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::faults::RawFrame;
use super::hub::Stream;
use super::ledger_lines::{Entry, Frame};
use super::venue::Venue;

/// A longer made-up frame is not made: it would only fill memory here.
const MADE_UP_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often it is looked whether there is something to do.
const IDLE: Duration = Duration::from_millis(20);

/// Seconds; a lower rate than this is not distinguished from it.
const LONGEST_PAUSE_S: f64 = 3_600.0;

/// The websocket message of a raw frame, and its bytes.
fn message(raw: &RawFrame, subscription: &str) -> (Message, Vec<u8>) {
    let text = |text: String| (Message::text(text.clone()), text.into_bytes());
    match raw {
        RawFrame::Text(given) => text(given.clone()),
        RawFrame::TextBytes(given) => {
            let bytes = STANDARD.decode(given).unwrap_or_default();
            // The checked way refuses bytes that are not UTF-8, so the frame is made by hand.
            let frame = RawWsFrame::message(bytes.clone(), OpCode::Data(Data::Text), true);
            (Message::Frame(frame), bytes)
        }
        RawFrame::Binary(given) => {
            let bytes = STANDARD.decode(given).unwrap_or_default();
            (Message::binary(bytes.clone()), bytes)
        }
        RawFrame::Oversized(length) => {
            let filling = length.saturating_sub(2).min(MADE_UP_BYTES_MAX);
            text(format!("\"{}\"", "x".repeat(filling)))
        }
        RawFrame::Nested(depth) => {
            let depth = (*depth).min(MADE_UP_BYTES_MAX / 2);
            text(format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
        }
        RawFrame::TruncatedQuote => {
            let whole = json!({"jsonrpc": "2.0", "method": "event", "params": {"subscription": subscription, "data": {
                "quote_id": "00000000-0000-0000-0000-00000000dead", "defuse_asset_identifier_in": "nep141:wrap.near",
                "defuse_asset_identifier_out": "nep141:usdt.tether-token.near", "exact_amount_in": "1000",
                "min_deadline_ms": 60_000}}})
            .to_string();
            text(whole.chars().take(whole.len() / 2).collect())
        }
    }
}

/// Sends one raw frame to every subscriber of quotes.
pub(super) async fn send(venue: &Venue, raw: &RawFrame) -> anyhow::Result<()> {
    let targets = venue.hub.targets(Stream::Quote, None);
    let mut last = 0;
    let mut frames = Vec::with_capacity(targets.len());
    for target in targets {
        let (message, bytes) = message(raw, &target.subscription);
        let line = Frame::new(target.link.connection, "injected", None, &bytes);
        last = venue.record(&mut venue.state(), Entry::Frame(line));
        frames.push((target, message));
    }
    venue.ledger.durable(last).await?;
    for (target, message) in frames {
        target.link.send(message);
    }
    Ok(())
}

/// Sends the frames of the faults in turn, at their rate, while a connection listens. Faults may change at any time.
pub(super) async fn run(venue: Arc<Venue>) {
    let mut turn: usize = 0;
    while !venue.stop.is_cancelled() {
        let (raw, per_second) = {
            let state = venue.state();
            let number = turn.checked_rem(state.faults.inject.len());
            (number.and_then(|number| state.faults.inject.get(number).cloned()), state.faults.inject_per_second)
        };
        let raw = raw.filter(|_| per_second > 0.0 && venue.hub.has_quote_subscriber() && !*venue.silent.borrow());
        let Some(raw) = raw else {
            tokio::time::sleep(IDLE).await;
            continue;
        };
        if let Err(error) = send(&venue, &raw).await {
            tracing::error!(%error, "a hostile frame could not be sent");
            return;
        }
        turn = turn.wrapping_add(1);
        tokio::time::sleep(Duration::from_secs_f64(per_second.recip().min(LONGEST_PAUSE_S))).await;
    }
}
