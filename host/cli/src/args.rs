//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::chaos::args::ChaosArgs;
use crate::operate::args::{HaltArgs, ModeArgs, ResolveArgs, StatusArgs};

pub(crate) const EXIT_CODES: &str = "Exit codes:
  0    all went well (also after Ctrl-C)
  10   dev, chaos: a broken promise was found
  11   dev: a service ended by itself
  64   arguments or configuration are wrong
  65   resolve: refused as things stand; nothing was changed
  69   a broker, a toolchain or a build is not to be had
  70   a bug in unrip
  74   a file cannot be read or written
  75   resolve: the decision stands, its result is not published yet
  130  Ctrl-C before everything ran";

/// Trade through sandboxed venue modules on a Kafka-compatible log.
#[derive(Debug, Parser)]
#[command(name = "unrip", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything on this machine: a broker, a fake venue and every service as its own process.
    Dev(DevArgs),
    /// Kill everything again and again while it trades, and hold what happened against the fake venue's ledger.
    Chaos(ChaosArgs),
    /// Make the topics that services need.
    Topics {
        /// What to do with them.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Stop all dispatches at once: of the fleet, or of one venue or account.
    Halt(HaltArgs),
    /// Let executors dispatch again.
    Resume(ModeArgs),
    /// Let through only what makes a position smaller.
    ReduceOnly(ModeArgs),
    /// Show what executors may do, who holds which partition, and what is open or in doubt.
    Status(StatusArgs),
    /// Decide how a command ends that stays in doubt. A person's decision; it is recorded.
    Resolve(ResolveArgs),
}

/// `unrip topics …`
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Make the topics that are not there, and begin the journal. Running it again changes nothing.
    Ensure(EnsureArgs),
}

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

/// `unrip topics ensure`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  unrip topics ensure --venue-file venues/near-intents/venue.toml --brokers kafka:9092 --partitions 6

It says nothing about what executors may do: without a fleet record in ctl.execution they are halted.")]
pub struct EnsureArgs {
    /// The venue's description; may be given several times.
    #[arg(long = "venue-file", value_name = "FILE", required = true)]
    pub venue_files: Vec<PathBuf>,
    /// The brokers.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: String,
    /// Partitions of each topic; fixed for good.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=256))]
    pub partitions: i32,
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

pub(crate) fn parse_endpoint(text: &str) -> Result<EndpointArg, String> {
    let parsed =
        text.split_once('=').and_then(|(place, url)| place.split_once('.').map(|(venue, name)| (venue, name, url)));
    match parsed {
        Some((venue, name, url)) if !venue.is_empty() && !name.is_empty() && url.contains("://") => {
            Ok(EndpointArg { venue: venue.to_owned(), name: name.to_owned(), url: url.to_owned() })
        }
        _ => Err("write VENUE.NAME=URL, for example near-intents.ws=ws://127.0.0.1:7000/ws".to_owned()),
    }
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| (0.0..=10_000.0).contains(rate))
        .ok_or_else(|| "a number from 0 to 10000".to_owned())
}

/// `500ms`, `30s`, `5m`, `1h`; a bare number is seconds.
pub(crate) fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("write a time as 500ms, 30s, 5m or 1h".to_owned()),
    };
    let seconds: f64 = number.parse().map_err(|_| "write a time as 500ms, 30s, 5m or 1h".to_owned())?;
    Duration::try_from_secs_f64(seconds * scale).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn dev(words: &[&str]) -> Result<DevArgs, clap::Error> {
        let all = ["unrip", "dev"].iter().chain(words);
        Cli::try_parse_from(all).map(|cli| match cli.command {
            Command::Dev(args) => args,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_times_rates_and_endpoints() {
        let args =
            dev(&["--for", "1.5s", "--rate", "50", "--venue-endpoint", "a-venue.ws=ws://127.0.0.1:1/ws?x=1"]).unwrap();
        assert_eq!(args.run_for, Some(Duration::from_millis(1_500)));
        assert_eq!(args.endpoints[0].name, "ws");
        assert_eq!(args.endpoints[0].url, "ws://127.0.0.1:1/ws?x=1");
        assert_eq!(dev(&["--for", "5m"]).unwrap().run_for, Some(Duration::from_secs(300)));
        assert_eq!(dev(&["--for", "250ms"]).unwrap().run_for, Some(Duration::from_millis(250)));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for words in [
            &["--for", "soon"][..],
            &["--for", "-1s"],
            &["--quotes", "0"],
            &["--rate", "nan"],
            &["--rate", "-1"],
            &["--venue-endpoint", "ws=x"],
            &["--broker", "redpanda"],
            &["--broker", "kafka", "--brokers", "127.0.0.1:9092"],
            &["--unknown"],
        ] {
            assert!(dev(words).is_err(), "{words:?}");
        }
    }
}
