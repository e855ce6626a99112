//! librdkafka's own log lines and errors go to tracing, so that they appear in the service's JSON log.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The context of clients that need no callback but the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: Level, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        report(&error, reason);
    }
}

pub(crate) fn log(level: Level, facility: &str, message: &str) {
    match level {
        // A failed connection: the client tries again by itself.
        Level::Error if facility == "FAIL" => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
            tracing::error!(target: "librdkafka", facility, "{message}");
        }
        Level::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Level::Notice | Level::Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Level::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}

/// An unreachable broker is logged and ends nothing: the client reconnects by itself.
pub(crate) fn report(error: &KafkaError, reason: &str) {
    // Repeated many times a second while a broker is unreachable (the caller that waits reports it once), or no error.
    let code = error.rdkafka_error_code();
    if matches!(code, Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::PartitionEOF)) {
        tracing::debug!(target: "librdkafka", error = %error, "{reason}");
        return;
    }
    tracing::warn!(target: "librdkafka", error = %error, "{reason}");
}

impl rdkafka::consumer::ConsumerContext for Logging {}
