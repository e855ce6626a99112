//! Environment variables over the file: `UNRIP_BUS_BROKERS` is `bus.brokers`, `UNRIP_ENDPOINTS__WS__URL` is `endpoints.ws.url`.

use std::collections::BTreeMap;

use toml::{Table, Value};

const PREFIX: &str = "UNRIP_";
/// Variables of the test kit and of the development tools; no service reads them.
const NOT_OURS: [&str; 3] = ["UNRIP_TEST_", "UNRIP_DEV_", "UNRIP_CI_"];

/// Key paths that came from the environment, with the variable's name.
pub(super) type Origins = BTreeMap<String, String>;

/// Puts the variables into `table`. The error names the variable and what is wrong with it.
pub(super) fn apply(table: &mut Table, env: &[(String, String)]) -> Result<Origins, (String, String)> {
    let mut origins = Origins::new();
    for (name, text) in env {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if NOT_OURS.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let path = key_path(rest).ok_or_else(|| {
            (name.clone(), "it names no key; write UNRIP_<SECTION>_<KEY>, deeper keys with `__`".to_owned())
        })?;
        set(table, &path, text).map_err(|reason| (name.clone(), reason))?;
        origins.insert(path.join("."), name.clone());
    }
    Ok(origins)
}

fn key_path(rest: &str) -> Option<Vec<String>> {
    let lower = rest.to_ascii_lowercase();
    let parts: Vec<String> = match lower.contains("__") {
        true => lower.split("__").map(str::to_owned).collect(),
        false => lower.split_once('_').map(|(section, key)| vec![section.to_owned(), key.to_owned()])?,
    };
    parts.iter().all(|part| !part.is_empty()).then_some(parts)
}

fn set(table: &mut Table, path: &[String], text: &str) -> Result<(), String> {
    let Some((key, parents)) = path.split_last() else { return Ok(()) };
    let mut table = table;
    for parent in parents {
        let entry = table.entry(parent.clone()).or_insert_with(|| Value::Table(Table::new()));
        table = entry.as_table_mut().ok_or_else(|| format!("`{parent}` is a value, not a section"))?;
    }
    let value = value(text, table.get(key));
    table.insert(key.clone(), value);
    Ok(())
}

/// What stood there before decides the type; else the text is TOML if it reads as TOML, and a string if not.
fn value(text: &str, before: Option<&Value>) -> Value {
    if matches!(before, Some(Value::String(_))) {
        return Value::String(text.to_owned());
    }
    let parsed = toml::from_str::<Table>(&format!("value = {text}")).ok().filter(|table| table.len() == 1);
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}
