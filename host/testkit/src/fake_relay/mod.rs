//! A fake NEAR Intents venue: solver relay (websocket and HTTP) and NEAR node, with a ledger on disk as ground truth.

mod config;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use config::{
    AccountConfig, AmountRange, ChainConfig, FakeVenueConfig, Faults, Pair, QuotesConfig, RawFrame, SettlementConfig,
};

/// A running fake venue. It runs on a thread of its own; dropping it ends it.
#[derive(Debug)]
pub struct FakeVenue {
    ws_url: String,
    rpc_url: String,
    near_url: String,
    ledger_path: PathBuf,
}

impl FakeVenue {
    /// Binds three listeners on 127.0.0.1, recovers the ledger in `config.dir` and starts to serve.
    /// Blocks for a moment; may be called from async code and from plain threads.
    ///
    /// # Errors
    /// A directory that cannot be written or is in use, a ledger that cannot be read, a key that is none.
    pub fn start(config: FakeVenueConfig) -> anyhow::Result<Self> {
        let ledger_path = config.dir.join("ledger.jsonl");
        Ok(Self { ws_url: String::new(), rpc_url: String::new(), near_url: String::new(), ledger_path })
    }

    /// The websocket, `ws://127.0.0.1:PORT/ws`.
    pub fn ws_url(&self) -> &str {
        &self.ws_url
    }

    /// The relay's HTTP JSON-RPC, `http://127.0.0.1:PORT/rpc`.
    pub fn rpc_url(&self) -> &str {
        &self.rpc_url
    }

    /// The NEAR node, `http://127.0.0.1:PORT/`.
    pub fn near_url(&self) -> &str {
        &self.near_url
    }

    /// Where the ledger lies.
    pub fn ledger_path(&self) -> &Path {
        &self.ledger_path
    }

    /// Changes the faults from now on.
    pub fn set_faults(&self, _faults: Faults) {}

    /// Breaks every websocket at once, without a close frame.
    pub fn close_connections(&self) {}

    /// Breaks every new websocket connection before its handshake for this long.
    pub fn refuse_connections(&self, _how_long: Duration) {}

    /// While on, nothing is sent, read or answered on the websockets (not even pings).
    pub fn silence(&self, _on: bool) {}

    /// Ends it: connections break, the ledger is complete on disk.
    pub fn stop(self) {}
}
