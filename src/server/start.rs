//! How a node starts: logging, threads, ports, the data folder, the log, then `ready`; and how its process ends.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use shoalmq_storage::fault::Fault;
use thiserror::Error;
use tracing::{debug, error, info, warn};

use super::clients::Listeners;
use super::cluster::{self, Sockets};
use super::driver::{Driver, Shared, Stop};
use super::http::{self, Http};
use super::identity::{self, Identity};
use super::persistence::{self, Scanned};
use super::process::{self, Leftover, Process};
use super::reload::Reload;
use super::{closing, listen, logging, metrics, reading, tasks, topics};
use crate::config::{BindAddress, Loaded, Sources};

/// A load that is over sooner than this is not shown to clients: their connections just wait.
const LOADING_UNSEEN: Duration = Duration::from_secs(1);

/// Why a node did not start.
#[derive(Debug, Error)]
pub(super) enum StartError {
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
    process::install_panic_hook();
    process::raise_file_limit(&mut config);
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
    let pid = process::write_pid_file(shared.driver.lock().config.pidfile.as_deref());
    metrics::start();
    Process::started();
    let stop = runtime.block_on(async {
        http.serve(&shared);
        Box::pin(serve(&shared, listeners, sockets, reload)).await
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    drop((pid, socket));
    match stop {
        Ok(Stop::Exit) => Ok(ExitCode::SUCCESS),
        Ok(Stop::Restart(delay)) => {
            std::thread::sleep(delay);
            drop(shared);
            Ok(process::restart())
        }
        Err(Failed) => Ok(ExitCode::FAILURE),
    }
}

/// The node gave up; the log says why.
pub(super) struct Failed;

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
        driver.recall_members().map_err(give_up)?;
        if driver.config.appendonly {
            driver.loading = Some(persistence::loading(&driver.config));
        } else {
            driver.identity.renew_store();
            driver.introduce_members();
            if persistence::has_files(&driver.config) {
                warn!(dir = %driver.config.dir.display(), "appendonly is no: the job log in the data folder is ignored and left as it is");
            }
        }
    }
    tokio::spawn(tasks::ticker(Arc::clone(shared)));
    tokio::spawn(tasks::housekeeping(Arc::clone(shared)));
    tokio::spawn(reading::read_for_core(Arc::clone(shared)));
    tokio::spawn(topics::follow_disk(Arc::clone(shared)));
    tokio::spawn(persistence::watch_space(Arc::clone(shared)));
    let signals = tasks::Signals::listen();
    tokio::spawn(tasks::signals(Arc::clone(shared), reload, signals));
    let mut stop = shared.stop.subscribe();
    Box::pin(load(shared, listeners, sockets)).await?;
    info!("ready");
    process::tell_systemd(&[NotifyState::Ready]);
    let asked = stop.wait_for(Option::is_some).await;
    let asked = asked
        .expect("the sender lives in `shared`")
        .unwrap_or(Stop::Exit);
    process::tell_systemd(&[NotifyState::Stopping]);
    closing::close(shared, asked).await
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
