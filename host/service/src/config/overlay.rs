//! Environment variables over the file: `UNRIP_BUS_BROKERS` is `bus.brokers`, `UNRIP_ENDPOINTS__WS__URL` is `endpoints.ws.url`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::links::is_service_link;

/// What the name of every variable of unrip begins with.
pub(super) const PREFIX: &str = "UNRIP_";
/// Variables of the test kit and of the development tools; no service reads them.
const NOT_OURS: [&str; 3] = ["UNRIP_TEST_", "UNRIP_DEV_", "UNRIP_CI_"];

/// The file with the variables over it.
#[derive(Debug)]
pub(super) enum Node {
    /// A value of the file, no table.
    File(Value),
    /// A value that a variable sets.
    Variable(Variable),
    /// A table.
    Section(Section),
}

/// A variable's text; the type of its key decides what it is.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// The variable's name.
    pub name: String,
    /// Its text, which may be a secret: no message shows it.
    pub text: String,
    /// Whether the file has a string under this key.
    pub is_string_in_file: bool,
}

/// A table of the file, of variables, or of both.
#[derive(Debug, Default)]
pub(super) struct Section {
    /// Its keys.
    pub entries: BTreeMap<String, Node>,
    /// Whether the file has it too.
    is_in_file: bool,
}

/// Whether a service reads variables of this name at all.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX) && !NOT_OURS.iter().any(|prefix| name.starts_with(prefix))
}

/// The file's table under the variables. The error names the variable and what is wrong with it.
pub(super) fn over(table: Table, env: &[(String, String)]) -> Result<Section, (String, String)> {
    let mut root = Section::of(table);
    for (name, text) in env.iter().filter(|(name, text)| is_ours(name) && !is_service_link(name, text)) {
        let path = key_path(name).ok_or_else(|| {
            (name.clone(), "it names no key; write UNRIP_<SECTION>_<KEY>, deeper keys with `__`".to_owned())
        })?;
        root.set(&path, name, text).map_err(|reason| (name.clone(), reason))?;
    }
    Ok(root)
}

fn key_path(name: &str) -> Option<Vec<String>> {
    let lower = name.strip_prefix(PREFIX)?.to_ascii_lowercase();
    let parts: Vec<String> = match lower.contains("__") {
        true => lower.split("__").map(str::to_owned).collect(),
        false => lower.split_once('_').map(|(section, key)| vec![section.to_owned(), key.to_owned()])?,
    };
    parts.iter().all(|part| !part.is_empty()).then_some(parts)
}

impl Section {
    fn of(table: Table) -> Self {
        let node = |value| match value {
            Value::Table(table) => Node::Section(Self::of(table)),
            value => Node::File(value),
        };
        Self { entries: table.into_iter().map(|(key, value)| (key, node(value))).collect(), is_in_file: true }
    }

    fn set(&mut self, path: &[String], name: &str, text: &str) -> Result<(), String> {
        let Some((key, parents)) = path.split_last() else { return Ok(()) };
        let mut section = self;
        for parent in parents {
            let entry = section.entries.entry(parent.clone()).or_insert_with(|| Node::Section(Self::default()));
            section = match entry {
                Node::Section(section) => section,
                Node::File(_) => return Err(format!("`{parent}` is a value, not a section")),
                Node::Variable(other) => {
                    return Err(format!("{} sets all of `{parent}`; keep one of them", other.name));
                }
            };
        }
        let is_string_in_file = match section.entries.get(key) {
            Some(Node::Variable(other)) => return Err(format!("{} sets the same key; keep one of them", other.name)),
            // What a deeper variable has put there would be lost; what the file has is replaced as a whole.
            Some(Node::Section(section)) => match section.first_variable() {
                Some(other) => return Err(format!("{other} sets a part of the same key; keep one of them")),
                None => false,
            },
            Some(Node::File(value)) => value.is_str(),
            None => false,
        };
        let variable = Variable { name: name.to_owned(), text: text.to_owned(), is_string_in_file };
        section.entries.insert(key.clone(), Node::Variable(variable));
        Ok(())
    }

    fn first_variable(&self) -> Option<&str> {
        self.entries.values().find_map(|node| match node {
            Node::File(_) => None,
            Node::Variable(variable) => Some(variable.name.as_str()),
            Node::Section(section) => section.first_variable(),
        })
    }

    /// The variables by the path of the key that each sets, and, where only variables make a section, by the section's.
    pub(super) fn origins(&self) -> BTreeMap<String, Variable> {
        let mut origins = BTreeMap::new();
        self.add_origins("", &mut origins);
        origins
    }

    fn add_origins(&self, above: &str, origins: &mut BTreeMap<String, Variable>) -> Option<Variable> {
        let mut first = None;
        for (key, node) in &self.entries {
            let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
            let found = match node {
                Node::File(_) => None,
                Node::Variable(variable) => Some(variable.clone()),
                Node::Section(section) => section.add_origins(&path, origins).filter(|_| !section.is_in_file),
            };
            if let Some(variable) = found {
                origins.insert(path, variable.clone());
                first.get_or_insert(variable);
            }
        }
        first
    }
}
