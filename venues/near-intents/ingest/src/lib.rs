//! NEAR Intents ingestor: glue between the `unrip:ingestor` world and `near_intents_shared::ingest`.
#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;

use near_intents_shared::ingest::{CONNECTION, CREDENTIAL, Config, ENDPOINT, Effect, Event, Ingestor};

#[allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated from the WIT, which documents it")]
mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit/host/v0.1", "../../../wit/types/v0.1", "../../../wit/ingestor/v0.1"],
        world: "unrip:ingestor/module",
        generate_all,
    });
    export!(Module);
    use super::Module;
}

use bindings::exports::unrip::ingestor::ingestor as world;
use bindings::exports::unrip::types::lifecycle;
use bindings::unrip::host::log::{Level, log};
use bindings::unrip::types::common;

thread_local! {
    static INGESTOR: RefCell<Option<Ingestor>> = const { RefCell::new(None) };
}

struct Module;

impl lifecycle::Guest for Module {
    fn describe() -> lifecycle::Description {
        lifecycle::Description {
            name: "near-intents/ingest".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wit: "unrip:ingestor@0.1.0".to_owned(),
            venue: near_intents_shared::VENUE.to_owned(),
            streams: vec!["quote".to_owned(), "quote_status".to_owned()],
            capabilities: vec![
                lifecycle::Capability::Websocket(ENDPOINT.to_owned()),
                lifecycle::Capability::Credential(CREDENTIAL.to_owned()),
            ],
            attributes: vec![],
        }
    }

    fn configure(config: String) -> Result<(), String> {
        let ingestor = Ingestor::new(Config::read(&config)?);
        INGESTOR.with_borrow_mut(|slot| *slot = Some(ingestor));
        Ok(())
    }
}

impl world::Guest for Module {
    fn handle(event: world::Event, now: u64) -> Vec<world::Effect> {
        let effects = INGESTOR.with_borrow_mut(|slot| {
            slot.as_mut().map(|ingestor| match &event {
                world::Event::Started => ingestor.handle(&Event::Started, now),
                world::Event::Opened(_) => ingestor.handle(&Event::Opened, now),
                world::Event::Frame(frame) => match &frame.message {
                    common::Message::Text(text) => ingestor.handle(&Event::Frame(text.as_bytes()), now),
                    common::Message::Binary(bytes) => ingestor.handle(&Event::Frame(bytes), now),
                },
                // This module asks nothing by HTTP.
                world::Event::Response(_) => vec![],
                world::Event::Timer(name) => ingestor.handle(&Event::Timer(name), now),
                world::Event::Closed(_) => ingestor.handle(&Event::Closed, now),
            })
        });
        effects.unwrap_or_default().into_iter().filter_map(effect).collect()
    }
}

fn effect(effect: Effect) -> Option<world::Effect> {
    Some(match effect {
        Effect::Connect => world::Effect::Connect(world::Connect {
            connection: CONNECTION.to_owned(),
            endpoint: ENDPOINT.to_owned(),
            path: String::new(),
            headers: vec![common::Header {
                name: "authorization".to_owned(),
                value: common::HeaderValue::Bearer(CREDENTIAL.to_owned()),
            }],
        }),
        Effect::Send(text) => world::Effect::Send((CONNECTION.to_owned(), common::Message::Text(text))),
        Effect::Timer(name, ms) => world::Effect::Timer((name, ms)),
        Effect::Emit { stream, key } => world::Effect::Emit(vec![world::RawRecord {
            stream: stream.to_owned(),
            key,
            source: format!("solver-relay/{stream}"),
            reset: false,
        }]),
        Effect::Chatter(kind) => world::Effect::Chatter(kind.to_owned()),
        Effect::Unrecognised(why) => world::Effect::Unrecognised(why),
        Effect::Warn(text) => {
            log(Level::Warn, &text);
            return None;
        }
    })
}
