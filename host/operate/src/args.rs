//! What can be typed after `unrip halt`, `resume`, `reduce-only`, `status` and `resolve`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_core::CommandId;
use unrip_core::event::result::ResultStatus;
use unrip_service::config::{self, ConfigError, Env};

use crate::error::{EXIT_CODES, Error};
use crate::scope::Scope;
use crate::values::{parse_property, parse_time};

/// What the names of variables about the bus begin with; services read them as well.
const BUS_VARIABLES: &str = "UNRIP_BUS_";
/// Where the brokers are, if nothing is typed.
const BROKERS_VARIABLE: &str = "UNRIP_BUS_BROKERS";

const HALT_EXAMPLES: &str = "Examples:
  unrip halt --brokers kafka:9092
  unrip halt --brokers kafka:9092 --scope venue/my-venue --reason \"fills look wrong\"

Without --scope the whole fleet is halted. Nothing more is handed to a venue; what is out already is still followed to
its end. `unrip resume` opens the switch again.";

const MODE_EXAMPLES: &str = "Examples:
  unrip resume --brokers kafka:9092 --reason \"relay is back\"
  unrip reduce-only --brokers kafka:9092 --scope venue/my-venue --reason \"too much stock\"
  unrip resume --brokers kafka:9092 --scope account/my-venue/my-account --reason \"key rotated\"

The strictest of fleet, venue and account counts. Where a venue's positions are not known, reduce-only refuses like halt.";

const STATUS_EXAMPLES: &str = "Examples:
  unrip status --brokers kafka:9092
  unrip status --brokers kafka:9092 --json | jq .in_doubt";

const RESOLVE_EXAMPLES: &str = "Examples:
  unrip resolve 01a202b2c57b305f61b858094c910cf9 --brokers kafka:9092 --status not_executed \\
      --reason \"explorer: nonce unused at block 150000123\"

For a command that was claimed and stays in doubt because the venue cannot be asked. Find out at the venue first; the
decision is final and is published as the command's result. rejected and not_executed are refused while the venue may
still take the answer: until its deadline and 5 s have passed.";

/// How to reach the brokers.
#[derive(Clone, Debug, Default, Args)]
pub struct BusArgs {
    /// The brokers; by default what --bus-config or UNRIP_BUS_BROKERS says.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// A TOML file with a `[bus]` section, such as a service's configuration: for TLS, SASL and other client settings.
    #[arg(long, value_name = "FILE")]
    pub bus_config: Option<PathBuf>,
    /// One client setting, over the file's. Secrets belong into the file: every user of the machine sees arguments.
    #[arg(long = "property", value_name = "KEY=VALUE", value_parser = parse_property)]
    pub properties: Vec<(String, String)>,
}

/// The part of a service's configuration that is read here.
#[derive(Deserialize)]
struct BusFile {
    bus: BusConfig,
}

impl BusArgs {
    /// How to reach the bus.
    ///
    /// # Errors
    /// No broker is named, or the file or a variable cannot be used.
    pub fn bus(&self) -> Result<BusConfig, Error> {
        let wrong = |error: ConfigError| Error::Usage(error.to_string());
        let env = config::environment(std::env::vars_os()).map_err(wrong)?;
        self.bus_of(env)
    }

    fn bus_of(&self, mut env: Env) -> Result<BusConfig, Error> {
        env.retain(|(name, _)| name.starts_with(BUS_VARIABLES));
        if let Some(brokers) = &self.brokers {
            env.retain(|(name, _)| name != BROKERS_VARIABLE);
            env.push((BROKERS_VARIABLE.to_owned(), brokers.clone()));
        }
        let is_named = env.iter().any(|(name, brokers)| name == BROKERS_VARIABLE && !brokers.trim().is_empty());
        let read: Result<BusFile, _> = match &self.bus_config {
            Some(file) => config::load(file, &env),
            None if is_named => config::parse("the environment", "", Path::new("."), &env),
            None => {
                return Err(Error::Usage(format!(
                    "--brokers is missing; name at least one as HOST:PORT, or set {BROKERS_VARIABLE}"
                )));
            }
        };
        let mut bus = read.map_err(|error| Error::Usage(error.to_string()))?.bus;
        bus.properties.extend(self.properties.iter().cloned());
        Ok(bus)
    }
}

/// `unrip halt`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{HALT_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct HaltArgs {
    /// What is halted: `fleet`, `venue/<venue>` or `account/<venue>/<account>`.
    #[arg(long, default_value = "fleet")]
    pub scope: Scope,
    /// Why, for those who come later.
    #[arg(long, default_value = "halted by hand, no reason given")]
    pub reason: String,
    /// Who acts; by default who is logged in.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The brokers.
    #[command(flatten)]
    pub bus: BusArgs,
}

/// `unrip resume` and `unrip reduce-only`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{MODE_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ModeArgs {
    /// For what: `fleet`, `venue/<venue>` or `account/<venue>/<account>`.
    #[arg(long, default_value = "fleet")]
    pub scope: Scope,
    /// Why, for those who come later.
    #[arg(long)]
    pub reason: String,
    /// Who acts; by default who is logged in.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// The brokers.
    #[command(flatten)]
    pub bus: BusArgs,
}

/// `unrip status`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{STATUS_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct StatusArgs {
    /// The brokers.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// `unrip resolve`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{RESOLVE_EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct ResolveArgs {
    /// The command: 32 lower-case hex digits, as `unrip status` shows it.
    #[arg(value_name = "COMMAND_ID")]
    pub command_id: CommandId,
    /// How it ended.
    #[arg(long, value_enum)]
    pub status: Decided,
    /// How you know, for those who come later.
    #[arg(long)]
    pub reason: String,
    /// Who decides; by default who is logged in.
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// How long to wait for the result to be published.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_time)]
    pub wait: Duration,
    /// The brokers.
    #[command(flatten)]
    pub bus: BusArgs,
}

/// What a person can decide. Not `expired`: only the executor knows that nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Decided {
    /// The venue accepted it.
    Executed,
    /// The venue refused it for good.
    Rejected,
    /// It never took effect and never will.
    NotExecuted,
    /// It cannot be known.
    Unresolved,
}

impl Decided {
    /// As the bus says it.
    pub fn status(self) -> ResultStatus {
        match self {
            Self::Executed => ResultStatus::Executed,
            Self::Rejected => ResultStatus::Rejected,
            Self::NotExecuted => ResultStatus::NotExecuted,
            Self::Unresolved => ResultStatus::Unresolved,
        }
    }

    /// Whether it says that the action has no effect: untrue as long as the venue may still take it.
    pub fn is_negative(self) -> bool {
        matches!(self, Self::Rejected | Self::NotExecuted)
    }
}

/// `unrip topics ensure`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:
  unrip topics ensure --venue-file venues/my-venue/venue.toml --brokers kafka:9092 --partitions 6

It says nothing about what executors may do: without a fleet record in ctl.execution they are halted.")]
pub struct EnsureArgs {
    /// The venue's description; may be given several times.
    #[arg(long = "venue-file", value_name = "FILE", required = true)]
    pub venue_files: Vec<PathBuf>,
    /// The brokers.
    #[command(flatten)]
    pub bus: BusArgs,
    /// Partitions of each topic; fixed for good.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=256))]
    pub partitions: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(variables: &[(&str, &str)]) -> Env {
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn takes_the_bus_from_arguments_file_and_environment() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("execute.toml");
        let text = "[service]\nvenue = \"a-venue\"\n[bus]\nbrokers = \"file:1\"\n[bus.properties]\n\"security.protocol\" = \"ssl\"\n";
        std::fs::write(&file, text).unwrap();
        let mut args = BusArgs { bus_config: Some(file), ..BusArgs::default() };
        let secret = ("UNRIP_BUS__PROPERTIES__SASL.PASSWORD", "4711");
        let bus = args.bus_of(env(&[secret, ("UNRIP_EXECUTE_NONSENSE", "x")])).unwrap();
        assert_eq!((bus.brokers.as_str(), bus.properties["security.protocol"].as_str()), ("file:1", "ssl"));
        assert_eq!(bus.properties["sasl.password"], "4711");
        args.brokers = Some("typed:1".to_owned());
        args.properties = vec![parse_property("security.protocol=sasl_ssl").unwrap()];
        let bus = args.bus_of(env(&[("UNRIP_BUS_BROKERS", "env:1")])).unwrap();
        assert_eq!((bus.brokers.as_str(), bus.properties["security.protocol"].as_str()), ("typed:1", "sasl_ssl"));
        let bare = BusArgs::default();
        assert_eq!(bare.bus_of(env(&[("UNRIP_BUS_BROKERS", "env:1")])).unwrap().brokers, "env:1");
        for variables in [&[][..], &[("UNRIP_BUS_BROKERS", " ")]] {
            let error = bare.bus_of(env(variables)).unwrap_err();
            assert!(error.to_string().contains("--brokers is missing"), "{error}");
        }
        let error = bare.bus_of(env(&[("UNRIP_BUS_BROKERS", "e:1"), ("UNRIP_BUS_BROKERZ", "x")])).unwrap_err();
        assert!(error.to_string().contains("UNRIP_BUS_BROKERZ"), "{error}");
        assert!(parse_property("acks").is_err() && parse_property("=1").is_err());
    }
}
