//! A real broker for tests and `unrip dev`: Apache Kafka or Nisshi, fetched once into a cache under the home directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Which broker program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka 4.1.0, one node.
    Kafka,
    /// Nisshi 0.8.1 on SQLite.
    Nisshi,
}

/// Receives lines of progress while a broker is fetched or built.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// What the caller wants.
#[derive(Clone, Default)]
pub struct BrokerChoice {
    /// Brokers that run already: nothing is started.
    pub brokers: Option<String>,
    /// Take this program; `None` chooses as DESIGN says.
    pub kind: Option<Kind>,
    /// Where programs are kept; `None` is `~/.cache/unrip/brokers`.
    pub cache_dir: Option<PathBuf>,
    /// Receives progress; `None` writes to stderr.
    pub progress: Option<Progress>,
}

/// A broker that runs until dropped.
pub struct Broker {
    bootstrap: String,
}

impl Broker {
    /// Starts a broker with its data and log in `dir`, or takes the one named.
    pub fn start(_choice: BrokerChoice, _dir: &Path) -> anyhow::Result<Self> {
        anyhow::bail!("not there yet")
    }

    /// `host:port` for `bus.brokers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// One line: which broker was taken and why.
    pub fn describe(&self) -> &str {
        ""
    }

    /// Which program it is; `None` where the brokers were named and are unknown.
    pub fn kind(&self) -> Option<Kind> {
        None
    }

    /// Process id of the program, if it was started here and runs.
    pub fn pid(&self) -> Option<u32> {
        None
    }

    /// Ends it at once, as `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Asks it to end, and ends it after the wait.
    pub fn stop(&mut self, _wait: Duration) -> anyhow::Result<()> {
        Ok(())
    }

    /// Starts it again on the same data and port; returns when it answers.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The broker that all tests of a process share: `UNRIP_TEST_BROKERS`, or one started at the first call.
pub fn for_tests() -> &'static Broker {
    unimplemented_yet()
}

/// A topic name that nobody else uses: the prefix and random letters.
pub fn unique_topic(prefix: &str) -> String {
    format!("{prefix}.{}", hex::encode(uuid::Uuid::now_v7().as_bytes()))
}

fn unimplemented_yet() -> &'static Broker {
    loop {
        std::thread::park();
    }
}
