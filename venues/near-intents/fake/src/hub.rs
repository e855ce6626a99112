//! Who is connected and to what they are subscribed.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

/// Frames that may wait for one slow connection; one more and it is broken, as a real server would.
pub(super) const QUEUE_FRAMES_MAX: usize = 4_096;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stream {
    Quote,
    Status,
    StatusExtended,
}

impl Stream {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "quote" => Some(Self::Quote),
            "quote_status" => Some(Self::Status),
            "quote_status_extended" => Some(Self::StatusExtended),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Status => "quote_status",
            Self::StatusExtended => "quote_status_extended",
        }
    }
}

/// `{tokens_in: [], tokens_out: []}`; a side that is empty, null or missing lets everything pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    tokens_in: HashSet<String>,
    tokens_out: HashSet<String>,
}

impl Filter {
    pub(super) fn parse(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(Self::default()),
            Some(Value::Object(fields)) => {
                let side = |name| match fields.get(name) {
                    None | Some(Value::Null) => Some(HashSet::new()),
                    Some(Value::Array(all)) => all.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
                    Some(_) => None,
                };
                Some(Self { tokens_in: side("tokens_in")?, tokens_out: side("tokens_out")? })
            }
            Some(_) => None,
        }
    }

    fn passes(&self, asset_in: &str, asset_out: &str) -> bool {
        let side = |tokens: &HashSet<String>, asset: &str| tokens.is_empty() || tokens.contains(asset);
        side(&self.tokens_in, asset_in) && side(&self.tokens_out, asset_out)
    }
}

/// One connection's way out, and how to break it.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: u64,
    frames: mpsc::Sender<Message>,
    pub(super) broken: CancellationToken,
}

impl Link {
    pub(super) fn new(connection: u64, broken: CancellationToken) -> (Self, mpsc::Receiver<Message>) {
        let (frames, queue) = mpsc::channel(QUEUE_FRAMES_MAX);
        (Self { connection, frames, broken }, queue)
    }

    /// Queues a frame. A connection that does not keep up is broken.
    pub(super) fn send(&self, message: Message) {
        if self.frames.try_send(message).is_err() {
            self.broken.cancel();
        }
    }
}

#[derive(Debug)]
struct Subscriber {
    link: Link,
    /// One subscription per stream: subscribing again replaces it.
    streams: BTreeMap<Stream, (String, Filter)>,
}

/// A frame's addressee: the connection and the id of its subscription.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) link: Link,
    pub(super) subscription: String,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Hub {
    subscribers: Mutex<BTreeMap<u64, Subscriber>>,
}

impl Hub {
    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Subscriber>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, link: Link) {
        self.all().insert(link.connection, Subscriber { link, streams: BTreeMap::new() });
    }

    pub(super) fn remove(&self, connection: u64) {
        self.all().remove(&connection);
    }

    pub(super) fn connections(&self) -> usize {
        self.all().len()
    }

    pub(super) fn break_all(&self) {
        self.all().values().for_each(|subscriber| subscriber.link.broken.cancel());
    }

    pub(super) fn subscribe(&self, connection: u64, stream: Stream, subscription: String, filter: Filter) {
        if let Some(subscriber) = self.all().get_mut(&connection) {
            subscriber.streams.insert(stream, (subscription, filter));
        }
    }

    /// Whether there was such a subscription on this connection.
    pub(super) fn unsubscribe(&self, connection: u64, subscription: &str) -> bool {
        let mut all = self.all();
        let Some(subscriber) = all.get_mut(&connection) else { return false };
        let before = subscriber.streams.len();
        subscriber.streams.retain(|_, (id, _)| id != subscription);
        subscriber.streams.len() < before
    }

    /// The subscribers of a stream; of quotes only those whose filter lets this pair pass.
    pub(super) fn targets(&self, stream: Stream, pair: Option<(&str, &str)>) -> Vec<Target> {
        let all = self.all();
        let wanted = all.values().filter_map(|subscriber| {
            let (subscription, filter) = subscriber.streams.get(&stream)?;
            let passes = pair.is_none_or(|(asset_in, asset_out)| filter.passes(asset_in, asset_out));
            passes.then(|| Target { link: subscriber.link.clone(), subscription: subscription.clone() })
        });
        wanted.collect()
    }

    pub(super) fn has_quote_subscriber(&self) -> bool {
        self.all().values().any(|subscriber| subscriber.streams.contains_key(&Stream::Quote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_restricts_each_side_on_its_own_and_nothing_when_empty() {
        let filter = |text: &str| Filter::parse(Some(&serde_json::from_str(text).unwrap()));
        assert!(filter("null").unwrap().passes("a", "b"));
        assert!(filter(r#"{"tokens_in":[],"tokens_out":null}"#).unwrap().passes("a", "b"));
        let both = filter(r#"{"tokens_in":["a"],"tokens_out":["b","c"]}"#).unwrap();
        assert!(both.passes("a", "c"));
        assert!(!both.passes("b", "c"));
        assert!(!both.passes("a", "a"));
        assert!(filter(r#"{"tokens_in":"a"}"#).is_none());
        assert!(filter(r#"["a"]"#).is_none());
    }
}
