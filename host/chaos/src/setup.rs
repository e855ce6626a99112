//! What a campaign runs: short times, several executors, and as many accounts as there are partitions.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use toml::{Table, Value};
use unrip_core::VenueId;
use unrip_core::event::command::execution_key;
use unrip_core::partition::partition_for;

use super::args::{ChaosArgs, FaultKind};
use unrip_dev::args::{DevArgs, FakeVenueArg};
use unrip_dev::stack::Shape;
use unrip_operate::error::Error;
use unrip_operate::venue::Venue;

/// The group's patience with an executor, in milliseconds: as short as brokers allow.
pub const SESSION_MS: u64 = 1_000;
/// Numbers tried to find an account for each partition.
const ACCOUNTS_TRIED_MAX: u32 = 200;

/// Short times, so that a doubt is over in seconds. The venue and the arguments can lay others over them.
const SETTINGS: [&str; 7] = [
    "execute.execute.drain_timeout_ms=3000",
    "execute.execute.answer_timeout_ms=2000",
    "react.pipeline.session_timeout_ms=1500",
    "normalize.pipeline.session_timeout_ms=1500",
    "audit.audit.grace_ms=60000",
    "ingest.service.log_level=warn",
    "audit.service.log_level=warn",
];

/// The points that the executor has, as it says itself.
///
/// # Errors
/// It cannot be run.
pub fn points(program: &Path) -> Result<Vec<String>, Error> {
    let said = Command::new(program).arg("--points").output();
    let said = said.map_err(Error::file(format!("cannot run {}", program.display())))?;
    if !said.status.success() {
        return Err(Error::Unavailable(format!("{} does not know --points; build it again", program.display())));
    }
    Ok(String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect())
}

/// The points to arm: those that were asked for, or all.
///
/// # Errors
/// One of them does not exist.
pub fn chosen(args: &ChaosArgs, all: Vec<String>) -> Result<Vec<String>, Error> {
    if !args.wants(FaultKind::Point) {
        return Ok(Vec::new());
    }
    if let Some(unknown) = args.points.iter().find(|point| !all.contains(point)) {
        return Err(Error::Usage(format!("there is no point `{unknown}`; there are: {}", all.join(", "))));
    }
    Ok(if args.points.is_empty() { all } else { args.points.clone() })
}

/// As `unrip dev` would be asked for it. The fake's settings for campaigns go into a file that this writes.
///
/// # Errors
/// The file cannot be written.
pub fn dev_args(args: &ChaosArgs, dir: &Path, shape: &Shape, accounts: &[String]) -> Result<DevArgs, Error> {
    let fake_venue = dir.join("fake-settings.toml");
    let settings = shape.venues.iter().map(|venue| venue.dev.chaos.fake.to_string()).collect::<String>();
    std::fs::write(&fake_venue, settings).map_err(Error::file(format!("cannot write {}", fake_venue.display())))?;
    let venues: Vec<VenueId> = shape.venues.iter().map(|venue| venue.name.clone()).collect();
    let name = venues.iter().map(VenueId::as_str).collect::<String>();
    let of_venue = shape.venues.iter().flat_map(|venue| venue.dev.chaos.set.iter().cloned());
    let session = format!("execute.execute.session_timeout_ms={SESSION_MS}");
    let own = accounts.iter().zip(2..).flat_map(|(account, number)| {
        [
            format!("react-{name}-{number}.module.config.account={account}"),
            format!("react-{name}-{number}.module.config.strategy=chaos-{number}"),
        ]
    });
    let set = SETTINGS.map(str::to_owned).into_iter().chain([session]).chain(of_venue).chain(own);
    let set = set.chain(args.set.iter().cloned());
    Ok(DevArgs {
        run_for: None,
        quotes: None,
        rate: args.rate,
        settle: args.settle,
        json: args.json,
        quiet: true,
        dir: Some(dir.to_owned()),
        broker: args.broker,
        brokers: args.brokers.clone(),
        partitions: args.partitions,
        executors: args.executors,
        venues,
        endpoints: args.endpoints.clone(),
        set: set.collect(),
        fake_venues: vec![FakeVenueArg { venue: None, file: fake_venue }],
        no_build: args.no_build,
    })
}

/// The venue with an account for each partition, each with a strategy of its own, and who they are besides the first.
pub fn shape(args: &ChaosArgs, mut venue: Venue) -> (Shape, Vec<String>) {
    let accounts = more_accounts(args, &venue);
    if let Some(signers) = signers(&mut venue) {
        let first = signers.iter().next().and_then(|(_, signer)| signer.as_table().cloned()).unwrap_or_default();
        for (account, number) in accounts.iter().zip(2..) {
            let mut signer = first.clone();
            signer.insert("account".to_owned(), account.as_str().into());
            signer.insert("key_file".to_owned(), format!("secrets/key-{number}").into());
            signers.insert(format!("chaos{number}"), signer.into());
        }
    }
    ask_balances(&mut venue, &accounts);
    let strategies = u32::try_from(accounts.len()).unwrap_or(0) + 1;
    let copies = BTreeMap::from([("execute".to_owned(), args.executors), ("react".to_owned(), strategies)]);
    (Shape { venues: vec![venue], copies, own_broker: args.wants(FaultKind::Broker) }, accounts)
}

/// Where the component is configured with the accounts whose balances it asks for, adds these accounts.
fn ask_balances(venue: &mut Venue, accounts: &[String]) -> Option<()> {
    let settings = &mut venue.roles.get_mut("execute")?.settings;
    let config = settings.get_mut("module")?.get_mut("config")?.as_table_mut()?;
    let balances = config.get_mut("balances")?.as_array_mut()?;
    let first = balances.first()?.as_table()?.clone();
    for account in accounts {
        let mut more = first.clone();
        more.insert("account".to_owned(), account.as_str().into());
        balances.push(more.into());
    }
    Some(())
}

fn signers(venue: &mut Venue) -> Option<&mut Table> {
    venue.roles.get_mut("execute")?.settings.get_mut("signer")?.as_table_mut()
}

/// One account for each partition that the first account is not on.
fn more_accounts(args: &ChaosArgs, venue: &Venue) -> Vec<String> {
    let settings = venue.roles.get("react").map(|role| &role.settings);
    let account =
        settings.and_then(|settings| settings.get("module")?.get("config")?.get("account")).and_then(Value::as_str);
    let Some(first) = account else { return Vec::new() };
    let place = |account: &str| partition_for(execution_key(venue.name.as_str(), account).as_bytes(), args.partitions);
    let mut taken = vec![place(first)];
    let mut accounts = Vec::new();
    for number in 2..ACCOUNTS_TRIED_MAX {
        let account = format!("{number}.{first}");
        if !taken.contains(&place(&account)) {
            taken.push(place(&account));
            accounts.push(account);
        }
    }
    accounts
}
