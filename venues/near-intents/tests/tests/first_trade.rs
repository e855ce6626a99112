//! The first trade, end to end: `unrip dev` as a person would run it, and every record that it leaves behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

mod support;

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use support::{Ground, PARTITIONS, check, ledger, one_at_a_time};
use unrip_core::topic;

const RAW: &str = "raw.near_intents.quote";
const DEMAND: &str = "norm.swap_demand";
const DEAD_FRAMES: &str = "dead.raw.near_intents";

/// The frames that the venue's ledger says it sent on a stream.
fn sent(ledger: &[Value], stream: &str) -> BTreeSet<Vec<u8>> {
    let frames = ledger.iter().filter(|line| line["kind"] == "frame" && line["stream"] == stream);
    frames
        .filter_map(|line| match (line["text"].as_str(), line["base64"].as_str()) {
            (Some(text), _) => Some(text.as_bytes().to_vec()),
            (_, Some(base64)) => Some(STANDARD.decode(base64).unwrap()),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn carries_frames_to_signed_answers_and_every_record_is_as_records_md_says() {
    let _one = one_at_a_time().await;
    let ground = Ground::new();
    let (code, summary) = ground.dev(&["--quotes", "40", "--rate", "20"]);
    assert_eq!(code, 0, "{summary:#}\n{}", ground.logs());
    let ledger = ledger(&ground.ledger());

    let raw_records = ground.read(RAW).await;
    let raws = check::envelopes(&raw_records, &["raw_frame"]);
    assert_eq!(raws.len(), 40);
    check::raw_events(&raws, &sent(&ledger, "quote"), PARTITIONS);

    let demand_records = ground.read(DEMAND).await;
    let demands = check::envelopes(&demand_records, &["swap_demand"]);
    check::demands(&demands, &raws, PARTITIONS);
    let dead_records = ground.read(&topic::dead(RAW)).await;
    let dead = check::envelopes(&dead_records, &["dead_letter"]);
    check::dead_letters(&dead);
    assert_eq!(demands.len() + dead.len(), raws.len(), "each frame is a demand or a dead letter");

    let command_records = ground.read(topic::EXECUTE_TRADE).await;
    let commands = check::envelopes(&command_records, &["execute_trade"]);
    check::commands(&commands, &demands, PARTITIONS);
    assert!(!commands.is_empty(), "{summary:#}\n{}", ground.logs());

    let journal_records = ground.read(topic::JOURNAL).await;
    let kinds = ["journal_genesis", "journal_fence", "journal_claim", "journal_outcome"];
    let journal = check::envelopes(&journal_records, &kinds);
    check::journal(&journal, &commands, PARTITIONS);

    let result_records = ground.read(topic::TRADE_RESULT).await;
    let results = check::envelopes(&result_records, &["trade_result"]);
    check::results(&results, &commands, &journal, true);
    check::ledger_agrees(&ledger, &results);
    let executed = results.iter().filter(|result| result.text("/payload/status") == "executed").count();
    assert!(executed > 0, "{summary:#}\n{}", ground.logs());

    assert_eq!(summary["topics"][RAW], 40);
    assert_eq!(summary["commands"], commands.len());
    assert_eq!(summary["results"]["executed"], executed);
    assert_eq!(summary["latency"]["count"], results.len());
    assert_eq!(summary["audit"]["violations_total"], 0);
    for (service, ended) in summary["services"].as_object().unwrap() {
        assert_eq!(ended, "exit code 0", "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_frames_become_dead_letters_and_end_nothing() {
    let _one = one_at_a_time().await;
    let ground = Ground::new();
    let faults = r#"
        [faults]
        event_before_reply = true
        inject_per_second = 10.0
        inject = [
            { text = "not json" }, { text = "{\"unknown\":\"format\"}" }, { text = "" }, "truncated_quote",
            { text_bytes = "/wD+gA==" }, { binary = "/wD+gA==" }, { oversized = 600000 }, { nested = 100000 },
        ]
    "#;
    let (code, summary) = ground.dev(&["--for", "6s", "--rate", "10", "--fake-venue", &ground.fake_venue(faults)]);
    assert_eq!(code, 0, "{summary:#}\n{}", ground.logs());
    let ledger = ledger(&ground.ledger());

    let letters = ground.read(DEAD_FRAMES).await;
    let letters = check::envelopes(&letters, &["dead_letter"]);
    check::dead_letters(&letters);
    assert!(letters.len() >= 10, "{summary:#}\n{}", ground.logs());
    // Of long frames the ledger keeps only the hash, which `dead_letters` has checked for what is whole.
    let injected = ledger.iter().filter(|line| line["kind"] == "frame" && line["stream"] == "injected");
    let injected: BTreeSet<&str> = injected.filter_map(|line| line["sha256"].as_str()).collect();
    for letter in &letters {
        let hash = letter.text("/payload/original_sha256");
        assert!(injected.contains(hash.as_str()), "the venue never sent the frame of dead letter {}", letter.id());
    }
    let cut: Vec<_> = letters.iter().filter(|letter| letter.value["payload"]["truncated"] == true).collect();
    assert!(cut.iter().any(|letter| letter.value["payload"]["original_length"] == 600_000), "the long one is cut");

    let raws = ground.read(RAW).await;
    check::raw_events(&check::envelopes(&raws, &["raw_frame"]), &sent(&ledger, "quote"), PARTITIONS);
    let commands = ground.read(topic::EXECUTE_TRADE).await;
    let commands = check::envelopes(&commands, &["execute_trade"]);
    let results = ground.read(topic::TRADE_RESULT).await;
    let results = check::envelopes(&results, &["trade_result"]);
    assert!(!commands.is_empty(), "trade continues");
    check::results(&results, &commands, &[], true);
    check::ledger_agrees(&ledger, &results);
    for (service, ended) in summary["services"].as_object().unwrap() {
        assert_eq!(ended, "exit code 0", "{service}");
    }
}
