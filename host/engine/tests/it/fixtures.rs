//! Builds the fixture components once per test process, and makes engines and workers of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use unrip_core::Timestamp;
use unrip_engine::normalizer::{Normalizer, RawInput};
use unrip_engine::{Engine, EngineConfig, Grants, Limits, LoadError, Module};

/// The fixtures' core modules as cargo builds them, and the components made of them, by name.
struct Built {
    dir: PathBuf,
    components: tempfile::TempDir,
}

static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/Cargo.toml");
    // This program is <target>/<profile>/deps/it-<hash>: the fixtures share the target folder and its compiled dependencies.
    let program = std::env::current_exe().unwrap();
    let target = program.ancestors().nth(3).unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--release", "--examples", "--target", "wasm32-unknown-unknown"])
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status()
        .unwrap();
    assert!(status.success(), "the fixtures do not build");
    Built { dir: target.join("wasm32-unknown-unknown/release/examples"), components: tempfile::tempdir().unwrap() }
});

/// The core module of a fixture.
pub(crate) fn core_module(name: &str) -> PathBuf {
    BUILT.dir.join(format!("{name}.wasm"))
}

/// A fixture as a component.
pub(crate) fn component(name: &str) -> PathBuf {
    static MADE: OnceLock<HashMap<&str, PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        ["normalizer", "reactor", "ingestor", "executor", "secrets", "wasi", "elsewhere"]
            .into_iter()
            .map(|name| (name, make_component(name)))
            .collect()
    });
    made[name].clone()
}

fn make_component(name: &str) -> PathBuf {
    let core = std::fs::read(core_module(name)).unwrap();
    let mut encoder = wit_component::ComponentEncoder::default();
    let encoder = encoder.validate(true).module(&core).unwrap();
    let path = BUILT.components.path().join(format!("{name}.wasm"));
    std::fs::write(&path, encoder.encode().unwrap()).unwrap();
    path
}

/// An engine for all tests that need nothing special.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(EngineConfig::default()).unwrap());
    &ENGINE
}

/// A fixture, loaded once.
pub(crate) fn module(name: &'static str) -> Module {
    static MODULES: LazyLock<std::sync::Mutex<HashMap<&str, Module>>> = LazyLock::new(Default::default);
    let mut modules = MODULES.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    modules.entry(name).or_insert_with(|| engine().load(&component(name), None).unwrap()).clone()
}

/// Everything that the fixtures say they need.
pub(crate) fn grants() -> Grants {
    let list = |name: &str| vec![name.to_owned()];
    Grants { websocket: list("ws"), http: list("rpc"), credential: list("token"), signing: list("plain"), state: true }
}

pub(crate) fn normalizer(limits: &Limits, config: serde_json::Value) -> Result<Normalizer, LoadError> {
    Normalizer::new(engine(), &module("normalizer"), limits, &grants(), &config)
}

/// A raw record of these bytes.
pub(crate) fn raw(bytes: &str) -> RawInput {
    RawInput {
        stream: "things".into(),
        key: "k".into(),
        connection_id: "c".into(),
        frame_seq: 0,
        reset: false,
        observed_at: Timestamp::from_micros(1_000_000),
        raw: bytes.as_bytes().to_vec(),
    }
}
