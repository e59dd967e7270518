//! Evidence: jobs with keys that nodes tell each other, and what follows from that.

use crate::agenda::Timer;
use crate::dedup::{KeyName, KeyNews, KeyStand, Keyed, KeyedJob};
use crate::effect::{Effect, News};
use crate::extras::Extras;
use crate::job::{JobKey, JobState};
use crate::limits;
use crate::members::PeerKey;
use crate::node::Node;
use crate::time::Time;

/// Which jobs with keys a peer has heard about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    /// Where the next step begins.
    next: (u64, JobKey),
    /// Jobs that were added before are known to it.
    since: Time,
}

impl Node {
    /// The producer of a job is about to be answered. If the job has a key, it counts from now on, and all members hear of it.
    pub(crate) fn accept_key(&mut self, key: JobKey, effects: &mut Vec<Effect>) {
        let Some(told) = self.set_accepted(key, effects) else {
            return;
        };
        for peer in self.key_members().iter() {
            self.send_key(peer, KeyNews::Added(vec![told.clone()]), effects);
        }
    }

    /// A job counts from now on. Returns it, if it has a key.
    fn set_accepted(
        &mut self,
        key: JobKey,
        effects: &mut Vec<Effect>,
    ) -> Option<(KeyName, KeyedJob)> {
        let extras = self.jobs.extras(key);
        let mut keyed = Keyed::of(&extras)?;
        if !keyed.is_accepted && self.jobs[key].state() != JobState::Acked {
            keyed.is_accepted = true;
            self.change_extras(key, keyed.put(&extras));
            self.persist_counts(key, News::Nothing, effects);
        }
        let job = KeyedJob {
            id: self.jobs[key].id,
            created: keyed.created,
            stand: KeyStand::Live,
        };
        Some((keyed.name(), job))
    }

    /// A copy says that its job counts.
    pub(crate) fn hear_accepted(&mut self, key: JobKey, copy: &Extras, effects: &mut Vec<Effect>) {
        if Keyed::of(copy).is_some_and(|keyed| keyed.is_accepted) {
            self.set_accepted(key, effects);
        }
    }

    /// A job goes to other nodes, and none of these may have heard yet that it counts.
    pub(crate) fn note_given(&mut self, now: Time, key: JobKey) {
        let extras = self.jobs.extras(key);
        if let Some(keyed) = Keyed::of(&extras) {
            let job = KeyedJob {
                id: self.jobs[key].id,
                created: keyed.created,
                stand: KeyStand::Given,
            };
            self.dedups.given.push_back((now, keyed.name(), job));
            self.forget_given(now);
        }
    }

    pub(super) fn forget_given(&mut self, now: Time) {
        let given = &mut self.dedups.given;
        while given.len() > limits::KEYS_GIVEN
            || given
                .front()
                .is_some_and(|&(since, _, _)| since + limits::KEY_GIVEN_FOR <= now)
        {
            given.pop_front();
        }
    }

    /// The link to a peer came up: it is told which jobs with keys were added meanwhile.
    pub(crate) fn dedup_with(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        if self.jobs.keyed() > 0 {
            // What was told last before the link broke may be lost. In an earlier life of this node, all may be.
            let since = self.peers.get(peer).keys_since;
            let since = since.map_or(Time::ZERO, |down| down - limits::KEYS_OVERLAP);
            let next = (0, JobKey(0));
            self.dedups.tellings.insert(peer, Telling { next, since });
        }
        self.look_into_doubts(now, effects);
        self.plan_dedups(now);
    }

    /// A peer is gone, or cannot be reached.
    pub(crate) fn dedup_without(
        &mut self,
        now: Time,
        (peer, is_down): (PeerKey, bool),
        effects: &mut Vec<Effect>,
    ) {
        if is_down {
            self.peers.update(peer, |peer| peer.keys_since = Some(now));
            self.dedups.tellings.remove(&peer);
            self.drop_claims_of(peer, effects);
        }
        for doubt in self.dedups.doubts.values_mut() {
            doubt.drop_look();
        }
        self.go_on_without(now, peer, effects);
    }

    /// Adds that were granted their keys in the course of this event go on, one after the other.
    #[inline]
    pub(crate) fn go_on_granted(&mut self, now: Time, effects: &mut Vec<Effect>) {
        while let Some(number) = self.dedups.granted.pop() {
            self.on_granted(now, number, effects);
        }
    }

    /// All jobs are gone from this node at once, and its agenda is empty.
    pub(crate) fn watch_dedups(&mut self, now: Time) {
        self.dedups.given.clear();
        self.dedups.doubts.clear();
        self.dedups.doubted.clear();
        self.dedups.is_planned = false;
        self.plan_dedups(now);
    }

    /// The next look, if anything is to be looked at.
    pub(super) fn plan_dedups(&mut self, now: Time) {
        let dedups = &mut self.dedups;
        let tells = !dedups.tellings.is_empty();
        let waits = !dedups.adds.is_empty() || !dedups.claims.is_empty() || tells;
        let waits = waits || !dedups.doubts.is_empty();
        if waits && !std::mem::replace(&mut dedups.is_planned, true) {
            let pause = if tells {
                limits::KEYS_PAUSE
            } else {
                limits::KEYS_AGAIN
            };
            self.agenda.add_timer(now + pause, Timer::Dedup);
        }
    }

    pub(crate) fn on_dedup(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.dedups.is_planned = false;
        if self.dedups.ask_next <= now {
            self.dedups.ask_next = now + limits::KEYS_AGAIN;
            self.drop_old_claims(now, effects);
            self.ask_keys_again(now, effects);
            self.look_into_doubts(now, effects);
        }
        self.tell_keys_on(now, effects);
        self.plan_dedups(now);
    }

    /// Tells peers of some more jobs.
    fn tell_keys_on(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for (peer, telling) in std::mem::take(&mut self.dedups.tellings) {
            let some = self
                .jobs
                .keyed_from(telling.next)
                .take(limits::KEYS_PER_STEP);
            let some: Vec<(u64, JobKey)> = some.collect();
            let wanted = some
                .iter()
                .filter(|&&(_, key)| self.jobs[key].added >= telling.since);
            let told: Vec<(KeyName, KeyedJob)> = wanted
                .filter_map(|&(_, key)| self.live_keyed(now, key))
                .collect();
            if !told.is_empty() {
                self.send_key(peer, KeyNews::Added(told), effects);
            }
            if let [.., (hash, key)] = some[..]
                && some.len() == limits::KEYS_PER_STEP
            {
                let next = (hash, JobKey(key.0 + 1));
                let since = telling.since;
                self.dedups.tellings.insert(peer, Telling { next, since });
            }
        }
    }

    /// A job that counts, and is not over.
    pub(super) fn live_keyed(&self, now: Time, key: JobKey) -> Option<(KeyName, KeyedJob)> {
        let job = self.keyed_job(now, key)?;
        let extras = self.jobs.extras(key);
        let name = Keyed::of(&extras)?.name();
        (job.stand == KeyStand::Live).then_some((name, job))
    }

    /// A peer tells of jobs that count.
    pub(super) fn on_keys_added(
        &mut self,
        now: Time,
        from: PeerKey,
        told: Vec<(KeyName, KeyedJob)>,
        effects: &mut Vec<Effect>,
    ) {
        let mut older = Vec::new();
        for (name, theirs) in told {
            if self.answer_forgotten(from, theirs.id, effects) {
                continue;
            }
            if let Some(key) = self.jobs.find(&theirs.id) {
                self.set_accepted(key, effects);
            }
            for key in self.jobs.with_key(&name) {
                let Some((name, ours)) = self.live_keyed(now, key) else {
                    continue;
                };
                if ours.age() < theirs.age() {
                    older.push((name, ours));
                } else if ours.id != theirs.id {
                    self.doubt(now, key, (name, theirs.id), effects);
                }
            }
        }
        if !older.is_empty() {
            self.send_key(from, KeyNews::Added(older), effects);
        }
        self.plan_dedups(now);
    }
}
