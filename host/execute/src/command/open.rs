//! A command in hand, with everything that its records and its one send need.

use std::sync::Arc;
use std::time::Instant;

use unrip_core::ModuleRef;
use unrip_core::event::journal::Reserve;
use unrip_engine::executor::Action;

use crate::journal::records::Cause;
use unrip_protocol::fold::Head;

/// A command that this process took up.
#[derive(Clone, Debug)]
pub(crate) struct OpenCommand {
    /// What the protocol knows of it.
    pub(crate) head: Head,
    /// The command and its trace.
    pub(crate) cause: Cause,
    /// The whole envelope as read; null once the claim holds it.
    pub(crate) envelope: serde_json::Value,
    /// What is, or will be, claimed.
    pub(crate) claimed: Option<Claimed>,
    /// When this process took it up.
    pub(crate) taken_up: Instant,
}

/// A prepared action.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) action: Action,
    /// SHA-256 of its bytes, lower-case hex: what statements about it name.
    pub(crate) digest: String,
    /// What it promises.
    pub(crate) gives: Vec<Reserve>,
    /// The module that prepared it.
    pub(crate) module: Arc<ModuleRef>,
}

impl OpenCommand {
    /// The account that the command trades for.
    pub(crate) fn account(&self) -> &str {
        &self.cause.command.payload.account
    }
}
