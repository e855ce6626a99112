//! Turning the screws of a running venue: from the test that holds it, or by `POST /control` beside the relay's RPC.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::drafts::Draft;
use super::faults::{Faults, RawFrame};
use super::ledger_lines::Entry;
use super::terms::amount_of;
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
    /// No new final block for this long; 0 ends it. Blocks go on, so does everything that the final one will show later.
    StallFinality {
        /// Milliseconds.
        ms: u64,
    },
    /// The venue's clock is this far ahead of the machine's (negative: behind); it never runs backwards.
    SetClock {
        /// Milliseconds.
        offset_ms: i64,
    },
    /// The balance of an account from the next block on, as by a deposit or a withdrawal.
    SetBalance {
        /// Whose.
        account: String,
        /// Of what.
        asset: String,
        /// Base units, a decimal string.
        amount: String,
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
        Control::StallFinality { ms } => {
            let now_ms = venue.clock.now_ms();
            venue.state().chain.stall(now_ms, now_ms.saturating_add(ms));
        }
        Control::SetClock { offset_ms } => venue.clock.set_offset(offset_ms),
        Control::SetBalance { account, asset, amount } => set_balance(venue, account, asset, amount).await?,
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
    let (number, height) = {
        let mut state = venue.state();
        let height = state.chain.head(venue.clock.now_ms()).saturating_add(1);
        (venue.record(&mut state, Entry::Salt { salt: salt.clone(), height }), height)
    };
    in_force(venue, number, height).await?;
    Ok(salt)
}

async fn set_balance(venue: &Venue, account: String, asset: String, amount: String) -> anyhow::Result<()> {
    anyhow::ensure!(amount_of(&amount).is_some(), "`{amount}` is no amount");
    let (number, height) = {
        let mut state = venue.state();
        anyhow::ensure!(state.accounts.contains_key(&account), "there is no account `{account}`");
        let height = state.chain.head(venue.clock.now_ms()).saturating_add(1);
        (venue.record(&mut state, Entry::Balance { account, asset, amount, height }), height)
    };
    in_force(venue, number, height).await
}

/// Waits until a line is on disk and its block exists: whoever asked for the change wants to see it.
async fn in_force(venue: &Venue, number: u64, height: u64) -> anyhow::Result<()> {
    venue.ledger.durable(number).await?;
    let from_ms = venue.state().chain.timestamp_ms(height);
    venue.sleep_until(from_ms).await;
    Ok(())
}
