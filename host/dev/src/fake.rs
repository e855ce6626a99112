//! The fake venue of a run: its settings from the venue's description, its accounts from the keys that the services hold.

use std::collections::BTreeMap;
use std::path::Path;

use near_intents_fake::{AccountConfig, FakeVenue, FakeVenueConfig, Ledger};
use toml::Table;

use super::config::{SignerKey, credential_files, endpoints_needed, merge, signer_keys};
use super::secrets;
use crate::args::DevArgs;
use unrip_operate::error::Error;
use unrip_operate::venue::Venue;

/// The endpoints that the fake venue takes the place of.
const ENDPOINTS: [&str; 3] = ["ws", "rpc", "near"];

/// Accounts with their public keys.
type Accounts = Vec<(String, String)>;

/// Makes the secrets that are missing under `dir`. The token and the accounts with their public keys.
///
/// # Errors
/// A secret cannot be read or written.
pub fn secrets(venue: &Venue, dir: &Path) -> Result<(Option<String>, Accounts), Error> {
    let mut token = None;
    for file in credential_files(venue).values() {
        token = Some(secrets::token(&dir.join(file))?);
    }
    let account = |key: SignerKey| Ok((key.account, secrets::public_key(&dir.join(key.file))?));
    let accounts = signer_keys(venue).into_iter().map(account).collect::<Result<_, Error>>()?;
    Ok((token, accounts))
}

/// Starts the fake venue unless every endpoint has another server in its place. The endpoints' URLs.
///
/// # Errors
/// Its settings are wrong, or it cannot start.
pub fn start(
    args: &DevArgs,
    venue: &Venue,
    dir: &Path,
) -> Result<(Option<FakeVenue>, BTreeMap<String, String>), Error> {
    let mut urls = given(args, venue)?;
    let (token, accounts) = secrets(venue, dir)?;
    if endpoints_needed(venue).iter().all(|name| urls.contains_key(name)) {
        return Ok((None, urls));
    }
    let Some(settings) = &venue.dev.fake_venue else {
        return Err(Error::Usage(format!(
            "there is no fake {}: give every endpoint with --venue-endpoint ({})",
            venue.name,
            venue.endpoints.keys().cloned().collect::<Vec<_>>().join(", ")
        )));
    };
    let config = settings_of(args, venue, settings, dir, token, accounts)?;
    let fake = FakeVenue::start(config).map_err(|error| Error::Unavailable(format!("the fake venue: {error:#}")))?;
    for (name, url) in ENDPOINTS.into_iter().zip([fake.ws_url(), fake.rpc_url(), fake.near_url()]) {
        urls.entry(name.to_owned()).or_insert_with(|| url.to_owned());
    }
    Ok((Some(fake), urls))
}

fn given(args: &DevArgs, venue: &Venue) -> Result<BTreeMap<String, String>, Error> {
    let mut urls = BTreeMap::new();
    for endpoint in &args.endpoints {
        if endpoint.venue != venue.name || !venue.endpoints.contains_key(&endpoint.name) {
            let known: Vec<String> = venue.endpoints.keys().map(|name| format!("{}.{name}", venue.name)).collect();
            let (venue, name) = (&endpoint.venue, &endpoint.name);
            return Err(Error::Usage(format!("no endpoint {venue}.{name}; there are: {}", known.join(", "))));
        }
        urls.insert(endpoint.name.clone(), endpoint.url.clone());
    }
    Ok(urls)
}

fn settings_of(
    args: &DevArgs,
    venue: &Venue,
    settings: &Table,
    dir: &Path,
    token: Option<String>,
    accounts: Vec<(String, String)>,
) -> Result<FakeVenueConfig, Error> {
    let mut table = settings.clone();
    if let Some(file) = &args.fake_venue {
        let text = std::fs::read_to_string(file).map_err(Error::file(format!("cannot read {}", file.display())))?;
        let over: Table =
            toml::from_str(&text).map_err(|error| Error::Usage(format!("{}: {error}", file.display())))?;
        merge(&mut table, &over);
    }
    let mut config: FakeVenueConfig =
        table.try_into().map_err(|error| Error::Usage(format!("settings of the fake {}: {error}", venue.name)))?;
    config.dir = dir.join("fake-venue");
    config.quotes.per_second = args.rate;
    // The fake venue counts over the life of its ledger, the arguments count this run.
    let before = Ledger::read(&config.dir.join("ledger.jsonl")).map_or(0, |ledger| ledger.quotes().count() as u64);
    config.quotes.max = args.quotes.map(|quotes| quotes.saturating_add(before));
    config.quotes.samples = config.quotes.samples.map(|samples| venue.dir.join(samples));
    if let Some(token) = token {
        config.token = token;
    }
    for (account, public_key) in accounts {
        match config.accounts.iter_mut().find(|known| known.account_id == account) {
            Some(known) => known.public_keys.push(public_key),
            None => config.accounts.push(AccountConfig::new(account, public_key)),
        }
    }
    Ok(config)
}
