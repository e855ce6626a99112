//! What goes wrong on purpose.

use serde::{Deserialize, Serialize};

/// What goes wrong on purpose. Probabilities are 0–1 and are drawn per `quote_response` or HTTP request, in the order of
/// the fields.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The connection breaks and the answer was never looked at (the ledger keeps a `lost` line).
    pub drop_before_recording: f64,
    /// Judged and recorded (it may well settle), then the connection breaks instead of a reply.
    pub drop_after_recording: f64,
    /// Judged and recorded, but no reply ever comes.
    pub never_answer: f64,
    /// Judged and recorded (accepted if it is right), but the reply is an odd error.
    pub odd_error: f64,
    /// Not accepted, and the reply is an odd error.
    pub odd_error_refused: f64,
    /// Code of the odd error; 0 means -32000.
    pub odd_error_code: i64,
    /// The reply comes `answer_late_ms` late.
    pub answer_late: f64,
    /// See `answer_late`.
    pub answer_late_ms: u64,
    /// On subscribing to quotes an event is sent before the reply to the subscription.
    pub event_before_reply: bool,
    /// Every websocket frame waits this long, each way: a slow socket.
    pub slow_frame_ms: u64,
    /// Share of HTTP requests (relay RPC and node) answered with 503.
    pub http_error: f64,
    /// Share of HTTP requests answered with 200 and a body that is cut, empty, no JSON or no answer.
    pub http_malformed: f64,
    /// Share of HTTP requests whose connection breaks instead of an answer, or in the middle of one.
    pub http_dropped: f64,
    /// Share of HTTP requests that are never answered.
    pub http_never: f64,
    /// Every HTTP answer is held back this long.
    pub http_delay_ms: u64,
    /// Frames sent to quote subscribers between the quotes, in turn.
    pub inject: Vec<RawFrame>,
    /// How many of them per second.
    pub inject_per_second: f64,
}

/// A fault that a campaign asks for by name; it lasts until the next one, `none` ends it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub fault: ScenarioName,
    /// How long it is meant to last, in milliseconds.
    #[serde(default = "default_ms")]
    pub ms: u64,
    /// How late a `late` answer comes, in milliseconds.
    #[serde(default = "default_by_ms")]
    pub by_ms: u64,
}

/// The names of faults for campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScenarioName {
    /// All is well.
    None,
    /// Most answers come late.
    Late,
    /// Half of the answers never come.
    Never,
    /// The connection breaks and the answer was never looked at.
    DropBefore,
    /// The answer is recorded, then the connection breaks.
    DropAfter,
    /// An error that says nothing, accepted or not.
    OddError,
    /// Questions over HTTP get 503 or a late answer.
    Http,
    /// New connections are refused, the open ones broken.
    Refuse,
    /// All connections break once.
    Close,
    /// Nothing is sent or read.
    Silence,
}

fn default_ms() -> u64 {
    2_000
}

fn default_by_ms() -> u64 {
    1_000
}

impl Scenario {
    /// Every name.
    pub const NAMES: [&str; 10] =
        ["none", "late", "never", "drop_before", "drop_after", "odd_error", "http", "refuse", "close", "silence"];

    pub(super) fn faults(&self) -> Faults {
        let well = Faults::default();
        match self.fault {
            ScenarioName::Late => Faults { answer_late: 0.8, answer_late_ms: self.by_ms, ..well },
            ScenarioName::Never => Faults { never_answer: 0.5, ..well },
            ScenarioName::DropBefore => Faults { drop_before_recording: 0.3, ..well },
            ScenarioName::DropAfter => Faults { drop_after_recording: 0.3, ..well },
            ScenarioName::OddError => Faults { odd_error: 0.3, odd_error_refused: 0.3, ..well },
            ScenarioName::Http => Faults { http_error: 0.4, http_delay_ms: self.ms / 3, ..well },
            ScenarioName::None | ScenarioName::Refuse | ScenarioName::Close | ScenarioName::Silence => well,
        }
    }
}

/// A frame sent as it is, whatever is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawFrame {
    /// A text frame.
    Text(String),
    /// A text frame whose bytes need not be UTF-8, base64 here.
    TextBytes(String),
    /// A binary frame, base64 here.
    Binary(String),
    /// A text frame of a JSON string of so many bytes in all.
    Oversized(usize),
    /// A text frame of so many nested JSON arrays.
    Nested(usize),
    /// A well-formed quote event cut in the middle.
    TruncatedQuote,
}

impl RawFrame {
    /// One of each kind that a client must live through.
    pub fn hostile() -> Vec<Self> {
        vec![
            Self::Text("not json".into()),
            Self::Text("{\"unknown\":\"format\"}".into()),
            Self::Text(String::new()),
            Self::TruncatedQuote,
            Self::Binary("/wD+gA==".into()),
            Self::Oversized(600 * 1024),
            Self::Nested(100_000),
        ]
    }
}
