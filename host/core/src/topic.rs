//! Topic and group names, and how each topic is made.

use crate::names::VenueId;

/// Commands; key `execution_key`.
pub const EXECUTE_TRADE: &str = "cmd.execute_trade";
/// The journal; in the command's partition.
pub const JOURNAL: &str = "exec.journal";
/// Terminal results; in the command's partition.
pub const TRADE_RESULT: &str = "exec.trade_result";
/// Facts that end nothing; in the command's partition.
pub const TRADE_STATUS: &str = "exec.trade_status";
/// The kill switch; one partition, compacted.
pub const EXECUTION_CONTROL: &str = "ctl.execution";

/// The topics whose partitions belong together: a command's journal, result and statuses are in its own partition.
pub const PARTITIONED: [&str; 4] = [EXECUTE_TRADE, JOURNAL, TRADE_RESULT, TRADE_STATUS];

/// Retention of commands and of everything that must outlive them, in milliseconds (7 days, RECORDS "Keys and partitions").
pub const EXECUTION_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Retention of raw and canonical events by age, in milliseconds (7 days): long enough to replay last week.
const EVENT_RETENTION_MS: i64 = 7 * 24 * 3_600 * 1_000;
/// Retention of raw and canonical events by size, in bytes per partition (4 GiB): a disk is never filled by a busy venue.
const EVENT_RETENTION_BYTES: i64 = 4 * 1_024 * 1_024 * 1_024;
/// Largest record of any topic in bytes: a frame of 512 KiB as base64 with its envelope, and a claim that holds a command.
pub const MESSAGE_BYTES_MAX: i32 = 2 * 1_024 * 1_024;

/// The topic of a venue's raw stream.
pub fn raw(venue: &VenueId, stream: &str) -> String {
    format!("raw.{}.{}", underscored(venue.as_str()), underscored(stream))
}

/// The topic of a canonical event type.
pub fn norm(event_type: &str) -> String {
    format!("norm.{event_type}")
}

/// The topic of what could not be processed from `source`.
pub fn dead(source: &str) -> String {
    format!("dead.{source}")
}

/// The topic of frames that never became raw events.
pub fn dead_frames(venue: &VenueId) -> String {
    format!("dead.raw.{}", underscored(venue.as_str()))
}

/// The consumer group of a role for a venue, which may come from a record.
pub fn group(role: &str, venue: &str) -> String {
    format!("{role}.{}", underscored(venue))
}

/// The consumer group of a strategy: each reads the whole stream.
pub fn strategy_group(venue: &VenueId, strategy: &str) -> String {
    format!("{}.{strategy}", group("react", venue.as_str()))
}

/// A name as topics and groups write it.
fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

/// How a topic is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Topic name.
    pub name: String,
    /// Number of partitions; never changed afterwards.
    pub partitions: i32,
    /// How long records are kept.
    pub retention: Retention,
    /// Whether the broker stamps the time of the append.
    pub log_append_time: bool,
}

/// How long records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Deleted by age only, in milliseconds.
    Time(i64),
    /// Deleted by age or by size per partition, whichever comes first.
    TimeOrBytes {
        /// The age, in milliseconds.
        ms: i64,
        /// The size, in bytes.
        bytes: i64,
    },
    /// The newest record of each key is kept.
    Compacted,
}

impl TopicSpec {
    /// The topic's settings in Kafka's words.
    pub fn config(&self) -> Vec<(&'static str, String)> {
        let (policy, ms, bytes) = match self.retention {
            Retention::Time(ms) => ("delete", ms, -1),
            Retention::TimeOrBytes { ms, bytes } => ("delete", ms, bytes),
            Retention::Compacted => ("compact", -1, -1),
        };
        let timestamps = if self.log_append_time { "LogAppendTime" } else { "CreateTime" };
        vec![
            ("cleanup.policy", policy.to_owned()),
            ("retention.ms", ms.to_string()),
            ("retention.bytes", bytes.to_string()),
            ("max.message.bytes", MESSAGE_BYTES_MAX.to_string()),
            ("message.timestamp.type", timestamps.to_owned()),
        ]
    }
}

/// Topics of a venue: its raw streams, the canonical events it feeds, and the dead letters of both.
pub fn venue_topics(venue: &VenueId, streams: &[String], events: &[String], partitions: i32) -> Vec<TopicSpec> {
    let raw = streams.iter().map(|stream| raw(venue, stream));
    let norm = events.iter().map(|event| norm(event));
    let sources: Vec<String> = raw.chain(norm).collect();
    let dead = sources.iter().map(|source| dead(source)).chain([dead_frames(venue)]);
    let names: Vec<String> = sources.iter().cloned().chain(dead).collect();
    names
        .into_iter()
        .map(|name| TopicSpec {
            name,
            partitions,
            retention: Retention::TimeOrBytes { ms: EVENT_RETENTION_MS, bytes: EVENT_RETENTION_BYTES },
            log_append_time: false,
        })
        .collect()
}

/// The topics of the execution side: equal partition counts, and the switch.
pub fn execution_topics(partitions: i32) -> Vec<TopicSpec> {
    let timed = |name: &str, log_append_time| TopicSpec {
        name: name.to_owned(),
        partitions,
        retention: Retention::Time(EXECUTION_RETENTION_MS),
        log_append_time,
    };
    vec![
        timed(EXECUTE_TRADE, false),
        timed(JOURNAL, true),
        timed(TRADE_RESULT, false),
        timed(TRADE_STATUS, false),
        timed(&dead(EXECUTE_TRADE), false),
        TopicSpec {
            name: EXECUTION_CONTROL.to_owned(),
            partitions: 1,
            retention: Retention::Compacted,
            log_append_time: false,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue() -> VenueId {
        "a-venue".parse().unwrap()
    }

    #[test]
    fn writes_venues_with_underscores() {
        assert_eq!(raw(&venue(), "quote"), "raw.a_venue.quote");
        assert_eq!(dead_frames(&venue()), "dead.raw.a_venue");
        assert_eq!(dead(&raw(&venue(), "quote")), "dead.raw.a_venue.quote");
        assert_eq!(group("normalize", "a-venue"), "normalize.a_venue");
        assert_eq!(strategy_group(&venue(), "fixed-spread"), "react.a_venue.fixed-spread");
    }

    #[test]
    fn keeps_commands_and_journal_by_time_only() {
        for spec in execution_topics(6).iter().filter(|spec| spec.name != EXECUTION_CONTROL) {
            assert!(spec.config().contains(&("retention.bytes", "-1".to_owned())), "{}", spec.name);
            assert_eq!(spec.partitions, 6);
        }
    }

    #[test]
    fn lists_every_topic_of_a_venue_with_its_dead_letters() {
        let topics = venue_topics(&venue(), &["quote".to_owned()], &["swap_demand".to_owned()], 3);
        let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
        let expected = [
            "raw.a_venue.quote",
            "norm.swap_demand",
            "dead.raw.a_venue.quote",
            "dead.norm.swap_demand",
            "dead.raw.a_venue",
        ];
        assert_eq!(names, expected);
        assert!(topics.iter().all(|topic| topic.partitions == 3));
    }
}
