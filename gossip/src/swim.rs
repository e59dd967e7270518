//! Foca, made to fit: its timers on our timeline, its messages read before it gets them.

use std::collections::BTreeMap;
use std::time::Duration;

use foca::{
    Codec, Foca, Message, NoCustomBroadcast, Notification, PostcardCodec, Runtime, State, Timer,
};
use rand::rngs::StdRng;
use shoalmq_core::id::NodeId;
use shoalmq_core::time::Time;

use crate::Identity;
use crate::config::Timing;

/// What foca says of a member.
pub(crate) type Update = foca::Member<Identity>;

/// One foca, and the timers that it waits for.
pub(crate) struct Swim {
    foca: Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>,
    outbox: Outbox,
    /// A number makes two timers of one moment keep their order.
    timers: BTreeMap<(Time, u64), Timer<Identity>>,
    tickets: u64,
    timing: Timing,
    first_timing: Timing,
}

/// Collects what foca wants done.
#[derive(Default)]
struct Outbox {
    sends: Vec<(Identity, Vec<u8>)>,
    timers: Vec<(Timer<Identity>, Duration)>,
}

impl Runtime<Identity> for Outbox {
    /// Nothing: what changed is found by comparing, which misses nothing and knows suspects too.
    fn notify(&mut self, _: Notification<'_, Identity>) {}

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        self.timers.push((timer, after));
    }
}

impl Swim {
    pub(crate) fn new(me: Identity, timing: Timing, rng: StdRng) -> Self {
        Swim {
            foca: Foca::new(me, timing.foca(&timing), rng, PostcardCodec),
            outbox: Outbox::default(),
            timers: BTreeMap::new(),
            tickets: 0,
            timing,
            first_timing: timing,
        }
    }

    pub(crate) fn me(&self) -> Identity {
        *self.foca.identity()
    }

    /// Every member that foca knows, dead ones too.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Update> {
        self.foca.iter_membership_state()
    }

    pub(crate) fn find(&self, node: NodeId) -> Option<&Update> {
        self.members().find(|update| update.id().node == node)
    }

    pub(crate) fn deadline(&self) -> Time {
        self.timers
            .first_key_value()
            .map_or(Time::NEVER, |((time, _), _)| *time)
    }

    /// What is to be sent since the last call.
    pub(crate) fn take_sends(&mut self) -> Vec<(Identity, Vec<u8>)> {
        std::mem::take(&mut self.outbox.sends)
    }

    /// Fires what is due. When this process stood still for longer than a probe takes, the timers stand still
    /// for as long: that others were silent meanwhile says nothing of them.
    pub(crate) fn tick(&mut self, now: Time) {
        let late = now.since(self.deadline());
        if late > self.timing.probe_period {
            let timers = std::mem::take(&mut self.timers);
            let later = timers
                .into_iter()
                .map(|((time, ticket), timer)| ((time + late, ticket), timer));
            self.timers = later.collect();
        }
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            let timer = entry.remove();
            // Its errors tell of probes cut short, from which it goes on by itself.
            let _ = self.run(now, |foca, outbox| foca.handle_timer(timer, outbox));
        }
    }

    /// Gives foca a message that was read before.
    pub(crate) fn receive(&mut self, now: Time, data: &[u8]) -> Result<(), foca::Error> {
        let result = self.run(now, |foca, outbox| foca.handle_data(data, outbox));
        // A renewal leaves foca unconnected until the next message: connect it now.
        self.adjust(now);
        result
    }

    /// Lets a member in, or takes its newer claim.
    pub(crate) fn apply_alive(&mut self, now: Time, identity: Identity) {
        self.must(now, |foca, outbox| {
            foca.apply_many(std::iter::once(Update::alive(identity)), true, outbox)
        });
    }

    /// Asks a member for the members that it knows, which also makes it notice that one holds the other for dead.
    pub(crate) fn announce(&mut self, now: Time, to: Identity) {
        self.must(now, |foca, outbox| foca.announce(to, outbox));
    }

    /// Removes a member, and tells nobody.
    pub(crate) fn forget(&mut self, now: Time, node: NodeId) {
        let Some(identity) = self.find(node).map(|update| *update.id()) else {
            return;
        };
        self.must(now, |foca, outbox| {
            foca.apply_many(std::iter::once(Update::down(identity)), false, &mut *outbox)?;
            // The timer that foca sets for itself when members fade away with time.
            foca.handle_timer(Timer::RemoveDown(identity), outbox)
        });
    }

    pub(crate) fn configure(&mut self, timing: Timing) {
        self.timing = timing;
        self.foca
            .set_config(timing.foca(&self.first_timing))
            .expect("what foca does not let change stays");
    }

    /// Takes another identity, and tells the others.
    pub(crate) fn become_identity(&mut self, now: Time, identity: Identity) {
        if identity != self.me() {
            self.must(now, |foca, outbox| foca.change_identity(identity, outbox));
            self.adjust(now);
        }
    }

    /// Tells some members that this node is gone, twice, as one packet may be lost; they tell the others.
    pub(crate) fn leave(&mut self, now: Time) {
        self.must(now, |foca, outbox| {
            foca.leave_cluster(&mut *outbox)?;
            foca.gossip(outbox)
        });
    }

    fn adjust(&mut self, now: Time) {
        self.must(now, |foca, outbox| {
            foca.apply_many(std::iter::empty(), true, outbox)
        });
    }

    /// For calls that fail only when a packet does not fit its buffer, which identities of this size always do.
    fn must(
        &mut self,
        now: Time,
        call: impl FnOnce(
            &mut Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>,
            &mut Outbox,
        ) -> Result<(), foca::Error>,
    ) {
        self.run(now, call).expect("identities fit a packet");
    }

    fn run(
        &mut self,
        now: Time,
        call: impl FnOnce(
            &mut Foca<Identity, PostcardCodec, StdRng, NoCustomBroadcast>,
            &mut Outbox,
        ) -> Result<(), foca::Error>,
    ) -> Result<(), foca::Error> {
        let result = call(&mut self.foca, &mut self.outbox);
        // After an error too: a timer that is lost would end the probes.
        for (timer, wanted) in self.outbox.timers.drain(..) {
            let at = now + self.timing.delay(&timer, wanted);
            self.timers.insert((at, self.tickets), timer);
            self.tickets += 1;
        }
        result
    }
}

/// A message of foca, read but not yet given to it.
pub(crate) struct Opened<'a> {
    pub(crate) sender: Identity,
    pub(crate) receiver: Identity,
    /// A third node that the receiver is asked to write to.
    pub(crate) other: Option<Identity>,
    head: &'a [u8],
    /// `None` in messages that have no place for them.
    updates: Option<Vec<(Update, &'a [u8])>>,
}

impl<'a> Opened<'a> {
    /// Reads a message; `None` when it is not one of ours.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let mut rest = data;
        let header = PostcardCodec.decode_header(&mut rest).ok()?;
        let head = &data[..data.len() - rest.len()];
        let mut updates = None;
        if let Some((count, tail)) = rest.split_first_chunk() {
            rest = tail;
            let mut read = Vec::new();
            for _ in 0..u16::from_be_bytes(*count) {
                let before = rest;
                let update = PostcardCodec.decode_member(&mut rest).ok()?;
                read.push((update, &before[..before.len() - rest.len()]));
            }
            updates = Some(read);
        }
        let other = match header.message {
            Message::PingReq { target, .. } | Message::IndirectAck { target, .. } => Some(target),
            Message::IndirectPing { origin, .. } | Message::ForwardedAck { origin, .. } => {
                Some(origin)
            }
            Message::Ping(_)
            | Message::Ack(_)
            | Message::Announce
            | Message::Feed
            | Message::Gossip
            | Message::TurnUndead => None,
            // Never sent: there is nothing of our own to spread.
            Message::Broadcast => return None,
        };
        rest.is_empty().then_some(Opened {
            sender: header.src,
            receiver: header.dst,
            other,
            head,
            updates,
        })
    }

    /// The same message with only those of its updates that pass.
    pub(crate) fn keep(&self, mut passes: impl FnMut(&Identity, State) -> bool) -> Vec<u8> {
        let mut data = self.head.to_vec();
        if let Some(updates) = &self.updates {
            let kept: Vec<&[u8]> = updates
                .iter()
                .filter(|(update, _)| passes(update.id(), update.state()))
                .map(|(_, bytes)| *bytes)
                .collect();
            data.extend((kept.len() as u16).to_be_bytes());
            data.extend(kept.concat());
        }
        data
    }
}
