//! How far consumer groups are behind: what they decline leaves no record that could be counted.

use std::collections::BTreeMap;

use unrip_bus::{BusConfig, GroupConsumer, GroupOptions};

/// A group and a topic that it reads.
pub type Reading = (String, String);

/// Whether every group has committed up to `ends` of its topic. An unreachable broker is a no.
pub async fn all_caught_up(bus: &BusConfig, groups: &[Reading], ends: &BTreeMap<(String, i32), i64>) -> bool {
    for (group, topic) in groups {
        if !caught_up(bus, group, topic, ends).await {
            return false;
        }
    }
    true
}

async fn caught_up(bus: &BusConfig, group: &str, topic: &str, ends: &BTreeMap<(String, i32), i64>) -> bool {
    let mine: BTreeMap<&(String, i32), i64> =
        ends.iter().filter(|((name, _), end)| name == topic && **end > 0).map(|(place, end)| (place, *end)).collect();
    if mine.is_empty() {
        return true;
    }
    // Without topics it asks about the group and never becomes a member.
    let Ok(asker) = GroupConsumer::join(bus, GroupOptions::new(group, Vec::new())) else { return false };
    let places: Vec<(String, i32)> = mine.keys().map(|place| (*place).clone()).collect();
    let committed = asker.committed(&places).await;
    asker.leave().await;
    let Ok(committed) = committed else { return false };
    committed
        .iter()
        .all(|(place, offset)| mine.get(place).is_none_or(|end| offset.is_some_and(|offset| offset >= *end)))
}
