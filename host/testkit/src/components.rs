//! Builds venue components: plain cargo for `wasm32-unknown-unknown`, then the `wit-component` library. No tool to install.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use unrip_core::id::sha256_hex;
use wit_component::ComponentEncoder;

/// A component ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltComponent {
    /// The file.
    pub path: PathBuf,
    /// `sha256:` and the hex digest of its bytes.
    pub digest: String,
}

/// What a core module is compiled for.
const TARGET: &str = "wasm32-unknown-unknown";

/// Builds one package, see [`build_components`].
pub fn build_component(
    workspace_root: &Path,
    package: &str,
    out_dir: &Path,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<BuiltComponent> {
    let mut built = build_components(workspace_root, &[package], out_dir, progress)?;
    built.pop().context("one component was built")
}

/// Builds the packages with one cargo call and writes `<package_with_underscores>.wasm` into `out_dir`.
///
/// `progress` gets each line that cargo says. The components come in the order of `packages`.
pub fn build_components(
    workspace_root: &Path,
    packages: &[&str],
    out_dir: &Path,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<BuiltComponent>> {
    std::fs::create_dir_all(out_dir).with_context(|| format!("cannot create {}", out_dir.display()))?;
    let selected: Vec<&str> = packages.iter().flat_map(|package| ["-p", package]).collect();
    let modules = compile(workspace_root, &selected, progress)?;
    packages
        .iter()
        .map(|package| {
            let name = package.replace('-', "_");
            let module =
                modules.get(&name).with_context(|| format!("{package} gave no core module (crate-type cdylib?)"))?;
            let bytes = std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
            write_component(&encode(&bytes).with_context(|| format!("{package} is no component"))?, &name, out_dir)
        })
        .collect()
}

/// Turns a core module that embeds its WIT world into a component.
pub fn encode(core_module: &[u8]) -> anyhow::Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(core_module)?.encode()
}

/// One line of cargo's `--message-format=json`.
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    target: Option<CargoTarget>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
}

/// Core modules by crate name; `selected` are cargo's arguments that say what to build.
fn compile(
    workspace_root: &Path,
    selected: &[&str],
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace_root).args(["build", "--release", "--target", TARGET]);
    command.arg("--message-format=json-render-diagnostics");
    for name in crate::process::package_variables() {
        command.env_remove(name);
    }
    command.args(selected);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo's output is piped")?;
    let stderr = child.stderr.take().context("cargo's messages are piped")?;
    let artifacts = std::thread::spawn(move || read_artifacts(stdout));
    let mut said = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        progress(&line);
        said.push(line);
    }
    let status = child.wait().context("cannot wait for cargo")?;
    let artifacts = artifacts.join().map_err(|_| anyhow::anyhow!("reading cargo's output failed"))?;
    if !status.success() {
        bail!("cargo could not build {} for {TARGET} ({status}):\n{}", selected.join(" "), said.join("\n"));
    }
    Ok(artifacts)
}

fn read_artifacts(stdout: impl Read) -> BTreeMap<String, PathBuf> {
    let mut modules = BTreeMap::new();
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<CargoMessage>(&line) else { continue };
        let wasm = message.filenames.into_iter().find(|file| file.extension().is_some_and(|ext| ext == "wasm"));
        if let ("compiler-artifact", Some(target), Some(wasm)) = (message.reason.as_str(), message.target, wasm) {
            modules.insert(target.name.replace('-', "_"), wasm);
        }
    }
    modules
}

/// Writes a temporary file and renames it, so that a service starting meanwhile never reads half a file.
fn write_component(bytes: &[u8], name: &str, out_dir: &Path) -> anyhow::Result<BuiltComponent> {
    let path = out_dir.join(format!("{name}.wasm"));
    let built = BuiltComponent { path, digest: format!("sha256:{}", sha256_hex(bytes)) };
    if std::fs::read(&built.path).is_ok_and(|found| found == bytes) {
        return Ok(built);
    }
    let mut file = tempfile::NamedTempFile::new_in(out_dir).context("cannot create a file for the component")?;
    file.write_all(bytes).context("cannot write the component")?;
    file.persist(&built.path).with_context(|| format!("cannot write {}", built.path.display()))?;
    Ok(built)
}

/// The component of a package of this workspace, for tests; built once per process, its path.
///
/// # Errors
/// As [`build_components`].
pub fn component(package: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Mutex<BTreeMap<String, PathBuf>>> = OnceLock::new();
    // Held while building on purpose: a second test waits for the first one's build.
    let mut built = BUILT.get_or_init(Mutex::default).lock().map_err(|_| anyhow::anyhow!("an earlier build failed"))?;
    if let Some(path) = built.get(package) {
        return Ok(path.clone());
    }
    let root = workspace_root()?;
    let component = build_component(&root, package, &out_dir(&root), &mut |_| ())?;
    built.insert(package.to_owned(), component.path.clone());
    Ok(component.path)
}

/// One of the engine's fixtures (`host/engine/tests/fixtures/examples`) as a component; all are built once per process.
///
/// # Errors
/// As [`build_components`].
pub fn fixture(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_fixtures().map_err(|error| format!("{error:#}")));
    let path = built.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.join(format!("{name}.wasm"));
    ensure!(path.is_file(), "there is no fixture `{name}`");
    Ok(path)
}

fn build_fixtures() -> anyhow::Result<PathBuf> {
    let root = workspace_root()?;
    let (target, out_dir) = (target_dir(&root), out_dir(&root).join("fixtures"));
    std::fs::create_dir_all(&out_dir).with_context(|| format!("cannot create {}", out_dir.display()))?;
    // A workspace of its own, in the target folder of this one: its dependencies are then compiled once for both.
    let target = target.to_str().context("the target folder's name is not UTF-8")?;
    let modules = compile(
        &root.join("host/engine/tests/fixtures"),
        &["--locked", "--examples", "--target-dir", target],
        &mut |_| (),
    )?;
    for (name, module) in modules {
        let bytes = std::fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        write_component(&encode(&bytes).with_context(|| format!("{name} is not a component"))?, &name, &out_dir)?;
    }
    Ok(out_dir)
}

/// The workspace that this crate was compiled in.
pub fn workspace_root() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("host/testkit is in a workspace")?;
    ensure!(root.join("Cargo.toml").is_file(), "{} is no workspace any more", root.display());
    Ok(root.to_owned())
}

fn out_dir(root: &Path) -> PathBuf {
    target_dir(root).join("components")
}

fn target_dir(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
