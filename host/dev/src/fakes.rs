//! The fakes of a run's venues, each a program that the venue brings: started, asked for faults, and stopped.
//!
//! The contract is the same for every venue: `BIN --config FILE`, one JSON object as the first line on stdout, faults by
//! `POST` to its control address, a ledger of JSON lines. What else a fake can do only its own venue knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use toml::Table;
use unrip_core::VenueId;
use unrip_testkit::process::{Process, Spec, describe};

use crate::admin;
use crate::config::merge;
use crate::secrets::{self, Secrets};
use unrip_operate::error::Error;
use unrip_operate::venue::{self, Venue};

/// How long a fake may take to its first line: it reads its ledger before.
const FIRST_LINE_WAIT: Duration = Duration::from_secs(60);
/// How long a fake may take to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Lines of its log that are shown when it does not start.
const ERROR_LINES: usize = 20;

/// What every fake is started with, besides its own settings.
#[derive(Debug, Serialize)]
struct FakeConfig<'a> {
    dir: PathBuf,
    venue_dir: &'a Path,
    rate: f64,
    quotes: Option<u64>,
    accounts: &'a [secrets::Account],
    credentials: &'a BTreeMap<String, String>,
    settings: Table,
}

/// What the arguments say to every fake.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Opportunities per second.
    pub rate: f64,
    /// Opportunities of this run, at most.
    pub quotes: Option<u64>,
}

/// A fake's first line.
#[derive(Clone, Debug, Deserialize)]
struct FirstLine {
    endpoints: BTreeMap<String, String>,
    control: String,
    ledger: PathBuf,
}

/// A running fake. Dropping it kills it.
#[derive(Debug)]
pub struct Fake {
    process: Process,
    said: FirstLine,
}

impl Fake {
    /// Starts a venue's fake in `dir/fake-<venue>`, with `over` laid over the settings of its description.
    ///
    /// # Errors
    /// It cannot be run, ends, or says something else than the contract asks for.
    pub async fn start(
        described: &venue::Fake,
        venue: &Venue,
        over: &Table,
        secrets: &Secrets,
        pace: Pace,
        place: &Place<'_>,
    ) -> Result<Self, Error> {
        let name = format!("fake-{}", venue.name);
        let mut settings = described.settings.clone();
        merge(&mut settings, over);
        let config = FakeConfig {
            dir: place.dir.join(&name),
            venue_dir: &std::path::absolute(&venue.dir).map_err(Error::file("cannot tell the venue's folder"))?,
            rate: pace.rate,
            quotes: pace.quotes,
            accounts: &secrets.accounts,
            credentials: &secrets.credentials,
            settings,
        };
        let file = place.dir.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&config).map_err(|error| Error::Software(error.to_string()))?;
        secrets::write_again(&file, &text).map_err(Error::file(format!("cannot write {}", file.display())))?;
        let program = place.bin_dir.join(&described.bin);
        let spec = Spec::new(&name, &program, place.dir.join(format!("logs/{name}.log")))
            .args(["--config".to_owned(), file.display().to_string()])
            .dir(place.dir)
            .stdout(place.dir.join(format!("logs/{name}.stdout")));
        let build = format!("build it with `cargo build -p {}`", described.package);
        let mut process =
            Process::spawn(spec).map_err(|error| Error::Unavailable(format!("the fake venue: {error}; {build}")))?;
        let Some(line) = process.first_line(FIRST_LINE_WAIT).await else {
            let how = process.exited().map_or_else(|| "no first line".to_owned(), describe);
            return Err(Error::Unavailable(format!(
                "{name} did not start ({how}):\n{}",
                process.log_tail(ERROR_LINES)
            )));
        };
        let said = serde_json::from_str(&line)
            .map_err(|error| Error::Unavailable(format!("the first line of {name} is not its addresses: {error}")))?;
        Ok(Self { process, said })
    }

    /// Where it serves each of its endpoints.
    pub fn endpoints(&self) -> &BTreeMap<String, String> {
        &self.said.endpoints
    }

    /// Its own account of what it was sent and what became of it, JSON lines.
    pub fn ledger(&self) -> &Path {
        &self.said.ledger
    }

    /// Asks for a fault, `{"fault":"<name>", …}`; what it says about it.
    ///
    /// # Errors
    /// It has no such fault, its parameters are wrong, or it does not answer.
    pub async fn control(&self, request: &Value) -> Result<Value, Error> {
        let name = self.process.name();
        let answer = admin::post(&self.said.control, &request.to_string()).await;
        match answer.map_err(|reason| Error::Unavailable(format!("{name}: {request}: {reason}")))? {
            (200, body) => Ok(serde_json::from_str(&body).unwrap_or(Value::Null)),
            (status, body) => Err(Error::Unavailable(format!("{name}: {request}: status {status}: {}", body.trim()))),
        }
    }
}

/// Where a fake is started.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The run's directory.
    pub dir: &'a Path,
    /// Where the built programs are.
    pub bin_dir: &'a Path,
}

/// The fakes of a run by venue.
#[derive(Debug, Default)]
pub struct Fakes {
    running: BTreeMap<VenueId, Fake>,
}

impl Fakes {
    /// Keeps a venue's fake.
    pub fn insert(&mut self, venue: &VenueId, fake: Fake) {
        self.running.insert(venue.clone(), fake);
    }

    /// A venue's fake; `None`: others are in its place.
    pub fn of(&self, venue: &VenueId) -> Option<&Fake> {
        self.running.get(venue)
    }

    /// The first one found that ended by itself, and how. It is forgotten then.
    pub fn died(&mut self) -> Option<(String, String)> {
        let dead = self.running.iter_mut().find_map(|(venue, fake)| Some((venue.clone(), fake.process.exited()?)));
        let (venue, exit) = dead?;
        self.running.remove(&venue);
        Some((format!("fake-{venue}"), describe(exit)))
    }

    /// Stops all of them; their ledgers are complete then.
    pub async fn stop(&mut self) {
        for fake in self.running.values_mut() {
            fake.process.stop(STOP_GRACE).await;
        }
        self.running.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn described(bin: &str) -> venue::Fake {
        let text =
            format!("package = \"p\"\nbin = {bin:?}\nendpoints = [\"a\"]\nsettings = {{ deep = {{ a = 1, b = 2 }} }}");
        toml::from_str(&text).unwrap()
    }

    /// A fake in another language, that answers with `first_line` and keeps running.
    async fn start(dir: &Path, first_line: &str) -> Result<Fake, Error> {
        let program = dir.join("a-fake");
        std::fs::create_dir_all(dir.join("logs")).unwrap();
        std::fs::write(&program, format!("#!/bin/sh\necho '{first_line}'\ncat \"$2\" > seen\nexec sleep 1000\n"))
            .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut venue: Venue = toml::from_str("venue = \"a-venue\"\nstreams = []\nevents = []\nroles = {}").unwrap();
        venue.dir = "/venues/a-venue".into();
        let over = toml::from_str("deep = { b = 3 }").unwrap();
        let pace = Pace { rate: 5.0, quotes: Some(7) };
        let place = Place { dir, bin_dir: dir };
        Fake::start(&described("a-fake"), &venue, &over, &Secrets::default(), pace, &place).await
    }

    #[tokio::test]
    async fn any_program_that_keeps_the_contract_is_a_fake() {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let control = format!("http://{}/faults", listener.local_addr().unwrap());
        let line = json!({"endpoints": {"a": "ws://x"}, "control": control, "ledger": "/l", "more": 1}).to_string();
        let fake = start(dir.path(), &line).await.unwrap();
        assert_eq!((fake.endpoints()["a"].as_str(), fake.ledger()), ("ws://x", Path::new("/l")));
        let config: Value =
            serde_json::from_str(&std::fs::read_to_string(dir.path().join("fake-a-venue.json")).unwrap()).unwrap();
        assert_eq!(config["settings"], json!({"deep": {"a": 1, "b": 3}}));
        assert_eq!((&config["rate"], &config["quotes"]), (&json!(5.0), &json!(7)));
        assert_eq!(config["venue_dir"], "/venues/a-venue");

        let answering = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in ["200 OK\r\n\r\n\"q-1\"", "404 Not Found\r\n\r\nno such fault"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 1_024];
                let length = stream.read(&mut request).await.unwrap();
                asked.push(String::from_utf8_lossy(&request[..length]).into_owned());
                stream.write_all(format!("HTTP/1.0 {answer}").as_bytes()).await.unwrap();
            }
            asked
        });
        assert_eq!(fake.control(&json!({"fault": "late"})).await.unwrap(), "q-1");
        let refused = fake.control(&json!({"fault": "x"})).await.unwrap_err().to_string();
        assert!(refused.contains("404") && refused.contains("no such fault"), "{refused}");
        let asked = answering.await.unwrap();
        assert!(asked[0].starts_with("POST /faults ") && asked[0].ends_with("{\"fault\":\"late\"}"), "{asked:?}");
    }

    #[tokio::test]
    async fn a_fake_that_breaks_the_contract_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = start(dir.path(), "ready").await.unwrap_err().to_string();
        assert!(error.contains("first line of fake-a-venue"), "{error}");
        let missing = described("no-such-program");
        let mut venue: Venue = toml::from_str("venue = \"v\"\nstreams = []\nevents = []\nroles = {}").unwrap();
        dir.path().clone_into(&mut venue.dir);
        let place = Place { dir: dir.path(), bin_dir: dir.path() };
        let pace = Pace { rate: 0.0, quotes: None };
        let started = Fake::start(&missing, &venue, &Table::new(), &Secrets::default(), pace, &place).await;
        let error = started.unwrap_err().to_string();
        assert!(error.contains("cargo build -p p"), "{error}");
    }
}
