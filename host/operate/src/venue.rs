//! `venues/<venue>/venue.toml`: what a venue's components are, and how their services are configured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Table;
use unrip_core::VenueId;

use crate::error::Error;

/// The file's name in a venue's folder.
pub const FILE_NAME: &str = "venue.toml";

/// A venue's description.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Venue {
    /// The venue's id, as its folder is named.
    #[serde(rename = "venue")]
    pub name: VenueId,
    /// Its raw streams: topics `raw.<venue>.<stream>`.
    pub streams: Vec<String>,
    /// The canonical events that it feeds: topics `norm.<event>`.
    pub events: Vec<String>,
    /// Where the live venue is: `[endpoints.<name>]` sections of services.
    #[serde(default)]
    pub endpoints: BTreeMap<String, Table>,
    /// The venue's components by role.
    pub roles: BTreeMap<String, Role>,
    /// What `unrip dev` needs besides.
    #[serde(default)]
    pub dev: Dev,
    /// The folder that the file is in.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// One component and the configuration of its service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Cargo package of the component.
    pub package: String,
    /// Partial configuration of the service, in the service's own shape.
    #[serde(default)]
    pub settings: Table,
}

/// What `unrip dev` and `unrip chaos` need besides.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dev {
    /// The program that takes the venue's place on this machine; absent: there is none.
    pub fake: Option<Fake>,
    /// What a fault campaign changes.
    #[serde(default)]
    pub chaos: Chaos,
}

/// A venue's fake, a program.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fake {
    /// Cargo package that builds it.
    pub package: String,
    /// Its file name.
    pub bin: String,
    /// The endpoints that it serves.
    pub endpoints: Vec<String>,
    /// The faults that a campaign may ask it for, by the names of its own documentation.
    #[serde(default)]
    pub faults: Vec<String>,
    /// Its settings, in its own shape.
    #[serde(default)]
    pub settings: Table,
}

/// What a fault campaign changes, so that a doubt is over in seconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chaos {
    /// Keys of services, `ROLE.KEY=VALUE`.
    #[serde(default)]
    pub set: Vec<String>,
    /// Laid over the fake's settings.
    #[serde(default)]
    pub fake: Table,
}

impl Venue {
    /// Reads a description.
    ///
    /// # Errors
    /// The file cannot be read, or a key is unknown or of the wrong type.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file).map_err(Error::file(format!("cannot read {}", file.display())))?;
        let wrong = |error: toml::de::Error| Error::Usage(format!("{}: {error}", file.display()));
        let mut venue: Self = toml::from_str(&text).map_err(wrong)?;
        venue.dir = file.parent().unwrap_or_else(|| Path::new(".")).to_owned();
        Ok(venue)
    }

    /// The venue of that name under `root/venues`, or the only one there.
    ///
    /// # Errors
    /// There is none, or there are several and none was named.
    pub fn choose(root: &Path, name: Option<&VenueId>) -> Result<Self, Error> {
        let known = known(root)?;
        let found = match (name, known.as_slice()) {
            (Some(name), all) => all.iter().find(|known| *known == name.as_str()),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        match found {
            Some(name) => Self::read(&file(root, name)),
            None => Err(Error::Usage(format!("name a venue with --venue; there are: {}", known.join(", ")))),
        }
    }

    /// The venues of these names under `root/venues`; all that are there, if no name is given.
    ///
    /// # Errors
    /// There is none of a name, or none at all.
    pub fn several(root: &Path, names: &[VenueId]) -> Result<Vec<Self>, Error> {
        if !names.is_empty() {
            return names.iter().map(|name| Self::choose(root, Some(name))).collect();
        }
        let known = known(root)?;
        if known.is_empty() {
            return Err(Error::Usage(format!("there is no venue under {}", root.join("venues").display())));
        }
        known.iter().map(|name| Self::read(&file(root, name))).collect()
    }

    /// The packages of its components.
    pub fn packages(&self) -> Vec<&str> {
        self.roles.values().map(|role| role.package.as_str()).collect()
    }
}

fn file(root: &Path, name: &str) -> PathBuf {
    root.join("venues").join(name).join(FILE_NAME)
}

fn known(root: &Path) -> Result<Vec<String>, Error> {
    let dir = root.join("venues");
    let entries = std::fs::read_dir(&dir).map_err(Error::file(format!("cannot read {}", dir.display())))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join(FILE_NAME).is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"
        venue = "a-venue"
        streams = ["quote"]
        events = ["swap_demand"]
        [endpoints.ws]
        url = "wss://live.example/ws"
        [roles.ingest]
        package = "a-venue-ingest"
        [roles.ingest.settings.module.grants]
        websocket = ["ws"]
    "#;

    fn id(name: &str) -> VenueId {
        name.parse().unwrap()
    }

    fn venues(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("venues")).unwrap();
        for name in names {
            let dir = root.path().join("venues").join(name);
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join(FILE_NAME), SAMPLE).unwrap();
        }
        root
    }

    #[test]
    fn takes_several_venues_by_name_or_all_of_them() {
        let two = venues(&["a-venue", "b-venue"]);
        assert_eq!(Venue::several(two.path(), &[]).unwrap().len(), 2);
        assert_eq!(Venue::several(two.path(), &[id("b-venue")]).unwrap().len(), 1);
        assert!(Venue::several(two.path(), &[id("c-venue")]).is_err());
        assert!(Venue::several(venues(&[]).path(), &[]).is_err());
    }

    #[test]
    fn takes_the_only_venue_and_asks_among_several() {
        let one = venues(&["a-venue"]);
        let venue = Venue::choose(one.path(), None).unwrap();
        assert_eq!(venue.packages(), ["a-venue-ingest"]);
        assert_eq!(venue.dir, one.path().join("venues/a-venue"));
        let two = venues(&["a-venue", "b-venue"]);
        let error = Venue::choose(two.path(), None).unwrap_err().to_string();
        assert!(error.contains("a-venue, b-venue"), "{error}");
        assert!(Venue::choose(two.path(), Some(&id("b-venue"))).is_ok());
        assert!(Venue::choose(two.path(), Some(&id("c-venue"))).is_err());
    }

    #[test]
    fn names_file_and_key_of_a_mistake() {
        let root = venues(&["a-venue"]);
        let file = root.path().join("venues/a-venue").join(FILE_NAME);
        std::fs::write(&file, SAMPLE.replace("streams", "strems")).unwrap();
        let error = Venue::read(&file).unwrap_err().to_string();
        assert!(error.contains("venue.toml") && error.contains("strems"), "{error}");
        std::fs::write(&file, SAMPLE.replace("\"a-venue\"", "\"a_venue\"")).unwrap();
        let error = Venue::read(&file).unwrap_err().to_string();
        assert!(error.contains("venue.toml") && error.contains("`a_venue` is not a venue's name"), "{error}");
    }
}
