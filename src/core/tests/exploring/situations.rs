//! Where explorations begin.

use super::history::{Act, Situation, get};
use super::world::World;
use crate::command::{AddJob, Command};
use crate::extras::{Extras, Tag};
use crate::id::JobId;
use crate::tests::bench::job_with_retry;

/// Retry of all jobs, in seconds.
const RETRY: u32 = 3;

/// A job that may be handed out once, on all nodes.
fn guarded() -> AddJob<'static> {
    AddJob {
        extras: Extras::new([(Tag::MAX_DELIVER, &1_u16.to_le_bytes()[..])]),
        replicate: Some(3),
        ..job_with_retry("q", RETRY)
    }
}

fn hand_out(world: &mut World, seat: usize) {
    world.send(seat, get(b"q"));
    world.sync(seat);
    world.settle();
}

fn bury(world: &mut World, seat: usize, id: JobId) {
    world.send(seat, Command::nack(vec![id]));
    world.sync(seat);
    world.run_ms(0);
}

/// What is the same in most of them.
const USUAL: Situation = Situation {
    name: "",
    begin: |_| {},
    clients: &[],
    most: 1,
    crashes: &[0],
    losses: 1,
    passes: 1,
};

/// A job is handed out for the last time.
pub(super) const HANDED_OUT: Situation = Situation {
    name: "a job is handed out for the last time",
    begin: |world| {
        world.add(0, guarded());
        hand_out(world, 0);
    },
    clients: &[
        (0, 0, Act::Nack),
        (2, 0, Act::Ack),
        (1, 0, Act::Redrive),
        (0, 0, Act::Get),
    ],
    ..USUAL
};

/// A job waits, and its ttl is about to end: at each node a while after the one before.
pub(super) const TTL_ENDS: Situation = Situation {
    name: "the ttl of a job that waits is about to end",
    begin: |world| {
        let ttl = Some(8);
        world.add(0, AddJob { ttl, ..guarded() });
        world.run_ms(6000);
    },
    clients: &[(0, 0, Act::Get), (2, 0, Act::Ack), (1, 0, Act::Redrive)],
    ..USUAL
};

/// The same, while one holder is away.
pub(super) const TTL_ENDS_APART: Situation = Situation {
    name: "the ttl of a job that waits is about to end, and a holder is away",
    begin: |world| {
        let ttl = Some(8);
        world.add(0, AddJob { ttl, ..guarded() });
        world.cut_off(2);
        world.run_ms(6000);
    },
    clients: &[(1, 0, Act::Ack), (2, 0, Act::Get)],
    crashes: &[2],
    losses: 0,
    passes: 2,
    ..USUAL
};

/// A client gives a job back that is to wait.
pub(super) const GIVEN_BACK: Situation = Situation {
    name: "a job is given back, and waits",
    begin: |world| {
        world.add(
            0,
            AddJob {
                extras: Extras::new([(Tag::MAX_DELIVER, &2_u16.to_le_bytes()[..])]),
                ..guarded()
            },
        );
        hand_out(world, 0);
    },
    clients: &[
        (0, 0, Act::Wait(5)),
        (1, 0, Act::Ack),
        (2, 0, Act::Nack),
        (2, 0, Act::Get),
    ],
    most: 2,
    ..USUAL
};

/// A dead letter is about to be sent back, while another node gets an ack.
pub(super) const REDRIVEN: Situation = Situation {
    name: "a dead letter is about to be sent back",
    begin: |world| {
        let id = world.add(0, guarded());
        hand_out(world, 0);
        bury(world, 0, id);
    },
    clients: &[
        (1, 0, Act::Redrive),
        (2, 0, Act::Ack),
        (0, 0, Act::Get),
        (2, 0, Act::Nack),
    ],
    ..USUAL
};

/// A node is away while a job is moved.
pub(super) const AWAY: Situation = Situation {
    name: "a holder is away while a job is buried",
    begin: |world| {
        world.add(0, guarded());
        hand_out(world, 0);
        world.cut_off(2);
    },
    clients: &[
        (0, 0, Act::Nack),
        (2, 0, Act::Get),
        (2, 0, Act::Ack),
        (1, 0, Act::Redrive),
    ],
    ..USUAL
};

/// Both sides of a partition have handed out the same job.
pub(super) const APART: Situation = Situation {
    name: "both sides of a partition have handed out a job",
    begin: |world| {
        world.add(0, guarded());
        hand_out(world, 0);
        world.cut_off(2);
        world.run_ms(6000);
        hand_out(world, 0);
        hand_out(world, 2);
    },
    clients: &[
        (0, 0, Act::Nack),
        (2, 0, Act::Nack),
        (1, 0, Act::Redrive),
        (2, 0, Act::Redrive),
        (1, 0, Act::Ack),
    ],
    crashes: &[2],
    losses: 0,
    ..USUAL
};

/// A worker has a job whose ttl ends before its retry.
pub(super) const TTL_ENDS_OUT: Situation = Situation {
    name: "the ttl of a job that is handed out is about to end",
    begin: |world| {
        let ttl = Some(8);
        world.add(0, AddJob { ttl, ..guarded() });
        world.run_ms(6000);
        hand_out(world, 0);
    },
    clients: &[
        (0, 0, Act::Wait(5)),
        (1, 0, Act::Nack),
        (2, 0, Act::Ack),
        (1, 0, Act::Redrive),
    ],
    ..USUAL
};

/// One job is handed out, another is a dead letter.
pub(super) const TWO_JOBS: Situation = Situation {
    name: "one job is handed out, another is a dead letter",
    begin: |world| {
        let id = world.add(1, guarded());
        hand_out(world, 1);
        bury(world, 1, id);
        world.add(0, guarded());
        hand_out(world, 0);
    },
    clients: &[
        (0, 1, Act::Nack),
        (2, 0, Act::Redrive),
        (1, 0, Act::Get),
        (2, 1, Act::Ack),
    ],
    crashes: &[0, 1],
    ..USUAL
};
