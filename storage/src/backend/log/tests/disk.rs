//! A disk in memory that can lose power: of what was not synced, any sector and any name is left as it was at any moment
//! since the sync.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::backend::log::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// Numbers that look random, the same ones for a seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub(super) struct Simulated(Arc<Mutex<World>>);

struct World {
    random: Random,
    files: Vec<Contents>,
    /// What a name stood for since the folder was synced, last what it stands for.
    names: BTreeMap<PathBuf, Vec<Option<usize>>>,
    /// Operations until power is lost, within the next one.
    left: u64,
    full_one_in: Option<u64>,
    fail_sync: Option<io::ErrorKind>,
}

#[derive(Clone, Default)]
struct Contents {
    sectors: Vec<Sector>,
    /// Since the last sync, last the one that it has.
    lengths: Vec<u64>,
}

#[derive(Clone)]
struct Sector {
    /// Since the last sync, last the one that is read.
    versions: Vec<[u8; SECTOR]>,
    /// A failed sync gave up on it: later ones do not write it, unless it is written to again.
    forgotten: bool,
}

impl Sector {
    fn blank() -> Self {
        Sector {
            versions: vec![[0; SECTOR]],
            forgotten: false,
        }
    }
}

impl Simulated {
    pub(super) fn new(seed: u64) -> Self {
        Simulated(Arc::new(Mutex::new(World {
            random: Random::new(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            left: u64::MAX,
            full_one_in: None,
            fail_sync: None,
        })))
    }

    /// Loses power within the operation after `operations` more.
    pub(super) fn lose_power_after(&self, operations: u64) {
        self.0.lock().left = operations;
    }

    /// From now on one in `one_in` operations that take space finds none.
    pub(super) fn fill_up(&self, one_in: Option<u64>) {
        self.0.lock().full_one_in = one_in;
    }

    /// The next sync of a file fails.
    pub(super) fn fail_sync(&self, kind: io::ErrorKind) {
        self.0.lock().fail_sync = Some(kind);
    }

    pub(super) fn has_power(&self) -> bool {
        self.0.lock().left > 0
    }

    /// What is left on the disk once there is power again.
    pub(super) fn after_power_loss(&self, seed: u64) -> Simulated {
        let world = self.0.lock();
        let mut random = Random::new(seed);
        // All, nothing, and any mixture.
        let mode = random.below(4);
        let mut files = world.files.clone();
        for file in &mut files {
            let length = choose(&mut random, mode, &file.lengths);
            file.lengths = vec![length];
            for sector in &mut file.sectors {
                sector.versions = vec![choose(&mut random, mode, &sector.versions)];
                sector.forgotten = false;
            }
        }
        let names = world.names.iter().map(|(name, versions)| {
            let version = choose(&mut random, mode, versions);
            (name.clone(), vec![version])
        });
        let names = names.collect();
        let after = Simulated::new(seed);
        let mut new = after.0.lock();
        (new.files, new.names) = (files, names);
        drop(new);
        after
    }

    fn file(&self, id: usize) -> SimulatedFile {
        SimulatedFile {
            disk: self.clone(),
            id,
        }
    }
}

fn choose<T: Clone>(random: &mut Random, mode: u64, versions: &[T]) -> T {
    match mode {
        0 => versions[0].clone(),
        1 => versions[versions.len() - 1].clone(),
        _ => random.pick(versions),
    }
}

fn current<T: Copy>(versions: &[T]) -> T {
    *versions.last().expect("there is always a version")
}

impl World {
    /// Whether there is power for one more operation.
    fn operate(&mut self) -> io::Result<()> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return Err(io::Error::other("the power is out"));
        }
        Ok(())
    }

    fn take_space(&mut self) -> io::Result<()> {
        match self.full_one_in {
            Some(times) if self.random.one_in(times) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn id(&self, path: &Path) -> io::Result<usize> {
        let id = self.names.get(path).and_then(|versions| current(versions));
        id.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, path: &Path, id: Option<usize>) {
        let versions = self.names.entry(path.to_owned());
        versions.or_insert_with(|| vec![None]).push(id);
    }
}

impl Contents {
    fn len(&self) -> u64 {
        current(&self.lengths)
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len() {
            self.fill(len as usize, &vec![0; (self.len() - len) as usize]);
        }
        self.lengths.push(len);
        let sectors = (len as usize).div_ceil(SECTOR).max(self.sectors.len());
        self.sectors.resize(sectors, Sector::blank());
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        let end = at + bytes.len() as u64;
        if end > self.len() {
            self.set_len(end);
        }
        self.fill(at as usize, bytes);
    }

    fn fill(&mut self, at: usize, mut bytes: &[u8]) {
        let mut at = at;
        while !bytes.is_empty() {
            let within = at % SECTOR;
            let (part, rest) = bytes.split_at(bytes.len().min(SECTOR - within));
            let sector = &mut self.sectors[at / SECTOR];
            let mut version = current(&sector.versions);
            version[within..within + part.len()].copy_from_slice(part);
            sector.versions.push(version);
            sector.forgotten = false;
            at += part.len();
            bytes = rest;
        }
    }

    fn sync(&mut self) {
        self.lengths = vec![self.len()];
        for sector in self.sectors.iter_mut().filter(|one| !one.forgotten) {
            sector.versions = vec![current(&sector.versions)];
        }
    }

    /// A sync failed: the system gives up on what it would have written.
    fn forget(&mut self) {
        for sector in &mut self.sectors {
            sector.forgotten |= sector.versions.len() > 1;
        }
    }
}

pub(super) struct SimulatedFile {
    disk: Simulated,
    id: usize,
}

impl Disk for Simulated {
    type File = SimulatedFile;

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let world = self.0.lock();
        let there = world.names.iter();
        let there = there.filter(|(path, versions)| {
            path.parent() == Some(folder) && current(versions).is_some()
        });
        let names = there.filter_map(|(path, _)| path.file_name());
        Ok(names.map(OsString::from).collect())
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut world = self.0.lock();
        world.operate()?;
        world.take_space()?;
        let id = world.files.len();
        world.files.push(Contents {
            sectors: Vec::new(),
            lengths: vec![0],
        });
        world.name(path, Some(id));
        drop(world);
        Ok(self.file(id))
    }

    fn open(&self, path: &Path) -> io::Result<SimulatedFile> {
        let id = self.0.lock().id(path)?;
        Ok(self.file(id))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        let id = world.id(from)?;
        world.name(to, Some(id));
        world.name(from, None);
        world.operate()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.id(path)?;
        world.name(path, None);
        world.operate()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut world = self.0.lock();
        world.operate()?;
        for (path, versions) in &mut world.names {
            if path.parent() == Some(folder) {
                *versions = vec![current(versions)];
            }
        }
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.id].len())
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let world = self.disk.0.lock();
        let file = &world.files[self.id];
        if at + buffer.len() as u64 > file.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut at = at as usize;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = at % SECTOR;
            let count = rest.len().min(SECTOR - within);
            let (part, after) = rest.split_at_mut(count);
            let sector = current(&file.sectors[at / SECTOR].versions);
            part.copy_from_slice(&sector[within..within + count]);
            at += count;
            rest = after;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        if let Err(full) = world.take_space() {
            // As far as the sectors go that there was space for.
            let sectors = (at as usize % SECTOR + bytes.len()) / SECTOR;
            let written = world.random.below(sectors as u64 + 1) as usize * SECTOR;
            let written = written.saturating_sub(at as usize % SECTOR);
            world.files[self.id].write(at, &bytes[..written]);
            return Err(full);
        }
        world.files[self.id].write(at, bytes);
        world.operate()
    }

    fn reserve(&self, _: u64, to: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.take_space()?;
        let file = &mut world.files[self.id];
        let len = file.len().max(to);
        file.set_len(len);
        world.operate()
    }

    fn cut(&self, len: u64) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.files[self.id].set_len(len);
        world.operate()?;
        world.files[self.id].sync();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut world = self.disk.0.lock();
        world.operate()?;
        if let Some(kind) = world.fail_sync.take() {
            world.files[self.id].forget();
            return Err(kind.into());
        }
        world.files[self.id].sync();
        Ok(())
    }
}
