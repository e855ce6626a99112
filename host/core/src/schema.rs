//! JSON Schemas of every record, generated from the types. The released copies stand in `host/core/schemas`.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};

use crate::envelope::{Envelope, Payload};
use crate::event::{canonical, command, control, dead, journal, raw, result};

/// Every record's schema with its file name, `<event_type>.v<schema_version>.json`.
pub fn all() -> Vec<(String, Schema)> {
    vec![
        one::<raw::RawFrame>(),
        one::<canonical::SwapDemand>(),
        one::<canonical::SwapSettlement>(),
        one::<canonical::BookTop>(),
        one::<canonical::Trade>(),
        one::<command::ExecuteTrade>(),
        one::<result::TradeResult>(),
        one::<result::TradeStatus>(),
        one::<journal::JournalGenesis>(),
        one::<journal::JournalFence>(),
        one::<journal::JournalClaim>(),
        one::<journal::JournalOutcome>(),
        one::<journal::JournalEvidence>(),
        one::<journal::JournalSkip>(),
        one::<journal::JournalDecision>(),
        one::<journal::JournalSeed>(),
        one::<control::ExecutionMode>(),
        one::<dead::DeadLetter>(),
    ]
}

fn one<P: Payload + JsonSchema>() -> (String, Schema) {
    let generator: SchemaGenerator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    (format!("{}.v{}.json", P::EVENT_TYPE, P::SCHEMA_VERSION), generator.into_root_schema_for::<Envelope<P>>())
}
