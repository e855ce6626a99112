//! `[execute.limits]`: what may be promised.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use unrip_core::Amount;

use unrip_protocol::limits::{AssetLimits, Limits};

/// `[execute.limits]`. Counted for each account by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    /// Assets that may be traded; absent: all.
    pub assets_allowed: Option<BTreeSet<String>>,
    /// Length of the window of the limits per window, in milliseconds.
    pub window_ms: u32,
    /// Commands with an action in one window; absent: no limit.
    pub commands_per_window_max: Option<usize>,
    /// Limits of what is given away, by asset.
    pub assets: BTreeMap<String, AssetSection>,
    /// Whether no more may be promised than is held.
    pub inventory: InventoryPolicy,
    /// Oldest balance that counts, in milliseconds.
    pub balance_age_ms_max: u32,
    /// A balance requested this long after a promise ended reflects its settlement, in milliseconds.
    pub balance_lag_ms: u32,
}

/// `[execute.limits.assets.<asset>]`, base units as decimal strings.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AssetSection {
    /// Given by one command.
    pub per_command_max: Option<Amount>,
    /// Given by all commands of one window.
    pub per_window_max: Option<Amount>,
}

/// Whether open answers are held against balances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InventoryPolicy {
    /// Never promise more than is held; an unknown balance promises nothing.
    #[default]
    Held,
    /// For venues that tell no balances: only the limits above count.
    Unchecked,
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = Limits::default();
        let millis = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            assets_allowed: limits.assets_allowed,
            window_ms: millis(limits.window_ms),
            commands_per_window_max: limits.commands_per_window_max,
            assets: BTreeMap::new(),
            inventory: InventoryPolicy::default(),
            balance_age_ms_max: millis(limits.balance_age_ms_max),
            balance_lag_ms: millis(limits.balance_lag_ms),
        }
    }
}

impl LimitsSection {
    /// The limits as the protocol's code takes them.
    pub fn limits(&self) -> Limits {
        let asset = |section: &AssetSection| AssetLimits {
            per_command_max: section.per_command_max,
            per_window_max: section.per_window_max,
        };
        Limits {
            assets_allowed: self.assets_allowed.clone(),
            window_ms: self.window_ms.into(),
            commands_per_window_max: self.commands_per_window_max,
            assets: self.assets.iter().map(|(name, section)| (name.clone(), asset(section))).collect(),
            inventory: self.inventory == InventoryPolicy::Held,
            balance_age_ms_max: self.balance_age_ms_max.into(),
            balance_lag_ms: self.balance_lag_ms.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_amounts_as_strings_and_refuses_what_it_does_not_know() {
        let text = r#"
            assets_allowed = ["nep141:usdc", "nep141:wrap.test"]
            commands_per_window_max = 600
            [assets."nep141:usdc"]
            per_command_max = "5000000000"
        "#;
        let limits = toml::from_str::<LimitsSection>(text).unwrap().limits();
        assert_eq!(limits.assets["nep141:usdc"].per_command_max, Some(Amount(5_000_000_000)));
        assert!(limits.inventory);
        assert_eq!(toml::from_str::<LimitsSection>("").unwrap().limits(), Limits::default());
        for wrong in [
            "window = 1",
            "[assets.a]\nper_command_max = 5",
            "[assets.a]\nper_command_max = \"-5\"",
            "inventory = \"none\"",
        ] {
            assert!(toml::from_str::<LimitsSection>(wrong).is_err(), "{wrong}");
        }
    }
}
