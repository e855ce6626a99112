//! Readiness: named conditions set by a role and shown by `/ready`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// The condition that the service has named all others.
const START: &str = "start";

/// The conditions of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health {
    conditions: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

/// One condition, owned and set by the part of the service that it is about.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    health: Health,
}

#[derive(Clone, Debug)]
struct State {
    met: bool,
    detail: String,
}

/// What `/ready` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether every condition is met.
    pub ready: bool,
    /// The names of those that are met.
    pub met: Vec<&'static str>,
    /// The others, and why.
    pub missing: Vec<Missing>,
}

/// A condition that is not met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its name, e.g. `module`, `bus`, `partitions`.
    pub name: &'static str,
    /// What the service is waiting for, or what went wrong.
    pub detail: String,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Not ready until [`Health::started`] and every other condition is met.
    pub fn new() -> Self {
        let health = Self { conditions: Arc::default() };
        health.set(START, false, "the service is starting");
        health
    }

    /// Every condition of the service is named. Before that it would look ready whenever the conditions so far are met.
    pub fn started(&self) {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner).remove(START);
    }

    /// Adds a condition that is not met yet.
    pub fn condition(&self, name: &'static str, awaited: &str) -> Condition {
        let condition = Condition { name, health: self.clone() };
        condition.missing(awaited);
        condition
    }

    /// What is met and what is not.
    pub fn readiness(&self) -> Readiness {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let (met, missing): (Vec<_>, Vec<_>) = conditions.iter().partition(|(_, state)| state.met);
        Readiness {
            ready: missing.is_empty() && !met.is_empty(),
            met: met.into_iter().map(|(name, _)| *name).collect(),
            missing: missing.into_iter().map(|(name, state)| Missing { name, detail: state.detail.clone() }).collect(),
        }
    }

    fn is_missing(&self, name: &'static str) -> bool {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.get(name).is_some_and(|state| !state.met)
    }

    fn set(&self, name: &'static str, met: bool, detail: &str) {
        let state = State { met, detail: detail.to_owned() };
        let before = self.conditions.lock().unwrap_or_else(PoisonError::into_inner).insert(name, state);
        if before.is_some_and(|before| before.met != met) {
            tracing::info!(condition = name, met, detail, "readiness changed");
        }
    }
}

impl Condition {
    /// The condition is met.
    pub fn met(&self) {
        self.health.set(self.name, true, "");
    }

    /// The condition is not met (any more); an earlier reason is kept.
    pub fn waiting(&self, detail: &str) {
        if !self.health.is_missing(self.name) {
            self.missing(detail);
        }
    }

    /// The condition is not met (any more), and why.
    pub fn missing(&self, detail: &str) {
        self.health.set(self.name, false, detail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(health: &Health) -> Vec<&'static str> {
        health.readiness().missing.iter().map(|missing| missing.name).collect()
    }

    #[test]
    fn is_ready_when_every_named_condition_is_met() {
        let health = Health::new();
        let module = health.condition("module", "not loaded");
        let bus = health.condition("bus", "not reached");
        health.started();
        module.met();
        assert_eq!(health.readiness().missing, vec![Missing { name: "bus", detail: "not reached".into() }]);
        bus.met();
        assert!(health.readiness().ready);
        bus.missing("connection refused");
        assert!(!health.readiness().ready);
    }

    #[test]
    fn is_not_ready_while_conditions_may_still_be_named() {
        let health = Health::new();
        assert_eq!(missing(&health), ["start"], "no condition is named yet");
        health.condition("module", "not loaded").met();
        assert_eq!(missing(&health), ["start"], "the bus is not named yet");
        let bus = health.condition("bus", "not reached");
        health.started();
        assert_eq!(missing(&health), ["bus"]);
        bus.met();
        assert!(health.readiness().ready);
    }
}
