//! The fake relay against a client that knows nothing but the protocol.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

mod balances;
mod client;
mod faults;
mod http_faults;
mod refusals;
mod restart;
mod views;

use std::collections::{BTreeMap, BTreeSet};

use client::{ACCOUNT, Client, IN, OUT, Offer, TOKEN, config, current_salt, open_quote, post, quote_in, quote_out};
use near_intents_fake::{AmountRange, FakeVenue, Pair, QuotesConfig, Verdict};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Error;

#[tokio::test]
async fn a_websocket_without_the_token_gets_403_and_another_path_404() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let good = format!("Bearer {TOKEN}");
    let elsewhere = venue.ws_url().replace("/ws", "/other");
    for (url, authorization, status) in [
        (venue.ws_url(), None, 403),
        (venue.ws_url(), Some("Bearer wrong"), 403),
        (venue.ws_url(), Some(TOKEN), 403),
        (elsewhere.as_str(), Some(good.as_str()), 404),
    ] {
        match client::try_connect(url, authorization).await {
            Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), status, "{authorization:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(client::try_connect(venue.ws_url(), Some(&good)).await.is_ok());
}

/// The data of the next settlements that a connection is sent, by quote hash.
async fn settlements(client: &mut Client, subscription: &str, count: usize) -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    for _ in 0..count {
        let event: Value = serde_json::from_str(&client.event().await).unwrap();
        assert_eq!(event["params"]["subscription"], *subscription);
        let data = event["params"]["data"].clone();
        told.insert(data["quote_hash"].as_str().unwrap().to_owned(), data);
    }
    told
}

#[tokio::test]
async fn right_answers_to_both_kinds_of_quote_are_accepted_settled_and_told_to_all_subscribers() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let [mut taker, mut solver, mut watcher] = [
        Client::connect(venue.ws_url()).await,
        Client::connect(venue.ws_url()).await,
        Client::connect(venue.ws_url()).await,
    ];
    taker.subscribe(json!(["quote"])).await;
    let plain = solver.subscribe(json!(["quote_status"])).await;
    let extended = watcher.subscribe(json!(["quote_status_extended"])).await;

    open_quote(&venue, quote_in("1000")).await;
    let quote: Value = serde_json::from_str(&taker.event().await).unwrap();
    // The answer goes out on another connection than the quote came in on.
    let given = Offer::new(&salt, quote["params"]["data"]["quote_id"].as_str().unwrap());
    assert_eq!(solver.answer(&given).await["result"], "OK");
    let mut received = Offer::new(&salt, &open_quote(&venue, quote_out("300")).await);
    received.output = json!({"amount_in": "1000"});
    assert_eq!(solver.answer(&received).await["result"], "OK");

    let told = settlements(&mut solver, &plain, 2).await;
    let told_more = settlements(&mut watcher, &extended, 2).await;
    for offer in [&given, &received] {
        let (data, more) = (&told[&offer.quote_hash()], &told_more[&offer.quote_hash()]);
        assert_eq!(data["event_type"], Value::Null);
        assert_eq!(more["event_type"], "quote_settle_successful");
        assert_eq!(data["tx_hash"], more["tx_hash"]);
        for hash in [&data["intent_hash"], &data["quote_hash"]] {
            let reply = status(&venue, hash).await;
            assert_eq!((&reply["status"], &reply["data"]["hash"]), (&json!("SETTLED"), &data["tx_hash"]));
        }
    }
    let ledger = venue.ledger().unwrap();
    assert_eq!(ledger.accepted().count(), 2);
    assert!(ledger.accepted().all(|response| response.account.as_deref() == Some(ACCOUNT)));
    assert_eq!(ledger.settled().count(), 2);
    assert_eq!(
        status(&venue, &json!("4ejradLAAPBhBVAn6tBYExpuj2VCn5f5VEBfVajNXiXk")).await["status"],
        "NOT_FOUND_OR_NOT_VALID"
    );
}

async fn status(venue: &FakeVenue, hash: &Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "get_status", "params": [{"intent_hash": hash}]});
    let (code, reply) = post(venue.rpc_url(), &request).await;
    assert_eq!(code, 200);
    reply["result"].clone()
}

#[tokio::test]
async fn the_ledger_says_the_same_of_every_venue_about_answers_and_what_became_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut solver = Client::connect(venue.ws_url()).await;
    let good = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    assert_eq!(solver.answer(&good).await["result"], "OK");
    assert!(solver.answer(&good).await["error"].is_object());
    let mut bad = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    bad.flip_signature = true;
    assert!(solver.answer(&bad).await["error"].is_object());
    venue.ledger_when(client::PATIENCE, |ledger| ledger.settled().count() == 1).await.unwrap();
    let text = std::fs::read_to_string(venue.ledger_path()).unwrap();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let kind = line["kind"].as_str().unwrap();
        assert!(line["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
        let offer = if line["venue_ref"] == bad.quote_id { &bad } else { &good };
        if ["answered", "refused", "duplicate", "settled"].contains(&kind) {
            assert_eq!((&line["account"], &line["venue_ref"]), (&json!(ACCOUNT), &json!(offer.quote_id)), "{line}");
            assert_eq!(line["accepted"], ["answered", "settled"].contains(&kind), "{line}");
            seen.insert(kind.to_owned());
        }
        if ["answered", "refused", "duplicate"].contains(&kind) {
            let hash = bs58::decode(offer.quote_hash()).into_vec().unwrap();
            assert_eq!(line["digest"], hex::encode(hash), "{line}");
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[tokio::test]
async fn an_accepted_answer_that_nobody_takes_lapses_at_its_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.settlement.probability = 0.0;
    let venue = FakeVenue::start(config).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut solver = Client::connect(venue.ws_url()).await;
    let mut quote = quote_in("1000");
    quote["min_deadline_ms"] = json!(1);
    let mut offer = Offer::new(&salt, &open_quote(&venue, quote).await);
    let deadline_ms = client::now_ms() + 1_500;
    (offer.deadline, offer.nonce) = (client::iso(deadline_ms), client::versioned_nonce(&salt, deadline_ms, "lapse"));
    assert_eq!(solver.answer(&offer).await["result"], "OK");
    assert_eq!(status(&venue, &json!(offer.quote_hash())).await["status"], "PENDING");
    let ledger = venue.ledger_when(client::PATIENCE, |ledger| ledger.ended().count() == 1).await.unwrap();
    assert_eq!(ledger.settled().count(), 0);
    assert_eq!(status(&venue, &json!(offer.quote_hash())).await["status"], "NOT_FOUND_OR_NOT_VALID");
}

#[tokio::test]
async fn subscriptions_filter_replace_each_other_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let first = client.subscribe(json!(["quote", {"tokens_in": ["nep141:other.near"], "tokens_out": []}])).await;
    open_quote(&venue, quote_in("1")).await;
    let second = client.subscribe(json!(["quote", {"tokens_in": [IN], "tokens_out": [OUT]}])).await;
    assert_ne!(first, second);
    let quote_id = open_quote(&venue, quote_in("2")).await;
    let event: Value = serde_json::from_str(&client.event().await).unwrap();
    assert_eq!(
        (&event["params"]["subscription"], &event["params"]["data"]["quote_id"]),
        (&json!(second), &json!(quote_id))
    );
    assert_eq!(client.call("unsubscribe", json!([first])).await["error"]["code"], -32602);
    assert_eq!(client.call("unsubscribe", json!([second])).await["result"], "OK");
    open_quote(&venue, quote_in("3")).await;
    // Nothing but the reply comes: the quote before it went to no connection.
    assert_eq!(client.call("subscribe", json!(["no_such_stream"])).await["error"]["code"], -32602);
    assert_eq!(venue.ledger().unwrap().frames("quote").count(), 1);
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_and_the_connection_lives() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    for (frame, code) in [
        ("not json", -32700),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":"1","method":"subscribe","params":["quote"]}"#, -32600),
        (r#"{"id":1,"method":"subscribe","params":["quote"]}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no_such","params":[]}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"subscribe"}"#, -32602),
    ] {
        client.send_text(frame).await;
        assert_eq!(client.reply().await["error"]["code"], code, "{frame}");
    }
    client.subscribe(json!(["quote"])).await;
}

#[tokio::test]
async fn the_generator_sends_samples_and_made_up_quotes_in_both_shapes_just_as_the_ledger_says() {
    let dir = tempfile::tempdir().unwrap();
    let samples = dir.path().join("samples.jsonl");
    let sample = json!({"jsonrpc": "2.0", "method": "event", "params": {"subscription": "old", "data": {"quote_id": "q-123",
        "defuse_asset_identifier_in": "a", "defuse_asset_identifier_out": "b", "min_deadline_ms": 1, "odd": {"x": [1]}}}});
    let lines = [
        json!({"stream": "ws:quote", "dir": "server->client", "raw": sample.to_string()}),
        json!({"stream": "ws:garbage", "dir": "server->client", "raw": "not json"}),
    ];
    std::fs::write(&samples, lines.map(|line| line.to_string()).join("\n")).unwrap();
    let range = Some(AmountRange { min: 1, max: u128::MAX });
    let mut config = config(dir.path());
    config.quotes = QuotesConfig {
        samples: Some(samples),
        per_second: 2_000.0,
        max: Some(100),
        pairs: vec![Pair { asset_in: IN.into(), asset_out: OUT.into(), exact_in: range, exact_out: range }],
        seed: Some(1),
        flat_share: 0.2,
        ..QuotesConfig::default()
    };
    let venue = FakeVenue::start(config).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let subscription = client.subscribe(json!(["quote"])).await;
    let mut frames = Vec::new();
    for _ in 0..100 {
        frames.push(client.event().await);
    }
    let ledger = venue.ledger().unwrap();
    let sent: Vec<_> = ledger.frames("quote").map(|frame| frame.text.clone().unwrap()).collect();
    assert_eq!(frames, sent);
    assert_eq!(ledger.quotes().count(), 100);
    let ids: BTreeSet<_> = ledger.quotes().map(|quote| &quote.quote_id).collect();
    assert_eq!(ids.len(), 100);
    let first: Value = serde_json::from_str(&frames[0]).unwrap();
    assert_eq!(
        (&first["params"]["data"]["odd"], &first["params"]["subscription"]),
        (&json!({"x": [1]}), &json!(subscription))
    );
    assert_ne!(first["params"]["data"]["quote_id"], "q-123");
    let flat = frames.iter().filter(|frame| frame.contains(r#""method":"subscribe""#)).count();
    assert!((1..100).contains(&flat), "{flat}");
}

#[tokio::test]
async fn a_decline_is_written_down_and_answered_with_null() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let quote_id = open_quote(&venue, quote_in("1000")).await;
    let body = json!([{"quote_id": quote_id, "quote_output": {"type": "NO_LIQUIDITY"}}]);
    let reply = client.call("quote_response", body).await;
    assert_eq!((reply.get("result"), reply.get("error")), (Some(&Value::Null), None));
    assert_eq!(venue.ledger().unwrap().responses().next().unwrap().verdict, Verdict::Declined);
}
