//! Reading a configuration: file, overlay, types; every mistake is an error with its place, reason and cure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Table;

use super::error::{ConfigError, syntax, wrong_key};
use super::links::is_service_link;
use super::overlay;
use super::sections::ConfigPath;

/// The environment as pairs; tests bring their own.
pub type Env = Vec<(String, String)>;

/// The variables of unrip in the environment.
///
/// # Errors
/// One of them is not UTF-8.
pub fn environment(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Env, ConfigError> {
    let mut env = Env::new();
    for (name, text) in variables {
        let shown = name.to_string_lossy().into_owned();
        if !overlay::is_ours(&shown) {
            continue;
        }
        let wrong = |reason: &str| ConfigError::Variable { name: shown.clone(), reason: reason.to_owned() };
        let name = name.into_string().map_err(|_| wrong("its name is not UTF-8; remove it or mend its spelling"))?;
        let text = text.into_string().map_err(|_| wrong("its text is not UTF-8; set it again, in UTF-8"))?;
        env.push((name, text));
    }
    env.sort();
    Ok(env)
}

/// The variables among them that Kubernetes sets for its Services. They say nothing about a configuration.
pub fn service_links(env: &[(String, String)]) -> Vec<&str> {
    env.iter().filter(|(name, text)| is_service_link(name, text)).map(|(name, _)| name.as_str()).collect()
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

/// As [`load`], of the text of `file`; relative paths belong to `base`.
///
/// # Errors
/// Everything that [`ConfigError`] lists.
pub fn parse<T: DeserializeOwned>(
    file: &str,
    text: &str,
    base: &Path,
    env: &[(String, String)],
) -> Result<T, ConfigError> {
    let table: Table = toml::from_str(text).map_err(|error| syntax(file, text, &error))?;
    let root = overlay::over(table, env).map_err(|(name, reason)| ConfigError::Variable { name, reason })?;
    let origins = root.origins();
    ConfigPath::relative_to(base, || serde_path_to_error::deserialize(root))
        .map_err(|error| wrong_key(file, &origins, &error))
}

/// The folder of a file, absolute where the working directory is known.
fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map(Path::to_owned).unwrap_or_default()
}
