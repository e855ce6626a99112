//! What can go wrong with the disk, and what to do then.

use std::io;
use std::path::{Path, PathBuf};

use heed::MdbError;

/// Layout of the databases; another one on disk is refused.
pub(super) const LAYOUT_VERSION: u32 = 2;

/// Why the store cannot be used. Every variant but `Locked` and `Layout` may also mean a broken disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{dir}: another executor has this state open; give each its own execute.state_dir")]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The map is full.
    #[error("{dir}: the state is full at its limit of {map_bytes} bytes; raise execute.map_bytes")]
    MapFull {
        /// The folder.
        dir: PathBuf,
        /// The limit.
        map_bytes: usize,
    },
    /// The disk is full, or reading or writing failed.
    #[error("{dir}: {source}; free space or mend the disk, then start again (nothing is lost: the journal holds it)")]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Written by a program with another layout.
    #[error(
        "{dir}: the state has layout {found}, this program writes {LAYOUT_VERSION}; delete the folder, it is rebuilt from the journal"
    )]
    Layout {
        /// The folder.
        dir: PathBuf,
        /// What it says.
        found: String,
    },
    /// A value that this program did not write, or LMDB's own error.
    #[error("{dir}: the state is damaged ({reason}); delete the folder, it is rebuilt from the journal")]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The writer thread has ended after an earlier error.
    #[error("the state's writer has stopped")]
    Stopped,
}

/// LMDB's error as one of ours.
pub(super) fn map_error(dir: &Path, map_bytes: usize, error: heed::Error) -> StoreError {
    let dir = dir.to_path_buf();
    match error {
        heed::Error::Mdb(MdbError::MapFull) => StoreError::MapFull { dir, map_bytes },
        heed::Error::Io(source) => StoreError::Io { dir, source },
        // LMDB hands on what the system said as a bare number.
        heed::Error::Mdb(MdbError::Other(code)) => StoreError::Io { dir, source: io::Error::from_raw_os_error(code) },
        // After a failed write LMDB refuses everything until it is opened again; what was committed is whole.
        heed::Error::Mdb(MdbError::Panic) => {
            StoreError::Io { dir, source: io::Error::other("a write to the disk failed (MDB_PANIC)") }
        }
        other => StoreError::Damaged { dir, reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_the_disk_names_its_cure() {
        const ENOSPC: i32 = 28;
        let says = |error: heed::Error| map_error(Path::new("/state"), 4_096, error).to_string();
        for (error, found, cure) in [
            (MdbError::MapFull, "4096 bytes", "raise execute.map_bytes"),
            (MdbError::Other(ENOSPC), "No space left", "free space"),
            (MdbError::Panic, "MDB_PANIC", "start again"),
            (MdbError::Corrupted, "damaged", "delete the folder"),
        ] {
            let text = says(heed::Error::Mdb(error));
            assert!(text.contains(found) && text.contains(cure), "{text}");
        }
        let text = says(heed::Error::Io(io::Error::from_raw_os_error(ENOSPC)));
        assert!(text.contains("No space left") && text.contains("nothing is lost"), "{text}");
    }
}
