//! From when a person may decide that nothing was executed.
//!
//! The venue may take a signed answer up to its deadline, by its own clock. The operator's command and the executor
//! both ask here, so that one does not accept what the other holds back.

use unrip_core::Timestamp;

/// Furthest that two clocks may differ, by default, in milliseconds.
pub const CLOCK_SKEW_MS_DEFAULT: i64 = 2_000;
/// Largest difference of clocks that an executor may be configured with, in milliseconds. A reader that does not know an
/// executor's configuration counts with this one.
pub const CLOCK_SKEW_MS_LIMIT: i64 = 5_000;

/// The time after which a negative decision can be true, where clocks differ by up to `clock_skew_ms`.
pub fn negative_allowed_after(deadline: Timestamp, clock_skew_ms: i64) -> Timestamp {
    deadline.plus_millis(clock_skew_ms)
}

/// Whether a negative decision can be true at `now`.
pub fn may_be_negative(deadline: Timestamp, clock_skew_ms: i64, now: Timestamp) -> bool {
    now > negative_allowed_after(deadline, clock_skew_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operator_may_write_no_executor_holds_back() {
        let deadline = Timestamp::from_millis(1_800_000_000_000);
        for now_ms in [-1, 0, 2_000, 2_001, 5_000, 5_001, 60_000] {
            let now = deadline.plus_millis(now_ms);
            for skew_ms in [0, CLOCK_SKEW_MS_DEFAULT, CLOCK_SKEW_MS_LIMIT] {
                let (operator, executor) =
                    (may_be_negative(deadline, CLOCK_SKEW_MS_LIMIT, now), may_be_negative(deadline, skew_ms, now));
                assert!(!operator || executor, "{now_ms} {skew_ms}");
                assert_eq!(executor, now_ms > skew_ms, "{now_ms} {skew_ms}");
            }
        }
    }
}
