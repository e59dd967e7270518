//! The clients: producers, consumers, and those who meddle. Each command comes over a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoalmq_core::command::{Delivery, Replication, Reply, Wait};
use shoalmq_core::event::Event;
use shoalmq_core::id::{ClientId, JobId, Ticket};
use shoalmq_core::log::Position;

use crate::client::{Act, Ask, Deal, Keep, Number, Step, Terms};
use crate::cluster::Cluster;
use crate::failing::{GiveUp, Rules};
use crate::healing;
use crate::host::Inbound;
use crate::keeping;
use crate::outcomes;
use crate::schedule::{Happening, HostIndex, MS, Micros, SECOND};
use crate::topics::TopicPurpose;

/// When producers and faults begin: the nodes have met by then.
pub(crate) const WARM_UP: Micros = 3 * SECOND;

/// All clients.
#[derive(Debug, Default)]
pub(crate) struct Workload {
    pub(crate) pending: BTreeMap<Ticket, Pending>,
    /// Tickets of clients that hung up.
    pub(crate) gone: BTreeSet<Ticket>,
    clients: u64,
    consumers: Vec<Consumer>,
    /// Ids that were delivered: what is meddled with.
    pub(crate) seen: Vec<(JobId, Number)>,
    /// Nothing is added any more, and every job is acknowledged as soon as it is delivered.
    pub(crate) peace: bool,
    /// The client with a queue of its own last found a job at the node where it looked before it added one.
    pub(crate) found_elsewhere: bool,
}

/// A command that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) host: HostIndex,
    pub(crate) purpose: Purpose,
}

/// Why something was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    Add(Number),
    Get(usize),
    Act(Act, Number),
    /// GETJOB of the client with a queue of its own: for the job that it added, if it has.
    Keep(Option<Number>),
    /// WAITJOB.
    Await(outcomes::Question),
    /// EXPLAIN of this job, asked then.
    Explain(Number, Micros),
    /// A command on topics.
    Topic(TopicPurpose),
    Nothing,
}

/// Somebody who takes jobs.
#[derive(Debug, Clone, Copy)]
struct Consumer {
    /// Always here, or anywhere.
    home: Option<HostIndex>,
    retired: bool,
}

impl Cluster {
    pub(crate) fn begin_workload(&mut self) {
        self.at(WARM_UP, Happening::Client(Step::Add));
        self.at(WARM_UP, Happening::Client(Step::Meddle));
        self.begin_settings();
        self.begin_storing();
        self.begin_topics();
        self.begin_failing();
        self.begin_waiting();
        self.at(WARM_UP, Happening::Client(Step::Purge));
        self.at(WARM_UP, Happening::Client(Step::Keep(Keep::Look)));
        for number in 0..self.plan.consumers {
            let wait = self.client_dice.below(2 * SECOND);
            self.at(wait + SECOND, Happening::Client(Step::Fetch(number)));
            self.workload.consumers.push(Consumer {
                home: None,
                retired: false,
            });
        }
    }

    /// From now on consumers at every node take and acknowledge all that there is.
    pub(crate) fn end_workload(&mut self) {
        self.workload.peace = true;
        for consumer in &mut self.workload.consumers {
            consumer.retired = true;
        }
        for host in 0..self.hosts.len() {
            let number = self.workload.consumers.len();
            self.workload.consumers.push(Consumer {
                home: Some(host),
                retired: false,
            });
            self.after(MS, Happening::Client(Step::Fetch(number)));
        }
        for queue in 0..self.plan.queues as usize {
            // A pause that only a node knows which is not linked yet may be of a later time: it wins over the first.
            for wait in [0, 3, 6] {
                let wait = MS + wait * SECOND;
                self.after(wait, Happening::Client(Step::Unpause(queue)));
            }
        }
    }

    pub(crate) fn client(&mut self, step: Step) {
        match step {
            Step::Add => self.add(),
            Step::Insist => self.insist(),
            Step::Fetch(consumer) => self.fetch(consumer),
            Step::HangUp(ticket) => self.hang_up(ticket),
            Step::Deal(deal) => self.deal(&deal),
            Step::Meddle => self.meddle(),
            Step::Unpause(queue) => self.unpause(queue),
            Step::Set => self.set_something(),
            Step::Store => self.store(),
            Step::Purge => self.purge(),
            Step::Redrive => self.redrive_something(),
            Step::Rule => self.rule(),
            Step::Await => self.wait_for_some(),
            Step::Keep(step) => self.keep(step),
            Step::Topic(step) => self.topic_step(step),
        }
    }

    /// A node that takes connections.
    pub(crate) fn any_host(&mut self) -> Option<HostIndex> {
        let serving: Vec<HostIndex> = (0..self.hosts.len())
            .filter(|&index| self.hosts[index].serves())
            .collect();
        (!serving.is_empty()).then(|| self.client_dice.pick(&serving))
    }

    pub(crate) fn ask(&mut self, host: HostIndex, purpose: Purpose, ask: Ask) -> Ticket {
        let ticket = Ticket {
            client: self.next_client(),
            number: 1,
        };
        self.ask_as(host, ticket, purpose, ask);
        ticket
    }

    /// A connection that there never was.
    pub(crate) fn next_client(&mut self) -> ClientId {
        self.workload.clients += 1;
        ClientId(self.workload.clients)
    }

    /// Asks over a connection that may be there already.
    pub(crate) fn ask_as(&mut self, host: HostIndex, ticket: Ticket, purpose: Purpose, ask: Ask) {
        let pending = Pending { host, purpose };
        self.workload.pending.insert(ticket, pending);
        self.arrive(host, Inbound::Ask(ticket, ask));
    }

    fn add(&mut self) {
        if self.workload.peace {
            return;
        }
        let wait = self.client_dice.wait(self.plan.add_every);
        self.after(wait, Happening::Client(Step::Add));
        let number = self.checker.next_number();
        self.add_job(number, Self::terms);
    }

    /// A job that is to be on all nodes: while one of them cannot answer, its add is withdrawn.
    fn insist(&mut self) {
        if self.workload.peace {
            return;
        }
        let number = self.checker.next_number();
        let endless = self.client_dice.percent(20);
        self.add_job(number, |cluster, number| {
            let terms = cluster.terms(number);
            Terms {
                timeout: terms.timeout.filter(|_| !endless),
                replicate: u16::try_from(cluster.plan.hosts).ok(),
                retry: cluster.client_dice.pick(&[1, 3, 6, 10]),
                replication: Replication::Synchronous,
                ..terms
            }
        });
    }

    pub(crate) fn add_job(
        &mut self,
        number: Number,
        terms: impl FnOnce(&mut Self, Number) -> Terms,
    ) {
        let Some(host) = self.any_host() else { return };
        let terms = terms(self, number);
        let process = self.hosts[host].process.as_ref();
        let members = process.map_or(0, |process| process.gossip.members().count());
        self.checker.asked(self.now, &terms, members + 1);
        let patience = self.client_dice.weighted(&[(80, 5000), (20, 150)]) * MS;
        let ticket = self.ask(host, Purpose::Add(number), Ask::Add(Box::new(terms)));
        self.after(patience, Happening::Client(Step::HangUp(ticket)));
    }

    fn terms(&mut self, number: Number) -> Terms {
        let dice = &mut self.client_dice;
        let once = dice.percent(15);
        let most = u16::try_from(self.plan.hosts).unwrap_or(u16::MAX).min(4);
        let replicate = match dice.below(10) {
            _ if once => Some(1),
            0..3 => None,
            _ => Some(dice.between(1, u64::from(most)) as u16),
        };
        let delay = dice.weighted(&[(85, 0), (10, 1), (5, 4)]);
        let queue = dice.below(self.plan.queues);
        let replication = if dice.percent(15) {
            Replication::Asynchronous
        } else {
            Replication::Synchronous
        };
        // Where memory is short, bodies take most of it.
        let width = if self.plan.memory == 0 { 1 } else { 2000 };
        let terms = Terms {
            queue: format!("q{queue}"),
            body: format!("job {number:width$}"),
            timeout: Some(Duration::from_millis(dice.pick(&[100, 1000, 3000]))),
            replicate,
            delay,
            retry: if once { 0 } else { dice.pick(&[1, 1, 2, 3, 6]) },
            ttl: if once {
                30
            } else {
                dice.weighted(&[(90, 3600), (10, 20)])
            },
            max_len: dice.percent(5).then_some(5),
            replication,
            rules: Rules::default(),
            keep: None,
            key: None,
        };
        let terms = self.with_rules(terms);
        let terms = self.with_keep(terms);
        self.with_key(terms)
    }

    fn fetch(&mut self, number: usize) {
        let consumer = self.workload.consumers[number];
        if consumer.retired {
            return;
        }
        let host = match consumer.home {
            Some(home) => Some(home).filter(|&home| self.hosts[home].serves()),
            None => self.any_host(),
        };
        let Some(host) = host else {
            return self.after(500 * MS, Happening::Client(Step::Fetch(number)));
        };
        let dice = &mut self.client_dice;
        let all = (0..self.plan.queues).map(|queue| format!("q{queue}"));
        let mut queues: Vec<String> = all.collect();
        dice.shuffle(&mut queues);
        let wait = match consumer.home {
            Some(_) => Wait::AtMost(Duration::from_secs(2)),
            None => match dice.below(10) {
                0..3 => Wait::No,
                3..9 => Wait::AtMost(Duration::from_millis(dice.between(100, 4000))),
                _ => Wait::Forever,
            },
        };
        if consumer.home.is_none() {
            let some = dice.between(1, self.plan.queues) as usize;
            queues.truncate(some);
        } else {
            queues.push(keeping::QUEUE.to_owned());
            queues.push(healing::QUEUE.to_owned());
        }
        self.add_dead_queues(&mut queues, consumer.home.is_some());
        let dice = &mut self.client_dice;
        let count = dice.weighted(&[(60, 1), (30, 3), (10, 20)]);
        let hangs_up = match wait {
            Wait::Forever => Some(dice.between(1, 10) * SECOND),
            Wait::AtMost(_) | Wait::No => dice.percent(10).then(|| dice.below(2 * SECOND)),
        };
        let ticket = self.ask(host, Purpose::Get(number), Ask::Get(queues, count, wait));
        if let Some(after) = hangs_up.filter(|_| consumer.home.is_none()) {
            self.after(after, Happening::Client(Step::HangUp(ticket)));
        }
    }

    /// A reply has left the node.
    pub(crate) fn answered(
        &mut self,
        host: HostIndex,
        ticket: Ticket,
        reply: Reply,
        given: Micros,
    ) {
        let Some(pending) = self.workload.pending.remove(&ticket) else {
            return self.answered_nobody(host, ticket, &reply);
        };
        match (pending.purpose, reply) {
            (Purpose::Add(number), Reply::Added(id)) => {
                let synced: Vec<Position> =
                    self.hosts.iter().map(|host| host.disk.synced()).collect();
                self.checker.added(self.now, number, id, &synced);
                self.checker.check_key(self.now, number);
            }
            (Purpose::Add(number), Reply::Existing(id)) => {
                self.checker.existing(self.now, host, number, id);
            }
            (Purpose::Add(number), Reply::Refused(refusal)) => {
                let others = 0..self.hosts.len();
                let links = others.filter(|&other| self.network.link(host, other).is_some());
                let links = links.count();
                self.checker.refused(given, host, number, refusal, links);
            }
            (Purpose::Get(consumer), Reply::Delivered(jobs, _)) => {
                for job in jobs {
                    self.delivered(host, &job, given);
                }
                self.after(2 * MS, Happening::Client(Step::Fetch(consumer)));
            }
            (Purpose::Get(consumer), Reply::NothingToDeliver | Reply::Refused(_)) => {
                let wait = self.client_dice.between(5, 300) * MS;
                self.after(wait, Happening::Client(Step::Fetch(consumer)));
            }
            (Purpose::Act(act, number), Reply::Count(count)) => {
                self.checker.acted(self.now, host, number, act, count);
            }
            (Purpose::Await(question), reply) => self.told_fates(host, &question, &reply),
            (Purpose::Explain(number, asked), reply) => {
                self.told_why(host, (number, asked), &reply);
            }
            (Purpose::Topic(purpose), reply) => self.topic_answered(host, purpose, reply, given),
            (Purpose::Keep(number), reply) => self.kept(host, number, reply, given),
            (Purpose::Act(..), Reply::Refused(_)) | (Purpose::Nothing, _) => {}
            (purpose, reply) => {
                let what = format!("n{host} answers {purpose:?} by {reply:?}");
                self.checker.violate(None, what);
            }
        }
    }

    /// A reply finds its client gone: the server may notice that a delivery was not seen, or not.
    fn answered_nobody(&mut self, host: HostIndex, ticket: Ticket, reply: &Reply) {
        if !self.workload.gone.contains(&ticket) {
            let what = format!("n{host} answers {ticket:?} twice: {reply:?}");
            return self.checker.violate(None, what);
        }
        if let Reply::Delivered(jobs, _) = reply {
            let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
            self.checker.unseen(&ids);
        }
        if let Reply::Delivered(jobs, _) = reply
            && let Some(boot) = self.hosts[host].boot()
            && self.client_dice.percent(50)
        {
            let unseen = jobs.iter().map(|job| job.id).collect();
            self.after(1, Happening::Unseen(host, boot, unseen));
        }
    }

    /// The server noticed that these deliveries never left.
    pub(crate) fn unseen(&mut self, host: HostIndex, boot: u32, jobs: Vec<JobId>) {
        if self.hosts[host].boot() == Some(boot) && self.hosts[host].serves() {
            self.feed(host, Event::Undelivered(jobs));
        }
    }

    /// A consumer has a job in hand.
    pub(crate) fn delivered(&mut self, host: HostIndex, job: &Delivery, given: Micros) {
        let Some(number) = self.checker.delivered(self.now, host, job, given) else {
            return;
        };
        if let Some(boot) = self.hosts[host].boot() {
            self.checker.check_counter(host, boot, job);
        }
        self.check_withdrawn(host, number, given);
        self.checker.check_purged(host, number, (given, job));
        self.workload.seen.push((job.id, number));
        let retry = u64::from(self.checker.retry(number).max(1)) * SECOND;
        let dice = &mut self.client_dice;
        let soon = dice.between(1, 40) * MS;
        let late = retry + retry / dice.between(3, 9);
        let deal = |act, host| Deal {
            number,
            id: job.id,
            act,
            host,
            tries: 0,
        };
        let (here, any) = (Some(host), None);
        if self.workload.peace {
            return self.after(soon, Happening::Client(Step::Deal(deal(Act::Ack, here))));
        }
        if let Some((wait, act, host)) = self.failure(host, number) {
            if let Some(act) = act {
                self.after(wait, Happening::Client(Step::Deal(deal(act, host))));
            }
            return;
        }
        let dice = &mut self.client_dice;
        let deals: &[(Micros, Act, Option<HostIndex>)] = match dice.below(100) {
            0..60 => &[(soon, Act::Ack, here)],
            60..70 => &[(soon, Act::Ack, any)],
            70..75 => &[(late, Act::Ack, any)],
            75..78 => &[(soon, Act::Ack, here), (late, Act::Ack, any)],
            78..84 => &[(soon, Act::Nack(GiveUp::PLAIN), here)],
            84..88 => &[(retry / 2, Act::Working, here), (retry, Act::Ack, here)],
            88..93 => &[(soon, Act::FastAck, here)],
            93..95 => &[(soon, Act::FastAck, any)],
            _ => &[],
        };
        for &(after, act, host) in deals {
            self.after(after, Happening::Client(Step::Deal(deal(act, host))));
        }
    }
}
