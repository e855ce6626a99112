//! `unrip-audit --config FILE`.

use std::process::ExitCode;

fn main() -> ExitCode {
    unrip_service::run::main("audit", unrip_audit::run)
}
