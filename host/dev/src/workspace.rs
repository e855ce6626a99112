//! Where the sources, the built programs and the scratch space are.

use std::path::{Path, PathBuf};

use unrip_operate::error::Error;

/// The places that `unrip dev` works with.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Where cargo put this program, hence the services too.
    pub bin_dir: PathBuf,
    /// Cargo's name of the profile that this program was built with.
    pub profile: String,
}

impl Workspace {
    /// Finds the workspace from the working directory upwards, or where this program was compiled.
    ///
    /// # Errors
    /// There is no workspace: `unrip dev` needs the sources.
    pub fn find() -> Result<Self, Error> {
        let cwd = std::env::current_dir().map_err(Error::file("cannot tell the working directory"))?;
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root =
            cwd.ancestors().chain(compiled.ancestors()).find(|dir| is_root(dir)).ok_or_else(|| {
                Error::Usage("no unrip workspace here: run this in a clone of the repository".to_owned())
            })?;
        let exe = std::env::current_exe().map_err(Error::file("cannot tell where this program is"))?;
        let bin_dir = without_deps(exe.parent().unwrap_or_else(|| Path::new("/"))).to_owned();
        let profile = profile_of(&bin_dir);
        Ok(Self { root: root.to_owned(), bin_dir, profile })
    }

    /// Where cargo builds.
    pub fn target_dir(&self) -> &Path {
        self.bin_dir.parent().unwrap_or(&self.bin_dir)
    }

    /// Where runs without `--dir` get their directories.
    pub fn runs_dir(&self) -> PathBuf {
        self.target_dir().join("unrip-dev")
    }

    /// Where components are built to.
    pub fn components_dir(&self) -> PathBuf {
        self.target_dir().join("components")
    }

    /// Where compiled modules are kept between runs.
    pub fn module_cache(&self) -> PathBuf {
        self.target_dir().join("module-cache")
    }
}

fn is_root(dir: &Path) -> bool {
    dir.join("Cargo.toml").is_file() && dir.join("venues").is_dir() && dir.join("wit").is_dir()
}

/// Test programs are one folder below the services.
fn without_deps(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if dir.ends_with("deps") => parent,
        _ => dir,
    }
}

/// Cargo names the folder after the profile, but for `dev`, which is in `debug`.
fn profile_of(bin_dir: &Path) -> String {
    match bin_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_profile_by_its_folder() {
        assert_eq!(profile_of(Path::new("/t/debug")), "dev");
        assert_eq!(profile_of(Path::new("/t/release")), "release");
        assert_eq!(profile_of(Path::new("/t/bench")), "bench");
        assert_eq!(profile_of(without_deps(Path::new("/t/debug/deps"))), "dev");
    }
}
