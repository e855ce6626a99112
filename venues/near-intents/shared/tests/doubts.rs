//! A doubt from its first question to its end, against answers good, missing, late, foreign and malformed.
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
use near_intents_shared::execute::Config;
use near_intents_shared::intent::Command;
use near_intents_shared::nep413;
use near_intents_shared::resolve::{Step, Whom, complaint, resolve};
use serde_json::{Value, json};

const DEADLINE: u64 = 1_795_341_665_123_000;
const SECOND: u64 = 1_000_000;
const LAG: u64 = 1_500_000;

fn command() -> Command {
    Command {
        idempotency_key: "near-intents/solver.near/q".into(),
        account: "solver.near".into(),
        venue_ref: "q".into(),
        deadline: DEADLINE,
        quote_id: "q".into(),
        asset_in: "nep141:wrap.near".into(),
        asset_out: "nep141:usdt.tether-token.near".into(),
        amount_in: "1000".into(),
        amount_out: "300".into(),
        fixed: None,
    }
}

fn unsigned() -> Vec<u8> {
    command().message("intents.near", [1, 2, 3, 4]).unwrap().pre_image().unwrap()
}

fn quote_hash() -> String {
    bs58::encode(nep413::digest(&unsigned())).into_string()
}

fn hash(height: u64) -> String {
    bs58::encode(std::array::from_fn::<u8, 32, _>(|n| height.to_le_bytes()[n % 8])).into_string()
}

fn step(last: Option<(&str, Option<&[u8]>)>, now: u64) -> Step {
    with(&Config::read("{}").unwrap(), last, now)
}

fn with(config: &Config, last: Option<(&str, Option<&[u8]>)>, now: u64) -> Step {
    let last = last.map(|(tag, body)| (tag, body.map(|body| Response { status: 200, body })));
    resolve(config, &command(), &unsigned(), last, now)
}

fn answer(result: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": "x", "result": result}).to_string().into_bytes()
}

fn relay_says(status: &str) -> Vec<u8> {
    answer(&json!({"intent_hash": quote_hash(), "status": status, "data": {"hash": "8rEAAvvj"}}))
}

fn block(height: u64, ns: u64) -> Vec<u8> {
    let header = json!({"height": height, "hash": hash(height), "timestamp": ns, "timestamp_nanosec": ns.to_string()});
    answer(&json!({"author": "a", "header": header}))
}

fn nonce(used: &str, height: u64, hash: &str) -> Vec<u8> {
    answer(&json!({"result": used.as_bytes(), "logs": [], "block_height": height, "block_hash": hash}))
}

fn network(chain_id: &str, syncing: bool) -> Vec<u8> {
    answer(&json!({"chain_id": chain_id, "sync_info": {"syncing": syncing}}))
}

fn nonce_tag(ns: u64) -> String {
    format!("nonce/77/{ns}/{}", hash(77))
}

/// The tag and the body of a question; panics if there is none.
fn asked(step: Step) -> (Whom, String, Value) {
    match step {
        Step::Ask { whom, tag, body } => (whom, tag, serde_json::from_slice(&body).unwrap()),
        other => panic!("no question: {other:?}"),
    }
}

#[test]
fn asks_the_relay_then_the_chain_and_the_network_before_a_no() {
    let after = DEADLINE * 1_000 + 1;
    let (whom, tag, body) = asked(step(None, 0));
    assert_eq!((whom, tag.as_str(), &body["method"]), (Whom::Relay, "status", &json!("get_status")));
    assert_eq!(body["params"][0]["intent_hash"], quote_hash());

    let (whom, tag, body) = asked(step(Some((&tag, Some(&relay_says("NOT_FOUND_OR_NOT_VALID")))), 0));
    assert_eq!((whom, tag.as_str(), &body["params"]["finality"]), (Whom::Node, "block", &json!("final")));

    let (whom, tag, body) = asked(step(Some((&tag, Some(&block(77, after)))), 0));
    assert_eq!((whom, tag), (Whom::Node, nonce_tag(after)));
    assert_eq!(
        (&body["params"]["block_id"], &body["params"]["account_id"]),
        (&json!(hash(77)), &json!("intents.near"))
    );

    let (whom, tag, body) = asked(step(Some((&nonce_tag(after), Some(&nonce("false", 77, &hash(77))))), 0));
    assert_eq!((whom, &body["method"]), (Whom::Node, &json!("status")));

    let end = step(Some((&tag, Some(&network("mainnet", false)))), 0);
    assert!(matches!(end, Step::NotExecuted(DEADLINE, _)), "{end:?}");
}

#[test]
fn a_settlement_or_a_used_nonce_is_executed_at_any_time() {
    for now in [0, DEADLINE - 60 * SECOND, DEADLINE + 600 * SECOND] {
        let settled = step(Some(("status", Some(&relay_says("SETTLED")))), now);
        assert!(matches!(&settled, Step::Settled(detail) if detail.contains("8rEAAvvj")), "{settled:?}");
        let used = step(Some((&nonce_tag(5_000), Some(&nonce("true", 77, &hash(77))))), now);
        assert!(matches!(used, Step::Executed(5, _)), "{used:?}");
    }
}

#[test]
fn what_is_under_way_is_waited_for_but_not_beyond_its_deadline() {
    let pending = |status: &str, now| step(Some(("status", Some(&relay_says(status)))), now);
    let early = DEADLINE - 60 * SECOND;
    assert_eq!(pending("TX_BROADCASTED", early), Step::WaitUntil(early + 2 * SECOND));
    assert_eq!(pending("PENDING", early), Step::WaitUntil(early + (60 * SECOND + LAG) / 2));
    for status in ["PENDING", "TX_BROADCASTED"] {
        assert_eq!(asked(pending(status, DEADLINE + LAG)).1, "block", "{status}");
    }
}

#[test]
fn where_the_relay_says_nothing_the_chain_is_asked() {
    let other = answer(&json!({"intent_hash": "other", "status": "SETTLED", "data": {"hash": "x"}}));
    let bodies: [Option<&[u8]>; 5] =
        [None, Some(b""), Some(b"Forbidden"), Some(b"{\"error\":{\"code\":-32601}}"), Some(&other)];
    for body in bodies {
        assert_eq!(asked(step(Some(("status", body)), 0)).1, "block", "{body:?}");
    }
}

#[test]
fn an_unused_nonce_is_final_only_at_a_block_after_the_deadline_whatever_our_clock_says() {
    let unused = nonce("false", 77, &hash(77));
    for (ns, now) in [(DEADLINE * 1_000, DEADLINE + 600 * SECOND), (5, DEADLINE - 60 * SECOND), (0, u64::MAX / 2)] {
        let on_time = step(Some((&nonce_tag(ns), Some(&unused))), now);
        assert!(matches!(on_time, Step::WaitUntil(at) if at > now), "{on_time:?}");
        let tag = format!("network/77/{ns}");
        let forced = step(Some((&tag, Some(&network("mainnet", false)))), now);
        assert!(matches!(forced, Step::WaitUntil(_)), "{forced:?}");
    }
    let after = step(Some((&nonce_tag(DEADLINE * 1_000 + 1), Some(&unused))), DEADLINE - 600 * SECOND);
    assert!(asked(after).1.starts_with("network/77/"));
}

#[test]
fn the_expiry_inside_the_claim_counts_where_it_is_later_than_the_command_s() {
    let signed = command().message("intents.near", [1, 2, 3, 4]).unwrap().pre_image().unwrap();
    let shorter = Command { deadline: DEADLINE - 30 * SECOND, ..command() };
    let config = Config::read("{}").unwrap();
    let unused = nonce("false", 77, &hash(77));
    let tag = nonce_tag((DEADLINE - SECOND) * 1_000);
    let last = Some((tag.as_str(), Some(Response { status: 200, body: &unused })));
    let end = resolve(&config, &shorter, &signed, last, DEADLINE);
    assert!(matches!(end, Step::WaitUntil(_)), "{end:?}");
}

#[test]
fn another_network_or_a_node_that_is_behind_gives_no_verdict() {
    let tag = format!("network/77/{}", DEADLINE * 1_000 + 1);
    for body in
        [network("testnet", false), network("mainnet", true), answer(&json!({"chain_id": "mainnet"})), b"{}".to_vec()]
    {
        let end = step(Some((&tag, Some(&body))), DEADLINE);
        assert!(matches!(end, Step::WaitUntil(_)), "{end:?}");
    }
    let own = Config::read(r#"{"network":"localnet"}"#).unwrap();
    let end = with(&own, Some((&tag, Some(&network("localnet", false)))), DEADLINE);
    assert!(matches!(end, Step::NotExecuted(..)), "{end:?}");
}

#[test]
fn what_says_nothing_is_asked_again_and_complained_of() {
    let late = nonce_tag(DEADLINE * 2_000);
    let (older, fork) = (nonce("false", 76, &hash(77)), nonce("false", 77, &hash(76)));
    let (unnamed, text) = (answer(&json!({"result": b"false"})), nonce("\"false\"", 77, &hash(77)));
    let cases: [(&str, Option<&[u8]>); 12] = [
        ("block", None),
        ("block", Some(b"{}")),
        ("block", Some(b"{\"result\":{\"header\":{\"height\":1,\"timestamp\":99999999999999999999}}}")),
        (&late, None),
        (&late, Some(b"{\"error\":{\"name\":\"HANDLER_ERROR\",\"cause\":{\"name\":\"UNKNOWN_BLOCK\"}}}")),
        (&late, Some(b"{\"result\":{\"result\":[],\"error\":\"not found\"}}")),
        (&late, Some(&older)),
        (&late, Some(&fork)),
        (&late, Some(&unnamed)),
        (&late, Some(&text)),
        ("nonce/x/y/z", Some(b"{\"result\":{\"result\":[116,114,117,101]}}")),
        ("what", Some(b"{\"result\":{\"result\":[102,97,108,115,101]}}")),
    ];
    let config = Config::read("{}").unwrap();
    for (tag, body) in cases {
        let now = DEADLINE + LAG;
        assert_eq!(step(Some((tag, body)), now), Step::WaitUntil(now + 2 * SECOND), "{tag}");
        let last = Some((tag, body.map(|body| Response { status: 200, body })));
        assert!(complaint(&config, &command(), &unsigned(), last).is_some(), "{tag}");
    }
    let nothing = relay_says("NOT_FOUND_OR_NOT_VALID");
    let last = Some(("status", Some(Response { status: 200, body: &nothing[..] })));
    assert_eq!(complaint(&config, &command(), &unsigned(), last), None);
}

#[test]
fn pauses_shrink_towards_the_deadline_and_grow_after_it_within_bounds() {
    let pause = |now: u64| match step(Some(("block", None)), now) {
        Step::WaitUntil(at) => at - now,
        other => panic!("{other:?}"),
    };
    let due = DEADLINE + LAG;
    assert_eq!(pause(due - 600 * SECOND), 60 * SECOND);
    assert_eq!(pause(due - 40 * SECOND), 20 * SECOND);
    assert_eq!(pause(due - 3 * SECOND), 3 * SECOND);
    assert_eq!(pause(due), 2 * SECOND);
    assert_eq!(pause(due + 40 * SECOND), 10 * SECOND);
    assert_eq!(pause(due + 9_999 * SECOND), 60 * SECOND);
}

#[test]
fn a_claim_that_cannot_be_read_stays_in_doubt() {
    let config = Config::read("{}").unwrap();
    let mut message = command().message("intents.near", [0; 4]).unwrap();
    message.nonce = [7; 32];
    for bytes in [b"?".to_vec(), message.pre_image().unwrap()] {
        assert!(matches!(resolve(&config, &command(), &bytes, None, 0), Step::WaitUntil(_)));
    }
}
