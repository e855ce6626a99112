//! Every sample frame, through the ingestor's sorting, the normalizer and the executor's reading.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::collections::BTreeMap;

use near_intents_shared::heard::{Statement, Verdict, read_frame};
use near_intents_shared::ingest::{Config, Effect, Event, Ingestor, QUOTE, QUOTE_STATUS};
use near_intents_shared::normalize::{Canonical, Demand, normalize};
use serde_json::Value;

struct Sample {
    n: u64,
    stream: String,
    to_us: bool,
    raw: String,
}

fn samples() -> Vec<Sample> {
    let text = include_str!("../../test_data/samples.jsonl");
    let read = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        Sample {
            n: value["n"].as_u64().unwrap(),
            stream: text("stream"),
            to_us: text("dir") == "server->client",
            raw: text("raw"),
        }
    };
    text.lines().map(read).collect()
}

fn raw(n: u64) -> String {
    samples().into_iter().find(|sample| sample.n == n).unwrap().raw
}

fn sorted(config: &str, raw: &str) -> String {
    let mut ingestor = Ingestor::new(Config::read(config).unwrap());
    let effects = ingestor.handle(&Event::Frame(raw.as_bytes()), 0);
    let ways: Vec<String> = effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Emit { stream, .. } => Some(format!("emit {stream}")),
            Effect::Chatter(kind) => Some(kind.to_owned()),
            Effect::Unrecognised(_) => Some("unrecognised".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(ways.len(), 1, "exactly one way for {raw}");
    ways.concat()
}

#[test]
fn every_frame_ends_in_one_of_three_ways() {
    let mut counts = BTreeMap::new();
    for sample in samples() {
        let way = sorted("{}", &sample.raw);
        let expected = match (sample.n, sample.stream.as_str(), sample.to_us) {
            (27 | 28 | 35, _, true) => "error_reply",
            (_, "ws:quote", true) => "emit quote",
            (_, "ws:quote_status" | "ws:quote_status_extended", true) => "quote_status_unasked",
            // The relay's HTTP answers look the same; they never come by this connection.
            (_, "ws:reply" | "ws:quote-rpc", true) => "reply",
            (_, stream, true) if stream.starts_with("http-rpc:") => "reply",
            // Our own frames, the contract's logs, unknown events and garbage.
            _ => "unrecognised",
        };
        assert_eq!(way, expected, "n={}", sample.n);
        *counts.entry(way).or_insert(0) += 1;
    }
    let counts: Vec<(&str, i32)> = counts.iter().map(|(way, count)| (way.as_str(), *count)).collect();
    assert_eq!(
        counts,
        [("emit quote", 22), ("error_reply", 3), ("quote_status_unasked", 9), ("reply", 15), ("unrecognised", 20)]
    );
}

#[test]
fn statuses_are_events_where_they_are_asked_for() {
    assert_eq!(sorted(r#"{"subscriptions":["quote","quote_status"]}"#, &raw(72)), "emit quote_status");
    assert_eq!(sorted(r#"{"subscriptions":["quote_status"]}"#, &raw(46)), "quote_unasked");
}

#[test]
fn every_quote_is_a_demand_or_refused_by_name() {
    let mut demands = 0;
    for sample in samples().iter().filter(|sample| sample.stream == "ws:quote") {
        match (sample.n, normalize(QUOTE, sample.raw.as_bytes())) {
            (20 | 21, result) => assert_eq!(result.unwrap_err().code, "amount_missing"),
            (67, result) => assert_eq!(result.unwrap_err().code, "amount_both"),
            (n, result) => {
                let Canonical::Demand(demand) = result.unwrap() else { panic!("n={n}") };
                assert_eq!(demand.amount_in.is_some(), demand.amount_out.is_none(), "n={n}");
                demands += 1;
            }
        }
    }
    assert_eq!(demands, 19);
}

fn demand(n: u64) -> Demand {
    match normalize(QUOTE, raw(n).as_bytes()) {
        Ok(Canonical::Demand(demand)) => demand,
        other => panic!("{other:?}"),
    }
}

#[test]
fn demands_say_exactly_what_the_frames_say() {
    let exact_out = demand(50);
    assert_eq!(exact_out.quote_id, "5c68b015-9061-5eb2-9a22-e703665e1d36");
    assert_eq!((exact_out.amount_in, exact_out.amount_out.as_deref()), (None, Some("100000")));
    assert_eq!((exact_out.min_deadline_ms, exact_out.ttl_ms), (60_000, Some(3_000)));
    let flat = demand(3);
    assert_eq!((flat.asset_in.as_str(), flat.amount_in.as_deref()), ("nep141:ft1.near", Some("1000")));
    assert_eq!((flat.ttl_ms, flat.attributes), (None, vec![]));
    assert_eq!(demand(59).amount_in.as_deref(), Some("340282366920938463463374607431768211455"));
    let attributes = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        demand(62).attributes,
        attributes(&[
            ("min_wait_ms", "1900"),
            ("partner_id", "1click"),
            ("protocol_fee_included", "false"),
            ("quote_type", "main_quote")
        ])
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_a_code() {
    let quote = |fields: &str| {
        format!(
            r#"{{"method":"event","params":{{"subscription":"s","data":{{"quote_id":"q","defuse_asset_identifier_in":"a",
            "defuse_asset_identifier_out":"b",{fields}}}}}}}"#
        )
    };
    let good = r#""exact_amount_in":"5","min_deadline_ms":1"#;
    let cases = [
        (quote(r#""exact_amount_in":5,"min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":"05","min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":"+5","min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":"-5","min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":"","min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":"340282366920938463463374607431768211456","min_deadline_ms":1"#), "amount_invalid"),
        (quote(r#""exact_amount_in":null,"exact_amount_out":null,"min_deadline_ms":1"#), "amount_missing"),
        (quote(r#""exact_amount_in":"5""#), "min_deadline_invalid"),
        (quote(r#""exact_amount_in":"5","min_deadline_ms":"1""#), "min_deadline_invalid"),
        (quote(r#""exact_amount_in":"5","min_deadline_ms":-1"#), "min_deadline_invalid"),
        (quote(&format!(r#"{good},"max_wait_ms":-1"#)), "wait_invalid"),
        (quote(&format!(r#"{good},"min_wait_ms":0.5"#)), "wait_invalid"),
        (quote(&format!(r#"{good},"wait_ms":"1""#)), "wait_invalid"),
        (quote(good).replace("\"q\"", "\"\""), "quote_id_invalid"),
        (quote(good).replace("\"a\"", "\"\""), "asset_invalid"),
        ("not json".to_owned(), "frame_invalid"),
        (raw(72), "frame_invalid"),
    ];
    for (raw, code) in cases {
        assert_eq!(normalize(QUOTE, raw.as_bytes()).unwrap_err().code, code, "{raw}");
    }
    assert_eq!(normalize("book", b"{}").unwrap_err().code, "stream_unknown");
    let odd = quote(&format!(r#"{good},"exact_amount_out":null,"extra":{{"x":1e999}},"min_deadline_ms":6e4"#));
    let Ok(Canonical::Demand(demand)) = normalize(QUOTE, odd.as_bytes()) else { panic!("{odd}") };
    assert_eq!((demand.amount_in.as_deref(), demand.min_deadline_ms), (Some("5"), 60_000));
    assert_eq!(sorted("{}", &odd), "emit quote");
}

#[test]
fn settlements_keep_their_hashes() {
    let Ok(Canonical::Settlement(settled)) = normalize(QUOTE_STATUS, raw(73).as_bytes()) else { panic!() };
    assert_eq!(settled.quote_hash, "6m1NZwLL6Y3wn7vm1VWcssPeggZ62tSUYpJtJ4BiNfEF");
    assert_eq!(settled.tx_hash.as_deref(), Some("8rEAAvvj1SNB7fn7aczUo79k4niyNVtDWkm6FMyDWAUb"));
    let Ok(Canonical::Settlement(ready)) = normalize(QUOTE_STATUS, raw(74).as_bytes()) else { panic!() };
    assert_eq!(ready.tx_hash, None);
}

fn read(raw: &str) -> Statement {
    let mut statements = read_frame(raw.as_bytes());
    assert_eq!(statements.len(), 1, "{raw}");
    statements.remove(0)
}

#[test]
fn answers_are_judged_only_by_what_the_venue_documents() {
    assert_eq!(read(&raw(6)), Statement::Request(1, Verdict::Accepted("OK".into())));
    assert!(matches!(read(&raw(35)), Statement::Request(7, Verdict::Rejected(why)) if why.code == "quote_finished"));
    assert!(matches!(read(&raw(28)), Statement::Request(0, Verdict::Rejected(why)) if why.code == "quote_expired"));
    for unclear in [2, 26, 27, 31, 11] {
        assert!(matches!(read(&raw(unclear)), Statement::Request(_, Verdict::Unclear(_))), "n={unclear}");
    }
    let reply = |error: &str| read(&format!(r#"{{"jsonrpc":"2.0","id":5,"error":{error}}}"#));
    for refused in [
        r#"{"code":-32602,"message":"Invalid params"}"#,
        r#"{"code":"-32098","message":"late"}"#,
        r#"{"code":-32000,"message":"invalid salt"}"#,
        r#""insufficient balance or overflow""#,
        r#"{"code":1,"message":"account 'solver.near' not found"}"#,
        r#"{"message":"public key 'ed25519:x' doesn't exist for account 'solver.near'"}"#,
    ] {
        assert!(matches!(reply(refused), Statement::Request(5, Verdict::Rejected(_))), "{refused}");
    }
    for unclear in [
        r#"{"code":-32603,"message":"internal error"}"#,
        r#""try again later""#,
        r#"{"code":-32000,"message":"error simulating intents: invalid saltiness"}"#,
        "[1]",
        "7",
    ] {
        let statement = reply(unclear);
        assert!(matches!(statement, Statement::Request(5, Verdict::Unclear(_))), "{unclear}: {statement:?}");
    }
    assert!(matches!(
        read(r#"{"id":5,"result":"OK","error":{"code":-32098,"message":"late"}}"#),
        Statement::Request(5, Verdict::Unclear(_))
    ));
    assert_eq!(read(r#"{"id":5,"result":"OK","error":null}"#), Statement::Request(5, Verdict::Accepted("OK".into())));
    assert!(matches!(read(r#"{"id":null,"result":"OK"}"#), Statement::Unrecognised(_)));
    assert!(matches!(read(r#"{"id":-1,"result":"OK"}"#), Statement::Unrecognised(_)));
}

#[test]
fn a_status_is_about_the_action_whose_digest_is_the_hash() {
    // The documented signed answer: its hash in base58 is the action's digest in hex.
    let digest = hex::encode(bs58::decode("BeHFFMdrGwSefrVUgVccuo2L2yaf2cftcwMn8if43qZa").into_vec().unwrap());
    assert!(matches!(read(&raw(76)), Statement::Action(of, Verdict::Settled(_)) if of == digest));
    assert!(matches!(read(&raw(73)), Statement::Action(_, Verdict::Settled(_))));
    assert!(matches!(read(&raw(75)), Statement::Action(_, Verdict::SettlementFailed(_))));
    assert_eq!(read(&raw(74)), Statement::Chatter("quote_ready_to_settle"));
    assert!(matches!(read(&raw(4)), Statement::Unrecognised(_)), "the docs' zeros are no base58");
    assert!(matches!(read(&raw(22)), Statement::Unrecognised(_)));
    assert_eq!(read(&raw(46)), Statement::Chatter("quote"));
}
