//! What a role does around its module's call, and what one record leads to.

use std::future::Future;
use std::sync::Arc;

use unrip_bus::{Outgoing, Record};
use unrip_core::{ModuleRef, Timestamp};
use unrip_engine::Rejection;

use crate::run::RunError;

/// One role's part of the loop: it reads records into the module's inputs, calls the module, and makes records of what the
/// module said.
///
/// A record may come again when its outputs were not acknowledged: the same record must give the same outputs.
pub trait Stage: Send + 'static {
    /// What is kept of a record while the module has its input.
    type Cause: Send;
    /// What the module is given.
    type Input: Send;
    /// What the module says about one input.
    type Output: Send;

    /// What the module is given for a record, or what becomes of it without the module.
    fn read(&self, record: &Record) -> Read<Self::Cause, Self::Input>;

    /// Calls the module: one result per input, in order, for the first inputs. Where results are large these may be fewer
    /// than all, and at least one; the loop writes what they lead to and calls again with the rest.
    ///
    /// # Errors
    /// The module cannot be called any more.
    fn call(
        &mut self,
        inputs: Vec<Self::Input>,
    ) -> impl Future<Output = Result<Answer<Self::Input, Self::Output>, RunError>> + Send;

    /// The records that follow from what the module said; `module` is the code that said it.
    fn write(&self, record: &Record, cause: Self::Cause, output: Self::Output, module: &Arc<ModuleRef>) -> Step;
}

/// What the module said about the inputs of one call.
#[derive(Debug)]
pub struct Answer<I, O> {
    /// The inputs, given back.
    pub inputs: Vec<I>,
    /// One per input, in order, for the first inputs.
    pub results: Vec<Result<O, Rejection>>,
    /// The code that answered.
    pub module: Arc<ModuleRef>,
}

/// What one record is.
#[derive(Debug)]
pub enum Read<C, I> {
    /// Something for the module.
    Input {
        /// What is kept of the record.
        cause: C,
        /// What the module is given.
        input: I,
        /// When the frame that began the chain reached the host.
        observed_at: Timestamp,
    },
    /// Nothing of this service's: passed over.
    Skip,
    /// Nothing that could be given to the module: a dead letter.
    Dead {
        /// snake_case, of a small set: a metric label.
        code: &'static str,
        /// For people.
        text: String,
    },
}

/// What one record led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// These outputs, or none.
    Done(Vec<Outgoing>),
    /// It cannot be processed, or not wholly: these outputs and a dead letter.
    Dead {
        /// What could be made of it.
        outputs: Vec<Outgoing>,
        /// snake_case, of a small set: a metric label.
        code: String,
        /// For people.
        text: String,
    },
    /// Hold its partition and try again; bounded by [`super::PipelineSection`], then a dead letter.
    RetryAfter {
        /// How long.
        ms: u32,
        /// snake_case, of a small set: a metric label.
        code: String,
        /// For people.
        text: String,
    },
}

impl Step {
    /// A dead letter without outputs.
    pub fn dead(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Dead { outputs: Vec::new(), code: code.into(), text: text.into() }
    }
}

impl From<Rejection> for Step {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Reject { code, text } => Self::dead(code, text),
            Rejection::Fault(fault) => Self::dead(fault.kind.code(), fault.text),
            Rejection::RetryAfter { ms, code, text } => Self::RetryAfter { ms, code, text },
            // Whether the module is broken or only this record is: see `fatal`.
            Rejection::Fatal { code, text } => Self::dead(super::MODULE_FATAL, format!("{code}: {text}")),
        }
    }
}
