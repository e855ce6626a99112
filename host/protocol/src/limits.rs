//! What may be promised: pre-trade limits, per account.
//!
//! All of an account's commands are on one partition, so one [`Inventory`](super::inventory::Inventory) sees everything that the account
//! has promised. A promise is entered before its claim is written, and counts until a balance is known that was asked
//! for after its end.

use std::collections::{BTreeMap, BTreeSet};

use unrip_core::event::command::{Action, ExecuteTrade};
use unrip_core::event::journal::Reserve;
use unrip_core::{Amount, Timestamp};

/// Limits of one venue's executors; each account is counted by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Assets that may be traded; `None`: all.
    pub assets_allowed: Option<BTreeSet<String>>,
    /// Length of the window of the `…_per_window` limits, in milliseconds.
    pub window_ms: i64,
    /// Commands with an action in one window.
    pub commands_per_window_max: Option<usize>,
    /// Limits of what is given away, by asset.
    pub assets: BTreeMap<String, AssetLimits>,
    /// Whether no more may be promised than is held.
    pub inventory: bool,
    /// Oldest balance that counts, in milliseconds.
    pub balance_age_ms_max: i64,
    /// A balance requested this long after a promise ended reflects its settlement, in milliseconds.
    pub balance_lag_ms: i64,
}

impl Default for Limits {
    /// Everything may be traded, never more than is held.
    fn default() -> Self {
        Self {
            assets_allowed: None,
            window_ms: 60_000,
            commands_per_window_max: None,
            assets: BTreeMap::new(),
            inventory: true,
            balance_age_ms_max: 30_000,
            balance_lag_ms: 5_000,
        }
    }
}

/// Limits of one asset, base units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssetLimits {
    /// Given by one command.
    pub per_command_max: Option<Amount>,
    /// Given by all commands of one window.
    pub per_window_max: Option<Amount>,
}

/// A balance and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Base units.
    pub amount: Amount,
    /// When the question was sent.
    pub asked_at: Timestamp,
}

/// Why a promise is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The command ends `rejected` with this code.
    Limit {
        /// `limit_<name>`.
        code: &'static str,
        /// For people.
        reason: String,
    },
    /// A balance is not known or too old; to be tried again until `dispatch_by`.
    NotYet(String),
}

/// What a command would promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Who promises.
    pub account: String,
    /// What is given away if it takes effect.
    pub gives: Vec<Reserve>,
    /// Until when it can take effect.
    pub deadline: Timestamp,
}

/// What a command gives away: what the command itself says, and what the module adds to it.
pub fn gives(command: &ExecuteTrade, reserves: &[Reserve]) -> Vec<Reserve> {
    let mut gives: BTreeMap<String, Amount> = BTreeMap::new();
    let Action::SwapAnswer { asset_out, amount_out, .. } = &command.action;
    let stated = Reserve { asset: asset_out.clone(), amount: *amount_out };
    for Reserve { asset, amount } in reserves.iter().chain([&stated]) {
        let known = gives.entry(asset.clone()).or_insert(Amount(0));
        *known = (*known).max(*amount);
    }
    gives.into_iter().map(|(asset, amount)| Reserve { asset, amount }).collect()
}

/// Every asset that a command touches.
pub fn touches(command: &ExecuteTrade) -> [&str; 2] {
    let Action::SwapAnswer { asset_in, asset_out, .. } = &command.action;
    [asset_in, asset_out]
}

impl Limits {
    /// Whether a promise with this deadline still counts, in a window or against a balance.
    pub fn counts(&self, deadline: Timestamp, now: Timestamp) -> bool {
        now < deadline.plus_millis(self.window_ms.max(self.balance_lag_ms + self.balance_age_ms_max))
    }

    /// Why a command breaks a limit that needs no history.
    pub fn check(&self, command: &ExecuteTrade, gives: &[Reserve]) -> Option<Refused> {
        if let Some(allowed) = &self.assets_allowed
            && let Some(other) = touches(command).into_iter().find(|asset| !allowed.contains(*asset))
        {
            let reason = format!("execute.limits.assets_allowed does not name `{other}`");
            return Some(Refused::Limit { code: "limit_asset", reason });
        }
        gives.iter().find_map(|give| {
            let max = self.assets.get(&give.asset)?.per_command_max?;
            (give.amount > max).then(|| Refused::Limit {
                code: "limit_amount_per_command",
                reason: format!("{} of `{}` in one command, at most {max}", give.amount, give.asset),
            })
        })
    }
}
