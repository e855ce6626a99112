//! Waits at start for the topics that the service reads and writes.

use std::time::Duration;

use unrip_bus::{Admin, Error};

use super::Setup;
use crate::bus_watch::BusWatch;
use crate::run::{Context, RunError};

/// Between two looks for a topic that does not exist.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Until all of them exist, or the service should stop. Meanwhile the condition `topics` names the first that does not.
///
/// # Errors
/// The bus's settings cannot be used (64).
pub(super) async fn wait(setup: &Setup, watch: &BusWatch, context: &Context) -> Result<(), RunError> {
    let condition = context.health.condition("topics", "not looked for yet");
    let admin = Admin::new(&setup.bus).map_err(|error| RunError::Config(error.to_string()))?;
    let mut named = None;
    let all = setup.topics.iter().cloned().chain(setup.topics.iter().map(|topic| unrip_core::topic::dead(topic)));
    let mut wanted: Vec<String> = all.chain(setup.outputs.iter().cloned()).collect();
    let look = async {
        loop {
            let mut missing = Vec::new();
            for topic in std::mem::take(&mut wanted) {
                match admin.describe(&topic).await {
                    Ok(Some(_)) => {}
                    Ok(None) => missing.push(topic),
                    Err(error) => {
                        watch.suspect(&error);
                        missing.push(topic);
                    }
                }
            }
            wanted = missing;
            let Some(first) = wanted.first() else { return };
            let reason = Error::MissingTopic { topic: first.clone() }.to_string();
            condition.missing(&reason);
            if named.as_ref() != Some(first) {
                tracing::warn!(topic = first, missing = wanted.len(), "a topic does not exist; waiting for it");
                named = Some(first.clone());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    };
    if context.shutdown.run_until_cancelled(look).await.is_some() {
        condition.met();
    }
    Ok(())
}
