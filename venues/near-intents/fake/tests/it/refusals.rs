//! Every way in which an answer is refused, and second answers.

use ed25519_dalek::SigningKey;
use near_intents_fake::{FakeVenue, Verdict};
use serde_json::{Value, json};

use crate::client::{
    ACCOUNT, Client, IN, OUT, Offer, PATIENCE, config, current_salt, iso, now_ms, open_quote, public_key, quote_in,
    versioned_nonce,
};

type Spoil = fn(&mut Offer, &str);

/// Name, how a right answer is spoilt (with the salt at hand), code and part of the text.
const REFUSED: &[(&str, Spoil, i64, &str)] = &[
    ("unknown quote", |o, _| o.quote_id = "nope".into(), -32098, "quote not found or already finished"),
    ("broken signature", |o, _| o.flip_signature = true, -32602, "invalid signature"),
    (
        "another's key named",
        |o, _| o.public_key = public_key(&SigningKey::from_bytes(&[1; 32])),
        -32602,
        "invalid signature",
    ),
    (
        "unregistered key",
        |o, _| {
            o.key = SigningKey::from_bytes(&[1; 32]);
            o.public_key = public_key(&o.key);
        },
        -32602,
        "doesn't exist for account 'solver.near'",
    ),
    ("unknown account", |o, _| o.signer_id = "unknown.near".into(), -32602, "doesn't exist for account 'unknown.near'"),
    ("wrong recipient", |o, _| o.recipient = "other.near".into(), -32602, "wrong verifying_contract"),
    ("other standard", |o, _| o.standard = "raw_ed25519".into(), -32602, "standard"),
    ("key is no key", |o, _| o.public_key = "ed25519:short".into(), -32602, "public_key"),
    ("expired deadline", |o, _| o.deadline = iso(now_ms() - 1_000), -32602, "deadline has expired"),
    ("deadline before the minimum", |o, _| o.deadline = iso(now_ms() + 900), -32602, "min_deadline_ms"),
    ("deadline is no time", |o, _| o.deadline = "soon".into(), -32602, "deadline"),
    (
        "deadline after the nonce's",
        |o, _| o.deadline = iso(now_ms() + 90_000),
        -32602,
        "deadline is greater than nonce",
    ),
    (
        "expired nonce",
        |o, salt| o.nonce = versioned_nonce(salt, now_ms() - 1_000, "x"),
        -32602,
        "nonce was already expired",
    ),
    ("foreign salt", |o, _| o.nonce = versioned_nonce("00000000", now_ms() + 60_000, "x"), -32602, "invalid salt"),
    ("legacy nonce", |o, _| o.nonce = vec![7; 32], -32602, "invalid nonce"),
    ("unknown nonce version", |o, _| o.nonce[4] = 1, -32602, "invalid nonce"),
    (
        "short nonce",
        |o, _| {
            o.nonce.pop();
        },
        -32602,
        "nonce",
    ),
    ("no intent", |o, _| o.intents = json!([]), -32602, "invalid intent"),
    (
        "two intents",
        |o, _| {
            let one = o.intents[0].clone();
            o.intents = json!([one, one]);
        },
        -32602,
        "invalid intent",
    ),
    ("another intent", |o, _| o.intents[0]["intent"] = json!("transfer"), -32602, "token_diff"),
    ("a third asset", |o, _| o.intents[0]["diff"]["nep141:third.near"] = json!("1"), -32602, "two assets"),
    (
        "another asset",
        |o, _| o.intents[0]["diff"] = json!({IN: "1000", "nep141:third.near": "-300"}),
        -32602,
        "two assets",
    ),
    ("signs the wrong way", |o, _| o.intents[0]["diff"] = json!({IN: "-1000", OUT: "300"}), -32602, "receives"),
    ("plus sign", |o, _| o.intents[0]["diff"][IN] = json!("+1000"), -32602, "canonical"),
    ("leading zero", |o, _| o.intents[0]["diff"][OUT] = json!("-0300"), -32602, "canonical"),
    ("zero", |o, _| o.intents[0]["diff"][OUT] = json!("0"), -32602, "canonical"),
    ("a number", |o, _| o.intents[0]["diff"][IN] = json!(1000), -32602, "no string"),
    ("beyond i128", |o, _| o.intents[0]["diff"][IN] = json!(u128::MAX.to_string()), -32602, "i128"),
    ("fixed side changed", |o, _| o.intents[0]["diff"][IN] = json!("999"), -32602, "not the quote's"),
    ("open side differs", |o, _| o.output = json!({"amount_out": "301"}), -32602, "quote_output"),
    ("open side is the fixed one", |o, _| o.output = json!({"amount_in": "1000"}), -32602, "quote_output"),
    (
        "more than it holds",
        |o, _| {
            o.output = json!({"amount_out": i128::MAX.to_string()});
            o.intents[0]["diff"][OUT] = json!(format!("-{}", i128::MAX));
        },
        -32602,
        "insufficient balance",
    ),
];

#[tokio::test]
async fn every_spoilt_answer_is_refused_with_the_code_and_text_of_its_fault() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    for (name, spoil, code, text) in REFUSED {
        let mut offer = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
        spoil(&mut offer, &salt);
        let reply = client.answer(&offer).await;
        assert_eq!(reply["error"]["code"], *code, "{name}: {reply}");
        assert!(reply["error"]["message"].as_str().unwrap().contains(text), "{name}: {reply}");
    }
    let ledger = venue.ledger().unwrap();
    assert_eq!(ledger.responses().count(), REFUSED.len());
    assert!(ledger.responses().all(|response| response.verdict == Verdict::Refused && response.code < 0));
    // The unspoilt one is taken, so that the table tests the faults and not the setting.
    let right = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&right).await["result"], "OK");
}

#[tokio::test]
async fn answers_that_are_not_even_of_the_shape_are_invalid_params() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let quote_id = open_quote(&venue, quote_in("1000")).await;
    for params in [
        Value::Null,
        json!([]),
        json!({}),
        json!([{}]),
        json!([{"quote_id": 1}]),
        json!([{"quote_id": quote_id}]),
        json!([{"quote_id": quote_id, "quote_output": {"amount_out": "1"}, "signed_data": []}]),
        json!([{"quote_id": quote_id, "quote_output": {"amount_out": "1"}, "signed_data": {"standard": "nep413"}}]),
        json!([{}, {}]),
    ] {
        assert_eq!(client.call("quote_response", params.clone()).await["error"]["code"], -32602, "{params}");
    }
}

#[tokio::test]
async fn an_answer_after_the_auction_closed_is_too_late() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let mut quote = quote_in("1000");
    quote["max_wait_ms"] = json!(0);
    let offer = Offer::new(&salt, &open_quote(&venue, quote).await);
    let closes_ms = venue.ledger().unwrap().quotes().next().unwrap().closes_ms;
    while now_ms() <= closes_ms {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer(&offer).await["error"]["code"], -32098);
}

#[tokio::test]
async fn a_second_signed_answer_to_a_quote_or_with_a_nonce_is_refused_and_a_violation() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let first = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(client.answer(&first).await["result"], "OK");
    assert!(venue.ledger().unwrap().duplicates().is_empty());

    // The very same bytes, on another connection.
    let mut other = Client::connect(venue.ws_url()).await;
    assert_eq!(other.answer(&first).await["error"]["message"], "nonce was already used");
    let mut same_quote = first.clone();
    same_quote.nonce = versioned_nonce(&salt, now_ms() + 60_000, "another");
    assert_eq!(client.answer(&same_quote).await["error"]["code"], -32602);
    let mut same_nonce = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    (same_nonce.nonce, same_nonce.deadline) = (first.nonce.clone(), first.deadline.clone());
    assert_eq!(client.answer(&same_nonce).await["error"]["message"], "nonce was already used");

    let ledger = venue.ledger_when(PATIENCE, |ledger| ledger.settled().count() == 1).await.unwrap();
    let found: Vec<_> = ledger.duplicates().iter().map(|one| (one.same_quote, one.same_nonce)).collect();
    assert_eq!(found, [(true, true), (true, false), (false, true)]);
    assert!(ledger.duplicates().iter().all(|one| one.account == ACCOUNT && one.first_quote_hash == first.quote_hash()));
    assert_eq!(ledger.accepted_for(&first.quote_id).len(), 1);
}
