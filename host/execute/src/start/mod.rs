//! Starting in order: keys, module, state, topics, journal, kill switch, venue; then the loop.

pub(crate) mod loss;
pub mod reseed;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use unrip_bus::Producer;
use unrip_core::{ModuleRef, Timestamp};
use unrip_service::{Context, RunError, module};

use crate::command::doubts::ROUNDS_AT_ONCE_MAX;
use crate::config::{Config, SignerSection};
use crate::journal::records::Maker;
use crate::journal::tail::{self as journal, state, unavailable};
use crate::journal::watch;
use crate::points;
use crate::results::follow as results;
use crate::runtime::executor::Service;
use crate::runtime::gates::Gates;
use crate::runtime::metrics::Metrics;
use crate::runtime::{INPUTS_WAITING_MAX, Input};
use crate::signer::{Nep413Signer, Signer, load_seed};
use crate::start::topics as checks;
use crate::store::{Store, Writer};
use crate::venue::{Desk, Heard, Link, LinkParts};
use unrip_protocol::clock::ClockSense;

/// Runs the executor until it is told to stop.
///
/// # Errors
/// What it cannot go on without; the exit code says which kind.
pub async fn run(config: Config, ctx: Context) -> Result<(), RunError> {
    let (tell, mut inputs) = mpsc::channel(INPUTS_WAITING_MAX);
    let (hear, mut heard) = mpsc::channel(INPUTS_WAITING_MAX);
    let started = tokio::select! {
        () = ctx.shutdown.cancelled() => return Ok(()),
        started = start(config, ctx.clone(), tell, hear) => started,
    };
    let (mut service, ends) = started?;
    let folded = ctx.health.condition("journal", "reading the journal to its end");
    if !service.catch_up(&mut inputs, ends).await? {
        return Ok(());
    }
    folded.met();
    service.group = Some(service.join()?);
    service.work(&mut inputs, &mut heard).await?;
    service.stop(&mut inputs, &mut heard).await
}

async fn start(
    config: Config,
    ctx: Context,
    inputs: mpsc::Sender<Input>,
    hear: mpsc::Sender<Heard>,
) -> Result<(Service, Vec<(i32, i64)>), RunError> {
    config.execute.fail_point.into_iter().for_each(points::arm);
    let conditions = (ctx.health.condition("module", "loading"), ctx.health.condition("bus", "connecting"));
    let signers = signers(&config)?;
    let (module, desk) = load_module(&config)?;
    conditions.0.met();
    let (store, writer) = open_store(&config, inputs.clone())?;

    let partitions = checks::check(&config.bus, config.execute.demands()).await?;
    let begun = journal::begin(&config.bus, &store, &writer, partitions, config.execute.clock_skew_ms_max).await?;
    results::follow(begun.results, inputs.clone());
    watch::start(&config.bus, &store, partitions, inputs.clone())?;
    let gates = Gates::default();
    gates.follow(&config.bus).await?;
    let producer = Producer::new(&config.bus).map_err(unavailable)?;
    conditions.1.met();

    let link = Link::open(
        LinkParts {
            desk: desk.clone(),
            endpoints: &config.endpoints,
            granted_http: &config.module.grants.http,
            slots: &config.credentials,
            granted_credentials: &config.module.grants.credential,
            clock: Arc::clone(&ctx.clock),
            ids: ctx.ids.clone(),
            connected: ctx.health.condition("venue", "connecting"),
            shutdown: CancellationToken::new(),
        },
        hear,
    )
    .await?;

    let tail = journal::tail(config.bus.clone(), begun.from, begun.journal_id, writer.clone());
    let failed = inputs.clone();
    tokio::spawn(async move { failed.send(Input::Failed(tail.await)).await });
    let maker = Maker {
        venue: config.service.venue.clone(),
        source: format!("unrip/execute/{}", config.execute.executor_id),
        ids: ctx.ids.clone(),
    };
    let service = Service {
        incarnation: ctx.ids.uuid_v7(ctx.clock.now()),
        joined: ctx.health.condition("partitions", "waiting for an assignment"),
        metrics: Metrics::new(&ctx.metrics),
        stop_publishers: CancellationToken::new(),
        slots: BTreeMap::new(),
        commits: BTreeMap::new(),
        leaving: Vec::new(),
        group: None,
        rejoin: false,
        partitions,
        newest_append: Timestamp::default(),
        clock: ClockSense::new(config.execute.clock_skew_ms_max),
        began: Instant::now(),
        limits: config.execute.limits.limits(),
        rounds: Arc::new(Semaphore::new(ROUNDS_AT_ONCE_MAX)),
        store,
        writer,
        producer,
        maker,
        module,
        desk,
        link,
        gates,
        signers: signers.into(),
        inputs,
        config,
        ctx,
    };
    Ok((service, begun.ends))
}

fn load_module(config: &Config) -> Result<(ModuleRef, Desk), RunError> {
    let loaded = tokio::task::block_in_place(|| module::load(&config.module)?.executor())?;
    let module = loaded.module_ref().clone();
    let desk = Desk::start(loaded).map_err(|error| RunError::Software(error.to_string()))?;
    Ok((module, desk))
}

fn open_store(config: &Config, inputs: mpsc::Sender<Input>) -> Result<(Store, Writer), RunError> {
    let store = Store::open(&config.execute.store_options()).map_err(state)?;
    let writer = Writer::start(store.clone(), move |folded| {
        // Fails only when the loop has ended: then no one needs to know.
        let _ = inputs.blocking_send(Input::Folded(folded));
    })
    .map_err(|error| RunError::Software(error.to_string()))?;
    Ok((store, writer))
}

fn signers(config: &Config) -> Result<Vec<Arc<dyn Signer>>, RunError> {
    let mut signers: Vec<Arc<dyn Signer>> = Vec::new();
    for (key_id, section) in &config.signer {
        let SignerSection::Nep413 { account, recipient, key_file } = section;
        let granted = config.module.grants.signing.iter().any(|scheme| scheme == "nep413");
        if !granted {
            return Err(RunError::Config(format!("signer.{key_id}: module.grants.signing lacks \"nep413\"")));
        }
        let seed =
            load_seed(key_file).map_err(|error| RunError::Config(format!("signer.{key_id}.key_file: {error}")))?;
        signers.push(Arc::new(Nep413Signer::new(key_id, account, recipient, &seed)));
    }
    Ok(signers)
}
