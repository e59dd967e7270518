//! What nodes know of what their peers are ready for.

use crate::event::Event;
use crate::message::{Message, PeerState};

use super::bench::SETTINGS;
use super::shoal::Shoal;

fn takers(shoal: &Shoal, seat: usize) -> u16 {
    shoal.node(seat).peers.takers().len()
}

#[test]
fn a_node_that_cannot_write_its_log_is_asked_for_no_copies_until_it_can() {
    let mut shoal = Shoal::with(3, SETTINGS);
    assert_eq!(takers(&shoal, 1), 2);
    shoal.feed(0, Event::LogFailing(true));
    shoal.advance_ms(10);
    assert_eq!((takers(&shoal, 1), takers(&shoal, 2)), (1, 1));
    shoal.feed(0, Event::LogFailing(false));
    shoal.advance_ms(10);
    assert_eq!((takers(&shoal, 1), takers(&shoal, 2)), (2, 2));
}

#[test]
fn peers_are_told_of_a_state_once() {
    let mut shoal = Shoal::with(2, SETTINGS);
    shoal.sent.clear();
    shoal.feed(0, Event::LogFailing(false));
    assert!(shoal.sent.is_empty(), "nothing changed");
    shoal.feed(0, Event::LogFailing(true));
    shoal.feed(0, Event::LogFailing(true));
    let full = Message::State(PeerState {
        full: true,
        ..PeerState::default()
    });
    assert_eq!(shoal.sent, [(0, 1, full)]);
}
