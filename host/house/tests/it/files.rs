//! The files of the repository, and what may be at its top.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Besides dotfiles.
const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "compose.yaml",
    "deploy",
    "host",
    "infra",
    "rust-toolchain.toml",
    "venues",
    "wit",
];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

/// Paths from the root of every file that git knows or would add, and that exists.
pub(crate) fn all() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = String::from_utf8(output.stdout).unwrap();
    let files: BTreeSet<&str> = files.lines().collect();
    files.into_iter().filter(|file| root().join(file).is_file()).map(str::to_owned).collect()
}

/// The files with one of these extensions.
pub(crate) fn with_extension(extensions: &[&str]) -> Vec<String> {
    all().into_iter().filter(|file| extensions.iter().any(|ext| file.ends_with(&format!(".{ext}")))).collect()
}

/// The text of a file; `None` for what is not text.
pub(crate) fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(root().join(file)).ok()
}

#[test]
fn only_what_belongs_there_is_at_the_top() {
    let files = all();
    let top: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').next()).collect();
    let strangers: Vec<_> = top.iter().filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
}
