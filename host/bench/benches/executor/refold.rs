//! The journal folded again from its start: the way of an executor that has lost its disk.

use std::time::{Duration, Instant};

use unrip_bus::{Isolation, Outgoing, Position, Record};
use unrip_core::topic;

use super::{Bench, PARTITIONS, WAIT};

/// Records that wait for their acknowledgement at once.
const IN_FLIGHT_MAX: usize = 20_000;

/// Fills the journal with copies of a claim and its outcome under new ids, deletes the fold and starts the executor.
pub(crate) async fn run(bench: &mut Bench, records: usize) {
    // One more command, so that there is a claim under the newest fence.
    bench.producer.send(bench.commands.next()).await.unwrap();
    bench.wait_for_results(1).await;
    bench.stack.services.stop(&bench.executor, Duration::from_secs(20)).await;
    let (pair, present) = claim_and_outcome(bench).await;
    let copies = records.saturating_sub(present) / 2;
    let started_at = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..copies {
        for record in &pair {
            waiting.push(bench.producer.enqueue(renamed(record, number)).await.unwrap());
        }
        if waiting.len() >= IN_FLIGHT_MAX {
            for delivery in waiting.drain(..) {
                delivery.await.unwrap();
            }
        }
    }
    for delivery in waiting {
        delivery.await.unwrap();
    }
    println!("(journal of {} records written in {:.0} s)", present + 2 * copies, started_at.elapsed().as_secs_f64());
    std::fs::remove_dir_all(bench.stack.dir.join("state")).unwrap();
    let started_at = Instant::now();
    bench.stack.services.start(&bench.executor).unwrap();
    let folded = loop {
        let log = bench.stack.services.log_tail(&bench.executor, 400);
        if let Some(line) = log.lines().rev().find(|line| line.contains("journal folded")) {
            break line.to_owned();
        }
        assert!(started_at.elapsed() < WAIT, "not folded\n{log}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!(
        "re-fold: {:.1} s from the start of the process (aim 10 s for 10^6 records): {folded}",
        started_at.elapsed().as_secs_f64()
    );
}

/// A claim and its outcome whose fence is the newest of their partition, and how many records the journal has.
async fn claim_and_outcome(bench: &Bench) -> ([Record; 2], usize) {
    let (mut found, mut present) = (None, 0);
    for partition in 0..PARTITIONS {
        let records = unrip_bus::read_to_end(
            &bench.stack.bus,
            Position::new(topic::JOURNAL, partition, 0),
            Isolation::ReadUncommitted,
        );
        let records = records.await.unwrap();
        present += records.len();
        let is = |record: &&Record, kind: &str| record.header("event_type") == Some(kind.as_bytes());
        let fence = records.iter().rev().find(|record| is(record, "journal_fence")).map_or(0, |record| record.offset);
        let claim = records.iter().find(|record| is(record, "journal_claim") && record.offset > fence);
        let Some(claim) = claim else { continue };
        let outcome = records.iter().find(|record| is(record, "journal_outcome") && record.key == claim.key);
        found = found.or_else(|| outcome.map(|outcome| [claim.clone(), outcome.clone()]));
    }
    (found.expect("a claim under the newest fence"), present)
}

/// The same record about another command.
fn renamed(record: &Record, number: usize) -> Outgoing {
    let text = String::from_utf8(record.value.clone()).unwrap();
    let id = String::from_utf8(record.key.clone().unwrap()).unwrap();
    // The last sixteen digits are the part that tells commands of one time and account apart.
    let other = format!("{}{number:016x}", &id[..16]);
    let quote = quote_id(&text);
    let text = text.replace(&id, &other);
    let text = match quote {
        Some(quote) => text.replace(&quote, &format!("{}{number:012x}", &quote[..24])),
        None => text,
    };
    Outgoing {
        topic: topic::JOURNAL.to_owned(),
        partition: Some(record.partition),
        key: other.into_bytes(),
        value: text.into_bytes(),
        headers: record.headers.clone(),
    }
}

fn quote_id(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    Some(value["payload"]["command"]["payload"]["venue_ref"].as_str()?.to_owned())
}
