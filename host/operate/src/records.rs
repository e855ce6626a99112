//! Records that the operator's commands write.

use unrip_bus::Outgoing;
use unrip_core::{Envelope, Payload};
use unrip_service::Ids;

use crate::error::Error;

/// The record that holds this envelope.
pub(crate) fn outgoing<P: Payload>(
    topic: &str,
    partition: Option<i32>,
    key: &str,
    envelope: &Envelope<P>,
    ids: &Ids,
) -> Result<Outgoing, Error> {
    let value =
        envelope.encode().map_err(|error| Error::Software(format!("a record could not be encoded: {error}")))?;
    Ok(Outgoing {
        topic: topic.to_owned(),
        partition,
        key: key.as_bytes().to_vec(),
        value,
        headers: envelope.headers(ids.trace()),
    })
}
