//! The whole service with a real strategy on a real broker.
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

use std::collections::BTreeMap;
use std::path::Path;

use support::bus::{make, read, soon};
use unrip_bus::{BusConfig, Outgoing, Producer, Record};
use unrip_core::event::canonical::SwapDemand;
use unrip_core::event::command::{Action, ExecuteTrade};
use unrip_core::id::derived_event_id;
use unrip_core::partition::partition_for;
use unrip_core::topic;
use unrip_core::{Amount, CommandId, Envelope, Uuid};
use unrip_react::Config;
use unrip_service::{Clock, Context, RunError, SystemClock, config};
use unrip_testkit::{broker, components};

/// Partitions of the topics that are made here.
const PARTITIONS: i32 = 6;

const STRATEGY: &str = r#"
[module.config]
strategy = "fixed-spread"
account = "solver.near"
deadline_margin_ms = 5000
dispatch_window_ms_max = 60000
deadline_ms_max = 610000
pairs = [{ asset_in = "nep141:wrap.near", asset_out = "nep141:usdt.tether-token.near", decimals_in = 24, decimals_out = 6, price = "3.05", spread_bps = 20 }]
"#;

fn demand(venue: &str, asset_out: &str) -> Envelope<SwapDemand> {
    let payload = SwapDemand {
        quote_id: "5b12b323-f7a5-5bb9-bb30-3800ebc35943".into(),
        instrument: format!("nep141:wrap.near~{asset_out}"),
        asset_in: "nep141:wrap.near".into(),
        asset_out: asset_out.into(),
        amount_in: Some(Amount(1_000_000_000_000_000_000_000_000)),
        amount_out: None,
        min_deadline_ms: 60_000,
        ttl_ms: Some(3_000),
        attributes: BTreeMap::new(),
    };
    let mut envelope = Envelope::root(Uuid::now_v7(), venue, "relay/quote", SystemClock.now(), payload);
    envelope.correlation_id = Some(envelope.event_id);
    envelope
}

/// The command that the event caused.
async fn command(bus: &BusConfig, cause: Uuid) -> Record {
    let caused = |record: &Record| {
        Envelope::<ExecuteTrade>::decode(&record.value).is_ok_and(|command| command.causation_id == Some(cause))
    };
    read(bus, topic::EXECUTE_TRADE, caused, 1).await.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn turns_configured_demands_into_commands_and_counts_the_rest() {
    let (bootstrap, component) = tokio::task::spawn_blocking(|| {
        (broker::for_tests().bootstrap().to_owned(), components::component("near-intents-react").unwrap())
    })
    .await
    .unwrap();
    let bus = BusConfig::at(bootstrap.clone());
    // The strategy knows its venue; on brokers that others use, their demands are there too.
    let venue = "near-intents";
    let source = topic::norm("swap_demand");
    make(&bus, &source, PARTITIONS).await;
    make(&bus, &topic::dead(&source), PARTITIONS).await;
    let partitions = make(&bus, topic::EXECUTE_TRADE, PARTITIONS).await;
    let text = format!(
        "[service]\nvenue = '{venue}'\n[bus]\nbrokers = '{bootstrap}'\n[module]\npath = '{}'\n{STRATEGY}\n[react]\nevents = ['swap_demand']\n",
        component.display()
    );
    let config: Config = config::parse("test.toml", &text, Path::new("/"), &[]).unwrap();
    let context = Context::of("react");
    let task = tokio::spawn(unrip_react::run(config, context.clone()));

    let usdt = "nep141:usdt.tether-token.near";
    let cause = demand(venue, usdt);
    let producer = Producer::new(&bus).unwrap();
    // One after another on one partition: when the last is a command, the others were seen.
    for demand in [demand("another-venue", usdt), demand(venue, "nep141:unknown.near"), cause.clone()] {
        let value = demand.encode().unwrap();
        let record = Outgoing { topic: source.clone(), partition: Some(0), key: b"k".to_vec(), value, headers: vec![] };
        soon("send", producer.send(record)).await.unwrap();
    }

    let record = command(&bus, cause.event_id).await;
    let command = Envelope::<ExecuteTrade>::decode(&record.value).unwrap();
    let key = format!("{venue}/solver.near");
    assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
    assert_eq!(record.partition, partition_for(key.as_bytes(), partitions), "librdkafka's murmur2 is ours");
    assert_eq!(command.event_id, derived_event_id(cause.event_id, "react/fixed-spread", "execute_trade", 0));
    assert_eq!((command.causation_id, command.correlation_id), (Some(cause.event_id), Some(cause.event_id)));
    let payload = &command.payload;
    let expected = CommandId::new(cause.observed_at, &key, cause.event_id, "fixed-spread", 0);
    assert_eq!((payload.command_id, payload.execution_key.as_str()), (expected, key.as_str()));
    assert_eq!(payload.idempotency_key, format!("{key}/{}", cause.payload.quote_id));
    assert_eq!(payload.dispatch_by, cause.observed_at.plus_millis(3_000));
    assert_eq!(payload.deadline, cause.observed_at.plus_millis(65_000).cut_to_millis());
    let Action::SwapAnswer { amount_in, amount_out, .. } = &payload.action;
    assert_eq!(Some(*amount_in), cause.payload.amount_in);
    // 1 NEAR at 3.05 less 20 basis points, in USDT's six decimals.
    assert_eq!(*amount_out, Amount(3_043_900));

    let page = context.metrics.render();
    assert!(page.contains("unrip_decisions_total{decision=\"command\",reason=\"\"}"), "{page}");
    assert!(page.contains("unrip_decisions_total{decision=\"decline\""), "{page}");
    assert!(page.contains("unrip_records_skipped_total{reason=\"other_venue\"}"), "{page}");
    context.shutdown.cancel();
    soon("stop", task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_strategy_with_memory() {
    let fixture = tokio::task::spawn_blocking(|| components::fixture("reactor").unwrap()).await.unwrap();
    let text = format!(
        "[service]\nvenue = 'fixture'\n[bus]\nbrokers = '127.0.0.1:1'\n[module]\npath = '{}'\n[module.grants]\nstate = true\n\
         [react]\nevents = ['swap_demand']\n",
        fixture.display()
    );
    let config: Config = config::parse("test.toml", &text, Path::new("/"), &[]).unwrap();
    let ended = Box::pin(soon("end", unrip_react::run(config, Context::of("react")))).await;
    let Err(error @ RunError::Module(_)) = ended else { panic!("{ended:?}") };
    assert!(error.to_string().contains("must be rebuilt by rereading its stream"), "{error}");
}
