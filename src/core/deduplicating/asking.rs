//! Asking: an ADDJOB with a key, from its claim to the answer.

use crate::adding::Producer;
use crate::agenda::Timer;
use crate::command::{AddJob, Receipt, Refusal, Reply};
use crate::dedup::{Dedup, KeyName, KeyNews};
use crate::deduplicating::adds::{Held, KeyedAdd, Look, Said, Stage, question};
use crate::deduplicating::looking::Found;
use crate::effect::Effect;
use crate::id::{ClientId, JobId, Ticket};
use crate::limits;
use crate::log::answer;
use crate::members::PeerKey;
use crate::node::Node;
use crate::time::{Now, Time};

impl Node {
    /// ADDJOB with DEDUP: claims the key.
    pub(crate) fn add_keyed(
        &mut self,
        now: Now,
        ticket: Ticket,
        (add, dedup): (&AddJob<'_>, &Dedup<'_>),
        effects: &mut Vec<Effect>,
    ) {
        let number = self.dedups.next_number();
        let deadline = add
            .timeout
            .map_or(Time::NEVER, |timeout| now.time + timeout);
        let held = KeyedAdd {
            ticket,
            name: KeyName::new(add.queue, dedup.key),
            held: Some(Held::of(add, dedup)),
            deadline,
            arbiter: None,
            stage: Stage::Claiming,
        };
        self.dedups.bytes += held.bytes();
        self.dedups.adds.insert(number, held);
        self.claim_key(now.time, number, effects);
        self.watch_deadline(now.time, number);
        self.plan_dedups(now.time);
    }

    /// Looks again when the time of an add is up, if that is soon. Else it is looked at before: most are over at once, and a timer
    /// for each would stay until its time.
    fn watch_deadline(&mut self, now: Time, number: u64) {
        let deadline = self.dedups.adds.get(&number).map(|add| add.deadline);
        if let Some(deadline) = deadline.filter(|&deadline| deadline < now + 3 * limits::KEYS_AGAIN)
        {
            self.agenda.add_timer(deadline, Timer::KeyedAdd(number));
        }
    }

    /// Claims the key of an add at the member that is the arbiter at this moment.
    fn claim_key(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let Some(name) = self.dedups.adds.get(&number).map(|add| add.name.clone()) else {
            return;
        };
        let arbiter = self.arbiter(&name);
        if let Some(add) = self.dedups.adds.get_mut(&number) {
            add.arbiter = arbiter;
        }
        match arbiter {
            Some(peer) => self.send_key(peer, KeyNews::Claim(number, name), effects),
            None => self.claim(now, name, (None, number), effects),
        }
    }

    /// A member lets an add go on. One that was asked before, and is not the arbiter any more, does not count.
    pub(super) fn hear_granted(
        &mut self,
        now: Time,
        from: PeerKey,
        number: u64,
        effects: &mut Vec<Effect>,
    ) {
        let add = self.dedups.adds.get(&number);
        if add.is_some_and(|add| add.arbiter == Some(from)) {
            self.on_granted(now, number, effects);
        }
    }

    /// The key is this add's: asks all members for jobs with it.
    pub(super) fn on_granted(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let Some(add) = self.dedups.adds.get(&number) else {
            return;
        };
        if !matches!(add.stage, Stage::Claiming) {
            return;
        }
        let name = add.name.clone();
        let mut found = Found::default();
        found.add(&self.keyed_here(now, &name), &[]);
        self.look(now, number, (found, None), effects);
    }

    fn look(
        &mut self,
        now: Time,
        number: u64,
        (found, named): (Found, Option<Vec<JobId>>),
        effects: &mut Vec<Effect>,
    ) {
        let waits_for = self.key_members();
        let Some(add) = self.dedups.adds.get_mut(&number) else {
            return;
        };
        add.stage = Stage::Looking(Look {
            waits_for,
            found,
            named,
        });
        self.ask_for_key(number, effects);
        self.decide(now, number, effects);
    }

    /// Asks those who have not answered.
    fn ask_for_key(&self, number: u64, effects: &mut Vec<Effect>) {
        if let Some(add) = self.dedups.adds.get(&number)
            && let Stage::Looking(look) = &add.stage
        {
            self.ask_key_members(number, &add.name, look, effects);
        }
    }

    pub(super) fn ask_key_members(
        &self,
        number: u64,
        name: &KeyName,
        look: &Look,
        effects: &mut Vec<Effect>,
    ) {
        let question = question(number, look.named.as_ref());
        let named = look.named.clone().unwrap_or_default();
        for peer in look.waits_for.iter() {
            let news = KeyNews::Look(question, name.clone(), named.clone());
            self.send_key(peer, news, effects);
        }
    }

    /// Everybody who can has answered: the add goes on.
    fn decide(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let others = self.key_members();
        let Some(add) = self.dedups.adds.get_mut(&number) else {
            return;
        };
        let Stage::Looking(look) = &mut add.stage else {
            return;
        };
        look.waits_for = look.waits_for.and(others);
        if !look.waits_for.is_empty() {
            return;
        }
        let Some(id) = look.found.oldest() else {
            return self.add_granted(now, number, effects);
        };
        if look.named.is_none() && !others.is_empty() {
            // A holder may not have heard that it is over.
            let ids = look.found.ids();
            let mut found = std::mem::take(&mut look.found);
            found.add(&[], &self.without_key(now, &ids));
            return self.look(now, number, (found, Some(ids)), effects);
        }
        let ticket = add.ticket;
        let wants_receipt = add.held.as_ref().is_some_and(|held| held.wants_receipt);
        let name = add.name.queue.clone();
        self.count_deduplicated(&name);
        let reply = if wants_receipt {
            Reply::Receipt(Receipt::existing(id))
        } else {
            Reply::Existing(id)
        };
        answer(ticket, reply, effects);
        self.end_keyed_add(number, effects);
    }

    /// No job counts: this one is added as usual.
    fn add_granted(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let Some(add) = self.dedups.adds.get_mut(&number) else {
            return;
        };
        let before = add.bytes();
        add.stage = Stage::Adding;
        let Some(held) = add.held.take() else {
            return;
        };
        let (ticket, name, deadline) = (add.ticket, add.name.clone(), add.deadline);
        self.dedups.bytes -= before - add.bytes();
        let timeout = (deadline != Time::NEVER).then(|| deadline.since(now));
        let plain = held.again(&name, timeout);
        let clock = Now {
            time: now,
            wall: self.clock.wall,
        };
        let producer = Producer::Keyed(ticket, number);
        match self.add(clock, (producer, None), &plain, effects) {
            Ok(None) => {}
            Ok(Some(id)) => {
                let reply = self.accepted(id, plain.wants_receipt);
                answer(ticket, reply, effects);
                self.end_keyed_add(number, effects);
            }
            Err(refusal) => {
                answer(ticket, Reply::Refused(refusal), effects);
                self.end_keyed_add(number, effects);
            }
        }
    }

    /// An add with a key is answered, or given up: others may add jobs with it.
    pub(crate) fn end_keyed_add(&mut self, number: u64, effects: &mut Vec<Effect>) {
        let Some(add) = self.dedups.adds.remove(&number) else {
            return;
        };
        self.dedups.bytes -= add.bytes();
        match add.arbiter {
            Some(peer) => self.send_key(peer, KeyNews::Release(number, add.name), effects),
            None => self.release_key(&add.name, (None, number), effects),
        }
    }

    /// Its producer waited long enough. A job that is being added looks after itself.
    pub(crate) fn on_keyed_add_late(&mut self, now: Time, number: u64, effects: &mut Vec<Effect>) {
        let Some(add) = self.dedups.adds.get(&number) else {
            return;
        };
        if add.deadline <= now && !add.is_adding() {
            self.counters.replication_timeouts += 1;
            self.refuse_keyed_add(number, Refusal::ReplicationTimeout, effects);
        }
    }

    fn refuse_keyed_add(&mut self, number: u64, refusal: Refusal, effects: &mut Vec<Effect>) {
        if let Some(add) = self.dedups.adds.get(&number) {
            answer(add.ticket, Reply::Refused(refusal), effects);
            self.end_keyed_add(number, effects);
        }
    }

    /// The client is gone: adds of its that wait are over.
    pub(crate) fn drop_keyed_adds(&mut self, client: ClientId, effects: &mut Vec<Effect>) {
        for number in self.waiting_keyed_adds(|add| add.ticket.client == client) {
            self.end_keyed_add(number, effects);
        }
    }

    /// All jobs are gone from this node at once, those included that wait to be added.
    pub(crate) fn refuse_keyed_adds(&mut self, effects: &mut Vec<Effect>) {
        for number in self.waiting_keyed_adds(|_| true) {
            let refusal = Refusal::RemovedWhileReplicating;
            self.refuse_keyed_add(number, refusal, effects);
        }
    }

    fn waiting_keyed_adds(&self, which: impl Fn(&KeyedAdd) -> bool) -> Vec<u64> {
        let adds = self.dedups.adds.iter();
        let waiting = adds.filter(|(_, add)| !add.is_adding() && which(add));
        waiting.map(|(&number, _)| number).collect()
    }

    /// A peer cannot be reached any more: who waits for it goes on without it.
    pub(super) fn go_on_without(&mut self, now: Time, peer: PeerKey, effects: &mut Vec<Effect>) {
        for number in self.waiting_keyed_adds(|_| true) {
            let Some(add) = self.dedups.adds.get(&number) else {
                continue;
            };
            match add.stage {
                Stage::Claiming if add.arbiter == Some(peer) => {
                    self.claim_key(now, number, effects);
                }
                Stage::Claiming | Stage::Adding => {}
                Stage::Looking(_) => self.decide(now, number, effects),
            }
        }
    }

    /// Says again what has not been answered, and claims again what is still wanted.
    pub(super) fn ask_keys_again(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let numbers: Vec<u64> = self.dedups.adds.keys().copied().collect();
        for number in numbers {
            let Some(add) = self.dedups.adds.get(&number) else {
                continue;
            };
            if let Some(peer) = add.arbiter {
                let claim = KeyNews::Claim(number, add.name.clone());
                self.send_key(peer, claim, effects);
            }
            self.watch_deadline(now, number);
            self.decide(now, number, effects);
            self.ask_for_key(number, effects);
        }
    }

    /// A member says which jobs have a key.
    pub(super) fn hear_found(
        &mut self,
        now: Time,
        from: PeerKey,
        said: Said<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let number = said.0 >> 1;
        let Some(add) = self.dedups.adds.get_mut(&number) else {
            return;
        };
        if let Stage::Looking(look) = &mut add.stage
            && look.hear(number, from, said)
        {
            self.decide(now, number, effects);
        }
    }
}
