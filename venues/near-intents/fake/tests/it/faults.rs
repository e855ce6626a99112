//! What goes wrong on purpose, and what the ledger says of it.

use near_intents_fake::{Control, FakeVenue, Faults, RawFrame, Replied, Verdict};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{
    Client, Offer, PATIENCE, TOKEN, config, current_salt, now_ms, open_quote, post, quote_in, try_connect,
};

/// One answer under these faults; gives what was replied before the connection's next reply or end.
async fn answered(venue: &FakeVenue, faults: Faults) -> (Option<Value>, Offer) {
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let offer = Offer::new(&salt, &open_quote(venue, quote_in("1000")).await);
    venue.set_faults(faults);
    let id = client.post("quote_response", json!([offer.body()])).await;
    let wanted = |ledger: &near_intents_fake::Ledger| {
        ledger.responses().chain(ledger.lost()).any(|one| one.quote_id.as_ref() == Some(&offer.quote_id))
    };
    venue.ledger_when(PATIENCE, wanted).await.unwrap();
    venue.set_faults(Faults::default());
    let _ = client.post("unsubscribe", json!(["none"])).await;
    let reply = match client.receive().await {
        Some(Ok(Message::Text(text))) => Some(serde_json::from_str::<Value>(&text).unwrap()),
        _ => None,
    };
    (reply.filter(|reply| reply["id"] == id), offer)
}

#[tokio::test]
async fn each_fault_of_an_answer_shows_at_the_client_and_stands_in_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let always = Faults::default;
    let cases = [
        (Faults { never_answer: 1.0, ..always() }, Verdict::Accepted, Replied::Never, None),
        (Faults { drop_after_recording: 1.0, ..always() }, Verdict::Accepted, Replied::Dropped, None),
        (Faults { drop_before_recording: 1.0, ..always() }, Verdict::Lost, Replied::Dropped, None),
        (Faults { odd_error: 1.0, ..always() }, Verdict::Accepted, Replied::Oddly, Some(-32000)),
        (Faults { odd_error_refused: 1.0, odd_error_code: -1, ..always() }, Verdict::Refused, Replied::Oddly, Some(-1)),
        (Faults::default(), Verdict::Accepted, Replied::Truly, None),
    ];
    for (faults, verdict, replied, code) in cases {
        let (reply, offer) = answered(&venue, faults).await;
        let error = reply.as_ref().and_then(|reply| reply["error"]["code"].as_i64());
        assert_eq!(error, code, "{replied:?}: {reply:?}");
        assert_eq!(reply.is_some_and(|reply| reply["result"] == "OK"), replied == Replied::Truly, "{replied:?}");
        let ledger = venue.ledger().unwrap();
        let line = ledger.responses().chain(ledger.lost()).find(|one| one.quote_id.as_ref() == Some(&offer.quote_id));
        assert_eq!(line.map(|line| (line.verdict, line.replied)), Some((verdict, replied)));
    }
}

#[tokio::test]
async fn a_late_reply_comes_after_the_replies_to_later_requests() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.faults = Faults { answer_late: 1.0, answer_late_ms: 1_500, ..Faults::default() };
    let venue = FakeVenue::start(config).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let offer = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    let id = client.post("quote_response", json!([offer.body()])).await;
    let other = client.post("unsubscribe", json!(["none"])).await;
    assert_eq!(client.reply().await["id"], other);
    let late = client.reply().await;
    assert_eq!((&late["id"], &late["result"]), (&json!(id), &json!("OK")));
}

#[tokio::test]
async fn a_lost_answer_counts_as_sent_when_it_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let (_, offer) = answered(&venue, Faults { drop_before_recording: 1.0, ..Faults::default() }).await;
    let mut client = Client::connect(venue.ws_url()).await;
    assert_eq!(client.answer(&offer).await["error"]["message"], "nonce was already used");
    assert_eq!(venue.ledger().unwrap().duplicates().len(), 1);
}

#[tokio::test]
async fn hostile_frames_arrive_byte_for_byte_as_the_ledger_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let hostile = RawFrame::hostile();
    let count = hostile.len();
    config.faults = Faults { inject: hostile, inject_per_second: 1_000.0, ..Faults::default() };
    let venue = FakeVenue::start(config).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    client.post("subscribe", json!(["quote"])).await;
    client.receive().await.unwrap().unwrap();
    let mut received = Vec::new();
    for _ in 0..count {
        received.push(client.receive().await.unwrap().unwrap().into_data());
    }
    let ledger = venue.ledger().unwrap();
    let sent: Vec<_> =
        ledger.frames("injected").take(count).map(|frame| (frame.length, frame.sha256.clone())).collect();
    let got: Vec<_> = received.iter().map(|bytes| (bytes.len(), sha256(bytes))).collect();
    assert_eq!(got, sent);
    assert!(received.iter().any(|bytes| bytes.len() > 512 * 1024));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

#[tokio::test]
async fn a_text_frame_that_is_not_utf8_goes_out_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    client.subscribe(json!(["quote"])).await;
    venue.control(Control::SendRaw { frame: RawFrame::TextBytes("/wD+gA==".into()) }).await.unwrap();
    assert!(client.receive().await.unwrap().is_err());
    let ledger = venue.ledger().unwrap();
    assert_eq!(ledger.frames("injected").next().unwrap().base64.as_deref(), Some("/wD+gA=="));
}

#[tokio::test]
async fn an_event_can_overtake_the_reply_to_its_subscription() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.faults.event_before_reply = true;
    config.quotes.pairs = vec![near_intents_fake::Pair {
        asset_in: "a".into(),
        asset_out: "b".into(),
        exact_in: Some(near_intents_fake::AmountRange { min: 1, max: 9 }),
        exact_out: None,
    }];
    config.quotes.flat_share = 0.0;
    let venue = FakeVenue::start(config).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let id = client.post("subscribe", json!(["quote"])).await;
    let event = client.receive().await.unwrap().unwrap().into_text().unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    assert_eq!(event["method"], "event");
    let reply = client.reply().await;
    assert_eq!((&reply["id"], &reply["result"]), (&json!(id), &event["params"]["subscription"]));
}

#[tokio::test]
async fn connections_can_be_broken_refused_and_let_in_again_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let control = venue.control_url();
    let mut client = Client::connect(venue.ws_url()).await;
    client.subscribe(json!(["quote"])).await;
    assert_eq!(venue.connections(), 1);
    assert_eq!(post(control, &json!({"fault": "refuse", "ms": 600_000})).await.0, 200);
    assert!(!matches!(client.receive().await, Some(Ok(Message::Text(_)))));
    let token = format!("Bearer {TOKEN}");
    assert!(try_connect(venue.ws_url(), Some(&token)).await.is_err());
    assert_eq!(post(control, &json!({"fault": "none"})).await.0, 200);
    Client::connect(venue.ws_url()).await.subscribe(json!(["quote"])).await;
    for (wrong, status) in [
        (json!({"fault": "no_such"}), 404),
        (json!({"no_such": 1}), 400),
        (json!({"fault": "stall_finality"}), 400),
        (json!({"fault": "stall_finality", "ms": 1, "more": 1}), 400),
        (json!("none"), 400),
    ] {
        assert_eq!(post(control, &wrong).await.0, status, "{wrong}");
    }
}

#[tokio::test]
async fn a_silent_venue_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let venue = FakeVenue::start(config(dir.path())).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    client.subscribe(json!(["quote"])).await;
    venue.set_silent(true);
    let quote_id = open_quote(&venue, quote_in("1")).await;
    let id = client.post("unsubscribe", json!(["none"])).await;
    venue.set_silent(false);
    assert!(client.event().await.contains(&quote_id));
    assert_eq!(client.reply().await["id"], id);
}

#[tokio::test]
async fn a_slow_socket_is_slow_each_way_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.faults.slow_frame_ms = 50;
    let venue = FakeVenue::start(config).unwrap();
    let mut client = Client::connect(venue.ws_url()).await;
    let before = now_ms();
    client.subscribe(json!(["quote"])).await;
    let quote_id = open_quote(&venue, quote_in("1")).await;
    assert!(client.event().await.contains(&quote_id));
    assert!(now_ms() >= before + 150);
}
