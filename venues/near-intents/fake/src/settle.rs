//! What becomes of an accepted answer: a transaction in a block, or nothing once its deadline is past.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::hub::Stream;
use super::ledger_lines::{Ended, Entry, Frame, Settled};
use super::rng;
use super::state::{Pending, State};
use super::venue::Venue;

/// Follows one accepted answer to its end; also those that a restart finds open.
pub(super) fn spawn(venue: &Arc<Venue>, quote_hash: String) {
    let venue = venue.clone();
    tokio::spawn(async move {
        if let Err(error) = follow(&venue, &quote_hash).await {
            tracing::error!(%error, quote_hash, "an accepted answer could not be followed to its end");
        }
    });
}

async fn follow(venue: &Venue, quote_hash: &str) -> anyhow::Result<()> {
    let Some(pending) = venue.state().pending.get(quote_hash).cloned() else { return Ok(()) };
    let deadline_ms = pending.terms.deadline_ms;
    if !venue.sleep_until(pending.terms.settle_at_ms.unwrap_or(u64::MAX).min(deadline_ms.saturating_add(1))).await {
        return Ok(());
    }
    let (entry, number) = {
        let mut state = venue.state();
        let entry = execute(venue, &state, quote_hash, &pending)?;
        let number = venue.record(&mut state, entry.clone());
        (entry, number)
    };
    venue.ledger.durable(number).await?;
    match entry {
        Entry::Settled(settled) => {
            let mined_ms = venue.state().chain.timestamp_ms(settled.height);
            if venue.sleep_until(mined_ms).await {
                announce(venue, &settled.quote_hash, &settled.intent_hash, &settled.tx_hash, true).await?;
            }
            Ok(())
        }
        Entry::Failed(ended) => announce(venue, &ended.quote_hash, &hash58()?, &hash58()?, false).await,
        _ => Ok(()),
    }
}

/// The contract's own checks, in the block after the newest one: a reader that saw the nonce unused in a block saw the truth.
fn execute(venue: &Venue, state: &State, quote_hash: &str, pending: &Pending) -> anyhow::Result<Entry> {
    let terms = &pending.terms;
    let height = state.chain.head(venue.clock.now_ms()).saturating_add(1);
    let ended = |why: &str| Ended { quote_hash: quote_hash.to_owned(), why: why.to_owned() };
    if terms.settle_at_ms.is_none() || state.chain.timestamp_ms(height) > terms.deadline_ms {
        return Ok(Entry::Lapsed(ended("deadline has expired")));
    }
    if !state.chain.salt_is_valid(pending.salt, height) {
        return Ok(Entry::Failed(ended("invalid salt")));
    }
    if state.accounts.get(&pending.account).cloned().and_then(|mut account| account.trade(terms, height)).is_none() {
        return Ok(Entry::Failed(ended("insufficient balance or overflow")));
    }
    Ok(Entry::Settled(Settled {
        quote_hash: quote_hash.to_owned(),
        quote_id: pending.quote_id.clone(),
        account: pending.account.clone(),
        nonce: pending.nonce.clone(),
        intent_hash: hash58()?,
        tx_hash: hash58()?,
        height,
        accepted: true,
    }))
}

/// Everybody who subscribed hears of everybody's settlements; a failure only on the extended stream.
async fn announce(
    venue: &Venue,
    quote_hash: &str,
    intent_hash: &str,
    tx_hash: &str,
    settled: bool,
) -> anyhow::Result<()> {
    let plain = json!({"quote_hash": quote_hash, "intent_hash": intent_hash, "tx_hash": tx_hash});
    let mut extended = plain.clone();
    if let Some(fields) = extended.as_object_mut() {
        let kind = if settled { "quote_settle_successful" } else { "quote_settle_failed" };
        fields.insert("event_type".into(), json!(kind));
    }
    let mut frames = Vec::new();
    let streams = [(Stream::Status, &plain), (Stream::StatusExtended, &extended)];
    for (stream, data) in streams.into_iter().filter(|(stream, _)| settled || *stream == Stream::StatusExtended) {
        for target in venue.hub.targets(stream, None) {
            let params = json!({"subscription": target.subscription, "data": data});
            let text = json!({"jsonrpc": "2.0", "method": "event", "params": params}).to_string();
            frames.push((target, stream, text));
        }
    }
    let mut last = 0;
    for (target, stream, text) in &frames {
        let line = Frame::new(target.link.connection, stream.name(), None, text.as_bytes());
        last = venue.record(&mut venue.state(), Entry::Frame(line));
    }
    venue.ledger.durable(last).await?;
    frames.into_iter().for_each(|(target, _, text)| target.link.send(Message::text(text)));
    Ok(())
}

fn hash58() -> anyhow::Result<String> {
    Ok(bs58::encode(rng::fresh_bytes::<32>().context("make a hash")?).into_string())
}
