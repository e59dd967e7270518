//! What must hold at the end of each history, once all faults are over.

use super::history::History;
use super::looks::{Look, looks};
use super::world::{SEATS, World};
use crate::job::JobState;
use crate::time::Time;

/// How long everybody has to agree. The first look is after a retry, a delay and the longest stagger.
const FIRST_LOOK_MS: u64 = 12_000;
const LAST_LOOK_MS: u64 = 90_000;

impl History<'_> {
    /// Faults end, everything arrives, and time passes. Returns what is wrong then, or was on the way.
    pub(super) fn end(&mut self) -> Option<String> {
        for seat in 0..SEATS {
            if !self.world.is_running(seat) {
                self.world.start(seat);
            }
        }
        self.world.mend();
        self.world.run_ms(0);
        self.world.relink();
        self.world.run_ms(FIRST_LOOK_MS);
        let last = self.world.time + LAST_LOOK_MS;
        let mut wrong = what_is_wrong(&self.world);
        while wrong.is_some() && self.world.time < last {
            self.world.run_ms(1000);
            wrong = what_is_wrong(&self.world);
        }
        self.wrong.take().or(wrong)
    }
}

fn what_is_wrong(world: &World) -> Option<String> {
    let looks: Vec<Vec<Option<Look>>> = (0..SEATS).map(|seat| looks(world, seat)).collect();
    let expired: u64 = (0..SEATS)
        .map(|it| world.node(it).total_tally().expired)
        .sum();
    let wrong = (0..world.jobs.len()).find_map(|job| {
        let held: Vec<&Look> = looks
            .iter()
            .filter_map(|looks| looks[job].as_ref())
            .collect();
        let wrong = if world.jobs[job].1.acked {
            (!held.is_empty()).then(|| "was acked, and is there".to_owned())
        } else {
            wrong_of_live(world, job, &held)
        };
        wrong.map(|wrong| format!("job {job} {wrong}: {held:#?}"))
    });
    let expiry = (expired > 0).then(|| format!("{expired} guarded jobs have expired"));
    wrong.or(expiry)
}

/// A job that was not acked is held by all, where the highest register says, and waits at one.
fn wrong_of_live(world: &World, job: usize, held: &[&Look]) -> Option<String> {
    if held.len() < SEATS {
        return Some(format!("is held by {} nodes", held.len()));
    }
    let states = (0..SEATS).filter_map(|seat| {
        let key = world.find(seat, job)?;
        Some(world.node(seat).jobs[key].state())
    });
    let states: Vec<JobState> = states.collect();
    if states.contains(&JobState::Acked) {
        return Some("was not acked, and is taken for it".to_owned());
    }
    let queued = states.iter().filter(|&&state| state == JobState::Queued);
    let queued = queued.count();
    if queued != 1 {
        return Some(format!("is queued at {queued} nodes"));
    }
    let places = held.iter().map(|look| (look.rank, look.queue()));
    let places: Vec<_> = places.collect();
    if places.iter().any(|place| *place != places[0]) {
        return Some("is in different places".to_owned());
    }
    if places[0].0 < world.jobs[job].1.highest {
        return Some("has lost a register".to_owned());
    }
    let now = Time::from_millis(world.time);
    let is_over = (0..SEATS).any(|seat| {
        let node = world.node(seat);
        world
            .find(seat, job)
            .is_some_and(|key| node.jobs[key].expires() <= now)
    });
    is_over.then(|| "has outlived its ttl in its queue".to_owned())
}
