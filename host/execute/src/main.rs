//! `unrip-execute --config FILE`: one executor of one venue.

use std::process::ExitCode;

fn main() -> ExitCode {
    unrip_service::run::main("execute", unrip_execute::runtime::run)
}
