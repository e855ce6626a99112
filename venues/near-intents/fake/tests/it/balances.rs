//! What an account holds, what it has promised, and what becomes of promises that it cannot keep.

use near_intents_fake::{Control, Entry, FakeVenue, FakeVenueConfig};
use serde_json::json;

use crate::client::{
    ACCOUNT, Client, IN, OUT, Offer, PATIENCE, config, current_salt, open_quote, post, quote_in, view,
};

/// An account that holds 500 of what each answer gives 300 of.
fn poor(dir: &std::path::Path) -> FakeVenueConfig {
    let mut config = config(dir);
    config.accounts[0].balances = [(OUT.to_owned(), "500".to_owned())].into();
    config
}

async fn set_balance(venue: &FakeVenue, amount: &str) {
    let control = Control::SetBalance { account: ACCOUNT.into(), asset: OUT.into(), amount: amount.into() };
    venue.control(control).await.unwrap();
}

#[tokio::test]
async fn a_second_answer_beyond_what_is_held_is_a_broken_promise_and_fails_on_chain() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = poor(dir.path());
    config.settlement.delay_ms = 700;
    let venue = FakeVenue::start(config).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let offer = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
        assert_eq!(client.answer(&offer).await["result"], "OK");
        hashes.push(offer.quote_hash());
    }
    let ledger = venue.ledger_when(PATIENCE, |ledger| ledger.ended().count() == 1).await.unwrap();
    assert_eq!(ledger.settled().count(), 1);
    let failed =
        ledger.lines.iter().find_map(|line| if let Entry::Failed(one) = &line.entry { Some(one) } else { None });
    assert_eq!(failed.unwrap().why, "insufficient balance or overflow");
    let overdrawn: Vec<_> = ledger.overdrawn().collect();
    assert_eq!(overdrawn.len(), 1);
    assert_eq!((&overdrawn[0].quote_hash, overdrawn[0].asset.as_str()), (&hashes[1], OUT));
    assert_eq!((overdrawn[0].held.as_str(), overdrawn[0].promised.as_str()), ("500", "600"));
}

#[tokio::test]
async fn what_settled_or_lapsed_is_promised_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(poor(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let first = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&first).await["result"], "OK");
    venue.ledger_when(PATIENCE, |ledger| ledger.settled().count() == 1).await.unwrap();
    set_balance(&venue, "300").await;
    let second = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&second).await["result"], "OK");
    assert_eq!(venue.ledger().unwrap().overdrawn().count(), 0);
}

#[tokio::test]
async fn a_balance_can_be_set_and_stays_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(poor(dir.path())).unwrap();
    set_balance(&venue, "7").await;
    let asked = json!({"account_id": ACCOUNT, "token_ids": [OUT, IN, OUT]});
    let newest = json!({"finality": "optimistic"});
    let held = view(venue.near_url(), newest.clone(), "mt_batch_balance_of", asked.clone()).await;
    let before = view(venue.near_url(), json!({"block_id": held.1 - 20}), "mt_batch_balance_of", asked.clone()).await;
    assert_eq!((&held.0[0], &held.0[2], &before.0[0]), (&json!("7"), &json!("7"), &json!("500")));
    for wrong in [("unknown.near", "7"), (ACCOUNT, "-7"), (ACCOUNT, "07")] {
        let told = json!({"fault": "set_balance", "account": wrong.0, "asset": OUT, "amount": wrong.1});
        assert_eq!(post(venue.control_url(), &told).await.0, 400, "{wrong:?}");
    }
    venue.stop();
    let venue = FakeVenue::start(poor(dir.path())).unwrap();
    assert_eq!(view(venue.near_url(), newest, "mt_batch_balance_of", asked).await.0[0], "7");
}

#[tokio::test]
async fn an_account_may_be_configured_without_keys() {
    let account = json!({"account_id": "a.near", "default_balance": "5"});
    let config: FakeVenueConfig = serde_json::from_value(json!({"accounts": [account]})).unwrap();
    assert!(config.accounts[0].public_keys.is_empty());
}
