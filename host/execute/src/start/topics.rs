//! Refusals at start: topics and broker settings under which a trade could repeat, a history vanish, or an
//! acknowledged append be lost. Each is named with its topic, what was found, what is wanted, and the cure.

use std::collections::BTreeMap;
use std::fmt;

use unrip_bus::{Admin, BusConfig, TopicState};
use unrip_core::topic;
use unrip_service::RunError;

use crate::config::Demands;
use crate::runtime::retry::{patiently, unavailable};
use unrip_protocol::partition::FENCE_AGAIN_MS;

/// Beside the longest deadline and two clocks' skew, the journal keeps this much longer, in milliseconds.
const JOURNAL_MARGIN_MS: i64 = 3 * FENCE_AGAIN_MS;
/// Replicas that must hold an append where there are several.
const IN_SYNC_MIN: i64 = 2;

/// A setting that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicProblem {
    pub topic: String,
    /// The setting, in Kafka's words.
    pub setting: &'static str,
    /// What was found.
    pub found: String,
    /// What is wanted.
    pub wanted: String,
    /// Why it matters.
    pub why: &'static str,
    /// Whether the executor must not start with it.
    pub is_refused: bool,
}

impl fmt::Display for TopicProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, setting, found, wanted, why, .. } = self;
        write!(f, "topic {topic}: {setting} is {found}, wanted {wanted}: {why}. Cure: ")?;
        match *setting {
            "partitions" => write!(f, "stop all services, delete the topics concerned, run `unrip topics ensure`"),
            _ => write!(
                f,
                "`kafka-configs.sh --alter --topic {topic} --add-config {setting}={wanted}` (Redpanda: `rpk topic alter-config {topic} \
                 --set {setting}={wanted}`)"
            ),
        }
    }
}

/// Waits for the broker, and compares topics and settings with what the protocol needs. Returns the partition count.
///
/// # Errors
/// A topic is missing (69), or a setting is refused (64); the message names the cure.
pub async fn check(bus: &BusConfig, demands: Demands) -> Result<i32, RunError> {
    let admin = Admin::new(bus).map_err(unavailable)?;
    let mut topics = BTreeMap::new();
    for name in topic::PARTITIONED.into_iter().chain([topic::EXECUTION_CONTROL]) {
        let Some(found) = describe(&admin, name).await? else {
            return Err(RunError::Unavailable(format!("topic {name} does not exist; run `unrip topics ensure`")));
        };
        topics.insert(name, found);
    }
    let mut refused = Vec::new();
    for fault in faults(&topics, demands) {
        if fault.is_refused {
            refused.push(fault.to_string());
        } else {
            tracing::warn!(topic = fault.topic, "{fault}");
        }
    }
    for (name, untold) in untold(&topics) {
        tracing::warn!(topic = name, settings = untold.join(", "), "this broker does not tell settings that matter");
    }
    if !refused.is_empty() {
        return Err(RunError::Config(refused.join("; ")));
    }
    Ok(topics.get(topic::JOURNAL).map_or(0, |journal| journal.partitions))
}

/// A topic as the broker describes it.
async fn describe(admin: &Admin, name: &str) -> Result<Option<TopicState>, RunError> {
    patiently("topic settings", || admin.describe(name)).await
}

/// What differs from what the protocol needs. Settings that the broker does not tell are no faults.
pub fn faults(topics: &BTreeMap<&str, TopicState>, demands: Demands) -> Vec<TopicProblem> {
    let mut found = Vec::new();
    let journal = topics.get(topic::JOURNAL);
    for (name, state) in topics {
        let mut add = |setting, text: &str, wanted: &str, why, is_refused| {
            let (topic, found_text, wanted) = ((*name).to_owned(), text.to_owned(), wanted.to_owned());
            found.push(TopicProblem { topic, setting, found: found_text, wanted, why, is_refused });
        };
        let setting_of = |setting: &str| state.settings.get(setting).map(String::as_str);
        let production = demands.production;
        if *name == topic::EXECUTION_CONTROL {
            if state.partitions != 1 {
                let why = "a switch on another partition would not be read";
                add("partitions", &state.partitions.to_string(), "1", why, true);
            }
            if let Some(policy) = setting_of("cleanup.policy").filter(|policy| *policy != "compact") {
                let why = "switches would vanish by age, and the fleet then be halted";
                add("cleanup.policy", policy, "compact", why, production);
            }
            durable(state, production, &mut add);
            continue;
        }
        if let Some(journal) = journal.filter(|journal| journal.partitions != state.partitions) {
            let why = "a command's journal, result and statuses lie in its own partition";
            add("partitions", &state.partitions.to_string(), &journal.partitions.to_string(), why, true);
        }
        if let Some(policy) = setting_of("cleanup.policy").filter(|policy| *policy != "delete") {
            let why = "compaction can remove the record that counts and leave one without effect";
            add("cleanup.policy", policy, "delete", why, true);
        }
        if let Some(bytes) = setting_of("retention.bytes").filter(|bytes| *bytes != "-1") {
            add("retention.bytes", bytes, "-1", "history must go by age only, never by size", true);
        }
        retention(name, state, journal, demands, &mut add);
        if *name == topic::JOURNAL
            && let Some(stamps) = setting_of("message.timestamp.type").filter(|stamps| *stamps != "LogAppendTime")
        {
            let why = "the floor moves by append times only, not by a producer's clock";
            add("message.timestamp.type", stamps, "LogAppendTime", why, production);
        }
        durable(state, production, &mut add);
    }
    found
}

type Add<'a> = dyn FnMut(&'static str, &str, &str, &'static str, bool) + 'a;

fn retention(name: &str, state: &TopicState, journal: Option<&TopicState>, demands: Demands, add: &mut Add<'_>) {
    let retention_ms =
        |state: &TopicState| state.settings.get("retention.ms").and_then(|text| text.parse::<i64>().ok());
    let Some(ms) = retention_ms(state) else { return };
    // -1 is without end.
    let length = |ms: i64| if ms < 0 { i64::MAX } else { ms };
    if name == topic::JOURNAL {
        let least = demands.deadline_ms_max + 2 * demands.clock_skew_ms_max + JOURNAL_MARGIN_MS;
        if length(ms) < least {
            let why = "the journal would forget commands that may still be answered";
            add("retention.ms", &ms.to_string(), &least.to_string(), why, true);
        }
    } else if let Some(journal) = journal.and_then(retention_ms).filter(|journal| length(ms) < length(*journal)) {
        let why = "what the journal still knows must still be there to compare with";
        add("retention.ms", &ms.to_string(), &journal.to_string(), why, demands.production);
    }
}

/// Settings under which the broker acknowledges what it may lose.
fn durable(state: &TopicState, production: bool, add: &mut Add<'_>) {
    let setting_of = |setting: &str| state.settings.get(setting).map(String::as_str);
    if let Some(caching) = setting_of("write.caching").filter(|caching| *caching == "true") {
        let why = "an append is acknowledged before it is on disk (Redpanda's developer mode sets this too)";
        add("write.caching", caching, "false", why, production);
    }
    if let Some(unclean) = setting_of("unclean.leader.election.enable").filter(|unclean| *unclean == "true") {
        let why = "a replica that lacks acknowledged appends could lead";
        add("unclean.leader.election.enable", unclean, "false", why, production);
    }
    let number = |setting: &str| setting_of(setting).and_then(|text| text.parse::<i64>().ok());
    // The replication itself is not among a topic's settings; where it is known, one copy must not be enough.
    if let (Some(least), Some(copies)) = (number("min.insync.replicas"), number("replication.factor"))
        && copies > 1
        && least < IN_SYNC_MIN
    {
        let why = "an append is acknowledged while only one replica has it";
        add("min.insync.replicas", &least.to_string(), &IN_SYNC_MIN.to_string(), why, production);
    } else if let Some(least) = number("min.insync.replicas").filter(|least| *least < IN_SYNC_MIN) {
        let why = "with several replicas an append would be acknowledged while only one has it";
        add("min.insync.replicas", &least.to_string(), &IN_SYNC_MIN.to_string(), why, false);
    }
}

/// Settings that matter and that the broker does not tell, per topic.
fn untold<'a>(topics: &BTreeMap<&'a str, TopicState>) -> Vec<(&'a str, Vec<&'static str>)> {
    let mut found = Vec::new();
    for (name, state) in topics {
        let mut wanted = vec!["cleanup.policy", "min.insync.replicas"];
        if *name != topic::EXECUTION_CONTROL {
            wanted.extend(["retention.ms", "retention.bytes"]);
        }
        if *name == topic::JOURNAL {
            wanted.push("message.timestamp.type");
        }
        wanted.retain(|setting| !state.settings.contains_key(*setting));
        if !wanted.is_empty() {
            found.push((*name, wanted));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(production: bool) -> Demands {
        Demands { production, deadline_ms_max: 610_000, clock_skew_ms_max: 2_000 }
    }

    fn good() -> BTreeMap<&'static str, TopicState> {
        let timed = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "604800000"),
            ("retention.bytes", "-1"),
            ("message.timestamp.type", "LogAppendTime"),
            ("unclean.leader.election.enable", "false"),
            ("min.insync.replicas", "2"),
        ];
        let state = |partitions, settings: &[(&str, &str)]| TopicState {
            partitions,
            settings: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        };
        let mut topics: BTreeMap<_, _> = topic::PARTITIONED.into_iter().map(|name| (name, state(6, &timed))).collect();
        topics
            .insert(topic::EXECUTION_CONTROL, state(1, &[("cleanup.policy", "compact"), ("min.insync.replicas", "2")]));
        topics
    }

    #[test]
    fn good_topics_have_no_faults_and_nothing_untold() {
        assert_eq!(faults(&good(), demands(true)), []);
        assert_eq!(untold(&good()), []);
    }

    #[test]
    fn each_fault_is_named_and_refused_where_it_must_be() {
        // topic, setting, value, refused in production, refused in development
        let table = [
            (topic::JOURNAL, "cleanup.policy", "compact", true, true),
            (topic::EXECUTE_TRADE, "cleanup.policy", "compact,delete", true, true),
            (topic::JOURNAL, "retention.bytes", "1000000", true, true),
            (topic::TRADE_RESULT, "retention.bytes", "1000000", true, true),
            (topic::JOURNAL, "retention.ms", "600000", true, true),
            (topic::EXECUTE_TRADE, "retention.ms", "600000", true, false),
            (topic::TRADE_STATUS, "retention.ms", "604799999", true, false),
            (topic::JOURNAL, "message.timestamp.type", "CreateTime", true, false),
            (topic::JOURNAL, "write.caching", "true", true, false),
            (topic::TRADE_RESULT, "unclean.leader.election.enable", "true", true, false),
            (topic::JOURNAL, "min.insync.replicas", "1", false, false),
            (topic::EXECUTION_CONTROL, "cleanup.policy", "delete", true, false),
        ];
        for (name, setting, value, in_production, in_development) in table {
            let mut topics = good();
            topics.get_mut(name).unwrap().settings.insert(setting.to_owned(), value.to_owned());
            for (production, is_refused) in [(true, in_production), (false, in_development)] {
                let found = faults(&topics, demands(production));
                let fault = found.iter().find(|fault| fault.topic == name).unwrap();
                assert_eq!((fault.setting, fault.is_refused), (setting, is_refused), "{name} {setting}");
                let text = fault.to_string();
                assert!(text.contains(name) && text.contains(value) && text.contains("Cure"), "{text}");
            }
        }
    }

    #[test]
    fn one_copy_is_not_enough_where_there_are_several() {
        let mut topics = good();
        let journal = topics.get_mut(topic::JOURNAL).unwrap();
        journal.settings.insert("replication.factor".to_owned(), "3".to_owned());
        journal.settings.insert("min.insync.replicas".to_owned(), "1".to_owned());
        assert!(faults(&topics, demands(true))[0].is_refused);
    }

    #[test]
    fn partition_counts_that_differ_are_refused() {
        for (name, partitions) in [(topic::TRADE_RESULT, 3), (topic::EXECUTION_CONTROL, 6)] {
            let mut topics = good();
            topics.get_mut(name).unwrap().partitions = partitions;
            let found = faults(&topics, demands(false));
            assert_eq!((found.len(), found[0].setting, found[0].is_refused), (1, "partitions", true));
        }
    }

    #[test]
    fn endless_retention_is_long_enough() {
        let mut topics = good();
        for state in topics.values_mut() {
            state.settings.insert("retention.ms".to_owned(), "-1".to_owned());
        }
        assert_eq!(faults(&topics, demands(true)), []);
        topics.get_mut(topic::EXECUTE_TRADE).unwrap().settings.insert("retention.ms".to_owned(), "1".to_owned());
        assert_eq!(faults(&topics, demands(true)).len(), 1);
    }
}
