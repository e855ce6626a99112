//! Errors that stop a partition without ending the client: a codec that this build lacks, a record that cannot be decoded,
//! an access rule. The client library repeats them many times a second and does not name the partition.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::Error;
use crate::reader::watermarks;

/// How long the same error must repeat without progress of a partition before that partition counts as stopped.
const WINDOW: Duration = Duration::from_secs(1);
/// How often a stopped partition is reported.
const REPORT_EVERY: Duration = Duration::from_secs(10);

type Place = ((String, i32), Option<i64>);

/// Collects repeated errors and finds the partitions that they stop.
#[derive(Default)]
pub(crate) struct Stopped {
    window: Option<Window>,
    reported: Option<(Code, Instant)>,
}

/// Positions at the first of several equal errors.
struct Window {
    code: Code,
    since: Instant,
    last: Instant,
    places: HashMap<(String, i32), Option<i64>>,
}

impl Stopped {
    /// Takes an error that an operator must mend; `None` for every other one. Mostly there is nothing to report yet.
    pub(crate) fn take<C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        error: &KafkaError,
        places: impl FnOnce() -> Vec<Place>,
    ) -> Option<Vec<Error>> {
        let denied = Error::from_kafka("consume", "", error);
        let (Error::Denied { reason, .. }, Some(code)) = (&denied, error.rdkafka_error_code()) else { return None };
        let now = Instant::now();
        let fresh = self.window.as_ref().is_none_or(|window| window.code != code || now - window.last > WINDOW);
        if fresh {
            let places = places().into_iter().collect();
            self.window = Some(Window { code, since: now, last: now, places });
            return Some(self.first(code, denied, now));
        }
        let window = self.window.as_mut()?;
        window.last = now;
        if now - window.since < WINDOW {
            return Some(Vec::new());
        }
        let before = std::mem::take(&mut window.places);
        let here = places();
        window.places = here.iter().cloned().collect();
        window.since = now;
        if self.reported.is_some_and(|(reported, at)| reported == code && now - at < REPORT_EVERY) {
            return Some(Vec::new());
        }
        let unmoved = here.into_iter().filter(|(at, next)| before.get(at) == Some(next));
        let stopped: Vec<_> = unmoved.filter_map(|place| behind(consumer, place, reason)).collect();
        if !stopped.is_empty() {
            self.reported = Some((code, now));
        }
        Some(stopped)
    }

    /// The first of a kind is reported without its partition: it may be the only one.
    fn first(&self, code: Code, error: Error, now: Instant) -> Vec<Error> {
        let recent = self.reported.is_some_and(|(reported, at)| reported == code && now - at < REPORT_EVERY);
        if recent { Vec::new() } else { vec![error] }
    }
}

/// A partition that has records and does not move.
fn behind<C: ConsumerContext>(consumer: &BaseConsumer<C>, (at, next): Place, reason: &str) -> Option<Error> {
    let (topic, partition) = at;
    let (low, high) = watermarks(consumer, &topic, partition).ok()?;
    let offset = next.unwrap_or(low);
    (offset < high).then(|| Error::Stopped { topic, partition, offset, reason: reason.to_owned() })
}
