//! A fake NEAR Intents venue: the solver relay (websocket and HTTP) and a NEAR node, speaking the real protocol.
//!
//! It verifies every answer by code of its own, settles what it accepts, and writes a ledger to disk before it answers or
//! sends anything: the ledger is the ground truth of tests. Started again in the same directory it continues from there.
//!
//! Where things are: `socket` and `protocol` the websocket, `judge` (with `nep413`, `terms`) the verdict on an answer,
//! `drafts`, `quotes` and `inject` what is sent, `settle` what becomes of accepted answers, `web` and `near` the HTTP sides,
//! `chain` blocks and salts, `clock` the time, `state` everything known, `ledger*` the file, `faults` and `control` what goes
//! wrong on purpose, `program` what the program is started with.

mod account;
mod chain;
mod clock;
mod config;
mod control;
mod drafts;
mod faults;
mod hub;
mod inject;
mod judge;
mod ledger;
mod ledger_answers;
mod ledger_lines;
mod ledger_read;
mod near;
mod nep413;
mod program;
mod protocol;
mod quotes;
mod refusal;
mod rng;
mod settle;
mod socket;
mod state;
mod terms;
mod venue;
mod web;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

pub use self::config::{
    AccountConfig, AmountRange, ChainConfig, FakeVenueConfig, Pair, QuotesConfig, SettlementConfig,
};
pub use self::control::Control;
pub use self::faults::{Faults, RawFrame, Scenario, ScenarioName};
pub use self::ledger_lines::{
    Accepted, Duplicate, Ended, Entry, Frame, Line, Overdrawn, Quote, Replied, Response, Settled, Start, Verdict,
};
pub use self::ledger_read::Ledger;
pub use self::program::ProgramConfig;

use self::venue::Venue;

/// A running fake venue. It runs on a thread of its own; dropping it ends it.
#[derive(Debug)]
pub struct FakeVenue {
    ws_url: String,
    rpc_url: String,
    control_url: String,
    near_url: String,
    ledger_path: PathBuf,
    venue: Arc<Venue>,
    thread: Option<JoinHandle<()>>,
}

impl FakeVenue {
    /// Binds three listeners on 127.0.0.1, recovers the ledger in `config.dir` and starts to serve.
    /// Blocks for a moment; may be called from async code and from plain threads.
    ///
    /// # Errors
    /// A directory that cannot be written or is in use, a ledger or sample file that cannot be read, something that is not a valid key.
    pub fn start(config: FakeVenueConfig) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.dir).with_context(|| format!("make {}", config.dir.display()))?;
        let ledger_path = config.dir.join("ledger.jsonl");
        let (ledger, lines) = ledger::Writer::open(&ledger_path)?;
        // What stands in the ledger is past, whatever the machine's clock says today.
        let newest_ms = lines.iter().map(|line| line.at_ms).max().unwrap_or(0);
        let clock = clock::WallClock::new(config.clock_offset_ms, newest_ms);
        let seed = match config.quotes.seed {
            Some(seed) => seed,
            None => u64::from_be_bytes(rng::fresh_bytes()?),
        };
        let (state, start) = state::State::recover(&config, &lines, clock.now_ms(), seed, rng::fresh_bytes()?)
            .context("recover the ledger")?;
        let samples = drafts::samples(&config)?;
        let open: Vec<String> = state.pending.keys().cloned().collect();
        let ((ws, ws_at), (rpc, rpc_at), (near, near_at)) = (bind()?, bind()?, bind()?);
        ledger.append(clock.now_ms(), Entry::Start(start));
        let venue = Arc::new(Venue::new(config, clock, ledger, state, samples));
        let thread = spawn(venue.clone(), [ws, rpc, near], open)?;
        Ok(Self {
            ws_url: format!("ws://{ws_at}/ws"),
            rpc_url: format!("http://{rpc_at}/rpc"),
            control_url: format!("http://{rpc_at}/control"),
            near_url: format!("http://{near_at}/"),
            ledger_path,
            venue,
            thread: Some(thread),
        })
    }

    /// The websocket, `ws://127.0.0.1:PORT/ws`.
    pub fn ws_url(&self) -> &str {
        &self.ws_url
    }

    /// The relay's HTTP JSON-RPC, `http://127.0.0.1:PORT/rpc`.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// Where a [`Control`] can be posted as JSON.
    pub fn control_url(&self) -> &str {
        &self.control_url
    }

    /// The NEAR node, `http://127.0.0.1:PORT/`.
    pub fn near_url(&self) -> &str {
        &self.near_url
    }

    /// Where the ledger lies.
    pub fn ledger_path(&self) -> &Path {
        &self.ledger_path
    }

    /// The ledger as it is on disk now.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn ledger(&self) -> anyhow::Result<Ledger> {
        Ledger::read(&self.ledger_path)
    }

    /// Waits until the ledger on disk is as wanted, and gives it.
    ///
    /// # Errors
    /// It is not so within `limit`, or cannot be read or written.
    pub async fn ledger_when(&self, limit: Duration, wanted: impl Fn(&Ledger) -> bool) -> anyhow::Result<Ledger> {
        let waiting = async {
            loop {
                let seen = self.venue.ledger.durable_lines();
                let ledger = self.ledger()?;
                if wanted(&ledger) {
                    return Ok(ledger);
                }
                self.venue.ledger.grown(seen).await?;
            }
        };
        tokio::time::timeout(limit, waiting).await.context("the ledger did not come to be as wanted in time")?
    }

    /// Does what is asked for; gives the quote id of `SendQuote` and the salt of `RotateSalt`, else null.
    ///
    /// # Errors
    /// A ledger that cannot be written, or data that is no quote.
    pub async fn control(&self, control: Control) -> anyhow::Result<Value> {
        control::apply(&self.venue, control).await
    }

    /// Changes the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.venue.state().faults = faults;
    }

    /// Breaks every websocket at once, without a close frame.
    pub fn close_connections(&self) {
        self.venue.hub.break_all();
    }

    /// Breaks every new websocket before its handshake for this long.
    pub fn refuse_connections(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.venue.refuse_until_ms.send_replace(self.venue.clock.now_ms().saturating_add(ms));
    }

    /// While on, nothing is sent, read or answered on the websockets, not even pings.
    pub fn set_silent(&self, on: bool) {
        self.venue.silent.send_replace(on);
    }

    /// How many websockets are open.
    pub fn connections(&self) -> usize {
        self.venue.hub.connections()
    }

    /// Ends it: connections break, the ledger is complete on disk. Dropping does the same.
    pub fn stop(self) {}
}

impl Drop for FakeVenue {
    fn drop(&mut self) {
        self.venue.stop.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn bind() -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen on 127.0.0.1")?;
    listener.set_nonblocking(true).context("listen on 127.0.0.1")?;
    let address = listener.local_addr().context("listen on 127.0.0.1")?;
    Ok((listener, address))
}

/// Runs the venue on a thread with a runtime of its own, so that it lives apart from whatever runtime its user has.
fn spawn(venue: Arc<Venue>, listeners: [TcpListener; 3], open: Vec<String>) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    let [ws, rpc, near] = {
        let _inside = runtime.enter();
        let [ws, rpc, near] = listeners.map(tokio::net::TcpListener::from_std);
        [ws?, rpc?, near?]
    };
    let serve = async move {
        for quote_hash in open {
            settle::spawn(&venue, quote_hash);
        }
        tokio::join!(
            socket::serve(venue.clone(), ws),
            web::serve_rpc(venue.clone(), rpc),
            web::serve_near(venue.clone(), near),
            quotes::run(venue.clone()),
            inject::run(venue.clone()),
        );
    };
    std::thread::Builder::new()
        .name("fake-relay".into())
        .spawn(move || {
            runtime.block_on(serve);
            // Connections are not waited for: a venue that stops is a venue that is gone.
            runtime.shutdown_background();
        })
        .context("start the venue's thread")
}
