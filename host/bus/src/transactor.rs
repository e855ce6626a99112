//! Records in one transaction.

use crate::{BusConfig, Error, Outgoing, Position};

/// Why a transaction did not come to a known good end. The producer behind it is already gone; the next `run` makes a
/// new one, which fences the old and aborts what it left open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxnError {
    /// This broker has no transactions.
    #[error("the broker does not support transactions: {0}")]
    Unsupported(String),
    /// Another producer with the same transactional id took over.
    #[error("another producer took over this transactional id: {0}")]
    Fenced(String),
    /// Nothing of it was or will be committed.
    #[error("the transaction was not committed: {0}")]
    NotCommitted(Error),
    /// The commit was asked for and its answer never came: read the topic to its stable end to know.
    #[error("the outcome of the transaction is unknown: {0}")]
    Unknown(Error),
}

/// Writes each batch of records in one transaction.
pub struct Transactor {}

impl Transactor {
    /// A transactional producer on a thread of its own. Needs no broker yet.
    pub fn new(_config: &BusConfig, _transactional_id: &str) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Fences earlier producers of this id and ends their open transactions. `run` does it by itself where it was not done.
    pub async fn init(&self) -> Result<(), TxnError> {
        Err(TxnError::Unsupported(String::new()))
    }

    /// Writes the records in one transaction; their positions in the same order.
    pub async fn run(&self, _records: Vec<Outgoing>) -> Result<Vec<Position>, TxnError> {
        Err(TxnError::Unsupported(String::new()))
    }
}
