//! Names say their unit and then what qualifies it: `deadline_ms_max`, in configuration, code and docs alike.

use crate::files;

const UNITS: &[&str] = &["us", "ms", "bytes", "records"];

/// The identifiers of a line that put the qualifier before the unit.
fn reversed(line: &str) -> Vec<&str> {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ends = |word: &str, qualifier: &str| {
        let stem = UNITS.iter().find_map(|unit| word.strip_suffix(unit)?.strip_suffix('_')?.strip_suffix(qualifier));
        stem.is_some_and(|stem| stem.len() > 1 && stem.ends_with('_'))
    };
    words.filter(|word| ["max", "min"].iter().any(|qualifier| ends(&word.to_lowercase(), qualifier))).collect()
}

#[test]
fn units_come_before_their_qualifier() {
    let mut found = Vec::new();
    for file in files::with_extension(&["rs", "toml", "md"]).iter().filter(|file| !file.ends_with("/units.rs")) {
        for (number, line) in files::read(file).unwrap_or_default().lines().enumerate() {
            found.extend(reversed(line).iter().map(|name| format!("{file}:{}: {name}", number + 1)));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_reversed_name_is_found() {
    assert_eq!(reversed("pub deadline_max_ms: i64, // and FRAME_MIN_BYTES"), ["deadline_max_ms", "FRAME_MIN_BYTES"]);
    // The first word of a name is the venue's own, or a statistic.
    assert!(reversed("deadline_ms_max min_wait_ms max_ms max_records climax_ms").is_empty());
}
