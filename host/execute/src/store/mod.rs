//! The fold of the journal on disk: LMDB, one writer thread, one fsync per batch.
//!
//! The log is the truth and this is its image: it may be deleted and is then rebuilt from the log. It is written
//! only after the log was read (apply after commit), and nothing is dispatched before it is on disk. Beside the fold
//! lie the records that publication, recovery and a re-seed of the journal need, until nothing can ask for them.

mod batch;
mod databases;
mod encoding;
mod env;
mod error;
mod fold;
mod record;
mod sweep;
mod writer;

pub use batch::{FoldedRecord, LogRecord};
pub use env::{Store, StoreOptions};
pub use error::StoreError;
pub use fold::{Fold, PartitionView, Reading};
pub use record::{Checkpoint, Keeping, KeptClaim, KeptOutcome, LogEnd, Unpublished};
pub use writer::Writer;
