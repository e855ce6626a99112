//! What keeps records from being read, for the operator: the condition `reading`.

use std::collections::BTreeMap;

use unrip_bus::Partition;

use crate::health::{Condition, Health};

/// Partitions that cannot be read, and what the broker denies.
#[derive(Debug)]
pub(super) struct Reading {
    condition: Condition,
    stopped: BTreeMap<Partition, String>,
    denied: Option<String>,
}

impl Reading {
    pub(super) fn new(health: &Health) -> Self {
        let condition = health.condition("reading", "");
        condition.met();
        Self { condition, stopped: BTreeMap::new(), denied: None }
    }

    /// The partition cannot be read past a record.
    pub(super) fn stopped(&mut self, partition: Partition, reason: &str) {
        self.stopped.insert(partition, reason.to_owned());
        self.show();
    }

    /// A record of the partition was read, or the partition belongs to another member.
    pub(super) fn forget(&mut self, partition: &Partition) {
        if self.stopped.remove(partition).is_some() {
            self.show();
        }
    }

    /// The broker denies the group what it needs.
    pub(super) fn denied(&mut self, reason: &str) {
        self.denied = Some(reason.to_owned());
        self.show();
    }

    /// The broker served the group.
    pub(super) fn allowed(&mut self) {
        if self.denied.take().is_some() {
            self.show();
        }
    }

    /// The group is joined again.
    pub(super) fn clear(&mut self) {
        self.stopped.clear();
        self.denied = None;
        self.show();
    }

    fn show(&self) {
        match self.denied.as_ref().or_else(|| self.stopped.values().next()) {
            Some(reason) => self.condition.missing(reason),
            None => self.condition.met(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_stops_until_it_flows_again() {
        let health = Health::new();
        let mut reading = Reading::new(&health);
        health.started();
        assert!(health.readiness().ready);
        reading.stopped(("t".into(), 1), "codec");
        reading.denied("access");
        assert_eq!(health.readiness().missing[0].detail, "access");
        reading.allowed();
        assert_eq!(health.readiness().missing[0].detail, "codec");
        reading.forget(&("t".into(), 0));
        assert!(!health.readiness().ready);
        reading.forget(&("t".into(), 1));
        assert!(health.readiness().ready);
    }
}
