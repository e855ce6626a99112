//! How values lie on disk: fixed fields in order, texts behind their length. Written and read only by this program;
//! another order or field is another [`super::env`] layout.

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp, Uuid};

use unrip_protocol::fold::{ClaimMark, Entry, Fence, Head, OutcomeMark};

/// A value that the store keeps.
pub(super) trait Stored: Sized {
    /// Appends it.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes it from the front; `None` where it is not one.
    fn read(input: &mut &[u8]) -> Option<Self>;
}

/// The bytes of a value.
pub(super) fn encode<T: Stored>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(ENTRY_BYTES);
    value.write(&mut out);
    out
}

/// The value of these bytes, all of them.
pub(super) fn decode<T: Stored>(mut bytes: &[u8]) -> Option<T> {
    let value = T::read(&mut bytes)?;
    bytes.is_empty().then_some(value)
}

/// About what an entry takes.
const ENTRY_BYTES: usize = 512;

fn take<'a>(input: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

fn array<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    take(input, N)?.try_into().ok()
}

impl Stored for i64 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        array(input).map(Self::from_be_bytes)
    }
}

impl Stored for u32 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_be_bytes());
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        array(input).map(Self::from_be_bytes)
    }
}

impl Stored for Timestamp {
    fn write(&self, out: &mut Vec<u8>) {
        self.micros().write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        i64::read(input).map(Self::from_micros)
    }
}

impl Stored for Uuid {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.as_bytes());
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        array(input).map(Self::from_bytes)
    }
}

impl Stored for CommandId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.as_bytes());
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        array(input).map(Self::from_bytes)
    }
}

impl Stored for String {
    fn write(&self, out: &mut Vec<u8>) {
        // A record's text is far below 4 GiB: no topic takes so much.
        u32::try_from(self.len()).unwrap_or(u32::MAX).write(out);
        out.extend(self.as_bytes());
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::read(input)?).ok()?;
        std::str::from_utf8(take(input, length)?).ok().map(str::to_owned)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        match array(input)? {
            [0] => Some(None),
            [1] => T::read(input).map(Some),
            _ => None,
        }
    }
}

impl Stored for ResultStatus {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Executed => 0,
            Self::Rejected => 1,
            Self::NotExecuted => 2,
            Self::Expired => 3,
            Self::Unresolved => 4,
        });
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        Some(match array(input)? {
            [0] => Self::Executed,
            [1] => Self::Rejected,
            [2] => Self::NotExecuted,
            [3] => Self::Expired,
            [4] => Self::Unresolved,
            _ => return None,
        })
    }
}

/// Writes and reads a struct's fields in the order given.
macro_rules! stored {
    ($($name:ident { $($field:ident),* $(,)? })*) => {
        $(impl $crate::store::encoding::Stored for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $($crate::store::encoding::Stored::write(&self.$field, out);)*
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                $(let $field = $crate::store::encoding::Stored::read(input)?;)*
                Some(Self { $($field),* })
            }
        })*
    };
}

pub(super) use stored;

stored! {
    Fence { offset, event_id }
    ClaimMark { offset, fence_offset }
    OutcomeMark { offset, status }
    Head { id, venue, event_id, offset, idempotency_key, content_hash, origin, dispatch_by, deadline }
    Entry { head, claim, outcome, evidence, decision }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_written_and_refuses_what_was_not() {
        let mark = ClaimMark { offset: 7, fence_offset: -3 };
        let bytes = encode(&mark);
        assert_eq!(decode(&bytes), Some(mark));
        for cut in 0..bytes.len() {
            assert_eq!(decode::<ClaimMark>(&bytes[..cut]), None);
        }
        assert_eq!(decode::<ClaimMark>(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(decode::<Option<i64>>(&[2]), None);
        assert_eq!(decode::<String>(&[0, 0, 0, 1, 0xff]), None, "not UTF-8");
    }
}
