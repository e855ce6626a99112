//! The seat: one thread per module that owns its active instance, and with it the engine and the compiled module.
//!
//! Callers ask from the runtime's tasks and get an answer that names the code that made it. A candidate, its
//! promotion and the way back belong here too: only this thread holds the instance.

use std::fmt;
use std::sync::Arc;
use std::thread;

use tokio::sync::{mpsc, oneshot};
use unrip_core::ModuleRef;
use unrip_engine::Instance;

use super::checks::{Expectations, Network};
use super::faults::FaultReport;
use crate::config::ModuleSection;
use crate::health::Condition;
use crate::metrics::CounterBy;
use crate::run::{Context, RunError};

/// Calls that wait for the module; further callers wait for room.
const CALLS_WAITING_MAX: usize = 1_024;

type Call<I> = Box<dyn FnOnce(&mut Active<I>) + Send>;

/// A handle to a module's thread. Cheap to clone; the thread ends with the last handle.
pub struct Seat<I> {
    calls: mpsc::Sender<Call<I>>,
    faults: CounterBy,
}

/// What a module answered, and which code it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The code and configuration that made the value.
    pub module: Arc<ModuleRef>,
    /// The value.
    pub value: T,
}

/// The module's thread has ended while it was needed, which only a bug in unrip can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the module's thread has ended")]
pub struct Gone;

impl From<Gone> for RunError {
    fn from(gone: Gone) -> Self {
        Self::Software(gone.to_string())
    }
}

/// What the thread owns.
struct Active<I> {
    instance: I,
    faults: FaultReport,
    condition: Condition,
}

impl<I: Instance> Seat<I> {
    /// Loads, checks, instantiates and configures the module of the configuration, on the seat's own thread. The
    /// readiness condition `module` is met from then on.
    ///
    /// # Errors
    /// The grants name what is not configured (64); the module cannot be loaded, is of another world or venue, does
    /// not know a configured stream, or refuses its configuration (78).
    pub async fn start(
        section: &ModuleSection,
        expected: Expectations,
        network: Option<Network<'_>>,
        context: &Context,
    ) -> Result<Self, RunError> {
        let condition = context.health.condition("module", "loading");
        section.check_grants(network).map_err(RunError::Config)?;
        let faults = FaultReport::new(&context.metrics);
        let counted = faults.counter().clone();
        let (calls, waiting) = mpsc::channel(CALLS_WAITING_MAX);
        let (ready, started) = oneshot::channel();
        let (section, watched) = (section.clone(), condition.clone());
        let work = move || {
            match super::instance(&section, &expected) {
                Ok(instance) => {
                    let active = Active { instance, faults, condition: watched };
                    // Otherwise the service has stopped meanwhile.
                    if ready.send(Ok(())).is_ok() {
                        active.serve(waiting);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        };
        let spawned = thread::Builder::new().name("module".to_owned()).spawn(work);
        spawned.map_err(|error| RunError::Software(format!("no thread for the module: {error}")))?;
        started.await.map_err(|_| Gone)??;
        condition.met();
        Ok(Self { calls, faults: counted })
    }

    /// The fault metric, for breaches of the contract that only a role can see.
    pub fn faults(&self) -> &CounterBy {
        &self.faults
    }

    /// Has the instance do `work` in its turn.
    ///
    /// # Errors
    /// The thread has ended; waiting calls end with it.
    pub async fn ask<T, F>(&self, work: F) -> Result<Answer<T>, Gone>
    where
        T: Send + 'static,
        F: FnOnce(&mut I) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let call: Call<I> = Box::new(move |active| {
            // Dropped before `answer`: when a caller learns of a panic, the service is not ready already.
            let _watch = PanicWatch(active.condition.clone());
            let value = work(&mut active.instance);
            let module = Arc::clone(active.instance.made_by());
            active.faults.report(&module.name, active.instance.take_faults());
            // The caller may be gone; then the answer is not needed.
            let _ = answer.send(Answer { module, value });
        });
        self.calls.send(call).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}

impl<I: Instance> Active<I> {
    fn serve(mut self, mut waiting: mpsc::Receiver<Call<I>>) {
        while let Some(call) = waiting.blocking_recv() {
            call(&mut self);
        }
        self.faults.finish(&self.instance.made_by().name);
    }
}

impl<I> Clone for Seat<I> {
    fn clone(&self) -> Self {
        Self { calls: self.calls.clone(), faults: self.faults.clone() }
    }
}

impl<I> fmt::Debug for Seat<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seat")
    }
}

/// Makes the service not ready when the thread dies.
struct PanicWatch(Condition);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.missing(&Gone.to_string());
        }
    }
}
