//! A topic as wanted against a topic as found.

use std::collections::BTreeMap;

use unrip_core::topic::TopicSpec;

use crate::Error;

/// What became of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// It was made.
    Created {
        /// Wanted settings that the broker does not keep or does not report, one sentence each.
        warnings: Vec<String>,
    },
    /// It was there as wanted.
    Kept {
        /// Wanted settings that the broker does not keep or does not report, one sentence each.
        warnings: Vec<String>,
    },
}

impl Ensured {
    /// Wanted settings that the broker does not keep or does not report, one sentence each.
    pub fn warnings(&self) -> &[String] {
        match self {
            Self::Created { warnings } | Self::Kept { warnings } => warnings,
        }
    }
}

/// A topic as the broker describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Number of partitions.
    pub partitions: i32,
    /// Settings, as far as the broker reports them.
    pub settings: BTreeMap<String, String>,
}

pub(super) fn partitions(spec: &TopicSpec, found: i32) -> Result<(), Error> {
    if found == spec.partitions {
        return Ok(());
    }
    Err(Error::Differs {
        topic: spec.name.clone(),
        setting: "partitions".to_owned(),
        found: found.to_string(),
        wanted: spec.partitions.to_string(),
        cure: format!("partition counts never change, so ask for {found}, or delete the topic with all its records"),
    })
}

/// Compares settings. `made` is whether the topic was made just now: then a difference shows what the broker does not
/// keep, because no one else can have set it. `reported` is `None` if the broker reports nothing about the topic.
pub(super) fn settings(
    spec: &TopicSpec,
    made: bool,
    reported: &Option<BTreeMap<String, String>>,
) -> Result<Ensured, Error> {
    let mut warnings = Vec::new();
    for (setting, wanted) in spec.config() {
        match reported.as_ref().map(|reported| reported.get(setting)) {
            Some(Some(found)) if *found == wanted => {}
            Some(Some(found)) if made => {
                warnings
                    .push(format!("{}: this broker keeps {setting}={found} where {wanted} was asked for", spec.name));
            }
            Some(Some(found)) => return Err(differs(spec, setting, found, wanted)),
            Some(None) | None => {
                warnings.push(format!("{}: this broker does not tell {setting} (wanted {wanted})", spec.name));
            }
        }
    }
    Ok(if made { Ensured::Created { warnings } } else { Ensured::Kept { warnings } })
}

fn differs(spec: &TopicSpec, setting: &str, found: &str, wanted: String) -> Error {
    Error::Differs {
        topic: spec.name.clone(),
        setting: setting.to_owned(),
        found: found.to_owned(),
        cure: format!(
            "set it on the broker (kafka-configs.sh --alter --topic {} --add-config {setting}={wanted}), or ask for {found}",
            spec.name
        ),
        wanted,
    }
}

#[cfg(test)]
mod tests {
    use unrip_core::topic::Retention;

    use super::*;

    fn spec() -> TopicSpec {
        let name = "t".to_owned();
        TopicSpec { name, partitions: 3, retention: Retention::Time(1), log_append_time: true }
    }

    fn reported() -> BTreeMap<String, String> {
        spec().config().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn another_partition_count_names_both_and_the_cure() {
        let text = partitions(&spec(), 2).unwrap_err().to_string();
        assert!(text.contains("t: partitions is 2, wanted 3"), "{text}");
        assert!(partitions(&spec(), 3).is_ok());
    }

    #[test]
    fn a_kept_topic_that_differs_is_an_error() {
        let mut reported = reported();
        reported.insert("message.timestamp.type".to_owned(), "CreateTime".to_owned());
        let text = settings(&spec(), false, &Some(reported)).unwrap_err().to_string();
        assert!(text.contains("message.timestamp.type is CreateTime, wanted LogAppendTime"), "{text}");
    }

    #[test]
    fn what_the_broker_does_not_keep_or_tell_is_a_warning() {
        let mut reported = reported();
        reported.insert("retention.ms".to_owned(), "5".to_owned());
        reported.remove("message.timestamp.type");
        let ensured = settings(&spec(), true, &Some(reported)).unwrap();
        assert_eq!(ensured.warnings().len(), 2, "{ensured:?}");
        assert_eq!(settings(&spec(), false, &None).unwrap().warnings().len(), spec().config().len());
    }

    #[test]
    fn a_topic_as_wanted_has_no_warnings() {
        assert_eq!(settings(&spec(), false, &Some(reported())).unwrap(), Ensured::Kept { warnings: vec![] });
    }
}
