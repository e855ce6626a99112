//! Two venues in one run: this one, and a copy of it under another name with its own services, fake and topics.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::{Ground, check, ledger, one_at_a_time};
use unrip_core::topic;
use unrip_testkit::components::{build_components, workspace_root};
use unrip_testkit::programs::program;

/// As long as the first name: it is written over it in the compiled components.
const COPY: &str = "copy-intents";
const ROLES: [&str; 4] = ["ingest", "normalize", "react", "execute"];

/// A workspace with both venues, as far as `unrip dev --no-build` looks at it.
fn workspace(dir: &Path) {
    std::fs::create_dir_all(dir.join("wit")).unwrap();
    std::fs::write(dir.join("Cargo.toml"), "").unwrap();
    let home = workspace_root().unwrap().join("venues").join(check::VENUE);
    let description = std::fs::read_to_string(home.join("venue.toml")).unwrap();
    let fake = format!("{}-fake", check::VENUE);
    let copied = description.replace(check::VENUE, COPY).replace(&format!("{COPY}-fake"), &fake);
    for (name, text) in [(check::VENUE, &description), (COPY, &copied)] {
        let venue = dir.join("venues").join(name);
        std::fs::create_dir_all(&venue).unwrap();
        std::fs::write(venue.join("venue.toml"), text).unwrap();
        std::os::unix::fs::symlink(home.join("test_data"), venue.join("test_data")).unwrap();
    }
}

/// The components, and beside them the same ones under the other name.
fn components() -> Vec<PathBuf> {
    let program = program("unrip").unwrap();
    let dir = program.parent().and_then(Path::parent).unwrap().join("components");
    let packages = ROLES.map(|role| format!("{}-{role}", check::VENUE));
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let built = build_components(&workspace_root().unwrap(), &packages, &dir, &mut |_| ()).unwrap();
    let copy = |(role, path): (&str, &Path)| {
        let mut bytes = std::fs::read(path).unwrap();
        let name = check::VENUE.as_bytes();
        for at in 0..bytes.len().saturating_sub(name.len()) {
            if bytes[at..].starts_with(name) {
                bytes[at..at + name.len()].copy_from_slice(COPY.as_bytes());
            }
        }
        let file = dir.join(format!("{}_{role}.wasm", COPY.replace('-', "_")));
        std::fs::write(&file, bytes).unwrap();
        file
    };
    ROLES.into_iter().zip(built.iter().map(|built| built.path.as_path())).map(copy).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_venues_run_at_once_each_with_its_own_services_fake_and_topics() {
    let _one = one_at_a_time().await;
    let ground = Ground::new();
    let root = ground.dir.path().join("workspace");
    workspace(&root);
    let copies = components();
    let set = format!("normalize-{COPY}.service.log_level=debug");
    let words = ["--no-build", "--venue", COPY, "--quotes", "20", "--rate", "10", "--set", &set];
    let (code, summary) = ground.dev_in(&root, &words);
    copies.iter().for_each(|copy| std::fs::remove_file(copy).unwrap());
    assert_eq!(code, 0, "{summary:#}\n{}", ground.logs());

    let services = summary["services"].as_object().unwrap();
    assert_eq!(services.len(), 9, "{services:?}");
    assert!(services.values().all(|ended| ended == "exit code 0"), "{services:?}");
    let mut ended: BTreeMap<String, usize> = BTreeMap::new();
    let result_records = ground.read(topic::TRADE_RESULT).await;
    for result in check::envelopes(&result_records, &["trade_result"]) {
        *ended.entry(result.text("/venue")).or_default() += 1;
    }
    for name in [check::VENUE, COPY] {
        let raw = format!("raw.{}.quote", name.replace('-', "_"));
        assert_eq!(summary["topics"][&raw], 20, "{summary:#}");
        // The compiler has inlined parts of the name into the copy's strategy, which declines what is not its venue's.
        let trades = name == check::VENUE;
        assert_eq!(ended.contains_key(name), trades, "{name}: {ended:?}\n{}", ground.logs());
        for role in ROLES {
            let config = std::fs::read_to_string(ground.run_dir().join(format!("{role}-{name}.toml"))).unwrap();
            assert!(config.contains(&format!("venue = \"{name}\"")), "{config}");
            assert_eq!(config.contains("log_level = \"debug\""), (role, name) == ("normalize", COPY), "{config}");
        }
        let ledger = ledger(&ground.run_dir().join(format!("fake-{name}/ledger.jsonl")));
        let accepted = ledger.iter().any(|line| line["kind"] == "answered" && line["accepted"] == true);
        assert_eq!(accepted, trades, "{name}");
        assert!(ledger.iter().all(|line| line["kind"] != "duplicate"), "{name}");
    }
    assert_eq!(summary["audit"]["violations_total"], 0);
}
