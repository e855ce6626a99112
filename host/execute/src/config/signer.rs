//! `[signer.<key_id>]`: which key signs what.

use serde::Deserialize;
use unrip_service::config::ConfigPath;

/// A key, by its signing scheme: each scheme has settings of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "scheme", rename_all = "snake_case", deny_unknown_fields)]
pub enum SignerSection {
    /// NEP-413 with Ed25519.
    Nep413 {
        /// The account that the key signs for.
        account: String,
        /// The contract that messages are addressed to: part of what NEP-413 signs.
        recipient: String,
        /// File with the private key.
        key_file: ConfigPath,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_belong_to_their_scheme() {
        let nep413 = "scheme = \"nep413\"\naccount = \"a\"\nkey_file = \"k\"\n";
        let good = toml::from_str(&format!("{nep413}recipient = \"r\"")).unwrap();
        let SignerSection::Nep413 { account, recipient, key_file } = good;
        assert_eq!((account.as_str(), recipient.as_str(), key_file.to_str()), ("a", "r", Some("k")));
        for wrong in [nep413.to_owned(), format!("{nep413}recipient = \"r\"\nchain = 1"), nep413.replace("nep413", "x")]
        {
            assert!(toml::from_str::<SignerSection>(&wrong).is_err(), "{wrong}");
        }
    }
}
