//! The fake venue as a process of its own, for tests that kill it. Prints one JSON line with its URLs, then serves until
//! SIGTERM or Ctrl-C.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use near_intents_fake::{AccountConfig, AmountRange, FakeVenue, FakeVenueConfig, Pair};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

/// A fake NEAR Intents relay and NEAR node on loopback.
#[derive(Debug, Parser)]
#[command(name = "near-intents-fake")]
struct Arguments {
    /// A JSON file with the whole configuration (`FakeVenueConfig`); the other arguments overrule it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Directory of the ledger; a second start goes on from it.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Bearer token that websockets must bring.
    #[arg(long)]
    token: Option<String>,
    /// A known account with its key, `solver.near=ed25519:…`; may be repeated.
    #[arg(long = "account")]
    accounts: Vec<String>,
    /// A pair of assets to quote, `asset_in~asset_out`; may be repeated.
    #[arg(long = "pair")]
    pairs: Vec<String>,
    /// JSON-lines file of sample quotes.
    #[arg(long)]
    samples: Option<PathBuf>,
    /// Quotes per second while somebody is subscribed.
    #[arg(long)]
    quotes_per_second: Option<f64>,
    /// End of the quotes.
    #[arg(long)]
    quotes_max: Option<u64>,
    /// Seed of amounts and choices.
    #[arg(long)]
    seed: Option<u64>,
}

/// Range of generated amounts for pairs given on the command line, base units.
const AMOUNTS: AmountRange = AmountRange { min: 1_000_000, max: 1_000_000_000 };

impl Arguments {
    fn into_config(self) -> anyhow::Result<FakeVenueConfig> {
        let mut config = match &self.config {
            None => FakeVenueConfig::default(),
            Some(path) => {
                let text = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
                serde_json::from_slice(&text).with_context(|| format!("{}", path.display()))?
            }
        };
        config.dir = self.dir.unwrap_or(config.dir);
        config.token = self.token.unwrap_or(config.token);
        for account in &self.accounts {
            let (id, key) = account.split_once('=').with_context(|| format!("--account {account}: no `=`"))?;
            config.accounts.push(AccountConfig::new(id, key));
        }
        for pair in &self.pairs {
            let (asset_in, asset_out) = pair.split_once('~').with_context(|| format!("--pair {pair}: no `~`"))?;
            let (asset_in, asset_out) = (asset_in.to_owned(), asset_out.to_owned());
            config.quotes.pairs.push(Pair { asset_in, asset_out, exact_in: Some(AMOUNTS), exact_out: Some(AMOUNTS) });
        }
        config.quotes.samples = self.samples.or(config.quotes.samples);
        config.quotes.per_second = self.quotes_per_second.unwrap_or(config.quotes.per_second);
        config.quotes.max = self.quotes_max.or(config.quotes.max);
        config.quotes.seed = self.seed.or(config.quotes.seed);
        Ok(config)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let config = Arguments::parse().into_config()?;
    // Before the line is printed, so that whoever reads it may send a signal at once.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let venue = FakeVenue::start(config)?;
    let line = json!({
        "ws": venue.ws_url(), "rpc": venue.rpc_url(), "near": venue.near_url(),
        "ledger": venue.ledger_path(), "pid": std::process::id(),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("print the URLs")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    venue.stop();
    Ok(())
}
