//! How far the executors' groups have committed.

use serde::Serialize;
use unrip_bus::{Admin, BusConfig, GroupConsumer, GroupOptions};
use unrip_core::topic;

use super::reading::Bounds;

/// A consumer group of one venue's executors.
#[derive(Clone, Debug, Serialize)]
pub struct GroupState {
    /// Its name.
    pub group: String,
    /// Its members now; null where the broker does not say.
    pub members: Option<usize>,
    /// Commands that are not committed yet, over all partitions; null where the broker does not say.
    pub lag: Option<i64>,
    /// Each partition of the commands.
    pub partitions: Vec<Committed>,
}

/// How far one partition is committed.
#[derive(Clone, Debug, Serialize)]
pub struct Committed {
    pub partition: i32,
    /// The next offset to read; null where nothing was committed.
    pub committed: Option<i64>,
    /// The end of the commands.
    pub end: i64,
    /// What lies between.
    pub lag: i64,
}

/// The group of a venue's executors. What the broker does not tell is left out: the rest is shown all the same.
pub async fn state(bus: &BusConfig, venue: &str, commands: &Bounds) -> GroupState {
    let group = topic::group("execute", venue);
    let members = members(bus, &group).await;
    let partitions = committed(bus, &group, commands).await;
    let lag = partitions.as_ref().map(|all| all.iter().map(|one| one.lag).sum());
    GroupState { group, members, lag, partitions: partitions.unwrap_or_default() }
}

/// How many members a group has; `None` where the broker does not say.
pub async fn members(bus: &BusConfig, group: &str) -> Option<usize> {
    Admin::new(bus).ok()?.group_members(group).await.ok()
}

async fn committed(bus: &BusConfig, group: &str, commands: &Bounds) -> Option<Vec<Committed>> {
    // Without topics it asks about the group and never becomes a member.
    let asker = GroupConsumer::join(bus, GroupOptions::new(group, Vec::new())).ok()?;
    let places: Vec<(String, i32)> =
        commands.keys().map(|partition| (topic::EXECUTE_TRADE.to_owned(), *partition)).collect();
    let found = asker.committed(&places).await;
    asker.leave().await;
    let mut all: Vec<Committed> = found.ok()?.into_iter().map(|((_, at), offset)| one(at, offset, commands)).collect();
    all.sort_by_key(|one| one.partition);
    Some(all)
}

fn one(partition: i32, committed: Option<i64>, commands: &Bounds) -> Committed {
    let (low, end) = commands.get(&partition).copied().unwrap_or_default();
    // What was dropped by age is not waited for.
    let lag = (end - committed.unwrap_or(low).max(low)).max(0);
    Committed { partition, committed, end, lag }
}
