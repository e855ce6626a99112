//! What a fake venue is configured with at start. Every field has a default, so a caller names only what it cares about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::faults::Faults;

/// Unsigned amounts as decimal strings: JSON numbers would lose digits above 2^53.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Everything a [`FakeVenue`](super::FakeVenue) can be configured with. Deserializes with every field optional.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FakeVenueConfig {
    /// Where `ledger.jsonl` lives; a second start in the same directory continues it. Made if it is missing.
    pub dir: PathBuf,
    /// The bearer token a websocket must bring; others get HTTP 403.
    pub token: String,
    /// Whether the relay's HTTP wants the token too (`Authorization: Bearer` or `X-API-Key`).
    pub rpc_token_required: bool,
    /// The account of the verifying contract: recipient of signed messages and target of view calls.
    pub contract: String,
    /// The solvers' accounts that the contract knows.
    pub accounts: Vec<AccountConfig>,
    /// The quotes that are made up.
    pub quotes: QuotesConfig,
    /// What becomes of accepted answers.
    pub settlement: SettlementConfig,
    /// How the chain advances.
    pub chain: ChainConfig,
    /// How far the venue's clock (and its chain's) is ahead of the machine's; negative: behind. It never runs
    /// backwards: started again with less, it stands where the ledger ends until the time has come.
    pub clock_offset_ms: i64,
    /// What goes wrong on purpose.
    pub faults: Faults,
}

impl Default for FakeVenueConfig {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("fake-relay"),
            token: "dev-token".into(),
            rpc_token_required: false,
            contract: "intents.near".into(),
            accounts: Vec::new(),
            quotes: QuotesConfig::default(),
            settlement: SettlementConfig::default(),
            chain: ChainConfig::default(),
            clock_offset_ms: 0,
            faults: Faults::default(),
        }
    }
}

/// One account of the contract.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountConfig {
    /// The `signer_id`.
    pub account_id: String,
    /// Registered keys, each `ed25519:<base58 of 32 bytes>`.
    #[serde(default)]
    pub public_keys: Vec<String>,
    /// What it holds at the first start, by asset id, decimal strings.
    #[serde(default)]
    pub balances: BTreeMap<String, String>,
    /// What it holds of every asset that `balances` does not name.
    #[serde(default = "ample", with = "decimal")]
    pub default_balance: u128,
}

fn ample() -> u128 {
    AccountConfig::AMPLE
}

impl AccountConfig {
    /// A balance that no test uses up and that still has room to grow within i128.
    pub const AMPLE: u128 = 1_u128 << 125;

    /// An account with one key and ample balances.
    pub fn new(account_id: impl Into<String>, public_key: impl Into<String>) -> Self {
        Self {
            account_id: account_id.into(),
            public_keys: vec![public_key.into()],
            balances: BTreeMap::new(),
            default_balance: Self::AMPLE,
        }
    }
}

/// Which quotes are sent to subscribers, and how fast.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuotesConfig {
    /// A JSON-lines file of sample frames; its quote events are sent first, once each, with fresh ids.
    pub samples: Option<PathBuf>,
    /// Quotes per second, samples included, while a connection is subscribed. 0: only what `send_quote` asks for.
    pub per_second: f64,
    /// The generator ends after so many quotes (samples included, over the life of the ledger). None: never.
    pub max: Option<u64>,
    /// The pairs of the generated quotes, taken in turn; none: samples only.
    pub pairs: Vec<Pair>,
    /// Seed of the amounts and of every other choice. None: a random one, written to the ledger.
    pub seed: Option<u64>,
    /// The shortest validity that an answer must sign, of generated quotes.
    pub min_deadline_ms: u64,
    /// `min_wait_ms` of generated quotes.
    pub min_wait_ms: u64,
    /// `max_wait_ms` of generated quotes: how long answers are taken.
    pub max_wait_ms: u64,
    /// Answers are taken for this much longer than `max_wait_ms`.
    pub grace_ms: u64,
    /// Share (0–1) of generated quotes in the flat shape of the documentation instead of `event`.
    pub flat_share: f64,
}

impl Default for QuotesConfig {
    fn default() -> Self {
        Self {
            samples: None,
            per_second: 0.0,
            max: None,
            pairs: Vec::new(),
            seed: None,
            min_deadline_ms: 60_000,
            min_wait_ms: 1_900,
            max_wait_ms: 3_000,
            grace_ms: 0,
            flat_share: 0.1,
        }
    }
}

/// A pair of assets and the range of the amounts asked for, in base units.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// What the taker gives.
    pub asset_in: String,
    /// What the taker receives.
    pub asset_out: String,
    /// Smallest and largest `exact_amount_in`; None: this pair never fixes the given side.
    #[serde(default)]
    pub exact_in: Option<AmountRange>,
    /// Smallest and largest `exact_amount_out`; None: this pair never fixes the received side.
    #[serde(default)]
    pub exact_out: Option<AmountRange>,
}

/// An inclusive range of amounts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmountRange {
    /// Smallest amount.
    #[serde(with = "decimal")]
    pub min: u128,
    /// Largest amount.
    #[serde(with = "decimal")]
    pub max: u128,
}

/// What becomes of accepted answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettlementConfig {
    /// Share (0–1) of accepted answers that a taker takes; the rest lapse at their deadline.
    pub probability: f64,
    /// From acceptance to the transaction.
    pub delay_ms: u64,
}

impl Default for SettlementConfig {
    fn default() -> Self {
        Self { probability: 0.8, delay_ms: 500 }
    }
}

/// How the chain advances: blocks come with wall time, whether or not anything asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainConfig {
    /// Time between blocks.
    pub block_ms: u64,
    /// How many blocks the final one lies behind the newest.
    pub final_lag: u64,
    /// Height of the first block of a fresh ledger.
    pub genesis_height: u64,
    /// The `chain_id` that the node names.
    pub network: String,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self { block_ms: 600, final_lag: 2, genesis_height: 150_000_000, network: "mainnet".into() }
    }
}
