//! NEAR Intents, the part that needs no host: what frames mean, what a swap costs, which bytes are signed, what an
//! answer says and how a doubt ends. Pure and without a clock; the component crates beside this one are glue.
//!
//! Everything that comes from the venue is hostile until read: no function here panics on any bytes.

pub mod answer;
pub mod balances;
pub mod chain;
pub mod config;
pub mod execute;
pub mod frame;
pub mod heard;
pub mod ingest;
pub mod intent;
pub mod loose;
pub mod nep413;
pub mod nonce;
pub mod normalize;
pub mod price;
pub mod react;
pub mod relay;
pub mod resolve;
pub mod rpc;
mod soften;

/// The venue's id.
pub const VENUE: &str = "near-intents";

/// Microseconds since the Unix epoch, UTC.
pub type TimestampUs = u64;

/// A stable snake_case code and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Of a small set: it becomes a metric label.
    pub code: &'static str,
    /// What exactly was wrong.
    pub text: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Cut of foreign text in messages: a hostile frame may be long.
const EXCERPT_CHARS_MAX: usize = 96;

/// The beginning of foreign text, without control characters, for messages.
pub(crate) fn excerpt(text: &str) -> String {
    let mut cut: String = text.chars().take(EXCERPT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(EXCERPT_CHARS_MAX).is_some() {
        cut.push('…');
    }
    cut
}
