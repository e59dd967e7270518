//! What becomes of delivered jobs: acks at once, late, elsewhere and again, and clients that meddle.

use shoalmq_core::command::PauseState;
use shoalmq_core::id::JobId;

use crate::client::{Act, Ask, Deal, Step};
use crate::cluster::Cluster;
use crate::failing::GiveUp;
use crate::schedule::{Happening, MS};
use crate::workload::Purpose;

impl Cluster {
    /// Does what was planned with a delivered job.
    pub(crate) fn deal(&mut self, deal: &Deal) {
        let here = deal.host.filter(|&host| self.hosts[host].serves());
        let Some(host) = here.or_else(|| self.any_host()) else {
            if deal.tries < 20 {
                let tries = deal.tries + 1;
                self.after(
                    500 * MS,
                    Happening::Client(Step::Deal(Deal {
                        tries,
                        ..deal.clone()
                    })),
                );
            }
            return;
        };
        let id = deal.id;
        let ask = match deal.act {
            Act::Ack => Ask::Ack(vec![id], self.result_of(deal.number)),
            Act::FastAck => {
                self.acks_fast(deal.number);
                Ask::FastAck(id)
            }
            Act::Nack(give_up) => Ask::Nack(id, give_up),
            Act::Working => Ask::Working(id),
        };
        self.checker.acts(self.now, deal.number, deal.act);
        self.ask(host, Purpose::Act(deal.act, deal.number), ask);
    }

    /// Somebody asks for what nobody needs: jobs that are done, or not theirs; pauses.
    pub(crate) fn meddle(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.client_dice.wait(500 * MS);
        self.after(wait, Happening::Client(Step::Meddle));
        let Some(host) = self.any_host() else { return };
        let seen = self.workload.seen.len();
        let recent = seen.saturating_sub(20);
        let dice = &mut self.client_dice;
        let choice = dice.below(100);
        if choice < 10 {
            let queue = dice.below(self.plan.queues) as usize;
            let state = PauseState {
                input: dice.percent(50),
                output: dice.percent(50),
            };
            let until = dice.between(100, 2500) * MS;
            self.after(until, Happening::Client(Step::Unpause(queue)));
            self.ask(
                host,
                Purpose::Nothing,
                Ask::Pause(format!("q{queue}"), state),
            );
            return;
        }
        if choice < 15 {
            let mut id: [u8; 24] = dice.bytes();
            // A ttl of a minute or so: its tombstone goes while the simulation lasts.
            (id[22], id[23]) = (0, id[23] & 1);
            self.ask(
                host,
                Purpose::Nothing,
                Ask::Ack(vec![JobId::from_bytes(id)], None),
            );
            return;
        }
        if recent == seen {
            return;
        }
        let nth = recent + dice.below((seen - recent) as u64) as usize;
        let (id, number) = self.workload.seen[nth];
        match choice {
            15..40 => {
                self.checker.put_back(self.now, number);
                self.ask(host, Purpose::Nothing, Ask::Enqueue(id));
            }
            40..60 => {
                self.ask(host, Purpose::Nothing, Ask::Dequeue(id));
            }
            60..80 => {
                let deal = Deal {
                    number,
                    id,
                    act: Act::Nack(GiveUp::PLAIN),
                    host: Some(host),
                    tries: 0,
                };
                self.deal(&deal);
            }
            _ => {
                let deal = Deal {
                    number,
                    id,
                    act: Act::Ack,
                    host: Some(host),
                    tries: 0,
                };
                self.deal(&deal);
            }
        }
    }

    /// One node is told, and the others of its cluster learn of it, also those that are away.
    pub(crate) fn unpause(&mut self, queue: usize) {
        let Some(host) = self.any_host() else {
            return self.after(500 * MS, Happening::Client(Step::Unpause(queue)));
        };
        for other in 0..self.hosts.len() {
            // A node whose CLUSTER MEET was lost is a cluster of its own.
            let apart = self.hosts[other].serves() && !self.knows(host, other);
            if other == host || apart {
                let ask = Ask::Pause(format!("q{queue}"), PauseState::default());
                self.ask(other, Purpose::Nothing, ask);
            }
        }
    }
}
