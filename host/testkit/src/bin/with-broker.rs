//! Runs a command with one broker for all its tests: `with-broker cargo test --workspace`.
//!
//! Without it each test binary that needs a broker starts one of its own, which takes seconds each.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, bail};
use unrip_testkit::broker::{Broker, BrokerChoice};

#[allow(clippy::print_stderr, reason = "a person wants to know which broker was taken")]
fn main() -> anyhow::Result<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    let Some(program) = words.next() else { bail!("usage: with-broker COMMAND [ARGUMENT]...") };
    let dir = tempfile::tempdir()?;
    let broker = Broker::start(BrokerChoice::default(), dir.path())?;
    eprintln!("test broker: {}", broker.describe());
    let mut command = Command::new(&program);
    command.args(words).env("UNRIP_TEST_BROKERS", broker.bootstrap());
    if let Some(kind) = broker.kind() {
        command.env("UNRIP_TEST_BROKER", kind.as_str());
    }
    let status = command.status().with_context(|| format!("run {}", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
