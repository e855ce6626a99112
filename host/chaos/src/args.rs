//! What can be typed after `unrip chaos`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use unrip_core::VenueId;
use unrip_dev::args::{BrokerKind, EndpointArg, parse_endpoint, parse_rate};
use unrip_operate::values::parse_time;

const EXAMPLES: &str = "Examples:
  unrip chaos --kills 50                     a short campaign
  unrip chaos --for 20m --seed 7             twenty minutes of the faults that seed 7 gives
  unrip chaos --kills 30 --points claim_acked,socket_handed --kinds point
  unrip chaos --list-points                  where an executor can be killed

The whole pipeline runs as processes on a broker of its own, against the fake venue, whose ledger is the truth. Faults
overlap. At the end they cease, every command gets its time to end, and records and ledger are held against each other.
The seed is printed; the same seed gives the same plan of faults. Exit code 10: a promise is broken, and the directory
that is named holds everything.";

/// `unrip chaos`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ChaosArgs {
    /// End after so many `kill -9` (100 where neither this nor a time is given).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub kills: Option<u64>,
    /// End the faults after this time.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    pub run_for: Option<Duration>,
    /// Executors that share the commands.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub executors: u32,
    /// Gives the plan of faults; a random one, which is printed, if absent.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Quotes per second of the fake venue.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 20.0, value_parser = parse_rate)]
    pub rate: f64,
    /// Partitions of each topic; as many accounts trade, each on a partition of its own.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=16))]
    pub partitions: i32,
    /// Use components and services as they were last built.
    #[arg(long)]
    pub no_build: bool,
    /// Print only the report to stdout, as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Directory for configuration, secrets, state and logs; a new one if absent.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Which broker to start; by default the quickest to have.
    #[arg(long, value_enum, conflicts_with = "brokers")]
    pub broker: Option<BrokerKind>,
    /// Use brokers that run already; they are left alone.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// The venue to run, as its folder under `venues/` is named; needed only where there are several.
    #[arg(long)]
    pub venue: Option<VenueId>,
    /// Put another server in the place of one of the fake venue's; without the fake venue's own websocket there is no
    /// ledger to judge by.
    #[arg(long = "venue-endpoint", value_name = "VENUE.NAME=URL", value_parser = parse_endpoint)]
    pub endpoints: Vec<EndpointArg>,
    /// Set a key of a service's configuration.
    #[arg(long = "set", value_name = "ROLE.KEY=VALUE")]
    pub set: Vec<String>,
    /// Arm only these points, in turn; all of them if absent.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub points: Vec<String>,
    /// Only these kinds of faults; all of them if absent.
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',')]
    pub kinds: Vec<FaultKind>,
    /// How long commands may take to end after the faults have ceased.
    #[arg(long, value_name = "TIME", default_value = "90s", value_parser = parse_time)]
    pub settle: Duration,
    /// Print the names of the points and end.
    #[arg(long)]
    pub list_points: bool,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FaultKind {
    /// An executor kills or stops itself at a named point.
    Point,
    /// `kill -9` of an executor at any time.
    Random,
    /// `kill -9` of an executor, and its durable state deleted: the journal gives it back.
    State,
    /// SIGSTOP, and SIGCONT later: shorter and longer than the group's patience.
    Stop,
    /// Executors are asked to stop and started again every second.
    Rebalance,
    /// Executors are restarted one by one, each waiting until the one before is ready.
    Rolling,
    /// `kill -9` of the broker.
    Broker,
    /// The venue is slow, silent, loses answers, breaks and refuses connections.
    Venue,
    /// `kill -9` of the other services.
    Services,
}

impl ChaosArgs {
    /// Whether faults of this kind are wanted.
    pub fn wants(&self, kind: FaultKind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }
}
