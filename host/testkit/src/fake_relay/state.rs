//! What the venue knows: auctions, answers, nonces, balances. All of it can be had again from the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context as _;

use super::chain::Chain;
use super::config::{AccountConfig, FakeVenueConfig, Faults};
use super::ledger_lines::{Accepted, Entry, Line, Quote, Response, Settled, Start, Verdict};
use super::nep413;
use super::rng::Rng;
use super::terms::amount_of;

/// An answer that binds its solver and is neither executed nor over.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) quote_id: String,
    pub(super) account: String,
    pub(super) nonce: String,
    pub(super) salt: [u8; 4],
    pub(super) terms: Accepted,
}

/// What became of an accepted answer, for `get_status`.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// Nothing yet.
    Open,
    /// In the block of this height.
    Settled { height: u64, tx_hash: String },
    /// Refused by the chain.
    Failed,
    /// Not taken in time.
    Lapsed,
}

/// An account of the contract.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub(super) keys: HashSet<[u8; 32]>,
    pub(super) key_texts: Vec<String>,
    default_balance: u128,
    /// By asset: from which height which balance, oldest first.
    balances: BTreeMap<String, Vec<(u64, u128)>>,
}

impl Account {
    fn new(config: &AccountConfig) -> anyhow::Result<Self> {
        let mut account = Self { default_balance: config.default_balance, ..Self::default() };
        for text in &config.public_keys {
            let key = nep413::parse_key(text);
            account.keys.insert(key.with_context(|| format!("{}: {text} is no ed25519 key", config.account_id))?);
            account.key_texts.push(text.clone());
        }
        for (asset, text) in &config.balances {
            let amount = amount_of(text);
            let amount = amount.with_context(|| format!("{}: balance {text} of {asset}", config.account_id))?;
            account.balances.insert(asset.clone(), vec![(0, amount)]);
        }
        Ok(account)
    }

    pub(super) fn balance(&self, asset: &str, height: u64) -> u128 {
        let known = self.balances.get(asset).and_then(|all| all.iter().rev().find(|(from, _)| *from <= height));
        known.map_or(self.default_balance, |(_, amount)| *amount)
    }

    fn set_balance(&mut self, asset: &str, height: u64, amount: u128) {
        self.balances.entry(asset.to_owned()).or_insert_with(|| vec![(0, self.default_balance)]).push((height, amount));
    }

    /// Moves both balances, or neither if one would leave its range.
    pub(super) fn trade(&mut self, terms: &Accepted, height: u64) -> Option<()> {
        let gives = self.balance(&terms.asset_out, u64::MAX).checked_sub(amount_of(&terms.amount_out)?)?;
        let gets = self.balance(&terms.asset_in, u64::MAX).checked_add(amount_of(&terms.amount_in)?)?;
        self.set_balance(&terms.asset_out, height, gives);
        self.set_balance(&terms.asset_in, height, gets);
        Some(())
    }
}

/// Everything behind the one lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) chain: Chain,
    pub(super) rng: Rng,
    pub(super) faults: Faults,
    pub(super) accounts: HashMap<String, Account>,
    pub(super) quotes: HashMap<String, Quote>,
    /// First answer (its hash) of an account to a quote, whatever became of it.
    pub(super) answered: HashMap<(String, String), String>,
    /// First answer (its hash) of an account with a nonce, whatever became of it.
    pub(super) nonces_seen: HashMap<(String, String), String>,
    /// Height of the block that used a nonce, by account and nonce.
    pub(super) nonces_used: HashMap<(String, String), u64>,
    pub(super) pending: HashMap<String, Pending>,
    /// By quote hash, and by intent hash too once there is one.
    pub(super) fates: HashMap<String, Fate>,
    /// Quotes sent of the plan (samples and generated), the next one's number.
    pub(super) quotes_planned: u64,
    pub(super) next_connection: u64,
}

impl State {
    /// A fresh state, or the one that the ledger's lines tell. Also gives the line that belongs to this start.
    pub(super) fn recover(
        config: &FakeVenueConfig,
        lines: &[Line],
        now_ms: u64,
        seed: u64,
        salt: [u8; 4],
    ) -> anyhow::Result<(Self, Start)> {
        let starts =
            || lines.iter().filter_map(|line| if let Entry::Start(one) = &line.entry { Some(one) } else { None });
        let run = starts().count() as u64;
        let start = match starts().next() {
            // The chain of the first start goes on; what the configuration says now does not move its past.
            Some(first) => Start { run, seed, ..first.clone() },
            None => Start {
                run,
                seed,
                genesis_ms: Chain::genesis_for(now_ms, config.chain.block_ms, config.chain.final_lag),
                genesis_height: config.chain.genesis_height,
                block_ms: config.chain.block_ms,
                final_lag: config.chain.final_lag,
                salt: hex::encode(salt),
            },
        };
        let salt = parse_salt(&start.salt)?;
        let mut state = Self {
            chain: Chain::new(start.genesis_ms, start.genesis_height, start.block_ms, start.final_lag, salt),
            rng: Rng::new(seed.wrapping_add(run)),
            faults: config.faults.clone(),
            accounts: HashMap::new(),
            quotes: HashMap::new(),
            answered: HashMap::new(),
            nonces_seen: HashMap::new(),
            nonces_used: HashMap::new(),
            pending: HashMap::new(),
            fates: HashMap::new(),
            quotes_planned: 0,
            next_connection: 0,
        };
        for account in &config.accounts {
            state.accounts.insert(account.account_id.clone(), Account::new(account)?);
        }
        for line in lines {
            state.apply(&line.entry)?;
        }
        state.quotes_planned = u64::try_from(state.quotes.len()).unwrap_or(u64::MAX);
        Ok((state, start))
    }

    /// What a line of the ledger changes; the same function serves the running venue and the recovery.
    pub(super) fn apply(&mut self, entry: &Entry) -> anyhow::Result<()> {
        match entry {
            Entry::Connected { connection } => self.next_connection = connection.saturating_add(1),
            Entry::Quote(quote) => {
                self.quotes.insert(quote.quote_id.clone(), quote.clone());
            }
            Entry::Response(response) | Entry::Lost(response) => self.note_response(response)?,
            Entry::Settled(settled) => self.settle(settled),
            Entry::Failed(ended) => self.end(&ended.quote_hash, Fate::Failed),
            Entry::Lapsed(ended) => self.end(&ended.quote_hash, Fate::Lapsed),
            Entry::Salt { salt, height } => self.chain.rotate(*height, parse_salt(salt)?),
            Entry::Start(_) | Entry::Disconnected { .. } | Entry::Frame(_) | Entry::Duplicate(_) => {}
        }
        Ok(())
    }

    fn note_response(&mut self, response: &Response) -> anyhow::Result<()> {
        let (Some(quote_id), Some(account), Some(nonce), Some(hash)) =
            (&response.quote_id, &response.account, &response.nonce, &response.quote_hash)
        else {
            return Ok(());
        };
        self.answered.entry((quote_id.clone(), account.clone())).or_insert_with(|| hash.clone());
        self.nonces_seen.entry((account.clone(), nonce.clone())).or_insert_with(|| hash.clone());
        let (Verdict::Accepted, Some(terms)) = (response.verdict, &response.accepted) else { return Ok(()) };
        let pending = Pending {
            quote_id: quote_id.clone(),
            account: account.clone(),
            nonce: nonce.clone(),
            salt: nonce_salt(nonce).with_context(|| format!("accepted nonce {nonce}"))?,
            terms: terms.clone(),
        };
        self.pending.insert(hash.clone(), pending);
        self.fates.insert(hash.clone(), Fate::Open);
        Ok(())
    }

    fn settle(&mut self, settled: &Settled) {
        if let Some(pending) = self.pending.remove(&settled.quote_hash)
            && let Some(account) = self.accounts.get_mut(&pending.account)
        {
            // The balances were found to suffice before the line was written.
            let _ = account.trade(&pending.terms, settled.height);
        }
        self.nonces_used.insert((settled.account.clone(), settled.nonce.clone()), settled.height);
        let fate = Fate::Settled { height: settled.height, tx_hash: settled.tx_hash.clone() };
        self.fates.insert(settled.quote_hash.clone(), fate.clone());
        self.fates.insert(settled.intent_hash.clone(), fate);
    }

    fn end(&mut self, quote_hash: &str, fate: Fate) {
        self.pending.remove(quote_hash);
        self.fates.insert(quote_hash.to_owned(), fate);
    }
}

fn parse_salt(text: &str) -> anyhow::Result<[u8; 4]> {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).with_context(|| format!("salt {text}"))
}

fn nonce_salt(nonce: &str) -> Option<[u8; 4]> {
    use base64::Engine as _;
    let bytes: [u8; 32] = base64::engine::general_purpose::STANDARD.decode(nonce).ok()?.try_into().ok()?;
    nep413::VersionedNonce::parse(&bytes).map(|nonce| nonce.salt)
}
