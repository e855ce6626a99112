//! Compiled modules on disk, so that a start does not compile what was compiled before.
//!
//! What is read back runs as native code, so only what this host wrote is taken: the directory is the owner's alone,
//! a file carries the hash of its content, and anything odd means compiling again, never failing.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;

/// Length of the hash at the start of a file.
const HASH_BYTES: usize = 32;
/// Permission bits that make a directory unfit: the group or others may write.
const OTHERS_MAY_WRITE: u32 = 0o022;

pub(crate) struct Cache {
    dir: PathBuf,
    /// Of wasmtime's version and every setting that shapes the code.
    engine: String,
}

impl Cache {
    /// The cache in `dir`; none, with a warning, where it cannot be trusted or written.
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        if let Err(reason) = prepare(dir) {
            tracing::warn!(dir = %dir.display(), reason, "compiled modules are not cached: module.cache_dir cannot be used");
            return None;
        }
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Some(Self { dir: dir.to_owned(), engine: hex::encode(hasher.0.finalize()) })
    }

    /// The compiled form of the component with this digest, if a whole one is there.
    pub(crate) fn get(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let bytes = fs::read(&path).ok()?;
        let (hash, code) = bytes.split_at_checked(HASH_BYTES)?;
        if Sha256::digest(code).as_slice() != hash {
            tracing::warn!(path = %path.display(), "a cached compiled module is damaged; compiling again");
            return None;
        }
        #[allow(
            unsafe_code,
            reason = "wasmtime cannot know who wrote the bytes: we did, and no one else can (see the module's head)"
        )]
        let component = unsafe { Component::deserialize(engine, code) };
        component
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "a cached compiled module does not load; compiling again"))
            .ok()
    }

    /// Keeps a compiled component. A failure costs the next start its compilation, nothing else.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let code = match component.serialize() {
            Ok(code) => code,
            Err(error) => return tracing::warn!(%error, "a compiled module cannot be cached"),
        };
        if let Err(error) = write(&path, &code) {
            tracing::warn!(path = %path.display(), %error, "a compiled module cannot be cached");
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.cwasm", self.engine))
    }
}

fn prepare(dir: &Path) -> Result<(), String> {
    let text = |error: std::io::Error| error.to_string();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(text)?;
    let found = fs::metadata(dir).map_err(text)?;
    if found.mode() & OTHERS_MAY_WRITE != 0 {
        return Err(format!("others may write to it (mode {:o}); chmod 700 it", found.mode() & 0o7777));
    }
    // A file of ours has our owner: a directory of another user is not to be trusted.
    let probe = temporary(dir);
    let owner = fs::File::create(&probe).and_then(|file| file.metadata()).map(|data| data.uid());
    let _ = fs::remove_file(&probe);
    match owner {
        Ok(uid) if uid == found.uid() => Ok(()),
        Ok(_) => Err("it belongs to another user".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whole or not at all: a reader never sees half a file.
fn write(path: &Path, code: &[u8]) -> std::io::Result<()> {
    let part = temporary(path.parent().unwrap_or_else(|| Path::new(".")));
    let mut file = fs::File::create_new(&part)?;
    let written = file
        .write_all(&Sha256::digest(code))
        .and_then(|()| file.write_all(code))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

/// A name that no other thread or process uses.
fn temporary(dir: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    dir.join(format!(".{}-{}.part", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)))
}

/// The engine's settings as SHA-256: the standard hasher's 64 bits may change with the toolchain.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
