//! `shoalmq storage convert`: rewrites the log for another backend.
//!
//! ```text
//! read      the whole old log: damage ends it here
//! write     every frame into the folder `convert`, synced
//! compare   what the new log holds with what was written
//! rename    convert/NEW to NEW, then OLD to OLD.converted, for each stream; then the folder `convert` goes
//! ```
//!
//! A crash leaves the old log where it was, or both in their places, with the folder `convert` beside them: no node starts
//! on that, and the same command finishes the work. Segments, frames and records stay what they are, and with them where
//! every job stands.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;
use shoalmq_storage::Store;
use shoalmq_storage::backend::Backend;
use shoalmq_storage::examine::Examined;
use shoalmq_storage::fault::{Fault, Place};
use shoalmq_storage::streams::{STREAMS, Streams};

use super::folder::Folder;
use super::verdict::{self, Health};
use super::{Disk, ToolError, Verdict, progress};

/// Where the new log is written.
const WORK: &str = "convert";
/// What the old log's name gets added.
const KEPT: &str = "converted";

/// The flags of `shoalmq storage convert`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// The backend to keep the log from now on: set `storage` to it as well.
    #[arg(long, value_name = "BACKEND")]
    to: Disk,
    /// The data folder of the node: its `dir`.
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

/// What two equal logs agree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Fingerprint {
    frames: u64,
    bytes: u64,
    /// Of all segment numbers and frames, in order.
    checksum: u32,
}

pub(super) fn run(args: &Args) -> Result<Verdict, ToolError> {
    let folder = Folder::to_write(&args.dir)?;
    let logs = folder.logs()?;
    let Some(&from) = logs.iter().find(|disk| **disk != args.to) else {
        return Err(ToolError::SameKind(args.to.name()));
    };
    let new = Streams::each(|stream| args.dir.join(args.to.folder(stream)));
    let work = args.dir.join(WORK);
    if logs.contains(&args.to) {
        // Its place was taken already, by a run that ended before the old log made way.
        if !work.is_dir() || work.join(args.to.name()).exists() {
            return Err(ToolError::InTheWay(new.jobs));
        }
    } else {
        let health = verdict::read(from, &args.dir, "read", |_| Ok(()))?;
        let (Streams { jobs, topics }, 0) = (health.examined, health.damaged) else {
            tell_damage(&health);
            return Ok(Verdict::Damaged);
        };
        let unread = "a stream that cannot be read is damaged";
        let examined = Streams {
            jobs: jobs.expect(unread),
            topics: topics.expect(unread),
        };
        for folder in new.values() {
            vacate(folder, args.to)?;
        }
        remove(&work)?;
        fs::create_dir(&work).map_err(ToolError::io("make", &work))?;
        if let Err(error) = copy(from, args, &work, &examined) {
            // It is of no use, and may be what fills the disk.
            if let Err(left) = remove(&work) {
                eprintln!("shoalmq storage convert: {left}");
            }
            return Err(error);
        }
        tell(&examined);
    }
    // The jobs first: they are there in any case, and say that the rest of the folder `convert` is whole.
    for stream in STREAMS {
        let (ready, new) = (work.join(args.to.folder(stream)), &new[stream]);
        if ready.exists() {
            vacate(new, args.to)?;
            fs::rename(&ready, new).map_err(ToolError::io("rename to", new))?;
            sync_folder(&args.dir)?;
        }
    }
    let kept = make_way(&args.dir, from)?;
    remove(&work)?;
    println!(
        "the log is {} now: start the node with `storage {}`",
        new.jobs.display(),
        args.to.name()
    );
    println!("the former one is {kept}: remove it when the node has started well");
    Ok(Verdict::Sound)
}

/// Renames the folders of the old log, the jobs last. Returns their new names.
fn make_way(dir: &Path, from: Disk) -> Result<String, ToolError> {
    let mut kept = Vec::new();
    for stream in STREAMS.into_iter().rev() {
        let old = dir.join(from.folder(stream));
        // One that never held anything leaves nothing to keep.
        if !old.exists() || vacate(&old, from).is_ok() {
            continue;
        }
        let name = free_name(dir, from.folder(stream));
        fs::rename(&old, &name).map_err(ToolError::io("rename", &old))?;
        sync_folder(dir)?;
        kept.insert(0, name.display().to_string());
    }
    Ok(kept.join(" and "))
}

fn tell(examined: &Streams<Examined>) {
    let records: u64 = examined.values().map(|seen| seen.records).sum();
    let bytes: u64 = examined.values().map(|seen| seen.bytes).sum();
    println!("converted {records} records in {bytes} bytes");
    for place in examined.values().filter_map(|seen| seen.torn) {
        println!("the log was torn at its end, {place}: what follows there was left out");
    }
}

fn open(disk: Disk, dir: &Path) -> Result<Store, ToolError> {
    Ok(Store::open(disk.kind(), dir)?)
}

fn tell_damage(health: &Health) {
    for damage in &health.damage {
        eprintln!("shoalmq storage convert: damaged {damage}");
    }
    eprintln!("shoalmq storage convert: the log is damaged; nothing was changed");
}

/// Writes the new log below `work`, whole and synced, and compares it with the old one.
fn copy(
    from: Disk,
    args: &Args,
    work: &Path,
    examined: &Streams<Examined>,
) -> Result<(), ToolError> {
    let bar = progress::bytes("write", examined.values().map(|seen| seen.bytes).sum());
    let mut sources = open(from, &args.dir)?.into_backends();
    let mut targets = open(args.to, work)?.into_backends();
    let mut written = Streams::<Fingerprint>::default();
    for stream in STREAMS {
        let target = &mut targets[stream];
        let torn = examined[stream].torn;
        written[stream] = frames(sources[stream].as_mut(), torn, |segment, frame| {
            bar.inc(frame.len() as u64);
            target.append(segment, frame).map(drop)
        })?;
        target.sync()?;
    }
    bar.finish_and_clear();
    drop((sources, targets));
    let mut compared = open(args.to, work)?.into_backends();
    for stream in STREAMS {
        if fingerprint(compared[stream].as_mut())? != written[stream] {
            return Err(ToolError::Miswritten(work.to_owned()));
        }
    }
    drop(compared);
    sync_folder(work)
}

fn fingerprint(backend: &mut dyn Backend) -> Result<Fingerprint, ToolError> {
    let bar = progress::counter("compare");
    let found = frames(backend, None, |_, frame| {
        bar.inc(frame.len() as u64);
        Ok(())
    });
    bar.finish_and_clear();
    found
}

/// Visits every frame, the last one up to where it is torn.
fn frames(
    backend: &mut dyn Backend,
    torn: Option<Place>,
    mut visit: impl FnMut(Segment, &[u8]) -> Result<(), Fault>,
) -> Result<Fingerprint, ToolError> {
    let mut seen = Fingerprint::default();
    backend.replay(&mut |segment, sequence, frame| {
        let whole = match torn {
            Some(Place::Record {
                sequence: torn,
                offset,
                ..
            }) if torn == sequence => &frame[..offset],
            _ => frame,
        };
        if whole.is_empty() {
            return Ok(());
        }
        seen.frames += 1;
        seen.bytes += whole.len() as u64;
        seen.checksum = crc32c::crc32c_append(seen.checksum, &segment.to_le_bytes());
        seen.checksum = crc32c::crc32c_append(seen.checksum, whole);
        visit(segment, whole)
    })?;
    Ok(seen)
}

/// The first name that nothing has yet.
fn free_name(dir: &Path, folder: &str) -> PathBuf {
    let name = |number: u32| match number {
        1 => dir.join(format!("{folder}.{KEPT}")),
        _ => dir.join(format!("{folder}.{KEPT}-{number}")),
    };
    let mut number = 1;
    while name(number).exists() {
        number += 1;
    }
    name(number)
}

/// Removes the folder of a log that holds none: a node that was refused, or stopped before it wrote anything, may have
/// left it. What else is in there is not ours.
fn vacate(folder: &Path, disk: Disk) -> Result<(), ToolError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries = entries.map_err(ToolError::io("read", folder))?;
    let ours = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        name.to_str().is_some_and(|name| disk.kind().leaves(name))
    };
    if !entries.iter().all(ours) {
        return Err(ToolError::InTheWay(folder.to_owned()));
    }
    remove(folder)
}

fn remove(folder: &Path) -> Result<(), ToolError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ToolError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<(), ToolError> {
    shoalmq_storage::backup::sync_folder(folder).map_err(ToolError::io("sync", folder))
}
