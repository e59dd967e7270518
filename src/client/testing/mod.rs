//! For tests of programs that use the client: [`TestServer`] is a real node.

mod server;

pub use server::TestServer;
