//! Exit codes, after `sysexits.h`: a supervisor can tell a bad file from a broker that is away.

/// The service was asked to stop and did.
pub const OK: u8 = 0;
/// The configuration is wrong: correct the file and start again.
pub const CONFIG: u8 = 64;
/// Something outside is not there (a broker that stayed away longer than `service.start_timeout_ms`).
pub const UNAVAILABLE: u8 = 69;
/// A bug in unrip itself.
pub const SOFTWARE: u8 = 70;
/// Durable state cannot be read or written (a full disk).
pub const STATE: u8 = 74;
/// The module cannot be loaded, was not granted what it needs, or says that it cannot go on.
pub const MODULE: u8 = 78;
