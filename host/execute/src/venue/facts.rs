//! What standing questions were answered, and how long ago.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use unrip_core::Timestamp;
use unrip_engine::executor::Fact;

/// Facts that are kept; a module that names more loses the rest.
const FACTS_MAX: usize = 4_096;

/// Facts by name. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    facts: Arc<Mutex<BTreeMap<String, (String, Timestamp)>>>,
}

impl Facts {
    /// Keeps a fact; it replaces the one with the same name.
    pub fn set(&self, name: String, value: String, at: Timestamp) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.len() < FACTS_MAX || facts.contains_key(&name) {
            facts.insert(name, (value, at));
        }
    }

    /// A fact and when it was asked for.
    pub fn get(&self, name: &str) -> Option<(String, Timestamp)> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All facts with their age at `now`.
    pub fn at(&self, now: Timestamp) -> Vec<Fact> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |at: &Timestamp| now.millis_since(*at).max(0) as u64;
        facts
            .iter()
            .map(|(name, (value, at))| Fact { name: name.clone(), value: value.clone(), age_ms: age(at) })
            .collect()
    }
}
