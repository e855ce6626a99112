//! The bounds of a pipeline.

use serde::Deserialize;

/// Kafka's own limit of names, in bytes.
const INSTANCE_ID_BYTES_MAX: usize = 249;

/// `[pipeline]`: bounds of the consume, transform, produce, commit loop.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineSection {
    /// What a crash may cost: `at-least-once`, the same records again with the same ids.
    pub delivery: AtLeastOnce,
    /// Records that one turn of the loop takes at most.
    pub batch_records_max: usize,
    /// A batch that is older makes the service not ready: something that it needs does not get on.
    pub batch_age_ms_max: u64,
    /// The longest that acknowledged work stays uncommitted: what a crash makes the service do again.
    pub commit_interval_ms: u64,
    /// After this silence the broker gives the partitions to others. A short one gets work going again soon after a crash
    /// or the loss of a node; a long one survives pauses of a crowded node without a rebalance. Kafka refuses less than
    /// its `group.min.session.timeout.ms` (6 000 by default).
    pub session_timeout_ms: u64,
    /// A name of this instance that is the same after a restart, e.g. a StatefulSet's pod name: static membership. A
    /// restart within `session_timeout_ms` gets its partitions back at once, and no other instance pauses for a
    /// rebalance. In return the partitions of one that ends, also on SIGTERM, are idle until the session is over. Each
    /// instance needs a name of its own: of two with one name the older one is fenced. Unset by default.
    pub group_instance_id: Option<String>,
    /// The longest single wait that a module's `retry-after` gets.
    pub retry_wait_ms_max: u64,
    /// How often a record is tried again before it is a dead letter.
    pub retry_attempts_max: u32,
    /// How long a record may hold its partition in all before it is a dead letter.
    pub retry_total_ms_max: u64,
}

impl Default for PipelineSection {
    fn default() -> Self {
        Self {
            delivery: AtLeastOnce,
            batch_records_max: 256,
            batch_age_ms_max: 30_000,
            commit_interval_ms: 100,
            session_timeout_ms: 6_000,
            group_instance_id: None,
            retry_wait_ms_max: 5_000,
            retry_attempts_max: 10,
            retry_total_ms_max: 30_000,
        }
    }
}

impl PipelineSection {
    /// Whether the values make sense.
    ///
    /// # Errors
    /// The key and the reason.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [
            ("batch_records_max", self.batch_records_max as u64, 1, 10_000),
            ("batch_age_ms_max", self.batch_age_ms_max, 1_000, 3_600_000),
            ("commit_interval_ms", self.commit_interval_ms, 1, 60_000),
            ("session_timeout_ms", self.session_timeout_ms, 1_000, 300_000),
            ("retry_wait_ms_max", self.retry_wait_ms_max, 1, 60_000),
            ("retry_total_ms_max", self.retry_total_ms_max, 0, 600_000),
        ];
        for (key, value, low, high) in bounds {
            if !(low..=high).contains(&value) {
                return Err(format!("pipeline.{key} is {value}, must be between {low} and {high}"));
            }
        }
        if self.group_instance_id.as_ref().is_some_and(|id| !is_instance_id(id)) {
            return Err("pipeline.group_instance_id must be 1 to 249 of A-Z a-z 0-9 . _ -".to_owned());
        }
        Ok(())
    }
}

/// What Kafka takes as a name.
fn is_instance_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    (1..=INSTANCE_ID_BYTES_MAX).contains(&id.len()) && id.chars().all(allowed) && ![".", ".."].contains(&id)
}

/// The one way of delivery that there is; other words in the configuration are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AtLeastOnce;

impl TryFrom<String> for AtLeastOnce {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "at-least-once" => Ok(Self),
            "transactional" => Err("`transactional` is not served by this version; use `at-least-once` \
                                    (repeats carry the same event_id)"
                .to_owned()),
            other => Err(format!("`{other}` is not a way of delivery; use `at-least-once`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PipelineSection, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn takes_at_least_once_only_and_says_so() {
        assert_eq!(read("delivery = 'at-least-once'").unwrap(), PipelineSection::default());
        assert!(read("delivery = 'transactional'").unwrap_err().contains("not served by this version"));
        assert!(read("delivery = 'never'").unwrap_err().contains("not a way of delivery"));
        assert!(read("batch = 3").is_err());
    }

    #[test]
    fn refuses_bounds_that_make_no_sense() {
        assert!(read("").unwrap().check().is_ok());
        for id in ["", "a b", "..", &"x".repeat(250)] {
            let error = read(&format!("group_instance_id = '{id}'")).unwrap().check().unwrap_err();
            assert!(error.contains("group_instance_id"), "{id}: {error}");
        }
        assert!(read("group_instance_id = 'normalize-0'").unwrap().check().is_ok());
        assert!(read("batch_records_max = 0").unwrap().check().unwrap_err().contains("batch_records_max is 0"));
    }
}
