//! `unrip-react --config FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    unrip_service::run::main("react", unrip_react::run)
}
