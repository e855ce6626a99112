//! Child processes that never outlive us: each in a process group of its own, with its output in a file.
//!
//! It does not know what it runs; `unrip dev` and the fault tests give it services, brokers and builds alike.

mod spawner;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How often a wait looks whether the child has ended.
const POLL: Duration = Duration::from_millis(10);

/// What to run and where its output goes. Kept, so that the same process can be started again after a kill.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Short name for messages.
    pub name: String,
    /// Program file, or a name on the path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment added to ours.
    pub envs: BTreeMap<String, String>,
    /// Variables of our environment that it does not get.
    pub unset: Vec<String>,
    /// Working directory; ours if absent.
    pub dir: Option<PathBuf>,
    /// Output is appended here.
    pub log: PathBuf,
    /// A file of its own for standard output, emptied at the start, where a program's first line is to be read.
    pub stdout: Option<PathBuf>,
}

/// Why a process could not be started or reached.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log file cannot be opened.
    #[error("cannot write the log of `{name}` at {}: {source}", path.display())]
    Log {
        /// The process.
        name: String,
        /// The log file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start `{name}` ({}): {source}", program.display())]
    Start {
        /// The process.
        name: String,
        program: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// How a process ended when it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// By itself, within the grace period.
    Exited(ExitStatus),
    /// It had to be killed.
    Killed,
}

/// A running child. Dropping it kills its group.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Child,
    exit: Option<ExitStatus>,
}

impl Spec {
    /// A program by name, with its output in `log`.
    pub fn new(name: &str, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            envs: BTreeMap::new(),
            unset: Vec::new(),
            dir: None,
            log: log.into(),
            stdout: None,
        }
    }

    /// Adds arguments.
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.envs.insert(name.to_owned(), value.into());
        self
    }

    /// Keeps variables of our environment from it.
    pub fn unset<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.unset.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Keeps standard output apart from the log.
    pub fn stdout(mut self, file: impl Into<PathBuf>) -> Self {
        self.stdout = Some(file.into());
        self
    }

    /// Standard output and standard error.
    fn open_outputs(&self) -> Result<(File, File), Error> {
        let failed = |path: &Path| {
            let (name, path) = (self.name.clone(), path.to_owned());
            move |source| Error::Log { name, path, source }
        };
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed(&self.log))?;
        let out = match &self.stdout {
            Some(path) => File::create(path).map_err(failed(path))?,
            None => log.try_clone().map_err(failed(&self.log))?,
        };
        Ok((out, log))
    }

    fn command(&self) -> Result<Command, Error> {
        let (out, err) = self.open_outputs()?;
        let mut command = Command::new(&self.program);
        for name in &self.unset {
            command.env_remove(name);
        }
        command.args(&self.args).envs(&self.envs).stdin(Stdio::null()).stdout(out).stderr(err);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }
}

impl Process {
    /// Starts the process.
    ///
    /// # Errors
    /// The log cannot be written, or the program cannot be run.
    pub fn spawn(spec: Spec) -> Result<Self, Error> {
        let command = spec.command()?;
        let child = spawner::spawn(command).map_err(|source| Error::Start {
            name: spec.name.clone(),
            program: spec.program.clone(),
            source,
        })?;
        Ok(Self { spec, child, exit: None })
    }

    /// The process id, also its group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The short name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// What was started, to start it again.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// How it ended; `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().ok().flatten();
        }
        self.exit
    }

    /// Waits until it ends; `None` after `timeout`. Cancel-safe.
    pub async fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let ended = async {
            loop {
                if let Some(exit) = self.exited() {
                    return exit;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::time::timeout(timeout, ended).await.ok()
    }

    /// The first line that it writes to [`Spec::stdout`]; `None` if it ends or `timeout` passes before. Cancel-safe.
    pub async fn first_line(&mut self, timeout: Duration) -> Option<String> {
        let file = self.spec.stdout.clone()?;
        let line = async {
            loop {
                // Asked before the file is read: what it wrote before it ended counts.
                let has_ended = self.exited().is_some();
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                match text.split_once('\n') {
                    Some((line, _)) => return Some(line.to_owned()),
                    None if has_ended => return None,
                    None => tokio::time::sleep(POLL).await,
                }
            }
        };
        tokio::time::timeout(timeout, line).await.ok().flatten()
    }

    /// Asks it to end (SIGTERM). No effect once it has ended.
    pub fn terminate(&mut self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops it (SIGSTOP), as if its machine slept.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it continue (SIGCONT).
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Whether it is stopped (SIGSTOP), by anyone.
    pub fn is_paused(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['T', 't']))
    }

    /// Ends it at once with all its group (`kill -9`), and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        if self.exit.is_none() {
            self.exit = self.child.wait().ok();
        }
    }

    /// Asks it to end, waits `grace`, and kills it if that was not enough.
    pub async fn stop(&mut self, grace: Duration) -> Stopped {
        self.terminate();
        match self.wait(grace).await {
            Some(exit) => Stopped::Exited(exit),
            None => {
                self.kill();
                Stopped::Killed
            }
        }
    }

    /// The last `lines` lines of its log, for error messages.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines)
    }

    /// The pid is ours as long as the child has not been reaped, so a signal never meets a stranger.
    fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Ok(pid) = i32::try_from(self.child.id())
        {
            // The group may end between the look and the signal: nothing is left to do then.
            killpg(Pid::from_raw(pid), signal).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// `exit code 3` or `signal 9`.
pub fn describe(exit: ExitStatus) -> String {
    match (exit.code(), exit.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => exit.to_string(),
    }
}

/// What `cargo run` and `cargo test` tell a program about its own package. Another cargo must not inherit it: some build
/// scripts depend on these variables, and would be run again each time that they come and go.
pub fn package_variables() -> Vec<String> {
    const PREFIXES: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_CFG_"];
    const NAMES: [&str; 3] = ["CARGO_PRIMARY_PACKAGE", "OUT_DIR", "LD_LIBRARY_PATH"];
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

/// The last `lines` lines of a file; empty if it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    all.get(from..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests;
