//! The clock that ends calls. It ticks only while a call is under way: an idle process has no wake-ups because of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// Milliseconds between two ticks: how exact a time limit is.
const TICK_MS: u64 = 5;

/// Advances the engine's epoch. Its thread ends with it.
pub(crate) struct Clock {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// Calls under way.
    calls: AtomicUsize,
    /// Whether the thread rests, for tests.
    is_resting: AtomicBool,
    is_over: AtomicBool,
}

/// While it lives the clock ticks.
pub(crate) struct Ticking<'a>(&'a Shared);

impl Clock {
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let for_thread = Arc::clone(&shared);
        let handle = thread::Builder::new().name("module-clock".to_owned()).spawn(move || for_thread.run(tick))?;
        Ok(Self { shared, thread: handle.thread().clone() })
    }

    /// Ticks until the guard is dropped. To be taken before a call's deadline is set.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        if self.shared.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
        Ticking(&self.shared)
    }

    /// Ticks until a call that may take this long is ended; the tick under way does not count.
    pub(crate) fn ticks(millis: u64) -> u64 {
        millis.div_ceil(TICK_MS).saturating_add(1)
    }
}

impl Shared {
    fn run(&self, tick: impl Fn()) {
        while !self.is_over.load(Ordering::SeqCst) {
            if self.calls.load(Ordering::SeqCst) > 0 {
                thread::sleep(Duration::from_millis(TICK_MS));
                tick();
            } else {
                self.is_resting.store(true, Ordering::SeqCst);
                // Returns at once if a call began since it was counted.
                thread::park();
                self.is_resting.store(false, Ordering::SeqCst);
            }
        }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn wait_until(done: impl Fn() -> bool) {
        while !done() {
            thread::yield_now();
        }
    }

    #[test]
    fn ticks_while_a_call_is_under_way_and_rests_otherwise() {
        let (ticks, ticked) = mpsc::channel();
        let clock = Clock::start(move || {
            let _ = ticks.send(());
        })
        .unwrap();
        let is_resting = || clock.shared.is_resting.load(Ordering::SeqCst);
        for _ in 0..3 {
            wait_until(is_resting);
            ticked.try_iter().for_each(drop);
            let (first, second) = (clock.ticking(), clock.ticking());
            ticked.recv().unwrap();
            drop(first);
            ticked.recv().unwrap();
            ticked.recv().unwrap();
            drop(second);
        }
        wait_until(is_resting);
        drop(clock);
        // The thread is gone, and its sender with it.
        assert!(ticked.iter().count() < 3);
    }
}
