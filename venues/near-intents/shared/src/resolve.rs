//! How a doubt ends: only the chain decides, at a final block, and never our clock.
//!
//! Two questions: the newest final block (tag `block`), then whether our nonce was used at that block (tag
//! `nonce/<height>/<timestamp ns>`). Used: executed, whenever that is learnt. Unused at a block whose time is after the
//! deadline: it can no longer take effect. Unused before: ask again later. No answer or one that makes no sense: ask again.

use crate::chain::{self, Block, Response};
use crate::intent::Command;
use crate::nep413::Message;
use crate::{TimestampUs, excerpt};

/// Tag of the question for the newest final block.
pub const BLOCK: &str = "block";
const NONCE: &str = "nonce/";

/// How long to wait after an answer that decided nothing, in microseconds.
const RETRY_US: u64 = 2_000_000;
/// How long after the deadline a final block with a later time is likely to exist, in microseconds.
const FINALITY_LAG_US: u64 = 1_500_000;
/// How long to wait where the claim's own bytes cannot be read: only another module can help, in microseconds.
const UNREADABLE_US: u64 = 60_000_000;
/// Nanoseconds in a microsecond.
const NS_PER_US: u64 = 1_000;

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It took effect, known at this time of the chain.
    Executed(TimestampUs, String),
    /// It can never take effect, known at this time of the chain.
    NotExecuted(TimestampUs, String),
    /// Ask the NEAR node this.
    Ask {
        /// Comes back with the answer.
        tag: String,
        /// The request's body.
        body: Vec<u8>,
    },
    /// Call again at this time without an answer.
    WaitUntil(TimestampUs),
}

/// The next step for a claimed command of unknown outcome.
pub fn resolve(
    verifier: &str,
    command: &Command,
    unsigned: &[u8],
    last: Option<(&str, Option<Response<'_>>)>,
    now: TimestampUs,
) -> Step {
    let Ok(message) = Message::parse(unsigned) else {
        return Step::WaitUntil(now.saturating_add(UNREADABLE_US));
    };
    let again = Step::WaitUntil(now.saturating_add(RETRY_US));
    let Some((tag, response)) = last else {
        return Step::Ask { tag: BLOCK.to_owned(), body: chain::ask_block() };
    };
    let Some(response) = response else { return again };
    if tag == BLOCK {
        return match chain::read_block(response) {
            Ok(block) => Step::Ask {
                tag: nonce_tag(block),
                body: chain::ask_nonce(verifier, &command.account, &message.nonce, block.height),
            },
            Err(_) => again,
        };
    }
    let (Some(block), Ok(answer)) = (parse_nonce_tag(tag), chain::read_nonce(response)) else { return again };
    // A node that looked at an older block than it was asked for has said nothing about the one that counts.
    if answer.block_height.is_some_and(|height| height < block.height) {
        return again;
    }
    let venue_time = block.timestamp_ns / NS_PER_US;
    if answer.used {
        return Step::Executed(venue_time, format!("the nonce is used at final block {}", block.height));
    }
    if block.timestamp_ns > command.deadline.saturating_mul(NS_PER_US) {
        let detail = format!("the nonce is unused at final block {}, after the deadline", block.height);
        return Step::NotExecuted(venue_time, detail);
    }
    Step::WaitUntil(command.deadline.saturating_add(FINALITY_LAG_US).max(now.saturating_add(RETRY_US)))
}

fn nonce_tag(block: Block) -> String {
    format!("{NONCE}{}/{}", block.height, block.timestamp_ns)
}

fn parse_nonce_tag(tag: &str) -> Option<Block> {
    let (height, timestamp) = tag.strip_prefix(NONCE)?.split_once('/')?;
    Some(Block { height: height.parse().ok()?, timestamp_ns: timestamp.parse().ok()? })
}

/// Why an answer decided nothing, for the log; none if it did or there was none.
pub fn complaint(last: Option<(&str, Option<Response<'_>>)>) -> Option<String> {
    let (tag, response) = last?;
    let error = match (tag == BLOCK, response) {
        (_, None) => return Some(format!("`{}` could not be asked", excerpt(tag))),
        (true, Some(response)) => chain::read_block(response).err()?,
        (false, Some(response)) => chain::read_nonce(response).err()?,
    };
    Some(format!("`{}`: {error}", excerpt(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::tests::{block, returned};
    use crate::intent::tests::command;
    use serde_json::json;

    const DEADLINE: u64 = 1_795_341_665_123_000;

    fn step(last: Option<(&str, Option<&[u8]>)>, now: TimestampUs) -> Step {
        let unsigned = command().message("intents.near", [1, 2, 3, 4]).unwrap().pre_image().unwrap();
        let last = last.map(|(tag, body)| (tag, body.map(|body| Response { status: 200, body })));
        resolve("intents.near", &command(), &unsigned, last, now)
    }

    #[test]
    fn asks_for_a_final_block_and_then_for_the_nonce_at_it() {
        let Step::Ask { tag, .. } = step(None, 0) else { panic!("no question") };
        assert_eq!(tag, BLOCK);
        let Step::Ask { tag, body } = step(Some((BLOCK, Some(&block(77, 5)))), 0) else { panic!("no question") };
        assert_eq!(tag, "nonce/77/5");
        let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(asked["params"]["block_id"], 77);
    }

    #[test]
    fn a_used_nonce_is_executed_at_any_time() {
        let early = step(Some(("nonce/77/5000", Some(&returned(&json!(true), 77)))), DEADLINE - 60_000_000);
        assert!(matches!(early, Step::Executed(5, _)), "{early:?}");
    }

    #[test]
    fn an_unused_nonce_is_final_only_at_a_block_after_the_deadline_whatever_our_clock_says() {
        let unused = returned(&json!(false), 77);
        let at = |ns: u64| format!("nonce/77/{ns}");
        let on_time = step(Some((&at(DEADLINE * 1_000), Some(&unused))), DEADLINE + 600_000_000);
        assert_eq!(on_time, Step::WaitUntil(DEADLINE + 600_000_000 + RETRY_US));
        let after = step(Some((&at(DEADLINE * 1_000 + 1), Some(&unused))), DEADLINE - 600_000_000);
        assert!(matches!(after, Step::NotExecuted(DEADLINE, _)), "{after:?}");
        let before = step(Some((&at(5), Some(&unused))), DEADLINE - 60_000_000);
        assert_eq!(before, Step::WaitUntil(DEADLINE + FINALITY_LAG_US));
    }

    #[test]
    fn what_says_nothing_is_asked_again() {
        let again = Step::WaitUntil(RETRY_US);
        let late = format!("nonce/77/{}", DEADLINE * 2_000);
        let older = returned(&json!(false), 76);
        let cases: [(&str, Option<&[u8]>); 7] = [
            (BLOCK, None),
            (BLOCK, Some(b"{}")),
            (&late, None),
            (&late, Some(b"{\"error\":{\"name\":\"HANDLER_ERROR\",\"cause\":{\"name\":\"UNKNOWN_BLOCK\"}}}")),
            (&late, Some(b"{\"result\":{\"result\":[],\"error\":\"not found\"}}")),
            (&late, Some(&older)),
            ("nonce/x/y", Some(b"{\"result\":{\"result\":[116,114,117,101]}}")),
        ];
        for (tag, body) in cases {
            assert_eq!(step(Some((tag, body)), 0), again, "{tag}");
        }
    }

    #[test]
    fn a_claim_that_cannot_be_read_stays_in_doubt() {
        assert_eq!(resolve("intents.near", &command(), b"?", None, 0), Step::WaitUntil(UNREADABLE_US));
    }
}
