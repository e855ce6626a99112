//! The operator's commands against a running system: the switch closes and opens it, and a doubt that cannot be resolved
//! ends by a person's decision, once.
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

use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use support::{Ground, SOON, audited, check, one_at_a_time, only};
use tokio::time::{Instant, timeout};
use unrip_cli::args::{self, Cli};
use unrip_core::topic;
use unrip_dev::services::STOP_GRACE;
use unrip_dev::stack::Stack;
use unrip_dev::tail::Tail;
use unrip_operate::say::Say;
use unrip_testkit::programs::program;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);
const VENUE_SCOPE: &str = "venue/near-intents";
/// Nothing that could settle what was accepted, and deadlines that pass while the test waits.
const FAKE: &str = "[quotes]\nmin_deadline_ms = 1000\n[chain]\nblock_ms = 200\n[settlement]\nprobability = 0.0\n";

struct Run {
    ground: Ground,
    stack: Stack,
    tail: Tail,
    /// Payloads of the results so far.
    results: Vec<Value>,
}

/// What a command said, and its exit code.
struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    async fn start() -> Self {
        let ground = Ground::new();
        let file = ground.fake_venue(FAKE);
        let args = ["unrip".to_owned()].into_iter().chain(ground.args(&["--rate", "5", "--fake-venue", &file]));
        let args::Command::Dev(args) = Cli::try_parse_from(args).unwrap().command else { panic!("not dev") };
        let say = Say::new(false, true);
        let mut stack = Stack::prepare(&args, &say).await.unwrap();
        let tail = Tail::start(&stack.bus, &stack.topics).await.unwrap();
        stack.services.start_all(&say).await.unwrap();
        Self { ground, stack, tail, results: Vec::new() }
    }

    /// `unrip` with these words and no terminal.
    fn unrip(&self, words: &[&str]) -> Output {
        let output = Command::new(program("unrip").unwrap())
            .args(words)
            .args(["--brokers", self.ground.broker.bootstrap()])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let output =
            Output { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) };
        eprintln!("unrip {} -> {}\n{}{}", words.join(" "), output.code, output.out, output.err);
        output
    }

    /// A command that must go well; what it said.
    fn does(&self, words: &[&str]) -> String {
        let output = self.unrip(words);
        assert_eq!(output.code, 0, "{words:?}: {}", output.err);
        output.out
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.does(&["status", "--json"])).unwrap()
    }

    async fn fault(&self, request: Value) {
        self.stack.fakes.of(&check::VENUE.parse().unwrap()).unwrap().control(&request).await.unwrap();
    }

    /// Reads on until a result with this status and code comes.
    async fn until_result(&mut self, status: &str, code: &str) {
        let until = Instant::now() + SOON;
        loop {
            let records = match timeout(until.saturating_duration_since(Instant::now()), self.tail.next()).await {
                Ok(Some(Ok(records))) => records,
                Ok(Some(Err(error))) => {
                    eprintln!("{error}");
                    continue;
                }
                other => panic!("no {status} ({code}): {other:?}\n{}", self.ground.logs()),
            };
            let results = records.iter().filter(|record| record.topic == topic::TRADE_RESULT);
            let fresh: Vec<Value> = results
                .map(|record| serde_json::from_slice::<Value>(&record.value).unwrap()["payload"].clone())
                .collect();
            let found = fresh.iter().any(|result| result["status"] == status && result["result_code"] == code);
            self.results.extend(fresh);
            if found {
                return;
            }
        }
    }

    /// Ids of the claims that are open, once there are so many.
    async fn open_claims(&self, count: usize) -> Vec<String> {
        let until = Instant::now() + SOON;
        loop {
            let status = self.status();
            let partitions = status["partitions"].as_array().unwrap();
            let claims = partitions.iter().flat_map(|partition| partition["claims"].as_array().unwrap());
            let ids: Vec<String> = claims.map(|claim| claim["command_id"].as_str().unwrap().to_owned()).collect();
            if ids.len() >= count {
                return ids;
            }
            assert!(Instant::now() < until, "{status:#}\n{}", self.ground.logs());
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Payloads of a topic about one command.
    async fn about(&self, topic: &str, event_type: &str, id: &str) -> Vec<Value> {
        let records = self.ground.read(topic).await;
        let mine: Vec<_> = records.into_iter().filter(|record| record.key.as_deref() == Some(id.as_bytes())).collect();
        let typed = |record: &unrip_bus::Record| record.header("event_type") == Some(event_type.as_bytes());
        let mine: Vec<_> = mine.into_iter().filter(typed).collect();
        check::envelopes(&mine, &[event_type]).into_iter().map(|seen| seen.value).collect()
    }
}

/// Decides until the deadline allows it; every refusal before that says so.
async fn resolve_once_allowed(run: &Run, id: &str) -> String {
    let words =
        ["resolve", id, "--status", "not_executed", "--reason", "asked the relay by phone", "--by", "ops", "--yes"];
    let until = Instant::now() + SOON;
    loop {
        let output = run.unrip(&words);
        match output.code {
            0 => return output.out,
            code => assert_eq!((code, output.err.contains("may still take")), (65, true), "{}", output.err),
        }
        assert!(Instant::now() < until, "{}", output.err);
        tokio::time::sleep(EVERY * 5).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_halts_resumes_and_decides_a_doubt() {
    let _one = one_at_a_time().await;
    let mut run = Run::start().await;
    run.until_result("executed", "accepted").await;

    // The switch: closed, still closed for the venue, open.
    let output = run.does(&["halt"]);
    assert!(output.contains("fleet: active -> halted, confirmed"), "{output}");
    run.until_result("rejected", "halted").await;
    run.does(&["halt", "--scope", VENUE_SCOPE, "--reason", "fills look wrong", "--by", "ops"]);
    let output = run.does(&["resume", "--reason", "all well", "--by", "ops"]);
    assert!(output.contains("fleet: halted -> active"), "{output}");
    assert!(output.contains("still stricter: venue/near-intents is halted, by ops"), "{output}");
    run.until_result("rejected", "halted").await;
    let output = run.does(&["reduce-only", "--scope", VENUE_SCOPE, "--reason", "careful", "--by", "ops"]);
    assert!(output.contains("halted -> reduce_only") && output.contains("not known"), "{output}");
    run.until_result("rejected", "reduce_only").await;
    let output = run.does(&["resume", "--scope", VENUE_SCOPE, "--reason", "all well", "--by", "ops"]);
    assert!(!output.contains("still stricter"), "{output}");
    run.until_result("executed", "accepted").await;
    let output = run.does(&["halt", "--scope", "venue/no-such-venue"]);
    assert!(output.contains("WARNING: this broker has no topics of a venue `no-such-venue`"), "{output}");

    // Answers are lost and nothing can be asked.
    run.fault(json!({"fault": "set_faults", "never_answer": 1.0, "http_error": 1.0})).await;
    let doubts = run.open_claims(2).await;
    run.does(&["halt", "--reason", "the relay does not answer"]);
    let (first, second) = (doubts[0].as_str(), doubts[1].as_str());
    refuses_what_cannot_be(&run);

    // A person decides, and the executor makes it the one result.
    let output = resolve_once_allowed(&run, first).await;
    assert!(output.contains("not_executed (resolved_by_operator)"), "{output}");
    let output = run.unrip(&["resolve", first, "--status", "executed", "--reason", "x", "--by", "ops", "--yes"]);
    assert!(output.code == 65 && output.err.contains("it has ended: not_executed"), "{}", output.err);

    // Without an executor the decision waits for one.
    let (execute, ingest) = (only(&run.stack, "execute"), only(&run.stack, "ingest"));
    assert_eq!(run.stack.services.stop(&execute, STOP_GRACE).await.as_deref(), Some("exit code 0"));
    let mut words = [
        "resolve",
        second,
        "--status",
        "executed",
        "--reason",
        "seen on chain",
        "--by",
        "ops",
        "--yes",
        "--wait",
        "1s",
    ];
    let output = run.unrip(&words);
    assert!(output.code == 75 && output.err.contains("the decision stands"), "{}", output.err);
    let output = run.unrip(&["resolve", second, "--status", "unresolved", "--reason", "x", "--by", "me", "--yes"]);
    assert!(output.code == 65 && output.err.contains("ops has decided already that it is executed"), "{}", output.err);
    run.stack.services.start(&execute).unwrap();
    words[10] = "120s";
    let output = run.does(&words);
    assert!(output.contains("executed (resolved_by_operator), evidence host: ops: seen on chain"), "{output}");

    // The venue can be asked again: the other doubts resolve themselves.
    run.fault(json!({"fault": "none"})).await;
    assert_eq!(run.stack.services.stop(&ingest, STOP_GRACE).await.as_deref(), Some("exit code 0"));
    all_ended(&run).await;
    let report = audited(&run.stack, &run.ground).await;
    assert!(!report.broken(), "{report}");
    decided(&run, first, "not_executed", "ops: asked the relay by phone").await;
    decided(&run, second, "executed", "ops: seen on chain").await;
}

/// Nothing is written for these.
fn refuses_what_cannot_be(run: &Run) {
    let status = run.status();
    let claims = status["partitions"].as_array().unwrap().iter().flat_map(|at| at["claims"].as_array().unwrap());
    let open = claims.last().unwrap()["command_id"].as_str().unwrap().to_owned();
    let executed = run.results.iter().find(|result| result["result_code"] == "accepted").unwrap();
    let ended = executed["command_id"].as_str().unwrap();
    let never = "00000000000000000000000000000000";
    for (id, more, code, said) in [
        (never, &["--yes"][..], 65, "the journal holds no claim of it"),
        (ended, &["--yes"], 65, "it has ended: executed (accepted)"),
        (open.as_str(), &[], 64, "--yes is missing"),
        ("no-id", &["--yes"], 64, "32 lower-case hex digits"),
    ] {
        let words = ["resolve", id, "--status", "executed", "--reason", "x", "--by", "ops"];
        let output = run.unrip(&[&words, more].concat());
        assert!(output.code == code && output.err.contains(said), "{id}: {} {}", output.code, output.err);
    }
    assert_eq!(run.unrip(&["halt", "--scope", "near-intents"]).code, 64);
    assert_eq!(run.unrip(&["resume", "--reason", " ", "--by", "ops"]).code, 64);
}

async fn all_ended(run: &Run) {
    let until = Instant::now() + SOON;
    loop {
        let status = run.status();
        let open = ["open_claims", "in_doubt", "unpublished"].map(|name| status[name].as_u64().unwrap());
        let lag = status["groups"][0]["lag"].as_i64();
        if open == [0, 0, 0] && lag == Some(0) {
            assert_eq!(status["fleet"], "halted");
            let text = run.does(&["status"]);
            assert!(text.contains("group execute.near_intents") && text.contains("near-intents held by"), "{text}");
            return;
        }
        assert!(Instant::now() < until, "{status:#}\n{}", run.ground.logs());
        tokio::time::sleep(EVERY * 5).await;
    }
}

/// One decision, one status, one result, and they agree.
async fn decided(run: &Run, id: &str, status: &str, detail: &str) {
    let decisions = run.about(topic::JOURNAL, "journal_decision", id).await;
    assert_eq!(decisions.len(), 1, "{decisions:?}");
    assert_eq!((&decisions[0]["payload"]["status"], &decisions[0]["venue"]), (&status.into(), &"near-intents".into()));
    let results = run.about(topic::TRADE_RESULT, "trade_result", id).await;
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(decisions[0]["causation_id"], results[0]["causation_id"]);
    let result = &results[0]["payload"];
    assert_eq!((&result["status"], &result["evidence"]["kind"]), (&status.into(), &"host".into()), "{result}");
    assert_eq!(result["evidence"]["detail"], detail);
    let states = run.about(topic::TRADE_STATUS, "trade_status", id).await;
    let by_operator = states.iter().filter(|one| one["payload"]["state"] == "resolved_by_operator").count();
    assert_eq!(by_operator, 1, "{states:?}");
}
