//! A cursor's names stay bounded: about one a member, however often they restart.

use super::reading::Reader;
use super::world::{Disk, World};

/// The longest that a cursor of three nodes may be.
const BYTES: usize = 80;

/// A cluster of three in our time, with one reader.
fn three_nodes() -> World {
    let mut world = World::new(0, 3, None);
    world.wall = 1_790_000_000_000;
    for at in 0..3 {
        world.boot(at, Disk::Whole);
        world.nodes[at].is_ready = true;
    }
    world.readers.push(Reader::new(0, "*"));
    world
}

fn restart(world: &mut World, at: usize, disk: Disk) {
    world.wall += 3_000;
    world.stop(at);
    world.boot(at, disk);
    world.publish(at, "a");
}

/// Tells everybody everything, with as little work as a thousand restarts allow.
fn spread(world: &mut World) {
    let linked = |world: &World| -> Vec<(usize, usize)> {
        let pairs = (0..3).flat_map(|from| (0..3).map(move |to| (from, to)));
        let is_link = |&(from, to): &(usize, usize)| from != to && world.are_linked(from, to);
        pairs.filter(is_link).collect()
    };
    for _ in 0..2 {
        world.wall += 10;
        for (from, to) in linked(world) {
            world.tell_all(from, to);
        }
        for at in 0..3 {
            world.settle(at, world.copies);
        }
        for (from, to) in linked(world) {
            world.promise(from, to);
            world.count(to, from);
        }
        for at in 0..3 {
            world.advance(at);
        }
    }
}

fn check_size(world: &World, names: usize) {
    let cursor = &world.readers[0].cursor;
    let text = cursor.to_string();
    assert!(cursor.cut().len() <= names, "{cursor:?}");
    assert!(text.len() <= BYTES, "{} bytes: {text}", text.len());
}

#[test]
fn a_cursor_s_names_stay_bounded_over_1000_restarts() {
    let mut world = three_nodes();
    for round in 0..1000 {
        restart(&mut world, round % 3, Disk::Whole);
        if round % 50 == 0 {
            spread(&mut world);
            world.read(0, round / 50 % 3, 1000);
            check_size(&world, 3);
        }
    }
    spread(&mut world);
    while world.read(0, 1, 1000).entries.len() == 1000 {}
    check_size(&world, 3);
    assert_eq!(world.readers[0].got.len(), 1000);
}

/// History 16.
#[test]
fn an_absent_member_does_not_let_a_cursor_grow() {
    let mut world = three_nodes();
    for at in 0..3 {
        world.publish(at, "a");
    }
    spread(&mut world);
    assert_eq!(world.read(0, 0, 100).entries.len(), 3);
    world.partition(&[2]);
    let away = world.nodes[2].id;
    for at in 0..2 {
        world.nodes[at].order.set_aside(away);
    }
    for round in 0..300 {
        restart(&mut world, 0, Disk::Torn);
        if round % 10 == 0 {
            spread(&mut world);
            world.read(0, round / 10 % 2, 1000);
            check_size(&world, 3);
        }
    }
    world.heal();
    world.settle_down();
    assert_eq!(world.read_to_the_end(0), Ok(()));
    check_size(&world, 3);
}
