//! Named points around every durable step, at which a test can end or stop this process as a crash would.
//!
//! Nothing is armed in production: the configuration refuses it there. Unarmed, a point costs one atomic load.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use serde::Deserialize;

/// Defines the points with their names, so that no name can be forgotten in the list.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place in the executor's work. Its name is stable: kill campaigns count by it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// All of them, in the order of a command's life.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// Its name, snake_case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$point => $name,)* }
            }
        }
    };
}

points! {
    /// The group gave a partition.
    Assigned = "assigned",
    /// The fence is about to be appended.
    FenceAppendBefore = "fence_append_before",
    /// The broker has the fence.
    FenceAcked = "fence_acked",
    /// The own fence was read back: the partition is active, and nothing was taken up yet.
    FenceRead = "fence_read",
    /// An open claim of an earlier life is taken up.
    ClaimTakenUp = "claim_taken_up",
    /// A record of the command topic is in hand.
    CommandReceived = "command_received",
    /// It was judged, and nothing was done about it yet.
    CommandJudged = "command_judged",
    /// The module is about to be asked for the bytes.
    PrepareBefore = "prepare_before",
    /// It gave them.
    PrepareAfter = "prepare_after",
    /// The claim is about to be appended.
    ClaimAppendBefore = "claim_append_before",
    /// The claim is on its way to the broker.
    ClaimAppendAfter = "claim_append_after",
    /// The broker has the claim.
    ClaimAcked = "claim_acked",
    /// The fold is about to be committed to disk.
    FoldCommitBefore = "fold_commit_before",
    /// The fold is on disk and not yet reported to the loop.
    FoldCommitAfter = "fold_commit_after",
    /// The own valid claim was read back, and nothing was signed yet.
    ClaimFolded = "claim_folded",
    /// The bytes are signed and encoded.
    Signed = "signed",
    /// The socket is ready and the gates are about to be asked.
    GateBefore = "gate_before",
    /// Every gate is open: the bytes go to the socket next.
    GateAfter = "gate_after",
    /// The socket has the bytes and has not flushed them.
    SocketHanded = "socket_handed",
    /// The bytes are flushed.
    SocketFlushed = "socket_flushed",
    /// The venue's answer was read, and nothing was done about it yet.
    AnswerHeard = "answer_heard",
    /// An outcome is about to be appended.
    OutcomeAppendBefore = "outcome_append_before",
    /// The outcome is on its way to the broker.
    OutcomeAppendAfter = "outcome_append_after",
    /// The broker has the outcome.
    OutcomeAcked = "outcome_acked",
    /// The outcome was read back, and its result is not published.
    OutcomeFolded = "outcome_folded",
    /// The transactional producer is about to fence its predecessor.
    InitTransactionsBefore = "init_transactions_before",
    /// It has, and the result topic was not read yet.
    InitTransactionsAfter = "init_transactions_after",
    /// Results are about to be written and committed.
    ResultCommitBefore = "result_commit_before",
    /// They are committed, and the fold does not know it.
    ResultCommitAfter = "result_commit_after",
    /// The fold knows it.
    ResultNoted = "result_noted",
    /// Offsets are about to be committed.
    OffsetsCommitBefore = "offsets_commit_before",
    /// They are committed.
    OffsetsCommitAfter = "offsets_commit_after",
    /// A command is in doubt, which is not yet published.
    DoubtBefore = "doubt_before",
    /// The module is about to be asked what to ask about a doubt.
    ResolveBegin = "resolve_begin",
    /// The venue answered a question about a doubt.
    ResolveAnswered = "resolve_answered",
    /// The doubt is decided, and no outcome was appended.
    ResolveDecided = "resolve_decided",
    /// A fenced executor is about to append what it heard.
    EvidenceAppendBefore = "evidence_append_before",
    /// The broker has the evidence.
    EvidenceAcked = "evidence_acked",
    /// A partition is taken away in an orderly way.
    Revoked = "revoked",
    /// A partition was drained and is about to be let go.
    Released = "released",
    /// A partition was taken away without asking.
    Lost = "lost",
    /// A newer fence was read: the group is about to be left.
    RejoinBefore = "rejoin_before",
    /// The service is asked to stop and starts to drain.
    DrainBegin = "drain_begin",
    /// It has drained and is about to leave the group.
    DrainEnd = "drain_end",
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// `kill -9` of this process by itself.
    Kill,
    /// SIGSTOP: another process sends SIGCONT.
    Stop,
    /// The thread that reached it sleeps.
    Pause(Duration),
}

/// `<point>:<hit>:<kill|stop|pause_ms=N>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FailPoint {
    /// Where.
    pub point: Point,
    /// At which hit, from 1.
    pub hit: u64,
    /// What.
    pub act: Act,
}

impl FromStr for FailPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is no fail point; write NAME:HIT:ACT with ACT kill, stop or pause_ms=N");
        let [name, hit, act] = text.split(':').collect::<Vec<_>>().try_into().map_err(|_| form())?;
        let point = Point::ALL.iter().copied().find(|point| point.name() == name);
        let point = point.ok_or_else(|| format!("there is no point `{name}`; `unrip chaos --list-points` has all"))?;
        let hit = hit.parse().ok().filter(|hit| *hit > 0).ok_or_else(form)?;
        let act = match act.strip_prefix("pause_ms=") {
            Some(ms) => Act::Pause(Duration::from_millis(ms.parse().map_err(|_| form())?)),
            None if act == "kill" => Act::Kill,
            None if act == "stop" => Act::Stop,
            None => return Err(form()),
        };
        Ok(Self { point, hit, act })
    }
}

impl TryFrom<String> for FailPoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

struct Armed {
    plan: FailPoint,
    hits: AtomicU64,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

/// Arms a point for the life of this process; the first call counts.
pub fn arm(plan: FailPoint) {
    tracing::warn!(point = %plan.point, hit = plan.hit, act = ?plan.act, "a fail point is armed: this is a test");
    // A second one would mean a second configuration: there is none.
    let _ = ARMED.set(Armed { plan, hits: AtomicU64::new(0) });
}

/// This process is at `point` now.
#[inline]
pub fn reach(point: Point) {
    if let Some(armed) = ARMED.get() {
        armed.reach(point);
    }
}

impl Armed {
    fn reach(&self, point: Point) {
        if point != self.plan.point || self.hits.fetch_add(1, Ordering::SeqCst) + 1 != self.plan.hit {
            return;
        }
        tracing::warn!(%point, act = ?self.plan.act, "fail point reached");
        match self.plan.act {
            Act::Kill => end(),
            // To this very thread, so that it goes no further before it stands.
            Act::Stop => drop(raise(Signal::SIGSTOP)),
            Act::Pause(time) => std::thread::sleep(time),
        }
    }
}

/// As `kill -9`: no destructor runs, nothing is flushed, and this thread does nothing more.
fn end() {
    let _ = raise(Signal::SIGKILL);
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        assert!(names.len() >= 28);
        assert!(names.iter().all(|name| name.chars().all(|c| c == '_' || c.is_ascii_lowercase())));
    }

    #[test]
    fn every_point_is_somewhere_on_the_way() {
        let mut sources = String::new();
        read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
        let missing: Vec<_> =
            Point::ALL.iter().filter(|point| !sources.contains(&format!("Point::{point:?}"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    fn read_all(dir: &Path, sources: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read_all(&path, sources);
            } else if !path.ends_with("points.rs") {
                *sources += &std::fs::read_to_string(path).unwrap();
            }
        }
    }

    #[test]
    fn plans_are_read_or_refused_with_a_reason() {
        let plan = FailPoint { point: Point::ClaimAcked, hit: 3, act: Act::Kill };
        assert_eq!("claim_acked:3:kill".parse(), Ok(plan));
        let pause = FailPoint { act: Act::Pause(Duration::from_millis(70)), hit: 1, ..plan };
        assert_eq!("claim_acked:1:pause_ms=70".parse(), Ok(pause));
        for wrong in
            ["", "claim_acked", "claim_acked:0:kill", "claim_acked:1:die", "nowhere:1:kill", "claim_acked:1:pause_ms=x"]
        {
            assert!(wrong.parse::<FailPoint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_wanted_hit_of_the_wanted_point_counts() {
        let time = Duration::from_millis(1);
        let plan = FailPoint { point: Point::ClaimAcked, hit: 2, act: Act::Pause(time) };
        let armed = Armed { plan, hits: AtomicU64::new(0) };
        armed.reach(Point::ClaimFolded);
        assert_eq!(armed.hits.load(Ordering::SeqCst), 0);
        armed.reach(Point::ClaimAcked);
        armed.reach(Point::ClaimAcked);
        assert_eq!(armed.hits.load(Ordering::SeqCst), 2);
    }
}
