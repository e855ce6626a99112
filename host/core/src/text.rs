//! Shortening text from outside before it goes into a record, a message or a log line.

/// The beginning of `text`, at most `bytes_max` bytes of it and never half a character.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    text.split_at(text.floor_char_boundary(bytes_max)).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("añb", 2), "a");
        assert_eq!(cut("añb", 3), "añ");
        assert_eq!(cut("añb", 99), "añb");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut("😀", 3), "");
    }
}
