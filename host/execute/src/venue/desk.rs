//! The thread at which the module works: calls come one by one, answers go back.

use std::thread;

use tokio::sync::{mpsc, oneshot};
use unrip_engine::executor::Executor;

/// Calls waiting for the module.
const CALLS_WAITING_MAX: usize = 1_024;

type Call = Box<dyn FnOnce(&mut Executor) + Send>;

/// A handle to the module's thread. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    calls: mpsc::Sender<Call>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    /// Starts the thread; it ends with the last handle.
    pub fn start(mut executor: Executor) -> std::io::Result<Self> {
        let (calls, mut waiting) = mpsc::channel::<Call>(CALLS_WAITING_MAX);
        thread::Builder::new().name("module".to_owned()).spawn(move || {
            while let Some(call) = waiting.blocking_recv() {
                call(&mut executor);
            }
        })?;
        Ok(Self { calls })
    }

    /// Asks the module; `None` if its thread is gone.
    pub async fn ask<T, F>(&self, question: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Executor) -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let call: Call = Box::new(move |executor| {
            // Whoever asked may be gone; then nobody wants the answer.
            let _ = answer.send(question(executor));
        });
        self.calls.send(call).await.ok()?;
        answered.await.ok()
    }
}
