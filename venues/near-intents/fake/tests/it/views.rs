//! The NEAR node's side: blocks, nonces, balances and salts, each as of the block asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use near_intents_fake::{Control, FakeVenue};
use serde_json::{Value, json};

use crate::client::{
    ACCOUNT, Client, IN, OUT, Offer, PATIENCE, config, current_salt, header, key, open_quote, post, public_key,
    quote_in, view,
};

async fn wait_for_final(near_url: &str, height: u64) {
    while header(near_url, json!({"finality": "final"})).await["height"].as_u64().unwrap() < height {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_nonce_and_the_balances_change_at_the_block_of_the_settlement_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.accounts[0].balances = [(IN.to_owned(), "5".to_owned()), (OUT.to_owned(), "700".to_owned())].into();
    let venue = FakeVenue::start(config).unwrap();
    let near = venue.near_url();
    let salt = current_salt(near).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let offer = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&offer).await["result"], "OK");
    let ledger = venue.ledger_when(PATIENCE, |ledger| ledger.settled().count() == 1).await.unwrap();
    let height = ledger.settled().next().unwrap().height;
    wait_for_final(near, height).await;

    let nonce = json!({"account_id": ACCOUNT, "nonce": STANDARD.encode(&offer.nonce)});
    let balances = json!({"account_id": ACCOUNT, "token_ids": [IN, OUT]});
    let before = header(near, json!({"block_id": height - 1})).await["hash"].clone();
    for (at, used, held) in [
        (json!({"block_id": height - 1}), false, json!(["5", "700"])),
        (json!({"block_id": before}), false, json!(["5", "700"])),
        (json!({"block_id": height}), true, json!(["1005", "400"])),
        (json!({"finality": "final"}), true, json!(["1005", "400"])),
    ] {
        assert_eq!(view(near, at.clone(), "is_nonce_used", nonce.clone()).await.0, used, "{at}");
        assert_eq!(view(near, at.clone(), "mt_batch_balance_of", balances.clone()).await.0, held, "{at}");
    }
    let others = json!({"account_id": "other.near", "nonce": STANDARD.encode(&offer.nonce)});
    assert_eq!(view(near, json!({"finality": "final"}), "is_nonce_used", others).await.0, false);
    let keys = view(near, json!({"finality": "final"}), "public_keys_of", json!({"account_id": ACCOUNT})).await.0;
    assert_eq!(keys, json!([public_key(&key())]));
}

#[tokio::test]
async fn blocks_follow_each_other_in_time_and_the_final_one_lags() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let near = venue.near_url();
    let last = header(near, json!({"finality": "final"})).await;
    let newest = header(near, json!({"finality": "optimistic"})).await;
    let height = last["height"].as_u64().unwrap();
    assert!(newest["height"].as_u64().unwrap() >= height + 2);
    assert_eq!(last["timestamp"].as_u64().unwrap().to_string(), last["timestamp_nanosec"]);
    let before = header(near, json!({"block_id": height - 1})).await;
    assert_eq!(before["timestamp"].as_u64().unwrap() + 50_000_000, last["timestamp"].as_u64().unwrap());
    assert_eq!(before["hash"], last["prev_hash"]);
    assert_eq!(header(near, json!({"block_id": last["hash"]})).await, last);
}

#[tokio::test]
async fn what_the_node_does_not_know_is_an_error_as_nearcore_gives_it() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let call = |at: Value, method: &str, args: &str| {
        let mut params = json!({"request_type": "call_function", "account_id": "intents.near", "method_name": method,
            "args_base64": STANDARD.encode(args)});
        params.as_object_mut().unwrap().extend(at.as_object().unwrap().clone());
        json!({"jsonrpc": "2.0", "id": 1, "method": "query", "params": params})
    };
    let asked = async |request: Value| post(venue.near_url(), &request).await;
    let (_, reply) = asked(call(json!({"block_id": u64::MAX}), "current_salt", "{}")).await;
    assert_eq!(
        (&reply["error"]["name"], &reply["error"]["cause"]["name"]),
        (&json!("HANDLER_ERROR"), &json!("UNKNOWN_BLOCK"))
    );
    let (_, reply) = asked(call(json!({"finality": "final"}), "no_such_view", "{}")).await;
    assert!(reply["result"]["error"].as_str().unwrap().contains("MethodNotFound"), "{reply}");
    let (_, reply) =
        asked(call(json!({"finality": "final"}), "is_nonce_used", r#"{"account_id":"a","nonce":"AA=="}"#)).await;
    assert!(reply["result"]["error"].as_str().unwrap().contains("panicked"), "{reply}");
    let (_, reply) = asked(call(json!({}), "current_salt", "{}")).await;
    assert_eq!(reply["error"]["cause"]["name"], "PARSE_ERROR");
    let (code, reply) = asked(json!({"jsonrpc": "2.0", "id": 1, "method": "validators", "params": {}})).await;
    assert_eq!((code, &reply["error"]["code"]), (400, &json!(-32601)));
}

#[tokio::test]
async fn a_rotated_salt_stays_valid_once_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let near = venue.near_url();
    let old = current_salt(near).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let new = venue.control(Control::RotateSalt).await.unwrap();
    assert_eq!(json!(current_salt(near).await), new);
    let previous = Offer::new(&old, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&previous).await["result"], "OK");
    venue.control(Control::RotateSalt).await.unwrap();
    let valid = view(near, json!({"finality": "optimistic"}), "is_valid_salt", json!({"salt": old})).await.0;
    assert_eq!(valid, false);
    let outdated = Offer::new(&old, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&outdated).await["error"]["message"], "invalid salt");
}
