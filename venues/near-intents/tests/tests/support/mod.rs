//! What the end-to-end tests share: a broker of their own, `unrip dev` as a process, and everything that it wrote.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

pub mod bus;
pub mod check;
pub mod formulas;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use unrip_bus::{Admin, BusConfig, Isolation, Position, Record, read_to_end};
use unrip_dev::stack::Stack;
use unrip_dev::{admin, config};
use unrip_testkit::broker::{Broker, BrokerChoice};
use unrip_testkit::programs::program;

/// The longest wait for anything: the machine may be busy with other tests' builds.
pub const SOON: Duration = Duration::from_secs(120);
/// How often something is looked at while a test waits for it.
pub const EVERY: Duration = Duration::from_millis(50);
/// Partitions of the runs here: more than one, so that keys matter.
pub const PARTITIONS: i32 = 3;

/// The runs share two cores: one after the other is quicker than all at once.
pub async fn one_at_a_time() -> tokio::sync::MutexGuard<'static, ()> {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ONE.lock().await
}

/// What the audit of a run found when it has read everything.
pub async fn audited(stack: &Stack, ground: &Ground) -> admin::AuditReport {
    let until = Instant::now() + SOON;
    loop {
        match admin::report(&stack.services.admin_file(config::AUDIT)).await {
            Ok(report) if report.complete => return report,
            other => assert!(Instant::now() < until, "{other:?}\n{}", ground.logs()),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The only service of a role in a run of one venue.
pub fn only(stack: &Stack, role: &str) -> String {
    let names = stack.services.names_of(role);
    assert_eq!(names.len(), 1, "{names:?}");
    names.into_iter().next().unwrap()
}

/// A broker that no other test sees, and a directory.
pub struct Ground {
    pub dir: tempfile::TempDir,
    pub broker: Broker,
}

impl Ground {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let choice = BrokerChoice { own: true, ..BrokerChoice::default() };
        let broker = Broker::start(choice, &dir.path().join("broker")).unwrap();
        Self { dir, broker }
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    pub fn ledger(&self) -> PathBuf {
        self.run_dir().join("fake-near-intents/ledger.jsonl")
    }

    pub fn bus(&self) -> BusConfig {
        BusConfig::at(self.broker.bootstrap())
    }

    /// A file with settings over the fake venue's.
    pub fn fake_venue(&self, toml: &str) -> String {
        let file = self.dir.path().join("fake.toml");
        std::fs::write(&file, toml).unwrap();
        file.display().to_string()
    }

    /// The arguments that every run here has.
    pub fn args(&self, more: &[&str]) -> Vec<String> {
        let partitions = PARTITIONS.to_string();
        let (dir, brokers) = (self.run_dir().display().to_string(), self.broker.bootstrap());
        let own = [
            "dev",
            "--venue",
            check::VENUE,
            "--dir",
            dir.as_str(),
            "--brokers",
            brokers,
            "--partitions",
            partitions.as_str(),
        ];
        own.iter().chain(more).map(|arg| (*arg).to_owned()).collect()
    }

    /// `unrip dev` to its end: exit code and summary.
    pub fn dev(&self, more: &[&str]) -> (i32, Value) {
        self.dev_in(Path::new(env!("CARGO_MANIFEST_DIR")), more)
    }

    /// As [`Ground::dev`], in another workspace.
    pub fn dev_in(&self, root: &Path, more: &[&str]) -> (i32, Value) {
        let output = Command::new(program("unrip").unwrap())
            .args(self.args(more))
            .args(["--json"])
            .current_dir(root)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let code = output.status.code().unwrap_or(-1);
        let said = String::from_utf8_lossy(&output.stdout);
        let summary = serde_json::from_str(&said).unwrap_or_else(|error| {
            panic!("exit code {code}, and stdout is not one JSON object ({error}): {said}\n{}", self.logs())
        });
        (code, summary)
    }

    /// Every record of a topic, partition by partition.
    pub async fn read(&self, topic: &str) -> Vec<Record> {
        let bus = self.bus();
        let state = Admin::new(&bus).unwrap().describe(topic).await.unwrap();
        let partitions = state.unwrap_or_else(|| panic!("no topic {topic}")).partitions;
        let mut records = Vec::new();
        for partition in 0..partitions {
            records
                .extend(read_to_end(&bus, Position::new(topic, partition, 0), Isolation::ReadCommitted).await.unwrap());
        }
        records
    }

    /// The end of every service's log, for failures.
    pub fn logs(&self) -> String {
        let dir = self.run_dir().join("logs");
        let files = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        files.map(|file| format!("--- {}\n{}\n", file.display(), unrip_testkit::process::tail(&file, 15))).collect()
    }
}

/// The lines of a ledger.
pub fn ledger(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
