//! What nodes know of what their peers are ready for.

use crate::event::Event;

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
