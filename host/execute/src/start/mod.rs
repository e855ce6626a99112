//! Starting in order: keys, module, state, topics, journal, kill switch, venue; then the loop.

pub mod compare;
pub(crate) mod loss;
pub mod reseed;
pub mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unrip_bus::{Position, Producer};
use unrip_service::module::Seat;
use unrip_service::{BusWatch, Context, RunError};

use crate::config::{Config, SignerSection};
use crate::journal::records::Maker;
use crate::journal::writer::JournalWriter;
use crate::journal::{tail, watch};
use crate::points;
use crate::results::follow;
use crate::results::publishers::Publishers;
use crate::runtime::executor::Executor;
use crate::runtime::gates::Gates;
use crate::runtime::membership::Membership;
use crate::runtime::metrics::Metrics;
use crate::runtime::retry::{state_error, unavailable};
use crate::runtime::time::Time;
use crate::runtime::{INPUTS_WAITING_MAX, Input};
use crate::signer::{Nep413Signer, Signer, Signers, load_seed};
use crate::store::{Store, Writer};
use crate::venue::{VenueConnection, VenueEvent, VenueOptions, VenueParts, VenueSide};

/// Runs the executor until shutdown.
///
/// # Errors
/// What it cannot continue without; the exit code says which kind.
pub async fn run(config: Config, ctx: Context) -> Result<(), RunError> {
    let (inputs, mut waiting) = mpsc::channel(INPUTS_WAITING_MAX);
    let (events, mut heard) = mpsc::channel(INPUTS_WAITING_MAX);
    let started = tokio::select! {
        () = ctx.shutdown.cancelled() => return Ok(()),
        started = start(config, ctx.clone(), inputs, events) => started,
    };
    let (mut executor, ends) = started?;
    let folded = ctx.health.condition("journal", "reading the journal to its end");
    ctx.health.started();
    if !executor.catch_up(&mut waiting, ends).await? {
        return Ok(());
    }
    folded.met();
    executor.membership.join()?;
    executor.work(&mut waiting, &mut heard).await?;
    executor.stop(&mut waiting, &mut heard).await
}

async fn start(
    config: Config,
    ctx: Context,
    inputs: mpsc::Sender<Input>,
    events: mpsc::Sender<VenueEvent>,
) -> Result<(Executor, Vec<(i32, i64)>), RunError> {
    if let Some(plan) = config.execute.fail_point {
        points::arm(plan);
    }
    let signers = signers(&config)?;
    let seat = Seat::start(&config.module, config.expected(), Some(config.network()), &ctx).await?;
    let (store, writer) = open_state(&config, &inputs)?;

    let broker = BusWatch::start(&config.bus, &ctx.health, &ctx.shutdown);
    broker.reached_at_start(config.service.start_timeout_ms).await?;
    let partition_count = topics::check(&config.bus, config.execute.demands()).await?;
    let skew_ms = config.execute.clock_skew_ms_max;
    let started = compare::begin(&config.bus, &store, &writer, partition_count, skew_ms).await?;
    follow::follow(started.results, inputs.clone());
    watch::start(&config.bus, &store, partition_count, inputs.clone())?;
    let gates = Gates::default();
    gates.follow(&config.bus).await?;
    let producer = Producer::new(&config.bus).map_err(unavailable)?;
    let connection = connect(&config, &ctx, &seat, events).await?;
    read_journal(&config, started.from, started.journal_id, writer.clone(), inputs.clone());

    let venue = config.service.venue.to_string();
    let source = format!("unrip/execute/{}", config.execute.executor_id);
    let maker = Maker { venue: venue.clone(), source, ids: ctx.ids.clone() };
    let (metrics, clock) = (Metrics::new(&ctx.metrics), Arc::clone(&ctx.clock));
    let journal = JournalWriter {
        producer: producer.clone(),
        store: store.clone(),
        maker: maker.clone(),
        executor_id: config.execute.executor_id.clone(),
        incarnation: ctx.ids.uuid_v7(ctx.clock.now()),
        partition_count,
        clock_skew_ms_max: skew_ms,
        metrics: metrics.clone(),
    };
    let parts = VenueParts { venue: venue.clone(), seat, connection, signers, clock: Arc::clone(&clock) };
    let (bus, section, stop) = (config.bus.clone(), config.execute.clone(), CancellationToken::new());
    let joined = ctx.health.condition("partitions", "waiting for an assignment");
    let executor = Executor {
        limits: section.limits.limits(),
        time: Time::new(Arc::clone(&clock), skew_ms),
        venue: VenueSide::new(parts, inputs.clone()),
        membership: Membership::new(&bus, &venue, &section, joined),
        publishers: Publishers { bus, producer, store: store.clone(), writer, maker, clock, inputs, section, stop },
        partitions: BTreeMap::new(),
        metrics,
        gates,
        store,
        journal,
        config,
        ctx,
    };
    Ok((executor, started.ends))
}

fn open_state(config: &Config, inputs: &mpsc::Sender<Input>) -> Result<(Store, Writer), RunError> {
    let store = Store::open(&config.execute.store_options()).map_err(state_error)?;
    let inputs = inputs.clone();
    let writer = Writer::start(store.clone(), move |folded| {
        // If the loop is gone, so is the executor.
        let _ = inputs.blocking_send(Input::Folded(folded));
    })
    .map_err(|error| RunError::Software(error.to_string()))?;
    Ok((store, writer))
}

async fn connect(
    config: &Config,
    ctx: &Context,
    seat: &Seat<unrip_engine::executor::Executor>,
    events: mpsc::Sender<VenueEvent>,
) -> Result<VenueConnection, RunError> {
    let options = VenueOptions {
        seat: seat.clone(),
        endpoints: &config.endpoints,
        granted_http: &config.module.grants.http,
        slots: &config.credentials,
        granted_credentials: &config.module.grants.credential,
        clock: Arc::clone(&ctx.clock),
        ids: ctx.ids.clone(),
        metrics: &ctx.metrics,
        connected: ctx.health.condition("venue", "connecting"),
        shutdown: CancellationToken::new(),
    };
    VenueConnection::open(options, events).await
}

/// Reads the journal in the background until that fails.
fn read_journal(
    config: &Config,
    from: Vec<Position>,
    journal_id: Option<unrip_core::Uuid>,
    writer: Writer,
    inputs: mpsc::Sender<Input>,
) {
    let bus = config.bus.clone();
    tokio::spawn(async move {
        let error = tail::tail(bus, from, journal_id, writer).await;
        let _ = inputs.send(Input::Failed(error)).await;
    });
}

fn signers(config: &Config) -> Result<Signers, RunError> {
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
    Ok(Signers::new(signers))
}
