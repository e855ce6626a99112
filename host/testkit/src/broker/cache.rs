//! Where broker programs are kept: each version in a folder of its own, complete or not there at all.

use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::{BrokerChoice, Progress};

/// The folder of a program.
pub(super) fn place(choice: &BrokerChoice, name: &str) -> anyhow::Result<PathBuf> {
    Ok(root(choice)?.join(name))
}

fn root(choice: &BrokerChoice) -> anyhow::Result<PathBuf> {
    if let Some(dir) = &choice.cache_dir {
        return Ok(dir.clone());
    }
    let home = std::env::var_os("HOME").context("HOME is not set: name a cache folder")?;
    Ok(Path::new(&home).join(".cache/unrip/brokers"))
}

pub(super) fn progress(choice: &BrokerChoice) -> Progress {
    choice.progress.clone().unwrap_or_else(|| Arc::new(to_stderr))
}

#[allow(clippy::print_stderr, reason = "a person waits for minutes here and no one asked for another place")]
fn to_stderr(line: &str) {
    eprintln!("{line}");
}

/// The program's folder, filled by `fill` where it is not there. `fill` gets a folder that no one sees yet; `finish`
/// runs once in the final one. Two processes at once do it one after the other.
pub(super) fn ensure(
    choice: &BrokerChoice,
    name: &str,
    fill: impl FnOnce(&Path, &Progress) -> anyhow::Result<()>,
    finish: impl FnOnce(&Path, &Progress) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let (root, place) = (root(choice)?, place(choice, name)?);
    if place.is_dir() {
        return Ok(place);
    }
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    let progress = progress(choice);
    let lock = File::create(root.join(format!("{name}.lock")))?;
    if let Err(TryLockError::WouldBlock) = lock.try_lock() {
        progress(&format!("{name}: another process is fetching it; waiting"));
    }
    lock.lock()?;
    if place.is_dir() {
        return Ok(place);
    }
    let half = root.join(format!("{name}.half"));
    if half.exists() {
        fs::remove_dir_all(&half)?;
    }
    fs::create_dir_all(&half)?;
    fill(&half, &progress)?;
    fs::rename(&half, &place)?;
    finish(&place, &progress)?;
    progress(&format!("{name}: ready in {}", place.display()));
    Ok(place)
}

/// Runs a command and hands on what it says, line by line.
pub(super) fn run(mut command: Command, what: &str, progress: &Progress) -> anyhow::Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {what}"))?;
    let mut last = String::new();
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            progress(&line);
            last = line;
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{what} ended with {status}: {last}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_a_folder_once_and_never_shows_half_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let choice = BrokerChoice { cache_dir: Some(dir.path().to_owned()), ..BrokerChoice::default() };
        let failed = ensure(
            &choice,
            "x",
            |half, _| {
                fs::write(half.join("a"), "")?;
                bail!("no net")
            },
            |_, _| Ok(()),
        );
        assert!(failed.is_err());
        assert!(!dir.path().join("x").exists());
        let place = ensure(&choice, "x", |half, _| Ok(fs::write(half.join("b"), "")?), |_, _| Ok(())).unwrap();
        assert!(place.join("b").exists() && !place.join("a").exists());
        ensure(&choice, "x", |_, _| bail!("filled twice"), |_, _| Ok(())).unwrap();
    }
}
