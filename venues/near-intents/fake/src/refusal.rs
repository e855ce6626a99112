//! Why an answer is refused: the relay's codes, the contract's texts.

/// A JSON-RPC error that refuses an answer for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i64,
    pub(super) text: String,
}

impl Refusal {
    /// Invalid params; the text is the contract's where it has one.
    pub(super) fn params(text: impl Into<String>) -> Self {
        Self { code: -32602, text: text.into() }
    }

    /// Too late, or an auction that never was.
    pub(super) fn no_such_quote() -> Self {
        Self { code: -32098, text: "quote not found or already finished".into() }
    }
}
