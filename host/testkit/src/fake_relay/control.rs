//! Turning the screws of a running venue: from the test that holds it, or by `POST /control` beside the relay's RPC.

use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::config::{Faults, RawFrame};
use super::drafts::Draft;
use super::ledger_lines::Entry;
use super::venue::Venue;
use super::{inject, quotes, rng};

/// What a running venue can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// Other faults from now on.
    SetFaults(Faults),
    /// Break every websocket at once, without a close frame.
    CloseConnections,
    /// Break every new websocket before its handshake for this long.
    RefuseConnections {
        /// Milliseconds.
        ms: u64,
    },
    /// While on, nothing is sent, read or answered on the websockets, not even pings.
    Silence {
        /// Whether it is on.
        on: bool,
    },
    /// A new salt from the next block on; the one before it stays valid, older ones do not.
    RotateSalt,
    /// Open an auction with this `data` (the quote id is put in) and send it to the subscribers.
    SendQuote {
        /// The fields of the quote.
        data: Value,
        /// In the flat shape of the documentation.
        #[serde(default)]
        flat: bool,
    },
    /// Send one frame as it is to the subscribers of quotes.
    SendRaw(RawFrame),
}

/// Does it; gives what there is to say about it (the quote id, the salt), else null.
pub(super) async fn apply(venue: &Venue, control: Control) -> anyhow::Result<Value> {
    match control {
        Control::SetFaults(faults) => venue.state().faults = faults,
        Control::CloseConnections => venue.hub.break_all(),
        Control::RefuseConnections { ms } => {
            let until = venue.clock.now_ms().saturating_add(ms);
            venue.refuse_until_ms.send_replace(until);
        }
        Control::Silence { on } => {
            venue.silent.send_replace(on);
        }
        Control::RotateSalt => return rotate_salt(venue).await.map(|salt| json!(salt)),
        Control::SendQuote { data, flat } => {
            let data = data.as_object().cloned().context("the data of a quote is an object")?;
            return quotes::send(venue, Draft { data, metadata: None, flat }).await.map(|quote_id| json!(quote_id));
        }
        Control::SendRaw(raw) => inject::send(venue, &raw).await?,
    }
    Ok(Value::Null)
}

async fn rotate_salt(venue: &Venue) -> anyhow::Result<String> {
    let salt = hex::encode(rng::fresh_bytes::<4>()?);
    let (number, from_ms) = {
        let mut state = venue.state();
        let height = state.chain.head(venue.clock.now_ms()).saturating_add(1);
        let number = venue.record(&mut state, Entry::Salt { salt: salt.clone(), height });
        (number, state.chain.timestamp_ms(height))
    };
    venue.ledger.durable(number).await?;
    // Whoever asked for the new salt wants it in force.
    let left = from_ms.saturating_sub(venue.clock.now_ms());
    tokio::time::sleep(Duration::from_millis(left)).await;
    Ok(salt)
}
