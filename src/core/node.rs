//! The node.

/// Settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {}
