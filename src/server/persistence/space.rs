//! How much room the disk has left, and when adds stop: `disk-reserve`.
//!
//! What frees room needs some room first: an acknowledgement is a record, and the live jobs of an old segment are written
//! again before the segment goes. So adds stop while there is a reserve left.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shoalmq_storage::journal::{Journal, Stats};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::Health;
use crate::config::Config;
use crate::server::driver::Shared;

/// How often the server asks how much room the disk has.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The default reserve is this part of the disk, or this many bytes if that is less.
const RESERVED_PART: u64 = 20;
const RESERVED_BYTES: u64 = 1 << 30;
/// Topics take at most this part of the disk, or this many bytes if that is more.
const TOPIC_PART: u64 = 4;
const TOPIC_BYTES: u64 = 1 << 30;
/// A segment is written while another is freed.
const RESERVED_SEGMENTS: u64 = 2;
/// A segment takes at most this part of the disk, so that the reserve for two leaves room for jobs.
const SEGMENT_PART: u64 = 24;
/// The least that a segment takes.
const SEGMENT_BYTES: u64 = 1 << 20;

/// A disk as the system describes it, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) total: u64,
    /// What this process may still use.
    pub(crate) free: u64,
}

impl Space {
    /// The disk that holds a folder.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(folder)?;
        Ok(Space {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }

    /// How large segments are on this disk: as configured, unless the disk is small.
    pub(super) fn segment_bytes(self, config: &Config) -> u64 {
        let most = (self.total / SEGMENT_PART).max(SEGMENT_BYTES);
        config.storage_segment_size.min(most)
    }

    /// Adds stop when no more than this is free.
    pub(super) fn reserve(self, config: &Config) -> u64 {
        config.disk_reserve.map_or_else(
            || {
                let part = (self.total / RESERVED_PART).min(RESERVED_BYTES);
                part.max(RESERVED_SEGMENTS * self.segment_bytes(config))
            },
            std::num::NonZeroU64::get,
        )
    }

    /// What may be written before adds stop; once they did, an eighth of the reserve more has to be free.
    fn room(self, reserve: u64, was_short: bool, unsynced: u64) -> u64 {
        let margin = if was_short { reserve / 8 } else { 0 };
        let kept = reserve
            .saturating_add(margin)
            .saturating_add(engine_bytes(unsynced));
        self.free.saturating_sub(kept)
    }
}

/// What topics may take on disk: `topic-max-disk`. A disk that does not say how large it is sets no bound.
pub(crate) fn topic_disk(config: &Config) -> u64 {
    let part = || {
        let space = Space::of(&config.dir).ok();
        space.map_or(u64::MAX, |space| {
            (space.total / TOPIC_PART).max(TOPIC_BYTES)
        })
    };
    config
        .topic_max_disk
        .map_or_else(part, std::num::NonZeroU64::get)
}

/// What `records` bytes of records may take on disk: in small segments, sled's file takes nearly twice as much.
fn engine_bytes(records: u64) -> u64 {
    records.saturating_mul(2)
}

/// Looks all the time how much room there is. A disk that does not answer holds up nothing but this.
pub(crate) async fn watch_space(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = false;
    loop {
        every.tick().await;
        let (config, log) = {
            let driver = shared.driver.lock();
            (
                driver.config.clone(),
                driver.log.journal().map(Journal::stats),
            )
        };
        let Some(log) = log else {
            shared.health.set_short(false, String::new(), u64::MAX);
            continue;
        };
        let dir = config.dir.clone();
        let looked = tokio::task::spawn_blocking(move || Space::of(&dir)).await;
        match looked.expect("a panic ends the process") {
            Ok(space) => {
                silent = false;
                look(&shared.health, space, &config, &log);
            }
            Err(error) if !silent => {
                silent = true;
                warn!(%error, "the disk does not say how much room it has: disk-reserve does nothing");
            }
            Err(_) => {}
        }
    }
}

fn look(health: &Health, space: Space, config: &Config, log: &Stats) {
    health.free.store(space.free, Ordering::Relaxed);
    let reserve = space.reserve(config);
    let appended = log.written_bytes + log.pending_bytes;
    let unsynced = appended - log.synced_bytes;
    let (room, room_until) = if reserve >= space.segment_bytes(config) {
        let room = space.room(reserve, health.is_short(), unsynced);
        (room, appended.saturating_add(room / 2))
    } else {
        // Who wants next to none may use the disk to its end, and is not held back by guesses.
        (space.room(reserve, health.is_short(), 0), u64::MAX)
    };
    let short = room == 0;
    let shortage = refusal(space, reserve, &config.dir);
    if health.set_short(short, shortage, room_until) {
        let (free, dir) = (space.free, config.dir.display());
        if short {
            warn!(free, reserve, %dir, "the disk has only its reserve left: adds are refused until there is more");
        } else {
            info!(free, reserve, %dir, "the disk has room again");
        }
    }
}

/// What a client is told whose job is not taken.
fn refusal(space: Space, reserve: u64, dir: &Path) -> String {
    format!(
        "the disk has {} left, and disk-reserve keeps {} for acknowledgements and for compacting the job log: \
         acknowledge or delete jobs, free some space in {}, or lower disk-reserve; adds are then taken again",
        megabytes(space.free),
        megabytes(reserve),
        dir.display()
    )
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn disk(total: u64) -> Space {
        Space { total, free: total }
    }

    #[test]
    fn the_reserve_suits_the_disk() {
        let config = Config::default();
        for (total, reserve) in [
            (24 * MIB, 2 * MIB),
            (48 * MIB, 4 * MIB),
            (GIB, GIB / 20),
            (10 * GIB, GIB / 2),
            (20 * GIB, GIB),
            (1000 * GIB, GIB),
        ] {
            assert_eq!(disk(total).reserve(&config), reserve, "{total}");
        }
        let asked = Config {
            disk_reserve: std::num::NonZeroU64::new(7),
            ..Config::default()
        };
        assert_eq!(disk(GIB).reserve(&asked), 7);
    }

    #[test]
    fn segments_are_small_on_a_small_disk() {
        let config = Config::default();
        assert_eq!(disk(48 * MIB).segment_bytes(&config), 2 * MIB);
        assert_eq!(disk(MIB).segment_bytes(&config), MIB);
        assert_eq!(disk(GIB).segment_bytes(&config), 16 * MIB);
    }

    #[test]
    fn adds_go_on_only_when_there_is_more_than_the_reserve_again() {
        let room = |free, was_short| Space { total: 1000, free }.room(80, was_short, 0);
        assert_eq!((room(80, false), room(81, false)), (0, 1));
        assert_eq!((room(90, true), room(91, true)), (0, 1));
    }

    #[test]
    fn what_is_not_on_disk_yet_takes_room() {
        let space = Space {
            total: 1000,
            free: 200,
        };
        assert_eq!(space.room(80, false, 40), 40);
        assert_eq!(space.room(80, false, 80), 0);
    }
}
