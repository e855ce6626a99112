//! Builds what a run needs: the wasm target, the venue's components, the services. Cargo decides what is up to date.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use unrip_testkit::components::{BuiltComponent, build_components};
use unrip_testkit::process::{Process, Spec, describe, package_variables, tail};

use crate::workspace::Workspace;
use unrip_operate::error::Error;
use unrip_operate::say::Say;
use unrip_operate::venue::Venue;

/// What components are compiled for.
const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// The longest a build may take: a cold one on one slow core.
const BUILD_WAIT: Duration = Duration::from_secs(3_600);
/// How often a build's log is looked at for something to show.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// Lines of a failed build that are shown.
const ERROR_LINES: usize = 40;

/// A venue's component files by role, with their digests.
pub type Components = BTreeMap<String, (PathBuf, String)>;

/// Builds everything. The components of each venue.
///
/// # Errors
/// The target is missing and cannot be added, or something does not compile.
pub async fn everything(
    workspace: &Workspace,
    venues: &[Venue],
    dir: &Path,
    say: &Say,
) -> Result<Vec<Components>, Error> {
    wasm_target(dir, say).await?;
    say.progress("building the venues' components");
    let packages = venues.iter().flat_map(Venue::packages).flat_map(|package| ["-p", package]);
    let args = ["build", "--release", "--target", WASM_TARGET].into_iter().chain(packages);
    cargo(workspace, "build-components", args, dir, say).await?;
    let components = venues.iter().map(|venue| components(workspace, venue)).collect::<Result<_, _>>()?;
    say.progress("building the services and the fakes");
    // The whole workspace, not single packages: features are then the same as in `cargo test --workspace`.
    let args = ["build", "--workspace", "--bins", "--profile", &workspace.profile];
    cargo(workspace, "build-services", args, dir, say).await?;
    Ok(components)
}

/// The components of each venue as they were last built.
///
/// # Errors
/// One of them is missing.
pub fn last_built(workspace: &Workspace, venues: &[Venue]) -> Result<Vec<Components>, Error> {
    venues.iter().map(|venue| found(workspace, venue)).collect()
}

fn found(workspace: &Workspace, venue: &Venue) -> Result<Components, Error> {
    let place = |package: &str| workspace.components_dir().join(format!("{}.wasm", package.replace('-', "_")));
    venue
        .roles
        .iter()
        .map(|(role, component)| {
            let path = place(&component.package);
            let bytes =
                std::fs::read(&path).map_err(Error::file(format!("cannot read {}; build it", path.display())))?;
            Ok((role.clone(), (path, format!("sha256:{}", unrip_core::id::sha256_hex(&bytes)))))
        })
        .collect()
}

/// Cargo has built the core modules already: this makes components of them, in a moment.
fn components(workspace: &Workspace, venue: &Venue) -> Result<Components, Error> {
    let built = build_components(&workspace.root, &venue.packages(), &workspace.components_dir(), &mut |_| ())
        .map_err(|error| Error::Unavailable(format!("{error:#}")))?;
    let pair = |built: BuiltComponent| (built.path, built.digest);
    Ok(venue.roles.keys().cloned().zip(built.into_iter().map(pair)).collect())
}

async fn wasm_target(dir: &Path, say: &Say) -> Result<(), Error> {
    if has_wasm_target() {
        return Ok(());
    }
    say.progress("adding the target wasm32-unknown-unknown by rustup");
    let cannot = |reason: String| {
        Error::Unavailable(format!("the Rust target {WASM_TARGET} is missing and {reason}; add it to your toolchain"))
    };
    let spec = Spec::new("rustup", "rustup", dir.join("logs/rustup.log")).args(["target", "add", WASM_TARGET]);
    let mut rustup = Process::spawn(spec).map_err(|error| cannot(error.to_string()))?;
    match rustup.wait(BUILD_WAIT).await {
        Some(exit) if exit.success() && has_wasm_target() => Ok(()),
        _ => Err(cannot(format!("rustup could not add it:\n{}", rustup.log_tail(ERROR_LINES)))),
    }
}

fn has_wasm_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = std::process::Command::new(rustc).args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    let Ok(output) = asked else { return false };
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib").is_dir()
}

async fn cargo<'a>(
    workspace: &Workspace,
    name: &str,
    args: impl IntoIterator<Item = &'a str>,
    dir: &Path,
    say: &Say,
) -> Result<(), Error> {
    let log = dir.join(format!("logs/{name}.log"));
    let spec = Spec::new(name, std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), &log)
        .args(args)
        .dir(&workspace.root)
        .unset(package_variables())
        .env("CARGO_TARGET_DIR", workspace.target_dir().display().to_string())
        .env("CARGO_TERM_COLOR", "never");
    let mut cargo = Process::spawn(spec).map_err(|error| Error::Unavailable(error.to_string()))?;
    let mut shown = String::new();
    loop {
        let exit = cargo.wait(PROGRESS_EVERY).await;
        let newest = tail(&log, 1);
        if newest != shown && !newest.is_empty() {
            say.progress(&format!("  cargo: {}", newest.trim()));
            shown = newest;
        }
        match exit {
            Some(exit) if exit.success() => return Ok(()),
            Some(exit) => {
                let said = cargo.log_tail(ERROR_LINES);
                return Err(Error::Unavailable(format!("cargo failed ({}):\n{said}", describe(exit))));
            }
            None => {}
        }
    }
}
