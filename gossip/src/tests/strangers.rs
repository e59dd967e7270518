use super::world::*;
use crate::packet::{Envelope, Packet};
use crate::{Effect, Event, MEMBERS_MAX, Memory, Reason, Secret, Settings, Status};

#[test]
fn a_stranger_is_not_let_in() {
    let strangers = [
        (
            Settings {
                secret: None,
                ..settings()
            },
            Reason::Seal,
        ),
        (
            Settings {
                secret: Some(Secret::new(b"Swordfish")),
                ..settings()
            },
            Reason::Seal,
        ),
        (
            Settings {
                cluster_name: "other".to_owned(),
                ..settings()
            },
            Reason::Cluster,
        ),
    ];
    for (settings, reason) in strangers {
        let mut world = World::joined(2, 1);
        let at = world.start(identity(2, 1), settings, Memory::default());
        world.event(at, Event::Seeds(vec![address(0), address(1)]));
        world.event(0, Event::Meet(address(2)));
        world.run(secs(30));
        for node in [0, 1] {
            assert_eq!(world.nodes[node].membership.members().count(), 1);
        }
        assert_eq!(world.nodes[at].membership.members().count(), 0);
        assert!(world.nodes[0].membership.stats().dropped(reason) > 0);
    }
}

#[test]
fn changed_packets_change_nothing() {
    let mut world = World::joined(3, 1);
    world.run(secs(5));
    let recording = world.recording.clone();
    let before = world.nodes[0].effects.len();
    for (_, bytes) in &recording {
        for changed in [
            bytes[..bytes.len() - 1].to_vec(),
            bytes[..bytes.len() / 2].to_vec(),
            [bytes.as_slice(), &[0]].concat(),
            [bytes.as_slice(), &[0; 2000]].concat(),
            bytes
                .iter()
                .enumerate()
                .map(|(at, b)| if at == bytes.len() / 2 { b ^ 1 } else { *b })
                .collect(),
        ] {
            world.event(0, Event::Packet(changed));
        }
    }
    assert_eq!(world.nodes[0].effects.len(), before);
    let stats = world.nodes[0].membership.stats();
    assert_eq!(stats.dropped(Reason::Oversize), recording.len() as u64);
    assert!(stats.dropped(Reason::Seal) >= 3 * recording.len() as u64);
}

/// Replays all that was ever sent, to everybody, again and again.
fn replay(world: &mut World, recording: &[(std::net::SocketAddr, Vec<u8>)], times: usize) {
    let receivers: Vec<_> = (world.nodes.iter())
        .map(|node| node.membership.me().bus)
        .collect();
    for _ in 0..times {
        for (_, bytes) in recording {
            for to in &receivers {
                world.inject(*to, bytes.clone());
            }
        }
        world.run(ms(500));
    }
}

#[test]
fn a_recording_keeps_no_dead_node_alive_and_brings_none_back() {
    let mut world = World::joined(3, 1);
    world.run(secs(20));
    world.kill(2);
    let recording = world.recording.clone();
    replay(&mut world, &recording, 10);
    let down = |world: &World| (0..2).all(|at| world.status(at, 2) == Some(Status::Down));
    assert!(down(&world));
    replay(&mut world, &recording, 10);
    assert!(down(&world));
    assert!(world.know_each_other(&[0, 1]));
    for at in [0, 1] {
        let ups = world.told(at, |e| matches!(e, Effect::Up(up) if up.node == node(2)));
        assert_eq!(ups, 1);
    }
    assert!(world.nodes[0].membership.stats().dropped(Reason::Replay) > 0);
    assert!(world.nodes[0].membership.stats().dropped(Reason::Unasked) > 0);
}

#[test]
fn a_recording_brings_no_forgotten_node_back() {
    let mut world = World::joined(3, 1);
    world.run(secs(20));
    world.kill(2);
    for at in [0, 1] {
        world.event(at, Event::Forget(node(2)));
    }
    let recording = world.recording.clone();
    world.run(secs(70));
    replay(&mut world, &recording, 10);
    assert_eq!((world.status(0, 2), world.status(1, 2)), (None, None));
}

#[test]
fn a_recording_undoes_no_reset() {
    let mut world = World::joined(3, 1);
    world.event(0, Event::Meet(address(2)));
    world.event(2, Event::Meet(address(0)));
    world.run(secs(20));
    let recording = world.recording.clone();
    world.event(2, Event::Reset);
    replay(&mut world, &recording, 20);
    assert_eq!(world.nodes[2].membership.members().count(), 0);
    world.run(secs(60));
    assert_eq!(world.nodes[2].membership.members().count(), 0);
}

#[test]
fn a_recording_makes_nobody_suspect_or_move() {
    let mut world = World::joined(3, 1);
    world.event(2, Event::AddressKnown(address(9)));
    world.run(secs(20));
    // A false DOWN, and its renewal, are in the recording as well.
    world.pause(1);
    world.run(secs(5));
    world.resume(1);
    world.run(secs(20));
    assert!(world.know_each_other(&[0, 1, 2]));
    let before: Vec<_> = (0..3)
        .map(|at| world.nodes[at].membership.members().collect::<Vec<_>>())
        .collect();
    let recording = world.recording.clone();
    replay(&mut world, &recording, 20);
    world.run(secs(20));
    for (at, before) in before.iter().enumerate() {
        let after: Vec<_> = world.nodes[at].membership.members().collect();
        assert_eq!(after, *before);
    }
}

#[test]
fn a_recording_of_a_restarted_node_leads_nowhere() {
    let mut world = World::joined(3, 1);
    world.run(secs(10));
    let recording = world.recording.clone();
    let memory = world.nodes[2].membership.memory();
    let moved = crate::Identity {
        bus: address(9),
        ..identity(2, 2)
    };
    world.restart(2, moved, memory);
    world.until(secs(5), |world| world.know_each_other(&[0, 1, 2]));
    replay(&mut world, &recording, 10);
    for at in [0, 1] {
        let member = world.nodes[at].membership.member(node(2));
        assert_eq!(member.map(|member| member.identity), Some(moved));
    }
    assert!(world.know_each_other(&[0, 1, 2]));
}

#[test]
fn questions_repeated_fill_no_table_and_are_answered_where_they_belong() {
    let mut world = World::of(2, 1);
    world.event(1, Event::Meet(address(0)));
    let (_, question) = world.recording[0].clone();
    world.kill(1);
    let before = world.recording.len();
    for _ in 0..100 {
        world.event(0, Event::Packet(question.clone()));
    }
    assert!(
        world.recording[before..]
            .iter()
            .all(|(to, answer)| *to == address(1) && answer.len() <= question.len() + 24)
    );
    assert_eq!(world.nodes[0].membership.members().count(), 0);
}

/// A member that holds the secret, and is out of its mind.
#[test]
fn no_member_can_make_another_panic() {
    let mut world = World::joined(3, 1);
    world.run(secs(5));
    let envelope = Envelope::new(&settings());
    let recording = world.recording.clone();
    let mut sequence = 1_000_000;
    let mut taken = 0;
    for (at, (_, bytes)) in recording.iter().enumerate() {
        let Ok(Packet::Swim { mut data, .. }) = envelope.open(bytes) else {
            continue;
        };
        for flip in 0..data.len() {
            data[flip] ^= 1_u8 << (at % 8);
            sequence += 1;
            let data = if at % 5 == 0 {
                data[..flip].to_vec()
            } else {
                data.clone()
            };
            let packet = envelope.seal(&Packet::Swim { sequence, data });
            world.event(at % 3, Event::Packet(packet));
            taken += 1;
        }
    }
    assert!(taken > 1000, "{taken}");
    world.run(secs(10));
    for node in &world.nodes {
        assert!(node.membership.members().count() <= MEMBERS_MAX);
    }
}

proptest::proptest! {
    #[test]
    fn no_packet_panics(bytes: Vec<u8>) {
        let mut world = World::of(1, 1);
        world.event(0, Event::Packet(bytes));
        proptest::prop_assert!(world.nodes[0].effects.is_empty());
    }
}
