//! Which promise each mutant must break, and in which world it is caught.

use super::mutants::Mutant;
use super::properties::*;
use super::walk::walk;
use super::world::World;
use super::worlds::{hunted, walked};

/// Walks in which a mutant must be caught.
const SEEDS_MAX: u64 = 30_000;

pub struct Suspect {
    pub mutant: Mutant,
    pub promise: &'static str,
}

const fn suspect(mutant: Mutant, promise: &'static str) -> Suspect {
    Suspect { mutant, promise }
}

pub const ALL: &[Suspect] = &[
    suspect(Mutant::PodLocalHistory, ONE_SEND),
    suspect(Mutant::ResendsOpenClaims, ONE_SEND),
    suspect(Mutant::NoRestore, ONE_SEND),
    suspect(Mutant::ActsOnAck, ONE_SEND),
    suspect(Mutant::CompactedJournal, ONE_SEND),
    suspect(Mutant::NoFence, TRUE_VERDICTS),
    suspect(Mutant::NoReadBarrier, TRUE_VERDICTS),
    suspect(Mutant::EarlyVerdict, TRUE_VERDICTS),
    suspect(Mutant::VerdictAtDispatchBy, TRUE_VERDICTS),
    suspect(Mutant::VenueIgnoresExpiry, TRUE_VERDICTS),
    suspect(Mutant::CommitsOnReceive, NO_LOST_OFFSET),
    suspect(Mutant::CommitsOnReceive, WAY_TO_END),
    suspect(Mutant::NoIdempotencyKey, ONE_SEND_PER_KEY),
    suspect(Mutant::InvalidClaimBlocks, FENCED_CLAIMS),
    suspect(Mutant::OutcomeWithoutFence, TRUE_VERDICTS),
    suspect(Mutant::LastOutcomeWins, FOLD_IS_RULE),
    suspect(Mutant::EvidenceNeedsFence, FOLD_IS_RULE),
    suspect(Mutant::ForeignFenceFences, WAY_TO_END),
    suspect(Mutant::SignsBeforeReadBack, UNCLAIMED),
    suspect(Mutant::LateGate, LATE),
    suspect(Mutant::AnswerAfterFenceForgotten, FORGOTTEN),
    suspect(Mutant::FlushAfterReconnect, ONE_SEND),
    suspect(Mutant::HandedAsNotHanded, ONE_SEND),
    suspect(Mutant::OwnTimeoutRejects, TRUE_VERDICTS),
    suspect(Mutant::ResendsOnTimeout, ONE_SEND),
    suspect(Mutant::ExpiresClaimsOfOthers, TRUE_VERDICTS),
    suspect(Mutant::PublishesWithoutReading, ONE_RESULT),
    suspect(Mutant::OldPublisherNotFenced, ONE_RESULT),
    suspect(Mutant::PublishesUnreadOutcome, ONE_RESULT),
    suspect(Mutant::DrainBeginsWork, AFTER_DRAIN),
    suspect(Mutant::FencedStays, WAY_TO_END),
    suspect(Mutant::ConflictReplacesFirst, FIRST_STANDS),
];

/// How it was caught, breaking the promise that it must break.
pub fn catch(suspect: &Suspect) -> Option<String> {
    (0..SEEDS_MAX).find_map(|seed| {
        let world = if seed % 2 == 0 { walked(seed / 2) } else { hunted(seed / 2) };
        let world = World { mutant: Some(suspect.mutant), only: Some(suspect.promise), ..world };
        let found = walk(&world, seed).found?;
        (found.promise == suspect.promise)
            .then(|| format!("breaks `{}` by seed {seed} in {} steps", suspect.promise, found.steps))
    })
}
