//! What the program reads from `--config`: a part that is the same for every venue's fake, and the venue's own settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::config::{AccountConfig, FakeVenueConfig};
use super::ledger_read::Ledger;

/// The credential that is the relay's bearer token.
const TOKEN: &str = "relay_token";

/// The file of `--config`, JSON. What it does not know in the general part it ignores: a newer host may say more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgramConfig {
    /// Where the ledger lies; a second start in the same directory continues it.
    pub dir: PathBuf,
    /// The folder of the venue's description: relative paths in the settings start there.
    pub venue_dir: PathBuf,
    /// Opportunities sent per second; the settings say, if absent.
    pub rate: Option<f64>,
    /// Opportunities that this run sends at most.
    pub quotes: Option<u64>,
    /// The accounts that trade here.
    pub accounts: Vec<ProgramAccount>,
    /// Secrets by the name of their credential.
    pub credentials: BTreeMap<String, String>,
    /// The venue's own settings.
    pub settings: FakeVenueConfig,
}

/// An account and its public key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProgramAccount {
    /// Its name at the venue.
    pub account: String,
    /// The signing scheme of its key.
    pub scheme: String,
    /// In the text form of the scheme; `nep413`: `ed25519:<base58>`.
    pub public_key: String,
}

impl ProgramConfig {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not such a configuration.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{}", file.display()))
    }

    /// The settings with the general part laid over them.
    ///
    /// # Errors
    /// An account has a scheme that this venue does not know.
    pub fn venue(self) -> anyhow::Result<FakeVenueConfig> {
        let mut config = self.settings;
        config.dir = self.dir;
        config.quotes.per_second = self.rate.unwrap_or(config.quotes.per_second);
        // The generator counts over the life of its ledger, the caller counts this run.
        let before = Ledger::read(&config.dir.join("ledger.jsonl")).map_or(0, |ledger| ledger.quotes().count() as u64);
        config.quotes.max = self.quotes.map(|quotes| quotes.saturating_add(before)).or(config.quotes.max);
        let samples = config.quotes.samples.filter(|samples| !samples.as_os_str().is_empty());
        config.quotes.samples = samples.map(|samples| self.venue_dir.join(samples));
        if let Some(token) = self.credentials.get(TOKEN) {
            config.token.clone_from(token);
        }
        for ProgramAccount { account, scheme, public_key } in self.accounts {
            anyhow::ensure!(scheme == "nep413", "{account}: this venue knows no scheme `{scheme}`, only nep413");
            match config.accounts.iter_mut().find(|known| known.account_id == account) {
                Some(known) => known.public_keys.push(public_key),
                None => config.accounts.push(AccountConfig::new(account, public_key)),
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> ProgramConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_general_part_is_laid_over_the_settings() {
        let config = read(json!({
            "dir": "/no/such/run", "venue_dir": "/v", "rate": 7.0, "quotes": 3, "from_a_newer_host": 1,
            "credentials": {"relay_token": "t"},
            "accounts": [
                {"account": "a.near", "scheme": "nep413", "public_key": "ed25519:1"},
                {"account": "b.near", "scheme": "nep413", "public_key": "ed25519:2"},
            ],
            "settings": {"quotes": {"samples": "s.jsonl"}, "accounts": [{"account_id": "a.near"}]},
        }));
        let venue = config.venue().unwrap();
        assert_eq!((venue.quotes.per_second, venue.quotes.max, venue.token.as_str()), (7.0, Some(3), "t"));
        assert_eq!(venue.quotes.samples.as_deref(), Some(Path::new("/v/s.jsonl")));
        let keys: Vec<_> = venue.accounts.iter().map(|one| (one.account_id.as_str(), one.public_keys.len())).collect();
        assert_eq!(keys, [("a.near", 1), ("b.near", 1)]);
    }

    #[test]
    fn no_samples_are_asked_for_by_an_empty_path_and_a_foreign_scheme_is_refused() {
        assert_eq!(read(json!({"settings": {"quotes": {"samples": ""}}})).venue().unwrap().quotes.samples, None);
        let foreign = json!({"accounts": [{"account": "a", "scheme": "eip712", "public_key": "0x"}]});
        assert!(read(foreign).venue().unwrap_err().to_string().contains("eip712"));
        assert!(serde_json::from_value::<ProgramConfig>(json!({"settings": {"no_such": 1}})).is_err());
    }
}
