//! What can be typed.

use clap::{Parser, Subcommand};
#[cfg(feature = "dev")]
use unrip_chaos::args::ChaosArgs;
#[cfg(feature = "dev")]
use unrip_dev::args::DevArgs;
use unrip_operate::args::{EnsureArgs, HaltArgs, ModeArgs, ResolveArgs, StatusArgs};
use unrip_operate::error::EXIT_CODES;

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
    /// Run everything on this machine: a broker, fake venues and every service as its own process.
    #[cfg(feature = "dev")]
    Dev(DevArgs),
    /// Kill everything again and again while it trades, and compare what happened with the fake venue's ledger.
    #[cfg(feature = "dev")]
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
    /// Make the topics that are not there, and start the journal. Running it again changes nothing.
    Ensure(EnsureArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[cfg(feature = "dev")]
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

    #[cfg(feature = "dev")]
    #[test]
    fn reads_times_rates_and_endpoints() {
        use std::time::Duration;
        let args =
            dev(&["--for", "1.5s", "--rate", "50", "--venue-endpoint", "a-venue.ws=ws://127.0.0.1:1/ws?x=1"]).unwrap();
        assert_eq!(args.run_for, Some(Duration::from_millis(1_500)));
        assert_eq!(args.endpoints[0].name, "ws");
        assert_eq!(args.endpoints[0].url, "ws://127.0.0.1:1/ws?x=1");
        assert_eq!(dev(&["--for", "5m"]).unwrap().run_for, Some(Duration::from_secs(300)));
        assert_eq!(dev(&["--for", "250ms"]).unwrap().run_for, Some(Duration::from_millis(250)));
    }

    #[cfg(feature = "dev")]
    #[test]
    fn refuses_what_makes_no_sense() {
        for words in [
            &["--for", "soon"][..],
            &["--for", "-1s"],
            &["--quotes", "0"],
            &["--rate", "nan"],
            &["--rate", "-1"],
            &["--venue-endpoint", "ws=x"],
            &["--fake-venue", "a-venue="],
            &["--broker", "redpanda"],
            &["--broker", "kafka", "--brokers", "127.0.0.1:9092"],
            &["--unknown"],
        ] {
            assert!(dev(words).is_err(), "{words:?}");
        }
    }

    fn parses(words: &[&str]) -> bool {
        Cli::try_parse_from(["unrip"].iter().chain(words)).is_ok()
    }

    #[test]
    fn halting_takes_one_word() {
        let cli = Cli::try_parse_from(["unrip", "halt"]).unwrap();
        let Command::Halt(args) = cli.command else { panic!("not halt") };
        assert_eq!(args.scope.to_string(), "fleet");
    }

    #[test]
    fn refuses_decisions_and_scopes_that_make_no_sense() {
        let id = "01a202b2c57b305f61b858094c910cf9";
        assert!(parses(&["resolve", id, "--status", "not_executed", "--reason", "x"]));
        for words in [
            &["resume"][..],
            &["halt", "--scope", "venues/x"],
            &["resolve", id, "--reason", "x"],
            &["resolve", id, "--status", "executed"],
            &["resolve", id, "--status", "expired", "--reason", "x"],
            &["resolve", "01A202b2c57b305f61b858094c910cf9", "--status", "executed", "--reason", "x"],
        ] {
            assert!(!parses(words), "{words:?}");
        }
    }
}
