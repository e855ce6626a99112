//! W3C trace context: one trace-id along a chain of records, a span of its own for each record.

use std::fmt;
use std::str::FromStr;

/// The `traceparent` header, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Shared by every record of a chain, from ingest to result.
    pub trace_id: [u8; 16],
    /// Of the record that carries the header.
    pub span_id: [u8; 8],
}

/// A header that is not a version 00 `traceparent`. Start a new trace instead.
#[derive(Debug, thiserror::Error)]
#[error("not a version 00 traceparent")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The header of a record made because of this one, with a fresh span id.
    pub fn child(self, span_id: [u8; 8]) -> Self {
        Self { span_id, ..self }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", hex::encode(self.trace_id), hex::encode(self.span_id))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('-');
        let (Some("00"), Some(trace), Some(span), Some(flags), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidTraceParent);
        };
        let mut parent = Self { trace_id: [0; 16], span_id: [0; 8] };
        hex::decode_to_slice(trace, &mut parent.trace_id).map_err(|_| InvalidTraceParent)?;
        hex::decode_to_slice(span, &mut parent.span_id).map_err(|_| InvalidTraceParent)?;
        if flags.len() != 2 || parent.trace_id == [0; 16] || parent.span_id == [0; 8] {
            return Err(InvalidTraceParent);
        }
        Ok(parent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_trace_and_changes_the_span() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(parent.to_string(), text);
        let child = parent.child([1; 8]);
        assert_eq!(child.trace_id, parent.trace_id);
        assert_eq!(child.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-0101010101010101-01");
    }

    #[test]
    fn refuses_zero_ids_and_other_versions() {
        for text in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert!(text.parse::<TraceParent>().is_err(), "{text}");
        }
    }
}
