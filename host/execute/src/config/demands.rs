//! What the executor demands of topics and broker.

/// What the refusals at start depend on.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// Whether what only a development broker lacks is refused.
    pub production: bool,
    /// `execute.deadline_ms_max`.
    pub deadline_ms_max: i64,
    /// `execute.clock_skew_ms_max`.
    pub clock_skew_ms_max: i64,
}
