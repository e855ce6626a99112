//! Topics and settings of the broker.
use std::collections::BTreeMap;
use std::time::Duration;

use unrip_core::topic::TopicSpec;

use crate::{BusConfig, Error};

/// Asks and makes.
#[derive(Clone)]
pub struct Admin {}

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was made.
    Created {
        /// Wanted settings that the broker does not keep or does not tell, one sentence each.
        warnings: Vec<String>,
    },
    /// It was there as wanted.
    Kept {
        /// Wanted settings that the broker does not keep or does not tell, one sentence each.
        warnings: Vec<String>,
    },
}

impl Ensured {
    /// Wanted settings that the broker does not keep or does not tell, one sentence each.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Created { warnings } | Self::Kept { warnings } => warnings,
        }
    }
}

/// A topic as the broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Number of partitions.
    pub partitions: i32,
    /// Settings as far as the broker tells them.
    pub settings: BTreeMap<String, String>,
}

impl Admin {
    /// A client. Needs no broker yet.
    pub fn new(_config: &BusConfig) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Makes the topics that are not there. A topic that differs is an error; nothing is altered.
    pub async fn ensure_topics(&self, _topics: &[TopicSpec]) -> Result<Vec<(String, Ensured)>, Error> {
        Err(Error::Closed { operation: "ensure topics" })
    }

    /// The topic, or `None` where the broker has none of that name.
    pub async fn describe(&self, _topic: &str) -> Result<Option<TopicState>, Error> {
        Err(Error::Closed { operation: "describe topic" })
    }

    /// The broker's own settings as far as it tells them.
    pub async fn broker_settings(&self) -> Result<BTreeMap<String, String>, Error> {
        Err(Error::Closed { operation: "describe broker" })
    }

    /// Whether a broker answers within the time.
    pub async fn reachable(&self, _wait: Duration) -> Result<(), Error> {
        Err(Error::Closed { operation: "reach broker" })
    }
}
