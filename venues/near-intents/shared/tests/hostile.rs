//! Whatever the bytes: one way for each frame, never a panic, and nothing definite out of nonsense.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use near_intents_shared::chain::Response;
use near_intents_shared::execute;
use near_intents_shared::heard::{Statement, Verdict, read_frame, read_response};
use near_intents_shared::ingest::{Config, Effect, Event, Ingestor, QUOTE, QUOTE_STATUS};
use near_intents_shared::intent::Command;
use near_intents_shared::normalize::normalize;
use near_intents_shared::price::Price;
use near_intents_shared::resolve::{Step, resolve};
use proptest::prelude::*;

fn through_everything(bytes: &[u8]) {
    let mut ingestor = Ingestor::new(Config::read("{}").unwrap());
    let effects = ingestor.handle(&Event::Frame(bytes), 0);
    let ways = |effect: &&Effect| matches!(effect, Effect::Emit { .. } | Effect::Chatter(_) | Effect::Unrecognised(_));
    assert_eq!(effects.iter().filter(ways).count(), 1);
    let _ = normalize(QUOTE, bytes);
    let _ = normalize(QUOTE_STATUS, bytes);
    assert_eq!(read_frame(bytes).len(), 1);
    assert_eq!(read_response("salt", Some(Response { status: 200, body: bytes })).len(), 1);
    let balances = r#"balances {"account_id":"a","token_ids":["x"]}"#;
    let read = read_response(balances, Some(Response { status: 200, body: bytes }));
    assert!(matches!(read.as_slice(), [Statement::Unrecognised(_)]), "{read:?}");
    let config = execute::Config::read("{}").unwrap();
    let late = u64::MAX;
    for tag in ["status", "block", &format!("nonce/1/{late}/h"), &format!("network/1/{late}"), "nonce///", ""] {
        let last = Some((tag, Some(Response { status: 200, body: bytes })));
        let step = resolve(&config, &command(), &unsigned(), last, 0);
        assert!(matches!(step, Step::Ask { .. } | Step::WaitUntil(_)), "{tag}: {step:?}");
    }
}

fn command() -> Command {
    Command {
        idempotency_key: "v/a/q".into(),
        account: "a".into(),
        venue_ref: "q".into(),
        deadline: 1_795_341_665_123_000,
        quote_id: "q".into(),
        asset_in: "x".into(),
        asset_out: "y".into(),
        amount_in: "1".into(),
        amount_out: "1".into(),
        fixed: None,
    }
}

fn unsigned() -> Vec<u8> {
    command().message("intents.near", [0; 4]).unwrap().pre_image().unwrap()
}

#[test]
fn deep_long_cut_and_foreign_frames_end_in_a_way() {
    let good = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":"s","data":{"quote_id":"q",
        "defuse_asset_identifier_in":"a","defuse_asset_identifier_out":"b","exact_amount_in":"5","min_deadline_ms":1}}}"#;
    for end in 0..good.len() {
        through_everything(&good.as_bytes()[..end]);
    }
    for bytes in [
        "[".repeat(200_000).into_bytes(),
        "{\"params\":".repeat(200_000).into_bytes(),
        format!("{{\"method\":\"event\",\"params\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
        format!("\"{}\"", "a".repeat(600 * 1024)).into_bytes(),
        vec![0xff; 1_000],
        vec![0; 1_000],
        br#"{"method":"event","params":{"data":{"quote_id":"\ud800"}}}"#.to_vec(),
        br#"{"id":1e999,"result":"OK"}"#.to_vec(),
        br#"{"id":18446744073709551616,"result":"OK"}"#.to_vec(),
        br#"{"method":"event","method":7,"params":{"data":{}}}"#.to_vec(),
    ] {
        through_everything(&bytes);
    }
}

#[test]
fn an_event_is_an_event_whatever_else_is_wrong_with_it() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for odd in [r#""exact_amount_in":1e999"#, r#""min_deadline_ms":{}"#, r#""quote_id":"q""#, &format!(r#""x":{deep}"#)]
    {
        let frame = format!(
            r#"{{"method":"event","params":{{"data":{{"quote_id":"q","defuse_asset_identifier_in":"a","defuse_asset_identifier_out":"b",{odd}}}}}}}"#
        );
        let mut ingestor = Ingestor::new(Config::read("{}").unwrap());
        let effects = ingestor.handle(&Event::Frame(frame.as_bytes()), 0);
        assert_eq!(effects, vec![Effect::Emit { stream: QUOTE, key: "q".into() }]);
    }
}

/// JSON made of the words that frames are made of, so that the readers are reached.
fn frame_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "id",
        "method",
        "result",
        "error",
        "params",
        "data",
        "metadata",
        "code",
        "message",
        "quote_id",
        "quote_hash",
        "defuse_asset_identifier_in",
        "defuse_asset_identifier_out",
        "exact_amount_in",
        "min_deadline_ms",
        "event_type",
        "header",
        "height",
        "timestamp",
        "block_height",
        "block_hash",
        "hash",
        "status",
        "intent_hash",
        "chain_id",
        "sync_info",
        "syncing",
    ]);
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("\"event\"".to_owned()),
        Just("\"subscribe\"".to_owned()),
        Just("\"OK\"".to_owned()),
        Just("\"SETTLED\"".to_owned()),
        Just("-32098".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("JSON", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        "[a-z0-9]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    scalar.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec((word.clone(), inner.clone()), 0..8).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        through_everything(&bytes);
    }

    #[test]
    fn no_frame_panics(frame in frame_like()) {
        through_everything(frame.as_bytes());
        for statement in read_frame(frame.as_bytes()) {
            if let Statement::Request(_, Verdict::Accepted(text)) = statement {
                prop_assert_eq!(text, "OK");
            }
        }
    }

    #[test]
    fn a_price_less_a_spread_is_never_better_for_the_taker(amount in 1_u128..1 << 100, spread in 0_u32..5_000) {
        let plain = Price::new("2.5", 0, 24, 6).unwrap();
        let spread = Price::new("2.5", spread, 24, 6).unwrap();
        prop_assert!(spread.amount_out(amount) <= plain.amount_out(amount));
        prop_assert!(spread.amount_in(amount) >= plain.amount_in(amount));
    }
}

#[test]
fn whatever_stands_beside_three_good_ids_it_is_a_raw_event() {
    let long_id = "q".repeat(1_100);
    let beside = [
        r#""\ud800":1"#,
        r#""note":"\udc00""#,
        r#""quote_hash":"\ud800""#,
        r#""quote_hash":1e999"#,
        r#""metadata":{"partner_id":"\udbff\u0061","\ud800":{"\ud800":[-1e999]}}"#,
        r#""exact_amount_in":1e999"#,
    ];
    for (id, beside) in beside.iter().map(|beside| ("q", *beside)).chain([(long_id.as_str(), r#""a":1"#)]) {
        let fields = format!(
            r#"{{{beside},"quote_id":"{id}","defuse_asset_identifier_in":"a","defuse_asset_identifier_out":"b"}}"#
        );
        for frame in [
            format!(r#"{{"method":"event","params":{{"data":{fields}}},"\udfff":null}}"#),
            format!(r#"{{"method":"subscribe","params":{fields}}}"#),
        ] {
            let mut ingestor = Ingestor::new(Config::read("{}").unwrap());
            let effects = ingestor.handle(&Event::Frame(frame.as_bytes()), 0);
            assert_eq!(effects, [Effect::Emit { stream: QUOTE, key: id.to_owned() }], "{frame}");
            through_everything(frame.as_bytes());
        }
    }
    // An id that is half a pair is not an id: it would be another one.
    let frame = r#"{"method":"event","params":{"data":{"quote_id":"\ud800","defuse_asset_identifier_in":"a",
        "defuse_asset_identifier_out":"b"}}}"#;
    let effects = Ingestor::new(Config::read("{}").unwrap()).handle(&Event::Frame(frame.as_bytes()), 0);
    assert!(matches!(effects.as_slice(), [Effect::Unrecognised(_)]), "{effects:?}");
}
