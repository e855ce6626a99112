//! Everything that runs: broker, topics, fake venue, services. Dropping it ends all of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use near_intents_fake::FakeVenue;
use tokio::time::{Instant, sleep};
use unrip_bus::BusConfig;
use unrip_core::topic::{self, TopicSpec};
use unrip_testkit::broker::{Broker, BrokerChoice, Kind};
use unrip_testkit::process::{Process, Spec, Stopped, describe};

use super::config::{self, AUDIT, Wiring, role_of};
use super::{admin, build, fake};
use crate::args::{BrokerKind, DevArgs};
use crate::workspace::Workspace;
use unrip_operate::error::Error;
use unrip_operate::say::Say;
use unrip_operate::topics;
use unrip_operate::venue::Venue;

/// The services in the order of their start: who listens starts before who speaks. They are stopped the other way round.
pub const START_ORDER: [&str; 5] = [AUDIT, "execute", "react", "normalize", "ingest"];
/// The service that everything begins with.
const SPEAKS_FIRST: &str = "ingest";
/// How long a service may take to stop before it is killed.
pub const STOP_GRACE: Duration = Duration::from_secs(15);
/// How long all services together may take to be ready before the run goes on without waiting.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How often they are asked.
const READY_EVERY: Duration = Duration::from_millis(50);
/// How long the broker may take to stop before it is killed.
const BROKER_GRACE: Duration = Duration::from_secs(10);

/// A running system.
pub struct Stack {
    /// Configuration, secrets, state and logs.
    pub dir: PathBuf,
    /// The venue.
    pub venue: Venue,
    /// How to reach the bus.
    pub bus: BusConfig,
    /// Every topic of the run.
    pub topics: Vec<TopicSpec>,
    /// Which broker and why.
    pub broker_line: String,
    /// The fake venue, unless others stand in its place.
    pub fake: Option<FakeVenue>,
    /// The broker, if it was started here; whoever ends and starts it takes it out meanwhile.
    pub broker: Option<Broker>,
    services: BTreeMap<String, Process>,
    configs: BTreeMap<String, PathBuf>,
    bin_dir: PathBuf,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

/// What a run has besides what its arguments say.
#[derive(Debug)]
pub struct Shape {
    /// The venue to run.
    pub venue: Venue,
    /// How many processes of a role run, where it is not one.
    pub copies: BTreeMap<String, u32>,
    /// Whether the broker must be this run's own, because it will be ended.
    pub own_broker: bool,
}

impl Stack {
    /// Builds, starts the broker, makes the topics, starts the fake venue and writes the configurations; no service yet.
    ///
    /// # Errors
    /// Something is missing or wrong; the error says what.
    pub async fn prepare(args: &DevArgs, say: &Say) -> Result<Self, Error> {
        let workspace = Workspace::find()?;
        let venue = Venue::choose(&workspace.root, args.venue.as_deref())?;
        let copies = BTreeMap::from([("execute".to_owned(), args.executors)]);
        Self::prepare_shape(args, Shape { venue, copies, own_broker: false }, say).await
    }

    /// As [`Stack::prepare`], of another shape.
    ///
    /// # Errors
    /// Something is missing or wrong; the error says what.
    pub async fn prepare_shape(args: &DevArgs, shape: Shape, say: &Say) -> Result<Self, Error> {
        let workspace = Workspace::find()?;
        let Shape { venue, copies, own_broker } = shape;
        let dir = make_dir(args.dir.as_deref(), &workspace)?;
        say.progress(&format!("files of this run: {}", dir.display()));
        let components = match args.no_build {
            true => build::last_built(&workspace, &venue)?,
            false => build::everything(&workspace, &venue, &dir, say).await?,
        };
        let broker = start_broker(args, &dir, own_broker, say).await?;
        let bus = broker.bus();
        let broker_line = broker.describe().to_owned();
        say.progress(&broker_line);
        let topics = topics::ensure(&bus, std::slice::from_ref(&venue), args.partitions, say).await?;
        topics::activate(&bus, say).await?;
        let (fake, endpoints) = fake::start(args, &venue, &dir)?;
        for (name, url) in &endpoints {
            say.progress(&format!("{}.{name} is {url}", venue.name));
        }
        let wiring = Wiring {
            brokers: bus.brokers.clone(),
            bus_properties: bus.properties.clone(),
            components,
            module_cache: workspace.module_cache(),
            endpoints,
            copies,
            set: args.set.clone(),
        };
        let configs = write_configs(&venue, &wiring, &dir)?;
        let bin_dir = workspace.bin_dir;
        let services = BTreeMap::new();
        Ok(Self { dir, venue, bus, topics, broker_line, fake, services, configs, bin_dir, broker: Some(broker) })
    }

    /// Starts a service, again if it has run before.
    ///
    /// # Errors
    /// Its program cannot be run.
    pub fn start(&mut self, name: &str) -> Result<(), Error> {
        self.start_with(name, BTreeMap::new())
    }

    /// As [`Stack::start`], with variables of its environment.
    ///
    /// # Errors
    /// Its program cannot be run.
    pub fn start_with(&mut self, name: &str, envs: BTreeMap<String, String>) -> Result<(), Error> {
        let config = self.configs.get(name).ok_or_else(|| Error::Software(format!("no configuration of {name}")))?;
        // What an earlier process wrote would be taken for the new one's address.
        std::fs::remove_file(self.admin_file(name)).ok();
        let mut spec = Spec::new(name, self.program(role_of(name)), self.log(name))
            .args(["--config".to_owned(), config.display().to_string()])
            .dir(&self.dir);
        spec.envs = envs;
        let process = Process::spawn(spec).map_err(|error| Error::Unavailable(error.to_string()))?;
        self.services.insert(name.to_owned(), process);
        Ok(())
    }

    /// Starts all services and waits until they are ready, or for a minute.
    ///
    /// # Errors
    /// A program cannot be run, or one ended while it started.
    pub async fn start_all(&mut self, say: &Say) -> Result<(), Error> {
        // Who brings quotes in comes last: answers that are late at start would only expire.
        let (first, last): (Vec<String>, Vec<String>) = self.roles().into_iter().partition(|name| name != SPEAKS_FIRST);
        for role in first {
            self.start(&role)?;
        }
        let mut lacking = self.wait_ready(READY_WAIT).await?;
        for role in last {
            self.start(&role)?;
        }
        lacking.extend(self.wait_ready(READY_WAIT).await?);
        for (role, reason) in lacking {
            say.progress(&format!("unrip-{role} is not ready yet: {reason}"));
        }
        Ok(())
    }

    /// Waits until every running service is ready; what still lacks after `wait`.
    ///
    /// # Errors
    /// One ended.
    pub async fn wait_ready(&mut self, wait: Duration) -> Result<BTreeMap<String, String>, Error> {
        let until = Instant::now() + wait;
        loop {
            if let Some((role, how)) = self.died() {
                let said = self.log_tail(&role, 5);
                return Err(Error::Unavailable(format!("unrip-{role} ended while it started ({how}):\n{said}")));
            }
            let mut lacking = BTreeMap::new();
            for role in self.services.keys() {
                if let Err(reason) = admin::ready(&self.admin_file(role)).await {
                    lacking.insert(role.clone(), reason);
                }
            }
            if lacking.is_empty() || Instant::now() >= until {
                return Ok(lacking);
            }
            sleep(READY_EVERY).await;
        }
    }

    /// The first service found that ended by itself, and how. It is forgotten then.
    pub fn died(&mut self) -> Option<(String, String)> {
        let dead = self.services.iter_mut().find_map(|(role, process)| Some((role.clone(), process.exited()?)));
        let (role, exit) = dead?;
        self.services.remove(&role);
        Some((role, describe(exit)))
    }

    /// A service's process, while it is kept here.
    pub fn process(&mut self, name: &str) -> Option<&mut Process> {
        self.services.get_mut(name)
    }

    /// Forgets a service that has ended.
    pub fn forget(&mut self, name: &str) {
        self.services.remove(name);
    }

    /// The program of a role.
    pub fn program(&self, role: &str) -> PathBuf {
        self.bin_dir.join(format!("unrip-{role}"))
    }

    /// The processes of a role.
    pub fn names_of(&self, role: &str) -> Vec<String> {
        self.configs.keys().filter(|name| role_of(name) == role).cloned().collect()
    }

    /// Asks a service to stop, and kills it if it does not. How it ended; `None` if it does not run.
    pub async fn stop(&mut self, role: &str, grace: Duration) -> Option<String> {
        let mut process = self.services.remove(role)?;
        Some(match process.stop(grace).await {
            Stopped::Exited(exit) => describe(exit),
            Stopped::Killed => format!("killed after {} s", grace.as_secs()),
        })
    }

    /// `kill -9`. How it ended; `None` if it does not run.
    pub fn kill(&mut self, role: &str) -> Option<String> {
        let mut process = self.services.remove(role)?;
        process.kill();
        process.exited().map(describe)
    }

    /// Ends the broker and the fake venue.
    pub fn stop_rest(&mut self, say: &Say) {
        if let Some(fake) = self.fake.take() {
            fake.stop();
        }
        if let Some(mut broker) = self.broker.take()
            && broker.pid().is_some()
            && let Err(error) = broker.stop(BROKER_GRACE)
        {
            say.progress(&format!("the broker did not stop well: {error:#}"));
        }
    }

    /// The services of this run in the order of their start.
    pub fn roles(&self) -> Vec<String> {
        START_ORDER.iter().flat_map(|role| self.names_of(role)).collect()
    }

    /// Where a service writes the address of its admin endpoint.
    pub fn admin_file(&self, role: &str) -> PathBuf {
        self.dir.join(format!("{role}.admin"))
    }

    /// A service's configuration file.
    pub fn config_file(&self, role: &str) -> PathBuf {
        self.dir.join(format!("{role}.toml"))
    }

    /// A service's process id, while it runs.
    pub fn pid(&self, role: &str) -> Option<u32> {
        self.services.get(role).map(Process::pid)
    }

    /// The last lines that a service logged.
    pub fn log_tail(&self, role: &str, lines: usize) -> String {
        unrip_testkit::process::tail(&self.log(role), lines)
    }

    /// The topic and group of what a role reads, for those whose offsets tell how far they are.
    pub fn groups(&self) -> Vec<(String, String)> {
        let venue = &self.venue.name;
        let raw = self.venue.streams.iter().map(|stream| (topic::group("normalize", venue), topic::raw(venue, stream)));
        let strategy = self.strategy();
        let norm = self.venue.events.iter().map(|event| (topic::strategy_group(venue, strategy), topic::norm(event)));
        raw.chain(norm).collect()
    }

    /// The strategy's name, as its module is configured: it is part of its group's name.
    fn strategy(&self) -> &str {
        let settings = self.venue.roles.get("react").map(|role| &role.settings);
        let module = settings.and_then(|settings| settings.get("module")?.get("config")?.get("strategy")?.as_str());
        module.unwrap_or_default()
    }

    fn log(&self, role: &str) -> PathBuf {
        self.dir.join(format!("logs/{role}.log"))
    }
}

/// The directory of a run, made: the one that was asked for, or a new one.
///
/// # Errors
/// It cannot be made.
pub fn make_dir(asked: Option<&Path>, workspace: &Workspace) -> Result<PathBuf, Error> {
    let dir = asked.map_or_else(|| workspace.runs_dir().join(fresh_name()), Path::to_owned);
    let make = |dir: &Path| {
        std::fs::create_dir_all(dir.join("logs"))?;
        std::path::absolute(dir)
    };
    make(&dir).map_err(Error::file(format!("cannot make {}", dir.display())))
}

/// Sorts by time; the process id keeps two runs of one second apart.
fn fresh_name() -> String {
    use unrip_service::Clock;
    let now = unrip_service::SystemClock.now().to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{digits}-{}", std::process::id())
}

fn write_configs(venue: &Venue, wiring: &Wiring, dir: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let configs = config::services(venue, wiring)?;
    configs.iter().map(|(role, config)| Ok((role.clone(), config::write(dir, role, config)?))).collect()
}

/// Starting may take minutes (the first time it is fetched or built), so it has a thread and Ctrl-C is heard meanwhile.
async fn start_broker(args: &DevArgs, dir: &Path, own: bool, say: &Say) -> Result<Broker, Error> {
    let progress = say.clone();
    let choice = BrokerChoice {
        brokers: args.brokers.clone(),
        own,
        kind: args.broker.map(|kind| match kind {
            BrokerKind::Kafka => Kind::Kafka,
            BrokerKind::Nisshi => Kind::Nisshi,
        }),
        progress: Some(std::sync::Arc::new(move |line: &str| progress.progress(line))),
        ..BrokerChoice::default()
    };
    let place = dir.join("broker");
    let started = tokio::task::spawn_blocking(move || Broker::start(choice, &place)).await;
    started
        .map_err(|error| Error::Software(format!("starting the broker: {error}")))?
        .map_err(|error| Error::Unavailable(format!("no broker: {error:#}")))
}
