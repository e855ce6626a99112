//! A process's life: arguments, configuration, logs, admin endpoint, signals, the role's work, exit code.

use std::future::Future;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::args::{self, Arguments, Extras};
use super::{Context, RoleConfig, RunError};
use crate::config::{self, ConfigError, Env};
use crate::{admin, exit, shutdown, telemetry};

/// How long the runtime may take to stop what is still running after the role has ended.
const RUNTIME_STOP: Duration = Duration::from_secs(5);

/// Runs a role to its end: `fn main() -> ExitCode { run::main("normalize", unrip_normalize::run) }`.
pub fn main<C, F, R>(role: &'static str, run: F) -> ExitCode
where
    C: RoleConfig,
    F: FnOnce(C, Context) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    main_with(role, Extras::default(), |config, context, _| run(config, context))
}

/// As [`main`], for a role whose program can do more: `run` is given the text of its mode where that was asked for.
pub fn main_with<C, F, R>(role: &'static str, extras: Extras, run: F) -> ExitCode
where
    C: RoleConfig,
    F: FnOnce(C, Context, Option<String>) -> R,
    R: Future<Output = Result<(), RunError>>,
{
    let (file, mode) = match args::parse(role, extras, std::env::args_os()) {
        Ok(Arguments::Run { file, mode }) => (file, mode),
        Ok(Arguments::Check { file }) => return check::<C>(role, &file),
        Ok(Arguments::List) => return print(&extras.listing.map(|listing| (listing.text)()).unwrap_or_default()),
        // Help and version are what was asked for, and no error.
        Err(error) if !error.use_stderr() => return print(&error.to_string()),
        Err(error) => return complain(&error.to_string(), exit::CONFIG),
    };
    let (config, env): (C, Env) = match read(&file) {
        Ok(read) => read,
        Err(error) => return complain(&format!("unrip-{role}: {error}"), exit::CONFIG),
    };
    telemetry::init(role, &config.service().log_level);
    let links = config::service_links(&env);
    if !links.is_empty() {
        tracing::info!(variables = links.join(" "), "ignoring variables that Kubernetes sets for its Services");
    }
    match in_runtime(role, config, |config, context| run(config, context, mode)) {
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

/// Replaces this process by a new one of the same program and arguments, as after a crash: for when what it holds (a
/// client library's timers, say) cannot be trusted any more. Returns only if that fails.
pub fn restart_in_place(reason: &str) -> RunError {
    use std::os::unix::process::CommandExt as _;
    tracing::error!(reason, "restarting the process in place");
    let failed = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    RunError::Software(format!("{reason}, and the program cannot be started again: {failed}"))
}

fn check<C: RoleConfig>(role: &str, file: &Path) -> ExitCode {
    let config: C = match read(file) {
        Ok((config, _)) => config,
        Err(error) => return complain(&format!("unrip-{role}: {error}"), exit::CONFIG),
    };
    match config.check_module() {
        Ok(()) => print(&format!("{}: good\n", file.display())),
        Err(error) => complain(&format!("unrip-{role}: {}: {error}", file.display()), error.exit_code()),
    }
}

fn read<C: RoleConfig>(file: &Path) -> Result<(C, Env), ConfigError> {
    let env = config::environment(std::env::vars_os())?;
    let config: C = config::load(file, &env)?;
    let meaning = |reason| ConfigError::Meaning { file: file.display().to_string(), reason };
    config.check().map_err(meaning)?;
    config.bus().check().map_err(|error| meaning(error.to_string()))?;
    Ok((config, env))
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
        let context = Context { shutdown, ..Context::of(role) };
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
        tracing::info!(role, venue = %service.venue, version = env!("CARGO_PKG_VERSION"), "starting");
        run(config, context).await
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
    ended
}

#[allow(clippy::print_stdout, reason = "what was asked for is for people at a terminal")]
fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::from(exit::OK)
}

#[allow(clippy::print_stderr, reason = "logging starts only after a good configuration was read")]
fn complain(text: &str, exit_code: u8) -> ExitCode {
    eprintln!("{}", text.trim_end());
    ExitCode::from(exit_code)
}
