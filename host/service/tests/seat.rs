//! The seat with real components: what does not fit is refused before it runs, and no caller waits for ever.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::path::Path;

use unrip_core::Timestamp;
use unrip_engine::executor::Executor;
use unrip_engine::ingestor::Ingestor;
use unrip_engine::normalizer::{Normalizer, RawInput};
use unrip_engine::reactor::Reactor;
use unrip_engine::{Grants, Instance, Limits};
use unrip_service::config::{ConfigPath, CredentialSlots, Endpoints, ModuleSection};
use unrip_service::module::{self, Expectations, Gone, Network, Seat};
use unrip_service::{Context, RunError, exit};
use unrip_testkit::components;

const GRANTS: &str = "websocket = ['ws']\nhttp = ['rpc']\ncredential = ['token']\nsigning = ['plain']\nstate = true";
const ENDPOINTS: &str = "ws = { url = 'ws://127.0.0.1:1' }\nrpc = { url = 'http://127.0.0.1:1' }";
const CREDENTIALS: &str = "token = { file = 'token' }";

fn section(fixture: &str, grants: &str) -> ModuleSection {
    let grants: Grants = toml(grants);
    let path = ConfigPath::new(components::fixture(fixture).unwrap());
    ModuleSection { path, digest: None, cache_dir: None, limits: Limits::default(), grants, config: Default::default() }
}

fn toml<T: serde::de::DeserializeOwned>(text: &str) -> T {
    unrip_service::config::parse("test.toml", text, Path::new("/"), &[]).unwrap()
}

fn expected(venue: &str, streams: &[&str]) -> Expectations {
    let streams = streams.iter().map(|stream| (*stream).to_owned()).collect();
    Expectations { venue: venue.parse().unwrap(), streams: Some(("role.streams", streams)) }
}

/// Starts a seat with everything granted and configured that the fixtures need.
async fn start<I: Instance>(fixture: &str, expected: Expectations, context: &Context) -> Result<Seat<I>, RunError> {
    start_with(&section(fixture, GRANTS), ENDPOINTS, CREDENTIALS, expected, context).await
}

async fn start_with<I: Instance>(
    section: &ModuleSection,
    endpoints: &str,
    credentials: &str,
    expected: Expectations,
    context: &Context,
) -> Result<Seat<I>, RunError> {
    let (endpoints, credentials): (Endpoints, CredentialSlots) = (toml(endpoints), toml(credentials));
    let network = Network { endpoints: &endpoints, credentials: &credentials };
    let checked = module::check::<I>(section, &expected, Some(network));
    let started = Seat::start(section, expected, Some(network), context).await;
    let text = |error: &RunError| (error.exit_code(), error.to_string());
    let said = checked.as_ref().err().map(text);
    assert_eq!(said, started.as_ref().err().map(text), "a check says what a start says");
    started
}

fn context() -> Context {
    Context::of("test")
}

/// Refused with this exit code, in words that hold all of `says`; the service is not ready.
fn assert_refused<I>(started: Result<Seat<I>, RunError>, context: &Context, code: u8, says: &[&str]) {
    let error = started.err().unwrap();
    assert_eq!(error.exit_code(), code, "{error}");
    for says in says {
        assert!(error.to_string().contains(says), "{error} does not say {says}");
    }
    assert_eq!(context.health.readiness().missing[0].name, "module");
}

#[tokio::test]
async fn a_module_of_another_venue_is_refused_in_every_role() {
    async fn refused<I: Instance>(fixture: &str) {
        let context = context();
        let started = start::<I>(fixture, expected("another", &[]), &context).await;
        assert_refused(
            started,
            &context,
            exit::MODULE,
            &["venue `fixture`", "service.venue is `another`", "name a module"],
        );
        start::<I>(fixture, expected("fixture", &[]), &context).await.unwrap();
    }
    refused::<Ingestor>("ingestor").await;
    refused::<Normalizer>("normalizer").await;
    refused::<Reactor>("reactor").await;
    refused::<Executor>("executor").await;
    start::<Normalizer>("any_venue", expected("another", &["things"]), &context()).await.unwrap();
}

#[tokio::test]
async fn a_module_of_another_world_is_refused() {
    let context = context();
    let started = start::<Reactor>("normalizer", expected("fixture", &["swap_demand"]), &context).await;
    assert_refused(started, &context, exit::MODULE, &["`normalizer`", "`reactor`", "module.path"]);
}

#[tokio::test]
async fn a_stream_that_the_module_does_not_describe_is_refused() {
    let context = context();
    let started = start::<Ingestor>("ingestor", expected("fixture", &["things", "others"]), &context).await;
    assert_refused(started, &context, exit::MODULE, &["role.streams", "`others`", "knows things"]);
    let started = start::<Executor>("executor", expected("fixture", &["things"]), &context).await;
    assert_refused(started, &context, exit::MODULE, &["knows none"]);
}

#[tokio::test]
async fn a_grant_of_what_is_not_configured_is_refused_before_anything_is_loaded() {
    for (endpoints, credentials, says) in [
        (ENDPOINTS, "other = { file = 'token' }", ["module.grants.credential", "[credentials.token]"]),
        ("ws = { url = 'ws://127.0.0.1:1' }", CREDENTIALS, ["module.grants.http", "[endpoints.rpc]"]),
        ("rpc = { url = 'http://127.0.0.1:1' }", CREDENTIALS, ["module.grants.websocket", "[endpoints.ws]"]),
        (
            "rpc = { url = 'http://127.0.0.1:1' }\nws = { url = 'ws://127.0.0.1:1', headers = { a = { bearer = 'key' } } }",
            CREDENTIALS,
            ["endpoints.ws.headers.a", "[credentials.key]"],
        ),
    ] {
        let context = context();
        let section = ModuleSection { path: ConfigPath::new("/nowhere"), ..section("executor", GRANTS) };
        let expected = expected("fixture", &[]);
        let started = start_with::<Executor>(&section, endpoints, credentials, expected, &context).await;
        assert_refused(started, &context, exit::CONFIG, &says);
    }
    let context = context();
    let section = section("normalizer", GRANTS);
    let started = Seat::<Normalizer>::start(&section, expected("fixture", &[]), None, &context).await;
    assert_refused(started, &context, exit::CONFIG, &["connects to nothing", "remove the grant"]);
}

#[tokio::test]
async fn an_answer_names_the_code_that_made_it() {
    let context = context();
    let seat = start::<Reactor>("reactor", expected("fixture", &["swap_demand"]), &context).await.unwrap();
    context.health.started();
    assert!(context.health.readiness().ready);
    let answer = seat.ask(|reactor| reactor.strategy().to_owned()).await.unwrap();
    assert_eq!((&*answer.value, &*answer.module.name), ("fixed-spread", "fixture/react"));
    let again = seat.clone().ask(|_| ()).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&answer.module, &again.module));
}

#[tokio::test]
async fn a_panic_on_the_thread_is_an_error_for_all_who_wait_and_the_service_is_not_ready() {
    let context = context();
    let seat = start::<Normalizer>("normalizer", expected("fixture", &[]), &context).await.unwrap();
    assert!(context.health.readiness().missing.iter().all(|missing| missing.name != "module"));
    // Polled in this order: the second call waits behind the first.
    let (first, second) = tokio::join!(
        seat.ask(|_| if true {
            panic!("a bug of the host")
        }),
        seat.ask(|normalizer| normalizer.made_by().name.clone()),
    );
    assert_eq!((first, second), (Err(Gone), Err(Gone)));
    assert_eq!(seat.ask(|_| ()).await, Err(Gone));
    let missing = context.health.readiness().missing;
    assert!(
        missing.iter().any(|missing| missing.name == "module" && missing.detail == Gone.to_string()),
        "{missing:?}"
    );
    let error = RunError::from(Gone);
    assert_eq!(error.exit_code(), exit::SOFTWARE);
}

#[tokio::test]
async fn every_role_counts_faults_by_kind_under_one_name() {
    let context = context();
    let seat = start::<Normalizer>("normalizer", expected("fixture", &[]), &context).await.unwrap();
    let records = ["ok", "trap", "trap", "few"].map(|bytes| RawInput {
        stream: "things".into(),
        key: "k".into(),
        connection_id: "c".into(),
        frame_seq: 0,
        reset: false,
        observed_at: Timestamp::from_micros(0),
        raw: bytes.as_bytes().to_vec(),
    });
    let outcomes = seat.ask(move |normalizer| normalizer.normalize(&records)).await.unwrap().value.unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 3);
    let page = context.metrics.render();
    let counted: BTreeMap<_, _> =
        page.lines().filter_map(|line| line.strip_prefix("unrip_module_faults_total")?.rsplit_once(' ')).collect();
    // The batch of four, then each bad record twice alone.
    assert_eq!(counted["{kind=\"module_trap\"}"], "5", "{page}");
    assert_eq!(counted["{kind=\"module_count\"}"], "2", "{page}");
}
