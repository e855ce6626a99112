//! What the venue knows: auctions, answers, nonces, balances. All of it can be had again from the ledger.

use std::collections::HashMap;

use anyhow::Context as _;

use super::account::Account;
use super::chain::Chain;
use super::config::FakeVenueConfig;
use super::faults::Faults;
use super::ledger_lines::{Accepted, Entry, Line, Overdrawn, Quote, Response, Settled, Start, Verdict};
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
    /// What the pending answers give in all, by account and asset.
    promised: HashMap<(String, String), u128>,
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
            // The chain of the first start continues; what the configuration says now does not move its past.
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
            promised: HashMap::new(),
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
            Entry::Answered(response) | Entry::Refused(response) | Entry::Declined(response) => {
                self.note_response(response)?;
            }
            Entry::Settled(settled) => self.settle(settled),
            Entry::Failed(ended) => self.end(&ended.quote_hash, Fate::Failed),
            Entry::Lapsed(ended) => self.end(&ended.quote_hash, Fate::Lapsed),
            Entry::Salt { salt, height } => self.chain.rotate(*height, parse_salt(salt)?),
            Entry::Balance { account, asset, amount, height } => {
                let amount = amount_of(amount).with_context(|| format!("balance {amount} of {asset}"))?;
                if let Some(account) = self.accounts.get_mut(account) {
                    account.set_balance(asset, *height, amount);
                }
            }
            Entry::Start(_)
            | Entry::Disconnected { .. }
            | Entry::Frame(_)
            | Entry::Duplicate(_)
            | Entry::Overdrawn(_) => {}
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
        let (Verdict::Accepted, Some(terms)) = (response.verdict, &response.terms) else { return Ok(()) };
        let pending = Pending {
            quote_id: quote_id.clone(),
            account: account.clone(),
            nonce: nonce.clone(),
            salt: nonce_salt(nonce).with_context(|| format!("accepted nonce {nonce}"))?,
            terms: terms.clone(),
        };
        let gives = amount_of(&terms.amount_out).unwrap_or_default();
        let promised = self.promised.entry((account.clone(), terms.asset_out.clone())).or_default();
        *promised = promised.saturating_add(gives);
        self.pending.insert(hash.clone(), pending);
        self.fates.insert(hash.clone(), Fate::Open);
        Ok(())
    }

    /// Whether one more answer with these terms would promise more than the account holds.
    pub(super) fn overdrawn(&self, quote_hash: &str, account: &str, terms: &Accepted) -> Option<Overdrawn> {
        let held = self.accounts.get(account).map_or(0, |known| known.balance(&terms.asset_out, u64::MAX));
        let open = self.promised.get(&(account.to_owned(), terms.asset_out.clone())).copied().unwrap_or_default();
        let promised = open.saturating_add(amount_of(&terms.amount_out)?);
        (promised > held).then(|| Overdrawn {
            quote_hash: quote_hash.to_owned(),
            account: account.to_owned(),
            asset: terms.asset_out.clone(),
            held: held.to_string(),
            promised: promised.to_string(),
        })
    }

    /// Takes an answer from the pending ones and from what is promised.
    fn close(&mut self, quote_hash: &str) -> Option<Pending> {
        let pending = self.pending.remove(quote_hash)?;
        let gives = amount_of(&pending.terms.amount_out).unwrap_or_default();
        if let Some(promised) = self.promised.get_mut(&(pending.account.clone(), pending.terms.asset_out.clone())) {
            *promised = promised.saturating_sub(gives);
        }
        Some(pending)
    }

    fn settle(&mut self, settled: &Settled) {
        if let Some(pending) = self.close(&settled.quote_hash)
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
        self.close(quote_hash);
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
