//! Nisshi on SQLite, built by cargo as a program of its own, so that its crates stay out of our builds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BrokerChoice, Ports, Progress, cache};
use crate::process::Spec;

/// The version that was measured.
pub(super) const VERSION: &str = "0.8.1";
/// The longest a client should let it hold a fetch, in milliseconds.
pub(super) const FETCH_WAIT_MS: u64 = 5;
/// Its folder in the cache.
pub(super) const NAME: &str = "nisshi-0.8.1";
/// Less optimising: a third less waiting, and the difference does not matter to tests.
const PROFILE: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256"),
];

pub(super) struct Nisshi {
    program: PathBuf,
}

impl Nisshi {
    pub(super) fn install(choice: &BrokerChoice) -> anyhow::Result<Self> {
        // Next to the folder, so that an interrupted build continues where it was.
        let target = cache::place(choice, &format!("{NAME}.build"))?;
        let place = cache::ensure(
            choice,
            NAME,
            |half, progress| fill(half, &target, progress),
            |_, _| if target.is_dir() { Ok(fs::remove_dir_all(&target)?) } else { Ok(()) },
        )?;
        Ok(Self { program: place.join("bin/nisshi") })
    }

    pub(super) fn spec(&self, dir: &Path, ports: Ports, log: &Path) -> Spec {
        let url = format!("tcp://127.0.0.1:{}", ports.clients);
        Spec::new("nisshi", &self.program, log)
            .args(["broker", "--listener-url", &url, "--advertised-listener-url", &url])
            // Relative to the working directory.
            .args(["--storage-engine", "sqlite://nisshi.db"])
            .args(["--group-initial-rebalance-delay", "0s", "--silent"])
            .dir(dir)
    }
}

fn fill(half: &Path, target: &Path, progress: &Progress) -> anyhow::Result<()> {
    progress(&format!(
        "nisshi: building Nisshi {VERSION} with cargo (437 crates, about 10 minutes on two cores, once)"
    ));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["install", "nisshi", "--version", VERSION, "--no-default-features", "--features", "libsql,dynostore"])
        // One of its crates declares a newer Rust than it needs.
        .args(["--locked", "--ignore-rust-version", "--root"])
        .arg(half)
        .arg("--target-dir")
        .arg(target)
        // Away from our own .cargo/config.toml and rust flags.
        .current_dir(half)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .envs(PROFILE.iter().copied());
    cache::run(cargo, "cargo install nisshi", progress)
}
