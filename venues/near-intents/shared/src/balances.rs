//! What accounts hold in the verifier contract: one question for a batch of assets, one fact for each of them.
//!
//! The whole question stands in its tag, so that an answer is never read as one to another configuration's question.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chain::{self, Response};
use crate::excerpt;
use crate::normalize::parse_amount;

/// Assets in one question.
const ASSETS_PER_QUESTION_MAX: usize = 64;
/// Assets that may be configured in all: the host keeps a bounded number of facts.
const ASSETS_MAX: usize = 2_048;
/// The longest asset id that the contract knows, in bytes.
const ASSET_BYTES_MAX: usize = 127;
/// The beginning of a tag; the arguments of the view follow as JSON.
const TAG: &str = "balances ";

/// An account and the assets whose balances are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The account in the verifier contract.
    pub account: String,
    /// Asset ids.
    pub assets: Vec<String>,
}

/// One question, as the view takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    account_id: String,
    token_ids: Vec<String>,
}

/// Checks what is configured; the error names what is wrong.
pub fn check(accounts: &[Account]) -> Result<(), String> {
    let mut known = BTreeSet::new();
    for Account { account, assets } in accounts {
        if account.is_empty() || account.contains('/') {
            return Err(format!("balances: account `{}` is no account id", excerpt(account)));
        }
        if assets.is_empty() {
            return Err(format!("balances: `{}` has no assets", excerpt(account)));
        }
        for asset in assets {
            if asset.is_empty() || asset.len() > ASSET_BYTES_MAX {
                return Err(format!("balances: asset `{}` has not 1 to {ASSET_BYTES_MAX} bytes", excerpt(asset)));
            }
            if !known.insert((account, asset)) {
                return Err(format!("balances: `{}` of `{}` is asked for twice", excerpt(asset), excerpt(account)));
            }
        }
    }
    if known.len() > ASSETS_MAX {
        return Err(format!("balances: {} assets, at most {ASSETS_MAX}", known.len()));
    }
    Ok(())
}

/// The questions, each of a bounded number of assets.
pub fn questions(accounts: &[Account]) -> impl Iterator<Item = Asked> {
    accounts.iter().flat_map(|Account { account, assets }| {
        let batches = assets.chunks(ASSETS_PER_QUESTION_MAX);
        batches.map(move |batch| Asked { account_id: account.clone(), token_ids: batch.to_vec() })
    })
}

impl Asked {
    /// Comes back with the answer.
    pub fn tag(&self) -> String {
        format!("{TAG}{}", self.arguments())
    }

    /// The question that a tag stands for.
    pub fn parse(tag: &str) -> Option<Self> {
        serde_json::from_str(tag.strip_prefix(TAG)?).ok()
    }

    /// The request to a NEAR node: at the final block, so that nothing counts that may still be undone.
    pub fn body(&self, verifier: &str) -> Vec<u8> {
        chain::ask_balances(verifier, &self.arguments())
    }

    /// The facts in an answer: all of them or none.
    pub fn read(&self, response: Response<'_>) -> Result<Vec<(String, String)>, String> {
        let value = chain::read_view(response)?;
        let amounts = value.as_array().ok_or("the balances are no list")?;
        if amounts.len() != self.token_ids.len() {
            return Err(format!("{} balances for {} assets", amounts.len(), self.token_ids.len()));
        }
        let fact = |(asset, amount): (&String, &Value)| {
            let text = amount.as_str().filter(|text| parse_amount(text).is_some());
            let text = text.ok_or_else(|| format!("the balance of `{}` is no amount", excerpt(asset)))?;
            Ok((format!("balance/{}/{asset}", self.account_id), text.to_owned()))
        };
        self.token_ids.iter().zip(amounts).map(fact).collect()
    }

    fn arguments(&self) -> String {
        // Strings always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::returned;
    use serde_json::json;

    fn asked(assets: &[&str]) -> Asked {
        Asked { account_id: "a.near".into(), token_ids: assets.iter().map(|&asset| asset.to_owned()).collect() }
    }

    fn read(assets: &[&str], value: &Value) -> Result<Vec<(String, String)>, String> {
        asked(assets).read(Response { status: 200, body: &returned(value, 7) })
    }

    #[test]
    fn a_tag_holds_the_whole_question() {
        let one = asked(&["nep141:x", "nep245:c:1/2"]);
        assert_eq!(Asked::parse(&one.tag()), Some(one));
        assert_eq!(Asked::parse("salt"), None);
        assert_eq!(Asked::parse("balances {\"account_id\":\"a\"}"), None);
    }

    #[test]
    fn questions_are_bounded_and_leave_nothing_out() {
        let assets: Vec<String> = (0..150).map(|n| format!("nep141:{n}")).collect();
        let account = |name: &str, assets: &[String]| Account { account: name.into(), assets: assets.to_vec() };
        let all = [account("a", &assets), account("b", &assets[..1])];
        check(&all).unwrap();
        let sizes: Vec<_> = questions(&all).map(|one| (one.account_id, one.token_ids.len())).collect();
        assert_eq!(sizes, [("a".into(), 64), ("a".into(), 64), ("a".into(), 22), ("b".into(), 1)]);
        let many: Vec<String> = (0..=ASSETS_MAX).map(|n| n.to_string()).collect();
        assert!(check(&[account("a", &many)]).unwrap_err().contains("at most"));
    }

    #[test]
    fn asks_the_contract_at_the_final_block() {
        let body: Value = serde_json::from_slice(&asked(&["x"]).body("intents.near")).unwrap();
        assert_eq!(body["params"]["finality"], "final");
        assert_eq!(body["params"]["method_name"], "mt_batch_balance_of");
        assert_eq!(body["params"]["account_id"], "intents.near");
    }

    #[test]
    fn every_asset_becomes_a_fact_of_its_own() {
        let most = u128::MAX.to_string();
        let facts = read(&["x", "nep245:c:1/2"], &json!(["0", most])).unwrap();
        assert_eq!(facts, [("balance/a.near/x".into(), "0".into()), ("balance/a.near/nep245:c:1/2".into(), most)]);
    }

    #[test]
    fn an_answer_that_is_not_wholly_right_gives_no_fact() {
        for value in [
            json!([]),
            json!(["1"]),
            json!(["1", "2", "3"]),
            json!(["1", 2]),
            json!(["1", "-2"]),
            json!(["1", "02"]),
            json!(["1", "2e3"]),
            json!(["1", null]),
            json!(["1", "340282366920938463463374607431768211456"]),
            json!({"x": "1", "y": "2"}),
            json!(null),
        ] {
            assert!(read(&["x", "y"], &value).is_err(), "{value}");
        }
        for body in [&b"{}"[..], b"", b"{\"result\":{\"error\":\"panicked\",\"result\":[91,93]}}"] {
            assert!(asked(&[]).read(Response { status: 200, body }).is_err());
        }
        let good = returned(&json!(["1"]), 7);
        assert!(asked(&["x"]).read(Response { status: 503, body: &good }).is_err());
    }
}
