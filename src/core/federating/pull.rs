//! What this node wants of a queue from its peers: how much, from whom, and since when. Pure: [`Want::plan`] says whom
//! to tell what.

use std::collections::BTreeMap;

use crate::federating::push::Need;
use crate::id::QueueName;
use crate::limits;
use crate::members::{NodeSet, PeerKey};
use crate::telling::Rate;
use crate::time::Time;

/// Seconds that the rate of imports looks back.
const IMPORT_SECONDS: usize = 5;

/// What one peer was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    /// What it may still send.
    need: Need,
    /// When it was last told, or last sent something.
    heard: Time,
    /// It sent jobs when it was last asked: it may have more.
    source: bool,
    /// When it last sent jobs.
    gave: Option<Time>,
}

impl Asked {
    /// Sets what goes to whom of the jobs that it may still send.
    fn aim(&mut self, wish: &Wish) {
        self.need.waiting = wish.need.waiting.min(self.need.count);
        self.need.at_once = wish.need.at_once.min(self.need.count);
    }

    /// Whether it knows enough of the clients here to send what it has at once, if it is asked for any.
    fn knows(&self, wish: &Wish) -> bool {
        self.need.waiting > 0 && (self.need.at_once > 0 || wish.need.at_once == 0)
    }
}

/// What is wanted of all peers together.
#[derive(Debug, Clone, Copy)]
struct Wish {
    need: Need,
    /// Clients wait, or are back in a moment.
    eager: bool,
}

/// What a peer is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tell {
    pub(super) peer: PeerKey,
    pub(super) need: Need,
}

/// How the queue stands here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Here {
    /// Nothing may come in now.
    pub(super) barred: bool,
    /// Clients that wait.
    pub(super) waiters: u64,
    /// Until when at least one of them has time for a job to come from another node.
    pub(super) patient_until: Time,
    /// Ready jobs.
    pub(super) len: u64,
    /// Jobs handed out so far.
    pub(super) out: u64,
    /// When a job last went in or out.
    pub(super) used: Time,
}

/// What this node wants of one queue.
#[derive(Debug)]
pub(crate) struct Want {
    pub(super) name: QueueName,
    asked: BTreeMap<PeerKey, Asked>,
    /// Jobs that clients asked for and that were not there, with nobody waiting.
    missed: u64,
    missed_until: Time,
    /// When somebody last waited, or asked in vain.
    wanted_at: Time,
    /// Until when a client that waited, and got a job, counts as waiting.
    back_by: Time,
    /// Jobs to have ready before they are asked for.
    lookahead: u64,
    /// A client that takes jobs fast enough for a look-ahead found nothing.
    starves: bool,
    /// When its place on the agenda is; [`Time::NEVER`] when it has none.
    pub(super) wake: Time,
    discover_at: Time,
    refresh_at: Time,
    shrink_at: Time,
    /// [`Here::out`] when the look-ahead was last judged.
    out: u64,
    rate: Rate<IMPORT_SECONDS>,
}

impl Want {
    pub(super) fn new(name: QueueName, now: Time) -> Self {
        Want {
            name,
            asked: BTreeMap::new(),
            missed: 0,
            missed_until: Time::ZERO,
            wanted_at: now,
            back_by: Time::ZERO,
            lookahead: 0,
            starves: false,
            wake: Time::NEVER,
            discover_at: Time::NEVER,
            refresh_at: Time::NEVER,
            shrink_at: Time::NEVER,
            out: 0,
            rate: Rate::default(),
        }
    }

    /// A client asked for `count` jobs, and does not wait for them.
    pub(super) fn miss(&mut self, now: Time, count: u64) {
        self.missed = count.min(limits::MISS_MAX);
        self.missed_until = now + limits::MISS_HOLDS;
    }

    /// The last client that waited waits no more. It counts as waiting until `back_by`.
    pub(super) fn left(&mut self, now: Time, back_by: Time) {
        (self.wanted_at, self.back_by) = (now, back_by);
    }

    /// A client that would have waited found jobs.
    pub(super) fn served(&mut self, now: Time) {
        self.back_by = now + limits::BACK_WITHIN;
    }

    /// Somebody found nothing, soon after jobs that came from elsewhere were taken.
    pub(super) fn starve(&mut self, now: Time, here: &Here) {
        let fed = self.asked.values().any(|asked| asked.source);
        self.starves = fed && now.since(here.used) <= limits::INTEREST_LINGER;
    }

    /// Jobs came from a peer.
    pub(super) fn arrived(&mut self, now: Time, from: PeerKey, count: u64, here: &Here) {
        let asked = self.entry(now, from);
        asked.need.meet(count);
        (asked.heard, asked.source, asked.gave) = (now, true, Some(now));
        // It sent all that it was asked for, and yet somebody had to wait: it was asked for too little.
        if asked.need.count == 0 && std::mem::take(&mut self.starves) {
            if self.lookahead == 0 {
                (self.out, self.shrink_at) = (here.out, now + limits::INTEREST_LINGER);
            }
            self.lookahead = (self.lookahead * 2).clamp(1, limits::LOOKAHEAD);
        }
        self.rate.add(now, count);
    }

    /// What the peer was asked, and what it sent, counts no more. Returns whether there was any.
    pub(super) fn forget_peer(&mut self, peer: PeerKey) -> bool {
        self.asked.remove(&peer).is_some()
    }

    /// There is a new peer: it may have jobs.
    pub(super) fn discover_now(&mut self, now: Time) {
        self.discover_at = now;
    }

    /// Ready jobs that are kept here for those who are about to ask.
    pub(super) fn reserve(&self, now: Time) -> u64 {
        if self.is_active(now) {
            self.lookahead + self.missed
        } else {
            0
        }
    }

    /// Nobody has wanted anything for long.
    pub(super) fn is_over(&self, now: Time) -> bool {
        let since = self.wanted_at.max(self.missed_until);
        now.since(since) >= limits::WANT_IDLE && self.is_idle()
    }

    /// Nobody has told peers anything that would still hold.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.values().all(|asked| asked.need.count == 0)
    }

    /// Peers that sent jobs lately.
    pub(super) fn sources(&self, now: Time) -> NodeSet {
        let lately = |at: Time| now.since(at) <= limits::IMPORT_LATELY;
        let mut sources = NodeSet::EMPTY;
        for (&peer, asked) in &self.asked {
            if asked.gave.is_some_and(lately) {
                sources.insert(peer);
            }
        }
        sources
    }

    /// Jobs that came per second, lately.
    pub(super) fn rate(&self, now: Time) -> u64 {
        self.rate.per_second(now)
    }

    /// Decides what is wanted now, and whom to tell; [`Want::next`] says when to look again.
    pub(super) fn plan(&mut self, now: Time, here: &Here, up: NodeSet) -> Vec<Tell> {
        if self.missed_until <= now {
            self.missed = 0;
        }
        if here.barred {
            self.missed = 0;
            return self.cancel();
        }
        let hungry = here.waiters + self.missed;
        if hungry > 0 {
            self.wanted_at = now;
        } else if !self.is_active(now) {
            return self.cancel();
        }
        self.shrink(now, here);
        let wish = self.wish(now, hungry, here);
        let mut tells = Vec::new();
        self.calm(&wish, &mut tells);
        if self.refresh_at <= now {
            self.refresh(now, &wish, here, up, &mut tells);
        }
        let starved = hungry > here.len;
        let no_source = self.asked.values().all(|asked| !asked.source);
        if starved && (self.discover_at <= now || no_source) {
            self.discover(now, &wish, up, &mut tells);
        }
        self.ask_sources(now, &wish, here, &mut tells);
        self.discover_at = match (starved && self.may_discover(&wish, up), self.discover_at) {
            (false, _) => Time::NEVER,
            (true, at) if at > now && at != Time::NEVER => at,
            (true, _) => now + limits::DISCOVER_AFTER,
        };
        if self.refresh_at == Time::NEVER {
            self.refresh_at = now + limits::INTEREST_REFRESH;
        }
        tells
    }

    /// When it must be looked at again, if nothing happens.
    pub(super) fn next(&self, here: &Here) -> Time {
        // Those who wait at a queue that is barred are looked at when it is not, or when they leave.
        let over = if here.waiters > 0 {
            Time::NEVER
        } else if self.is_idle() && self.lookahead == 0 && self.missed == 0 {
            self.wanted_at.max(self.missed_until) + limits::WANT_IDLE
        } else if self.missed > 0 {
            self.missed_until
        } else {
            self.wanted_at + limits::INTEREST_LINGER
        };
        let shrink = if self.lookahead > 0 {
            self.shrink_at
        } else {
            Time::NEVER
        };
        let calm = if self.asked.values().any(|it| it.need.at_once > 0) {
            self.back_by.max(here.patient_until)
        } else {
            Time::NEVER
        };
        let known = over.min(shrink).min(calm);
        known.min(self.discover_at).min(self.refresh_at)
    }

    /// What is wanted now, of all peers together.
    fn wish(&self, now: Time, hungry: u64, here: &Here) -> Wish {
        let eager = now < self.back_by.max(here.patient_until);
        Wish {
            eager,
            need: Need {
                count: hungry + self.lookahead,
                waiting: hungry,
                at_once: if eager {
                    here.waiters + self.lookahead
                } else {
                    0
                },
            },
        }
    }

    /// When no client waits any more, peers hear at once that they may keep their jobs for a moment.
    fn calm(&mut self, wish: &Wish, tells: &mut Vec<Tell>) {
        let hurried = self.asked.iter_mut().filter(|(_, it)| it.need.at_once > 0);
        for (&peer, asked) in hurried.filter(|_| !wish.eager) {
            asked.aim(wish);
            tell(tells, peer, asked);
        }
    }

    fn is_active(&self, now: Time) -> bool {
        self.missed > 0 || now < self.wanted_at + limits::INTEREST_LINGER
    }

    fn entry(&mut self, now: Time, peer: PeerKey) -> &mut Asked {
        self.asked.entry(peer).or_insert(Asked {
            need: Need::default(),
            heard: now,
            source: false,
            gave: None,
        })
    }

    /// Nobody wants anything any more.
    fn cancel(&mut self) -> Vec<Tell> {
        let mut tells = Vec::new();
        let asked = self.asked.iter_mut().filter(|(_, it)| it.need.count > 0);
        for (&peer, asked) in asked {
            asked.need = Need::default();
            tell(&mut tells, peer, asked);
        }
        self.lookahead = 0;
        (self.discover_at, self.refresh_at) = (Time::NEVER, Time::NEVER);
        tells
    }

    /// A look-ahead is worth about as many jobs as were taken lately.
    fn shrink(&mut self, now: Time, here: &Here) {
        if self.lookahead > 0 && self.shrink_at <= now {
            let taken = here.out.saturating_sub(self.out);
            if taken < self.lookahead.div_ceil(2) {
                self.lookahead = taken.max(self.lookahead / 2).min(self.lookahead - 1);
            }
            (self.out, self.shrink_at) = (here.out, now + limits::INTEREST_LINGER);
        }
    }

    /// Says again what holds, for messages may be lost; and samples those that were asked for nothing.
    fn refresh(&mut self, now: Time, wish: &Wish, here: &Here, up: NodeSet, tells: &mut Vec<Tell>) {
        let most = wish.need.count.saturating_sub(here.len).max(1);
        for peer in up.iter() {
            let asked = self.entry(now, peer);
            if asked.need.count > 0 || !asked.source {
                asked.need.count = asked.need.count.clamp(1, most);
                asked.aim(wish);
                tell(tells, peer, asked);
            }
        }
        self.refresh_at = now + limits::INTEREST_REFRESH;
    }

    /// The sources have run dry, or there are none: each other peer is asked for one job.
    fn discover(&mut self, now: Time, wish: &Wish, up: NodeSet, tells: &mut Vec<Tell>) {
        for peer in up.iter() {
            let asked = self.entry(now, peer);
            if asked.need.count == 0 {
                (asked.need.count, asked.heard) = (1, now);
                asked.aim(wish);
                tell(tells, peer, asked);
                continue;
            }
            asked.source &= now < asked.heard + limits::DISCOVER_AFTER;
            if !asked.source && !asked.knows(wish) {
                asked.aim(wish);
                tell(tells, peer, asked);
            }
        }
    }

    /// Whether a discovery could still change anything.
    fn may_discover(&self, wish: &Wish, up: NodeSet) -> bool {
        let settled = |peer| {
            let asked = self.asked.get(&peer);
            asked.is_some_and(|asked| asked.knows(wish) && !asked.source)
        };
        !up.iter().all(settled)
    }

    /// The sources are asked for what is wanted beyond what they already owe.
    fn ask_sources(&mut self, now: Time, wish: &Wish, here: &Here, tells: &mut Vec<Tell>) {
        let mut sources: Vec<(Time, PeerKey)> = Vec::new();
        let (mut owed, mut waiting, mut at_once) = (0, 0, 0);
        for (&peer, asked) in self.asked.iter().filter(|(_, asked)| asked.source) {
            sources.push((asked.heard, peer));
            owed += asked.need.count;
            waiting += asked.need.waiting;
            at_once += asked.need.at_once;
        }
        sources.sort_unstable();
        let Some(&(_, first)) = sources.first() else {
            return;
        };
        let covered = owed + here.len;
        let hungry = wish.need.waiting;
        // Only to those who are known to wait do at-most-once jobs go, and new ones at once.
        let hurried = if now < here.patient_until {
            here.waiters
        } else {
            0
        };
        let unknown =
            hungry.saturating_sub(here.len) > waiting || hurried.saturating_sub(here.len) > at_once;
        let mut need = 0;
        if unknown || covered < hungry + self.lookahead / 2 {
            need = wish.need.count.saturating_sub(covered);
        }
        let share = need.div_ceil(sources.len() as u64).max(limits::SHARE_MIN);
        let told_before = tells.len();
        for (_, peer) in sources {
            let more = need.min(share);
            if more > 0 {
                let asked = self.entry(now, peer);
                asked.need.count = (asked.need.count + more).min(limits::CREDIT);
                asked.aim(wish);
                asked.heard = now;
                tell(tells, peer, asked);
                need -= more;
            }
        }
        if unknown && tells.len() == told_before {
            let asked = self.entry(now, first);
            asked.need.count = asked.need.count.max(1);
            asked.aim(wish);
            asked.heard = now;
            tell(tells, first, asked);
        }
    }
}

/// Notes what a peer is told; the last word counts.
fn tell(tells: &mut Vec<Tell>, peer: PeerKey, asked: &Asked) {
    let it = Tell {
        peer,
        need: asked.need,
    };
    match tells.iter_mut().find(|tell| tell.peer == peer) {
        Some(tell) => *tell = it,
        None => tells.push(it),
    }
}
