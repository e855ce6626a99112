//! Makes each service's configuration from the venue's description, as production would have it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use unrip_core::VenueId;
use unrip_core::names::ALL_VENUES;
use unrip_operate::error::Error;
use unrip_operate::venue::{Role, Venue};

/// The service that belongs to no venue and runs no component.
pub const AUDIT: &str = "audit";

/// What all configurations of a run have in common.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// `host:port` of the bus.
    pub brokers: String,
    /// What the clients need to know about this broker.
    pub bus_properties: BTreeMap<String, String>,
    /// Where compiled modules are kept.
    pub module_cache: PathBuf,
    /// How many processes of a role run for each venue, where it is not one: `execute-<venue>`, `execute-<venue>-2`, …
    pub copies: BTreeMap<String, u32>,
    /// `<role>.<key path>=<value>`, laid over everything; a role stands for all its processes, `execute-<venue>-2` for one.
    pub set: Vec<String>,
}

/// A venue of a run.
#[derive(Clone, Debug)]
pub struct Planned<'a> {
    /// Its description.
    pub venue: &'a Venue,
    /// Component files by role, with their digests.
    pub components: BTreeMap<String, (PathBuf, String)>,
    /// URLs in place of the venue's own.
    pub endpoints: BTreeMap<String, String>,
}

/// The role of a process: `execute-<venue>-2` is an `execute`.
pub fn role_of(name: &str) -> &str {
    name.split_once('-').map_or(name, |(role, _)| role)
}

/// The processes of a venue's role, `<role>-<venue>` the first.
fn names_of(role: &str, venue: &VenueId, wiring: &Wiring) -> Vec<String> {
    let copies = wiring.copies.get(role).copied().unwrap_or(1).max(1);
    let name = |number| if number == 1 { format!("{role}-{venue}") } else { format!("{role}-{venue}-{number}") };
    (1..=copies).map(name).collect()
}

/// The configurations by process, each ready to be written as `<name>.toml`.
///
/// # Errors
/// A `set` that names no role or no key, or two processes of one name.
pub fn services(planned: &[Planned<'_>], wiring: &Wiring) -> Result<BTreeMap<String, Table>, Error> {
    let mut configs: BTreeMap<String, Table> = BTreeMap::new();
    for one in planned {
        for (role, described) in &one.venue.roles {
            for name in names_of(role, &one.venue.name, wiring) {
                let config = role_config(one, &name, described, wiring);
                if configs.insert(name.clone(), config).is_some() {
                    return Err(Error::Usage(format!(
                        "two services would be named {name}: run fewer copies or one venue"
                    )));
                }
            }
        }
    }
    configs.insert(AUDIT.to_owned(), base(ALL_VENUES, AUDIT, wiring));
    for set in &wiring.set {
        apply(&mut configs, set)?;
    }
    Ok(configs)
}

fn base(venue: &str, name: &str, wiring: &Wiring) -> Table {
    let service = table([("venue", venue.into()), ("admin_address_file", format!("{name}.admin").into())]);
    let mut bus = table([("brokers", wiring.brokers.as_str().into()), ("client_id", format!("unrip-{name}").into())]);
    if !wiring.bus_properties.is_empty() {
        let properties = wiring.bus_properties.iter().map(|(key, value)| (key.clone(), value.as_str().into()));
        bus.insert("properties".to_owned(), properties.collect::<Table>().into());
    }
    table([("service", service.into()), ("bus", bus.into())])
}

fn role_config(planned: &Planned<'_>, name: &str, role: &Role, wiring: &Wiring) -> Table {
    let venue = planned.venue;
    let mut config = base(venue.name.as_str(), name, wiring);
    let role_name = role_of(name);
    if let Some((path, digest)) = planned.components.get(role_name) {
        let module = table([
            ("path", path.display().to_string().into()),
            ("digest", digest.as_str().into()),
            ("cache_dir", wiring.module_cache.display().to_string().into()),
        ]);
        config.insert("module".to_owned(), module.into());
    }
    if role_name == "execute" {
        let id = name.replacen("execute", "dev", 1);
        let execute = table([("executor_id", id.into()), ("state_dir", format!("state/{name}").into())]);
        config.insert(role_name.to_owned(), execute.into());
    }
    let mut endpoints = Table::new();
    for used in endpoints_used(&role.settings) {
        let mut endpoint = venue.endpoints.get(&used).cloned().unwrap_or_default();
        if let Some(settings) = child(&role.settings, &["endpoints", &used]) {
            merge(&mut endpoint, settings);
        }
        if let Some(url) = planned.endpoints.get(&used) {
            endpoint.insert("url".to_owned(), url.as_str().into());
        }
        endpoints.insert(used, endpoint.into());
    }
    merge(&mut config, &role.settings);
    if !endpoints.is_empty() {
        config.insert("endpoints".to_owned(), endpoints.into());
    }
    config
}

/// The endpoints that any service of the venue connects to.
pub fn endpoints_needed(venue: &Venue) -> BTreeSet<String> {
    venue.roles.values().flat_map(|role| endpoints_used(&role.settings)).collect()
}

/// The endpoints that a role's component was granted or that its settings name.
fn endpoints_used(settings: &Table) -> BTreeSet<String> {
    let granted = ["websocket", "http"]
        .into_iter()
        .flat_map(|grant| strings(child_value(settings, &["module", "grants", grant])));
    let named = child(settings, &["endpoints"]).into_iter().flat_map(|endpoints| endpoints.keys().cloned());
    granted.chain(named).collect()
}

/// Every `file` of `[credentials.*]`, by slot, as the settings of any role name it.
pub fn credential_files(venue: &Venue) -> BTreeMap<String, String> {
    files(venue, "credentials", "file").map(|(slot, file, _)| (slot, file)).collect()
}

/// A key that signs for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerKey {
    /// The account that it signs for.
    pub account: String,
    /// The signing scheme.
    pub scheme: String,
    /// The key's file, relative to the configuration.
    pub file: String,
}

/// Every `[signer.*]` of the venue.
pub fn signer_keys(venue: &Venue) -> Vec<SignerKey> {
    let text = |table: &Table, key: &str| table.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    files(venue, "signer", "key_file")
        .map(|(_, file, signer)| SignerKey { account: text(signer, "account"), scheme: text(signer, "scheme"), file })
        .collect()
}

fn files<'a>(venue: &'a Venue, section: &'a str, key: &'a str) -> impl Iterator<Item = (String, String, &'a Table)> {
    let sections = venue.roles.values().filter_map(move |role| child(&role.settings, &[section]));
    sections.flatten().filter_map(move |(name, value)| {
        let table = value.as_table()?;
        Some((name.clone(), table.get(key)?.as_str()?.to_owned(), table))
    })
}

/// Lays `over` over `under`: tables are merged, everything else is replaced.
pub fn merge(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

fn apply(configs: &mut BTreeMap<String, Table>, set: &str) -> Result<(), Error> {
    let wrong = |reason: &str| Error::Usage(format!("--set {set}: {reason}"));
    let (path, value) = set.split_once('=').ok_or_else(|| wrong("write ROLE.KEY=VALUE"))?;
    let parts: Vec<&str> = path.split('.').collect();
    let [role, parents @ .., key] = parts.as_slice() else { return Err(wrong("write ROLE.KEY=VALUE")) };
    let mut found = false;
    for (_, config) in configs.iter_mut().filter(|(name, _)| name == role || role_of(name) == *role) {
        put(config, parents, key, parse_value(value)).map_err(|reason| wrong(&reason))?;
        found = true;
    }
    if found { Ok(()) } else { Err(wrong(&format!("there is no service `{role}`"))) }
}

fn put(config: &mut Table, parents: &[&str], key: &str, value: Value) -> Result<(), String> {
    let mut place = config;
    for parent in parents {
        let entry = place.entry((*parent).to_owned()).or_insert_with(|| Table::new().into());
        place = entry.as_table_mut().ok_or_else(|| format!("`{parent}` is a value, not a section"))?;
    }
    place.insert(key.to_owned(), value);
    Ok(())
}

/// TOML where it reads as TOML, else a string.
fn parse_value(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| text.into())
}

fn child<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Table> {
    child_value(table, path)?.as_table()
}

fn child_value<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    if rest.is_empty() { Some(value) } else { child_value(value.as_table()?, rest) }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Writes a configuration.
///
/// # Errors
/// The file cannot be written.
pub fn write(dir: &Path, name: &str, config: &Table) -> Result<PathBuf, Error> {
    let path = dir.join(format!("{name}.toml"));
    let text = format!("# unrip-{} --config {}\n\n{config}", role_of(name), path.display());
    std::fs::write(&path, text).map_err(Error::file(format!("cannot write {}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue() -> Venue {
        toml::from_str(
            r#"
            venue = "a-venue"
            streams = ["quote"]
            events = ["swap_demand"]
            [endpoints.ws]
            url = "wss://live.example/ws"
            ping_interval_ms = 20000
            [endpoints.node]
            url = "https://node.example"
            [roles.ingest]
            package = "a-venue-ingest"
            [roles.ingest.settings]
            module.grants = { websocket = ["ws"], credential = ["token"] }
            endpoints.ws.headers.authorization = { bearer = "token" }
            credentials.token.file = "secrets/token"
            ingest.frame_bytes_max = 1000
            [roles.execute]
            package = "a-venue-execute"
            [roles.execute.settings]
            module.grants = { websocket = ["ws"], http = ["node"] }
            execute.batch = 7
            signer.main = { scheme = "nep413", account = "me", key_file = "secrets/key" }
            "#,
        )
        .unwrap()
    }

    fn wiring() -> Wiring {
        Wiring {
            brokers: "127.0.0.1:1".to_owned(),
            bus_properties: BTreeMap::new(),
            module_cache: "/cache".into(),
            copies: BTreeMap::new(),
            set: Vec::new(),
        }
    }

    fn planned(venue: &Venue) -> Planned<'_> {
        let component =
            |name: &str| (name.to_owned(), (PathBuf::from(format!("/c/{name}.wasm")), "sha256:00".to_owned()));
        let endpoints = [("ws".to_owned(), "ws://127.0.0.1:2/ws".to_owned())].into();
        Planned { venue, components: ["ingest", "execute"].map(component).into(), endpoints }
    }

    fn of_one(wiring: &Wiring) -> Result<BTreeMap<String, Table>, Error> {
        services(&[planned(&venue())], wiring)
    }

    #[test]
    fn gives_each_venue_its_own_services_and_audits_all_of_them_once() {
        let (one, mut two) = (venue(), venue());
        two.name = "b-venue".parse().unwrap();
        let mut second = planned(&two);
        second.endpoints.insert("ws".to_owned(), "ws://127.0.0.1:3/ws".to_owned());
        let mut wiring = wiring();
        wiring.set = vec!["execute-b-venue.execute.batch=8".into(), "ingest.service.log_level=debug".into()];
        let configs = services(&[planned(&one), second.clone()], &wiring).unwrap();
        let names = ["audit", "execute-a-venue", "execute-b-venue", "ingest-a-venue", "ingest-b-venue"];
        assert_eq!(configs.keys().collect::<Vec<_>>(), names);
        assert_eq!(configs["audit"]["service"]["venue"].as_str(), Some("*"));
        for (venue, batch, port) in [("a-venue", 7, 2), ("b-venue", 8, 3)] {
            let (execute, ingest) = (&configs[&format!("execute-{venue}")], &configs[&format!("ingest-{venue}")]);
            assert_eq!(execute["service"]["venue"].as_str(), Some(venue));
            assert_eq!(execute["execute"]["batch"].as_integer(), Some(batch));
            assert_eq!(execute["execute"]["state_dir"].as_str(), Some(format!("state/execute-{venue}").as_str()));
            assert_eq!(execute["execute"]["executor_id"].as_str(), Some(format!("dev-{venue}").as_str()));
            let url = format!("ws://127.0.0.1:{port}/ws");
            assert_eq!(ingest["endpoints"]["ws"]["url"].as_str(), Some(url.as_str()));
            assert_eq!(
                ingest["service"]["admin_address_file"].as_str(),
                Some(format!("ingest-{venue}.admin").as_str())
            );
            assert_eq!(ingest["service"]["log_level"].as_str(), Some("debug"));
        }
        two.name = "a-venue-2".parse().unwrap();
        wiring.copies = [("execute".to_owned(), 2)].into();
        let clash = services(&[planned(&one), planned(&two)], &wiring).unwrap_err().to_string();
        assert!(clash.contains("execute-a-venue-2"), "{clash}");
    }

    #[test]
    fn gives_each_executor_its_own_name_state_and_address() {
        let mut wiring = wiring();
        wiring.copies = [("execute".to_owned(), 3)].into();
        wiring.set = vec!["execute.execute.batch=9".into(), "execute-a-venue-2.execute.batch=8".into()];
        let configs = of_one(&wiring).unwrap();
        let names = ["audit", "execute-a-venue", "execute-a-venue-2", "execute-a-venue-3", "ingest-a-venue"];
        assert_eq!(configs.keys().collect::<Vec<_>>(), names);
        for (number, batch) in [("", 9), ("-2", 8), ("-3", 9)] {
            let (name, id) = (format!("execute-a-venue{number}"), format!("dev-a-venue{number}"));
            let config = &configs[&name];
            assert_eq!(config["execute"]["executor_id"].as_str(), Some(id.as_str()));
            assert_eq!(config["execute"]["state_dir"].as_str(), Some(format!("state/{name}").as_str()));
            assert_eq!(config["service"]["admin_address_file"].as_str(), Some(format!("{name}.admin").as_str()));
            assert_eq!(config["execute"]["batch"].as_integer(), Some(batch));
            assert_eq!(config["module"]["path"].as_str(), Some("/c/execute.wasm"));
        }
        assert_eq!((role_of("execute-a-venue-2"), role_of("audit")), ("execute", "audit"));
    }

    #[test]
    fn writes_what_a_service_needs_and_nothing_else() {
        let configs = of_one(&wiring()).unwrap();
        assert_eq!(configs.keys().collect::<Vec<_>>(), ["audit", "execute-a-venue", "ingest-a-venue"]);
        let ingest = &configs["ingest-a-venue"];
        assert_eq!(ingest["service"]["venue"].as_str(), Some("a-venue"));
        assert_eq!(ingest["bus"]["brokers"].as_str(), Some("127.0.0.1:1"));
        assert_eq!(ingest["module"]["path"].as_str(), Some("/c/ingest.wasm"));
        assert_eq!(ingest["module"]["grants"]["websocket"][0].as_str(), Some("ws"));
        assert_eq!(ingest["ingest"]["frame_bytes_max"].as_integer(), Some(1000));
        assert!(ingest["endpoints"].get("node").is_none());
        assert!(configs["audit"].get("module").is_none());
        assert_eq!(configs["execute-a-venue"]["execute"]["state_dir"].as_str(), Some("state/execute-a-venue"));
        assert_eq!(configs["execute-a-venue"]["execute"]["batch"].as_integer(), Some(7));
    }

    #[test]
    fn puts_other_endpoints_in_place_and_keeps_the_rest_of_them() {
        let configs = of_one(&wiring()).unwrap();
        let ws = &configs["ingest-a-venue"]["endpoints"]["ws"];
        assert_eq!(ws["url"].as_str(), Some("ws://127.0.0.1:2/ws"));
        assert_eq!(ws["ping_interval_ms"].as_integer(), Some(20_000));
        assert_eq!(ws["headers"]["authorization"]["bearer"].as_str(), Some("token"));
        assert_eq!(configs["execute-a-venue"]["endpoints"]["node"]["url"].as_str(), Some("https://node.example"));
    }

    #[test]
    fn sets_single_keys_last() {
        let mut wiring = wiring();
        wiring.set = vec!["execute.module.limits.call_ms_max=50".into(), "ingest.service.log_level=debug".into()];
        let configs = of_one(&wiring).unwrap();
        assert_eq!(configs["execute-a-venue"]["module"]["limits"]["call_ms_max"].as_integer(), Some(50));
        assert_eq!(configs["ingest-a-venue"]["service"]["log_level"].as_str(), Some("debug"));
        for wrong in ["execute", "execute=1", "no-one.a=1", "ingest.service.venue.x=1"] {
            wiring.set = vec![wrong.to_owned()];
            assert!(of_one(&wiring).is_err(), "{wrong}");
        }
    }

    #[test]
    fn needs_only_the_endpoints_that_are_used() {
        let mut venue = venue();
        venue.endpoints.insert("unused".to_owned(), Table::new());
        assert_eq!(endpoints_needed(&venue).into_iter().collect::<Vec<_>>(), ["node", "ws"]);
    }

    #[test]
    fn finds_the_secrets_that_must_be_there() {
        assert_eq!(credential_files(&venue()), [("token".to_owned(), "secrets/token".to_owned())].into());
        let key = SignerKey { account: "me".to_owned(), scheme: "nep413".to_owned(), file: "secrets/key".to_owned() };
        assert_eq!(signer_keys(&venue()), [key]);
    }
}
