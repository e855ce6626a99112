//! The command line of a service.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

const CONFIG: &str = "config";
const CHECK_CONFIG: &str = "check-config";

/// What a role's program can do instead of running its service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// An option with a text, for a run of another kind.
    pub mode: Option<Mode>,
    /// A list to print; it needs no configuration.
    pub listing: Option<Listing>,
}

/// An option with a text: the role's code is called with it instead of running the service.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// Its name without dashes.
    pub option: &'static str,
    /// What its text is, in capitals.
    pub value: &'static str,
    /// What it does, for `--help`.
    pub help: &'static str,
}

/// An option that prints a text and exits.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    /// Its name without dashes.
    pub option: &'static str,
    /// What it prints, for `--help`.
    pub help: &'static str,
    /// Makes the text.
    pub text: fn() -> String,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    /// The service, or the role's mode with its text.
    Run { file: PathBuf, mode: Option<String> },
    /// Whether the configuration is good.
    Check { file: PathBuf },
    /// The role's list.
    List,
}

/// Reads the command line, the program's name first. clap's error is also how help and version come back.
pub(super) fn parse(
    role: &str,
    extras: Extras,
    line: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, clap::Error> {
    let mut found = command(role, extras).try_get_matches_from(line)?;
    if extras.listing.is_some_and(|listing| found.get_flag(listing.option)) {
        return Ok(Arguments::List);
    }
    // clap has refused a line without it.
    let file = found.remove_one::<PathBuf>(CONFIG).unwrap_or_default();
    match found.get_flag(CHECK_CONFIG) {
        true => Ok(Arguments::Check { file }),
        false => Ok(Arguments::Run { file, mode: extras.mode.and_then(|mode| found.remove_one(mode.option)) }),
    }
}

fn command(role: &str, extras: Extras) -> Command {
    let name = format!("unrip-{role}");
    let mut config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("TOML configuration; relative paths in it belong to its own folder");
    config = match extras.listing {
        Some(listing) => config.required_unless_present(listing.option),
        None => config.required(true),
    };
    let check = Arg::new(CHECK_CONFIG)
        .long(CHECK_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Read the configuration, load the module as a start would, say what is wrong, and exit");
    let mut command = Command::new("unrip")
        .bin_name(name.clone())
        .display_name(name.clone())
        .about(format!("The {role} service of unrip"))
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(after_help(&name, role))
        .args([config, check]);
    if let Some(Mode { option, value, help }) = extras.mode {
        let mode = Arg::new(option).long(option).value_name(value).help(help).conflicts_with(CHECK_CONFIG);
        command = command.arg(mode);
    }
    if let Some(Listing { option, help, .. }) = extras.listing {
        command = command.arg(Arg::new(option).long(option).action(ArgAction::SetTrue).exclusive(true).help(help));
    }
    command
}

fn after_help(name: &str, role: &str) -> String {
    format!(
        "Environment: UNRIP_<SECTION>_<KEY> over the file, deeper keys with double underscore. A string key takes the
variable's text as it is; lists and tables are written as in TOML.

Examples:
  {name} --config /etc/unrip/{role}.toml
  {name} --config /etc/unrip/{role}.toml --check-config
  UNRIP_BUS_BROKERS=127.0.0.1:9092 UNRIP_SERVICE_LOG_LEVEL=debug {name} --config {role}.toml

Exit codes: 0 stopped as asked (SIGTERM, SIGINT), 64 arguments or configuration, 69 something outside is not there,
70 a bug in unrip, 74 durable state, 78 the module"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::error::ErrorKind;

    use super::*;

    const EXTRAS: Extras = Extras {
        mode: Some(Mode { option: "mend", value: "WHY", help: "Mends it" }),
        listing: Some(Listing { option: "points", help: "Lists them", text: String::new }),
    };

    fn parse(words: &[&str]) -> Result<Arguments, ErrorKind> {
        let line = ["unrip-role"].iter().chain(words).map(OsString::from);
        super::parse("role", EXTRAS, line).map_err(|error| error.kind())
    }

    #[test]
    fn reads_its_arguments() {
        let run = |mode: Option<&str>| Ok(Arguments::Run { file: "a.toml".into(), mode: mode.map(str::to_owned) });
        assert_eq!(parse(&["--config", "a.toml"]), run(None));
        assert_eq!(parse(&["--config", "a.toml", "--mend", "me: so"]), run(Some("me: so")));
        let check = Ok(Arguments::Check { file: Path::new("a.toml").to_owned() });
        assert_eq!(parse(&["--config=a.toml", "--check-config"]), check);
        assert_eq!(parse(&["--points"]), Ok(Arguments::List));
        assert_eq!(parse(&["--help"]), Err(ErrorKind::DisplayHelp));
        assert_eq!(parse(&["--version"]), Err(ErrorKind::DisplayVersion));
    }

    #[test]
    fn refuses_what_it_does_not_know_and_what_is_said_twice() {
        for words in [
            &[][..],
            &["--config"],
            &["--confg", "x"],
            &["x"],
            &["--config", "a.toml", "x"],
            &["--config", "a.toml", "--config", "b.toml"],
            &["--mend"],
            &["--config", "a.toml", "--mend", "so", "--check-config"],
            &["--points", "--config", "a.toml"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn its_help_names_the_program_its_options_and_examples() {
        let help = command("role", EXTRAS).render_help().to_string();
        for expected in
            ["unrip-role", "--mend <WHY>", "--points", "--check-config", "/etc/unrip/role.toml", "Exit codes"]
        {
            assert!(help.contains(expected), "{expected} is missing in\n{help}");
        }
        assert!(!command("role", Extras::default()).render_help().to_string().contains("--mend"));
    }
}
