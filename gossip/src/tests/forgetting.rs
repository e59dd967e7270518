use super::world::*;
use crate::{BAR, Effect, Event, Status};

#[test]
fn who_is_forgotten_stays_away_for_a_minute() {
    for seed in 0..4 {
        let mut world = World::joined(3, seed);
        world.run(secs(5));
        for at in [0, 1] {
            world.event(at, Event::Forget(node(2)));
            assert_eq!(world.told(at, |e| *e == Effect::Forgotten(node(2))), 1);
        }
        let end = world.now + BAR;
        while world.now < end - secs(1) {
            world.run(secs(1));
            assert_eq!((world.status(0, 2), world.status(1, 2)), (None, None));
            assert!(world.know_each_other(&[0, 1]));
            assert!(world.nodes[0].membership.is_barred(node(2), world.now));
        }
        world.run(secs(1));
        assert!(!world.nodes[0].membership.is_barred(node(2), world.now));
        world.until(secs(15), |world| world.know_each_other(&[0, 1, 2]));
    }
}

#[test]
fn the_dead_stay_forgotten() {
    let mut world = World::joined(3, 1);
    world.kill(2);
    world.run(secs(5));
    for at in [0, 1] {
        world.event(at, Event::Forget(node(2)));
    }
    world.run(secs(300));
    assert_eq!((world.status(0, 2), world.status(1, 2)), (None, None));
    assert!(world.nodes[0].membership.memory().barred.len() <= 1);
}

#[test]
fn a_bar_survives_a_restart() {
    let mut world = World::joined(3, 1);
    world.event(0, Event::Forget(node(2)));
    let memory = world.nodes[0].membership.memory();
    assert_eq!(memory.barred, [(node(2), world.now + BAR)]);
    world.restart(0, identity(0, 2), memory);
    world.run(secs(50));
    assert_eq!(world.status(0, 2), None);
    assert_eq!(world.status(0, 1), Some(Status::Alive));
}

#[test]
fn nobody_forgets_itself() {
    let mut world = World::joined(2, 1);
    let before = world.nodes[0].effects.len();
    world.event(0, Event::Forget(node(0)));
    assert_eq!(world.nodes[0].effects.len(), before);
}

#[test]
fn who_is_reset_stays_alone_until_it_meets_again() {
    for seed in 0..4 {
        let mut world = World::joined(3, seed);
        world.run(secs(5));
        let before = world.nodes[2].membership.me();
        world.event(2, Event::Reset);
        assert_eq!(world.told(2, |e| matches!(e, Effect::Forgotten(_))), 2);
        let after = world.nodes[2].membership.me();
        assert_eq!((after.node, after.start), (before.node, before.start));
        assert_ne!(after.epoch, before.epoch);
        world.until(ms(500), |world| {
            (0..2).all(|at| world.status(at, 2) == Some(Status::Down))
        });
        world.run(secs(300));
        assert_eq!(world.nodes[2].membership.members().count(), 0);
        world.event(0, Event::Meet(address(2)));
        world.until(secs(1), |world| world.know_each_other(&[0, 1, 2]));
    }
}

#[test]
fn a_reset_outlives_a_restart() {
    let mut world = World::joined(3, 1);
    world.event(2, Event::Reset);
    let memory = world.nodes[2].membership.memory();
    let me = crate::Identity {
        start: 2,
        renewal: 0,
        ..world.nodes[2].membership.me()
    };
    assert_eq!(memory.epoch, me.epoch);
    world.restart(2, me, memory);
    world.run(secs(60));
    assert_eq!(world.nodes[2].membership.members().count(), 0);
    world.event(2, Event::Meet(address(0)));
    world.until(secs(1), |world| world.know_each_other(&[0, 1, 2]));
}

#[test]
fn a_hard_reset_makes_another_node() {
    let mut world = World::joined(3, 1);
    world.event(2, Event::Renamed(node(8)));
    world.run(secs(60));
    assert_eq!(world.nodes[2].membership.me().node, node(8));
    assert_eq!(world.nodes[2].membership.members().count(), 0);
    world.event(2, Event::Meet(address(0)));
    world.until(secs(1), |world| world.know_each_other(&[0, 1, 2]));
    let member = world.nodes[0].membership.member(node(2));
    assert_eq!(member.map(|member| member.status), Some(Status::Down));
}

#[test]
fn who_was_gone_during_a_reset_does_not_come_back_by_itself() {
    let mut world = World::joined(2, 1);
    let memory = world.nodes[1].membership.memory();
    world.kill(1);
    world.event(0, Event::Reset);
    world.restart(1, identity(1, 2), memory);
    world.run(secs(60));
    assert_eq!(world.status(0, 1), None);
    assert_eq!(world.status(1, 0), Some(Status::Down));
}
