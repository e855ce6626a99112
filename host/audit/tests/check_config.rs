//! `--check-config` of a service's program, with variables as operators and Kubernetes set them.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail a test by panicking")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

const SECRET: &str = "83517264";

struct Folder {
    _dir: tempfile::TempDir,
    file: PathBuf,
}

fn folder(text: &str) -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.toml");
    std::fs::write(&file, text).unwrap();
    Folder { _dir: dir, file }
}

fn good() -> Folder {
    folder("[service]\nvenue = \"*\"\n[bus]\nbrokers = \"127.0.0.1:1\"\n")
}

fn check(folder: &Folder, env: &[(&str, &OsStr)], more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_unrip-audit"))
        .arg("--config")
        .arg(&folder.file)
        .arg("--check-config")
        .args(more)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap()
}

/// Exit code 64, every part named, no secret shown, and one line.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} in {text}");
    assert!(!text.contains(SECRET) && output.stdout.is_empty(), "{text}");
}

#[test]
fn passwords_of_digits_and_service_links_are_good() {
    let env: Vec<(&str, &OsStr)> = [
        ("UNRIP_BUS__PROPERTIES__SASL.PASSWORD", SECRET),
        ("UNRIP_BUS__PROPERTIES__SASL.USERNAME", "true"),
        ("UNRIP_INGEST_MY_VENUE_SERVICE_HOST", "10.96.0.7"),
        ("UNRIP_INGEST_MY_VENUE_SERVICE_PORT", "80"),
        ("UNRIP_INGEST_MY_VENUE_PORT", "tcp://10.96.0.7:80"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP", "tcp://10.96.0.7:80"),
        ("UNRIP_INGEST_MY_VENUE_PORT_80_TCP_ADDR", "10.96.0.7"),
    ]
    .map(|(name, text)| (name, OsStr::new(text)))
    .to_vec();
    let output = check(&good(), &env, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("audit.toml: good\n"));
}

#[test]
fn what_is_wrong_is_named_and_never_shown() {
    let secret = OsStr::new(SECRET);
    refused(
        &check(&good(), &[("UNRIP_SERVICE_START_TIMEOUT_MS", OsStr::new("4711#abc"))], &[]),
        &["environment variable UNRIP_SERVICE_START_TIMEOUT_MS", "service.start_timeout_ms"],
    );
    refused(&check(&good(), &[("UNRIP_BUS_PORT", secret)], &[]), &["variable UNRIP_BUS_PORT", "unknown field `port`"]);
    let bytes = OsString::from_vec([b"\xff", SECRET.as_bytes()].concat());
    let env = [("UNRIP_BUS__PROPERTIES__SASL.PASSWORD", bytes.as_os_str())];
    refused(&check(&good(), &env, &[]), &["UNRIP_BUS__PROPERTIES__SASL.PASSWORD", "not UTF-8"]);
    let unquoted = format!("[service]\nvenue = \"*\"\n[bus]\nbrokers = \"b:1\"\nproperties = {{ a = {SECRET} }}\n");
    refused(&check(&folder(&unquoted), &[], &[]), &["audit.toml: `bus.properties.a`", "integer, expected a string"]);
    let venue = [("UNRIP_SERVICE_VENUE", OsStr::new("my_venue"))];
    refused(
        &check(&good(), &venue, &[]),
        &["UNRIP_SERVICE_VENUE", "`service.venue`", "its text is not a venue's name: use lower-case letters"],
    );
    let section = "[service]\nvenue = \"*\"\n[bus]\nbrokers = \"b:1\"\n[nonsense]\n";
    refused(&check(&folder(section), &[], &[]), &["`nonsense`: unknown field"]);
    refused(&check(&good(), &[], &["--config", "other.toml"]), &["--config", "cannot be used multiple times"]);
}
