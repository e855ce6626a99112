//! The whole service with a real component on a real broker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

mod support;

use std::path::Path;

use support::bus::{make, read, soon};
use unrip_bus::{BusConfig, Outgoing, Producer, Record};
use unrip_core::event::canonical::SwapDemand;
use unrip_core::event::dead::DeadLetter;
use unrip_core::event::raw::RawFrame;
use unrip_core::id::derived_event_id;
use unrip_core::topic;
use unrip_core::{Amount, Envelope, Uuid};
use unrip_normalize::Config;
use unrip_service::{Clock, Context, SystemClock, config};
use unrip_testkit::{broker, components};

const FRAME: &str = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":"7a22f623-bcb1-5985-bca7-3b2c7b64d8fe","data":{"quote_id":"5b12b323-f7a5-5bb9-bb30-3800ebc35943","defuse_asset_identifier_in":"nep141:wrap.near","defuse_asset_identifier_out":"nep141:usdt.tether-token.near","exact_amount_in":"1000000000000000000000000","min_deadline_ms":60000,"min_wait_ms":1900,"max_wait_ms":3000,"protocol_fee_included":false}}}"#;

fn raw(venue: &str, n: u128, bytes: &[u8]) -> Envelope<RawFrame> {
    let payload = RawFrame { stream: "quote".into(), connection_id: "c-1".into(), frame_seq: 7, reset: false };
    let id = Uuid::from_u128(Uuid::now_v7().as_u128() ^ n);
    let mut envelope = Envelope::root(id, venue, "relay/quote", SystemClock.now(), payload).with_raw(bytes);
    envelope.correlation_id = Some(id);
    envelope
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_raw_records_into_canonical_records_and_dead_letters() {
    let (bootstrap, component) = tokio::task::spawn_blocking(|| {
        (broker::for_tests().bootstrap().to_owned(), components::component("near-intents-normalize").unwrap())
    })
    .await
    .unwrap();
    let bus = BusConfig::at(bootstrap.clone());
    // The module knows its venue; on brokers that others use, their records are there too.
    let venue = "near-intents";
    let raw_topic = topic::raw(&venue.parse().unwrap(), "quote");
    for name in [&raw_topic, &topic::dead(&raw_topic), &topic::norm("swap_demand")] {
        make(&bus, name, 3).await;
    }
    let text = format!(
        "[service]\nvenue = '{venue}'\n[bus]\nbrokers = '{bootstrap}'\n[module]\npath = '{}'\n[normalize]\nstreams = ['quote']\nevents = ['swap_demand']\n",
        component.display()
    );
    let config: Config = config::parse("test.toml", &text, Path::new("/"), &[]).unwrap();
    let context = Context::of("normalize");
    let task = tokio::spawn(unrip_normalize::run(config, context.clone()));

    let good = raw(venue, 1, FRAME.as_bytes());
    let two_amounts = FRAME.replace("\"min_deadline_ms\"", "\"exact_amount_out\":\"5\",\"min_deadline_ms\"");
    let values = [
        good.encode().unwrap(),
        raw(venue, 2, two_amounts.as_bytes()).encode().unwrap(),
        format!("\\ {}", good.event_id).into_bytes(),
    ];
    let producer = Producer::new(&bus).unwrap();
    for value in &values {
        let key = b"5b12b323-f7a5-5bb9-bb30-3800ebc35943".to_vec();
        let record = Outgoing { topic: raw_topic.clone(), partition: None, key, value: value.clone(), headers: vec![] };
        soon("send", producer.send(record)).await.unwrap();
    }

    let ours = |record: &Record| {
        Envelope::<SwapDemand>::decode(&record.value).is_ok_and(|demand| demand.causation_id == Some(good.event_id))
    };
    let records = read(&bus, &topic::norm("swap_demand"), ours, 1).await;
    let demand = Envelope::<SwapDemand>::decode(&records[0].value).unwrap();
    assert_eq!(demand.event_id, derived_event_id(good.event_id, "normalize", "swap_demand", 0));
    assert_eq!((demand.causation_id, demand.correlation_id), (Some(good.event_id), Some(good.event_id)));
    assert_eq!(demand.observed_at, good.observed_at);
    assert_eq!(demand.payload.amount_in, Some(Amount(1_000_000_000_000_000_000_000_000)));
    assert_eq!((demand.payload.amount_out, demand.payload.ttl_ms), (None, Some(3_000)));
    let key = format!("{venue}/nep141:wrap.near~nep141:usdt.tether-token.near");
    assert_eq!(records[0].key.as_deref(), Some(key.as_bytes()));
    let module = demand.module.unwrap();
    assert_eq!((module.name.as_str(), module.wit.as_str()), ("near-intents/normalize", "unrip:normalizer@0.1.0"));

    for value in &values[1..] {
        let of_it = |record: &Record| {
            Envelope::<DeadLetter>::decode(&record.value)
                .is_ok_and(|letter| letter.raw_bytes().is_ok_and(|bytes| bytes.as_ref() == Some(value)))
        };
        read(&bus, &topic::dead(&raw_topic), of_it, 1).await;
    }
    let health = context.health.readiness();
    assert!(health.ready, "{health:?}");
    context.shutdown.cancel();
    soon("stop", task).await.unwrap().unwrap();
}
