//! Random histories.
//!
//! A few hundred run with the other tests. `SHOALMQ_HISTORIES=FIRST..LAST cargo test -p shoalmq-core random_histories`
//! runs as many as are asked for; a failure names its seed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::reading::Reader;
use super::world::{Disk, Node, World};
use crate::time::Time;
use crate::topic::{Bug, Origin};

const CHANNELS: [&str; 4] = ["a.x", "a.y", "b", "flushed"];
const PATTERNS: [&str; 4] = ["*", "*", "a.*", "[^a]*"];
const READERS: usize = 4;

/// What a history is made of, beside reading and publishing.
#[derive(Debug, Clone, Copy)]
struct Kind {
    nodes: usize,
    steps: usize,
    /// Flush and retention.
    frees: bool,
    /// Nodes crash much more often.
    is_crashy: bool,
}

fn kind(seed: u64) -> Kind {
    Kind {
        nodes: if seed.is_multiple_of(3) { 5 } else { 4 },
        steps: if seed % 20 == 7 { 1500 } else { 400 },
        frees: seed % 4 == 1,
        is_crashy: seed % 5 == 2,
    }
}

/// How many names the cursors had, at most and in the end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    pub(super) most: usize,
    pub(super) last: usize,
}

/// Runs one history; what was wrong with it, if anything was.
pub(super) fn run(seed: u64, bug: Option<Bug>) -> Result<Names, String> {
    let kind = kind(seed);
    let mut world = World::new(seed, kind.nodes, bug);
    for at in 0..kind.nodes - 1 {
        world.boot(at, Disk::Whole);
    }
    for pattern in PATTERNS {
        let at = world.below(kind.nodes - 1);
        world.readers.push(Reader::new(at, pattern));
    }
    let mut names = Names::default();
    for _ in 0..kind.steps {
        world.wall += world.below(4) as u64 * 250;
        step(&mut world, kind)?;
        let cuts = world.readers.iter().map(|reader| reader.cursor.cut().len());
        names.most = cuts.max().unwrap_or(0).max(names.most);
    }
    end(&mut world)?;
    let cuts = world.readers.iter().map(|reader| reader.cursor.cut().len());
    names.last = cuts.max().unwrap_or(0);
    Ok(names)
}

/// Faults heal, all but the dead come back, and every reader must reach the end.
fn end(world: &mut World) -> Result<(), String> {
    world.heal();
    for at in 0..world.nodes.len() {
        world.nodes[at].skew = 0;
        if !world.nodes[at].is_up && !world.nodes[at].is_dead {
            world.boot(at, Disk::Whole);
        }
    }
    let lowest = (0..world.nodes.len()).find(|at| !world.nodes[*at].is_dead);
    let lowest = lowest.expect("somebody is alive");
    for gone in 0..world.nodes.len() {
        if world.nodes[gone].is_dead {
            world.forget(lowest, gone);
        }
    }
    // The clocks of those that were ahead are only met by and by.
    world.wall += 1_000_000;
    world.settle_down();
    give_up_what_nobody_has(world);
    world.settle_down();
    for reader in 0..READERS {
        world.read_to_the_end(reader)?;
    }
    Ok(())
}

fn step(world: &mut World, kind: Kind) -> Result<(), String> {
    let at = world.below(kind.nodes);
    let other = world.below(kind.nodes);
    let dice = world.below(1000);
    match dice {
        0..200 => publish(world, at),
        200..520 => talk(world, at, other),
        520..600 => links(world, at, other),
        600..640 => judge(world, at, other),
        640..660 => forget(world, at, other),
        660..695 => stop(world, at),
        695..760 => start(world, at),
        760..780 if kind.is_crashy => {
            stop(world, at);
            start(world, at);
        }
        780..800 if kind.frees => free(world, at),
        760..800 => {}
        800..805 => give_up_what_nobody_has(world),
        805..815 => merge(world),
        _ => read(world)?,
    }
    Ok(())
}

fn publish(world: &mut World, at: usize) {
    if world.nodes[at].is_up {
        let channel = CHANNELS[world.below(CHANNELS.len())];
        world.publish(at, channel);
        if world.chance(0.5) {
            world.sync(at);
        }
    }
}

/// One node tells another something of what it has.
fn talk(world: &mut World, from: usize, to: usize) {
    if from == to || !world.are_linked(from, to) {
        return;
    }
    world.greet(from, to);
    for origin in world.logs(from) {
        if world.chance(0.6) {
            let most = 1 + world.below(4) as u64;
            if world.chance(0.1) {
                // The new part comes before the old one.
                let newest = world.nodes[from]
                    .origins
                    .log(origin)
                    .map(|log| log.held().last());
                let first = newest.unwrap_or(0).saturating_sub(most).max(1);
                world.copy_from(from, to, origin, first, most);
            } else {
                world.copy(from, to, origin, most);
            }
        }
    }
    world.write_owed(to);
    if world.chance(0.7) {
        world.promise(from, to);
    }
    let is_alone = world.chance(0.02);
    let copies = if is_alone {
        NonZeroUsize::MIN
    } else {
        world.copies
    };
    world.settle(to, copies);
    if world.chance(0.5) {
        world.sync(to);
    }
    if world.chance(0.7) {
        world.count(to, from);
    }
    world.advance(to);
}

fn links(world: &mut World, one: usize, other: usize) {
    match world.below(3) {
        0 if one != other => {
            let is_up = world.chance(0.5);
            world.set_link(one, other, is_up);
        }
        0 => {}
        1 => {
            let group: Vec<usize> = (0..world.nodes.len())
                .filter(|_| world.random_bit())
                .collect();
            world.partition(&group);
        }
        _ => world.heal(),
    }
}

/// Views of who is present change at random, and time makes records late.
fn judge(world: &mut World, at: usize, other: usize) {
    let id = world.nodes[other].id;
    if world.chance(0.7) {
        world.nodes[at].order.set_aside(id);
    }
    if world.chance(0.3) {
        let now = Time::from_millis(world.wall);
        let patience = std::time::Duration::from_secs(2);
        world.nodes[at].origins.grow_old(now, patience);
    }
    if world.chance(0.1) {
        world.nodes[at].skew = [0, 3_000, -3_000, 300_000][world.below(4)];
    }
}

/// FORGET of the dead, and of the living on the other side of a partition.
fn forget(world: &mut World, at: usize, gone: usize) {
    let is_wanted = at != gone
        && world.nodes[at].is_up
        && world.nodes[at].is_ready
        && world.members.contains(&gone)
        && !world.are_linked(at, gone);
    if is_wanted {
        world.forget(at, gone);
        if !world.nodes[gone].is_up && world.chance(0.2) && alive(world) > 3 {
            world.kill_for_good(gone);
        }
    }
}

fn alive(world: &World) -> usize {
    world.nodes.iter().filter(|node| !node.is_dead).count()
}

fn stop(world: &mut World, at: usize) {
    world.stop(at);
}

fn start(world: &mut World, at: usize) {
    if world.nodes[at].is_up || world.nodes[at].is_dead {
        return;
    }
    let disk = match world.below(10) {
        0 => Disk::Wiped,
        1..4 => Disk::Torn,
        4..6 => Disk::Shortest,
        _ => Disk::Whole,
    };
    world.nodes[at].skew = [0, 0, 3_000, -200_000][world.below(4)];
    world.boot(at, disk);
}

/// Flush, retention, and what is free everywhere.
fn free(world: &mut World, at: usize) {
    if !world.nodes[at].is_up {
        return;
    }
    match world.below(4) {
        0 => world.flush(at, "flushed"),
        1 | 2 => {
            let logs = world.logs(at);
            if !logs.is_empty() {
                let origin = logs[world.below(logs.len())];
                let log = world.nodes[at].origins.log(origin);
                let most = log.map_or(0, |log| log.prefix().min(log.settled()));
                let records = world.below(most as usize + 1) as u64;
                world.free(at, origin, records);
            }
        }
        _ => seal(world, at),
    }
}

/// A node hears that every member has freed all that it held of the first origins of a node.
fn seal(world: &mut World, at: usize) {
    let node = world.below(world.nodes.len());
    let node = world.nodes[node].id;
    let mut origins: Vec<Origin> = world
        .written
        .keys()
        .map(|(origin, _)| *origin)
        .filter(|origin| origin.node() == node)
        .collect();
    origins.dedup();
    let mut sealed = None;
    for origin in origins {
        let holders = || world.nodes.iter().filter(|node| !node.is_dead);
        let logs = || holders().filter_map(|node| node.origins.log(origin));
        let last = logs().map(|log| log.held().last()).max().unwrap_or(0);
        let kept = |number: &u64| {
            logs().any(|log| {
                let is_gone = log.freed().contains(*number) || log.lost().contains(*number);
                log.held().contains(*number) && !is_gone
            })
        };
        let first = (1..=last).find(kept);
        sealed = Some((origin, first.map_or(last, |number| number - 1)));
        if first.is_some() {
            break;
        }
    }
    if let Some((origin, records)) = sealed {
        world.nodes[at].origins.seal(origin, records);
    }
}

/// Every member says that it does not have records of an origin that is over, though an end record counts on them or a
/// later one is held.
fn give_up_what_nobody_has(world: &mut World) {
    let mut last: BTreeMap<Origin, u64> = BTreeMap::new();
    for node in &world.nodes {
        for (origin, log) in node.origins.logs() {
            let rows = node.origins.ends().rows(origin, 1);
            let ended = rows.flat_map(|(_, row)| row.ended());
            let spoken_of = ended.map(|ended| (ended.origin, ended.records));
            for (origin, number) in spoken_of.chain([(origin, log.held().last())]) {
                let last = last.entry(origin).or_default();
                *last = number.max(*last);
            }
        }
    }
    for (origin, last) in last {
        let owner = &world.nodes[origin.node().bits() as usize];
        if owner.is_up && owner.life == origin {
            continue;
        }
        let logs = world
            .nodes
            .iter()
            .filter_map(|node| node.origins.log(origin));
        let logs: Vec<_> = logs.map(|log| log.held().clone()).collect();
        let nobody_has = |number: &u64| !logs.iter().any(|held| held.contains(*number));
        for number in (1..=last).filter(nobody_has) {
            // Those that have it in their table take it from there, and the others from them.
            let has = |node: &Node| node.origins.ends().has(origin, number);
            let is_in_a_table = world.nodes.iter().any(has);
            for node in world.nodes.iter_mut().filter(|node| node.is_up) {
                if !is_in_a_table || has(node) {
                    node.origins.lose(origin, number..=number);
                }
            }
        }
    }
}

fn merge(world: &mut World) {
    let (one, other) = (world.below(READERS), world.below(READERS));
    if world.readers[one].pattern == world.readers[other].pattern {
        let other = world.readers[other].clone();
        world.readers[one].merge(&other);
    }
}

fn read(world: &mut World) -> Result<(), String> {
    let reader = world.below(READERS);
    if world.chance(0.3) {
        world.readers[reader].at = world.below(world.nodes.len());
    }
    let at = world.readers[reader].at;
    if world.nodes[at].is_up && world.nodes[at].is_ready {
        let count = 1 + world.below(6);
        world.try_read(reader, at, count)?;
    }
    Ok(())
}

impl World {
    fn random_bit(&mut self) -> bool {
        self.chance(0.5)
    }
}

/// The seeds to run: those that `SHOALMQ_HISTORIES` names, or a few.
fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("SHOALMQ_HISTORIES") else {
        return 0..300;
    };
    let (first, last) = asked
        .split_once("..")
        .expect("SHOALMQ_HISTORIES=FIRST..LAST");
    let number = |text: &str| text.parse().expect("SHOALMQ_HISTORIES=FIRST..LAST");
    number(first)..number(last)
}

#[test]
fn random_histories_have_no_gap_and_no_repeat() {
    let mut names = Names::default();
    let mut failed = Vec::new();
    let seeds = seeds();
    for seed in seeds.clone() {
        match run(seed, None) {
            Ok(found) => {
                names.most = names.most.max(found.most);
                names.last = names.last.max(found.last);
            }
            Err(what) => failed.push(format!("seed {seed}: {what}")),
        }
    }
    let first: Vec<_> = failed.iter().take(5).collect();
    assert!(failed.is_empty(), "{} failed: {first:#?}", failed.len());
    println!(
        "{} histories, at most {} names, {} in the end",
        seeds.count(),
        names.most,
        names.last
    );
    assert!(names.last <= 10, "a name or two a node, not {}", names.last);
}
