//! The histories that broke earlier drafts, each by its number in the list and by name.
//!
//! Histories 11, 12 and 15 are tests of `order.rs`, 10 of `haves.rs`, 18 of `id.rs`, 16 of `names.rs`, 20 of `marks.rs`,
//! 29 of `subscriptions.rs`. Number 9 cannot be
//! written down here: what is settled does not know who published. Those of disks, sockets, jobs and shared settings (22
//! to 28) belong to the files and rooms that bring them. From 31 on they are those that this model
//! found.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::reading::{Got, Reader};
use super::world::{Disk, World, Written};
use crate::time::Time;
use crate::topic::{Closed, EntryId, Fork, Origin, OriginNode, Origins};

const ALONE: NonZeroUsize = NonZeroUsize::MIN;

/// Nodes that run, and one reader at the first.
fn world(nodes: usize) -> World {
    let mut world = World::running(nodes);
    world.readers.push(Reader::new(0, "*"));
    world
}

fn publish(world: &mut World, at: usize, entries: usize) -> Vec<(Origin, u64)> {
    (0..entries).map(|_| world.publish(at, "a")).collect()
}

/// Everything that comes at a node.
fn read(world: &mut World, at: usize) -> Got {
    world.read(0, at, 10_000)
}

fn set_aside(world: &mut World, at: usize, other: usize) {
    let id = world.nodes[other].id;
    world.nodes[at].order.set_aside(id);
}

fn check_the_end(world: &mut World) {
    world.heal();
    world.settle_down();
    assert_eq!(world.read_to_the_end(0), Ok(()));
}

#[test]
fn h01_a_restarted_node_with_a_slower_clock_is_read() {
    let mut world = world(3);
    world.nodes[0].skew = 50_000;
    publish(&mut world, 0, 1);
    world.settle_down();
    assert_eq!(read(&mut world, 1).entries.len(), 1);
    world.stop(2);
    world.partition(&[2]);
    world.boot(2, Disk::Whole);
    let entry = world.publish(2, "a");
    let Written::Entry { id, .. } = world.written[&entry] else {
        panic!("an entry");
    };
    assert!(id < world.readers[0].cursor.id());
    world.heal();
    world.settle_down();
    assert_eq!(read(&mut world, 1).late, [entry]);
    check_the_end(&mut world);
}

#[test]
fn h02_two_nodes_that_start_apart_and_meet_repeat_nothing() {
    let mut world = World::new(0, 2, None);
    world.readers.push(Reader::new(1, "*"));
    world.partition(&[0]);
    for at in 0..2 {
        world.boot(at, Disk::Whole);
        world.nodes[at].is_ready = true;
        publish(&mut world, at, 3);
        world.settle(at, ALONE);
        world.advance(at);
    }
    assert_eq!(read(&mut world, 1).entries.len(), 3);
    let zero = read(&mut world, 0).entries;
    assert!(zero.iter().all(|(origin, _)| origin.node().bits() == 0));
    check_the_end(&mut world);
}

#[test]
fn h03_a_member_that_only_one_lost_record_spoke_of_is_read() {
    let mut world = world(4);
    world.partition(&[0, 3]);
    publish(&mut world, 3, 3);
    world.tell_all(3, 0);
    world.partition(&[0]);
    world.stop(0);
    world.boot(0, Disk::Shortest);
    publish(&mut world, 0, 3);
    world.partition(&[3]);
    set_aside(&mut world, 1, 3);
    world.settle_down();
    assert_eq!(read(&mut world, 1).entries.len(), 3);
    world.settle(3, ALONE);
    check_the_end(&mut world);
    assert_eq!(world.readers[0].got.len(), 6);
}

#[test]
fn h04_a_life_born_behind_a_partition_is_carried_through_nodes_that_do_not_know_it() {
    let mut world = world(4);
    world.partition(&[2, 3]);
    world.stop(2);
    world.boot(2, Disk::Whole);
    let born = publish(&mut world, 2, 2);
    publish(&mut world, 0, 2);
    world.settle_down();
    for (at, other) in [(0, 2), (0, 3), (3, 0), (3, 1)] {
        set_aside(&mut world, at, other);
        world.advance(at);
    }
    assert_eq!(read(&mut world, 0).entries.len(), 2);
    assert_eq!(read(&mut world, 3).entries, born);
    assert!(world.nodes[0].origins.log(born[0].0).is_none());
    assert_eq!(read(&mut world, 0), Got::default());
    assert!(world.readers[0].cursor.cut().names(born[0].0));
    check_the_end(&mut world);
}

#[test]
fn h05_no_number_is_written_twice_after_a_lost_tail() {
    let mut world = world(2);
    publish(&mut world, 0, 45);
    world.sync(0);
    let lost = publish(&mut world, 0, 5);
    world.tell_all(0, 1);
    world.partition(&[0]);
    world.stop(0);
    world.boot(0, Disk::Shortest);
    let former = lost[0].0;
    assert_eq!(world.nodes[0].origins.prefix(former), 45);
    let new = world.publish(0, "a");
    assert!(new.0.is_later_than(former));
    assert_eq!(new.1, 2, "the first record ends the former life");
    check_the_end(&mut world);
    assert_eq!(world.readers[0].got.len(), 51);
}

#[test]
fn h06_a_copied_machine_is_a_fork_and_its_log_is_refused() {
    let life = Origin::new(OriginNode::new(1), 1000);
    let mut origins = Origins::default();
    for number in 1..=46 {
        let id = EntryId::new(number, 0);
        origins.take_entry(life, number, id).expect("ids rise");
    }
    let other = EntryId::new(46, 7);
    assert_eq!(origins.check(life, 46, other), Err(Fork { number: 46 }));
    let next = EntryId::new(47, 0);
    assert!(
        origins.take_entry(life, 47, next).is_err(),
        "refused for good"
    );
    assert_eq!(origins.prefix(life), 46);
    // A restored volume begins a life of its own.
    assert!(Origin::after(life.node(), Some(1000), 900).is_later_than(life));
}

#[test]
fn h07_a_record_that_is_not_settled_is_not_read_and_not_promised() {
    let mut world = world(3);
    world.partition(&[0]);
    publish(&mut world, 0, 1);
    world.settle(0, world.copies);
    world.promise(0, 1);
    world.advance(0);
    assert_eq!(read(&mut world, 0), Got::default());
    world.heal();
    world.settle_down();
    assert_eq!(read(&mut world, 0).entries.len(), 1);
}

#[test]
fn h08_two_sides_agree_on_what_one_side_did_not_settle() {
    let mut world = world(4);
    publish(&mut world, 0, 10);
    world.copy(0, 1, world.nodes[0].life, 10);
    world.partition(&[0]);
    let others = [1, 2, 3];
    for at in others {
        set_aside(&mut world, at, 0);
    }
    world.settle(0, world.copies);
    assert_eq!(read(&mut world, 0), Got::default());
    world.settle_down();
    assert_eq!(read(&mut world, 2).entries.len(), 10);
    world.heal();
    world.settle_down();
    assert_eq!(read(&mut world, 0), Got::default());
    check_the_end(&mut world);
}

#[test]
fn h13_what_a_dead_node_left_is_read_as_far_as_it_is_settled() {
    let mut world = world(3);
    world.settle_down();
    let entries = publish(&mut world, 0, 3);
    for to in [1, 2] {
        world.tell_all(0, to);
    }
    world.tell_all(1, 2);
    world.tell_all(2, 1);
    world.stop(0);
    world.settle(1, world.copies);
    world.wall += 5_000;
    world.promise(2, 1);
    world.advance(1);
    assert_eq!(read(&mut world, 1), Got::default(), "it is still counted");
    set_aside(&mut world, 1, 0);
    world.advance(1);
    let got = read(&mut world, 1);
    assert_eq!((got.entries, got.late), (entries, vec![]));
}

#[test]
fn h14_a_reader_goes_on_at_a_node_that_lacks_what_it_read_elsewhere() {
    let mut world = world(4);
    world.partition(&[1, 2]);
    let entries = publish(&mut world, 2, 3);
    world.settle_down();
    set_aside(&mut world, 1, 0);
    set_aside(&mut world, 1, 3);
    world.advance(1);
    assert_eq!(read(&mut world, 1).entries, entries);
    let passed = world.readers[0].cursor.cut().get(entries[0].0);
    publish(&mut world, 0, 2);
    world.settle_down();
    for other in [1, 2] {
        set_aside(&mut world, 0, other);
    }
    world.advance(0);
    assert_eq!(read(&mut world, 0).entries.len(), 2);
    assert_eq!(world.readers[0].cursor.cut().get(entries[0].0), passed);
    check_the_end(&mut world);
}

#[test]
fn h17_a_forgotten_node_that_was_alive_loses_nothing() {
    let mut world = world(3);
    publish(&mut world, 2, 3);
    world.settle_down();
    assert_eq!(read(&mut world, 0).entries.len(), 3);
    world.partition(&[2]);
    publish(&mut world, 2, 4);
    world.forget(0, 2);
    set_aside(&mut world, 1, 2);
    publish(&mut world, 0, 1);
    world.settle_down();
    assert_eq!(read(&mut world, 1).entries.len(), 1);
    let former = world.nodes[2].life;
    world.heal();
    world.settle_down();
    assert!(world.nodes[2].life.is_later_than(former), "it began again");
    publish(&mut world, 2, 1);
    check_the_end(&mut world);
    assert_eq!(world.readers[0].got.len(), 9);
}

#[test]
fn h19_order_never_stops_a_reader() {
    let mut world = world(3);
    world.settle_down();
    let entries = publish(&mut world, 0, 2);
    world.wall += 3_600_000;
    for _ in 0..2 {
        for (from, to) in [(0, 1), (0, 2), (1, 2), (2, 1)] {
            world.tell_all(from, to);
        }
        world.settle(1, world.copies);
    }
    // Node 2 is counted, and promises nothing for an hour.
    let origin = world.nodes[2].life;
    let id = EntryId::new(1, 0);
    world.nodes[1].order.hear(origin, Closed { id, records: 0 });
    world.advance(1);
    assert_eq!(read(&mut world, 1), Got::default());
    let stall = Duration::from_secs(1);
    for secs in [0, 2] {
        let now = Time::ZERO.after_secs(secs);
        world.nodes[1].origins.grow_old(now, 2 * stall);
    }
    let got = read(&mut world, 1);
    assert_eq!((&got.entries, &got.late), (&entries, &entries));
    check_the_end(&mut world);
}

#[test]
fn h21_a_joiner_takes_freed_ranges_by_name() {
    let mut world = world(3);
    publish(&mut world, 0, 20);
    world.settle_down();
    let life = world.nodes[0].life;
    world.read(0, 0, 5);
    for at in [0, 1] {
        world.free(at, life, 15);
    }
    world.stop(2);
    world.settled.clear();
    world.boot(2, Disk::Wiped);
    world.settle_down();
    assert_eq!(
        world.nodes[2]
            .origins
            .log(life)
            .map(|log| log.freed().last()),
        Some(15)
    );
    assert_eq!(read(&mut world, 2).entries.len(), 5);
    check_the_end(&mut world);
}

/// Two lives of node 0, of which node 3 saw only the second: its first record ends the first, whose 3 entries node 3 lacks.
fn second_life_without_the_first() -> (World, Origin) {
    let mut world = world(4);
    publish(&mut world, 0, 3);
    let first = world.nodes[0].life;
    world.tell_all(0, 1);
    world.stop(0);
    world.boot(0, Disk::Whole);
    publish(&mut world, 0, 2);
    let second = world.nodes[0].life;
    world.greet(0, 3);
    world.copy(0, 3, second, 10);
    (world, first)
}

#[test]
fn h30a_an_end_record_waits_for_what_it_ends() {
    let (mut world, first) = second_life_without_the_first();
    let second = world.nodes[0].life;
    let node = &mut world.nodes[3];
    node.origins.settle(first, 3);
    node.origins.settle(second, 3);
    world.settled.extend([(first, 3), (second, 3)]);
    world.nodes[3].order = crate::topic::Order::default();
    world.advance(3);
    assert_eq!(read(&mut world, 3), Got::default());
    world.copy(0, 3, first, 2);
    assert_eq!(
        read(&mut world, 3).entries.len(),
        2,
        "the first two of three"
    );
    world.copy(0, 3, first, 1);
    let got = read(&mut world, 3);
    assert_eq!(got.entries.len(), 3);
    assert_eq!(got.entries[0], (first, 3));
    check_the_end(&mut world);
}

#[test]
fn h30b_a_named_later_life_that_the_node_lacks_is_not_ignored() {
    let mut world = world(3);
    publish(&mut world, 0, 3);
    let first = world.nodes[0].life;
    world.settle_down();
    // Node 2 stays behind: it never hears of the second life.
    world.partition(&[2]);
    world.stop(0);
    world.boot(0, Disk::Whole);
    world.tell_all(1, 0);
    publish(&mut world, 0, 1);
    world.settle_down();
    for at in 0..2 {
        set_aside(&mut world, at, 2);
        world.advance(at);
    }
    read(&mut world, 1);
    let cut = world.readers[0].cursor.cut();
    assert!(
        !cut.names(first) && cut.names(world.nodes[0].life),
        "{cut:?}"
    );
    assert_eq!(read(&mut world, 2), Got::default(), "all of it was read");
    check_the_end(&mut world);
}

#[test]
fn h30c_an_end_record_waits_for_what_its_part_ends_in_turn() {
    let mut world = world(4);
    let mut lives = vec![world.nodes[0].life];
    publish(&mut world, 0, 2);
    world.tell_all(0, 1);
    for _ in 0..2 {
        world.stop(0);
        world.boot(0, Disk::Whole);
        publish(&mut world, 0, 1);
        lives.push(world.nodes[0].life);
        world.tell_all(0, 1);
    }
    world.greet(0, 3);
    // The third life and the second are there, the first is not.
    for life in &lives[1..] {
        world.copy(0, 3, *life, 10);
    }
    for life in &lives {
        world.nodes[3].origins.settle(*life, 9);
        world.settled.insert(*life, 2);
    }
    world.nodes[3].order = crate::topic::Order::default();
    world.advance(3);
    assert_eq!(read(&mut world, 3), Got::default());
    world.copy(0, 3, lives[0], 10);
    assert_eq!(read(&mut world, 3).entries.len(), 4);
}

/// A member copies the newest records first; then the origin is lost, and with it the record between.
#[test]
fn h31_a_hole_that_nobody_can_fill_is_told_and_what_follows_it_is_read() {
    let mut world = world(3);
    publish(&mut world, 0, 4);
    let life = world.nodes[0].life;
    world.copy_from(0, 1, life, 1, 1);
    world.copy_from(0, 1, life, 3, 2);
    world.stop(0);
    world.boot(0, Disk::Wiped);
    world.settle_down();
    assert_eq!(world.nodes[0].origins.prefix(life), 1);
    for node in &mut world.nodes {
        node.origins.lose(life, 2..=2);
    }
    check_the_end(&mut world);
    assert!(world.readers[0].got.contains(&(life, 4)));
    assert!(world.readers[0].told.contains(&(life, 2)));
}

/// A life that published nothing wrote that a loss is known. Its next life has forgotten that.
#[test]
fn h32_a_loss_that_only_a_silent_life_wrote_down_is_told() {
    let mut world = world(3);
    publish(&mut world, 0, 2);
    world.sync(0);
    publish(&mut world, 0, 3);
    let life = world.nodes[0].life;
    world.nodes[1].origins.hear_of(life, 5);
    world.stop(0);
    world.boot(0, Disk::Shortest);
    world.nodes[0].origins.hear_of(life, 5);
    let node = &world.nodes[0];
    let ended = node.origins.ended_by_first(node.life);
    world.write_end(0, &ended);
    world.tell_all(0, 1);
    world.stop(0);
    world.boot(0, Disk::Wiped);
    publish(&mut world, 0, 1);
    check_the_end(&mut world);
    for number in 3..=5 {
        assert!(world.readers[0].told.contains(&(life, number)), "{number}");
    }
}

/// Rule 7 once let a name go when nothing of its origin was kept at the node. Another node may still keep it.
#[test]
fn h33_retention_that_ran_early_on_one_node_repeats_nothing_on_another() {
    let mut world = world(3);
    let entries = publish(&mut world, 0, 6);
    let first = entries[0].0;
    world.settle_down();
    assert_eq!(read(&mut world, 1).entries.len(), 6);
    world.stop(0);
    world.boot(0, Disk::Whole);
    publish(&mut world, 0, 1);
    world.settle_down();
    world.free(1, first, 6);
    assert_eq!(read(&mut world, 1).entries.len(), 1);
    assert_eq!(read(&mut world, 2), Got::default());
    for at in 0..3 {
        world.nodes[at].origins.seal(first, 6);
    }
    publish(&mut world, 0, 1);
    check_the_end(&mut world);
}
