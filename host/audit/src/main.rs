//! `unrip-audit --config FILE`.

fn main() {}
