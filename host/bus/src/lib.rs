//! The Kafka protocol behind plain structs: the only room that knows rdkafka.
//!
//! Errors say what to do ([`Error`]). An unreachable broker is [`Error::Retriable`], at start and later: the clients
//! here reconnect by themselves and continue where they were. Blocking calls of librdkafka run on threads of their own.

#![warn(missing_docs)]

mod admin;
mod config;
mod error;
mod group;
mod headers;
mod logging;
mod producer;
mod reader;
mod record;
mod stopped;
mod transactor;

pub use admin::{Admin, Ensured, TopicState};
pub use config::*;
pub use error::Error;
pub use group::{
    BATCH_BYTES_MAX, BATCH_RECORDS_DEFAULT, GroupConsumer, GroupEvent, GroupOptions, Partition, RevokeGuard, Start,
};
pub use producer::{Delivery, Producer, ProducerOptions, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX};
pub use reader::{
    LogReader, READ_BATCH_BYTES_MAX, READ_BATCH_RECORDS_MAX, READ_TO_END_BYTES_MAX, READ_TO_END_STALL_S_MAX, ToEnd,
    read_to_end,
};
pub use record::{Outgoing, Position, Record, RecordTime};
pub use transactor::{TRANSACTION_MS_MAX, Transactor, TxnError};
