//! Reading a configuration: file, overlay, types; every mistake is an error with its place, reason and cure.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Table;

use super::overlay::{self, Origins};
use super::sections::ConfigPath;

/// The environment as pairs; tests bring their own.
pub type Env = Vec<(String, String)>;

/// A configuration that cannot be used. The service exits 64 before anything starts.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}; pass the right path with --config FILE")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{file}: not valid TOML, {place}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Line and column.
        place: String,
        /// What the parser expected.
        reason: String,
    },
    /// A variable of the environment is of no use.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A key is unknown or missing, or its value has the wrong type.
    #[error("{origin}: `{key}`: {reason}; {cure}")]
    Key {
        /// The file, or the environment variable that set the key.
        origin: String,
        /// Path of the key, e.g. `module.limits.call_ms_max`.
        key: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        cure: &'static str,
    },
    /// The values are of the right type and do not fit together.
    #[error("{file}: {reason}")]
    Meaning {
        /// The file.
        file: String,
        /// What is wrong, with its cure.
        reason: String,
    },
}

/// Reads `path`, puts the `UNRIP_*` variables of `env` over it, and makes a `T` of it.
///
/// # Errors
/// Everything that [`ConfigError`] lists.
pub fn load<T: DeserializeOwned>(path: &Path, env: &[(String, String)]) -> Result<T, ConfigError> {
    let file = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { file: file.clone(), source })?;
    parse(&file, &text, &folder(path), env)
}

/// As [`load`], of a text that stands in `file`; relative paths belong to `base`.
///
/// # Errors
/// Everything that [`ConfigError`] lists.
pub fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    base: &Path,
    env: &[(String, String)],
) -> Result<T, ConfigError> {
    let mut table: Table = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
    let origins = overlay::apply(&mut table, env).map_err(|(name, reason)| ConfigError::Variable { name, reason })?;
    ConfigPath::relative_to(base, || serde_path_to_error::deserialize(table))
        .map_err(|error| wrong_key(file, &origins, &error))
}

/// The folder of a file, absolute where the working directory is known.
fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or_default()
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let reason = error.message().lines().collect::<Vec<_>>().join(", ");
    ConfigError::Syntax { file: file.to_owned(), place: format!("line {line}, column {column}"), reason }
}

fn wrong_key(file: &str, origins: &Origins, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
    let reason = error.inner().message().trim().to_owned();
    let mut key = error.path().to_string();
    // The path ends at the section where a key is missing; the message names the key.
    if let Some(missing) = quoted(&reason, "missing field `") {
        key = if key == "." { missing } else { format!("{key}.{missing}") };
    }
    let cure = match () {
        () if reason.starts_with("unknown field") => "remove it or mend its spelling",
        () if reason.starts_with("missing field") => "add it",
        () => "mend its value",
    };
    let origin = origins.get(&key).map(|name| format!("environment variable {name}"));
    ConfigError::Key { origin: origin.unwrap_or_else(|| file.to_owned()), key, reason, cure }
}

fn quoted(text: &str, before: &str) -> Option<String> {
    let rest = text.strip_prefix(before)?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CredentialSlots, Endpoints, ServiceSection};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        service: ServiceSection,
        bus: Bus,
        #[serde(default)]
        endpoints: Endpoints,
        #[serde(default)]
        credentials: CredentialSlots,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Bus {
        brokers: String,
        batch_records_max: Option<u32>,
    }

    const GOOD: &str = "[service]\nvenue = \"a-venue\"\n[bus]\nbrokers = \"127.0.0.1:9092\"\n";

    fn read(text: &str, env: &[(&str, &str)]) -> Result<Sample, ConfigError> {
        let env: Env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse("service.toml", text, Path::new("/etc/unrip"), &env)
    }

    #[track_caller]
    fn check_error(text: &str, env: &[(&str, &str)], expected: &str) {
        let message = read(text, env).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\nshould contain: {expected}");
        assert!(!message.contains('\n'), "one line: {message}");
    }

    #[test]
    fn reads_file_and_environment() {
        let env = [
            ("UNRIP_BUS_BROKERS", "127.0.0.1:1"),
            ("UNRIP_BUS_BATCH_RECORDS_MAX", "7"),
            ("UNRIP_ENDPOINTS__WS__URL", "wss://relay"),
            ("UNRIP_SERVICE_VENUE", "42"),
            ("UNRIP_TEST_BROKERS", "not ours"),
            ("PATH", "/bin"),
        ];
        let sample = read(GOOD, &env).unwrap();
        assert_eq!(sample.bus.brokers, "127.0.0.1:1");
        assert_eq!(sample.bus.batch_records_max, Some(7));
        assert_eq!(sample.endpoints["ws"].url, "wss://relay");
        assert_eq!(sample.service.venue, "42", "a string stays a string");
    }

    #[test]
    fn takes_relative_paths_from_the_folder_of_the_file() {
        let slots = "[credentials.a]\nfile = \"secrets/a\"\n[credentials.b]\nfile = \"/run/b\"\n";
        let sample = read(&format!("{GOOD}{slots}"), &[]).unwrap();
        assert_eq!(&*sample.credentials["a"].file, Path::new("/etc/unrip/secrets/a"));
        assert_eq!(&*sample.credentials["b"].file, Path::new("/run/b"));
    }

    #[test]
    fn names_file_key_reason_and_cure() {
        check_error(&format!("{GOOD}brokerz = 1\n"), &[], "service.toml: `bus.brokerz`: unknown field `brokerz`");
        check_error(&format!("{GOOD}brokerz = 1\n"), &[], "remove it or mend its spelling");
        check_error(&format!("{GOOD}[nonsense]\n"), &[], "`nonsense`: unknown field `nonsense`");
        check_error("[service]\nvenue = \"x\"\n[bus]\n", &[], "`bus.brokers`: missing field `brokers`; add it");
        check_error("[service]\nvenue = \"x\"\n", &[], "`bus`: missing field `bus`; add it");
        check_error(
            &format!("{GOOD}batch_records_max = \"many\"\n"),
            &[],
            "`bus.batch_records_max`: invalid type: string",
        );
        check_error(&format!("{GOOD}batch_records_max = -1\n"), &[], "`bus.batch_records_max`: invalid value");
        check_error(
            &format!("{GOOD}[endpoints.ws]\nurl = \"x\"\npingg = 1\n"),
            &[],
            "`endpoints.ws.pingg`: unknown field `pingg`",
        );
    }

    #[test]
    fn names_the_place_of_a_syntax_error() {
        check_error("[service]\nvenue = = 1\n", &[], "service.toml: not valid TOML, line 2, column 9");
    }

    #[test]
    fn names_the_variable_that_set_a_wrong_key() {
        check_error(
            GOOD,
            &[("UNRIP_BUS_BATCH_RECORDS_MAX", "many")],
            "environment variable UNRIP_BUS_BATCH_RECORDS_MAX",
        );
        check_error(GOOD, &[("UNRIP_BUS_BROKERZ", "x")], "environment variable UNRIP_BUS_BROKERZ: `bus.brokerz`");
        check_error(GOOD, &[("UNRIP_BUS", "x")], "environment variable UNRIP_BUS: it names no key");
        check_error(GOOD, &[("UNRIP_BUS__BROKERS__X", "x")], "`brokers` is a value, not a section");
    }

    #[test]
    fn names_a_file_that_is_not_there() {
        let error = load::<Sample>(Path::new("/nowhere/service.toml"), &[]).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/service.toml: cannot be read"), "{error}");
    }
}
