//! Everything that runs: a broker with its topics, the venues' fakes, the services. Dropping it ends all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Table;
use unrip_bus::BusConfig;
use unrip_core::topic::{self, TopicSpec};

use crate::args::{DevArgs, EndpointArg};
use crate::broker::RunBroker;
use crate::build;
use crate::config::{self, Planned, Wiring, endpoints_needed};
use crate::fakes::{Fake, Fakes, Pace, Place};
use crate::secrets;
use crate::services::Services;
use crate::workspace::Workspace;
use unrip_operate::error::Error;
use unrip_operate::say::Say;
use unrip_operate::topics;
use unrip_operate::venue::Venue;

/// A running system.
pub struct Stack {
    /// Configuration, secrets, state and logs.
    pub dir: PathBuf,
    pub venues: Vec<Venue>,
    /// How to reach the bus.
    pub bus: BusConfig,
    /// Every topic of the run.
    pub topics: Vec<TopicSpec>,
    pub broker: RunBroker,
    /// The venues' fakes.
    pub fakes: Fakes,
    pub services: Services,
}

impl std::fmt::Debug for Stack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

/// What a run has besides what its arguments say.
#[derive(Debug)]
pub struct Shape {
    /// The venues to run.
    pub venues: Vec<Venue>,
    /// How many processes of a role run for each venue, where it is not one.
    pub copies: BTreeMap<String, u32>,
    /// Whether the broker must be this run's own, because it will be ended.
    pub own_broker: bool,
}

impl Stack {
    /// Builds, starts the broker, makes the topics, starts the fakes and writes the configurations; no service yet.
    ///
    /// # Errors
    /// Something is missing or wrong; the error says what.
    pub async fn prepare(args: &DevArgs, say: &Say) -> Result<Self, Error> {
        let workspace = Workspace::find()?;
        let venues = chosen(args, Venue::several(&workspace.root, &args.venues)?, say)?;
        let copies = BTreeMap::from([("execute".to_owned(), args.executors)]);
        Self::prepare_shape(args, Shape { venues, copies, own_broker: false }, say).await
    }

    /// As [`Stack::prepare`], of another shape.
    ///
    /// # Errors
    /// Something is missing or wrong; the error says what.
    pub async fn prepare_shape(args: &DevArgs, shape: Shape, say: &Say) -> Result<Self, Error> {
        let workspace = Workspace::find()?;
        let Shape { venues, copies, own_broker } = shape;
        check_endpoints(&args.endpoints, &venues)?;
        let dir = make_dir(args.dir.as_deref(), &workspace)?;
        say.progress(&format!("files of this run: {}", dir.display()));
        let components = match args.no_build {
            true => build::last_built(&workspace, &venues)?,
            false => build::everything(&workspace, &venues, &dir, say).await?,
        };
        let broker = RunBroker::start(args, &dir, own_broker, say).await?;
        let bus = broker.bus()?;
        say.progress(broker.describe());
        let topics = topics::ensure(&bus, &venues, args.partitions, say).await?;
        topics::activate(&bus, say).await?;
        let place = Place { dir: &dir, bin_dir: &workspace.bin_dir };
        let (mut fakes, mut planned) = (Fakes::default(), Vec::new());
        for (venue, components) in venues.iter().zip(components) {
            let endpoints = connect(args, venue, &mut fakes, &place, say).await?;
            planned.push(Planned { venue, components, endpoints });
        }
        let wiring = Wiring {
            brokers: bus.brokers.clone(),
            bus_properties: bus.properties.clone(),
            module_cache: workspace.module_cache(),
            copies,
            set: args.set.clone(),
        };
        let configs = write_configs(&planned, &wiring, &dir)?;
        let services = Services::new(configs, &dir, &workspace.bin_dir);
        Ok(Self { dir, venues, bus, topics, broker, fakes, services })
    }

    /// The first service or fake found that ended by itself, and how. It is forgotten then.
    pub fn died(&mut self) -> Option<(String, String)> {
        self.services.died().or_else(|| self.fakes.died())
    }

    /// The topic and group of what a role reads, for those whose offsets tell how far they are.
    pub fn groups(&self) -> Vec<(String, String)> {
        let of_venue = |venue: &Venue| {
            let name = venue.name.clone();
            let reads = |role: &str| venue.roles.contains_key(role);
            let streams = venue.streams.iter().filter(|_| reads("normalize"));
            let raw = streams.map(|stream| (topic::group("normalize", name.as_str()), topic::raw(&name, stream)));
            let events = venue.events.iter().filter(|_| reads("react"));
            let group = topic::strategy_group(&name, strategy(venue));
            let norm = events.map(|event| (group.clone(), topic::norm(event)));
            raw.chain(norm).collect::<Vec<_>>()
        };
        self.venues.iter().flat_map(of_venue).collect()
    }

    /// Ends the fakes and the broker.
    pub async fn stop_rest(&mut self, say: &Say) {
        self.fakes.stop().await;
        self.broker.stop(say);
    }
}

/// The strategy's name, as its module is configured: it is part of its group's name.
fn strategy(venue: &Venue) -> &str {
    let settings = venue.roles.get("react").map(|role| &role.settings);
    let module = settings.and_then(|settings| settings.get("module")?.get("config")?.get("strategy")?.as_str());
    module.unwrap_or_default()
}

/// The venues to run: one that was asked for by name must be able to; of all venues those that can.
fn chosen(args: &DevArgs, venues: Vec<Venue>, say: &Say) -> Result<Vec<Venue>, Error> {
    let can = |venue: &Venue| venue.dev.fake.is_some() || lacking(args, venue).is_empty();
    let (able, unable): (Vec<Venue>, Vec<Venue>) = venues.into_iter().partition(can);
    for venue in &unable {
        let reason = format!(
            "there is no fake {}: give every endpoint with --venue-endpoint ({})",
            venue.name,
            lacking(args, venue).into_iter().collect::<Vec<_>>().join(", ")
        );
        if able.is_empty() || !args.venues.is_empty() {
            return Err(Error::Usage(reason));
        }
        say.progress(&format!("left out: {reason}"));
    }
    Ok(able)
}

/// The endpoints that a venue's services need and that are not given.
fn lacking(args: &DevArgs, venue: &Venue) -> BTreeSet<String> {
    let given = given(args, venue);
    endpoints_needed(venue).into_iter().filter(|name| !given.contains_key(name)).collect()
}

fn given(args: &DevArgs, venue: &Venue) -> BTreeMap<String, String> {
    let mine = args.endpoints.iter().filter(|endpoint| endpoint.venue == venue.name);
    mine.map(|endpoint| (endpoint.name.clone(), endpoint.url.clone())).collect()
}

fn check_endpoints(endpoints: &[EndpointArg], venues: &[Venue]) -> Result<(), Error> {
    let known = |venue: &Venue| venue.endpoints.keys().map(|name| format!("{}.{name}", venue.name)).collect::<Vec<_>>();
    let known: Vec<String> = venues.iter().flat_map(known).collect();
    for EndpointArg { venue, name, .. } in endpoints {
        if !known.contains(&format!("{venue}.{name}")) {
            return Err(Error::Usage(format!("no endpoint {venue}.{name}; there are: {}", known.join(", "))));
        }
    }
    Ok(())
}

/// Makes the venue's secrets and starts its fake unless every endpoint is given. The endpoints' URLs.
async fn connect(
    args: &DevArgs,
    venue: &Venue,
    fakes: &mut Fakes,
    place: &Place<'_>,
    say: &Say,
) -> Result<BTreeMap<String, String>, Error> {
    let mut urls = given(args, venue);
    let secrets = secrets::of_venue(venue, place.dir)?;
    for line in &secrets.files {
        say.progress(&format!("secret {line}"));
    }
    let lacking = lacking(args, venue);
    if let (Some(described), false) = (&venue.dev.fake, lacking.is_empty()) {
        let over = fake_settings(args, venue)?;
        let pace = Pace { rate: args.rate, quotes: args.quotes };
        let fake = Fake::start(described, venue, &over, &secrets, pace, place).await?;
        for (name, url) in fake.endpoints() {
            urls.entry(name.clone()).or_insert_with(|| url.clone());
        }
        fakes.insert(&venue.name, fake);
    }
    if let Some(missing) = lacking.iter().find(|name| !urls.contains_key(*name)) {
        let name = &venue.name;
        return Err(Error::Usage(format!("the fake {name} does not serve {missing}: give it with --venue-endpoint")));
    }
    for (name, url) in &urls {
        say.progress(&format!("{}.{name} is {url}", venue.name));
    }
    Ok(urls)
}

/// What `--fake-venue` says for this venue.
fn fake_settings(args: &DevArgs, venue: &Venue) -> Result<Table, Error> {
    let mut settings = Table::new();
    for argument in args.fake_venues.iter().filter(|one| one.venue.as_ref().is_none_or(|name| *name == venue.name)) {
        let file = &argument.file;
        let text = std::fs::read_to_string(file).map_err(Error::file(format!("cannot read {}", file.display())))?;
        let over: Table =
            toml::from_str(&text).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
        config::merge(&mut settings, &over);
    }
    Ok(settings)
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

fn write_configs(planned: &[Planned<'_>], wiring: &Wiring, dir: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let configs = config::services(planned, wiring)?;
    configs.iter().map(|(name, config)| Ok((name.clone(), config::write(dir, name, config)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse_endpoint;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: DevArgs,
    }

    fn args(words: &[&str]) -> DevArgs {
        Cli::parse_from(["dev"].iter().chain(words)).args
    }

    fn venue(name: &str, more: &str) -> Venue {
        let text = format!(
            "venue = {name:?}\nstreams = [\"quote\"]\nevents = [\"swap_demand\"]\n[endpoints.ws]\nurl = \"wss://live\"\n\
             [roles.ingest]\npackage = \"p\"\nsettings = {{ module.grants.websocket = [\"ws\"] }}\n{more}"
        );
        toml::from_str(&text).unwrap()
    }

    const FAKE: &str = "[dev.fake]\npackage = \"f\"\nbin = \"f\"\nendpoints = [\"ws\"]\n";

    #[test]
    fn runs_all_venues_that_can_and_refuses_a_named_one_that_cannot() {
        let say = Say::new(false, true);
        let venues = || vec![venue("a", FAKE), venue("b", "")];
        let names = |words: &[&str]| {
            let chosen = chosen(&args(words), venues(), &say);
            chosen.map(|venues| venues.into_iter().map(|venue| venue.name.to_string()).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["a"]);
        assert_eq!(names(&["--venue-endpoint", "b.ws=ws://127.0.0.1:1/"]).unwrap(), ["a", "b"]);
        let refused = names(&["--venue", "a", "--venue", "b"]).unwrap_err().to_string();
        assert!(refused.contains("no fake b") && refused.contains("ws"), "{refused}");
        assert!(chosen(&args(&[]), vec![venue("b", "")], &say).is_err());
    }

    #[test]
    fn names_the_endpoints_that_there_are() {
        let wrong = [parse_endpoint("b.rpc=http://127.0.0.1:1").unwrap()];
        let error = check_endpoints(&wrong, &[venue("a", ""), venue("b", "")]).unwrap_err().to_string();
        assert!(error.contains("b.rpc") && error.contains("a.ws, b.ws"), "{error}");
    }

    #[test]
    fn settings_of_a_fake_go_to_all_or_to_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.display().to_string()
        };
        let (all, one) = (file("all.toml", "a = 1\nb = 1"), file("one.toml", "b = 2"));
        let args = args(&["--fake-venue", &all, "--fake-venue", &format!("b={one}")]);
        let settings = |name: &str| fake_settings(&args, &venue(name, "")).unwrap();
        assert_eq!(settings("a")["b"].as_integer(), Some(1));
        assert_eq!((settings("b")["a"].as_integer(), settings("b")["b"].as_integer()), (Some(1), Some(2)));
    }
}
