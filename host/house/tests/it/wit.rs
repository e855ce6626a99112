//! A released line of WIT never changes unnoticed: `wit/LINES` holds the hash of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::files;

/// SHA-256 over the names and contents of a folder's `.wit` files, in the order of their names.
fn hash(folder: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    let mut hasher = Sha256::new();
    for path in files {
        let text = std::fs::read(&path).unwrap();
        hasher.update(format!("{} {}\n", path.file_name().unwrap().to_string_lossy(), text.len()));
        hasher.update(text);
    }
    format!("{:x}", hasher.finalize())
}

/// `<package>/v<line>` of every folder with WIT.
fn lines(wit: &Path) -> BTreeSet<String> {
    let folders = |dir: &Path| {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let name = |path: &Path| path.strip_prefix(wit).unwrap().to_string_lossy().into_owned();
    folders(wit).iter().flat_map(|package| folders(package)).map(|line| name(&line)).collect()
}

/// What `LINES` says and the folders contradict.
fn faults(wit: &Path) -> Vec<String> {
    let listed = std::fs::read_to_string(wit.join("LINES")).unwrap();
    let listed: BTreeMap<&str, Vec<&str>> = listed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.collect())
        })
        .collect();
    let there = lines(wit);
    let mut faults = Vec::new();
    for line in there.iter().filter(|line| !listed.contains_key(line.as_str())) {
        faults.push(format!("{line} is not listed in wit/LINES: add `{line} draft`"));
    }
    for (line, state) in listed {
        match state[..] {
            _ if !there.contains(line) => faults.push(format!("{line} is listed and has no folder")),
            ["draft"] => {}
            ["released", expected] if hash(&wit.join(line)) == expected => {}
            ["released", _] => faults.push(format!(
                "{line} is released and differs, its hash is {}: make a new line; only an addition marked @since may \
                 change the hash in wit/LINES",
                hash(&wit.join(line))
            )),
            _ => faults.push(format!("{line}: write `draft` or `released <sha256>`")),
        }
    }
    faults
}

#[test]
fn released_lines_are_what_they_were() {
    let faults = faults(&files::root().join("wit"));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_changed_released_line_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let wit = dir.path();
    let line = wit.join("types/v0.1");
    std::fs::create_dir_all(&line).unwrap();
    std::fs::write(line.join("types.wit"), "package unrip:types@0.1.0;\n").unwrap();
    let list = |text: &str| std::fs::write(wit.join("LINES"), text).unwrap();

    list("# none yet\n");
    assert_eq!(faults(wit).len(), 1, "a line that is not listed");
    list("types/v0.1 draft\n");
    assert_eq!(faults(wit), Vec::<String>::new());
    list(&format!("types/v0.1 released {}\n", hash(&line)));
    assert_eq!(faults(wit), Vec::<String>::new());

    std::fs::write(line.join("types.wit"), "package unrip:types@0.1.0;\n\n").unwrap();
    assert_eq!(faults(wit).len(), 1, "a changed file");
    std::fs::write(line.join("types.wit"), "package unrip:types@0.1.0;\n").unwrap();
    assert_eq!(faults(wit), Vec::<String>::new());
    std::fs::write(line.join("more.wit"), "").unwrap();
    assert_eq!(faults(wit).len(), 1, "a new file");
    std::fs::remove_dir_all(&line).unwrap();
    assert_eq!(faults(wit).len(), 1, "a line that is gone");
    list("types/v0.1 frozen\n");
    std::fs::create_dir_all(&line).unwrap();
    assert_eq!(faults(wit).len(), 1, "a state that does not exist");
}
