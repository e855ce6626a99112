//! JSON that the grammar allows and no Rust value can hold, made readable: half a surrogate pair in a string, a number
//! beyond a double. A frame must not become unreadable by a member that is not needed.

/// Stands for half a surrogate pair: a code point that Unicode keeps out of all texts that are exchanged.
pub(crate) const HALF_PAIR: char = '\u{fdd0}';
/// Stands for a number beyond a double: one that is not a sensible value of anything either.
const HUGE: &str = "1e308";

/// The same text with these replaced; everything else stays, also what is not JSON.
pub(crate) fn soften(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest, &mut out),
            '-' | '0'..='9' => number(rest, &mut out),
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

/// Copies the string at the beginning of `text`; how many bytes it has there.
fn string(text: &str, out: &mut String) -> usize {
    out.push('"');
    let mut at = 1;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let unit_after = rest.get(6..).and_then(unit);
        let taken = match unit(rest) {
            Some(0xd800..=0xdbff) if matches!(unit_after, Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                out.push(HALF_PAIR);
                at += 6;
                continue;
            }
            Some(_) => 6,
            // An escape and what it escapes, or a character.
            None if rest.starts_with('\\') => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
        let piece = rest.get(..taken).unwrap_or(rest);
        out.push_str(piece);
        at += piece.len();
        if piece == "\"" {
            break;
        }
    }
    at
}

/// The number in `\uXXXX` at the beginning.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

/// Copies the number at the beginning of `text`; how many bytes it has there.
fn number(text: &str, out: &mut String) -> usize {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E')).unwrap_or(text.len());
    let written = text.get(..end).unwrap_or(text);
    match written.parse::<f64>() {
        Ok(value) if value.is_infinite() => {
            out.push_str(if value < 0.0 { "-" } else { "" });
            out.push_str(HUGE);
        }
        _ => out.push_str(written),
    }
    written.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_no_value_can_hold_and_nothing_else() {
        for (text, expected) in [
            (r#"{"\ud800":1}"#, "{\"\u{fdd0}\":1}"),
            (r#"["a\udc00b","\ud800\ud83d\ude00"]"#, "[\"a\u{fdd0}b\",\"\u{fdd0}\\ud83d\\ude00\"]"),
            (r#"["\\ud800","\"\\","1e999"]"#, r#"["\\ud800","\"\\","1e999"]"#),
            ("[1e999,-1e999,1e5]", "[1e308,-1e308,1e5]"),
            (r#"["\ud8"#, r#"["\ud8"#),
            (r#"ü"\"#, r#"ü"\"#),
        ] {
            assert_eq!(soften(text), expected, "{text}");
        }
    }
}
