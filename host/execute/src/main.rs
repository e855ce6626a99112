//! `unrip-execute --config FILE`: one executor of one venue.

use std::process::ExitCode;

use unrip_execute::points::Point;
use unrip_service::run::Mode;

fn main() -> ExitCode {
    // For kill campaigns: this very program says which points it has.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--points") {
        return print_points();
    }
    unrip_service::run::main_with_mode("execute", RESEED, |config, context, reseed| async move {
        match reseed {
            Some(reason) => unrip_execute::runtime::reseed::run(config, context, reason).await,
            None => unrip_execute::runtime::run(config, context).await,
        }
    })
}

/// The cure for a lost journal.
const RESEED: Mode = Mode {
    option: "--reseed-journal",
    value: "WHO: WHY",
    help: "write back to a lost journal what this executor's state still knows, and exit; stop all executors before",
};

#[allow(clippy::print_stdout, reason = "the list is what was asked for")]
fn print_points() -> ExitCode {
    Point::ALL.iter().for_each(|point| println!("{point}"));
    ExitCode::SUCCESS
}
