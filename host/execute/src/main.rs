//! `unrip-execute --config FILE`: one executor of one venue.

use std::process::ExitCode;

use unrip_execute::points::Point;

fn main() -> ExitCode {
    // For kill campaigns: this very program says which points it has.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "--points") {
        return print_points();
    }
    unrip_service::run::main("execute", unrip_execute::runtime::run)
}

#[allow(clippy::print_stdout, reason = "the list is what was asked for")]
fn print_points() -> ExitCode {
    Point::ALL.iter().for_each(|point| println!("{point}"));
    ExitCode::SUCCESS
}
