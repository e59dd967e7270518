//! Clients that go away unanswered: by themselves, or because the process at the other end is gone.

use shoalmq_core::id::{ClientId, Ticket};

use crate::client::Step;
use crate::cluster::Cluster;
use crate::host::Inbound;
use crate::schedule::{Happening, HostIndex, MS};
use crate::workload::{Pending, Purpose};

impl Cluster {
    /// A client that was not answered goes away.
    pub(crate) fn hang_up(&mut self, ticket: Ticket) {
        let Some(pending) = self.workload.pending.remove(&ticket) else {
            return;
        };
        self.workload.gone.insert(ticket);
        self.unanswered(&pending.purpose);
        self.arrive(pending.host, Inbound::Disconnected(ticket.client));
    }

    fn unanswered(&mut self, purpose: &Purpose) {
        match *purpose {
            Purpose::Add(number) => self.checker.add_is_unknown(number),
            Purpose::Get(consumer) => {
                let wait = self.client_dice.between(10, 500) * MS;
                self.after(wait, Happening::Client(Step::Fetch(consumer)));
            }
            Purpose::Topic(purpose) => self.topic_unanswered(purpose),
            Purpose::Act(..)
            | Purpose::Keep(_)
            | Purpose::Await(_)
            | Purpose::Explain(..)
            | Purpose::Nothing => {}
        }
    }

    /// The process is gone, and all connections to it.
    pub(crate) fn drop_clients_of(&mut self, host: HostIndex) {
        let of_host = |(&ticket, pending): (&Ticket, &Pending)| {
            (pending.host == host).then_some((ticket, pending.purpose.clone()))
        };
        let lost: Vec<(Ticket, Purpose)> =
            self.workload.pending.iter().filter_map(of_host).collect();
        for (ticket, purpose) in lost {
            self.workload.pending.remove(&ticket);
            self.workload.gone.insert(ticket);
            self.unanswered(&purpose);
        }
        self.drop_followers_of(host);
    }

    /// The process closes its connections, for it stops.
    pub(crate) fn close_clients_of(&mut self, host: HostIndex) {
        let of_host =
            |(&ticket, pending): (&Ticket, &Pending)| (pending.host == host).then_some(ticket);
        let open: Vec<Ticket> = self.workload.pending.iter().filter_map(of_host).collect();
        for ticket in open {
            self.hang_up(ticket);
        }
        self.drop_followers_of(host);
    }

    /// A client takes no answer any more.
    pub(crate) fn forget_pending(&mut self, client: ClientId) {
        let of_client = |ticket: &Ticket| ticket.client == client;
        let all = self.workload.pending.keys().copied().filter(of_client);
        let tickets: Vec<Ticket> = all.collect();
        for ticket in tickets {
            self.workload.pending.remove(&ticket);
            self.workload.gone.insert(ticket);
        }
    }
}
