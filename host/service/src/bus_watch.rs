//! Whether the broker can be reached: one readiness condition, one log line per change.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use unrip_bus::{Admin, BusConfig, Error};

use crate::health::{Condition, Health};
use crate::run::RunError;

/// How long one probe may take.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Between two probes while the broker is away: short, so that readiness follows its return at once.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

/// Watches the broker for one service: every role waits for its broker here. Cheap to clone.
#[derive(Clone)]
pub struct BusWatch {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for BusWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BusWatch").finish_non_exhaustive()
    }
}

struct Inner {
    bus: BusConfig,
    condition: Condition,
    reached: watch::Sender<bool>,
    state: Mutex<State>,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct State {
    probing: bool,
    last_reason: String,
}

impl BusWatch {
    /// Starts to probe the broker; call inside the runtime. The condition is `bus`.
    pub fn start(bus: &BusConfig, health: &Health, shutdown: &CancellationToken) -> Self {
        let condition = health.condition("bus", "broker not reached yet");
        let (reached, _) = watch::channel(false);
        let (bus, shutdown) = (bus.clone(), shutdown.clone());
        let inner = Inner { bus, condition, reached, state: Mutex::default(), shutdown };
        let watch = Self { inner: Arc::new(inner) };
        watch.probe();
        watch
    }

    /// Something failed that may mean that the broker is away: probes it. The same reason is logged only once.
    pub fn suspect(&self, error: &Error) {
        let reason = error.to_string();
        let mut state = self.state();
        if state.last_reason == reason {
            tracing::debug!(%error, "the broker may be away; probing it");
        } else {
            tracing::warn!(%error, "the broker may be away; probing it");
            state.last_reason = reason;
        }
        drop(state);
        self.probe();
    }

    /// Waits for the broker at start, for up to `service.start_timeout_ms` (without limit if `None`). `false` if the
    /// service should stop before that.
    ///
    /// # Errors
    /// No broker in time; the service exits 69.
    pub async fn reached_at_start(&self, start_timeout_ms: Option<u64>) -> Result<bool, RunError> {
        let wait = start_timeout_ms.map(Duration::from_millis);
        match self.inner.shutdown.run_until_cancelled(self.reached(wait)).await {
            None => Ok(false),
            Some(true) => Ok(true),
            Some(false) => {
                let (brokers, ms) = (&self.inner.bus.brokers, start_timeout_ms.unwrap_or_default());
                Err(RunError::Unavailable(format!("no broker at {brokers} within service.start_timeout_ms = {ms}")))
            }
        }
    }

    /// Waits until the broker was reached; `false` after `wait`. Safe to cancel.
    pub async fn reached(&self, wait: Option<Duration>) -> bool {
        let mut reached = self.inner.reached.subscribe();
        let reached = reached.wait_for(|reached| *reached);
        match wait {
            Some(wait) => tokio::time::timeout(wait, reached).await.is_ok(),
            None => reached.await.is_ok(),
        }
    }

    /// Probes the broker until it answers, unless a probe is already running.
    fn probe(&self) {
        if std::mem::replace(&mut self.state().probing, true) {
            return;
        }
        let watch = self.clone();
        tokio::spawn(async move {
            let shutdown = watch.inner.shutdown.clone();
            shutdown.run_until_cancelled(watch.ask_until_answered()).await;
        });
    }

    async fn ask_until_answered(&self) {
        let mut admin = Admin::new(&self.inner.bus);
        loop {
            let answer = match &admin {
                Ok(admin) => admin.reachable(PROBE_WAIT).await,
                Err(error) => Err(error.clone()),
            };
            match answer {
                Ok(()) => return self.up(),
                Err(error) => self.down(&error),
            }
            tokio::time::sleep(PROBE_PAUSE).await;
            if admin.is_err() {
                admin = Admin::new(&self.inner.bus);
            }
        }
    }

    fn up(&self) {
        // In this order: an error that is reported from now on starts another probe.
        *self.state() = State::default();
        self.inner.condition.met();
        if !self.inner.reached.send_replace(true) {
            tracing::info!(brokers = self.inner.bus.brokers, "broker reached");
        }
    }

    fn down(&self, error: &Error) {
        self.inner.condition.missing(&error.to_string());
        let was_reached = self.inner.reached.send_replace(false);
        let first = self.state().last_reason.is_empty();
        if was_reached || first {
            tracing::warn!(brokers = self.inner.bus.brokers, %error, "broker unreachable; retrying");
            self.state().last_reason = error.to_string();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
