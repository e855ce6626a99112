//! The comments and string literals of a Rust file, without the code around them.

/// Each comment or string literal with the number of the line that it begins on.
pub(crate) fn comments_and_strings(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, text) = next(rest, first);
        if text {
            found.push((line, rest[..length].to_owned()));
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

/// The length of what comes next, and whether it is a comment or a string.
fn next(rest: &str, first: char) -> (usize, bool) {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), true);
    }
    if rest.starts_with("/*") {
        return (until("*/", 2), true);
    }
    if first == '"' {
        return (string(rest), true);
    }
    if let Some(hashes) = raw_string(rest) {
        let end = format!("\"{}", "#".repeat(hashes));
        return (until(&end, hashes + 2), true);
    }
    // A character literal may be a quote; a lifetime is no literal.
    if first == '\'' {
        if rest.starts_with("'\\") {
            return (until("'", 3), false);
        }
        let mut chars = rest.char_indices().skip(2);
        if let Some((at, '\'')) = chars.next() {
            return (at + 1, false);
        }
    }
    // A whole identifier, so that its last letter is not taken for the `r` of a raw string.
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (word.max(first.len_utf8()), false)
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The number of hashes if a raw string begins here.
fn raw_string(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('r').or_else(|| rest.strip_prefix("br"))?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    inner[hashes..].starts_with('"').then_some(hashes)
}

#[test]
fn finds_comments_and_strings_and_leaves_the_code() {
    let source = "let told = 'a'; // one\nf(\"two \\\" // three\", '\"', r#\"four \"five\"#);\n/* six\n */ fn f<'a>(bar: &'a str) {}";
    let found = comments_and_strings(source);
    let texts: Vec<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(texts, ["// one", "\"two \\\" // three\"", "r#\"four \"five\"#", "/* six\n */"]);
    assert_eq!(found[3].0, 3);
}
