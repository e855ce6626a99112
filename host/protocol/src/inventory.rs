//! Everything that accounts have promised and that may still take effect, or that a window still counts.
//!
//! Sums are kept, not recounted: a busy account has a hundred thousand answers open at once.

use std::collections::{BTreeMap, VecDeque};

use unrip_core::event::journal::Reserve;
use unrip_core::{CommandId, Timestamp};

use super::limits::{Balance, Limits, Promise, Refused};

/// The promises of the accounts of one partition.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    promises: BTreeMap<CommandId, Entered>,
    /// By account and asset.
    tallies: BTreeMap<(String, String), Tally>,
    /// By account.
    windows: BTreeMap<String, Window>,
}

#[derive(Clone, Debug)]
struct Entered {
    promise: Promise,
    /// When it can no longer take effect, or did; at first the deadline.
    ends_at: Timestamp,
}

/// What is promised of one asset and that a balance does not show yet.
#[derive(Clone, Debug, Default)]
struct Tally {
    total: u128,
    by_end: BTreeMap<(Timestamp, CommandId), u128>,
}

/// What was promised lately.
#[derive(Clone, Debug, Default)]
struct Window {
    entries: VecDeque<(Timestamp, Vec<Reserve>)>,
    sums: BTreeMap<String, u128>,
}

impl Inventory {
    /// Enters a promise, or says why it must not be made. Entered again it is the same promise.
    pub fn admit(
        &mut self,
        id: CommandId,
        promise: Promise,
        limits: &Limits,
        balance: impl Fn(&str, &str) -> Option<Balance>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        if self.promises.contains_key(&id) {
            return Ok(());
        }
        self.check_window(&promise, limits, now)?;
        if limits.inventory {
            self.check_inventory(&promise, limits, balance, now)?;
        }
        self.enter(id, promise, now);
        Ok(())
    }

    /// Enters a promise that is made already.
    pub fn enter(&mut self, id: CommandId, promise: Promise, since: Timestamp) {
        if self.promises.contains_key(&id) {
            return;
        }
        let ends_at = promise.deadline;
        self.windows.entry(promise.account.clone()).or_default().add(since, &promise.gives);
        for give in &promise.gives {
            let place = (promise.account.clone(), give.asset.clone());
            self.tallies.entry(place).or_default().add((ends_at, id), give.amount.0);
        }
        self.promises.insert(id, Entered { promise, ends_at });
    }

    /// Nothing was signed, and nothing will be: nothing is promised. The window still counts it.
    pub fn release(&mut self, id: &CommandId) {
        let Some(Entered { promise, ends_at }) = self.promises.remove(id) else { return };
        self.each_tally(&promise, |tally| tally.remove(&(ends_at, *id)).is_some());
    }

    /// It took effect or failed for good at this time: a balance asked for later shows it.
    pub fn settled(&mut self, id: &CommandId, at: Timestamp) {
        let Some(entered) = self.promises.get_mut(id).filter(|entered| at < entered.ends_at) else { return };
        let before = std::mem::replace(&mut entered.ends_at, at);
        let promise = entered.promise.clone();
        self.each_tally(&promise, |tally| match tally.remove(&(before, *id)) {
            Some(amount) => {
                tally.add((at, *id), amount);
                true
            }
            None => false,
        });
    }

    /// Forgets promises that can no longer take effect and that every balance of use shows.
    pub fn sweep(&mut self, limits: &Limits, now: Timestamp) {
        let kept_ms = limits.balance_lag_ms + limits.balance_age_ms_max;
        let over: Vec<CommandId> = self
            .promises
            .iter()
            .filter(|(_, entered)| now >= entered.ends_at.plus_millis(kept_ms))
            .map(|(id, _)| *id)
            .collect();
        over.iter().for_each(|id| self.release(id));
        self.windows.values_mut().for_each(|window| window.cut(limits.window_ms, now));
        self.windows.retain(|_, window| !window.entries.is_empty());
        self.tallies.retain(|_, tally| !tally.by_end.is_empty());
    }

    /// Promises that may still take effect, or that a balance may not show yet.
    pub fn len(&self) -> usize {
        self.promises.len()
    }

    /// Whether nothing is promised.
    pub fn is_empty(&self) -> bool {
        self.promises.is_empty()
    }

    fn each_tally(&mut self, promise: &Promise, mut change: impl FnMut(&mut Tally) -> bool) {
        for give in &promise.gives {
            if let Some(tally) = self.tallies.get_mut(&(promise.account.clone(), give.asset.clone())) {
                change(tally);
            }
        }
    }

    fn check_window(&mut self, promise: &Promise, limits: &Limits, now: Timestamp) -> Result<(), Refused> {
        let window_ms = limits.window_ms;
        let window = self.windows.entry(promise.account.clone()).or_default();
        window.cut(window_ms, now);
        let commands = window.entries.len() + 1;
        if let Some(max) = limits.commands_per_window_max.filter(|max| commands > *max) {
            let reason = format!("{commands} commands in {window_ms} ms, at most {max}");
            return Err(Refused::Limit { code: "limit_commands_per_window", reason });
        }
        for give in &promise.gives {
            let Some(max) = limits.assets.get(&give.asset).and_then(|one| one.per_window_max) else { continue };
            let given = window.sums.get(&give.asset).copied().unwrap_or(0).saturating_add(give.amount.0);
            if given > max.0 {
                let reason = format!("{given} of `{}` in {window_ms} ms, at most {max}", give.asset);
                return Err(Refused::Limit { code: "limit_amount_per_window", reason });
            }
        }
        Ok(())
    }

    fn check_inventory(
        &mut self,
        promise: &Promise,
        limits: &Limits,
        balance: impl Fn(&str, &str) -> Option<Balance>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        for give in promise.gives.iter().filter(|give| give.amount.0 > 0) {
            let Some(held) = balance(&promise.account, &give.asset) else {
                return Err(Refused::NotYet(format!("the balance of `{}` is not known", give.asset)));
            };
            let (age, max) = (now.millis_since(held.asked_at), limits.balance_age_ms_max);
            if age > max {
                return Err(Refused::NotYet(format!("the balance of `{}` is {age} ms old, at most {max}", give.asset)));
            }
            let place = (promise.account.clone(), give.asset.clone());
            let promised = self.tallies.get_mut(&place).map_or(0, |tally| {
                tally.shown(held.asked_at.plus_millis(-limits.balance_lag_ms));
                tally.total
            });
            if give.amount.0.checked_add(promised).is_none_or(|sum| sum > held.amount.0) {
                let (amount, asset, have) = (give.amount, &give.asset, held.amount);
                let reason = format!("{amount} of `{asset}` to promise, {have} held, {promised} promised already");
                return Err(Refused::Limit { code: "limit_inventory", reason });
            }
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, end: (Timestamp, CommandId), amount: u128) {
        if self.by_end.insert(end, amount).is_none() {
            self.total = self.total.saturating_add(amount);
        }
    }

    fn remove(&mut self, end: &(Timestamp, CommandId)) -> Option<u128> {
        let amount = self.by_end.remove(end)?;
        self.total = match self.total {
            // It may have been cut at the largest number: recounted then.
            u128::MAX => self.by_end.values().copied().fold(0, u128::saturating_add),
            total => total.saturating_sub(amount),
        };
        Some(amount)
    }

    /// A balance shows everything that ended up to here.
    fn shown(&mut self, until: Timestamp) {
        while let Some(first) = self.by_end.first_key_value().map(|(end, _)| *end).filter(|(at, _)| *at <= until) {
            self.remove(&first);
        }
    }
}

impl Window {
    fn add(&mut self, since: Timestamp, gives: &[Reserve]) {
        for give in gives {
            let sum = self.sums.entry(give.asset.clone()).or_default();
            *sum = sum.saturating_add(give.amount.0);
        }
        self.entries.push_back((since, gives.to_vec()));
    }

    fn cut(&mut self, window_ms: i64, now: Timestamp) {
        while self.entries.front().is_some_and(|(since, _)| now >= since.plus_millis(window_ms)) {
            let Some((_, gives)) = self.entries.pop_front() else { return };
            for give in gives {
                if let Some(sum) = self.sums.get_mut(&give.asset) {
                    *sum = sum.saturating_sub(give.amount.0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::AssetLimits;
    use unrip_core::Amount;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }
    fn id(number: u8) -> CommandId {
        format!("{number:032x}").parse().unwrap()
    }
    fn promise(amount: u128) -> Promise {
        let gives = vec![Reserve { asset: "A".to_owned(), amount: Amount(amount) }];
        Promise { account: "me".to_owned(), gives, deadline: at(10_000) }
    }
    fn limits() -> Limits {
        Limits { balance_age_ms_max: 1_000_000, balance_lag_ms: 500, inventory: true, ..Limits::default() }
    }
    fn held(amount: u128, asked_at: i64) -> impl Fn(&str, &str) -> Option<Balance> {
        move |_, _| Some(Balance { amount: Amount(amount), asked_at: at(asked_at) })
    }
    fn code(refused: Result<(), Refused>) -> &'static str {
        match refused {
            Ok(()) => "ok",
            Err(Refused::Limit { code, .. }) => code,
            Err(Refused::NotYet(_)) => "not_yet",
        }
    }

    #[test]
    fn open_answers_together_never_promise_more_than_is_held() {
        let (mut inventory, limits) = (Inventory::default(), limits());
        assert_eq!(code(inventory.admit(id(1), promise(60), &limits, held(100, 0), at(0))), "ok");
        assert_eq!(code(inventory.admit(id(1), promise(60), &limits, held(100, 0), at(0))), "ok", "the same promise");
        assert_eq!(code(inventory.admit(id(2), promise(41), &limits, held(100, 0), at(0))), "limit_inventory");
        assert_eq!(code(inventory.admit(id(3), promise(40), &limits, held(100, 0), at(0))), "ok");
        assert_eq!(code(inventory.admit(id(4), promise(u128::MAX), &limits, held(100, 0), at(0))), "limit_inventory");
        inventory.release(&id(1));
        assert_eq!(code(inventory.admit(id(5), promise(60), &limits, held(100, 0), at(0))), "ok");
    }

    #[test]
    fn a_promise_counts_until_a_balance_was_asked_for_after_its_end() {
        let (mut inventory, limits) = (Inventory::default(), limits());
        assert_eq!(code(inventory.admit(id(1), promise(100), &limits, held(100, 0), at(0))), "ok");
        inventory.settled(&id(1), at(2_000));
        // It settled, and the balance is from before: counting neither would promise the same twice.
        assert_eq!(code(inventory.admit(id(2), promise(50), &limits, held(100, 2_499), at(2_600))), "limit_inventory");
        assert_eq!(code(inventory.admit(id(2), promise(50), &limits, held(50, 2_500), at(2_600))), "ok");
        // A lapse is the deadline passing.
        assert_eq!(code(inventory.admit(id(3), promise(50), &limits, held(50, 10_499), at(10_600))), "limit_inventory");
        assert_eq!(code(inventory.admit(id(3), promise(50), &limits, held(50, 10_500), at(10_600))), "ok");
    }

    #[test]
    fn an_unknown_or_old_balance_is_no_balance() {
        let (mut inventory, limits) = (Inventory::default(), Limits { balance_age_ms_max: 1_000, ..limits() });
        assert_eq!(code(inventory.admit(id(1), promise(1), &limits, |_, _| None, at(0))), "not_yet");
        assert_eq!(code(inventory.admit(id(1), promise(1), &limits, held(9, 0), at(1_001))), "not_yet");
        assert_eq!(code(inventory.admit(id(1), promise(1), &limits, held(9, 1), at(1_001))), "ok");
    }

    #[test]
    fn a_window_counts_commands_and_amounts() {
        let asset = AssetLimits { per_command_max: None, per_window_max: Some(Amount(100)) };
        let limits = Limits {
            inventory: false,
            window_ms: 1_000,
            commands_per_window_max: Some(3),
            assets: [("A".to_owned(), asset)].into(),
            ..limits()
        };
        let mut inventory = Inventory::default();
        assert_eq!(code(inventory.admit(id(1), promise(60), &limits, |_, _| None, at(0))), "ok");
        assert_eq!(code(inventory.admit(id(2), promise(41), &limits, |_, _| None, at(1))), "limit_amount_per_window");
        assert_eq!(code(inventory.admit(id(3), promise(20), &limits, |_, _| None, at(2))), "ok");
        assert_eq!(code(inventory.admit(id(4), promise(20), &limits, |_, _| None, at(3))), "ok");
        assert_eq!(code(inventory.admit(id(5), promise(0), &limits, |_, _| None, at(4))), "limit_commands_per_window");
        assert_eq!(code(inventory.admit(id(5), promise(60), &limits, |_, _| None, at(1_000))), "ok");
    }

    #[test]
    fn forgets_what_counts_for_nothing() {
        let (mut inventory, limits) = (Inventory::default(), Limits { balance_age_ms_max: 1_000, ..limits() });
        inventory.enter(id(1), promise(u128::MAX), at(0));
        inventory.enter(id(2), promise(u128::MAX), at(0));
        inventory.sweep(&limits, at(11_499));
        assert_eq!(inventory.len(), 2);
        inventory.sweep(&limits, at(11_500));
        assert!(inventory.is_empty());
        assert_eq!(code(inventory.admit(id(3), promise(5), &limits, held(5, 11_600), at(11_600))), "ok");
    }
}
