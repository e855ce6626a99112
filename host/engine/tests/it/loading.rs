//! What is not a module of ours is refused, in words that name the file, what is wrong and the cure.

use std::path::{Path, PathBuf};

use serde_json::json;
use unrip_engine::normalizer::Normalizer;
use unrip_engine::reactor::Reactor;
use unrip_engine::{EngineError, FaultKind, Grants, Limits, LoadErrorKind, World};

use crate::fixtures::{component, core_module, engine, grants, module, normalizer};

struct Written {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn written(bytes: &[u8]) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.wasm");
    std::fs::write(&path, bytes).unwrap();
    Written { _dir: dir, path }
}

fn refused(path: &Path) -> LoadErrorKind {
    let error = engine().load(path, None).unwrap_err();
    let named = format!("module {} ", path.display());
    assert!(error.to_string().starts_with(&named) && error.path == path.display().to_string(), "{error}");
    error.kind
}

#[test]
fn a_sound_module_says_what_it_is() {
    let module = module("normalizer");
    assert_eq!(module.world(), World::Normalizer);
    assert_eq!((&*module.description().name, &*module.description().venue), ("fixture/normalize", "fixture"));
    let worker = normalizer(&Limits::default(), json!({"b": 1, "a": {"d": 2, "c": 3}})).unwrap();
    let made = worker.module_ref();
    assert_eq!((&*made.name, &*made.version, &*made.wit), ("fixture/normalize", "1.2.3", "unrip:normalizer@0.1.0"));
    let bytes = std::fs::read(component("normalizer")).unwrap();
    assert_eq!(made.digest, format!("sha256:{}", unrip_core::id::sha256_hex(&bytes)));
    let canonical = unrip_core::id::sha256_hex(br#"{"a":{"c":3,"d":2},"b":1}"#);
    assert_eq!(made.config_digest, format!("sha256:{canonical}"));
}

#[test]
fn what_is_not_webassembly_is_refused() {
    for (bytes, reason) in [
        (&b""[..], "empty"),
        (b"hello", "does not begin with"),
        (b"\0asm\x0d", "ends after"),
        (b"(component)", "text"),
        (b"\x7fELF....", "ELF"),
    ] {
        let file = written(bytes);
        let error = refused(&file.path);
        assert!(matches!(&error, LoadErrorKind::NotWasm { reason: found, .. } if found.contains(reason)), "{error}");
    }
    assert!(matches!(refused(Path::new("/nowhere/module.wasm")), LoadErrorKind::Read { .. }));
    assert!(matches!(refused(Path::new("/tmp")), LoadErrorKind::Read { .. }), "a folder is no module");
}

#[test]
fn a_truncated_or_damaged_component_is_refused() {
    let bytes = std::fs::read(component("normalizer")).unwrap();
    for length in [8, 9, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let file = written(&bytes[..length]);
        let error = refused(&file.path);
        // Eight bytes are a whole component that holds nothing.
        assert!(
            matches!(
                error,
                LoadErrorKind::Invalid { .. } | LoadErrorKind::NoWorld { .. } | LoadErrorKind::Shape { .. }
            ),
            "{length}: {error}"
        );
    }
}

#[test]
fn a_core_module_is_told_to_become_a_component() {
    let error = refused(&core_module("normalizer"));
    assert!(matches!(error, LoadErrorKind::CoreModule), "{error}");
    assert!(error.to_string().contains("component"));
}

#[test]
fn another_digest_than_the_approved_one_is_refused() {
    let path = component("normalizer");
    let digest = unrip_core::id::sha256_hex(&std::fs::read(&path).unwrap());
    engine().load(&path, Some(&digest)).unwrap();
    engine().load(&path, Some(&format!("sha256:{digest}"))).unwrap();
    let other = format!("sha256:{}", "0".repeat(64));
    let error = engine().load(&path, Some(&other)).unwrap_err().kind;
    assert!(matches!(&error, LoadErrorKind::Digest { found, .. } if found.contains(&digest)), "{error}");
}

#[test]
fn a_component_of_no_world_or_another_world_is_refused() {
    let error = refused(&component("elsewhere"));
    assert!(
        matches!(&error, LoadErrorKind::NoWorld { found, .. } if found.contains("fixture:elsewhere/greet")),
        "{error}"
    );
    let error =
        Reactor::new(engine(), &module("normalizer"), &Limits::default(), &grants(), &json!({})).err().unwrap().kind;
    assert!(
        matches!(error, LoadErrorKind::WrongWorld { found: World::Normalizer, expected: World::Reactor, .. }),
        "{error}"
    );
}

#[test]
fn an_import_that_is_never_granted_is_refused_before_anything_runs() {
    let error = refused(&component("secrets"));
    assert!(
        matches!(&error, LoadErrorKind::Import { imports, .. } if imports.contains("fixture:secrets/keys")),
        "{error}"
    );
    let error = refused(&component("wasi"));
    assert!(
        matches!(&error, LoadErrorKind::Import { imports, .. } if imports.contains("wasi:random/random@0.2.6")),
        "{error}"
    );
    assert!(error.to_string().contains("wasm32-unknown-unknown"), "{error}");
}

#[test]
fn a_description_that_contradicts_the_exports_is_refused() {
    let mut bytes = std::fs::read(component("normalizer")).unwrap();
    let (says, lies) = (b"unrip:normalizer@0.1.0", b"unrip:normalizer@0.7.0");
    let places: Vec<usize> = (0..bytes.len() - says.len()).filter(|&at| bytes[at..].starts_with(says)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + lies.len()].copy_from_slice(lies);
    }
    let error = refused(&written(&bytes).path);
    assert!(matches!(&error, LoadErrorKind::Description { reason, .. } if reason.contains("0.7.0")), "{error}");
}

#[test]
fn a_capability_without_a_grant_is_refused_by_name_and_key() {
    let without = Grants { credential: vec!["other".into()], ..grants() };
    let error =
        Normalizer::new(engine(), &module("normalizer"), &Limits::default(), &without, &json!({})).err().unwrap().kind;
    let LoadErrorKind::NotGranted { capability, key, .. } = &error else { panic!("{error}") };
    assert_eq!((&**capability, &**key), ("credential slot `token`", "module.grants.credential"));
    let stateless = Grants { state: false, ..grants() };
    let error =
        Reactor::new(engine(), &module("reactor"), &Limits::default(), &stateless, &json!({})).err().unwrap().kind;
    assert!(matches!(&error, LoadErrorKind::NotGranted { key, .. } if key == "module.grants.state"), "{error}");
}

#[test]
fn a_configuration_that_the_module_refuses_is_told_in_its_words() {
    let error = normalizer(&Limits::default(), json!({"refuse": true})).err().unwrap().kind;
    assert!(
        matches!(&error, LoadErrorKind::Configuration { reason, .. } if reason == "price: must be above zero"),
        "{error}"
    );
    let error = normalizer(&Limits::default(), json!({"trap": true})).err().unwrap().kind;
    let LoadErrorKind::Failed { call: "configure", fault, .. } = &error else { panic!("{error}") };
    assert_eq!(fault.kind, FaultKind::Trap);
    let error = normalizer(&Limits::default(), json!("not an object")).err().unwrap().kind;
    assert!(matches!(error, LoadErrorKind::Configuration { .. }), "{error}");
}

#[test]
fn limits_under_which_nothing_runs_are_refused() {
    for (wrong, key) in [
        (Limits { memory_bytes_max: 0, ..Limits::default() }, "memory_bytes_max"),
        (Limits { call_ms_max: 0, ..Limits::default() }, "call_ms_max"),
        (Limits { stack_bytes_max: 1, ..Limits::default() }, "stack_bytes_max"),
        (Limits { events_per_record_max: 0, ..Limits::default() }, "events_per_record_max"),
        (Limits { effects_per_event_max: 65_537, ..Limits::default() }, "effects_per_event_max"),
        (Limits { stack_bytes_max: 128 * 1024, ..Limits::default() }, "stack_bytes_max"),
    ] {
        let error = normalizer(&wrong, json!({})).err().unwrap().kind;
        assert!(
            matches!(&error, LoadErrorKind::Limits(EngineError::Limits { key: found, .. }) if found.ends_with(key)),
            "{error}"
        );
    }
    let error = normalizer(&Limits { memory_bytes_max: 65_536, ..Limits::default() }, json!({})).err().unwrap().kind;
    assert!(matches!(&error, LoadErrorKind::Failed { fault, .. } if fault.kind == FaultKind::Memory), "{error}");
}
