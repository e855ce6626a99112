//! No file is left behind: every `.rs` file belongs to a crate's target, every file of test data is named somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use crate::files;

/// Whether cargo takes the file for the root of a target by itself, from its path inside the crate.
fn is_root(inside: &str) -> bool {
    let parts: Vec<&str> = inside.split('/').collect();
    matches!(
        parts[..],
        ["build.rs"]
            | ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["tests" | "benches" | "examples", _]
            | ["tests" | "benches" | "examples", _, "main.rs"]
            | ["src", "bin", _, "main.rs"]
    )
}

/// The files that the `mod name;` lines of a file mean, those included that do not exist.
fn children(file: &str, root: bool, text: &str) -> Vec<String> {
    let path = Path::new(file);
    let parent = path.parent().unwrap();
    let own = root || path.ends_with("mod.rs");
    let dir = if own { parent.to_owned() } else { parent.join(path.file_stem().unwrap()) };
    let mut found = Vec::new();
    let mut named = None;
    for line in text.lines().map(str::trim) {
        if let Some(path) = line.strip_prefix("#[path = \"").and_then(|line| line.split('"').next()) {
            named = Some(path.to_owned());
        } else if let Some(name) = line.strip_suffix(';').and_then(|line| line.split("mod ").nth(1)) {
            match named.take() {
                Some(path) => found.push(parent.join(path)),
                None => found.extend([dir.join(format!("{name}.rs")), dir.join(name).join("mod.rs")]),
            }
        }
    }
    found.iter().map(|path| normal(path)).collect()
}

/// The path without `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.iter().map(|part| part.to_string_lossy().into_owned()) {
        match part.as_str() {
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn every_rust_file_belongs_to_a_target() {
    let all: BTreeSet<String> = files::with_extension(&["rs"]).into_iter().collect();
    let mut crates: Vec<String> =
        files::all().iter().filter_map(|file| file.strip_suffix("Cargo.toml")).map(str::to_owned).collect();
    crates.retain(|dir| !dir.is_empty());
    let root = |file: &str| {
        let inside = crates.iter().filter_map(|dir| file.strip_prefix(dir.as_str())).min_by_key(|inside| inside.len());
        inside.is_some_and(is_root)
    };
    let mut todo: Vec<String> = all.iter().filter(|file| root(file)).cloned().collect();
    assert!(todo.len() > 20, "{todo:?}");
    let mut seen: BTreeSet<String> = todo.iter().cloned().collect();
    while let Some(file) = todo.pop() {
        for child in children(&file, root(&file), &files::read(&file).unwrap()) {
            if all.contains(&child) && seen.insert(child.clone()) {
                todo.push(child);
            }
        }
    }
    let unused: Vec<_> = all.difference(&seen).collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

#[test]
fn every_file_of_test_data_is_named() {
    let all = files::with_extension(&["rs", "toml", "md"]);
    let texts: Vec<String> = all.iter().filter_map(|file| files::read(file)).collect();
    let named = |word: &str| texts.iter().any(|text| text.contains(word));
    let data: Vec<String> =
        files::all().into_iter().filter(|file| file.contains("/test_data/") && !file.ends_with(".md")).collect();
    assert!(!data.is_empty());
    let unused: Vec<_> = data
        .iter()
        .filter(|file| {
            let path = Path::new(file.as_str());
            let name = path.file_name().unwrap().to_string_lossy();
            // A folder that is read whole names its files.
            let folder = path.parent().unwrap().file_name().unwrap().to_string_lossy();
            !named(&name) && (folder == "test_data" || !named(&format!("test_data/{folder}")))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:#?}");
}
