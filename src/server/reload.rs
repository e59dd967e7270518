//! SIGHUP: the configuration is read again, and what changed in it carried out.
//!
//! What CONFIG SET changed meanwhile stays, unless the file says something new about it. What only a start can change is
//! named in the log.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::driver::Shared;
use super::{admin, metrics};
use crate::config::{Change, Config, Sources};

/// Where the configuration comes from, and what it said last.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) sources: Sources,
    pub(super) last: Config,
}

impl Reload {
    /// Reads it again. Nothing changes when it cannot be read.
    pub(super) fn run(&mut self, shared: &Arc<Shared>) {
        let loaded = match Config::load(self.sources.clone()) {
            Ok(loaded) => loaded,
            Err(error) => {
                error!("the configuration is not reloaded: {error}");
                metrics::note_reload(false);
                return;
            }
        };
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        let (mut changed, mut succeeded) = (0, true);
        let mut last = loaded.config.clone();
        for row in self.last.changes(&loaded.config) {
            if row.change != Change::AtRunTime {
                warn!(
                    directive = row.name,
                    "changed in the configuration: it needs a restart"
                );
                continue;
            }
            let mut driver = shared.driver.lock();
            let before = driver.config.clone();
            driver.config.adopt(row, &loaded.config);
            let applied = if driver.config.dir.is_dir() {
                admin::config::apply(&mut driver, shared, row.name)
            } else {
                Err("there is no such folder".to_owned())
            };
            match applied {
                Ok(()) => {
                    changed += 1;
                    let value = if row.is_secret() {
                        "***".to_owned()
                    } else {
                        row.value(&driver.config)
                    };
                    info!(directive = row.name, value, "changed");
                }
                Err(reason) => {
                    driver.config = before;
                    error!(directive = row.name, reason, "not changed");
                    // The next reload tries again.
                    last.adopt(row, &self.last);
                    succeeded = false;
                }
            }
            let sooner = driver.settle();
            drop(driver);
            if sooner {
                shared.tick_sooner.notify_one();
            }
        }
        info!(changed, "configuration reloaded");
        self.last = last;
        metrics::note_reload(succeeded);
    }
}
