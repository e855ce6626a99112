//! `unrip`: see `unrip --help`.

use std::process::ExitCode;

use clap::Parser;
use unrip_cli::args::{Cli, Command, TopicsCommand};
use unrip_operate::error::{self, Error};
use unrip_operate::{mode, resolve, status, topics};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for; everything else is a mistake.
            let code = if error.use_stderr() { error::USAGE } else { error::OK };
            error.print().ok();
            return ExitCode::from(code);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Error::Software(format!("no runtime: {error}"))),
    };
    let ended = runtime.block_on(run(&cli.command));
    // Nothing that still runs may hold the exit back; children die with us.
    runtime.shutdown_background();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => complain(&error),
    }
}

async fn run(command: &Command) -> Result<u8, Error> {
    match command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => unrip_dev::run(args).await,
        #[cfg(feature = "dev")]
        Command::Chaos(args) => unrip_chaos::run(args).await,
        Command::Topics { command: TopicsCommand::Ensure(args) } => {
            topics::run(args).await?;
            Ok(error::OK)
        }
        Command::Halt(args) => mode::halt(args).await,
        Command::Resume(args) => mode::resume(args).await,
        Command::ReduceOnly(args) => mode::reduce_only(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Resolve(args) => resolve::run(args).await,
    }
}

#[allow(clippy::print_stderr, reason = "errors are for the person at the terminal")]
fn complain(error: &Error) -> ExitCode {
    eprintln!("unrip: {error}");
    ExitCode::from(error.exit_code())
}
