//! What the ingestor says to the relay and what the relay's frames are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::frame::{Reply, Sorted, sort};
use crate::loose::Scalar;
use crate::{TimestampUs, rpc};

/// The module's name of its one connection.
pub const CONNECTION: &str = "relay";
/// The endpoint of the configuration that it opens.
pub const ENDPOINT: &str = "ws";
/// The credential slot that holds the relay's token.
pub const CREDENTIAL: &str = "relay_token";
/// The relay's stream of demands.
pub const QUOTE: &str = "quote";
/// The relay's stream of what became of quotes.
pub const QUOTE_STATUS: &str = "quote_status";

/// How long to wait before a refused subscription is tried again, in milliseconds.
const RETRY_MS_DEFAULT: u32 = 5_000;
/// How long to wait for a sign that a subscription holds, in milliseconds.
const CONFIRM_MS_DEFAULT: u32 = 10_000;

/// The ingestor's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The streams to subscribe and to record: `quote`, `quote_status`.
    #[serde(default = "default_subscriptions")]
    pub subscriptions: Vec<String>,
    /// A filter for `quote`, handed to the relay as it stands: `{"tokens_in": […], "tokens_out": […]}`.
    #[serde(default)]
    pub filter: Option<Value>,
    /// Milliseconds until a refused subscription is tried again.
    #[serde(default = "default_retry_ms")]
    pub retry_ms: u32,
    /// Milliseconds until a subscription of which nothing was heard is tried again.
    #[serde(default = "default_confirm_ms")]
    pub confirm_ms: u32,
}

fn default_subscriptions() -> Vec<String> {
    vec![QUOTE.to_owned()]
}

fn default_retry_ms() -> u32 {
    RETRY_MS_DEFAULT
}

fn default_confirm_ms() -> u32 {
    CONFIRM_MS_DEFAULT
}

impl Config {
    /// Reads and checks the configuration.
    pub fn read(text: &str) -> Result<Self, String> {
        let config: Self = crate::config::read(text)?;
        match config.subscriptions.iter().find(|name| *name != QUOTE && *name != QUOTE_STATUS) {
            Some(name) => Err(format!("subscriptions: `{name}` is neither `{QUOTE}` nor `{QUOTE_STATUS}`")),
            None if config.subscriptions.is_empty() => Err("subscriptions: at least one is needed".into()),
            None if config.retry_ms == 0 || config.confirm_ms == 0 => Err("retry_ms, confirm_ms: not 0".into()),
            None => Ok(config),
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// The service starts, or the module is new.
    Started,
    /// The connection is open.
    Opened,
    /// A frame came.
    Frame(&'a [u8]),
    /// The timer of this name fired.
    Timer(&'a str),
    /// The connection is gone.
    Closed,
}

/// What the host should do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Open the connection.
    Connect,
    /// Send this text.
    Send(String),
    /// Fire a timer of this name after so many milliseconds.
    Timer(String, u32),
    /// The frame is an event of this stream with this key.
    Emit {
        stream: &'static str,
        /// The record's key.
        key: String,
    },
    /// The frame is chatter of this kind.
    Chatter(&'static str),
    /// The frame is not understood.
    Unrecognised(String),
    /// Something that people should read.
    Warn(String),
}

/// The ingestor: remembers which subscriptions it asked for.
#[derive(Debug)]
pub struct Ingestor {
    config: Config,
    next_id: u64,
    /// Requests without a reply: id to stream.
    asked: BTreeMap<u64, String>,
    /// Streams of which a reply or an event was seen since the connection opened.
    heard: BTreeMap<String, bool>,
    open: bool,
}

impl Ingestor {
    /// A new one.
    pub fn new(config: Config) -> Self {
        Self { config, next_id: 0, asked: BTreeMap::new(), heard: BTreeMap::new(), open: false }
    }

    /// What to do about what happened. A frame gives exactly one of emit, chatter and unrecognised.
    pub fn handle(&mut self, event: &Event<'_>, now: TimestampUs) -> Vec<Effect> {
        match event {
            Event::Started => {
                // Ids start at the time in ms: after a trap the new instance begins beyond the old one's.
                self.next_id = self.next_id.max(now / 1_000);
                self.forget();
                vec![Effect::Connect]
            }
            Event::Opened => {
                self.forget();
                self.open = true;
                self.config.subscriptions.clone().iter().flat_map(|stream| self.subscribe(stream)).collect()
            }
            Event::Frame(bytes) => self.frame(bytes),
            Event::Timer(stream) => self.retry(stream),
            Event::Closed => {
                self.forget();
                vec![]
            }
        }
    }

    fn forget(&mut self) {
        self.open = false;
        self.asked.clear();
        self.heard.clear();
    }

    fn subscribe(&mut self, stream: &str) -> Vec<Effect> {
        let id = self.next_id;
        self.next_id = self.next_id.saturating_add(1);
        self.asked.insert(id, stream.to_owned());
        let filter = self.config.filter.as_ref().filter(|_| stream == QUOTE);
        vec![Effect::Send(rpc::subscribe(id, stream, filter)), Effect::Timer(stream.to_owned(), self.config.confirm_ms)]
    }

    /// The relay refused a subscription, or nothing was heard of it. Subscribing again replaces the earlier one.
    fn retry(&mut self, stream: &str) -> Vec<Effect> {
        let known = self.config.subscriptions.iter().any(|name| name == stream);
        if !self.open || !known || self.heard.get(stream).copied().unwrap_or(false) {
            return vec![];
        }
        self.asked.retain(|_, asked| asked != stream);
        let mut effects = self.subscribe(stream);
        effects.push(Effect::Warn(format!("no subscription to `{stream}` yet: asked again")));
        effects
    }

    fn frame(&mut self, bytes: &[u8]) -> Vec<Effect> {
        match sort(bytes) {
            Sorted::Quote(quote) => vec![self.event(QUOTE, quote.quote_id)],
            Sorted::Status(status) => vec![self.event(QUOTE_STATUS, status.quote_hash)],
            Sorted::Reply(reply) => self.reply(&reply),
            Sorted::Unrecognised(why) => vec![Effect::Unrecognised(why)],
        }
    }

    fn event(&mut self, stream: &'static str, key: String) -> Effect {
        self.heard.insert(stream.to_owned(), true);
        if self.config.subscriptions.iter().any(|name| name == stream) {
            return Effect::Emit { stream, key };
        }
        Effect::Chatter(if stream == QUOTE { "quote_unasked" } else { "quote_status_unasked" })
    }

    fn reply(&mut self, reply: &Reply) -> Vec<Effect> {
        let stream = reply.id.and_then(|id| self.asked.remove(&id));
        match (stream, &reply.error) {
            (Some(stream), Some(refusal)) => vec![
                Effect::Chatter("subscribe_refused"),
                Effect::Timer(stream.clone(), self.config.retry_ms),
                Effect::Warn(format!("the relay refuses the subscription to `{stream}`: {refusal}")),
            ],
            (Some(stream), None) => {
                self.heard.insert(stream, true);
                vec![Effect::Chatter(if matches!(reply.result, Scalar::Text(_)) { "subscribed" } else { "reply" })]
            }
            (None, Some(refusal)) => {
                vec![Effect::Chatter("error_reply"), Effect::Warn(format!("the relay says: {refusal}"))]
            }
            (None, None) => vec![Effect::Chatter("reply")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: TimestampUs = 1_795_341_600_123_456;

    fn opened() -> Ingestor {
        let mut ingestor = Ingestor::new(Config::read("{}").unwrap());
        assert_eq!(ingestor.handle(&Event::Started, NOW), vec![Effect::Connect]);
        let effects = ingestor.handle(&Event::Opened, NOW);
        let expected = r#"{"jsonrpc":"2.0","id":1795341600123,"method":"subscribe","params":["quote"]}"#;
        assert_eq!(effects.first(), Some(&Effect::Send(expected.into())));
        ingestor
    }

    fn frame(ingestor: &mut Ingestor, text: &str) -> Vec<Effect> {
        ingestor.handle(&Event::Frame(text.as_bytes()), NOW)
    }

    const QUOTE_FRAME: &str = r#"{"method":"event","params":{"subscription":"s","data":{"quote_id":"q",
        "defuse_asset_identifier_in":"a","defuse_asset_identifier_out":"b"}}}"#;

    #[test]
    fn an_event_that_overtakes_its_reply_is_kept() {
        let mut ingestor = opened();
        assert_eq!(frame(&mut ingestor, QUOTE_FRAME), vec![Effect::Emit { stream: QUOTE, key: "q".into() }]);
        let reply = r#"{"jsonrpc":"2.0","id":1795341600123,"result":"sub"}"#;
        assert_eq!(frame(&mut ingestor, reply), vec![Effect::Chatter("subscribed")]);
        assert_eq!(frame(&mut ingestor, reply), vec![Effect::Chatter("reply")], "a repeat is just a reply");
    }

    #[test]
    fn a_refused_subscription_is_tried_again_with_a_new_id() {
        let mut ingestor = opened();
        let refused = r#"{"id":1795341600123,"error":{"code":-32000,"message":"Subscription failed"}}"#;
        let effects = frame(&mut ingestor, refused);
        assert_eq!(effects.first(), Some(&Effect::Chatter("subscribe_refused")));
        assert_eq!(effects.get(1), Some(&Effect::Timer(QUOTE.into(), RETRY_MS_DEFAULT)));
        let again = ingestor.handle(&Event::Timer(QUOTE), NOW);
        assert!(matches!(again.first(), Some(Effect::Send(text)) if text.contains("1795341600124")), "{again:?}");
    }

    #[test]
    fn nothing_is_asked_again_once_something_was_heard_or_while_closed() {
        let mut ingestor = opened();
        frame(&mut ingestor, QUOTE_FRAME);
        assert_eq!(ingestor.handle(&Event::Timer(QUOTE), NOW), vec![]);
        ingestor.handle(&Event::Closed, NOW);
        assert_eq!(ingestor.handle(&Event::Timer(QUOTE), NOW), vec![]);
    }

    #[test]
    fn a_reconnect_subscribes_anew_with_ids_that_never_repeat() {
        let mut ingestor = opened();
        ingestor.handle(&Event::Closed, NOW);
        let effects = ingestor.handle(&Event::Opened, NOW);
        assert!(matches!(effects.first(), Some(Effect::Send(text)) if text.contains("1795341600124")), "{effects:?}");
    }

    #[test]
    fn a_wrong_configuration_names_its_key() {
        assert!(Config::read(r#"{"subscriptons":[]}"#).unwrap_err().contains("subscriptons"));
        assert!(Config::read(r#"{"subscriptions":["books"]}"#).unwrap_err().contains("books"));
        assert!(Config::read(r#"{"retry_ms":"5"}"#).is_err());
    }
}
