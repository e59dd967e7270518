//! The server around the core: the only code with tasks, sockets and the clock.
//!
//! | module | holds |
//! |---|---|
//! | `driver`, `gate` | the owner of the node; what a reply waits for |
//! | `clients` | from a connection that is taken in to the last reply that leaves |
//! | `listen` | opening a door, for clients, other nodes or HTTP |
//! | `admin` | what never reaches the core: AUTH, INFO, CONFIG, CLIENT … |
//! | `persistence` | the log of jobs: reading it, writing it, switching it |
//! | `closing` | a stop: jobs handed over, clients let go, the log closed |
//! | `http` | health, metrics and the API over HTTP |
//! | `identity` | the data folder: its lock, the node's id |
//! | `cluster` | the other nodes: who they are, the links to them, gossip |
//! | `clock`, `logging`, `stats`, `slowlog`, `process` | time and entropy; the log of events; figures |
//! | `metrics`, `readiness` | what Prometheus reads; whether the node should get clients |
//! | `reload` | SIGHUP: the configuration read again |

mod admin;
mod clients;
mod clock;
mod closing;
mod cluster;
mod driver;
mod gate;
mod http;
mod identity;
mod listen;
mod logging;
mod metrics;
mod persistence;
mod process;
mod readiness;
mod reading;
mod reload;
mod slowlog;
mod stats;

use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use shoalmq_core::event::Event;
use shoalmq_core::node::MemoryLevel;
use shoalmq_storage::backend::log::OPEN_MOST;
use shoalmq_storage::backend::sled::panic_is_caught;
use shoalmq_storage::fault::Fault;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{debug, error, info, warn};

use crate::config::{BindAddress, Config, Loaded, Sources};
use clients::Listeners;
use cluster::Sockets;
use driver::{Driver, Shared, Stop};
use http::Http;
use identity::Identity;
use persistence::Scanned;
use reload::Reload;

/// Files that the node itself opens: listeners, the log of events, the storage and what is read back from it; with room
/// to spare.
const FILES_OF_OUR_OWN: u64 = 64 + OPEN_MOST as u64;

/// A load that is over sooner than this is not shown to clients: their connections just wait.
const LOADING_UNSEEN: Duration = Duration::from_secs(1);

/// Why a node did not start.
#[derive(Debug, Error)]
enum StartError {
    #[error("open the log file {}: {source}; name another with --logfile", path.display())]
    Logging {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("start the threads: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Folder(#[from] identity::FolderError),
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    #[error(transparent)]
    Http(#[from] http::HttpError),
    #[error(transparent)]
    Bus(#[from] cluster::BusError),
}

/// Runs a node until it is told to stop. 0 after a clean stop, 1 when it could not start or had to give up.
///
/// `sources` is where the configuration came from: SIGHUP reads it again.
pub fn run(loaded: Loaded, sources: Sources) -> ExitCode {
    match start(loaded, sources) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shoalmq: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(loaded: Loaded, sources: Sources) -> Result<ExitCode, StartError> {
    let mut config = loaded.config;
    let reload = Reload {
        sources,
        last: config.clone(),
    };
    let logging = logging::start(&config).map_err(|source| StartError::Logging {
        path: config.logfile.clone().unwrap_or_default(),
        source,
    })?;
    install_panic_hook();
    raise_file_limit(&mut config);
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    for note in &loaded.notes {
        debug!("{note}");
    }
    let threads = usize::from(config.worker_threads.get());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime = runtime.map_err(StartError::Runtime)?;
    // A start that fails for its port leaves the folder as it is.
    let (listeners, sockets, http) = runtime.block_on(async {
        let listeners = Listeners::open(&config)?;
        let sockets = Sockets::open(&config, listeners.port)?;
        let http = Http::open(&config, listeners.port)?;
        Ok::<_, StartError>((listeners, sockets, http))
    })?;
    let identity = Identity::take(&config.dir)?;
    let shared = Arc::new(Shared::new(config, identity, logging, listeners.port));
    let socket = shared.driver.lock().config.unixsocket.clone().map(Leftover);
    let pid = write_pid_file(&shared);
    metrics::start();
    process::Process::started();
    let stop = runtime.block_on(async {
        http.serve(&shared);
        serve(&shared, listeners, sockets, reload).await
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop((pid, socket));
    match stop {
        Ok(Stop::Exit) => Ok(ExitCode::SUCCESS),
        Ok(Stop::Restart(delay)) => {
            std::thread::sleep(delay);
            drop(shared);
            Ok(restart())
        }
        Err(Failed) => Ok(ExitCode::FAILURE),
    }
}

/// The node gave up; the log says why.
struct Failed;

async fn serve(
    shared: &Arc<Shared>,
    listeners: Listeners,
    sockets: Sockets,
    reload: Reload,
) -> Result<Stop, Failed> {
    {
        let mut driver = shared.driver.lock();
        let (id, generation) = (driver.identity.id, driver.identity.generation);
        info!(version = env!("CARGO_PKG_VERSION"), %id, generation, listening = listeners.describe(), "node starts");
        warn_of_open_doors(&driver);
        if driver.config.appendonly {
            driver.loading = Some(persistence::loading(&driver.config));
        } else {
            driver.identity.renew_store();
            if persistence::has_files(&driver.config) {
                warn!(dir = %driver.config.dir.display(), "appendonly is no: the job log in the data folder is ignored and left as it is");
            }
        }
    }
    tokio::spawn(ticker(Arc::clone(shared)));
    tokio::spawn(housekeeping(Arc::clone(shared)));
    tokio::spawn(reading::read_for_core(Arc::clone(shared)));
    tokio::spawn(persistence::watch_space(Arc::clone(shared)));
    tokio::spawn(signals(Arc::clone(shared), reload));
    let mut stop = shared.stop.subscribe();
    load(shared, listeners, sockets).await?;
    info!("ready");
    tell_systemd(&[NotifyState::Ready]);
    let asked = stop.wait_for(Option::is_some).await;
    let asked = asked
        .expect("the sender lives in `shared`")
        .unwrap_or(Stop::Exit);
    tell_systemd(&[NotifyState::Stopping]);
    closing::close(shared, asked).await
}

/// Tells systemd, if it asked to be told.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

/// Loads the log, if there is one, and opens the doors: at once when the log is short, so that no client of a small node
/// ever meets LOADING; else while it is read, so that clients and probes learn how far it is.
async fn load(shared: &Arc<Shared>, listeners: Listeners, sockets: Sockets) -> Result<(), Failed> {
    let (mut listeners, mut sockets) = (Some(listeners), Some(sockets));
    let mut serve = || {
        if let Some(listeners) = listeners.take() {
            listeners.serve(shared);
        }
    };
    if shared.driver.lock().loading.is_some() {
        let mut loading = std::pin::pin!(load_log(shared, &mut sockets));
        if let Ok(loaded) = tokio::time::timeout(LOADING_UNSEEN, &mut loading).await {
            loaded?;
        } else {
            serve();
            loading.await?;
        }
    }
    // Not before the log is read, for the jobs that other nodes ask about are in it.
    if let Some(sockets) = sockets {
        cluster::open(shared, sockets).map_err(give_up)?;
    }
    serve();
    Ok(())
}

/// Reads the log, and starts the node from it. When the clock says that it stood still for long, other nodes are let in
/// before, to be asked for the time.
async fn load_log(shared: &Arc<Shared>, sockets: &mut Option<Sockets>) -> Result<(), Failed> {
    let reader = Arc::clone(shared);
    let log = beside(move || Scanned::at_start(&reader)).await?;
    let correction_ms = if log.stopped_for() > cluster::LONG_STOP {
        let asked = cluster::peers_time(shared, sockets).await;
        asked.map_err(give_up)?
    } else {
        0
    };
    let starter = Arc::clone(shared);
    beside(move || log.install(&starter, correction_ms)).await
}

/// Does what waits for the disk on a thread of its own.
async fn beside<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Fault> + Send + 'static,
) -> Result<R, Failed> {
    let done = tokio::task::spawn_blocking(work).await;
    let result = done.expect("a panic ends the process");
    result.map_err(|fault| give_up(persistence::describe(&fault)))
}

fn give_up(reason: impl std::fmt::Display) -> Failed {
    error!("{reason}");
    Failed
}

/// Gives the core its ticks.
async fn ticker(shared: Arc<Shared>) {
    loop {
        let next = shared.driver.lock().tick();
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = shared.tick_sooner.notified() => {}
        }
    }
}

/// What is looked at all the time: rates, idle clients, buffers, a disk that stalls.
async fn housekeeping(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(stats::SAMPLE_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        every.tick().await;
        let mut driver = shared.driver.lock();
        let buffered = driver.buffered_bytes() + driver.cluster.unsent_bytes();
        driver.feed(Event::ClientBuffers(buffered));
        driver.stats.short_since = match driver.node.under_replicated() {
            0 => None,
            _ => driver.stats.short_since.or_else(|| Some(Instant::now())),
        };
        let used = driver.node.used_memory();
        driver.stats.sample(used);
        if driver.node.memory_level() > MemoryLevel::Normal {
            driver.feed(Event::MemoryPressure);
        }
        let refused = driver.node.refuses_adds();
        driver.refused_adds.note(Instant::now(), refused);
        driver.close_idle();
        driver.close_unread();
        driver.watch_disk(&shared.released);
        driver.watch_rewrite();
        driver.watch_links();
        let sooner = driver.settle();
        drop(driver);
        if sooner {
            shared.tick_sooner.notify_one();
        }
    }
}

async fn signals(shared: Arc<Shared>, mut reload: Reload) {
    let listen = |kind| signal(kind).expect("a handler can be installed for this signal");
    let mut terminate = listen(SignalKind::terminate());
    let mut interrupt = listen(SignalKind::interrupt());
    let mut hangup = listen(SignalKind::hangup());
    loop {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM"),
            _ = interrupt.recv() => info!("SIGINT"),
            _ = hangup.recv() => {
                let logging = shared.driver.lock().logging.clone();
                logging.reopen();
                tell_systemd(&[NotifyState::Reloading, NotifyState::monotonic_usec_now().unwrap_or(NotifyState::MonotonicUsec(0))]);
                let reloading = Arc::clone(&shared);
                let reloaded = tokio::task::spawn_blocking(move || {
                    reload.run(&reloading);
                    reload
                });
                reload = reloaded.await.expect("a panic ends the process");
                tell_systemd(&[NotifyState::Ready]);
                continue;
            }
        }
        if shared.driver.lock().loading.is_some() && shared.stop.borrow().is_none() {
            // Nothing was promised since the start, so there is nothing to close.
            std::process::exit(0);
        }
        shared.stop.send_replace(Some(Stop::Exit));
    }
}

fn warn_of_open_doors(driver: &Driver) {
    let config = &driver.config;
    let loopback = config.bind.iter().all(|bind| match bind {
        BindAddress::Every => false,
        BindAddress::Ip(ip) => ip.is_loopback(),
        BindAddress::Name(name) => name == "localhost",
    });
    if !loopback && config.requirepass.is_none() {
        if config.protected_mode {
            warn!(
                "no password is set: protected mode turns away clients from other machines; set requirepass to let them in"
            );
        } else {
            warn!(
                "no password is set and protected-mode is no: anybody who reaches this port can use it"
            );
        }
    }
}

/// Makes room for `maxclients` connections, each of which is an open file; or for as many as the system allows.
fn raise_file_limit(config: &mut Config) {
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
fn install_panic_hook() {
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

/// Starts the program again in place of this process. Returns only if that fails.
fn restart() -> ExitCode {
    use std::os::unix::process::CommandExt;
    let program = std::env::current_exe().unwrap_or_else(|_| "shoalmq".into());
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .exec();
    error!(%error, "restart");
    ExitCode::FAILURE
}

fn write_pid_file(shared: &Shared) -> Option<Leftover> {
    let path = shared.driver.lock().config.pidfile.clone()?;
    match std::fs::write(&path, format!("{}\n", std::process::id())) {
        Ok(()) => Some(Leftover(path)),
        Err(error) => {
            warn!(path = %path.display(), %error, "the pid file cannot be written");
            None
        }
    }
}

/// A file that means nothing without this process, removed at its end: the pid file, the Unix socket.
struct Leftover(std::path::PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            warn!(path = %self.0.display(), %error, "a file of this process cannot be removed");
        }
    }
}
