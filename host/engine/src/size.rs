//! What results take of the host's memory, so that a batch of them can be bounded by bytes.

use std::collections::BTreeMap;

use unrip_core::event::canonical::CanonicalEvent;
use unrip_core::event::command::Action;

use crate::reactor::{Command, Decision};

/// What one input led to.
pub(crate) trait HostBytes {
    /// Bytes that it takes: the values and their texts. Close enough for a bound, not exact.
    fn host_bytes(&self) -> usize;
}

impl HostBytes for Vec<CanonicalEvent> {
    fn host_bytes(&self) -> usize {
        self.iter().map(|event| size_of::<CanonicalEvent>() + texts_of_event(event)).sum()
    }
}

impl HostBytes for Vec<Decision> {
    fn host_bytes(&self) -> usize {
        let texts = |decision: &Decision| match decision {
            Decision::Decline(reason) => reason.len(),
            Decision::Command(command) => texts_of_command(command),
        };
        self.iter().map(|decision| size_of::<Decision>() + texts(decision)).sum()
    }
}

fn texts_of_event(event: &CanonicalEvent) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match event {
        CanonicalEvent::SwapDemand(event) => {
            let ids = event.quote_id.len() + event.instrument.len();
            ids + event.asset_in.len() + event.asset_out.len() + attributes(&event.attributes)
        }
        CanonicalEvent::SwapSettlement(event) => {
            event.quote_hash.len() + text(&event.intent_hash) + text(&event.tx_hash) + attributes(&event.attributes)
        }
        CanonicalEvent::BookTop(event) => {
            let prices =
                text(&event.bid_price) + text(&event.bid_size) + text(&event.ask_price) + text(&event.ask_size);
            let rest = event.instrument.len() + text(&event.venue_time) + text(&event.sequence);
            prices + rest + attributes(&event.attributes)
        }
        CanonicalEvent::Trade(event) => {
            let ids = event.instrument.len() + event.trade_id.len() + event.venue_time.len();
            ids + event.price.len() + event.size.len() + attributes(&event.attributes)
        }
    }
}

fn attributes(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(name, value)| size_of::<(String, String)>() + name.len() + value.len()).sum()
}

fn texts_of_command(command: &Command) -> usize {
    let Action::SwapAnswer { quote_id, asset_in, asset_out, .. } = &command.action;
    let inputs: usize = command.inputs.iter().map(|input| size_of_val(input) + input.topic.len()).sum();
    let texts = command.account.len() + command.venue_ref.len() + command.reason.len();
    inputs + texts + quote_id.len() + asset_in.len() + asset_out.len()
}
