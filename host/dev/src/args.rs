//! What can be typed after `unrip dev`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use unrip_operate::error::EXIT_CODES;
use unrip_operate::values::parse_time;

const DEV_EXAMPLES: &str = "Examples:
  cargo dev                                 until Ctrl-C
  cargo dev --for 30s --rate 50             50 quotes per second for 30 seconds
  cargo dev --quotes 200 --json             200 quotes, then the summary as one JSON object
  cargo dev --brokers 127.0.0.1:9092        on a broker that runs already
  cargo dev --venue-endpoint near-intents.ws=ws://127.0.0.1:7000/ws \\
            --venue-endpoint near-intents.near=http://127.0.0.1:7001/

Everything that the run writes (configuration, secrets, state, logs) is in one directory, which it names; any service can
be started from there by hand: unrip-<role> --config DIR/<role>.toml
";

/// `unrip dev`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{DEV_EXAMPLES}\n{EXIT_CODES}"))]
pub struct DevArgs {
    /// End after this time from the first connection on (`30s`, `5m`, `500ms`).
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub run_for: Option<Duration>,
    /// End when the fake venue has sent so many quotes and every command has its result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub quotes: Option<u64>,
    /// Quotes per second of the fake venue.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0, value_parser = parse_rate)]
    pub rate: f64,
    /// At the end wait so long for results that are missing; what is in doubt then counts as open.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = parse_time)]
    pub settle: Duration,
    /// Print only the summary to stdout, as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Do not print a line per event.
    #[arg(long)]
    pub quiet: bool,
    /// Directory for configuration, secrets, state and logs; a new one if absent.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Which broker to start; by default the quickest to have.
    #[arg(long, value_enum, conflicts_with = "brokers")]
    pub broker: Option<BrokerKind>,
    /// Use brokers that run already.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Partitions of each topic that is made.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=256))]
    pub partitions: i32,
    /// How many executors share the commands.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub executors: u32,
    /// The venue to run, as its folder under `venues/` is named; needed only where there are several.
    #[arg(long)]
    pub venue: Option<String>,
    /// Put another server in the place of one of the fake venue's.
    #[arg(long = "venue-endpoint", value_name = "VENUE.NAME=URL", value_parser = parse_endpoint)]
    pub endpoints: Vec<EndpointArg>,
    /// Set a key of a service's configuration, e.g. `execute.module.limits.call_ms_max=50`.
    #[arg(long = "set", value_name = "ROLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// TOML over the fake venue's settings: faults, pairs, deadlines.
    #[arg(long = "fake-venue", value_name = "FILE")]
    pub fake_venue: Option<PathBuf>,
    /// Use components and services as they were last built.
    #[arg(long)]
    pub no_build: bool,
}

/// Brokers that can be started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BrokerKind {
    /// Apache Kafka; needs Java 17 and Maven.
    Kafka,
    /// Nisshi, built once by cargo; has no transactions.
    Nisshi,
}

/// `near-intents.ws=ws://…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointArg {
    /// The venue.
    pub venue: String,
    /// The endpoint's name.
    pub name: String,
    /// Where it is.
    pub url: String,
}

/// Reads `VENUE.NAME=URL`.
///
/// # Errors
/// It has another shape.
pub fn parse_endpoint(text: &str) -> Result<EndpointArg, String> {
    let parsed =
        text.split_once('=').and_then(|(place, url)| place.split_once('.').map(|(venue, name)| (venue, name, url)));
    match parsed {
        Some((venue, name, url)) if !venue.is_empty() && !name.is_empty() && url.contains("://") => {
            Ok(EndpointArg { venue: venue.to_owned(), name: name.to_owned(), url: url.to_owned() })
        }
        _ => Err("write VENUE.NAME=URL, for example near-intents.ws=ws://127.0.0.1:7000/ws".to_owned()),
    }
}

/// Reads a rate per second.
///
/// # Errors
/// It is no number, or out of range.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=10_000.0).contains(rate))
        .ok_or_else(|| "a number from 0 to 10000".to_owned())
}
