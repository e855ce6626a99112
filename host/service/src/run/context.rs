//! What a role's code is given.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::clock::{Clock, SystemClock};
use crate::health::Health;
use crate::ids::Ids;
use crate::metrics::Registry;

/// What a role is given besides its configuration. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// `ingest`, `normalize`, …
    pub role: &'static str,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Ids,
    /// Readiness conditions.
    pub health: Health,
    /// Metrics.
    pub metrics: Registry,
    /// Pages of the admin endpoint that the role adds.
    pub pages: admin::Pages,
    /// Cancelled when the service should stop.
    pub shutdown: CancellationToken,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

impl Context {
    /// The machine's clock and randomness, nothing served yet, a token that no signal cancels.
    pub fn of(role: &'static str) -> Self {
        Self {
            role,
            clock: Arc::new(SystemClock),
            ids: Ids::random(),
            health: Health::new(),
            metrics: Registry::new(),
            pages: admin::Pages::default(),
            shutdown: CancellationToken::new(),
        }
    }
}
