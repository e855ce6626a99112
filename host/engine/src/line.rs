//! Which world and line a component speaks, and whether it wants anything beyond it.

use std::fmt;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::error::LoadErrorKind;
use crate::module::World;

/// The lines that this host serves; a line's own code is in the module of its name.
const LINES: [Line; 1] = [Line::V0_1];
/// Names that an error lists.
const NAMES_MAX: usize = 8;

/// A line of the contract: inside it every module runs on every host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    V0_1,
}

impl Line {
    /// What versions of the line begin with.
    fn version(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1",
        }
    }

    fn holds(self, version: &str) -> bool {
        version.strip_prefix(self.version()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// The one interface of ours that a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) world: World,
    pub(crate) line: Line,
}

impl Export {
    /// Whether a description's `wit` (`unrip:normalizer@0.1.0`) means this.
    pub(crate) fn is_named_by(self, wit: &str) -> bool {
        wit.strip_prefix("unrip:")
            .and_then(|rest| rest.split_once('@'))
            .is_some_and(|(world, version)| world == self.world.name() && self.line.holds(version))
    }

    /// Every world of every line that is served.
    fn all() -> Vec<Self> {
        let of = |line| World::ALL.map(|world| Self { world, line });
        LINES.into_iter().flat_map(of).collect()
    }

    /// Reads `unrip:normalizer/normalizer@0.1.3`.
    fn parse(name: &str) -> Option<Self> {
        let (interface, version) = name.strip_prefix("unrip:")?.split_once('@')?;
        let (package, interface) = interface.split_once('/')?;
        let world = World::ALL.into_iter().find(|world| world.name() == package && package == interface)?;
        let line = LINES.into_iter().find(|line| line.holds(version))?;
        Some(Self { world, line })
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unrip:{0}/{0}@{1}", self.world, self.line.version())
    }
}

/// The world of a component, by the interface that it exports.
pub(crate) fn world_of(component: &Component, engine: &wasmtime::Engine) -> Result<Export, LoadErrorKind> {
    let component_type = component.component_type();
    let names: Vec<&str> = component_type.exports(engine).map(|(name, _)| name).collect();
    let mut ours = names.iter().filter_map(|name| Export::parse(name));
    match (ours.next(), ours.next()) {
        (Some(export), None) => Ok(export),
        _ => Err(LoadErrorKind::NoWorld {
            expected: format!("exactly one of {}", list(Export::all().iter())),
            found: if names.is_empty() { "nothing".to_owned() } else { list(names.iter()) },
        }),
    }
}

/// Refuses a component that imports more than our log and the types of our contract.
pub(crate) fn check_imports(component: &Component, engine: &wasmtime::Engine) -> Result<(), LoadErrorKind> {
    let component_type = component.component_type();
    let foreign: Vec<&str> = component_type
        .imports(engine)
        .filter(|(name, import)| !(is_log(name) || is_types(name, &import.ty, engine)))
        .map(|(name, _)| name)
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let cure = if foreign.iter().any(|name| name.starts_with("wasi:")) {
        "modules are pure; build it for wasm32-unknown-unknown, which links no WASI in".to_owned()
    } else {
        let log = LINES.map(|line| format!("unrip:host/log@{}", line.version()));
        format!("the host gives modules {} and nothing else; remove the import", list(log.iter()))
    };
    Err(LoadErrorKind::Import { imports: list(foreign.iter()), cure })
}

fn is_log(name: &str) -> bool {
    name.strip_prefix("unrip:host/log@").is_some_and(is_served)
}

/// Types are no capability: an instance of them holds nothing to call.
fn is_types(name: &str, item: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    let named = name
        .strip_prefix("unrip:types/")
        .and_then(|rest| rest.split_once('@'))
        .is_some_and(|(_, version)| is_served(version));
    let ComponentItem::ComponentInstance(instance) = item else { return false };
    named && instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
}

fn is_served(version: &str) -> bool {
    LINES.into_iter().any(|line| line.holds(version))
}

fn list<T: fmt::Display>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = names.len().saturating_sub(NAMES_MAX);
    let shown: Vec<String> = names.take(NAMES_MAX).map(|name| format!("`{name}`")).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_version_of_the_line_is_the_line() {
        for name in ["unrip:normalizer/normalizer@0.1.0", "unrip:normalizer/normalizer@0.1.12"] {
            assert_eq!(Export::parse(name).unwrap().world, World::Normalizer, "{name}");
        }
        for name in [
            "unrip:normalizer/normalizer@0.2.0",
            "unrip:normalizer/normalizer@0.10.0",
            "unrip:normalizer/other@0.1.0",
            "wasi:cli/run@0.1.0",
            "unrip:normalizer/normalizer",
        ] {
            assert_eq!(Export::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_description_names_the_world_and_line_that_it_exports() {
        let export = Export::parse("unrip:executor/executor@0.1.0").unwrap();
        assert!(export.is_named_by("unrip:executor@0.1.0"));
        for wit in ["unrip:normalizer@0.1.0", "unrip:executor@0.2.0", "unrip:executor", "executor@0.1.0", ""] {
            assert!(!export.is_named_by(wit), "{wit}");
        }
    }

    #[test]
    fn what_would_do_is_said_of_every_line_that_is_served() {
        let all: Vec<String> = Export::all().iter().map(Export::to_string).collect();
        assert_eq!(all.len(), World::ALL.len() * LINES.len());
        assert!(all.iter().all(|name| Export::parse(name).is_some()), "{all:?}");
    }

    #[test]
    fn lists_no_more_names_than_fit() {
        assert_eq!(list((0..10).collect::<Vec<_>>().iter()), "`0`, `1`, `2`, `3`, `4`, `5`, `6`, `7` and 2 more");
    }
}
