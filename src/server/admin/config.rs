//! CONFIG: reading and changing what the node runs with.

use std::sync::Arc;

use shoalmq_core::event::Event;
use shoalmq_core::node::Log;

use super::{Answer, ok};
use crate::command::admin::Config as Command;
use crate::command::{Failure, ServerError};
use crate::config::{RewriteError, SetError};
use crate::server::clients::Execution;
use crate::server::driver::{Driver, Shared, settings};
use crate::server::persistence::{LogState, describe};
use shoalmq_resp::encode;

pub(super) fn run(execution: &mut Execution<'_>, command: &Command<'_>) -> Answer {
    match *command {
        Command::Get(pattern) => get(execution, pattern),
        Command::Set { name, value } => set(execution, name, value),
        Command::ResetStat => {
            execution.driver.stats.reset();
            ok(execution)
        }
        Command::Rewrite => match execution.driver.config.rewrite() {
            Ok(()) => ok(execution),
            Err(RewriteError::NoFile) => Err(ServerError::NoConfigFile.into()),
            Err(error) => {
                Failure::from(ServerError::ConfigRewrite(&describe(&error))).encode(execution.out);
                Ok(())
            }
        },
    }
}

fn get(execution: &mut Execution<'_>, pattern: &[u8]) -> Answer {
    let values = execution.driver.config.get(pattern);
    encode::map(execution.out, execution.session.protocol, values.len());
    for (name, value) in values {
        encode::bulk(execution.out, name.as_bytes());
        encode::bulk(execution.out, value.as_bytes());
    }
    Ok(())
}

fn set(execution: &mut Execution<'_>, name: &[u8], value: &[u8]) -> Answer {
    let before = execution.driver.config.clone();
    let refused = match execution.driver.config.set(name, value) {
        Ok(row) => match apply(execution.driver, execution.shared, row.name) {
            Ok(()) => return ok(execution),
            Err(reason) => {
                execution.driver.config = before;
                let line = format!("ERR CONFIG SET {}: {reason}", row.name);
                Failure::from(ServerError::Verbatim(line.as_bytes())).encode(execution.out);
                return Ok(());
            }
        },
        Err(refused) => refused,
    };
    let (allowed, folder);
    let error = match &refused {
        SetError::Unsupported { advice } => {
            // What follows may be a password: `requirepass=secret`.
            let mut parts = name.split(|&byte| byte == b'=');
            let name = parts.next().unwrap_or_default();
            ServerError::ConfigUnsupported { name, advice }
        }
        SetError::Invalid { row } => {
            allowed = row.allowed.to_string();
            ServerError::ConfigValue {
                name,
                value: (!row.is_secret()).then_some(value),
                allowed: &allowed,
            }
        }
        SetError::Dir(error) => {
            folder = crate::config::plain(error);
            ServerError::ConfigFolder(&folder)
        }
    };
    Failure::from(error).encode(execution.out);
    Ok(())
}

/// The core hears of its settings.
fn configure(driver: &mut Driver) {
    let log = if driver.log.journal().is_some() {
        Log::On
    } else {
        Log::Off
    };
    let settings = settings(&driver.config, log);
    driver.feed(Event::Configured(settings));
}

/// Carries a change out. What is not named here is read where it is used.
pub(in crate::server) fn apply(
    driver: &mut Driver,
    shared: &Arc<Shared>,
    name: &str,
) -> Result<(), String> {
    match name {
        "maxmemory" | "maxmemory-policy" | "memory-policy" | "default-replicate"
        | "result-max-size" | "min-replicate" | "heal-delay" | "leaving-grace"
        | "metrics-max-queues" | "metrics-max-topics" | "topic-max-memory" | "topic-max-disk"
        | "topic-dedup-window" | "topic-replicate" | "topic-stall" => {
            configure(driver);
        }
        "appendfsync" => {
            driver.set_policy(shared);
            configure(driver);
        }
        "cluster-node-timeout" => driver.configure_membership(),
        "appendonly" => match (driver.config.appendonly, &driver.log) {
            (true, LogState::Off) => driver
                .switch_log_on(shared)
                .map_err(|fault| describe(&fault))?,
            (false, LogState::On(_)) if driver.node.spilled_jobs() > 0 => {
                let jobs = driver.node.spilled_jobs();
                return Err(format!("the bodies of {jobs} jobs are in the log alone"));
            }
            (false, LogState::On(_)) if driver.node.has_topics_in_log_alone() => {
                return Err("entries of topics are in the log alone".to_owned());
            }
            (false, LogState::On(_)) => {
                driver
                    .switch_log_off(shared)
                    .map_err(|fault| describe(fault.as_ref()))?;
            }
            (true, LogState::On(_)) | (false, LogState::Off) => {}
        },
        "loglevel" => driver.logging.set_level(driver.config.loglevel),
        "slowlog-max-len" => driver
            .slowlog
            .truncate(driver.config.slowlog_max_len as usize),
        _ => {}
    }
    Ok(())
}
