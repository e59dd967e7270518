use std::hash::{DefaultHasher, Hash, Hasher};

use shoalmq_core::id::StoreId;

use super::world::*;
use crate::{Effect, Event, Identity, MEMBERS_MAX, Memory, Reason, Status};

#[test]
fn nodes_join_through_one_seed() {
    for count in [2, 3, 7] {
        for seed in 0..4 {
            let mut world = World::of(count, seed);
            for at in 1..count {
                world.event(at, Event::Seeds(vec![address(0)]));
            }
            let all: Vec<usize> = (0..count).collect();
            let took = world.until(secs(2), |world| world.know_each_other(&all));
            assert!(took <= secs(1), "{count} nodes, seed {seed}: {took:?}");
            for at in 0..count {
                assert_eq!(
                    world.told(at, |e| matches!(e, Effect::Joined(_))),
                    count - 1
                );
                assert_eq!(world.told(at, |e| matches!(e, Effect::Up(_))), count - 1);
                assert!(world.told(at, |e| *e == Effect::Remember) >= count - 1);
            }
            world.run(secs(30));
            assert!(world.know_each_other(&all));
            let quiet = |e: &Effect| !matches!(e, Effect::Suspected(_) | Effect::Down(_));
            assert!((0..count).all(|at| world.nodes[at].effects.iter().all(|(_, e)| quiet(e))));
        }
    }
}

#[test]
fn meeting_joins_even_when_the_other_starts_late() {
    let mut world = World::of(2, 1);
    world.kill(1);
    world.event(0, Event::Meet(address(1)));
    world.run(secs(5));
    world.restart(1, identity(1, 1), Memory::default());
    world.until(secs(5), |world| world.know_each_other(&[0, 1]));
}

#[test]
fn meeting_is_given_up() {
    let mut world = World::of(1, 1);
    world.event(0, Event::Meet(address(1)));
    world.run(secs(60));
    assert_eq!(world.recording.len(), 10);
}

#[test]
fn two_meetings_join_three() {
    let mut world = World::of(3, 1);
    world.event(0, Event::Meet(address(1)));
    world.event(0, Event::Meet(address(2)));
    world.until(secs(2), |world| world.know_each_other(&[0, 1, 2]));
}

#[test]
fn two_islands_join_when_a_seed_is_on_the_other() {
    let mut world = World::of(4, 3);
    world.event(0, Event::Meet(address(1)));
    world.event(2, Event::Meet(address(3)));
    world.run(secs(5));
    world.event(0, Event::Seeds(vec![address(0), address(2)]));
    world.until(secs(2), |world| world.know_each_other(&[0, 1, 2, 3]));
}

#[test]
fn a_seed_that_is_up_is_left_alone() {
    let mut world = World::joined(2, 1);
    // Itself by another name, too.
    world.event(1, Event::Seeds(vec![address(0), address(1)]));
    world.run(secs(10));
    let before = world.nodes[0].membership.stats().dropped(Reason::Own);
    let sent = world.nodes[1].membership.stats().packets_out;
    world.run(secs(100));
    assert_eq!(
        world.nodes[0].membership.stats().dropped(Reason::Own),
        before
    );
    let per_second = (world.nodes[1].membership.stats().packets_out - sent) / 100;
    assert!(per_second <= 10, "{per_second} packets a second");
}

#[test]
fn nothing_is_said_before_the_address_is_known() {
    let mut world = World::of(1, 1);
    let hidden = Identity {
        bus: "0.0.0.0:17711".parse().expect("an address"),
        ..identity(1, 1)
    };
    let at = world.start(hidden, settings(), Memory::default());
    world.event(at, Event::Meet(address(0)));
    world.event(at, Event::Seeds(vec![address(0)]));
    world.run(secs(60));
    assert!(world.recording.is_empty());
    world.event(at, Event::AddressKnown(address(1)));
    world.until(secs(1), |world| world.know_each_other(&[0, 1]));
}

#[test]
fn a_changed_address_is_told_and_nobody_seems_dead() {
    let mut world = World::joined(3, 1);
    world.event(2, Event::AddressKnown(address(9)));
    world.until(secs(3), |world| {
        [0, 1].iter().all(|&at| {
            let member = world.nodes[at].membership.member(node(2));
            member.is_some_and(|member| member.identity.bus == address(9))
        })
    });
    world.run(secs(20));
    assert!(world.know_each_other(&[0, 1, 2]));
    for at in [0, 1] {
        assert_eq!(world.told(at, |e| matches!(e, Effect::Down(_))), 0);
        assert_eq!(world.told(at, |e| matches!(e, Effect::Moved(_))), 1);
    }
    assert_eq!(world.told(2, |e| matches!(e, Effect::Myself(_))), 1);
}

#[test]
fn a_restart_elsewhere_is_the_same_node() {
    let mut world = World::joined(3, 1);
    let memory = world.nodes[2].membership.memory();
    assert_eq!(memory.to_string().parse(), Ok(memory.clone()));
    world.kill(2);
    world.run(secs(1));
    let moved = Identity {
        bus: address(7),
        store: StoreId(77),
        epoch: memory.epoch,
        ..identity(2, 2)
    };
    world.restart(2, moved, memory);
    world.until(secs(2), |world| {
        world.know_each_other(&[0, 1, 2])
            && [0, 1].iter().all(|&at| {
                let member = world.nodes[at].membership.member(node(2));
                member.is_some_and(|member| member.identity == moved)
            })
    });
    world.run(secs(60));
    assert!(world.know_each_other(&[0, 1, 2]));
    assert_eq!(world.nodes[0].membership.members().count(), 2);
}

#[test]
fn a_cluster_that_restarts_whole_remembers() {
    let mut world = World::joined(3, 1);
    let memories: Vec<_> = (0..3)
        .map(|at| world.nodes[at].membership.memory())
        .collect();
    (0..3).for_each(|at| world.kill(at));
    world.run(secs(100));
    for (at, memory) in memories.into_iter().enumerate() {
        world.restart(at, identity(at, 2), memory);
        assert_eq!(
            world.nodes[at]
                .membership
                .members()
                .map(|m| m.status)
                .collect::<Vec<_>>(),
            [Status::Down; 2]
        );
        world.run(ms(500));
    }
    world.until(secs(5), |world| world.know_each_other(&[0, 1, 2]));
}

#[test]
fn members_heard_of_over_a_link_prove_themselves() {
    let mut world = World::of(3, 1);
    world.event(0, Event::Meet(address(1)));
    world.until(secs(1), |world| world.know_each_other(&[0, 1]));
    let members = vec![identity(2, 1), identity(0, 1)];
    world.event(
        0,
        Event::Members {
            from: node(2),
            members: members.clone(),
        },
    );
    world.run(secs(1));
    assert_eq!(world.status(0, 2), None, "told by a stranger");
    world.event(
        0,
        Event::Members {
            from: node(1),
            members,
        },
    );
    world.until(secs(1), |world| world.know_each_other(&[0, 1, 2]));
}

#[test]
fn the_65th_other_is_ignored() {
    let mut world = World::joined(MEMBERS_MAX + 1, 1);
    let late = world.start(identity(MEMBERS_MAX + 1, 1), settings(), Memory::default());
    world.event(late, Event::Seeds(vec![address(0)]));
    world.run(secs(10));
    assert_eq!(world.nodes[late].membership.members().count(), 0);
    assert_eq!(world.nodes[0].membership.members().count(), MEMBERS_MAX);
    assert!(world.nodes[0].membership.stats().dropped(Reason::Full) > 0);
}

#[test]
fn one_seed_gives_one_history() {
    let history = || {
        let mut world = World::joined(5, 7);
        world.loss = 10;
        world.run(secs(30));
        world.kill(4);
        world.run(secs(10));
        world.event(0, Event::Forget(node(4)));
        world.run(secs(10));
        let mut hasher = DefaultHasher::new();
        for node in &world.nodes {
            format!("{:?}", node.effects).hash(&mut hasher);
        }
        (hasher.finish(), world.recording.len())
    };
    assert_eq!(history(), history());
}
