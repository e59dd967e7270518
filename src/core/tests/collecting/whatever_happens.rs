//! Acks amid anything: once faults end, acked jobs are gone everywhere.

use super::*;

/// Something that happens to some nodes.
#[derive(Debug, Clone)]
enum Happening {
    Add(usize, u16),
    /// Acks the job that was added as the nth.
    Ack(usize, prop::sample::Index),
    Kill(usize),
    Start(usize),
    Cut(usize, usize),
    Mend,
    Advance(u64),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let seat = 0..5_usize;
    prop_oneof![
        3 => (seat.clone(), 1..4_u16).prop_map(|(seat, copies)| Happening::Add(seat, copies)),
        4 => (seat.clone(), any::<prop::sample::Index>()).prop_map(|(seat, nth)| Happening::Ack(seat, nth)),
        1 => seat.clone().prop_map(Happening::Kill),
        2 => seat.clone().prop_map(Happening::Start),
        1 => (seat.clone(), seat).prop_map(|(a, b)| Happening::Cut(a, b)),
        1 => Just(Happening::Mend),
        4 => prop_oneof![0..3_u64, 0..9000_u64].prop_map(Happening::Advance),
    ]
}

/// Takes and acks all that is left until nothing is delivered for longer than any retry.
fn drain(shoal: &mut Shoal, retry: u64) {
    let mut quiet = 0;
    while quiet <= retry {
        shoal.advance(1);
        quiet += 1;
        for seat in shoal.running() {
            for delivery in shoal.get(seat, "q", 100) {
                shoal.send(seat, 1, Command::ack(vec![delivery.id]));
                quiet = 0;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happens_acked_jobs_vanish_everywhere(
        nodes in 3..6_usize,
        happenings in prop::collection::vec(happenings(), 1..60),
    ) {
        let retry = 20;
        let mut shoal = Shoal::new(nodes);
        let mut added = vec![];
        for happening in happenings {
            let running = shoal.running();
            let runs = |seat: usize| running.contains(&(seat % nodes));
            match happening {
                Happening::Add(seat, copies) if runs(seat) => {
                    let add = AddJob { replicate: Some(copies), retry: Some(retry), ..job("q") };
                    added.push((seat % nodes, shoal.send(seat % nodes, 1, Command::AddJob(add))));
                }
                Happening::Ack(seat, nth) if runs(seat) && !added.is_empty() => {
                    let (adder, ticket) = added[nth.index(added.len())];
                    if let Some(&Reply::Added(id)) = shoal.answer(adder, ticket) {
                        shoal.send(seat % nodes, 1, Command::ack(vec![id]));
                    }
                }
                Happening::Kill(seat) if runs(seat) => shoal.kill(seat % nodes),
                Happening::Start(seat) if !runs(seat) => shoal.start(seat % nodes),
                Happening::Cut(a, b) if a % nodes != b % nodes => shoal.cut(a % nodes, b % nodes),
                Happening::Mend => shoal.mend(),
                Happening::Advance(ms) => shoal.advance_ms(ms),
                Happening::Add(..)
                | Happening::Ack(..)
                | Happening::Kill(_)
                | Happening::Start(_)
                | Happening::Cut(..) => {}
            }
        }
        shoal.mend();
        for seat in 0..nodes {
            if !shoal.running().contains(&seat) {
                shoal.start(seat);
            }
        }
        drain(&mut shoal, 2 * u64::from(retry));
        prop_assert_eq!(left(&shoal), 0);
    }
}
