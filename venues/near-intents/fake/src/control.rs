//! What a running venue is made to do: by the test that holds it, or by `POST` to the control address.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::drafts::Draft;
use super::faults::{Faults, RawFrame, Scenario, ScenarioName};
use super::ledger_lines::Entry;
use super::terms::amount_of;
use super::venue::Venue;
use super::{inject, quotes, rng};

/// What a running venue can be made to do; over HTTP `{"fault":"<name>", …}`. The README has the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub enum Control {
    /// A fault of a campaign, by its name.
    #[serde(skip)]
    Scenario(Scenario),
    /// Other faults from now on.
    SetFaults(Faults),
    /// No new final block for this long; 0 ends it. Blocks continue, so does everything that the final one shows later.
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
    SendRaw { frame: RawFrame },
}

/// Why a request to the control address was not carried out.
#[derive(Debug)]
pub(super) enum Refused {
    /// There is no fault of this name.
    Unknown(String),
    /// Its parameters are wrong.
    Wrong(String),
}

impl Control {
    /// The names besides those of [`Scenario::NAMES`].
    const NAMES: [&str; 7] =
        ["set_faults", "stall_finality", "set_clock", "set_balance", "rotate_salt", "send_quote", "send_raw"];

    /// Reads `{"fault":"<name>", …}`.
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let wrong = |error: serde_json::Error| Refused::Wrong(error.to_string());
        let request: Value = serde_json::from_slice(body).map_err(wrong)?;
        let Some(name) = request.get("fault").and_then(Value::as_str).map(str::to_owned) else {
            return Err(Refused::Wrong("`fault` is missing".to_owned()));
        };
        if Scenario::NAMES.contains(&name.as_str()) {
            return serde_json::from_value(request).map(Self::Scenario).map_err(wrong);
        }
        if Self::NAMES.contains(&name.as_str()) {
            return serde_json::from_value(request).map_err(wrong);
        }
        let known = [Scenario::NAMES.as_slice(), &Self::NAMES].concat().join(", ");
        Err(Refused::Unknown(format!("there is no fault `{name}`; there are: {known}")))
    }
}

/// Does it; gives what there is to say about it (the quote id, the salt), else null.
pub(super) async fn apply(venue: &Venue, control: Control) -> anyhow::Result<Value> {
    match control {
        Control::Scenario(scenario) => inflict(venue, &scenario),
        Control::SetFaults(faults) => venue.state().faults = faults,
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
        Control::SendRaw { frame } => inject::send(venue, &frame).await?,
    }
    Ok(Value::Null)
}

/// A fault of a campaign replaces the one before it.
fn inflict(venue: &Venue, scenario: &Scenario) {
    venue.state().faults = scenario.faults();
    venue.silent.send_replace(scenario.fault == ScenarioName::Silence);
    let refuse_ms = if scenario.fault == ScenarioName::Refuse { scenario.ms } else { 0 };
    venue.refuse_until_ms.send_replace(venue.clock.now_ms().saturating_add(refuse_ms));
    if scenario.fault == ScenarioName::Close || refuse_ms > 0 {
        venue.hub.break_all();
    }
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

/// Waits until a line is on disk and its block exists: the caller wants to see its change.
async fn in_force(venue: &Venue, number: u64, height: u64) -> anyhow::Result<()> {
    venue.ledger.durable(number).await?;
    let from_ms = venue.state().chain.timestamp_ms(height);
    venue.sleep_until(from_ms).await;
    Ok(())
}
