//! `shoalmq storage convert`: the log anew, for another backend.
//!
//! ```text
//! read      the whole old log: damage ends it here
//! write     every frame into the folder `convert`, synced
//! compare   the new log with the old one
//! rename    convert/NEW to NEW, then OLD to OLD.converted: from here on, NEW is the log
//! ```
//!
//! A crash leaves the old log where it was until the very last step, or both, which are equal then: the same command
//! finishes the work. Segments, frames and records stay what they are, and with them where every job stands.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use shoalmq_core::record::Segment;
use shoalmq_storage::Store;
use shoalmq_storage::backend::Backend;
use shoalmq_storage::fault::{Fault, Place};

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
    let health = verdict::read(open(from, &args.dir), "read", |_| Ok(()))?;
    let Some(examined) = health.examined.filter(|seen| seen.damaged == 0) else {
        tell_damage(&health);
        return Ok(Verdict::Damaged);
    };
    let (new, old) = (args.dir.join(args.to.name()), args.dir.join(from.name()));
    let mut source = open(from, &args.dir)?.into_backend();
    let expected = if logs.contains(&args.to) {
        // A crash between the two renames, or somebody else's log.
        let found = fingerprint(open(args.to, &args.dir)?.into_backend().as_mut(), None)?;
        let expected = fingerprint(source.as_mut(), examined.torn)?;
        if found != expected {
            return Err(ToolError::InTheWay(new));
        }
        expected
    } else {
        let work = args.dir.join(WORK);
        remove(&work)?;
        fs::create_dir(&work).map_err(ToolError::io("make", &work))?;
        let mut target = open(args.to, &work)?.into_backend();
        let written = copy(
            source.as_mut(),
            target.as_mut(),
            examined.torn,
            examined.bytes,
        )?;
        drop(target);
        let read = fingerprint(open(args.to, &work)?.into_backend().as_mut(), None)?;
        if read != written {
            return Err(ToolError::Miswritten(work));
        }
        sync_below(&work)?;
        fs::rename(work.join(args.to.name()), &new).map_err(ToolError::io("rename to", &new))?;
        sync_folder(&args.dir)?;
        remove(&work)?;
        written
    };
    drop(source);
    let kept = free_name(&args.dir, from);
    fs::rename(&old, &kept).map_err(ToolError::io("rename", &old))?;
    sync_folder(&args.dir)?;
    println!(
        "{} records in {} bytes are in {} now; start the node with `storage {}`\nthe former log is {}: remove it when the node has started well",
        examined.records,
        expected.bytes,
        new.display(),
        args.to.name(),
        kept.display(),
    );
    if let Some(place) = examined.torn {
        println!("it was torn at its end, {place}: what follows there was left out");
    }
    Ok(Verdict::Sound)
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

/// Copies every frame, and syncs.
fn copy(
    source: &mut dyn Backend,
    target: &mut dyn Backend,
    torn: Option<Place>,
    bytes: u64,
) -> Result<Fingerprint, ToolError> {
    let bar = progress::bytes("write", bytes);
    let written = frames(source, torn, &mut |segment, frame| {
        bar.inc(frame.len() as u64);
        target.append(segment, frame).map(drop)
    })?;
    target.sync()?;
    bar.finish_and_clear();
    Ok(written)
}

fn fingerprint(backend: &mut dyn Backend, torn: Option<Place>) -> Result<Fingerprint, ToolError> {
    let bar = progress::counter("compare");
    let found = frames(backend, torn, &mut |_, frame| {
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
    visit: &mut dyn FnMut(Segment, &[u8]) -> Result<(), Fault>,
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
fn free_name(dir: &Path, disk: Disk) -> PathBuf {
    let name = |number: u32| match number {
        1 => dir.join(format!("{}.{KEPT}", disk.name())),
        _ => dir.join(format!("{}.{KEPT}-{number}", disk.name())),
    };
    let mut number = 1;
    while name(number).exists() {
        number += 1;
    }
    name(number)
}

fn remove(folder: &Path) -> Result<(), ToolError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ToolError::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}

/// Syncs all files and folders below: whether or not the engine did.
fn sync_below(folder: &Path) -> Result<(), ToolError> {
    let read = || fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    for entry in read().map_err(ToolError::io("read", folder))? {
        let path = entry.path();
        if path.is_dir() {
            sync_below(&path)?;
        } else {
            let synced = File::open(&path).and_then(|file| file.sync_all());
            synced.map_err(ToolError::io("sync", &path))?;
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), ToolError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(ToolError::io("sync", folder))
}
