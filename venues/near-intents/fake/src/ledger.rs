//! The ledger on disk: JSON lines, each durable before anything that it says is answered or sent. The ground truth of tests.
//!
//! One thread writes; what queues up while it waits for the disk goes out with one fsync.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::sync::watch;

use super::ledger_lines::{Entry, Line};

/// Lines written with one fsync, at most.
const BATCH_LINES_MAX: usize = 512;

/// How far the disk is.
#[derive(Clone, Debug, Default)]
struct Progress {
    durable: u64,
    failed: Option<String>,
}

/// The only writer of a ledger file.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Queue>,
    progress: watch::Receiver<Progress>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queue {
    next: u64,
    lines: Option<mpsc::Sender<Vec<u8>>>,
}

impl Writer {
    /// Opens or makes the ledger, takes it for this process alone, and reads what is in it.
    /// A torn last line (a crash while writing) was never answered for: it is cut off.
    pub(super) fn open(path: &Path) -> anyhow::Result<(Self, Vec<Line>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("open ledger {}", path.display()))?;
        file.try_lock().with_context(|| format!("another fake relay uses {}", path.display()))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("read ledger {}", path.display()))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
        bytes.truncate(whole);
        let lines = super::ledger_read::parse(&bytes).with_context(|| format!("ledger {}", path.display()))?;
        file.set_len(bytes.len() as u64).context("cut a torn ledger line")?;
        file.seek(SeekFrom::End(0)).context("seek in the ledger")?;
        Ok((Self::spawn(file)?, lines))
    }

    fn spawn(file: File) -> anyhow::Result<Self> {
        let (lines, queue) = mpsc::channel();
        let (progress, watched) = watch::channel(Progress::default());
        let thread = std::thread::Builder::new()
            .name("fake-relay-ledger".into())
            .spawn(move || write_all(file, &queue, &progress))
            .context("start the ledger's thread")?;
        let queue = Mutex::new(Queue { next: 0, lines: Some(lines) });
        Ok(Self { queue, progress: watched, thread: Some(thread) })
    }

    /// Queues a line and says its number. Call it under the lock of the state that the line describes, so that lines
    /// stand in the order of the changes.
    pub(super) fn append(&self, at_ms: u64, entry: Entry) -> u64 {
        // A line of strings and integers always serializes; an impossible failure would show as a gap in the ledger.
        let mut bytes = serde_json::to_vec(&Line { at_ms, entry }).unwrap_or_default();
        bytes.push(b'\n');
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.next = queue.next.saturating_add(1);
        if let Some(lines) = &queue.lines {
            // A writer that ended has said why in `progress`; a task that waits for this line hears it there.
            let _ = lines.send(bytes);
        }
        queue.next
    }

    /// Waits until the line of this number is on disk.
    pub(super) async fn durable(&self, number: u64) -> anyhow::Result<()> {
        let mut progress = self.progress.clone();
        let seen = progress.wait_for(|now| now.durable >= number || now.failed.is_some()).await?;
        match &seen.failed {
            Some(why) => Err(anyhow::anyhow!("the ledger cannot be written: {why}")),
            None => Ok(()),
        }
    }

    /// Waits until every line queued so far is on disk: a view must not tell what a crash could still undo.
    pub(super) async fn all_durable(&self) -> anyhow::Result<()> {
        let newest = self.queue.lock().unwrap_or_else(PoisonError::into_inner).next;
        self.durable(newest).await
    }

    /// Waits until more lines are on disk than when `seen` was taken.
    pub(super) async fn grown(&self, seen: u64) -> anyhow::Result<u64> {
        let mut progress = self.progress.clone();
        let now = progress.wait_for(|now| now.durable > seen || now.failed.is_some()).await?;
        Ok(now.durable)
    }

    /// How many lines of this process are on disk.
    pub(super) fn durable_lines(&self) -> u64 {
        self.progress.borrow().durable
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).lines = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_all(mut file: File, queue: &mpsc::Receiver<Vec<u8>>, progress: &watch::Sender<Progress>) {
    while let Ok(mut bytes) = queue.recv() {
        let mut lines: u64 = 1;
        while let Some(more) = (lines < BATCH_LINES_MAX as u64).then(|| queue.try_recv().ok()).flatten() {
            bytes.extend_from_slice(&more);
            lines = lines.saturating_add(1);
        }
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            progress.send_modify(|now| now.failed = Some(error.to_string()));
            return;
        }
        progress.send_modify(|now| now.durable = now.durable.saturating_add(lines));
    }
}
