//! A strategy with memory is refused, by `--check-config` and by a start, in the same words.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::{Command, Output};

use unrip_testkit::components;

fn run(grants: &str, more: &[&str]) -> Output {
    let (dir, path) = (tempfile::tempdir().unwrap(), components::fixture("reactor").unwrap());
    let file = dir.path().join("react.toml");
    let text = format!(
        "[service]\nvenue = \"fixture\"\n[bus]\nbrokers = \"127.0.0.1:1\"\n[module]\npath = {path:?}\n\
         [module.grants]\n{grants}\n[react]\nevents = [\"swap_demand\"]\n"
    );
    std::fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_unrip-react");
    Command::new(program).arg("--config").arg(&file).args(more).env_clear().output().unwrap()
}

#[test]
fn a_strategy_with_memory_is_refused_whether_its_state_is_granted_or_not() {
    for (grants, says) in [("state = true", "needs state: a strategy with memory"), ("", "module.grants.state")] {
        for more in [&["--check-config"][..], &[]] {
            let found = run(grants, more);
            let text = [found.stderr, found.stdout].concat();
            let text = String::from_utf8_lossy(&text);
            assert_eq!(found.status.code(), Some(78), "{text}");
            assert!(text.contains(says), "{says} in {text}");
        }
    }
}
