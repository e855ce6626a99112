//! A hostile module does not make the host's memory grow, however much it answers. A process of its own: what other tests
//! use would count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

#[path = "it/fixtures.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod fixtures;

use serde_json::json;
use unrip_engine::{FaultKind, Limits, Rejection};

/// Records of one batch, as the pipeline takes them.
const RECORDS: usize = 256;
/// Above what is used before: a call's output of 8 MiB twice (as lifted and as events), as much from the calls before it, and
/// the instance's 64 MiB of linear memory.
const GROWTH_BYTES_MAX: u64 = 128 << 20;

/// The largest resident memory of this process since the last reset.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[test]
fn what_a_hostile_normalizer_answers_does_not_fill_the_hosts_memory() {
    let mut worker = fixtures::normalizer(&Limits::default(), json!({})).unwrap();
    worker.normalize(&[fixtures::raw("ok")]).unwrap();
    reset_peak();
    let before = peak_bytes();
    // More small events than the limit, as many as it allows, and single ones as large as an answer can be.
    for bytes in ["swarm", "thousand", "large"] {
        let batch = vec![fixtures::raw(bytes); RECORDS];
        let (mut done, mut answers, mut events) = (0, 0, 0);
        while done < batch.len() {
            let outcomes = worker.normalize(&batch[done..]).unwrap();
            assert!(!outcomes.is_empty());
            for outcome in &outcomes {
                match outcome {
                    Ok(made) => events += made.len(),
                    Err(Rejection::Fault(fault)) => assert_eq!(fault.kind, FaultKind::Excess),
                    Err(other) => panic!("{other:?}"),
                }
            }
            done += outcomes.len();
            answers += 1;
        }
        let expected = match bytes {
            "swarm" => 0,
            "thousand" => RECORDS * 1_000,
            _ => RECORDS,
        };
        assert_eq!(events, expected, "{bytes}");
        assert!(answers > 1 || events == 0, "{bytes}: all in one answer");
        let growth = peak_bytes().saturating_sub(before);
        assert!(growth < GROWTH_BYTES_MAX, "{bytes}: the host grew by {} MiB", growth >> 20);
    }
}
