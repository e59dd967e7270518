use std::time::Duration;

use super::world::*;
use crate::{Effect, Event, Identity, Settings, Status};

/// Kills a node, and tells when the last of the others knew.
fn death(count: usize, seed: u64, timeout: Duration) -> Duration {
    let mut world = World::joined(count, seed);
    for at in 0..count {
        let settings = Settings {
            node_timeout: timeout,
            ..settings()
        };
        world.event(at, Event::Configured(settings));
    }
    world.run(secs(10) + ms(seed * 37 % 1000));
    let last = count - 1;
    world.kill(last);
    let down = |world: &World, at| world.status(at, last) == Some(Status::Down);
    let took = world.until(timeout * 2, |world| (0..last).all(|at| down(world, at)));
    world.run(secs(5));
    let living: Vec<_> = (0..last).collect();
    assert!(world.know_each_other(&living));
    took
}

#[test]
fn a_death_is_known_to_all_within_the_timeout() {
    for timeout in [ms(1000), secs(3), secs(20)] {
        for count in [2, 3, 7] {
            let seeds = 1000..1010;
            let mut deaths: Vec<_> = seeds.map(|seed| death(count, seed, timeout)).collect();
            deaths.sort_unstable();
            let last = deaths[9];
            println!(
                "timeout {timeout:?}, {count} nodes: {:?} to {last:?}",
                deaths[0]
            );
            assert!(deaths[0] >= timeout * 2 / 5, "suspects have time to answer");
            assert!(deaths[8] <= timeout, "{count} nodes: {deaths:?}");
            assert!(last <= timeout * 6 / 5, "{count} nodes: {last:?}");
        }
    }
}

#[test]
fn a_node_that_was_stopped_comes_back() {
    for seed in 0..10 {
        let mut world = World::joined(3, seed);
        world.run(secs(5));
        world.pause(2);
        world.until(secs(3), |world| {
            (0..2).all(|at| world.status(at, 2) == Some(Status::Down))
        });
        world.run(secs(10));
        world.resume(2);
        let took = world.until(secs(2), |world| world.know_each_other(&[0, 1, 2]));
        assert!(took < secs(1), "{took:?}");
        world.run(secs(30));
        assert!(world.know_each_other(&[0, 1, 2]));
        assert_eq!(
            world.told(2, |e| matches!(e, Effect::Down(_))),
            0,
            "it was the one who stood still"
        );
        assert!(world.nodes[2].membership.me().renewal > 0);
        assert_eq!(world.nodes[2].membership.me().start, 1);
    }
}

#[test]
fn a_short_stop_is_forgiven() {
    let mut world = World::joined(3, 1);
    world.run(secs(5));
    world.pause(2);
    world.run(ms(1000));
    world.resume(2);
    world.run(secs(10));
    assert!(world.know_each_other(&[0, 1, 2]));
    let suspected = world.told(0, |e| matches!(e, Effect::Suspected(_)));
    assert_eq!(
        suspected,
        world.told(0, |e| matches!(e, Effect::Recovered(_)))
    );
    assert_eq!(world.told(0, |e| matches!(e, Effect::Down(_))), 0);
}

#[test]
fn who_leaves_is_known_to_be_gone_at_once() {
    for count in [3, 7] {
        let mut world = World::joined(count, 1);
        world.run(secs(5));
        world.event(0, Event::Leave);
        world.until(ms(500), |world| {
            (1..count).all(|at| world.status(at, 0) == Some(Status::Down))
        });
        world.run(secs(10));
        let sent = world.nodes[0].membership.stats().packets_out;
        world.run(secs(100));
        assert_eq!(world.nodes[0].membership.stats().packets_out, sent);
    }
}

#[test]
fn a_partition_heals() {
    for (count, sides) in [
        (3, vec![0, 1, 1]),
        (3, vec![0, 1, 2]),
        (7, vec![0, 0, 0, 1, 1, 1, 1]),
        (7, vec![0, 1, 2, 3, 4, 5, 6]),
    ] {
        for seed in 0..4 {
            let mut world = World::joined(count, seed);
            world.sides.clone_from(&sides);
            world.run(secs(60));
            for at in 0..count {
                for of in 0..count {
                    let apart = sides[at] != sides[of];
                    assert!(!apart || world.status(at, of) == Some(Status::Down));
                }
            }
            world.sides = vec![0; count];
            let all: Vec<usize> = (0..count).collect();
            let took = world.until(secs(15), |world| world.know_each_other(&all));
            println!("{sides:?}: {took:?}");
            world.run(secs(20));
            assert!(world.know_each_other(&all));
        }
    }
}

#[test]
fn heavy_loss_separates_nobody_for_good() {
    for count in [3, 7] {
        for (seed, loss) in [(1, 30), (2, 50), (3, 70), (4, 90), (5, 100)] {
            let mut world = World::joined(count, seed);
            world.loss = loss;
            world.run(secs(60));
            world.loss = 0;
            let all: Vec<usize> = (0..count).collect();
            world.until(secs(15), |world| world.know_each_other(&all));
            world.run(secs(60));
            assert!(world.know_each_other(&all));
        }
    }
}

#[test]
fn loss_alone_makes_nobody_seem_dead() {
    for count in [3, 7] {
        let mut world = World::joined(count, 5);
        world.loss = 10;
        world.run(secs(300));
        for at in 0..count {
            assert_eq!(world.told(at, |e| matches!(e, Effect::Down(_))), 0);
        }
    }
}

#[test]
fn searching_for_the_dead_stays_cheap() {
    let mut world = World::joined(7, 1);
    (1..7).for_each(|at| world.kill(at));
    world.run(secs(60));
    let before = *world.nodes[0].membership.stats();
    world.run(secs(1000));
    let after = world.nodes[0].membership.stats();
    let packets = after.packets_out - before.packets_out;
    assert!(packets > 1000, "it goes on: {packets}");
    assert!(
        after.bytes_out - before.bytes_out < 1000 * 1000,
        "below 1 kB a second"
    );
}

#[test]
fn living_together_is_cheap() {
    for count in [3, 7] {
        let mut world = World::joined(count, 1);
        world.run(secs(60));
        let before = *world.nodes[0].membership.stats();
        world.run(secs(100));
        let after = world.nodes[0].membership.stats();
        let bytes = (after.bytes_out - before.bytes_out) / 100;
        println!("{count} nodes: {bytes} bytes a second");
        assert!(bytes < 2000, "{count} nodes: {bytes} bytes a second");
    }
}

#[test]
fn the_older_of_two_clones_stops() {
    for seed in 0..10 {
        let mut world = World::joined(3, seed);
        let memory = world.nodes[2].membership.memory();
        let clone = Identity {
            bus: address(9),
            ..identity(2, 2)
        };
        let at = world.start(clone, settings(), memory);
        world.run(secs(10));
        let impostor = Effect::Impostor {
            bus: address(9),
            start: 2,
            store: clone.store,
        };
        assert_eq!(world.told(2, |e| *e == impostor), 1);
        assert_eq!(world.told(at, |e| matches!(e, Effect::Impostor { .. })), 0);
        assert!(world.know_each_other(&[0, 1, at]));
    }
}

#[test]
fn of_two_clones_that_start_alike_one_stops() {
    for seed in 0..10 {
        let mut world = World::joined(3, seed);
        let memory = world.nodes[2].membership.memory();
        let clone = Identity {
            bus: address(9),
            ..identity(2, 1)
        };
        let at = world.start(clone, settings(), memory);
        world.run(secs(10));
        let stopped = [2, at].map(|at| world.told(at, |e| matches!(e, Effect::Impostor { .. })));
        assert_eq!(stopped.iter().sum::<usize>(), 1);
        let left = if stopped[0] == 1 { at } else { 2 };
        assert!(world.know_each_other(&[0, 1, left]));
    }
}

#[test]
fn a_handshake_unmasks_a_clone() {
    let mut world = World::of(1, 1);
    let clone = Identity {
        bus: address(9),
        ..identity(0, 2)
    };
    world.event(0, Event::Seen(clone));
    assert_eq!(world.told(0, |e| matches!(e, Effect::Impostor { .. })), 1);
}

#[test]
fn a_lost_generation_is_outdone_in_the_same_place() {
    let mut world = World::joined(3, 1);
    world.kill(2);
    let memory = world.nodes[2].membership.memory();
    world.restart(2, identity(2, 0), memory);
    world.until(secs(5), |world| world.know_each_other(&[0, 1, 2]));
    assert_eq!(world.nodes[2].membership.me().start, 1);
    assert_eq!(world.told(2, |e| matches!(e, Effect::Impostor { .. })), 0);
}
