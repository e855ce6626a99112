//! Records as plain structs, in and out.

use rdkafka::Timestamp as KafkaTime;
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use unrip_core::TraceParent;

use crate::Partition;
use crate::headers;

/// A record read from the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Value; empty where the record is a tombstone.
    pub value: Vec<u8>,
    /// Whether the value is null.
    pub tombstone: bool,
    /// Headers in their order; in a name that is not UTF-8 the bad bytes are replaced by U+FFFD.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its time, as the broker reports it.
    pub timestamp: RecordTime,
}

/// The time of a record in milliseconds since 1970, and who set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordTime {
    /// Set by the producer.
    Create(i64),
    /// Stamped by the broker at the append.
    Append(i64),
    /// None was given.
    None,
}

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic.
    pub topic: String,
    /// An explicit partition; `None` lets murmur2 of the key choose.
    pub partition: Option<i32>,
    /// Key.
    pub key: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A place in the log: where an acknowledged record lies, or where reading starts or continues.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl Position {
    /// The offset of a topic's partition.
    pub fn new(topic: impl Into<String>, partition: i32, offset: i64) -> Self {
        Self { topic: topic.into(), partition, offset }
    }

    /// The topic's partition.
    pub fn place(&self) -> Partition {
        (self.topic.clone(), self.partition)
    }
}

impl Record {
    /// The topic's partition.
    pub fn place(&self) -> Partition {
        (self.topic.clone(), self.partition)
    }

    /// Where reading continues after it.
    pub fn next_position(&self) -> Position {
        Position::new(&self.topic, self.partition, self.offset + 1)
    }

    /// The last header of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_slice())
    }

    /// The W3C trace context, where the record carries a valid one.
    pub fn trace(&self) -> Option<TraceParent> {
        std::str::from_utf8(self.header("traceparent")?).ok()?.parse().ok()
    }

    /// Bytes of key, value and headers, for limits.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.len() + headers
    }

    pub(crate) fn from_message(message: &BorrowedMessage<'_>) -> Self {
        let headers = headers::of(message);
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().unwrap_or_default().to_vec(),
            tombstone: message.payload().is_none(),
            headers,
            timestamp: match message.timestamp() {
                KafkaTime::CreateTime(ms) => RecordTime::Create(ms),
                KafkaTime::LogAppendTime(ms) => RecordTime::Append(ms),
                KafkaTime::NotAvailable => RecordTime::None,
            },
        }
    }
}

impl RecordTime {
    /// The time in milliseconds since 1970, from either source.
    pub fn millis(self) -> Option<i64> {
        match self {
            Self::Create(ms) | Self::Append(ms) => Some(ms),
            Self::None => None,
        }
    }
}

impl Outgoing {
    /// Bytes of key, value and headers, for limits.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.key.len() + self.value.len() + headers
    }

    pub(crate) fn kafka_headers(&self) -> OwnedHeaders {
        self.headers.iter().fold(OwnedHeaders::new_with_capacity(self.headers.len()), |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value.as_slice()) })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_counts() {
        let record = Record {
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
            key: None,
            value: Vec::new(),
            tombstone: true,
            headers: vec![("a".to_owned(), b"1".to_vec()), ("a".to_owned(), b"2".to_vec())],
            timestamp: RecordTime::None,
        };
        assert_eq!(record.header("a"), Some(b"2".as_slice()));
        assert_eq!(record.header("b"), None);
        assert_eq!(record.trace(), None);
    }
}
