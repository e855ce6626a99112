//! A short kill campaign, and a rolling restart under load: real processes, a real broker, and the fake venue's ledger as
//! the truth. The long campaign is the same command with more kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// Kafka is killed too, and it alone has transactions: without it there is nothing to prove here.
fn has_kafka() -> bool {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).status();
    let forced = std::env::var("UNRIP_TEST_BROKER").is_ok_and(|kind| kind != "kafka");
    if java.is_ok_and(|status| status.success()) && !forced {
        return true;
    }
    eprintln!(
        "SKIPPED: a kill campaign needs Apache Kafka, and there is no java on the path (or another broker is forced)"
    );
    false
}

/// The campaigns share two cores: one after the other.
static ONE: Mutex<()> = Mutex::new(());

/// `unrip chaos` to its end; its report.
fn chaos(arguments: &[&str]) -> Value {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("run").display().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_unrip"))
        .args(["chaos", "--json", "--dir", &place, "--broker", "kafka"])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    if !output.status.success() {
        // What was written is the only witness.
        let kept = dir.keep();
        panic!("{}: {report:#}\nfiles: {}", output.status, kept.display());
    }
    report
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

#[test]
fn a_short_campaign_of_kills_breaks_no_promise() {
    if !has_kafka() {
        return;
    }
    let report = chaos(&["--kills", "60", "--for", "4m", "--seed", "20261122"]);
    assert!(number(&report, "/kills") >= 50, "{report:#}");
    assert_eq!(number(&report, "/duplicates"), 0);
    assert_eq!(number(&report, "/losses"), 0);
    assert!(number(&report, "/results/executed") >= 20, "nothing was traded meanwhile: {report:#}");
    assert!(report["kills_by_point"].as_object().unwrap().len() >= 5, "{report:#}");
}

#[test]
fn a_rolling_restart_of_three_executors_loses_and_repeats_nothing() {
    if !has_kafka() {
        return;
    }
    let report = chaos(&["--kinds", "rolling", "--for", "40s", "--seed", "1"]);
    assert!(number(&report, "/done/rolling_restarts") >= 1, "{report:#}");
    // Each was asked to stop and did, with exit code 0; anything else is a breach and fails the run.
    assert!(number(&report, "/done/clean_stops") >= 3, "{report:#}");
    assert_eq!(number(&report, "/kills"), 0);
    // Handing over takes less time than commands have: most of them are traded all the same.
    assert!(2 * number(&report, "/results/executed") >= number(&report, "/commands"), "{report:#}");
    assert_eq!(number(&report, "/duplicates"), 0);
    assert_eq!(number(&report, "/losses"), 0);
    assert!(number(&report, "/results/executed") >= 20, "{report:#}");
}

#[test]
fn the_points_are_many_and_have_names() {
    let output = Command::new(env!("CARGO_BIN_EXE_unrip")).args(["chaos", "--list-points"]).output().unwrap();
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    // Not built by this test alone: then there is nothing to ask.
    if output.status.success() {
        assert!(names.lines().count() >= 28, "{names}");
    }
}
