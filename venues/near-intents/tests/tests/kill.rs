//! `kill -9` of each service in turn while quotes flow, and answers that are lost: every command still ends with one
//! result, and the venue never sees one twice.
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

use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use support::{EVERY, Ground, SOON, audited, check, ledger, one_at_a_time, only};
use tokio::time::{Instant, timeout};
use unrip_cli::args::{Cli, Command};
use unrip_core::topic;
use unrip_dev::args::DevArgs;
use unrip_dev::config;
use unrip_dev::services::STOP_GRACE;
use unrip_dev::stack::Stack;
use unrip_dev::tail::{self, Tail};
use unrip_dev::tally::Tally;
use unrip_operate::say::Say;

/// Topics on which nothing was written for this long have come to rest.
const QUIET: Duration = Duration::from_secs(3);

struct Run {
    ground: Ground,
    stack: Stack,
    tail: Tail,
    tally: Tally,
    say: Say,
}

/// What a run leaves behind.
struct End {
    /// The payloads of the results.
    results: Vec<Value>,
    /// The lines of the venue's ledger.
    ledger: Vec<Value>,
}

impl Run {
    async fn start(more: &[&str], fake: &str) -> Self {
        let ground = Ground::new();
        let file = ground.fake_venue(fake);
        let args = ["unrip".to_owned()].into_iter().chain(ground.args(more));
        let args = args.chain(["--fake-venue".to_owned(), file]);
        let Command::Dev(args): Command = Cli::try_parse_from(args).unwrap().command else { panic!("not dev") };
        let (stack, tail, say) = Self::stack(&args).await;
        Self { ground, stack, tail, tally: Tally::default(), say }
    }

    async fn stack(args: &DevArgs) -> (Stack, Tail, Say) {
        let say = Say::new(false, true);
        let mut stack = Stack::prepare(args, &say).await.unwrap();
        let tail = Tail::start(&stack.bus, &stack.topics).await.unwrap();
        stack.services.start_all(&say).await.unwrap();
        (stack, tail, say)
    }

    /// Follows the topics until `done`.
    async fn until(&mut self, what: &str, done: impl Fn(&Tally) -> bool) {
        let until = Instant::now() + SOON;
        while !done(&self.tally) {
            match timeout(until.saturating_duration_since(Instant::now()), self.tail.next()).await {
                Ok(Some(Ok(records))) => records.iter().for_each(|record| self.tally.add(record)),
                Ok(Some(Err(error))) => eprintln!("{error}"),
                Ok(None) => panic!("reading has ended"),
                Err(_) => panic!("{what} never came: {:?}\n{}", self.tally.topics, self.ground.logs()),
            }
        }
    }

    /// Waits until the venue's ledger has a line of this kind.
    async fn until_the_venue(&self, kind: &str) {
        let until = Instant::now() + SOON;
        while !ledger(&self.ground.ledger()).iter().any(|line| line["kind"] == kind) {
            assert!(Instant::now() < until, "the venue never had `{kind}`\n{}", self.ground.logs());
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn more_results(&mut self, count: u64) {
        let before: u64 = self.tally.results.values().sum();
        self.until("results", |tally| tally.results.values().sum::<u64>() >= before + count).await;
    }

    async fn kill_and_restart(&mut self, role: &str) {
        let name = only(&self.stack, role);
        let how = self.stack.services.kill(&name);
        assert_eq!(how.as_deref(), Some("signal 9"), "{role}");
        self.stack.services.start(&name).unwrap();
        let lacking = self.stack.services.wait_ready(SOON).await.unwrap();
        assert!(lacking.is_empty(), "{lacking:?}\n{}", self.ground.logs());
    }

    /// Stops who speaks, waits for the missing results, and holds everything against records, ledger and audit.
    async fn end(mut self) -> End {
        let ingest = only(&self.stack, "ingest");
        self.stack.services.stop(&ingest, STOP_GRACE).await;
        // Demands may still become commands when no command is open: the topics must have come to rest.
        let mut ends = ends_of(&self.stack).await;
        loop {
            self.until("the last results", |tally| tally.open() == 0).await;
            timeout(QUIET, self.until("more", |_| false)).await.ok();
            let now = ends_of(&self.stack).await;
            if now == ends && self.tally.open() == 0 {
                break;
            }
            ends = now;
        }
        let report = audited(&self.stack, &self.ground).await;
        assert!(!report.broken(), "{report}");
        for role in ["normalize", "react", "execute", config::AUDIT] {
            let name = only(&self.stack, role);
            assert_eq!(self.stack.services.stop(&name, STOP_GRACE).await.as_deref(), Some("exit code 0"), "{role}");
        }
        self.check().await
    }

    async fn check(mut self) -> End {
        self.stack.stop_rest(&self.say).await;
        let ground = &self.ground;
        let commands = ground.read(topic::EXECUTE_TRADE).await;
        let commands = first_of_each(check::envelopes(&commands, &["execute_trade"]));
        let results = ground.read(topic::TRADE_RESULT).await;
        let results = first_of_each(check::envelopes(&results, &["trade_result"]));
        check::results(&results, &commands, &[], true);
        let ledger = ledger(&ground.ledger());
        check::ledger_agrees(&ledger, &results);
        End { results: results.iter().map(|result| result.value["payload"].clone()).collect(), ledger }
    }
}

async fn ends_of(stack: &Stack) -> std::collections::BTreeMap<(String, i32), i64> {
    tail::ends(&stack.bus, &stack.topics).await.unwrap()
}

/// At-least-once: a repeat has the same id and the same content.
fn first_of_each(seen: Vec<check::Seen<'_>>) -> Vec<check::Seen<'_>> {
    let mut kept: Vec<check::Seen<'_>> = Vec::new();
    for one in seen {
        match kept.iter().find(|known| known.id() == one.id()) {
            Some(known) => {
                assert_eq!(known.value["payload"], one.value["payload"], "one id, two contents");
                assert_eq!(known.value["causation_id"], one.value["causation_id"]);
            }
            None => kept.push(one),
        }
    }
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn every_service_can_be_killed_while_quotes_flow() {
    let _one = one_at_a_time().await;
    // Short deadlines: what is in doubt after a kill is resolved by the chain while the test waits.
    let mut run = Run::start(&["--rate", "20"], "[quotes]\nmin_deadline_ms = 1000\n[chain]\nblock_ms = 200\n").await;
    run.more_results(20).await;
    for role in ["ingest", "normalize", "react", "execute", config::AUDIT, "execute"] {
        run.kill_and_restart(role).await;
        run.more_results(10).await;
    }
    let end = run.end().await;
    assert!(end.results.len() >= 80, "{}", end.results.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_are_resolved_by_the_chain_also_after_a_restart() {
    let _one = one_at_a_time().await;
    let fake = "[quotes]\nmin_deadline_ms = 1000\n[chain]\nblock_ms = 200\n[settlement]\nprobability = 0.5\ndelay_ms = 300\n\
                [faults]\nnever_answer = 1.0\n";
    let mut run = Run::start(&["--quotes", "40", "--rate", "20"], fake).await;
    // Killed only when answers are out and one has taken effect without the executor having heard of it.
    run.until_the_venue("settled").await;
    run.kill_and_restart("execute").await;
    let End { results, ledger } = run.end().await;
    let settled = |quote: &Value| ledger.iter().any(|line| line["kind"] == "settled" && line["venue_ref"] == *quote);
    let mut seen = std::collections::BTreeSet::new();
    for payload in &results {
        let status = payload["status"].as_str().unwrap();
        match settled(&payload["venue_ref"]) {
            true => assert_eq!(status, "executed", "{payload}"),
            false => assert!(["not_executed", "expired"].contains(&status), "{payload}"),
        }
        seen.insert(status);
    }
    assert!(seen.contains("executed") && seen.contains("not_executed"), "{seen:?}");
}
