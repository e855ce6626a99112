//! The four topics that are read, and places in them.

use unrip_core::topic;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// `cmd.execute_trade`.
    Commands,
    /// `exec.journal`.
    Journal,
    /// `exec.trade_result`.
    Results,
    /// `exec.trade_status`.
    Statuses,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Commands, Self::Journal, Self::Results, Self::Statuses];

    pub fn topic(self) -> &'static str {
        match self {
            Self::Commands => topic::EXECUTE_TRADE,
            Self::Journal => topic::JOURNAL,
            Self::Results => topic::TRADE_RESULT,
            Self::Statuses => topic::TRADE_STATUS,
        }
    }

    /// The stream of a topic.
    pub fn of(topic: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.topic() == topic)
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub stream: Stream,
    pub partition: i32,
    pub offset: i64,
}
