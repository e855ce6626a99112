//! Where the output of a run goes: progress to stderr, events to stdout unless stdout is reserved for the summary.

use std::sync::Arc;
use std::time::Instant;

/// Prints. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Say {
    started_at: Arc<Instant>,
    events: Events,
}

#[derive(Clone, Copy, Debug)]
enum Events {
    Stdout,
    Stderr,
    Nowhere,
}

impl Say {
    /// `json`: stdout is for the summary alone. `quiet`: no events at all.
    pub fn new(json: bool, quiet: bool) -> Self {
        let events = match (quiet, json) {
            (true, _) => Events::Nowhere,
            (false, true) => Events::Stderr,
            (false, false) => Events::Stdout,
        };
        Self { started_at: Arc::new(Instant::now()), events }
    }

    /// A line about what is being done.
    #[allow(clippy::print_stderr, reason = "progress is for the person at the terminal")]
    pub fn progress(&self, text: &str) {
        eprintln!("{:>8.2}s  {text}", self.started_at.elapsed().as_secs_f64());
    }

    /// A line about a record.
    #[allow(clippy::print_stdout, clippy::print_stderr, reason = "events are what the command shows")]
    pub fn event(&self, text: &str) {
        let seconds = self.started_at.elapsed().as_secs_f64();
        match self.events {
            Events::Stdout => println!("{seconds:>8.2}s  {text}"),
            Events::Stderr => eprintln!("{seconds:>8.2}s  {text}"),
            Events::Nowhere => {}
        }
    }

    /// The end of it all.
    #[allow(clippy::print_stdout, reason = "the summary is what the command is for")]
    pub fn summary(&self, text: &str) {
        println!("{text}");
    }
}
