//! What the system tells of this process, from `/proc/self`; zeros where there is none.

use std::fs;
use std::sync::LazyLock;

use rustix::process::{Resource, getrlimit};

use super::clock;

/// On every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

static STARTED: LazyLock<f64> = LazyLock::new(|| clock::since_epoch().as_secs_f64());

/// What this process uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) open_files: usize,
    pub(crate) max_files: u64,
}

impl Process {
    pub(crate) fn read() -> Self {
        let (system, user) = cpu_time();
        let (virtual_bytes, resident_bytes) = memory();
        let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Process {
            cpu_seconds: system + user,
            resident_bytes,
            virtual_bytes,
            // The listing has one open itself.
            open_files: files.saturating_sub(1),
            max_files: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
        }
    }

    /// When it started, in unix seconds: the first call tells, and comes at the start.
    pub(crate) fn started() -> f64 {
        *STARTED
    }
}

/// System and user seconds.
pub(crate) fn cpu_time() -> (f64, f64) {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, which may hold anything, is in parentheses; utime and stime are the 14th and 15th fields.
    let after_name = text.rsplit(')').next().unwrap_or_default();
    let field = |index: usize| {
        let word = after_name.split_whitespace().nth(index);
        word.and_then(|word| word.parse::<f64>().ok())
    };
    let seconds = |index| field(index).unwrap_or(0.0) / TICKS_PER_SECOND;
    (seconds(12), seconds(11))
}

/// Virtual and resident bytes.
pub(crate) fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text
        .split_whitespace()
        .map(|word| word.parse::<u64>().unwrap_or(0));
    let page = rustix::param::page_size() as u64;
    let mut bytes = || pages.next().unwrap_or(0) * page;
    (bytes(), bytes())
}
