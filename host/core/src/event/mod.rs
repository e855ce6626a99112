//! The payloads, one file per family (`RECORDS.md`, Payloads).

pub mod canonical;
pub mod command;
pub mod control;
pub mod dead;
pub mod journal;
pub mod raw;
pub mod result;

macro_rules! payload {
    ($type:ty, $name:literal) => {
        impl $crate::envelope::Payload for $type {
            const EVENT_TYPE: &'static str = $name;
        }
    };
}
pub(crate) use payload;
