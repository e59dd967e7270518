//! Links between the nodes: all of them are up, but for those of a node that is away.

use super::world::{SEATS, World};
use crate::event::{Event, PeerUp};
use crate::extras::Features;
use crate::id::StoreId;
use crate::tests::shoal::Shoal;

impl World {
    pub(super) fn is_linked(&self, from: usize, to: usize) -> bool {
        let away = [Some(from), Some(to)].contains(&self.away);
        from != to && !away && self.is_running(from) && self.is_running(to)
    }

    /// Nothing reaches this node any more, and nothing gets out.
    pub(super) fn cut_off(&mut self, seat: usize) {
        for other in (0..SEATS).filter(|&other| other != seat) {
            self.unlink(seat, other);
        }
        self.away = Some(seat);
        self.settle();
    }

    /// The node that was away is back.
    pub(super) fn mend(&mut self) {
        if let Some(seat) = self.away.take() {
            for other in (0..SEATS).filter(|&other| other != seat) {
                self.link(seat, other);
            }
            self.settle();
        }
    }

    /// All links break, with what is on its way, and come up again.
    pub(super) fn relink(&mut self) {
        for seat in 0..SEATS {
            (0..seat).for_each(|other| self.unlink(seat, other));
        }
        for seat in 0..SEATS {
            (0..seat).for_each(|other| self.link(seat, other));
        }
        self.settle();
    }

    fn unlink(&mut self, a: usize, b: usize) {
        if self.is_linked(a, b) {
            for (from, to) in [(a, b), (b, a)] {
                self.wire
                    .retain(|parcel| (parcel.from, parcel.to) != (from, to));
                self.feed_synced(from, Event::PeerDown(Shoal::id(to)));
            }
        }
    }

    pub(super) fn link(&mut self, a: usize, b: usize) {
        if self.is_linked(a, b) {
            for (from, to) in [(a, b), (b, a)] {
                let up = PeerUp {
                    id: Shoal::id(to),
                    store: StoreId(to as u64 + 1),
                    restarted: self.was_restarted(to),
                    same_zone: false,
                    zone: 0,
                    features: Features::KNOWN,
                };
                self.feed_synced(from, Event::PeerUp(up));
            }
        }
    }
}
