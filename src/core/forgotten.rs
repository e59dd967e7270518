//! The ids that this node acknowledged, collected, or was told to forget: against copies that come late.

/// A ring of ids.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {}
