//! The rooms of `service` that need a real broker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod outbox;
mod pipeline;

use std::future::Future;
use std::time::Duration;

use unrip_service::Context;

/// Far above what anything here takes; keeps a failing test from hanging.
const WAIT: Duration = Duration::from_secs(90);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(WAIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {WAIT:?}"))
}

/// Waits until the service's readiness is as `wanted` says.
async fn readiness(context: &Context, what: &str, wanted: impl Fn(&unrip_service::health::Readiness) -> bool) {
    soon(what, async {
        while !wanted(&context.health.readiness()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
