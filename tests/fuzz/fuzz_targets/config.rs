//! Any bytes as a configuration file: no panic, and what loads survives `CONFIG REWRITE`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shoalmq_fuzz::config::{Config, ConfigError, FileSource, Sources, rewritten};

#[path = "../checks/config.rs"]
mod checks;

fuzz_target!(|text: &[u8]| checks::check(text));
