//! How a doubt ends: the relay may say that the answer took effect, only the chain may say that it never will.
//!
//! Each round asks, in this order: the relay by our quote hash (tag `status`); the newest final block (`block`); whether our
//! nonce was used at that very block (`nonce/<height>/<ns>/<hash>`); and before a "no", whether the node is of the right
//! network and not behind (`network/<height>/<ns>`). Settled or used: executed, whenever that is learnt. Unused at a final
//! block whose time is after the expiry: it can no longer take effect. Everything else, an error, an answer about something
//! else or "not found" among it, decides nothing and is asked again. Our clock only says when to ask.

use crate::chain::{self, Block, Response};
use crate::execute::Config;
use crate::intent::Command;
use crate::nep413::{self, Message};
use crate::relay::{self, Fate};
use crate::{TimestampUs, excerpt, nonce};

/// Tag of the question to the relay.
pub const STATUS: &str = "status";
/// Tag of the question for the newest final block.
pub const BLOCK: &str = "block";
const NONCE: &str = "nonce/";
const NETWORK: &str = "network/";

/// The shortest pause before a doubt is taken up again, in microseconds.
const RETRY_US_MIN: u64 = 2_000_000;
/// The longest, in microseconds.
const RETRY_US_MAX: u64 = 60_000_000;
/// How long after the expiry a final block with a later time is likely to exist, in microseconds.
const FINALITY_LAG_US: u64 = 1_500_000;
/// How long to wait where the claim's own bytes cannot be read: only another module can help, in microseconds.
const UNREADABLE_US: u64 = 60_000_000;
/// Nanoseconds in a microsecond.
const NS_PER_US: u64 = 1_000;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The relay's HTTP.
    Relay,
    /// The NEAR node.
    Node,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It took effect: the relay says so.
    Settled(String),
    /// It took effect, known at this time of the chain.
    Executed(TimestampUs, String),
    /// It can never take effect, known at this time of the chain.
    NotExecuted(TimestampUs, String),
    Ask {
        /// Who.
        whom: Whom,
        /// Comes back with the answer.
        tag: String,
        /// The request's body.
        body: Vec<u8>,
    },
    /// Call again at this time without an answer.
    WaitUntil(TimestampUs),
}

/// The answer to the question with this tag; none if it could not be asked.
pub type Last<'a> = (&'a str, Option<Response<'a>>);

/// What the claim's bytes say of themselves.
struct Claim {
    quote_hash: String,
    verifier: String,
    nonce: [u8; 32],
    /// After this no block takes the nonce.
    expiry_ns: u64,
}

impl Claim {
    fn read(command: &Command, unsigned: &[u8]) -> Option<Self> {
        let Message { nonce, recipient, .. } = Message::parse(unsigned).ok()?;
        // The contract takes no message for longer than its nonce; the command's own deadline is never later, but the
        // later of the two is the safe one.
        let expiry_ns = nonce::expiry_ns(&nonce)?.max(command.deadline.saturating_mul(NS_PER_US));
        let quote_hash = bs58::encode(nep413::digest(unsigned)).into_string();
        Some(Self { quote_hash, verifier: recipient, nonce, expiry_ns })
    }

    /// When it makes sense to ask whether it is over.
    fn due(&self) -> TimestampUs {
        (self.expiry_ns / NS_PER_US).saturating_add(FINALITY_LAG_US)
    }

    /// Before the end ever closer to it, after the end ever more seldom.
    fn again(&self, now: TimestampUs) -> Step {
        let left = self.due().saturating_sub(now);
        let pause = match left / 2 {
            _ if left == 0 => (now.saturating_sub(self.due()) / 4).clamp(RETRY_US_MIN, RETRY_US_MAX),
            half if half < RETRY_US_MIN => left,
            half => half.min(RETRY_US_MAX),
        };
        Step::WaitUntil(now.saturating_add(pause))
    }
}

/// The next step for a claimed command of unknown outcome.
pub fn resolve(config: &Config, command: &Command, unsigned: &[u8], last: Option<Last<'_>>, now: TimestampUs) -> Step {
    let Some(claim) = Claim::read(command, unsigned) else {
        return Step::WaitUntil(now.saturating_add(UNREADABLE_US));
    };
    match last {
        None => {
            let body = relay::ask_status(&claim.quote_hash);
            Step::Ask { whom: Whom::Relay, tag: STATUS.to_owned(), body }
        }
        Some((STATUS, response)) => after_relay(&claim, response, now),
        Some((tag, Some(response))) => after_node(config, command, &claim, tag, response, now),
        Some((_, None)) => claim.again(now),
    }
}

/// The relay is asked first and never waited for: where it says nothing, the chain is asked.
fn after_relay(claim: &Claim, response: Option<Response<'_>>, now: TimestampUs) -> Step {
    match response.map(|response| relay::read_status(response, &claim.quote_hash)) {
        Some(Ok(Fate::Settled(transaction))) => {
            return Step::Settled(format!("the relay says settled, transaction {transaction}"));
        }
        // Under way: the end is near, and the chain does not know it yet.
        Some(Ok(Fate::Broadcast)) if now < claim.due() => return Step::WaitUntil(now.saturating_add(RETRY_US_MIN)),
        Some(Ok(Fate::Pending)) if now < claim.due() => return claim.again(now),
        _ => {}
    }
    Step::Ask { whom: Whom::Node, tag: BLOCK.to_owned(), body: chain::ask_block() }
}

fn after_node(
    config: &Config,
    command: &Command,
    claim: &Claim,
    tag: &str,
    response: Response<'_>,
    now: TimestampUs,
) -> Step {
    let ask = |tag, body| Step::Ask { whom: Whom::Node, tag, body };
    if tag == BLOCK {
        return match chain::read_block(response) {
            Ok(at) => ask(
                format!("{NONCE}{}/{}/{}", at.height, at.timestamp_ns, at.hash),
                chain::ask_nonce(&claim.verifier, &command.account, &claim.nonce, &at.hash),
            ),
            Err(_) => claim.again(now),
        };
    }
    if let Some(at) = parse_nonce_tag(tag) {
        return match chain::read_nonce(response, &at) {
            Ok(true) => {
                let detail = format!("the nonce is used at final block {}", at.height);
                Step::Executed(at.timestamp_ns / NS_PER_US, detail)
            }
            Ok(false) if at.timestamp_ns > claim.expiry_ns => {
                ask(format!("{NETWORK}{}/{}", at.height, at.timestamp_ns), chain::ask_network())
            }
            _ => claim.again(now),
        };
    }
    match (parse_network_tag(tag), chain::read_network(response)) {
        (Some((height, at_ns)), Ok(network)) if network == config.network && at_ns > claim.expiry_ns => {
            let detail = format!("the nonce is unused at final block {height}, after the deadline");
            Step::NotExecuted(at_ns / NS_PER_US, detail)
        }
        _ => claim.again(now),
    }
}

fn parse_nonce_tag(tag: &str) -> Option<Block> {
    let mut parts = tag.strip_prefix(NONCE)?.split('/');
    let (height, timestamp_ns) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Block { height, timestamp_ns, hash: parts.next()?.to_owned() })
}

fn parse_network_tag(tag: &str) -> Option<(u64, u64)> {
    let (height, timestamp) = tag.strip_prefix(NETWORK)?.split_once('/')?;
    Some((height.parse().ok()?, timestamp.parse().ok()?))
}

/// Why an answer decided nothing, for the log; none if it did or there was none.
pub fn complaint(config: &Config, command: &Command, unsigned: &[u8], last: Option<Last<'_>>) -> Option<String> {
    let (tag, response) = last?;
    let error = match (tag, response) {
        (_, None) => "could not be asked".to_owned(),
        (STATUS, Some(response)) => relay::read_status(response, &Claim::read(command, unsigned)?.quote_hash).err()?,
        (BLOCK, Some(response)) => chain::read_block(response).err()?,
        (_, Some(response)) => match parse_nonce_tag(tag) {
            Some(at) => chain::read_nonce(response, &at).err()?,
            None => match chain::read_network(response) {
                Ok(network) if network == config.network => return None,
                Ok(network) => format!("the node is of `{}`, not of `{}`", excerpt(&network), config.network),
                Err(error) => error,
            },
        },
    };
    Some(format!("`{}`: {error}", excerpt(tag)))
}
