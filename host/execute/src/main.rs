//! `unrip-execute --config FILE`: one executor of one venue.

use std::process::ExitCode;

use unrip_execute::points::Point;
use unrip_service::run::{Extras, Listing, Mode, main_with};

/// What the program can do besides: the cure for a lost journal, and for kill campaigns the points that it has.
const EXTRAS: Extras = Extras {
    mode: Some(Mode {
        option: "reseed-journal",
        value: "WHO: WHY",
        help: "Write back to a lost journal what this executor's state still knows, and exit; stop all executors before",
    }),
    listing: Some(Listing {
        option: "points",
        help: "Print the named points at which a drill can end or stop this process, and exit",
        text: points,
    }),
};

fn main() -> ExitCode {
    main_with("execute", EXTRAS, |config, context, reseed| async move {
        match reseed {
            Some(reason) => unrip_execute::start::reseed::run(config, context, reason).await,
            None => unrip_execute::start::run(config, context).await,
        }
    })
}

fn points() -> String {
    Point::ALL.iter().map(|point| format!("{point}\n")).collect()
}
