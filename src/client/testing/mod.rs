//! For tests of programs that use the client: [`TestShoal`] is the core in the process, on time that stands still until it is told to
//! move; [`TestServer`] is a real node.

mod server;
mod shoal;
#[cfg(test)]
mod tests;

pub use server::TestServer;
pub use shoal::TestShoal;
pub(crate) use shoal::World;
