//! The WIT line v0.1.

pub(crate) mod bindings;
