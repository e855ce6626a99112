//! Results on the bus: each published once, and what others published.

pub(crate) mod follow;
pub(crate) mod publish;
pub(crate) mod publishers;
