//! The services of a run, each a process with its own configuration file. Dropping them kills all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};
use unrip_testkit::process::{Process, Spec, Stopped, describe};

use crate::admin;
use crate::config::{AUDIT, role_of};
use unrip_operate::error::Error;
use unrip_operate::say::Say;

/// The roles in the order of their start: readers start before writers. They are stopped the other way round.
pub const START_ORDER: [&str; 5] = [AUDIT, "execute", "react", "normalize", INGEST];
/// The role that everything starts with.
pub const INGEST: &str = "ingest";
/// How long a service may take to stop before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(15);
/// How long all services together may take to be ready before the run continues without them.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How often they are asked.
const READY_EVERY: Duration = Duration::from_millis(50);

/// The services by name, `<role>-<venue>`.
#[derive(Debug)]
pub struct Services {
    running: BTreeMap<String, Process>,
    configs: BTreeMap<String, PathBuf>,
    dir: PathBuf,
    bin_dir: PathBuf,
}

impl Services {
    /// Services with these configuration files in `dir`; none runs yet.
    pub fn new(configs: BTreeMap<String, PathBuf>, dir: &Path, bin_dir: &Path) -> Self {
        Self { running: BTreeMap::new(), configs, dir: dir.to_owned(), bin_dir: bin_dir.to_owned() }
    }

    /// Starts a service, again if it has run before.
    ///
    /// # Errors
    /// Its program cannot be run.
    pub fn start(&mut self, name: &str) -> Result<(), Error> {
        self.start_with(name, BTreeMap::new())
    }

    /// As [`Services::start`], with variables of its environment.
    ///
    /// # Errors
    /// Its program cannot be run.
    pub fn start_with(&mut self, name: &str, envs: BTreeMap<String, String>) -> Result<(), Error> {
        let config = self.configs.get(name).ok_or_else(|| Error::Software(format!("no configuration of {name}")))?;
        // What an earlier process wrote would be taken for the new one's address.
        std::fs::remove_file(self.admin_file(name)).ok();
        let mut spec = Spec::new(name, self.program(role_of(name)), self.log(name))
            .args(["--config".to_owned(), config.display().to_string()])
            .dir(&self.dir);
        spec.envs = envs;
        let process = Process::spawn(spec).map_err(|error| Error::Unavailable(error.to_string()))?;
        self.running.insert(name.to_owned(), process);
        Ok(())
    }

    /// Starts all services and waits until they are ready, or for a minute.
    ///
    /// # Errors
    /// A program cannot be run, or one ended while it started.
    pub async fn start_all(&mut self, say: &Say) -> Result<(), Error> {
        // Ingest comes last: answers that are late at start would only expire.
        let (last, first): (Vec<String>, Vec<String>) =
            self.names().into_iter().partition(|name| role_of(name) == INGEST);
        for name in first {
            self.start(&name)?;
        }
        let mut lacking = self.wait_ready(READY_WAIT).await?;
        for name in last {
            self.start(&name)?;
        }
        lacking.extend(self.wait_ready(READY_WAIT).await?);
        for (name, reason) in lacking {
            say.progress(&format!("{name} is not ready yet: {reason}"));
        }
        Ok(())
    }

    /// Waits until every running service is ready; which are still not ready after `wait`, and why.
    ///
    /// # Errors
    /// One ended.
    pub async fn wait_ready(&mut self, wait: Duration) -> Result<BTreeMap<String, String>, Error> {
        let until = Instant::now() + wait;
        loop {
            if let Some((name, how)) = self.died() {
                let said = self.log_tail(&name, 5);
                return Err(Error::Unavailable(format!("{name} ended while it started ({how}):\n{said}")));
            }
            let mut lacking = BTreeMap::new();
            for name in self.running.keys() {
                if let Err(reason) = admin::ready(&self.admin_file(name)).await {
                    lacking.insert(name.clone(), reason);
                }
            }
            if lacking.is_empty() || Instant::now() >= until {
                return Ok(lacking);
            }
            sleep(READY_EVERY).await;
        }
    }

    /// The first service found that ended by itself, and how. It is forgotten then.
    pub fn died(&mut self) -> Option<(String, String)> {
        let dead = self.running.iter_mut().find_map(|(name, process)| Some((name.clone(), process.exited()?)));
        let (name, exit) = dead?;
        self.running.remove(&name);
        Some((name, describe(exit)))
    }

    /// A service's process, while it is kept here.
    pub fn process(&mut self, name: &str) -> Option<&mut Process> {
        self.running.get_mut(name)
    }

    /// Forgets a service that has ended.
    pub fn forget(&mut self, name: &str) {
        self.running.remove(name);
    }

    /// Asks a service to stop, and kills it if it does not. How it ended; `None` if it does not run.
    pub async fn stop(&mut self, name: &str, grace: Duration) -> Option<String> {
        let mut process = self.running.remove(name)?;
        Some(match process.stop(grace).await {
            Stopped::Exited(exit) => describe(exit),
            Stopped::Killed => format!("killed after {} s", grace.as_secs()),
        })
    }

    /// `kill -9`. How it ended; `None` if it does not run.
    pub fn kill(&mut self, name: &str) -> Option<String> {
        let mut process = self.running.remove(name)?;
        process.kill();
        process.exited().map(describe)
    }

    /// Whether it runs, as far as it is known.
    pub fn is_running(&self, name: &str) -> bool {
        self.running.contains_key(name)
    }

    /// All services in the order of their start.
    pub fn names(&self) -> Vec<String> {
        START_ORDER.iter().flat_map(|role| self.names_of(role)).collect()
    }

    /// The services of a role.
    pub fn names_of(&self, role: &str) -> Vec<String> {
        self.configs.keys().filter(|name| role_of(name) == role).cloned().collect()
    }

    /// The program of a role.
    pub fn program(&self, role: &str) -> PathBuf {
        self.bin_dir.join(format!("unrip-{role}"))
    }

    /// Where a service writes the address of its admin endpoint.
    pub fn admin_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.admin"))
    }

    /// The last lines that a service logged.
    pub fn log_tail(&self, name: &str, lines: usize) -> String {
        unrip_testkit::process::tail(&self.log(name), lines)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.join(format!("logs/{name}.log"))
    }
}
