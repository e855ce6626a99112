//! No file of the host names a venue: not in code, tests, data or docs.

use crate::files;

/// Rooms that still do; the list only gets shorter.
const MAY_NAME_VENUES: &[&str] = &[];

/// The names of all venues in every way of writing them.
fn names() -> Vec<String> {
    let venues = std::fs::read_dir(files::root().join("venues")).unwrap();
    venues
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .flat_map(|name| [name.clone(), name.replace('-', "_"), name.replace('-', " "), name.replace('-', "")])
        .collect()
}

#[test]
fn no_file_of_the_host_names_a_venue() {
    let names = names();
    assert!(!names.is_empty());
    let mut found = Vec::new();
    for file in files::all().iter().filter(|file| file.starts_with("host/")) {
        if MAY_NAME_VENUES.iter().any(|may| file.starts_with(may)) {
            continue;
        }
        let text = files::read(file).unwrap_or_default();
        for (number, line) in format!("{file}\n{text}").lines().enumerate() {
            let lower = line.to_lowercase();
            if names.iter().any(|name| lower.contains(name.as_str())) {
                found.push(format!("{file}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
