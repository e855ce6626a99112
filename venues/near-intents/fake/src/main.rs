//! The fake venue as a program: `near-intents-fake --config FILE`. Its first line on stdout is one JSON object with
//! endpoints, control address and ledger; it serves until SIGTERM or Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use near_intents_fake::{FakeVenue, ProgramConfig};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A fake NEAR Intents relay and NEAR node on loopback.
#[derive(Debug, Parser)]
#[command(name = "near-intents-fake")]
struct Arguments {
    /// A JSON file; the README beside the sources says what is in it.
    #[arg(long)]
    config: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = ProgramConfig::read(&Arguments::parse().config)?.venue()?;
    // Before the line is printed, so that its reader may send a signal at once.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let venue = FakeVenue::start(config)?;
    let line = json!({
        "endpoints": {"ws": venue.ws_url(), "rpc": venue.rpc_url(), "near": venue.near_url()},
        "control": venue.control_url(),
        "ledger": venue.ledger_path(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("print the first line")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    venue.stop();
    Ok(())
}
