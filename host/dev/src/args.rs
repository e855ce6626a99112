//! What can be typed after `unrip dev`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use unrip_core::VenueId;
use unrip_core::names::InvalidName;
use unrip_operate::error::EXIT_CODES;
use unrip_operate::values::parse_time;

const DEV_EXAMPLES: &str = "Examples:
  cargo dev                                 until Ctrl-C
  cargo dev --for 30s --rate 50             50 quotes per second for 30 seconds
  cargo dev --quotes 200 --json             200 quotes, then the summary as one JSON object
  cargo dev --brokers 127.0.0.1:9092        on a broker that runs already
  cargo dev --venue-endpoint VENUE.ws=ws://127.0.0.1:7000/ws \\
            --venue-endpoint VENUE.rpc=http://127.0.0.1:7001/

Everything that the run writes (configuration, secrets, state, logs) is in one directory, which it names; any service can
be started from there by hand: unrip-<role> --config DIR/<role>-<venue>.toml

Secrets are made where they are missing. To use your own, put them into DIR first, at the paths that the venue's
venue.toml names: `credentials.<name>.file` (the secret as one line of text) and `signer.<name>.key_file` (for nep413:
`ed25519:<base58>` of seed or key pair, or the seed as 64 hex digits). The run names each file that it found or made.
";

/// `unrip dev`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{DEV_EXAMPLES}\n{EXIT_CODES}"))]
pub struct DevArgs {
    /// End after this time from the first connection on (`30s`, `5m`, `500ms`).
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub run_for: Option<Duration>,
    /// End when each fake venue has sent this many quotes and every command has its result.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub quotes: Option<u64>,
    /// Quotes per second of each fake venue.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 10.0, value_parser = parse_rate)]
    pub rate: f64,
    /// How long to wait at the end for results that are missing; what is in doubt then counts as open.
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
    /// A venue to run, as its folder under `venues/` is named; may be repeated. All venues if absent.
    #[arg(long = "venue", value_name = "VENUE")]
    pub venues: Vec<VenueId>,
    /// Use another server in place of one of the fake venue's.
    #[arg(long = "venue-endpoint", value_name = "VENUE.NAME=URL", value_parser = parse_endpoint)]
    pub endpoints: Vec<EndpointArg>,
    /// Set a key of a role's configuration, e.g. `execute.module.limits.call_ms_max=50`, or of one service's
    /// (`<role>-<venue>.KEY=VALUE`).
    #[arg(long = "set", value_name = "ROLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// TOML laid over the settings of every fake venue, or of one.
    #[arg(long = "fake-venue", value_name = "[VENUE=]FILE", value_parser = parse_fake_venue)]
    pub fake_venues: Vec<FakeVenueArg>,
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

/// A file with settings of fakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeVenueArg {
    /// For this venue's only.
    pub venue: Option<VenueId>,
    /// TOML.
    pub file: PathBuf,
}

/// Reads `[VENUE=]FILE`.
///
/// # Errors
/// The file has no name.
pub fn parse_fake_venue(text: &str) -> Result<FakeVenueArg, String> {
    // A path with `=` in it is not mistaken for a venue: venues have no `/` and no `.` in their names.
    let of_venue = text.split_once('=').and_then(|(venue, file)| Some((venue.parse().ok()?, file)));
    let (venue, file) = of_venue.map_or((None, text), |(venue, file)| (Some(venue), file));
    if file.is_empty() { Err("write [VENUE=]FILE".to_owned()) } else { Ok(FakeVenueArg { venue, file: file.into() }) }
}

/// `VENUE.ws=ws://…`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointArg {
    pub venue: VenueId,
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
        Some((venue, name, url)) if !name.is_empty() && url.contains("://") => {
            let venue = venue.parse().map_err(|error: InvalidName| error.to_string())?;
            Ok(EndpointArg { venue, name: name.to_owned(), url: url.to_owned() })
        }
        _ => Err("write VENUE.NAME=URL, for example a-venue.ws=ws://127.0.0.1:7000/ws".to_owned()),
    }
}

/// Reads a rate per second.
///
/// # Errors
/// Not a number, or out of range.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=10_000.0).contains(rate))
        .ok_or_else(|| "a number from 0 to 10000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_venue_before_a_file_or_an_endpoint_is_one_that_can_be() {
        let plain = parse_fake_venue("fast.toml").unwrap();
        assert_eq!((plain.venue, plain.file), (None, "fast.toml".into()));
        let one = parse_fake_venue("a-venue=fast.toml").unwrap();
        assert_eq!((one.venue.unwrap().as_str(), one.file), ("a-venue", "fast.toml".into()));
        for path in ["dir/a=b.toml", "a.b=c"] {
            let whole = parse_fake_venue(path).unwrap();
            assert_eq!((whole.venue, whole.file), (None, path.into()));
        }
        assert!(parse_fake_venue("").is_err() && parse_fake_venue("a-venue=").is_err());

        let endpoint = parse_endpoint("a-venue.ws=ws://127.0.0.1:7000/ws").unwrap();
        assert_eq!((endpoint.venue.as_str(), endpoint.name.as_str()), ("a-venue", "ws"));
        assert!(parse_endpoint("a_venue.ws=ws://127.0.0.1:7000/ws").unwrap_err().contains("not a venue's name"));
        for wrong in ["ws=ws://h", "a-venue.=ws://h", ".ws=ws://h", "a-venue.ws=h"] {
            assert!(parse_endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
