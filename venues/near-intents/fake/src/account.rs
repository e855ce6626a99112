//! Accounts of the contract: keys, and balances as of each block.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;

use super::config::AccountConfig;
use super::ledger_lines::Accepted;
use super::nep413;
use super::terms::amount_of;

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
    pub(super) fn new(config: &AccountConfig) -> anyhow::Result<Self> {
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

    pub(super) fn set_balance(&mut self, asset: &str, height: u64, amount: u128) {
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
