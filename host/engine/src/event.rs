//! Canonical events of any kind, in the words of the bus.

use unrip_core::Payload;
use unrip_core::event::canonical::{BookTop, SwapDemand, SwapSettlement, Trade};

/// Any canonical event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CanonicalEvent {
    /// Somebody asks to swap.
    SwapDemand(SwapDemand),
    /// What became of a quote.
    SwapSettlement(SwapSettlement),
    /// The best prices of a book.
    BookTop(BookTop),
    /// A trade at the venue.
    Trade(Trade),
}

impl CanonicalEvent {
    /// The payload's name on the bus.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::SwapDemand(_) => SwapDemand::EVENT_TYPE,
            Self::SwapSettlement(_) => SwapSettlement::EVENT_TYPE,
            Self::BookTop(_) => BookTop::EVENT_TYPE,
            Self::Trade(_) => Trade::EVENT_TYPE,
        }
    }

    /// What stands after `<venue>/` in the record's key: the instrument, of a settlement its quote hash.
    pub fn key(&self) -> &str {
        match self {
            Self::SwapDemand(event) => &event.instrument,
            Self::SwapSettlement(event) => &event.quote_hash,
            Self::BookTop(event) => &event.instrument,
            Self::Trade(event) => &event.instrument,
        }
    }
}
