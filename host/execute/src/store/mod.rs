//! The fold of the journal on disk: LMDB, one writer thread, one fsync per batch.
//!
//! The log is the truth and this is its image: it may be deleted and is then made anew from the log. It is written
//! only after the log was read (apply after commit), and nothing is dispatched before it is on disk.

mod env;
mod fold;
mod record;
mod writer;

pub use env::{Store, StoreError, StoreOptions};
pub use fold::PartitionView;
pub use record::{Checkpoint, KeptClaim, Unpublished};
pub use writer::{FoldedRecord, LogRecord, Writer};
