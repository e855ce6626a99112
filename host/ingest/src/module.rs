//! The module on a thread of its own: it computes, and nothing else waits for it but its caller.

use tokio::sync::{mpsc, oneshot};
use unrip_core::{ModuleRef, Timestamp};
use unrip_engine::ingestor::{Effect, Event, Ingestor};
use unrip_engine::{Description, Fault};
use unrip_service::RunError;
use unrip_service::config::ModuleSection;
use unrip_service::module;

/// Calls that may wait: there is one caller, which waits for each.
const CALLS_WAITING_MAX: usize = 1;

/// The handle; dropping it ends the thread.
pub(crate) struct Module {
    calls: mpsc::Sender<Call>,
    module_ref: ModuleRef,
    description: Description,
}

struct Call {
    event: Event,
    now: Timestamp,
    reply: oneshot::Sender<Answer>,
}

/// The event, given back, and what the module wants done.
pub(crate) type Answer = (Event, Result<Vec<Effect>, Fault>);

impl Module {
    /// Loads the module of the configuration; compiling happens on the new thread.
    pub(crate) async fn start(section: ModuleSection) -> Result<Self, RunError> {
        let (calls, waiting) = mpsc::channel(CALLS_WAITING_MAX);
        let (ready, started) = oneshot::channel();
        let work = move || match load(&section) {
            Ok((ingestor, description)) => {
                let module_ref = ingestor.module_ref().clone();
                if ready.send(Ok((module_ref, description))).is_ok() {
                    serve(ingestor, waiting);
                }
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        std::thread::Builder::new()
            .name("module".to_owned())
            .spawn(work)
            .map_err(|error| RunError::Software(format!("no thread for the module: {error}")))?;
        let (module_ref, description) = started.await.map_err(|_| gone())??;
        Ok(Self { calls, module_ref, description })
    }

    pub(crate) fn module_ref(&self) -> &ModuleRef {
        &self.module_ref
    }

    pub(crate) fn description(&self) -> &Description {
        &self.description
    }

    /// What the module wants done on `event`.
    pub(crate) async fn handle(&self, event: Event, now: Timestamp) -> Result<Answer, RunError> {
        let (reply, answer) = oneshot::channel();
        self.calls.send(Call { event, now, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

fn load(section: &ModuleSection) -> Result<(Ingestor, Description), RunError> {
    let loaded = module::load(section)?;
    Ok((loaded.ingestor()?, loaded.module().description().clone()))
}

fn serve(mut ingestor: Ingestor, mut waiting: mpsc::Receiver<Call>) {
    while let Some(Call { event, now, reply }) = waiting.blocking_recv() {
        // Nobody waits any more only when the service ends.
        let effects = ingestor.handle(&event, now);
        let _ = reply.send((event, effects));
    }
}

fn gone() -> RunError {
    RunError::Software("the module's thread ended".to_owned())
}
