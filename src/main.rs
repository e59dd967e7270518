//! The `shoalmq` binary: flags in, exit code out.

fn main() {}
