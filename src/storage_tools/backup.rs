//! `shoalmq storage backup`: asks a running node for a copy of its log, and waits until it is there.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use indicatif::ProgressBar;
use thiserror::Error;

use super::progress;
use crate::cli::NodeArgs;
use shoalmq_client::{Connection, ConnectionError};
use shoalmq_resp::Frame;

/// How often the node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The flags of `shoalmq storage backup`.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_flag = true)]
pub(super) struct Args {
    /// Where the copy goes: an absolute path on the node's machine, of a folder that is empty or not there.
    #[arg(value_name = "DIR")]
    directory: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Error)]
enum BackupError {
    #[error(transparent)]
    Node(#[from] ConnectionError),
    #[error("{0}")]
    Refused(String),
    #[error("the backup failed: {0}")]
    Failed(String),
    #[error("the node does not tell of its backup: is it another program?")]
    Untold,
}

/// Runs it to its end.
pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(backup(args)),
        Err(error) => {
            eprintln!("shoalmq storage backup: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(records) => {
            println!("{records} records are in {} now", args.directory);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("shoalmq storage backup: {error}");
            match error {
                BackupError::Node(_) => ExitCode::from(2),
                BackupError::Refused(_) | BackupError::Failed(_) | BackupError::Untold => {
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Returns how many records were copied.
async fn backup(args: &Args) -> Result<String, BackupError> {
    let mut client = args.node.connect().await?;
    let reply = client.call(&["BACKUP", &args.directory]).await?;
    if let Some(error) = reply.as_error() {
        let text = String::from_utf8_lossy(error).into_owned();
        return Err(BackupError::Refused(text));
    }
    let bar = progress::bytes("backup", 0);
    loop {
        let fields = persistence(&mut client).await?;
        if !shows(&fields, &bar) {
            bar.finish_and_clear();
            return outcome(&fields, &args.directory);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn persistence(client: &mut Connection) -> Result<HashMap<String, String>, BackupError> {
    let reply = client.call(&["INFO", "persistence"]).await?;
    let Frame::Bulk(text) = &reply else {
        return Err(BackupError::Untold);
    };
    let text = String::from_utf8_lossy(text);
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Shows how far it is; `false` once none is made any more.
fn shows(fields: &HashMap<String, String>, bar: &ProgressBar) -> bool {
    let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok());
    if let (Some(total), Some(copied)) =
        (number("backup_total_bytes"), number("backup_copied_bytes"))
    {
        bar.set_length(total);
        bar.set_position(copied);
    }
    number("backup_in_progress") == Some(1)
}

/// What became of the backup that ended last.
fn outcome(fields: &HashMap<String, String>, directory: &str) -> Result<String, BackupError> {
    let field = |name: &str| fields.get(name).cloned();
    // Should the node have been asked for another one meanwhile, nobody knows of ours any more.
    if field("backup_last_directory").as_deref() != Some(directory) {
        return Err(BackupError::Untold);
    }
    match field("backup_last_status").as_deref() {
        Some("ok") => field("backup_last_records").ok_or(BackupError::Untold),
        _ => Err(BackupError::Failed(
            field("backup_last_error").ok_or(BackupError::Untold)?,
        )),
    }
}
