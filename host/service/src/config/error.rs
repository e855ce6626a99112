//! What is wrong with a configuration: the key or variable, the reason and the cure, and never a value, for it may be a secret.

use std::collections::BTreeMap;

use super::overlay::Variable;

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
    /// A variable of the environment cannot be used.
    #[error("environment variable {name}: {reason}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it, without its text.
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

/// The file is not TOML.
pub(super) fn syntax(file: &str, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    let reason = error.message().lines().collect::<Vec<_>>().join(", ");
    ConfigError::Syntax { file: file.to_owned(), place: format!("line {line}, column {column}"), reason }
}

/// A key is unknown or missing, or its value has the wrong type.
pub(super) fn wrong_key(
    file: &str,
    origins: &BTreeMap<String, Variable>,
    error: &serde_path_to_error::Error<toml::de::Error>,
) -> ConfigError {
    let reason = error.inner().message().trim();
    let mut key = error.path().to_string();
    // The path ends at the section where a key is missing; the message names the key.
    if let Some(missing) = quoted(reason, "missing field `") {
        key = if key == "." { missing } else { format!("{key}.{missing}") };
    }
    let cure = match () {
        () if reason.starts_with("unknown field") => "remove it or mend its spelling",
        () if reason.starts_with("missing field") => "add it",
        () => "mend its value",
    };
    let (origin, reason) = match origin(origins, &key) {
        Some(variable) => (format!("environment variable {}", variable.name), without_text(reason, &variable.text)),
        None => (file.to_owned(), without_value(reason)),
    };
    ConfigError::Key { origin, key, reason, cure }
}

/// The variable that set the key, a part of which it is, or that alone made its section.
fn origin<'a>(origins: &'a BTreeMap<String, Variable>, key: &str) -> Option<&'a Variable> {
    let is_at = |path: &str| key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    origins.iter().filter(|(path, _)| is_at(path)).max_by_key(|(path, _)| path.len()).map(|(_, variable)| variable)
}

/// serde quotes the value that it found between what it is and what is expected.
fn without_value(reason: &str) -> String {
    for beginning in ["invalid type: ", "invalid value: ", "unknown variant "] {
        let Some(rest) = reason.strip_prefix(beginning) else { continue };
        let Some((found, expected)) = rest.rsplit_once(", expected ") else { continue };
        let kind = found.split(['`', '"']).next().unwrap_or_default();
        return format!("{}, expected {expected}", format!("{beginning}{kind}").trim_end());
    }
    reason.to_owned()
}

/// As [`without_value`], for a reason that a type wrote itself and that may repeat the variable's text.
fn without_text(reason: &str, text: &str) -> String {
    let reason = without_value(reason).replace(&format!("`{text}`"), "its text");
    let is_about_the_key = ["unknown field", "missing field"].iter().any(|about| reason.starts_with(about));
    match !is_about_the_key && !text.is_empty() && reason.contains(text) {
        true => "its text is not valid for this key".to_owned(),
        false => reason,
    }
}

fn quoted(text: &str, before: &str) -> Option<String> {
    let rest = text.strip_prefix(before)?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}
