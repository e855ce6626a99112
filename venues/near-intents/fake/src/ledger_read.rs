//! The questions that tests ask a ledger.

use std::path::Path;

use anyhow::Context as _;

use super::ledger_lines::{Duplicate, Ended, Entry, Frame, Line, Overdrawn, Quote, Response, Settled, Verdict};

pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Line>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(n, line)| serde_json::from_slice(line).with_context(|| format!("line {}", n.saturating_add(1))))
        .collect()
}

/// A ledger as read from disk.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// All lines, oldest first.
    pub lines: Vec<Line>,
}

impl Ledger {
    /// Reads a ledger, also while its venue continues writing: an unfinished last line is left out.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no ledger line.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("read ledger {}", path.display()))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        Ok(Self { lines: parse(bytes.get(..whole).unwrap_or_default())? })
    }

    /// The auctions.
    pub fn quotes(&self) -> impl Iterator<Item = &Quote> {
        self.lines.iter().filter_map(|line| if let Entry::Quote(quote) = &line.entry { Some(quote) } else { None })
    }

    /// The frames sent on a stream (`quote`, `quote_status`, `quote_status_extended`, `injected`).
    pub fn frames(&self, stream: &str) -> impl Iterator<Item = &Frame> {
        self.lines.iter().filter_map(move |line| match &line.entry {
            Entry::Frame(frame) if frame.stream == stream => Some(frame),
            _ => None,
        })
    }

    /// The answers received and judged.
    pub fn responses(&self) -> impl Iterator<Item = &Response> {
        self.arrived().filter(|response| response.verdict != Verdict::Lost)
    }

    /// The answers that arrived but were lost on purpose.
    pub fn lost(&self) -> impl Iterator<Item = &Response> {
        self.arrived().filter(|response| response.verdict == Verdict::Lost)
    }

    fn arrived(&self) -> impl Iterator<Item = &Response> {
        self.lines.iter().filter_map(|line| match &line.entry {
            Entry::Answered(one) | Entry::Refused(one) | Entry::Declined(one) => Some(one),
            _ => None,
        })
    }

    /// The answers accepted.
    pub fn accepted(&self) -> impl Iterator<Item = &Response> {
        self.responses().filter(|response| response.verdict == Verdict::Accepted)
    }

    /// The answers accepted for one quote: more than one per account would be a fault of the venue itself.
    pub fn accepted_for(&self, quote_id: &str) -> Vec<&Response> {
        self.accepted().filter(|response| response.quote_id.as_deref() == Some(quote_id)).collect()
    }

    /// The broken promises.
    pub fn duplicates(&self) -> Vec<&Duplicate> {
        let found = |line| if let &Line { entry: Entry::Duplicate(ref one), .. } = line { Some(one) } else { None };
        self.lines.iter().filter_map(found).collect()
    }

    /// The answers that promised more than was held.
    pub fn overdrawn(&self) -> impl Iterator<Item = &Overdrawn> {
        self.lines.iter().filter_map(|line| if let Entry::Overdrawn(one) = &line.entry { Some(one) } else { None })
    }

    /// What was executed on chain.
    pub fn settled(&self) -> impl Iterator<Item = &Settled> {
        self.lines.iter().filter_map(|line| if let Entry::Settled(one) = &line.entry { Some(one) } else { None })
    }

    /// What was accepted and came to nothing: lapsed or refused by the chain.
    pub fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.lines.iter().filter_map(|line| match &line.entry {
            Entry::Lapsed(one) | Entry::Failed(one) => Some(one),
            _ => None,
        })
    }

    /// How often the venue was started on this ledger.
    pub fn starts(&self) -> usize {
        self.lines.iter().filter(|line| matches!(line.entry, Entry::Start(_))).count()
    }
}
