//! The workspace's own programs, for tests outside the package that a program is in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, ensure};

use crate::components::workspace_root;
use crate::process::package_variables;

/// A program of this workspace by its file name, built as `unrip dev` builds it; once per process.
///
/// # Errors
/// It does not compile, or there is none of this name.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let dir = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    let file = dir.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?.join(name);
    ensure!(file.is_file(), "this workspace builds no program {}", file.display());
    Ok(file)
}

/// Builds all programs into the folder that this test was built into.
fn build() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("cannot tell where this program is")?;
    let dir = test.parent().filter(|dir| dir.ends_with("deps")).and_then(Path::parent);
    let dir = dir.context("not a test program: it is in no `deps` folder")?;
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root()?).args(["build", "--quiet", "--workspace", "--bins", "--profile", profile]);
    for name in package_variables() {
        command.env_remove(name);
    }
    let target = dir.parent().context("no target folder")?;
    let status = command.env("CARGO_TARGET_DIR", target).stdin(Stdio::null()).status().context("cannot run cargo")?;
    ensure!(status.success(), "the programs of the workspace do not build ({status})");
    Ok(dir.to_owned())
}
