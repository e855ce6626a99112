//! A venue that is stopped, killed and started again in the same directory.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use near_intents_fake::{FakeVenue, FakeVenueConfig, Ledger};
use serde_json::{Value, json};

use crate::client::{ACCOUNT, Client, Offer, PATIENCE, config, current_salt, header, open_quote, post, quote_in, view};

#[tokio::test]
async fn a_restarted_venue_knows_nonces_answers_open_settlements_and_its_chain() {
    let dir = tempfile::tempdir().unwrap();
    let mut patient = config(dir.path());
    patient.settlement.delay_ms = 1_500;
    let venue = FakeVenue::start(patient).unwrap();
    let salt = current_salt(venue.near_url()).await;
    let mut client = Client::connect(venue.ws_url()).await;
    let offer = Offer::new(&salt, &open_quote(&venue, quote_in("1000")).await);
    let still_open = open_quote(&venue, quote_in("1000")).await;
    assert_eq!(client.answer(&offer).await["result"], "OK");
    let block = header(venue.near_url(), json!({"finality": "final"})).await;
    venue.stop();

    // A crash in the middle of a line: it was never answered for.
    let path = dir.path().join("ledger.jsonl");
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":\"20").unwrap();

    // Another block time in the configuration does not move the chain's past.
    let mut other = config(dir.path());
    other.chain.block_ms = 777;
    let venue = FakeVenue::start(other).unwrap();
    assert_eq!(header(venue.near_url(), json!({"block_id": block["height"]})).await, block);
    assert_eq!(current_salt(venue.near_url()).await, salt);
    let mut client = Client::connect(venue.ws_url()).await;
    assert_eq!(client.answer(&offer).await["error"]["message"], "nonce was already used");
    assert_eq!(client.answer(&Offer::new(&salt, &still_open)).await["result"], "OK");

    let ledger = venue.ledger_when(PATIENCE, |ledger| ledger.settled().count() == 2).await.unwrap();
    assert_eq!(ledger.starts(), 2);
    assert_eq!(ledger.duplicates().len(), 1);
    let settled = ledger.settled().filter(|settled| settled.quote_hash == offer.quote_hash()).count();
    assert_eq!(settled, 1);
    venue.stop();
    assert_eq!(Ledger::read(&path).unwrap().settled().count(), 2);
}

#[tokio::test]
async fn two_venues_never_share_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let first = FakeVenue::start(config(dir.path())).unwrap();
    let refused = FakeVenue::start(config(dir.path())).unwrap_err();
    assert!(format!("{refused:#}").contains("another fake relay uses"), "{refused:#}");
    first.stop();
    FakeVenue::start(config(dir.path())).unwrap();
}

#[test]
fn a_key_that_is_none_and_a_ledger_that_is_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = config(dir.path());
    wrong.accounts[0].public_keys.push("ed25519:nope".into());
    let refused = format!("{:#}", FakeVenue::start(wrong).unwrap_err());
    assert!(refused.contains("solver.near: ed25519:nope is no ed25519 key"), "{refused}");
    std::fs::write(dir.path().join("ledger.jsonl"), "no ledger\n").unwrap();
    let refused = format!("{:#}", FakeVenue::start(config(dir.path())).unwrap_err());
    assert!(refused.contains("ledger.jsonl") && refused.contains("line 1"), "{refused}");
}

/// The venue as a process; killed at the end of the test whatever happens.
struct Process {
    child: Child,
    /// Its first line.
    said: Value,
}

impl Process {
    fn start(dir: &Path, config: &FakeVenueConfig) -> Self {
        let file = dir.join("config.json");
        std::fs::write(&file, json!({"dir": dir, "settings": config}).to_string()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_near-intents-fake"));
        let mut child = command.arg("--config").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Self { child, said: serde_json::from_str(&line).unwrap() }
    }

    fn url(&self, name: &str) -> &str {
        self.said["endpoints"][name].as_str().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_a_killed_venue_had_answered_or_told_is_still_true_after_its_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let process = Process::start(dir.path(), &config);
    let salt = current_salt(process.url("near")).await;
    let mut client = Client::connect(process.url("ws")).await;
    let plain = client.subscribe(json!(["quote_status"])).await;
    let control = process.said["control"].as_str().unwrap();
    let (_, quote_id) = post(control, &json!({"fault": "send_quote", "data": quote_in("1000")})).await;
    let offer = Offer::new(&salt, quote_id.as_str().unwrap());
    assert_eq!(client.answer(&offer).await["result"], "OK");
    let told: Value = serde_json::from_str(&client.event().await).unwrap();
    assert_eq!(
        (&told["params"]["subscription"], &told["params"]["data"]["quote_hash"]),
        (&json!(plain), &json!(offer.quote_hash()))
    );
    drop(process);

    let process = Process::start(dir.path(), &config);
    let ledger = Ledger::read(Path::new(process.said["ledger"].as_str().unwrap())).unwrap();
    assert_eq!((ledger.accepted().count(), ledger.settled().count()), (1, 1));
    let nonce = json!({"account_id": ACCOUNT, "nonce": STANDARD.encode(&offer.nonce)});
    assert_eq!(view(process.url("near"), json!({"finality": "optimistic"}), "is_nonce_used", nonce).await.0, true);
}

#[test]
fn a_terminated_process_ends_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), &config(dir.path()));
    let pid = nix::unistd::Pid::from_raw(process.child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(process.child.wait().unwrap().success());
}
