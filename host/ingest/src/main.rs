//! `unrip-ingest --config FILE`: see `unrip-ingest --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    unrip_service::run::main("ingest", unrip_ingest::run)
}
