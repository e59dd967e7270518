//! This process: what the system tells of it, from `/proc/self` (zeros where there is none), and what it asks of the
//! system: open files, a pid file, its own restart, and the end at a bug.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::LazyLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use shoalmq_storage::backend::log::OPEN_MOST;
use shoalmq_storage::backend::sled::panic_is_caught;
use tracing::{debug, error, warn};

use super::clock;
use crate::config::Config;

/// Files that the node itself opens: listeners, the log of events, the storage and what is read back from it; with room
/// to spare.
const FILES_OF_OUR_OWN: u64 = 64 + OPEN_MOST as u64;

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

/// Makes room for `maxclients` connections, each of which is an open file; or for as many as the system allows.
pub(super) fn raise_file_limit(config: &mut Config) {
    let wanted = u64::from(config.maxclients.get()) + FILES_OF_OUR_OWN;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let most = limit.maximum.map_or(wanted, |most| most.min(wanted));
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, wanted, "the limit of open files cannot be raised");
    }
    let granted = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    let clients = u32::try_from(granted.saturating_sub(FILES_OF_OUR_OWN)).unwrap_or(u32::MAX);
    let clients = NonZeroU32::new(clients).unwrap_or(NonZeroU32::MIN);
    if clients < config.maxclients {
        warn!(
            wanted = config.maxclients,
            clients,
            "maxclients is lowered, for the system allows no more open files: raise `ulimit -n`"
        );
        config.maxclients = clients;
    }
}

/// A bug ends the process at once: the node recovers from its log. Sled panics on damaged files, and that is no bug of
/// ours: where the storage catches it, and on the threads of sled itself, the panic becomes a fault.
pub(super) fn install_panic_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        match thread.name() {
            // It comes back as a fault, in plain words.
            _ if panic_is_caught() => debug!(%panic, "the storage engine gave up on its files"),
            Some(name) if name.starts_with("sled") => {
                warn!(%panic, thread = name, "the storage engine gave up");
            }
            name => {
                error!(%panic, thread = name, "panic");
                default(panic);
                std::process::abort();
            }
        }
    }));
}

/// Tells systemd, if it asked to be told.
pub(super) fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

/// Starts the program again in place of this process. Returns only if that fails.
pub(super) fn restart() -> ExitCode {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().unwrap_or_else(|_| "shoalmq".into());
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .exec();
    error!(%error, "restart");
    ExitCode::FAILURE
}

/// Writes the process id into a file, if one is asked for.
pub(super) fn write_pid_file(path: Option<&Path>) -> Option<Leftover> {
    let path = path?;
    match fs::write(path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(Leftover(path.to_owned())),
        Err(error) => {
            warn!(path = %path.display(), %error, "the pid file cannot be written");
            None
        }
    }
}

/// A file that means nothing without this process, removed at its end: the pid file, the Unix socket.
pub(super) struct Leftover(pub(super) PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            warn!(path = %self.0.display(), %error, "a file of this process cannot be removed");
        }
    }
}
