//! Where the log of events goes: standard error or a file, text or JSON, at a level that can be changed.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use crate::config::{Config, LogFormat, LogLevel};

/// Changes a log that is set up.
#[derive(Clone)]
pub(crate) struct LogHandle {
    level: reload::Handle<LevelFilter, Registry>,
    file: Option<Arc<LogFile>>,
}

impl std::fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogHandle")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

/// A file that is appended to, and can be reopened after it was moved away.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    file: Mutex<File>,
}

impl LogFile {
    fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }
}

/// One line's way out.
#[derive(Debug, Clone)]
enum Out {
    Error,
    File(Arc<LogFile>),
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Error => io::stderr().write(bytes),
            Out::File(file) => file.file.lock().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Error => io::stderr().flush(),
            Out::File(file) => file.file.lock().flush(),
        }
    }
}

impl<'a> MakeWriter<'a> for Out {
    type Writer = Out;

    fn make_writer(&'a self) -> Out {
        self.clone()
    }
}

/// Sets up the log of the process. Fails when the file cannot be opened.
pub(crate) fn start(config: &Config) -> io::Result<LogHandle> {
    let file = config.logfile.as_deref().map(|path| {
        let file = Mutex::new(LogFile::open(path)?);
        io::Result::Ok(Arc::new(LogFile {
            path: path.to_owned(),
            file,
        }))
    });
    let file = file.transpose()?;
    let out = file.clone().map_or(Out::Error, Out::File);
    let colours = file.is_none() && io::stderr().is_terminal();
    let (level, handle) = reload::Layer::new(filter(config.loglevel));
    let layer = fmt::layer().with_writer(out).with_target(false);
    let layer = match config.log_format {
        LogFormat::Text => layer.with_ansi(colours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // A second node in one process, as in tests, logs to where the first one does.
    let _ = tracing_subscriber::registry()
        .with(level)
        .with(layer)
        .try_init();
    Ok(LogHandle {
        level: handle,
        file,
    })
}

impl LogHandle {
    /// CONFIG SET loglevel.
    pub(crate) fn set_level(&self, level: LogLevel) {
        if let Err(error) = self.level.reload(filter(level)) {
            tracing::warn!(%error, "the log level stays as it was");
        }
    }

    /// SIGHUP: after the file was moved away, opens a new one in its place.
    pub(crate) fn reopen(&self) {
        let Some(log) = &self.file else { return };
        match LogFile::open(&log.path) {
            Ok(file) => {
                *log.file.lock() = file;
                tracing::info!(path = %log.path.display(), "log file reopened");
            }
            Err(error) => {
                tracing::warn!(path = %log.path.display(), %error, "the log file cannot be reopened");
            }
        }
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    LevelFilter::from_level(level.tracing_level())
}
