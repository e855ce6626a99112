//! A module that says it cannot continue: is the module broken, or only the record hostile?
//!
//! One hostile record must not end a service: it would end it again at every start. So the module is asked again about an
//! input that it took before; only if it refuses that as well is it broken.

use unrip_engine::Rejection;

use super::stage::{Answer, Stage};
use crate::run::RunError;

/// This many fatal records with none taken since the start mean a broken module. Fewer are dead letters.
const FATAL_IN_A_ROW_MAX: u32 = 16;

/// What is remembered to tell the two apart.
#[derive(Debug)]
pub(super) struct Judge<I> {
    /// The last input that the module took.
    taken: Option<I>,
    /// Fatal rejections since the start, while nothing was taken.
    in_a_row: u32,
}

impl<I> Default for Judge<I> {
    fn default() -> Self {
        Self { taken: None, in_a_row: 0 }
    }
}

impl<I: Send> Judge<I> {
    /// Looks at an answer; asks the module once more where it needs to.
    ///
    /// # Errors
    /// The module is broken: the service ends (78).
    pub(super) async fn look<S: Stage<Input = I>>(
        &mut self,
        stage: &mut S,
        inputs: Vec<I>,
        results: &[Result<S::Output, Rejection>],
    ) -> Result<(), RunError> {
        let mut fatal = None;
        for (input, result) in inputs.into_iter().zip(results) {
            match result {
                Ok(_) => (self.taken, self.in_a_row) = (Some(input), 0),
                Err(Rejection::Fatal { code, text }) => {
                    self.in_a_row += 1;
                    fatal = Some(format!("{code}: {text}"));
                }
                Err(_) => {}
            }
        }
        let Some(reason) = fatal else { return Ok(()) };
        let broken = |why: &str| Err(RunError::Module(format!("the module cannot continue: {reason} ({why})")));
        match self.taken.take() {
            None if self.in_a_row >= FATAL_IN_A_ROW_MAX => broken("it has taken no record since the start"),
            None => Ok(()),
            Some(input) => {
                let Answer { mut inputs, results, .. } = stage.call(vec![input]).await?;
                self.taken = inputs.pop();
                match results.first() {
                    Some(Err(Rejection::Fatal { .. })) => broken("also for a record that it took before"),
                    _ => Ok(()),
                }
            }
        }
    }
}
