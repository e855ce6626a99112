//! What a strategy's command may ask for. The host checks it: a strategy cannot lengthen what an executor relies on.

use unrip_core::Timestamp;
use unrip_engine::reactor::Command;

/// Longest account or venue reference in bytes: they are part of keys and ids of every record that follows.
const NAME_BYTES_MAX: usize = 256;

/// The bounds of a service.
#[derive(Clone, Copy, Debug)]
pub struct CommandBounds {
    /// From observation to dispatch.
    pub dispatch_window_ms_max: i64,
    /// From observation to the signed expiry.
    pub deadline_ms_max: i64,
}

impl CommandBounds {
    /// Whether the command stays within them.
    ///
    /// # Errors
    /// What does not, for people.
    pub fn check(&self, command: &Command, observed_at: Timestamp) -> Result<(), String> {
        let Command { account, venue_ref, dispatch_by, deadline, inputs, .. } = command;
        for (name, value) in [("account", account), ("venue_ref", venue_ref)] {
            if value.is_empty() || value.len() > NAME_BYTES_MAX {
                return Err(format!("{name} has {} bytes, must have 1 to {NAME_BYTES_MAX}", value.len()));
            }
        }
        if *dispatch_by > observed_at.plus_millis(self.dispatch_window_ms_max) {
            let limit = self.dispatch_window_ms_max;
            return Err(format!("dispatch_by {dispatch_by} is more than {limit} ms after {observed_at}"));
        }
        if *deadline > observed_at.plus_millis(self.deadline_ms_max) {
            return Err(format!("deadline {deadline} is more than {} ms after {observed_at}", self.deadline_ms_max));
        }
        if dispatch_by > deadline {
            return Err(format!("dispatch_by {dispatch_by} is after the deadline {deadline}"));
        }
        match inputs.first() {
            // Reference topics are not served yet, so none can have been used.
            Some(input) => Err(format!("inputs name {}, which is not a reference topic here", input.topic)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrip_core::Amount;
    use unrip_core::event::command::{Action, DEADLINE_MS_MAX, DISPATCH_WINDOW_MS_MAX, InputRef};

    const SEEN: Timestamp = Timestamp::from_millis(1_795_341_600_123);

    fn command() -> Command {
        Command {
            account: "solver.example".into(),
            venue_ref: "q-1".into(),
            dispatch_by: SEEN.plus_millis(60_000),
            deadline: SEEN.plus_millis(610_000),
            reason: "test".into(),
            inputs: vec![],
            action: Action::SwapAnswer {
                quote_id: "q-1".into(),
                asset_in: "a".into(),
                asset_out: "b".into(),
                amount_in: Amount(1),
                amount_out: Amount(2),
                amount_fixed: None,
            },
        }
    }

    fn check(change: impl FnOnce(&mut Command)) -> Result<(), String> {
        let mut changed = command();
        change(&mut changed);
        let bounds = CommandBounds { dispatch_window_ms_max: DISPATCH_WINDOW_MS_MAX, deadline_ms_max: DEADLINE_MS_MAX };
        bounds.check(&changed, SEEN)
    }

    #[test]
    fn takes_what_is_exactly_at_the_bounds() {
        assert_eq!(check(|_| {}), Ok(()));
    }

    #[test]
    fn names_what_is_beyond_them() {
        let late = SEEN.plus_millis(60_001);
        assert!(check(|command| command.dispatch_by = late).unwrap_err().starts_with("dispatch_by"));
        assert!(check(|command| command.deadline = SEEN.plus_millis(610_001)).unwrap_err().starts_with("deadline"));
        assert!(check(|command| command.deadline = SEEN).unwrap_err().contains("after the deadline"));
        assert!(check(|command| command.account.clear()).unwrap_err().starts_with("account has 0 bytes"));
        assert!(check(|command| command.venue_ref = "x".repeat(300)).unwrap_err().starts_with("venue_ref"));
        let input = InputRef { topic: "norm.trade".into(), partition: 0, offset: 1 };
        assert!(check(|command| command.inputs.push(input)).unwrap_err().contains("norm.trade"));
    }
}
