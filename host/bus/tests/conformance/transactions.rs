//! Transactions: readers of committed records see exactly the committed ones. Skipped with a message where there are none.

use unrip_bus::{BusConfig, Error, Isolation, Position, Transactor, TxnError, read_to_end};
use unrip_testkit::broker::unique_topic;

use super::common::{bus, record, soon, topic, values, verdict};

/// A transactor that is ready, or `None` where the broker has no transactions.
async fn transactor(id: &str) -> Option<Transactor> {
    let transactor = Transactor::new(&bus(), id).unwrap();
    match soon("init", transactor.init()).await {
        Ok(()) => Some(transactor),
        Err(TxnError::Unsupported(reason)) => {
            verdict("transactions", false);
            eprintln!("SKIPPED: a test of transactions; the broker says: {reason}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// A commit is done before its markers are written, so the stable end follows a moment later.
async fn committed(config: &BusConfig, name: &str, count: usize) -> Vec<String> {
    soon("stable end", async {
        loop {
            let read = read_to_end(config, Position::new(name, 0, 0), Isolation::ReadCommitted).await.unwrap();
            if read.len() >= count {
                return values(&read);
            }
        }
    })
    .await
}

#[tokio::test]
async fn committed_records_are_seen_and_others_never() {
    let id = unique_topic("tx");
    let Some(transactor) = transactor(&id).await else { return };
    let (config, name) = topic("committed", 2).await;
    let good = vec![record(&name, Some(0), "a", "one"), record(&name, Some(1), "b", "two")];
    let positions = soon("commit", transactor.run(good)).await.unwrap();
    assert_eq!((positions[0].partition, positions[1].partition), (0, 1));

    // The second record cannot be accepted, so the first must never be seen.
    let bad = vec![record(&name, Some(0), "c", "never"), record(&name, Some(0), "d", &"x".repeat(3 * 1_024 * 1_024))];
    let error = soon("abort", transactor.run(bad)).await.unwrap_err();
    assert!(matches!(error, TxnError::NotCommitted(Error::Refused { .. })), "{error}");
    soon("again", transactor.run(vec![record(&name, Some(0), "e", "three")])).await.unwrap();

    assert_eq!(committed(&config, &name, 2).await, ["one", "three"]);
    let everything =
        values(&read_to_end(&config, Position::new(&name, 0, 0), Isolation::ReadUncommitted).await.unwrap());
    assert!(everything.contains(&"three".to_owned()), "{everything:?}");
    verdict("transactions: read_committed sees exactly the committed", true);
}

#[tokio::test]
async fn a_successor_fences_its_predecessor() {
    let id = unique_topic("fence");
    let Some(old) = transactor(&id).await else { return };
    let (config, name) = topic("fenced", 1).await;
    soon("old", old.run(vec![record(&name, None, "k", "old")])).await.unwrap();
    let new = Transactor::new(&config, &id).unwrap();
    soon("new", new.init()).await.unwrap();
    let error = soon("zombie", old.run(vec![record(&name, None, "k", "zombie")])).await.unwrap_err();
    assert!(matches!(error, TxnError::Fenced(_)), "{error}");
    soon("new", new.run(vec![record(&name, None, "k", "new")])).await.unwrap();
    assert_eq!(committed(&config, &name, 2).await, ["old", "new"]);
    verdict("transactions: a successor fences", true);
}
