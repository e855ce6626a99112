//! The frame around a role: arguments, configuration, logs, admin endpoint, signals, exit code.

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::config::{self, ConfigError, ServiceSection};
use crate::health::Health;
use crate::ids::Ids;
use crate::metrics::Registry;
use crate::{admin, exit, shutdown, telemetry};

/// How long the runtime may take to stop what is still running after the role has ended.
const RUNTIME_STOP: Duration = Duration::from_secs(5);

/// The configuration of a role.
pub trait RoleConfig: DeserializeOwned {
    /// The section that every service has.
    fn service(&self) -> &ServiceSection;

    /// Whether the values fit together; the error is shown after the file's name.
    ///
    /// # Errors
    /// What does not fit, and the cure.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// What a role is given besides its configuration. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The role's name.
    pub role: &'static str,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Ids,
    /// Readiness conditions.
    pub health: Health,
    /// Metrics.
    pub metrics: Registry,
    /// Pages of the admin endpoint that the role adds.
    pub pages: admin::Pages,
    /// Cancelled when the service should stop.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Context {
    /// A context for tests: real time, nothing served, a token of its own.
    pub fn for_tests(role: &'static str) -> Self {
        Self {
            role,
            clock: Arc::new(SystemClock),
            ids: Ids::random(),
            health: Health::new(),
            metrics: Registry::new(),
            pages: admin::Pages::default(),
            shutdown: CancellationToken::new(),
        }
    }
}

/// Why a service ended by itself; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be used (64).
    #[error("configuration: {0}")]
    Config(String),
    /// Something outside is not there (69).
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A bug in unrip (70).
    #[error("internal: {0}")]
    Software(String),
    /// Durable state cannot be read or written (74).
    #[error("state: {0}")]
    State(String),
    /// The module cannot be used (78).
    #[error("module: {0}")]
    Module(String),
}

impl RunError {
    /// The exit code that says so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Unavailable(_) => exit::UNAVAILABLE,
            Self::Software(_) => exit::SOFTWARE,
            Self::State(_) => exit::STATE,
            Self::Module(_) => exit::MODULE,
        }
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<admin::AdminError> for RunError {
    fn from(error: admin::AdminError) -> Self {
        Self::Config(error.to_string())
    }
}

/// Something that a role's program does instead of its service: an option with a text.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// The option, with its dashes.
    pub option: &'static str,
    /// What its text is, in capitals.
    pub value: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

/// Runs a role to its end: `fn main() -> ExitCode { run::main("normalize", unrip_normalize::run) }`.
pub fn main<C, F, R>(role: &'static str, run: F) -> ExitCode
where
    C: RoleConfig,
    F: FnOnce(C, Context) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    program(role, None, |config, context, _| run(config, context))
}

/// As [`main`], for a role with a mode: `run` is given its text where it was asked for.
pub fn main_with_mode<C, F, R>(role: &'static str, mode: Mode, run: F) -> ExitCode
where
    C: RoleConfig,
    F: FnOnce(C, Context, Option<String>) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    program(role, Some(mode), run)
}

fn program<C, F, R>(role: &'static str, mode: Option<Mode>, run: F) -> ExitCode
where
    C: RoleConfig,
    F: FnOnce(C, Context, Option<String>) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    let (file, only_check, asked) = match arguments(std::env::args_os().skip(1), mode) {
        Ok(Arguments::Run(file, asked)) => (file, false, asked),
        Ok(Arguments::Check(file)) => (file, true, None),
        Ok(Arguments::Usage) => return say(&usage(role, mode), exit::OK),
        Ok(Arguments::Version) => return say(&version(role), exit::OK),
        Err(reason) => return complain(&format!("{reason}\n\n{}", usage(role, mode))),
    };
    let config: C = match read(&file) {
        Ok(config) => config,
        Err(error) => return complain(&format!("unrip-{role}: {error}")),
    };
    if only_check {
        return say(&format!("{}: good\n", file.display()), exit::OK);
    }
    telemetry::init(role, &config.service().log_level);
    match in_runtime(role, config, |config, context| run(config, context, asked)) {
        Ok(()) => {
            tracing::info!(role, "stopped");
            ExitCode::from(exit::OK)
        }
        Err(error) => {
            tracing::error!(role, exit_code = error.exit_code(), %error, "service ended");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs this program again in this process's place, at once, as after a crash: for when what it holds (a client library's
/// timers, say) cannot be trusted any more. Returns only if that fails.
pub fn begin_anew(reason: &str) -> RunError {
    use std::os::unix::process::CommandExt as _;
    tracing::error!(reason, "beginning anew");
    let failed = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    RunError::Software(format!("{reason}, and the program cannot be run again: {failed}"))
}

fn read<C: RoleConfig>(file: &Path) -> Result<C, ConfigError> {
    let env = config::environment(std::env::vars_os())?;
    let config: C = config::load(file, &env)?;
    config.check().map_err(|reason| ConfigError::Meaning { file: file.display().to_string(), reason })?;
    Ok(config)
}

fn in_runtime<C, F, R>(role: &'static str, config: C, run: F) -> Result<(), RunError>
where
    C: RoleConfig,
    F: FnOnce(C, Context) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| RunError::Software(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(async {
        let shutdown = shutdown::token().map_err(|error| RunError::Software(format!("no signal handlers: {error}")))?;
        let context = Context { role, shutdown, ..Context::for_tests(role) };
        let service = config.service();
        // The admin endpoint outlives the role's work: probes see it until the process ends.
        admin::serve(
            service.admin_listen,
            service.admin_address_file.as_deref(),
            context.health.clone(),
            context.metrics.clone(),
            context.pages.clone(),
            CancellationToken::new(),
        )
        .await?;
        tracing::info!(role, venue = service.venue, version = env!("CARGO_PKG_VERSION"), "starting");
        run(config, context).await
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
    ended
}

enum Arguments {
    Run(PathBuf, Option<String>),
    Check(PathBuf),
    Usage,
    Version,
}

fn arguments(arguments: impl Iterator<Item = OsString>, mode: Option<Mode>) -> Result<Arguments, String> {
    let (mut file, mut check, mut asked) = (None, false, None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Arguments::Usage),
            Some("--version" | "-V") => return Ok(Arguments::Version),
            Some("--check-config") => check = true,
            Some("--config") => file = Some(arguments.next().ok_or("--config needs a file")?.into()),
            Some(text) if text.starts_with("--config=") => file = text.strip_prefix("--config=").map(PathBuf::from),
            Some(text) if mode.is_some_and(|mode| mode.option == text) => {
                let value = arguments.next().and_then(|value| value.into_string().ok());
                asked = Some(value.ok_or_else(|| format!("{text} needs a text"))?);
            }
            _ => return Err(format!("unknown argument `{}`", argument.display())),
        }
    }
    let file = file.ok_or("--config FILE is missing")?;
    Ok(if check { Arguments::Check(file) } else { Arguments::Run(file, asked) })
}

fn version(role: &str) -> String {
    format!("unrip-{role} {}\n", env!("CARGO_PKG_VERSION"))
}

fn usage(role: &str, mode: Option<Mode>) -> String {
    let (short, long) = mode.map_or_else(Default::default, |Mode { option, value, help }| {
        (format!(" [{option} \"{value}\"]"), format!("  {option} \"{value}\"\n                   {help}\n"))
    });
    format!(
        "unrip-{role}: the {role} service of unrip

Usage: unrip-{role} --config FILE [--check-config]{short}

  --config FILE    TOML configuration; relative paths in it belong to its own folder
  --check-config   read the configuration, say what is wrong with it, and exit
{long}  --version        print the version
  --help           print this text

Environment: UNRIP_<SECTION>_<KEY> over the file, deeper keys with double underscore.

Examples:
  unrip-{role} --config /etc/unrip/{role}.toml
  UNRIP_BUS_BROKERS=127.0.0.1:9092 UNRIP_ENDPOINTS__WS__URL=ws://127.0.0.1:7000/ws unrip-{role} --config {role}.toml

Exit codes: 0 stopped as asked (SIGTERM, SIGINT), 64 configuration, 69 something outside is not there,
  70 a bug in unrip, 74 durable state, 78 the module
"
    )
}

#[allow(clippy::print_stdout, reason = "help and version are for people at a terminal")]
fn say(text: &str, code: u8) -> ExitCode {
    print!("{text}");
    ExitCode::from(code)
}

#[allow(clippy::print_stderr, reason = "logging starts only after a good configuration was read")]
fn complain(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(exit::CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode = Mode { option: "--mend", value: "WHY", help: "mends it" };

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        arguments(words.iter().map(OsString::from), Some(MODE))
    }

    #[test]
    fn reads_its_arguments() {
        assert!(
            matches!(parse(&["--config", "a.toml"]), Ok(Arguments::Run(file, None)) if file == Path::new("a.toml"))
        );
        assert!(matches!(parse(&["--config=a.toml", "--check-config"]), Ok(Arguments::Check(_))));
        assert!(matches!(parse(&["--help"]), Ok(Arguments::Usage)));
        let asked = parse(&["--config", "a.toml", "--mend", "me: so"]);
        assert!(matches!(asked, Ok(Arguments::Run(_, Some(text))) if text == "me: so"));
        assert!(usage("role", Some(MODE)).contains("--mend \"WHY\""));
        assert!(!usage("role", None).contains("--mend"));
        for words in [&[][..], &["--config"], &["--confg", "x"], &["x"], &["--mend"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn gives_each_error_its_exit_code() {
        let code = |error: RunError| error.exit_code();
        assert_eq!(code(RunError::Config(String::new())), 64);
        assert_eq!(code(RunError::Unavailable(String::new())), 69);
        assert_eq!(code(RunError::Software(String::new())), 70);
        assert_eq!(code(RunError::State(String::new())), 74);
        assert_eq!(code(RunError::Module(String::new())), 78);
    }
}
