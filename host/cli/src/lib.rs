//! What can be typed after `unrip`.

pub mod args;
