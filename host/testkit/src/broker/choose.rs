//! Which broker is taken, and the reason in words.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::bail;

use super::{BrokerChoice, Kind, cache, kafka, nisshi};

/// Oldest Java that runs Kafka 4.
const JAVA_MIN: u32 = 17;

pub(super) enum Chosen {
    Named { brokers: String, kind: Option<Kind>, why: &'static str },
    Start { kind: Kind, why: String },
}

pub(super) fn choose(choice: &BrokerChoice) -> anyhow::Result<Chosen> {
    let named_kind = kind_from_env()?;
    if let Some(brokers) = &choice.brokers {
        return Ok(Chosen::Named {
            brokers: brokers.clone(),
            kind: choice.kind.or(named_kind),
            why: "named by the caller",
        });
    }
    if let (false, Some(brokers)) = (choice.own, set("UNRIP_TEST_BROKERS")) {
        return Ok(Chosen::Named { brokers, kind: choice.kind.or(named_kind), why: "named by UNRIP_TEST_BROKERS" });
    }
    if let Some(kind) = choice.kind {
        return Ok(Chosen::Start { kind, why: "forced by the caller".to_owned() });
    }
    if let Some(kind) = named_kind {
        return Ok(Chosen::Start { kind, why: "forced by UNRIP_TEST_BROKER".to_owned() });
    }
    by_what_is_there(choice)
}

fn by_what_is_there(choice: &BrokerChoice) -> anyhow::Result<Chosen> {
    let java = java_version();
    let has_java = java.is_some_and(|version| version >= JAVA_MIN);
    let in_cache = |name: &str| cache::place(choice, name).map(|path| path.is_dir());
    if has_java && in_cache(kafka::NAME)? {
        return Ok(Chosen::Start { kind: Kind::Kafka, why: "in the cache".to_owned() });
    }
    if in_cache(nisshi::NAME)? {
        return Ok(Chosen::Start { kind: Kind::Nisshi, why: "in the cache".to_owned() });
    }
    if has_java && on_path("mvn") {
        return Ok(Chosen::Start { kind: Kind::Kafka, why: "java and mvn are on the path".to_owned() });
    }
    if on_path("cargo") {
        let why = match java {
            None => "no java on the path",
            Some(version) if version < JAVA_MIN => "the java on the path is too old for Kafka",
            Some(_) => "no mvn on the path",
        };
        return Ok(Chosen::Start { kind: Kind::Nisshi, why: format!("{why}: built by cargo") });
    }
    bail!("no broker: name one (UNRIP_TEST_BROKERS), or put java 17 and mvn, or cargo, on the path");
}

fn kind_from_env() -> anyhow::Result<Option<Kind>> {
    let Some(text) = set("UNRIP_TEST_BROKER") else { return Ok(None) };
    match Kind::parse(&text) {
        Some(kind) => Ok(Some(kind)),
        None => bail!("UNRIP_TEST_BROKER is {text}; it may be kafka or nisshi"),
    }
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| is_program(&dir.join(program))))
}

fn is_program(path: &Path) -> bool {
    path.is_file()
}

fn java_version() -> Option<u32> {
    let output = Command::new("java").arg("-version").stdin(Stdio::null()).output().ok()?;
    major_version(&String::from_utf8_lossy(&output.stderr))
}

/// `openjdk version "17.0.15" …` is 17; the old style `"1.8.0_292"` is 1, which is too old all the same.
fn major_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let digits: String = quoted.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_of_java() {
        assert_eq!(major_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major_version("java version \"1.8.0_292\""), Some(1));
        assert_eq!(major_version("openjdk version \"26-ea\""), Some(26));
        assert_eq!(major_version("not found"), None);
    }

    #[test]
    fn brokers_named_by_the_caller_come_first() {
        let choice = BrokerChoice { brokers: Some("10.0.0.1:9092".to_owned()), ..BrokerChoice::default() };
        let Ok(Chosen::Named { brokers, .. }) = choose(&choice) else { panic!("not taken") };
        assert_eq!(brokers, "10.0.0.1:9092");
    }

    #[test]
    fn a_forced_kind_needs_nothing_else() {
        let choice = BrokerChoice { kind: Some(Kind::Nisshi), own: true, ..BrokerChoice::default() };
        let Ok(Chosen::Start { kind, .. }) = choose(&choice) else { panic!("not taken") };
        assert_eq!(kind, Kind::Nisshi);
    }
}
