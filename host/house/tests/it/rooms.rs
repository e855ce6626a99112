//! Directions: which crate may depend on which, and which may know what. Bus, engine and protocol never see each other; roles never
//! depend on each other; venues know neither the host nor each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::files::root;

/// What each room may depend on, besides the outside world. Tests may use the testkit as well.
const ROOMS: &[(&str, &[&str])] = &[
    ("unrip-core", &[]),
    ("unrip-protocol", &["unrip-core"]),
    ("unrip-bus", &["unrip-core"]),
    ("unrip-engine", &["unrip-core"]),
    ("unrip-service", &["unrip-core", "unrip-bus", "unrip-engine"]),
    ("unrip-ingest", &["unrip-core", "unrip-bus", "unrip-engine", "unrip-service"]),
    ("unrip-normalize", &["unrip-core", "unrip-bus", "unrip-engine", "unrip-service"]),
    ("unrip-react", &["unrip-core", "unrip-bus", "unrip-engine", "unrip-service"]),
    ("unrip-execute", &["unrip-core", "unrip-protocol", "unrip-bus", "unrip-engine", "unrip-service"]),
    ("unrip-audit", &["unrip-core", "unrip-bus", "unrip-service"]),
    ("unrip-testkit", &["unrip-core", "unrip-bus"]),
    ("unrip-operate", &["unrip-core", "unrip-protocol", "unrip-bus", "unrip-service"]),
    ("unrip-dev", &["unrip-core", "unrip-bus", "unrip-service", "unrip-operate", "unrip-testkit"]),
    ("unrip-chaos", &["unrip-core", "unrip-bus", "unrip-service", "unrip-operate", "unrip-dev", "unrip-testkit"]),
    ("unrip-cli", &["unrip-core", "unrip-bus", "unrip-service", "unrip-operate", "unrip-dev", "unrip-chaos"]),
    ("unrip-house", &[]),
    (
        "unrip-bench",
        &["unrip-core", "unrip-bus", "unrip-engine", "unrip-service", "unrip-operate", "unrip-dev", "unrip-cli"],
    ),
];

/// Crates of the outside world that only these rooms may know.
const KNOWN_ONLY_TO: &[(&str, &[&str])] = &[
    ("rdkafka", &["unrip-bus"]),
    ("wasmtime", &["unrip-engine"]),
    ("heed", &["unrip-execute"]),
    ("ed25519-dalek", &["unrip-execute", "unrip-dev"]),
    ("wit-component", &["unrip-testkit"]),
];

/// Crates that a room must not know: it is pure, or synchronous.
const NOT_KNOWN_TO: &[(&str, &[&str])] =
    &[("unrip-core", &["tokio", "reqwest", "tracing"]), ("unrip-engine", &["tokio", "reqwest"])];

struct Package {
    name: String,
    dir: PathBuf,
    /// Names with whether they are for tests only.
    dependencies: BTreeSet<(String, bool)>,
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let package = |package: &Value| Package {
        name: text(&package["name"]),
        dir: Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned(),
        dependencies: package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"))
            .collect(),
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn rooms_depend_only_in_one_direction() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let host = root().join("host");
    let mut broken = Vec::new();
    for package in packages().iter().filter(|package| package.dir.starts_with(&host)) {
        let Some(allowed) = allowed.get(package.name.as_str()) else {
            broken.push(format!("{} is a room that this test does not know", package.name));
            continue;
        };
        for (dependency, for_tests) in package.dependencies.iter().filter(|(name, _)| name.starts_with("unrip-")) {
            let fine = allowed.contains(&dependency.as_str()) || (*for_tests && dependency == "unrip-testkit");
            if !fine {
                broken.push(format!("{} must not depend on {dependency}", package.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_is_one_rooms_business_stays_there() {
    // A venue's fake may hold keys of its own.
    let venues = root().join("venues");
    let mut broken = Vec::new();
    for package in packages() {
        for (dependency, for_tests) in &package.dependencies {
            let owners = KNOWN_ONLY_TO.iter().find(|(name, _)| name == dependency).map(|(_, owners)| *owners);
            let owner = |owners: &[&str]| owners.contains(&package.name.as_str()) || package.dir.starts_with(&venues);
            if owners.is_some_and(|owners| !owner(owners)) && !for_tests {
                broken.push(format!("{} must not know {dependency}", package.name));
            }
            let unknown = NOT_KNOWN_TO.iter().find(|(name, _)| *name == package.name).map(|(_, unknown)| *unknown);
            if unknown.is_some_and(|unknown| unknown.contains(&dependency.as_str())) && !for_tests {
                broken.push(format!("{} must not know {dependency}", package.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn venues_know_neither_the_host_nor_each_other() {
    let venues = root().join("venues");
    let all = packages();
    let venue_of = |dir: &Path| dir.strip_prefix(&venues).ok()?.iter().next().map(|name| name.to_owned());
    let homes: BTreeMap<&str, _> = all.iter().map(|package| (package.name.as_str(), venue_of(&package.dir))).collect();
    let mut broken = Vec::new();
    for package in all.iter().filter(|package| venue_of(&package.dir).is_some()) {
        for (dependency, for_tests) in &package.dependencies {
            let foreign = match homes.get(dependency.as_str()) {
                // Tests of a component may run it in the engine.
                Some(None) => !for_tests,
                Some(home) => *home != venue_of(&package.dir),
                None => false,
            };
            if foreign {
                broken.push(format!("{} must not depend on {dependency}", package.name));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
