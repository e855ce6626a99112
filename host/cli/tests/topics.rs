//! The topic step as operators run it: `unrip topics ensure`, twice at once, on clusters that hold nothing yet.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use unrip_testkit::broker::{Broker, BrokerChoice};

const ROUNDS: usize = 10;
const AT_ONCE: usize = 2;

const A_VENUE: &str = "venue = \"a-venue\"\nstreams = [\"quote\"]\nevents = [\"swap_demand\"]\nroles = {}\n";
const B_VENUE: &str =
    "venue = \"b-venue\"\nstreams = [\"book\"]\nevents = [\"book_top\", \"swap_demand\"]\nroles = {}\n";

fn ensure(broker: &Broker, venue_file: &Path, partitions: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_unrip"))
        .args(["topics", "ensure", "--brokers", broker.bootstrap(), "--partitions", partitions, "--venue-file"])
        .arg(venue_file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The journal's id, as a run that succeeded reports it.
#[track_caller]
fn journal(output: &Output) -> String {
    let text = text(output);
    assert!(output.status.success(), "{text}");
    text.lines().find_map(|line| line.split_once("journal ")).unwrap().1.trim().to_owned()
}

fn fresh(dir: &Path) -> Broker {
    Broker::start(BrokerChoice { own: true, ..BrokerChoice::default() }, dir).unwrap()
}

#[test]
fn two_at_once_on_a_fresh_cluster_agree_on_one_journal() {
    for round in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("venue.toml");
        std::fs::write(&file, A_VENUE).unwrap();
        let broker = fresh(&dir.path().join("broker"));
        let running: Vec<Child> = (0..AT_ONCE).map(|_| ensure(&broker, &file, "3")).collect();
        let ended = running.into_iter().map(|child| child.wait_with_output().unwrap());
        let mut ids: BTreeSet<String> = ended.map(|output| journal(&output)).collect();
        // Once more, alone: nothing is new.
        let again = ensure(&broker, &file, "3").wait_with_output().unwrap();
        ids.insert(journal(&again));
        assert!(text(&again).contains(" 0 of them new"), "{}", text(&again));
        assert_eq!(ids.len(), 1, "round {round}: {ids:?}");
    }
}

/// `norm.*` is shared by venues: the second one takes the topics as they are, or the refusal says what differs.
#[test]
fn a_second_venue_with_other_partition_counts_is_refused_by_name_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("a.toml", A_VENUE), ("b.toml", B_VENUE)].map(|(name, text)| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        file
    });
    let broker = fresh(&dir.path().join("broker"));
    let first = journal(&ensure(&broker, &files[0], "3").wait_with_output().unwrap());
    let refused = ensure(&broker, &files[1], "5").wait_with_output().unwrap();
    let said = text(&refused);
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("partition") && said.contains('3') && said.contains('5'), "{said}");
    assert_eq!(journal(&ensure(&broker, &files[1], "3").wait_with_output().unwrap()), first);
    assert_eq!(journal(&ensure(&broker, &files[0], "3").wait_with_output().unwrap()), first);
}
