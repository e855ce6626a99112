//! `--check-config` loads the module as a start would.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use unrip_testkit::components;

const GRANT: &str = "credential = []";

fn check(fixture: &str, venue: &str, streams: &str, grants: &str) -> Output {
    let (dir, path) = (tempfile::tempdir().unwrap(), components::fixture(fixture).unwrap());
    let file = dir.path().join("normalize.toml");
    let text = format!(
        "[service]\nvenue = \"{venue}\"\n[bus]\nbrokers = \"127.0.0.1:1\"\n[module]\npath = {path:?}\n\
         [module.grants]\n{grants}\n[normalize]\nstreams = [\"{streams}\"]\nevents = [\"swap_demand\"]\n"
    );
    std::fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_unrip-normalize");
    Command::new(program).arg("--config").arg(&file).arg("--check-config").env_clear().output().unwrap()
}

#[test]
fn says_what_a_start_would_say_of_the_module() {
    let good = check("any_venue", "a-venue", "things", GRANT);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    for (found, code, parts) in [
        (check("normalizer", "another", "things", GRANT), 78, ["of venue `fixture`", "`another`"]),
        (check("any_venue", "a-venue", "others", GRANT), 78, ["normalize.streams", "`others`"]),
        (check("reactor", "fixture", "things", GRANT), 78, ["world `reactor`", "`normalizer`"]),
        (check("normalizer", "fixture", "things", GRANT), 78, ["credential slot `token`", "module.grants.credential"]),
        (check("normalizer", "fixture", "things", "credential = ['token']"), 64, ["`token`", "connects to nothing"]),
    ] {
        let text = String::from_utf8_lossy(&found.stderr);
        assert_eq!(found.status.code(), Some(code), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    }
}
