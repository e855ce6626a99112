//! `unrip-normalize --config FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    unrip_service::run::main("normalize", unrip_normalize::run)
}
