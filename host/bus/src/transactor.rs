//! Records in one transaction: readers of committed records see all of them or none.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use tokio::sync::oneshot;

use crate::producer::{Pending, Reports, producer_settings};
use crate::{BusConfig, Error, Outgoing, Position, ProducerOptions};

/// How long a transaction may be open before the broker aborts it, in milliseconds.
pub const TRANSACTION_MS_MAX: u64 = 10_000;
/// How long the coordinator may take to answer, in milliseconds.
const COORDINATOR_WAIT_MS_MAX: u64 = 30_000;
/// How long a transactional record may go without acknowledgement, in milliseconds; within the transaction's time.
const DELIVERY_MS_MAX: u64 = TRANSACTION_MS_MAX - 1_000;
/// Batches that wait for the one before; then `run` waits.
const BATCHES_AHEAD_MAX: usize = 1;

/// Why a transaction did not come to a known good end. The producer behind it is already gone; the next `run` makes a
/// new one, which fences the old and aborts what it left open.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TxnError {
    /// This broker has no transactions.
    #[error("the broker does not support transactions: {0}")]
    Unsupported(String),
    /// Another producer with the same transactional id has taken over.
    #[error("another producer took over this transactional id: {0}")]
    Fenced(String),
    /// Nothing of it was or will be committed.
    #[error("the transaction was not committed: {0}")]
    NotCommitted(Error),
    /// The commit was asked for and its answer never came: read the topic to its stable end to know.
    #[error("the outcome of the transaction is unknown: {0}")]
    Unknown(Error),
}

type Client = ThreadedProducer<Reports>;
type Answer = oneshot::Sender<Result<Vec<Position>, TxnError>>;

/// Writes each batch of records in one transaction, one after the other.
pub struct Transactor {
    batches: SyncSender<(Vec<Outgoing>, Answer)>,
}

impl std::fmt::Debug for Transactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transactor").finish_non_exhaustive()
    }
}

impl Transactor {
    /// A transactional producer on a thread of its own. Needs no broker yet.
    pub fn new(config: &BusConfig, transactional_id: &str) -> Result<Self, Error> {
        let options = ProducerOptions { linger_ms: 0, delivery_ms_max: Some(DELIVERY_MS_MAX) };
        let mut settings = producer_settings(options);
        settings.push(("transactional.id", transactional_id.to_owned()));
        settings.push(("transaction.timeout.ms", TRANSACTION_MS_MAX.to_string()));
        let settings = config.client(&settings)?;
        let (batches, orders) = sync_channel(BATCHES_AHEAD_MAX);
        let thread = std::thread::Builder::new().name("bus-transactor".to_owned());
        let started = thread.spawn(move || work(&settings, &orders));
        started.map_err(|e| Error::Fatal { operation: "start transactor thread", reason: e.to_string() })?;
        Ok(Self { batches })
    }

    /// Fences earlier producers of this id and ends their open transactions. `run` does it by itself where it was not
    /// done.
    pub async fn init(&self) -> Result<(), TxnError> {
        self.run(Vec::new()).await.map(drop)
    }

    /// Writes the records in one transaction; their positions in the same order. Cancelling it does not stop it.
    pub async fn run(&self, records: Vec<Outgoing>) -> Result<Vec<Position>, TxnError> {
        let closed = || TxnError::NotCommitted(Error::Closed { operation: "transaction" });
        let (answer, answered) = oneshot::channel();
        let batches = self.batches.clone();
        // Waits while another batch waits already.
        let sent = tokio::task::spawn_blocking(move || batches.send((records, answer)).is_ok()).await;
        if !matches!(sent, Ok(true)) {
            return Err(closed());
        }
        answered.await.unwrap_or(Err(TxnError::Unknown(Error::Closed { operation: "transaction" })))
    }
}

/// Until the transactor is dropped. After any error the client is dropped: its state is not to be trusted.
fn work(settings: &rdkafka::ClientConfig, orders: &Receiver<(Vec<Outgoing>, Answer)>) {
    let mut client: Option<Client> = None;
    while let Ok((records, answer)) = orders.recv() {
        let done = ready(settings, &mut client).and_then(|client| transaction(client, &records));
        if done.is_err() {
            client = None;
        }
        // A caller that was cancelled reads the topic.
        answer.send(done).ok();
    }
}

fn ready<'a>(settings: &rdkafka::ClientConfig, client: &'a mut Option<Client>) -> Result<&'a Client, TxnError> {
    let there = match client.take() {
        Some(there) => there,
        None => {
            let new: Client =
                settings.create_with_context(Reports).map_err(|e| not_committed("create producer", &e))?;
            new.init_transactions(wait()).map_err(|e| refused(&e))?;
            new
        }
    };
    Ok(client.insert(there))
}

fn transaction(client: &Client, records: &[Outgoing]) -> Result<Vec<Position>, TxnError> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    client.begin_transaction().map_err(|e| not_committed("begin transaction", &e))?;
    let mut deliveries = Vec::with_capacity(records.len());
    for outgoing in records {
        let (tell, report) = oneshot::channel();
        let pending = Box::new(Pending::new(tell, outgoing.topic.clone(), None));
        let mut record = BaseRecord::with_opaque_to(&outgoing.topic, pending)
            .key(&outgoing.key)
            .payload(&outgoing.value)
            .headers(outgoing.kafka_headers());
        record.partition = outgoing.partition;
        if let Err((error, _)) = client.send(record) {
            return Err(abort(client, Error::from_kafka("enqueue", &outgoing.topic, &error)));
        }
        deliveries.push(report);
    }
    // Before the commit is asked for: a record that was not taken must not leave the outcome in doubt.
    let mut positions = Vec::with_capacity(deliveries.len());
    for report in deliveries {
        match report.blocking_recv().unwrap_or(Err(Error::Closed { operation: "produce" })) {
            Ok(position) => positions.push(position),
            Err(error) => return Err(abort(client, error)),
        }
    }
    client.commit_transaction(wait()).map_err(|e| commit_failed(client, &e))?;
    Ok(positions)
}

/// The producer is dropped afterwards; should the abort fail, the next one's start ends the transaction.
fn abort(client: &Client, error: Error) -> TxnError {
    if let Err(error) = client.abort_transaction(wait()) {
        tracing::warn!(%error, "a transaction could not be aborted; the broker ends it");
    }
    if error.is_fatal() { TxnError::Fenced(error.to_string()) } else { TxnError::NotCommitted(error) }
}

fn commit_failed(client: &Client, error: &KafkaError) -> TxnError {
    match error {
        KafkaError::Transaction(reason) if is_fenced(reason.code()) => TxnError::Fenced(reason.to_string()),
        KafkaError::Transaction(reason) if reason.txn_requires_abort() => {
            abort(client, Error::from_kafka("commit transaction", "", error))
        }
        _ => TxnError::Unknown(Error::from_kafka("commit transaction", "", error)),
    }
}

fn refused(error: &KafkaError) -> TxnError {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedFeature
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::NotImplemented,
        ) => TxnError::Unsupported(error.to_string()),
        Some(code) if is_fenced(code) => TxnError::Fenced(error.to_string()),
        _ => not_committed("init transactions", error),
    }
}

fn is_fenced(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | ProducerFenced | InvalidProducerEpoch)
}

fn not_committed(operation: &'static str, error: &KafkaError) -> TxnError {
    TxnError::NotCommitted(Error::from_kafka(operation, "", error))
}

fn wait() -> Duration {
    Duration::from_millis(COORDINATOR_WAIT_MS_MAX)
}
