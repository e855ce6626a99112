//! After the loss of history: what a life before this journal may have sent holds dispatch back.

use crate::common::bench::*;
use crate::common::{VENUE, at, command, placed};
use unrip_core::Timestamp;
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Fact, Head};
use unrip_protocol::intake::Bounds;
use unrip_protocol::partition::*;

/// Deadlines lie 10 s ahead at most, and 100 ms are added.
fn bench() -> Bench {
    let bounds = Bounds { deadline_ms_max: 10_000, ..Bounds::default() };
    let timing = Timing { embargo_margin_ms: 100, ..Timing::default() };
    Bench { partition: Partition::new(VENUE, bounds, timing), ..Bench::new() }
}

fn made_at(ms: i64, number: u128) -> Head {
    let made = u128::try_from(crate::common::MADE_MS + ms).unwrap();
    let id = unrip_core::CommandId::from_bytes(((made << 80) | number).to_be_bytes());
    Head { id, dispatch_by: at(ms + 3_000), deadline: at(ms + 9_000), ..command(number, &format!("key-{number}")) }
}

fn activate(bench: &mut Bench, earlier_life: bool, first_fence_at: Option<Timestamp>, now: i64) {
    let assignment = Assignment { earlier_life, first_fence_at, ..bench.assignment() };
    let event_id = assignment.fence_event_id;
    bench.step(Event::Assigned(assignment), at(now));
    let mut fence = placed(bench.log, Fact::Fence);
    fence.event_id = event_id;
    assert_eq!(bench.append(fence, at(now)), vec![Effect::Activated]);
}

#[test]
fn dispatch_waits_for_the_longest_deadline_and_a_margin() {
    let mut bench = bench();
    activate(&mut bench, true, None, 0);
    let head = made_at(9_000, 1);
    assert!(bench.receive(&head, at(9_000)).is_empty());
    assert!(bench.step(Event::Tick, at(10_099)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(10_100)), vec![Effect::Prepare(head.id)]);
    // What is read afterwards does not wait.
    assert_eq!(bench.receive(&made_at(10_100, 2), at(10_100)).len(), 1);
}

#[test]
fn it_counts_from_the_journals_first_fence() {
    let mut begun_before = bench();
    activate(&mut begun_before, true, Some(at(-5_000)), 0);
    assert!(begun_before.receive(&made_at(5_000, 1), at(5_099)).is_empty());
    assert_eq!(begun_before.receive(&made_at(5_000, 2), at(5_100)).len(), 1);
    // Also from one that was read while the partition was not ours, and a later one does not move it.
    let mut read_before = bench();
    read_before.append(placed(0, Fact::Fence), at(-5_000));
    read_before.append(placed(1, Fact::Fence), at(-1_000));
    let mut assignment = read_before.assignment();
    assignment.earlier_life = true;
    assignment.first_fence_at = Some(at(-5_000));
    let event_id = assignment.fence_event_id;
    read_before.step(Event::Assigned(assignment), at(0));
    let mut fence = placed(2, Fact::Fence);
    fence.event_id = event_id;
    read_before.append(fence, at(0));
    assert_eq!(read_before.receive(&made_at(5_000, 1), at(5_100)).len(), 1);
}

#[test]
fn a_fresh_system_starts_at_once() {
    let mut bench = bench();
    activate(&mut bench, false, None, 0);
    assert_eq!(bench.receive(&made_at(0, 1), at(1)), vec![Effect::Prepare(made_at(0, 1).id)]);
}

#[test]
fn what_is_older_than_the_floor_is_stale_within_the_skew_of_clocks() {
    let mut bench = bench();
    let assignment = Assignment { floor: at(2_000), ..bench.assignment() };
    let event_id = assignment.fence_event_id;
    bench.step(Event::Assigned(assignment), at(2_000));
    let mut fence = placed(0, Fact::Fence);
    fence.event_id = event_id;
    bench.append(fence, at(2_000));
    assert_eq!(bench.receive(&made_at(0, 1), at(2_001)).len(), 1, "two clocks may differ by 2 s");
    let effects = bench.receive(&made_at(-1, 2), at(2_001));
    assert!(matches!(effects.as_slice(), [Effect::AppendSkip { code: "stale", offset: 2, letter: Some(_), .. }]));
    // What is known is known, however old it is.
    bench.step(
        Event::Prepared(made_at(0, 1).id, Preparation::Never { code: "no".into(), reason: "no".into() }),
        at(2_002),
    );
    assert!(!bench.partition.is_drained());
    let assignment = Assignment { floor: at(9_000), ..bench.assignment() };
    let outcome = Fact::Outcome { head: made_at(0, 1), fence_offset: 0, status: ResultStatus::Rejected };
    bench.append(placed(1, outcome), at(2_003));
    let event_id = assignment.fence_event_id;
    bench.step(Event::Assigned(assignment), at(9_000));
    let mut fence = placed(2, Fact::Fence);
    fence.event_id = event_id;
    bench.append(fence, at(9_000));
    assert_eq!(bench.receive(&made_at(0, 1), at(9_001)), vec![Effect::Commit(2)]);
}
