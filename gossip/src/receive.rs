//! What a packet does: nothing, unless it is sealed, meant for this node, new, and from who may say it.

use std::time::Duration;

use foca::State;
use rand::RngExt;
use shoalmq_core::time::Time;

use crate::inquiry::{Inquiry, Origin};
use crate::member::{Known, Window};
use crate::membership::MEMBERS_MAX;
use crate::packet::{IAm, Packet, Who, Whom};
use crate::swim::Opened;
use crate::{Effect, Identity, Membership, Reason};

/// A node that speaks unproven is not asked more often than this.
const CHALLENGE_PERIOD: Duration = Duration::from_millis(300);

impl Membership {
    pub(crate) fn on_packet(&mut self, now: Time, bytes: &[u8], effects: &mut Vec<Effect>) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        let result = self.envelope.open(bytes).and_then(|packet| match packet {
            Packet::Who(who) => self.on_who(now, &who, effects),
            Packet::IAm(i_am) => self.on_i_am(now, &i_am, effects),
            Packet::Swim { sequence, data } => self.on_swim(now, sequence, &data, effects),
            Packet::Outranked(winner) => self.on_outranked(now, &winner, effects),
        });
        if let Err(reason) = result {
            self.drop_for(reason);
        }
    }

    /// Tells who this is, and asks the same of an asker that has yet to prove itself.
    fn on_who(&mut self, now: Time, who: &Who, effects: &mut Vec<Effect>) -> Result<(), Reason> {
        let me = self.me();
        if who.sender == me {
            self.on_own_who(now, who.nonce);
            return Err(Reason::Own);
        }
        match who.whom {
            Whom::Only(node, epoch) if (node, epoch) != (me.node, me.epoch) => {
                return Err(Reason::Misaddressed);
            }
            Whom::Only(..) | Whom::Anyone => {}
        }
        self.admit(now, &who.sender, effects)?;
        let is_proven = self
            .known
            .get(&who.sender.node)
            .is_some_and(|known| known.has_proven(who.sender.start));
        let counter = if is_proven {
            None
        } else {
            self.admit_new(&who.sender)?;
            Some(self.counter(now, &who.sender))
        };
        self.tell(&who.sender, who.nonce, counter, effects);
        Ok(())
    }

    /// A seed that leads back here is one not to ask again.
    fn on_own_who(&mut self, now: Time, nonce: u64) {
        let me = self.me().node;
        if let Some(inquiry) = self.inquiries.take(now, nonce) {
            self.search.answered(inquiry.origin, me);
        }
    }

    fn tell(
        &mut self,
        asker: &Identity,
        echo: u64,
        counter: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        let i_am = IAm {
            sender: self.me(),
            sequence: self.sequence,
            echo,
            counter,
        };
        self.send(asker.bus, &Packet::IAm(i_am), effects);
    }

    fn on_i_am(&mut self, now: Time, i_am: &IAm, effects: &mut Vec<Effect>) -> Result<(), Reason> {
        let sender = &i_am.sender;
        self.admit(now, sender, effects)?;
        let inquiry = (self.inquiries.take(now, i_am.echo)).ok_or(Reason::Unasked)?;
        match inquiry.whom {
            Whom::Only(node, epoch) if (node, epoch) != (sender.node, sender.epoch) => {
                return Err(Reason::Misaddressed);
            }
            Whom::Only(..) | Whom::Anyone => {}
        }
        self.search.answered(inquiry.origin, sender.node);
        self.prove(now, i_am, effects)?;
        if let Some(counter) = i_am.counter {
            self.tell(sender, counter, None, effects);
        }
        // After the answer, which lets this node in there.
        self.greet(now, sender, inquiry.origin);
        Ok(())
    }

    /// Lets a node in that has answered.
    fn prove(&mut self, now: Time, i_am: &IAm, effects: &mut Vec<Effect>) -> Result<(), Reason> {
        let sender = i_am.sender;
        self.admit_new(&sender)?;
        let is_new = !self.known.contains_key(&sender.node);
        let known = self
            .known
            .entry(sender.node)
            .or_insert_with(|| Known::new(sender, now));
        if !known.has_proven(sender.start) {
            known.window = Some(Window::new(sender.start, i_am.sequence));
        }
        if is_new {
            effects.push(Effect::Joined(sender));
            effects.push(Effect::Remember);
        }
        self.swim.apply_alive(now, sender);
        Ok(())
    }

    /// Asks a node that has answered for the members that it knows, when this node went looking for it, or when
    /// one of the two holds the other for dead, which this makes known.
    fn greet(&mut self, now: Time, node: &Identity, origin: Origin) {
        let is_down = self
            .swim
            .find(node.node)
            .is_some_and(|update| update.state() == State::Down);
        match origin {
            Origin::Return if !is_down => {}
            Origin::Return | Origin::Meet(_) | Origin::Seed(_) | Origin::Search => {
                self.swim.announce(now, *node);
            }
        }
    }

    fn on_swim(
        &mut self,
        now: Time,
        sequence: u64,
        data: &[u8],
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reason> {
        let opened = Opened::read(data).ok_or(Reason::Malformed)?;
        let me = self.me();
        let sender = opened.sender;
        self.admit(now, &sender, effects)?;
        // Foca checks the rest, and takes an announce even for what this node was before.
        if (opened.receiver.node, opened.receiver.epoch) != (me.node, me.epoch) {
            return Err(Reason::Misaddressed);
        }
        let known = self.known.get_mut(&sender.node);
        let Some(window) = known
            .and_then(|known| known.window.as_mut())
            .filter(|window| window.start == sender.start)
        else {
            self.challenge(now, &sender, effects);
            return Err(Reason::Unproven);
        };
        if !window.admit(sequence) {
            return Err(Reason::Replay);
        }
        if let Some(other) = opened.other
            && self.is_barred(other.node, now)
        {
            return Err(Reason::Barred);
        }
        let data = opened.keep(|identity, state| self.lets_through(now, identity, state, effects));
        if self.is_silent {
            return Ok(());
        }
        let result = self.swim.receive(now, &data);
        if self.me() != me {
            self.stats.renewals += 1;
        }
        result.map_err(|_| Reason::Malformed)
    }

    /// Whether foca may learn of an update: it knows members only, and only what they proved or renewed since.
    fn lets_through(
        &mut self,
        now: Time,
        identity: &Identity,
        state: State,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if *identity == self.me() {
            return true;
        }
        if self.is_silent
            || self.is_mine(now, identity, effects)
            || self.is_barred(identity.node, now)
        {
            return false;
        }
        let known = self.known.get(&identity.node);
        if known.is_some_and(|known| known.has_proven(identity.start)) {
            return true;
        }
        let is_newer = known.is_none_or(|known| known.identity.start <= identity.start);
        if state != State::Down && is_newer {
            self.challenge(now, identity, effects);
        }
        false
    }

    fn on_outranked(
        &mut self,
        now: Time,
        winner: &Identity,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reason> {
        if self.is_mine(now, winner, effects) {
            Ok(())
        } else {
            Err(Reason::Misaddressed)
        }
    }

    /// Whether this sender may speak at all.
    fn admit(
        &mut self,
        now: Time,
        sender: &Identity,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reason> {
        let me = self.me();
        if *sender == me {
            return Err(Reason::Own);
        }
        if self.is_mine(now, sender, effects) {
            if !self.is_silent && !sender.shares_place_with(&self.me()) {
                self.send(sender.bus, &Packet::Outranked(self.me()), effects);
            }
            return Err(Reason::Own);
        }
        if self.is_barred(sender.node, now) {
            return Err(Reason::Barred);
        }
        let Some(known) = self.known.get(&sender.node) else {
            return Ok(());
        };
        let winner = known.identity;
        let is_outranked = winner.start > sender.start
            || winner.outranks(sender) && !winner.shares_place_with(sender);
        if is_outranked {
            self.send(sender.bus, &Packet::Outranked(winner), effects);
            return Err(Reason::Outranked);
        }
        Ok(())
    }

    /// Whether there is room for this node.
    fn admit_new(&self, node: &Identity) -> Result<(), Reason> {
        if self.known.len() < MEMBERS_MAX || self.known.contains_key(&node.node) {
            Ok(())
        } else {
            Err(Reason::Full)
        }
    }

    /// Whether an identity has this node's own id. One that is newer, and lies elsewhere, ends this process; a newer one
    /// of this very place is its own past, whose generation was lost: it is outdone.
    pub(crate) fn is_mine(
        &mut self,
        now: Time,
        identity: &Identity,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let me = self.me();
        if identity.node != me.node {
            return false;
        }
        if identity.outranks(&me) {
            if identity.shares_place_with(&me) {
                let start = identity.start;
                let renewal = identity.renewal.saturating_add(1);
                let outdone = Identity {
                    start,
                    renewal,
                    ..me
                };
                self.swim.become_identity(now, outdone);
            } else {
                effects.push(Effect::Impostor {
                    bus: identity.bus,
                    start: identity.start,
                    store: identity.store,
                });
                self.is_silent = true;
            }
        }
        true
    }

    /// Asks a node that was heard of, or that speaks unproven, to prove itself.
    pub(crate) fn challenge(&mut self, now: Time, node: &Identity, effects: &mut Vec<Effect>) {
        if let Err(reason) = self.admit_new(node) {
            self.drop_for(reason);
            return;
        }
        let whom = Whom::Only(node.node, node.epoch);
        let is_asked = |inquiry: &Inquiry| now.since(inquiry.asked) < CHALLENGE_PERIOD;
        if !self.inquiries.last(whom).is_some_and(is_asked) {
            self.ask(now, node.bus, whom, Origin::Return, effects);
        }
    }

    /// The nonce to ask in return. The same asker gets the same one while it waits, so that repeating a question
    /// fills no table.
    fn counter(&mut self, now: Time, asker: &Identity) -> u64 {
        let whom = Whom::Only(asker.node, asker.epoch);
        if let Some(last) = self.inquiries.last(whom)
            && now.since(last.asked) < CHALLENGE_PERIOD
        {
            return last.nonce;
        }
        let nonce = self.rng.random();
        self.inquiries.add(Inquiry {
            nonce,
            whom,
            origin: Origin::Return,
            asked: now,
        });
        nonce
    }
}
