//! Plain technical English: no words of the private dialect that `.forgejo/CONTRIBUTING.md` lists, no echo comments.

use std::collections::BTreeSet;

use crate::files;
use crate::rust_text::comments_and_strings;

/// Each with what to write in its place.
const WORDS: &[(&str, &str)] = &[
    ("anew", "again, re-"),
    ("beside the loop", "in the background"),
    ("told", "logged, reported, sent"),
    ("so long", "for up to, as long as"),
    ("so soon", "as soon as"),
    ("whom", "which"),
    ("whoever", "which, whichever"),
    ("begun", "started"),
    ("nobody", "no one, or the passive"),
    ("somebody", "someone, or the passive"),
    ("that is none", "not a valid …"),
    ("that are none", "not valid …"),
    ("goes on", "continues"),
];

/// Files that quote the words to ban them.
const QUOTES_THEM: &[&str] =
    &[".forgejo/CONTRIBUTING.md", "host/house/tests/it/language.rs", "host/house/tests/it/rust_text.rs"];

/// Rooms whose pass is not finished, with the lines that may still be left. The list only gets shorter.
const LEFT: &[(&str, usize)] = &[];

/// What of a file people read, with line numbers.
fn prose(file: &str) -> Vec<(usize, String)> {
    let text = files::read(file).unwrap_or_default();
    let comment = |mark: &str| {
        let lines = text.lines().enumerate();
        lines.filter_map(|(number, line)| Some((number + 1, line.split_once(mark)?.1.to_owned()))).collect()
    };
    match file.rsplit('.').next() {
        Some("rs") => comments_and_strings(&text),
        Some("wit") => comment("//"),
        Some("toml") => comment("#"),
        _ => text.lines().enumerate().map(|(number, line)| (number + 1, line.to_owned())).collect(),
    }
}

/// Whether the text has the words between word boundaries.
fn has(text: &str, words: &str) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(words)
        .any(|(at, _)| !letter(text[..at].chars().next_back()) && !letter(text[at + words.len()..].chars().next()))
}

fn banned(file: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (number, text) in prose(file) {
        let lower = text.to_lowercase();
        for (word, instead) in WORDS.iter().filter(|(word, _)| has(&lower, word)) {
            found.push(format!("{file}:{number}: \"{word}\": {instead}"));
        }
    }
    found
}

#[test]
fn comments_messages_and_docs_use_plain_words() {
    let files = files::with_extension(&["rs", "md", "wit", "toml"]);
    let mut found: Vec<_> =
        files.iter().filter(|file| !QUOTES_THEM.contains(&file.as_str())).flat_map(|file| banned(file)).collect();
    for (room, left) in LEFT {
        let in_room = found.iter().filter(|line| line.starts_with(room)).count();
        if in_room <= *left {
            found.retain(|line| !line.starts_with(room));
        }
    }
    assert!(found.is_empty(), "{} lines: {found:#?}", found.len());
}

#[test]
fn words_are_found_whole_only() {
    assert!(has("it is told.", "told") && has("told", "told"));
    assert!(!has("untold, told_by", "told"));
}

/// Rooms whose public items and fields need docs (`missing_docs`): there a field's doc may say little. Those of core's
/// records are the descriptions in the released schemas, which do not change.
const CONTRACTS: &[&str] = &["host/core/", "host/protocol/", "host/bus/", "host/engine/", "host/service/"];

/// The words of a name in snake, camel or upper case, in lower case.
fn words_of(name: &str) -> BTreeSet<String> {
    let (mut split, mut after_lower) = (String::new(), false);
    for c in name.chars() {
        if (c.is_uppercase() && after_lower) || c == '_' {
            split.push(' ');
        }
        after_lower = c.is_lowercase();
        split.extend(c.to_lowercase().filter(|c| *c != '_'));
    }
    split.split_whitespace().map(str::to_owned).collect()
}

/// Whether a doc line says nothing but the item's name.
fn echoes(doc: &str, item: &str) -> bool {
    let name = item
        .trim_start_matches("pub(crate) ")
        .trim_start_matches("pub(super) ")
        .trim_start_matches("pub ")
        .trim_start_matches("async ")
        .trim_start_matches("const ");
    let name = ["fn ", "struct ", "enum ", "type ", "trait ", "mod ", "static "]
        .iter()
        .find_map(|kind| name.strip_prefix(kind))
        .unwrap_or(name);
    let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let said: Vec<String> = doc.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
    let said: BTreeSet<String> =
        said.into_iter().filter(|word| !["", "a", "an", "the", "its", "this"].contains(&word.as_str())).collect();
    !said.is_empty() && said.is_subset(&words_of(&name))
}

#[test]
fn no_doc_comment_only_repeats_a_name() {
    let mut found = Vec::new();
    let exempt = |file: &str| CONTRACTS.iter().any(|room| file.starts_with(room));
    for file in files::with_extension(&["rs"]).iter().filter(|file| !exempt(file)) {
        let text = files::read(file).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, three) in lines.windows(3).enumerate() {
            let [before, doc, item] = three else { continue };
            let Some(doc) = doc.strip_prefix("/// ") else { continue };
            if !before.starts_with("///") && !item.starts_with("///") && echoes(doc, item) {
                found.push(format!("{file}:{}: {doc}", number + 2));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn echoes_are_distinguished_from_docs() {
    assert!(echoes("The command.", "pub command_id: CommandId,"));
    assert!(echoes("A record.", "pub(crate) struct Record {"));
    assert!(echoes("The retry pause.", "const RETRY_PAUSE: Duration = PAUSE;"));
    assert!(echoes("The raw input.", "pub struct RawInput {"));
    assert!(!echoes("The command, as read.", "pub command: Value,"));
    assert!(!echoes("Where the service listens.", "pub listen: String,"));
}
