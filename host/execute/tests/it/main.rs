//! The store, the signer and the loss of a journal, each on the real thing.

#[path = "../../../protocol/tests/common/mod.rs"]
mod common;

mod loss;
mod nep413_signs_only_its_own;
mod store_forgets_in_time;
mod store_keeps_the_fold;
