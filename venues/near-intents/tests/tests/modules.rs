//! The real components of a venue in the engine: one quote from its frame to the signed answer and the end of a doubt.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use unrip_core::event::command::{Action, ExecuteTrade, SideFixed};
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::{self, Executor, Fact, FinalStatus, Inbound, Outbound, Resolution, Signature, Statement};
use unrip_engine::ingestor::{Effect, Event, Frame, Ingestor};
use unrip_engine::normalizer::{Normalizer, RawInput};
use unrip_engine::reactor::{Decision, Input, Reactor};
use unrip_engine::{CanonicalEvent, Engine, EngineConfig, Grants, HttpResponse, Limits, Message, Module, Rejection};

const NOW: Timestamp = Timestamp::from_micros(1_795_341_600_123_456);
const FRAME: &str = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":"s","data":{"quote_id":"q-1",
    "defuse_asset_identifier_in":"near","defuse_asset_identifier_out":"usdc","exact_amount_out":"2495000",
    "min_deadline_ms":60000,"max_wait_ms":3000,"protocol_fee_included":false}}}"#;

/// Builds the components as `unrip dev` does.
fn modules(engine: &Engine) -> [Module; 4] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let names = ["ingest", "normalize", "react", "execute"];
    let packages = names.map(|role| format!("near-intents-{role}"));
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--target", "wasm32-unknown-unknown"])
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .arg("--target-dir")
        .arg(target)
        .current_dir(&root)
        .status()
        .unwrap();
    assert!(status.success(), "the components do not build");
    let dir = tempfile::tempdir().unwrap();
    names.map(|role| {
        let file = format!("near_intents_{role}.wasm");
        let core = std::fs::read(target.join("wasm32-unknown-unknown/release").join(&file)).unwrap();
        let component = wit_component::ComponentEncoder::default().validate(true).module(&core).unwrap().encode();
        let path = dir.path().join(file);
        std::fs::write(&path, component.unwrap()).unwrap();
        engine.load(&path, None).unwrap()
    })
}

fn grants() -> Grants {
    let one = |name: &str| vec![name.to_owned()];
    Grants {
        websocket: one("ws"),
        http: vec!["near".to_owned(), "rpc".to_owned()],
        credential: one("relay_token"),
        signing: one("nep413"),
        state: false,
    }
}

#[test]
fn a_quote_goes_from_its_frame_to_a_signed_answer_and_a_resolved_doubt() {
    let engine = Engine::new(EngineConfig::default()).unwrap();
    let [ingest, normalize, react, execute] = modules(&engine);
    let limits = Limits::default();
    let key = ingested(&mut Ingestor::new(&engine, &ingest, &limits, &grants(), &json!({})).unwrap());
    assert_eq!(key, "q-1");

    let mut normalizer = Normalizer::new(&engine, &normalize, &limits, &Grants::default(), &json!({})).unwrap();
    let event = normalized(&mut normalizer);

    let pair =
        json!({"asset_in":"near","asset_out":"usdc","decimals_in":24,"decimals_out":6,"price":"2.5","spread_bps":20});
    let config = json!({"account":"solver.near","pairs":[pair]});
    let mut reactor = Reactor::new(&engine, &react, &limits, &Grants::default(), &config).unwrap();
    assert_eq!(reactor.strategy(), "fixed-spread");
    let command = decided(&mut reactor, event);

    let config = json!({"balances": [{"account": "solver.near", "assets": ["near", "usdc"]}]});
    let mut executor = Executor::new(&engine, &execute, &limits, &grants(), &config).unwrap();
    balances_become_facts(&mut executor);
    answered(&mut executor, &command);
}

fn ingested(ingestor: &mut Ingestor) -> String {
    let started = ingestor.handle(&Event::Started, NOW).unwrap();
    assert!(matches!(started.as_slice(), [Effect::Connect(connect)] if connect.endpoint == "ws"));
    let opened = ingestor.handle(&Event::Opened("relay".into()), NOW).unwrap();
    assert!(matches!(opened.first(), Some(Effect::Send((_, Message::Text(text)))) if text.contains("subscribe")));
    let mut frame =
        |message| ingestor.handle(&Event::Frame(Frame { connection: "relay".into(), message }), NOW).unwrap();
    assert!(matches!(frame(Message::Binary(vec![0xff])).as_slice(), [Effect::Unrecognised(_)]));
    let effects = frame(Message::Text(FRAME.into()));
    let [Effect::Emit(records)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((records[0].stream.as_str(), records[0].source.as_str()), ("quote", "solver-relay/quote"));
    records[0].key.clone()
}

fn normalized(normalizer: &mut Normalizer) -> CanonicalEvent {
    let record = |raw: &str| RawInput {
        stream: "quote".into(),
        key: "q-1".into(),
        connection_id: "c".into(),
        frame_seq: 1,
        reset: false,
        observed_at: NOW,
        raw: raw.into(),
    };
    let both = FRAME.replace("exact_amount_out", "exact_amount_in\":\"1\",\"exact_amount_out");
    let results = normalizer.normalize(&[record(FRAME), record(&both)]).unwrap();
    let [Ok(events), Err(Rejection::Reject { code, .. })] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!(code, "amount_both");
    events[0].clone()
}

fn decided(reactor: &mut Reactor, event: CanonicalEvent) -> ExecuteTrade {
    let input = |venue: &str| Input {
        venue: venue.into(),
        observed_at: NOW,
        topic: "norm.swap_demand".into(),
        partition: 0,
        offset: 0,
        reference: false,
        event: event.clone(),
    };
    let results = reactor.react(&[input("near-intents"), input("elsewhere")]).unwrap();
    let [Ok(ours), Ok(other)] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!(other.as_slice(), [Decision::Decline("other_venue".into())]);
    let [Decision::Command(command)] = ours.as_slice() else { panic!("{ours:?}") };
    assert!(matches!(&command.action, Action::SwapAnswer { amount_fixed: Some(SideFixed::Out), amount_in, .. }
        if amount_in.0 == 1_000_000_000_000_000_000_000_000));
    assert_eq!(command.dispatch_by, Timestamp::from_micros(NOW.micros() + 3_000_000));
    assert_eq!(command.deadline, Timestamp::from_micros(1_795_341_665_123_000));
    ExecuteTrade {
        command_id: CommandId::new(NOW, "near-intents/solver.near", uuid(), "fixed-spread", 0),
        idempotency_key: "near-intents/solver.near/q-1".into(),
        execution_key: "near-intents/solver.near".into(),
        account: command.account.clone(),
        strategy: "fixed-spread".into(),
        venue_ref: command.venue_ref.clone(),
        dispatch_by: command.dispatch_by,
        deadline: command.deadline,
        reason: command.reason.clone(),
        inputs: vec![],
        action: command.action.clone(),
    }
}

fn uuid() -> unrip_core::Uuid {
    unrip_core::Uuid::nil()
}

fn answered(executor: &mut Executor, command: &ExecuteTrade) {
    let command = executor::ExecuteTrade::from(command);
    let questions = executor.standing_questions().unwrap();
    assert_eq!((questions[0].query.tag.as_str(), questions[0].query.request.endpoint.as_str()), ("salt", "near"));
    let salt = response(&json!({"result":{"result":b"\"252812b3\"".to_vec(),"block_height":9}}));
    let facts = executor.read(&Inbound::Response(("salt".into(), Some(salt)))).unwrap();
    assert!(matches!(facts.as_slice(), [Statement::Fact((name, value))] if name == "salt" && value == "252812b3"));
    let fact = Fact { name: "salt".into(), value: "252812b3".into(), age_ms: 5 };
    assert!(executor.prepare(&command, &[], NOW).unwrap().is_err());
    let action = executor.prepare(&command, &[fact], NOW).unwrap().unwrap();
    assert_eq!(action.reserves, [("usdc".to_owned(), "2495000".to_owned())]);
    let signature = Signature { public_key: vec![1; 32], signature: vec![2; 64] };
    let sent = executor.encode(&command, &action, &signature, 77).unwrap().unwrap();
    let Outbound::Frame(Message::Text(text)) = sent else { panic!("{sent:?}") };
    let sent: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sent["id"], 77);
    assert_eq!(sent["params"][0]["quote_output"], json!({"amount_in":"1000000000000000000000000"}));
    let said = executor.read(&Inbound::Frame(Message::Text(r#"{"id":77,"result":"OK"}"#.into()))).unwrap();
    assert!(matches!(said.as_slice(), [Statement::Request((77, executor::Verdict::Accepted(_)))]));
    resolved(executor, &command, &action);
}

fn balances_become_facts(executor: &mut Executor) {
    let questions = executor.standing_questions().unwrap();
    let question = questions.last().unwrap().query.clone();
    assert_eq!((questions.len(), question.request.endpoint.as_str()), (2, "near"));
    let held = response(&json!({"result": {"result": br#"["5","700"]"#.to_vec(), "block_height": 9}}));
    let said = executor.read(&Inbound::Response((question.tag.clone(), Some(held)))).unwrap();
    let facts: Vec<_> = said
        .into_iter()
        .map(|one| match one {
            Statement::Fact((name, value)) => format!("{name}={value}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(facts, ["balance/solver.near/near=5", "balance/solver.near/usdc=700"]);
    let short = response(&json!({"result": {"result": br#"["5"]"#.to_vec()}}));
    let said = executor.read(&Inbound::Response((question.tag, Some(short)))).unwrap();
    assert!(matches!(said.as_slice(), [Statement::Unrecognised(_)]));
}

/// The relay knows nothing, the chain says that it can no longer happen.
fn resolved(executor: &mut Executor, command: &executor::ExecuteTrade, action: &executor::Action) {
    let late = 1_795_341_665_123_000_001_u64;
    let hash = "1".repeat(32);
    let header = json!({"height": 9, "hash": hash, "timestamp": late, "timestamp_nanosec": late.to_string()});
    let answers = [
        ("rpc", json!({"error": {"code": -32601}})),
        ("near", json!({"result": {"header": header}})),
        ("near", json!({"result": {"result": b"false".to_vec(), "block_height": 9, "block_hash": hash}})),
        ("near", json!({"result": {"chain_id": "mainnet", "sync_info": {"syncing": false}}})),
    ];
    let mut last = None;
    for (endpoint, answer) in answers {
        let step = executor.resolve(command, action, last.as_ref(), NOW).unwrap();
        let Resolution::Ask(query) = step else { panic!("{step:?}") };
        assert_eq!(query.request.endpoint, endpoint);
        last = Some((query.tag, Some(response(&answer))));
    }
    let end = executor.resolve(command, action, last.as_ref(), NOW).unwrap();
    assert!(matches!(end, Resolution::Final(end) if end.status == FinalStatus::NotExecuted && end.by_chain));
}

fn response(body: &Value) -> HttpResponse {
    HttpResponse { status: 200, body: body.to_string().into_bytes() }
}
