//! Logs: one JSON object per line on stderr.

use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::FormatTime;

/// Starts logging for this process and makes panics log lines too. Later calls change nothing.
///
/// `level` is a tracing filter: `info`, `debug`, `info,unrip_bus=debug`. Libraries of others are held at `warn`.
pub fn init(role: &str, level: &str) {
    // The filter's targets are prefixes: `unrip` matches every crate of unrip.
    let filter = match level.contains(['=', ',']) {
        true => EnvFilter::try_new(level),
        false => EnvFilter::try_new(format!("warn,unrip={level}")),
    };
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("warn,unrip=info"));
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_timer(Micros)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init()
        .is_ok();
    if started {
        let role = role.to_owned();
        std::panic::set_hook(Box::new(move |info| log_panic(&role, info)));
    }
}

fn log_panic(role: &str, info: &PanicHookInfo<'_>) {
    let text = info.payload();
    let text = text.downcast_ref::<&str>().copied().or_else(|| text.downcast_ref::<String>().map(String::as_str));
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        role,
        location,
        panic = text.unwrap_or("unknown"),
        "a part of the service panicked: a bug in unrip"
    );
}

/// Times as records write them.
struct Micros;

impl FormatTime for Micros {
    fn format_time(&self, w: &mut tracing_subscriber::fmt::format::Writer<'_>) -> std::fmt::Result {
        use crate::clock::{Clock, SystemClock};
        write!(w, "{}", SystemClock.now())
    }
}
