//! A real broker for tests and `unrip dev`: Apache Kafka or Nisshi, fetched once into a cache under the home directory.
//!
//! Everything here blocks: call it from a thread that may wait.

mod cache;
mod choose;
mod kafka;
mod nisshi;
mod ready;
mod secured;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use unrip_bus::BusConfig;

use crate::process::Process;

pub use secured::{PASSWORD, Secured, USER};
pub use shared::{for_tests, unique_topic};

/// How often a start is retried because another process took the port.
const PORT_ATTEMPTS_MAX: u32 = 5;
/// How long a drop waits for the program to end by itself, in milliseconds.
const DROP_WAIT_MS_MAX: u64 = 200;

/// Which broker program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Apache Kafka 4.1.0, one node; everything the system can use.
    Kafka,
    /// Nisshi 0.8.1 on SQLite; no transactions.
    Nisshi,
}

/// Receives lines of progress while a broker is fetched or built.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// What the caller wants. By default: `UNRIP_TEST_BROKERS`, the program named by `UNRIP_TEST_BROKER`, one that is in
/// the cache, Kafka where Java and Maven are, else Nisshi by cargo.
#[derive(Clone, Default)]
pub struct BrokerChoice {
    /// Brokers that run already: nothing is started.
    pub brokers: Option<String>,
    /// Take this program.
    pub kind: Option<Kind>,
    /// A broker of its own, whatever `UNRIP_TEST_BROKERS` says: for tests that end it.
    pub own: bool,
    /// With listeners for TLS and for SCRAM over TLS beside the plain one: Kafka only.
    pub secured: bool,
    /// Where programs are kept; `None` is `~/.cache/unrip/brokers`.
    pub cache_dir: Option<PathBuf>,
    /// Receives progress; `None` writes to stderr.
    pub progress: Option<Progress>,
}

impl std::fmt::Debug for BrokerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerChoice").finish_non_exhaustive()
    }
}

/// A broker that runs until dropped. A child process: it ends with this process, however that ends.
pub struct Broker {
    bootstrap: String,
    description: String,
    kind: Option<Kind>,
    program: Option<Program>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").finish_non_exhaustive()
    }
}

/// A program that was started here.
struct Program {
    installed: Installed,
    dir: PathBuf,
    ports: Ports,
    process: Option<Process>,
}

/// A broker program in the cache.
enum Installed {
    Kafka(kafka::Kafka),
    Nisshi(nisshi::Nisshi),
}

/// The ports of one broker; all but the first are Kafka's.
#[derive(Clone, Copy, Debug)]
struct Ports {
    clients: u16,
    controller: u16,
    tls: u16,
    sasl_tls: u16,
}

impl Kind {
    /// The name used in `UNRIP_TEST_BROKER` and `--broker`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Nisshi => "nisshi",
        }
    }

    /// Reads the name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Kafka, Self::Nisshi].into_iter().find(|kind| kind.as_str() == text)
    }

    /// Name and version, for people.
    pub fn title(self) -> String {
        match self {
            Self::Kafka => format!("Apache Kafka {}", kafka::VERSION),
            Self::Nisshi => format!("Nisshi {}", nisshi::VERSION),
        }
    }
}

impl Broker {
    /// Starts a broker with its data and log in `dir`, or takes the one named. A directory used before is taken up again.
    pub fn start(choice: BrokerChoice, dir: &Path) -> anyhow::Result<Self> {
        let chosen = match choose::choose(&choice)? {
            choose::Chosen::Named { brokers, kind, why } => {
                let description = format!("brokers {brokers} ({why}); nothing was started");
                return Ok(Self { bootstrap: brokers, description, kind, program: None });
            }
            choose::Chosen::Start { kind, why } => (kind, why),
        };
        let (kind, why) = chosen;
        let installed = match kind {
            Kind::Kafka => Installed::Kafka(kafka::Kafka::install(&choice)?),
            Kind::Nisshi => Installed::Nisshi(nisshi::Nisshi::install(&choice)?),
        };
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let program = Program::start(installed, dir)?;
        let bootstrap = format!("127.0.0.1:{}", program.ports.clients);
        let description = format!("{} at {bootstrap} ({why}); data and log in {}", kind.title(), program.dir.display());
        Ok(Self { bootstrap, description, kind: Some(kind), program: Some(program) })
    }

    /// `host:port` for `bus.brokers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// How clients reach it, with what they need to know about it.
    pub fn bus(&self) -> BusConfig {
        let mut bus = BusConfig::at(&self.bootstrap);
        if self.kind == Some(Kind::Nisshi) {
            // It sleeps a fetch out before it looks for records again, so a short wait is what makes it quick.
            bus.properties.insert("fetch.wait.max.ms".to_owned(), nisshi::FETCH_WAIT_MS.to_string());
        }
        bus
    }

    /// The secured listeners, where they were asked for.
    pub fn secured(&self) -> Option<Secured> {
        let Program { installed: Installed::Kafka(kafka), dir, ports, .. } = self.program.as_ref()? else {
            return None;
        };
        kafka.secured(dir, *ports)
    }

    /// One line: which broker was taken and why.
    pub fn describe(&self) -> &str {
        &self.description
    }

    /// Which program it is; `None` where brokers were named and `UNRIP_TEST_BROKER` does not say what they are.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Process id of the program, if it was started here and was not ended here.
    pub fn pid(&self) -> Option<u32> {
        self.program.as_ref()?.process.as_ref().map(Process::pid)
    }

    /// The program's log, if it was started here.
    pub fn log_file(&self) -> Option<PathBuf> {
        self.program.as_ref().map(Program::log_file)
    }

    /// Ends it at once, as `kill -9`.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.program_mut().map(|program| program.end(Duration::ZERO))
    }

    /// Asks it to end, and ends it after the wait.
    pub fn stop(&mut self, wait: Duration) -> anyhow::Result<()> {
        self.program_mut().map(|program| program.end(wait))
    }

    /// Starts it again on the same data and ports; returns when it answers.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let program = self.program_mut()?;
        program.end(Duration::ZERO);
        program.run()
    }

    fn program_mut(&mut self) -> anyhow::Result<&mut Program> {
        self.program.as_mut().context("this broker was not started here (set BrokerChoice::own)")
    }
}

impl Program {
    /// Starts on free ports; after a clash it is retried on others.
    fn start(installed: Installed, dir: PathBuf) -> anyhow::Result<Self> {
        let mut program = Self { installed, dir, ports: ready::free_ports()?, process: None };
        for _ in 1..PORT_ATTEMPTS_MAX {
            match program.run() {
                Err(error) if ready::is_port_clash(&program.log_file()) => {
                    tracing::debug!(%error, "the port was taken meanwhile");
                    program.ports = ready::free_ports()?;
                }
                other => return other.map(|()| program),
            }
        }
        program.run().map(|()| program)
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let log = self.log_file();
        let spec = match &self.installed {
            Installed::Kafka(kafka) => kafka.spec(&self.dir, self.ports, &log)?,
            Installed::Nisshi(nisshi) => nisshi.spec(&self.dir, self.ports, &log),
        };
        // Dropped with an error, it is killed.
        let mut process = Process::spawn(spec)?;
        ready::wait_until_ready(&mut process, self.ports.clients).with_context(|| {
            format!("the broker did not start; its log is {}:\n{}", log.display(), ready::tail(&log))
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn end(&mut self, wait: Duration) {
        if let Some(mut process) = self.process.take() {
            ready::end(&mut process, wait);
        }
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("broker.log")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end(Duration::from_millis(DROP_WAIT_MS_MAX));
    }
}
