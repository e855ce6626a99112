//! Apache Kafka as one KRaft node, from jars that Maven fetches by the pinned `pom.xml`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::secured::{self, Secured};
use super::{BrokerChoice, Ports, Progress, cache, ready};
use crate::process::{Process, Spec};

/// The version in `pom.xml`.
pub(super) const VERSION: &str = "4.1.0";
/// Its folder in the cache.
pub(super) const NAME: &str = "kafka-4.1.0";
const POM: &str = include_str!("../../broker/kafka/pom.xml");
/// Pinned as the jars are.
const DEPENDENCY_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// A small heap, the collector without threads, and only the quick compiler: a start takes seconds, not throughput.
const JVM: &[&str] = &["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"];
/// The data directory, the one that each begins as a copy of, and the settings: names below a working directory.
const DATA: &str = "data";
const FORMAT: &str = "format";
const SETTINGS: &str = "server.properties";
/// Java reads names of files by the locale: in the plain C locale it cannot open those with other letters.
const LOCALE: (&str, &str) = ("LC_ALL", "C.UTF-8");
const LOG_LEVEL: &str = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn";
/// How long the broker that leaves the class archive may take to end, in seconds.
const ARCHIVE_WAIT_S_MAX: u64 = 60;

pub(super) struct Kafka {
    place: PathBuf,
    secured: bool,
    progress: Progress,
}

impl Kafka {
    pub(super) fn install(choice: &BrokerChoice) -> anyhow::Result<Self> {
        let place = cache::ensure(choice, NAME, fill, |place, progress| {
            // Only speed depends on it, so a failure is reported and ends nothing.
            if let Err(error) = archive_classes(place) {
                progress(&format!("kafka: no class archive, starts take longer: {error:#}"));
            }
            Ok(())
        })?;
        Ok(Self { place, secured: choice.secured, progress: cache::progress(choice) })
    }

    pub(super) fn spec(&self, dir: &Path, ports: Ports, log: &Path) -> anyhow::Result<Spec> {
        let archive = archive(&self.place);
        let sharing = archive.is_file().then(|| format!("-XX:SharedArchiveFile={}", archive.display()));
        if self.secured {
            secured::make_stores(dir, &self.progress)?;
            self.format_with_user(dir, ports)?;
        }
        let more = self.secured.then(|| secured::properties(ports));
        server(&self.place, dir, ports, log, sharing, more)
    }

    /// How clients reach the secured listeners.
    pub(super) fn secured(&self, dir: &Path, ports: Ports) -> Option<Secured> {
        self.secured.then(|| Secured {
            tls: format!("127.0.0.1:{}", ports.tls),
            sasl_tls: format!("127.0.0.1:{}", ports.sasl_tls),
            ca_file: secured::ca_file(dir),
        })
    }

    /// Users are made with the data directory, so it cannot be the copy that other brokers begin with.
    fn format_with_user(&self, dir: &Path, ports: Ports) -> anyhow::Result<()> {
        if dir.join(DATA).is_dir() {
            return Ok(());
        }
        let user = secured::scram_argument();
        format_data(&self.place, dir, DATA, ports, &["--add-scram", &user], &self.progress)
    }
}

/// The server with its settings; a new data directory gets its format.
fn server(
    place: &Path,
    dir: &Path,
    ports: Ports,
    log: &Path,
    option: Option<String>,
    more: Option<String>,
) -> anyhow::Result<Spec> {
    let data = dir.join(DATA);
    if !data.is_dir() {
        let half = dir.join("data.half");
        fs::create_dir_all(&half)?;
        for file in fs::read_dir(format_of(place))? {
            let file = file?;
            fs::copy(file.path(), half.join(file.file_name()))?;
        }
        fs::rename(half, &data)?;
    }
    let settings = dir.join(SETTINGS);
    fs::write(&settings, properties(DATA, ports) + &more.unwrap_or_default())?;
    let spec = Spec::new("kafka", "java", log).args(java(place)?).args(option);
    let mut spec = spec.args(["kafka.Kafka", SETTINGS].map(str::to_owned)).dir(dir);
    spec.envs.insert(LOCALE.0.to_owned(), LOCALE.1.to_owned());
    Ok(spec)
}

fn fill(half: &Path, progress: &Progress) -> anyhow::Result<()> {
    progress(&format!("kafka: fetching Apache Kafka {VERSION} with Maven (about 43 MB, once)"));
    fs::write(half.join("pom.xml"), POM)?;
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-q", "-f"]).arg(half.join("pom.xml")).arg(DEPENDENCY_PLUGIN);
    maven.arg(format!("-DoutputDirectory={}", libraries(half).display())).current_dir(half);
    cache::run(maven, "mvn", progress)?;
    // Formatting is a start of Java too: done once, each broker's data directory starts as a copy.
    let ports = Ports { clients: 1, controller: 2, tls: 3, sasl_tls: 4 };
    format_data(half, half, FORMAT, ports, &[], progress)
}

/// Formats `dir/data`.
fn format_data(
    place: &Path,
    dir: &Path,
    data: &str,
    ports: Ports,
    more: &[&str],
    progress: &Progress,
) -> anyhow::Result<()> {
    let settings = "format.properties";
    fs::write(dir.join(settings), properties(data, ports))?;
    let mut id = [0; 16];
    getrandom::fill(&mut id)?;
    let mut format = Command::new("java");
    format
        .args(java(place)?)
        .args(["kafka.tools.StorageTool", "format", "-t", &URL_SAFE_NO_PAD.encode(id), "-c", settings])
        .args(more)
        .env(LOCALE.0, LOCALE.1)
        .current_dir(dir);
    cache::run(format, "kafka.tools.StorageTool", progress)
}

/// Runs a broker once that leaves an archive of its loaded classes; later starts take half the time.
fn archive_classes(place: &Path) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let ports = ready::free_ports()?;
    let half = place.join("classes.half");
    let leave = format!("-XX:ArchiveClassesAtExit={}", half.display());
    let log = dir.path().join("broker.log");
    let mut process = Process::spawn(server(place, dir.path(), ports, &log, Some(leave), None)?)?;
    let ready = ready::wait_until_ready(&mut process, ports.clients);
    ready::end(&mut process, Duration::from_secs(ARCHIVE_WAIT_S_MAX));
    ready?;
    fs::rename(half, archive(place)).context("no archive was left")
}

/// The arguments of every start of Java.
fn java(place: &Path) -> anyhow::Result<Vec<String>> {
    let files = fs::read_dir(libraries(place))?;
    let mut jars: Vec<_> = files.map(|file| Ok(file?.path().display().to_string())).collect::<anyhow::Result<_>>()?;
    // The archive holds for one class path only, so its order must not depend on the directory.
    jars.sort();
    let options = JVM.iter().chain(&[LOG_LEVEL, "-cp"]).map(|option| (*option).to_owned());
    Ok(options.chain([jars.join(":")]).collect())
}

fn libraries(place: &Path) -> PathBuf {
    place.join("lib")
}

fn format_of(place: &Path) -> PathBuf {
    place.join(FORMAT)
}

fn archive(place: &Path) -> PathBuf {
    place.join("classes.jsa")
}

/// `data` is relative to the working directory: Kafka splits `log.dirs` at commas, its files know backslashes as
/// escapes and no letters beyond Latin-1, and the workspace may lie below a folder with any of these in its name.
///
/// One node that answers quickly: few partitions of its own topics, no waiting for further group members, and sessions
/// may be shorter than the usual minimum. Topics are never made by themselves.
fn properties(data: &str, ports: Ports) -> String {
    let Ports { clients, controller, .. } = ports;
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{clients},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{clients}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         num.partitions=1\n\
         default.replication.factor=1\n\
         min.insync.replicas=1\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         broker.session.timeout.ms=3000\n\
         broker.heartbeat.interval.ms=500\n\
         num.network.threads=2\n\
         num.io.threads=4\n\
         log.cleaner.dedupe.buffer.size=16777216\n\
         log.index.size.max.bytes=1048576\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_this_version() {
        assert!(POM.contains(&format!("<version>{VERSION}</version>")));
        assert!(NAME.ends_with(VERSION));
    }

    #[test]
    fn starts_below_folders_with_names_that_its_settings_cannot_hold() {
        let java_is_here = Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success());
        if !java_is_here {
            return;
        }
        for name in ["größe, zwei", "back\\slash", "a = b # c: 日本"] {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join(name);
            let choice = BrokerChoice { own: true, kind: Some(super::super::Kind::Kafka), ..BrokerChoice::default() };
            let broker = super::super::Broker::start(choice, &place).unwrap_or_else(|e| panic!("{name}: {e:#}"));
            assert!(place.join(DATA).is_dir(), "{}", broker.describe());
        }
    }
}
