//! To come.
pub mod backend;
pub mod fault;
pub mod record;
