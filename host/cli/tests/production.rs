//! The production build of `unrip` links nothing that only development needs.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Fakes, process killers, key makers, component builders.
const UNWANTED: [&str; 7] =
    ["unrip-dev", "unrip-chaos", "unrip-testkit", "nix", "ed25519-dalek", "wit-component", "bs58"];

/// The packages that a build of `unrip-cli` with these features links.
fn linked(features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--offline", "--package", "unrip-cli", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}"])
        .args(features)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn production_links_the_operators_commands_only() {
    let production = linked(&["--no-default-features"]);
    assert!(production.contains("unrip-operate"), "{production:?}");
    let found: Vec<&String> = production.iter().filter(|name| UNWANTED.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(!production.iter().any(|name| name.ends_with("-fake")), "{production:?}");
    // The names above are still those of what development links.
    let development = linked(&[]);
    assert!(UNWANTED.iter().all(|name| development.contains(*name)), "{development:?}");
    assert!(!development.iter().any(|name| name.ends_with("-fake")), "a fake is a program, not a library");
}
