//! A client that adds a job where it then asks for one, to a queue that only it uses. Just before, it asked another node
//! in vain: nobody waits there now, so the job stays where it is.

use std::time::Duration;

use shoalmq_core::command::{Replication, Reply, Wait};

use crate::client::{Ask, Keep, Number, Step, Terms};
use crate::cluster::Cluster;
use crate::failing::Rules;
use crate::network::LATE;
use crate::schedule::{Happening, HostIndex, MS, Micros};
use crate::workload::Purpose;

/// The queue of this client.
pub(crate) const QUEUE: &str = "kept";
/// A new job stays for 50 ms.
const TAKEN_WITHIN_MS: u64 = 45;

impl Cluster {
    pub(crate) fn keep(&mut self, step: Keep) {
        match step {
            Keep::Look => self.look_elsewhere(),
            Keep::Add(host) => self.add_to_keep(host),
            Keep::Take(host, number) => {
                let get = Ask::Get(vec![QUEUE.to_owned()], 1, Wait::No);
                self.ask(host, Purpose::Keep(Some(number)), get);
            }
        }
    }

    /// Asks one node for a job, and plans to add one to another as soon as that can know that nobody waits any more.
    fn look_elsewhere(&mut self) {
        if self.workload.peace {
            return;
        }
        let again = self.client_dice.between(400, 1200) * MS;
        self.after(again, Happening::Client(Step::Keep(Keep::Look)));
        let (Some(there), Some(here)) = (self.any_host(), self.any_host()) else {
            return;
        };
        if there == here {
            return;
        }
        let timeout_ms = self.client_dice.pick(&[0, 2, 20, 90]);
        let wait = match timeout_ms {
            0 => Wait::No,
            _ => Wait::AtMost(Duration::from_millis(timeout_ms)),
        };
        self.workload.found_elsewhere = false;
        let get = Ask::Get(vec![QUEUE.to_owned()], 1, wait);
        self.ask(there, Purpose::Keep(None), get);
        // A message waits for the sync that holds what was recorded before it, and that one for the sync under way.
        let synced = 2 * self.plan.sync;
        let news = self.plan.latency + self.plan.jitter + LATE + synced;
        let heard = (timeout_ms + 2) * MS + news;
        self.after(heard, Happening::Client(Step::Keep(Keep::Add(here))));
    }

    fn add_to_keep(&mut self, host: HostIndex) {
        if self.workload.peace || self.workload.found_elsewhere || !self.hosts[host].serves() {
            return;
        }
        let number = self.checker.next_number();
        let once = self.client_dice.percent(20);
        let terms = Terms {
            queue: QUEUE.to_owned(),
            body: format!("job {number}"),
            timeout: Some(Duration::from_secs(1)),
            replicate: Some(1),
            delay: 0,
            retry: if once { 0 } else { 2 },
            ttl: if once { 30 } else { 3600 },
            max_len: None,
            replication: Replication::Synchronous,
            rules: Rules::default(),
            keep: None,
            key: None,
        };
        self.checker.asked(self.now, &terms, 1);
        self.ask(host, Purpose::Add(number), Ask::Add(Box::new(terms)));
        let soon = self.client_dice.below(TAKEN_WITHIN_MS) * MS;
        let take = Step::Keep(Keep::Take(host, number));
        self.after(soon, Happening::Client(take));
    }

    /// What the client was told, who looks for its own job if it has added one.
    pub(crate) fn kept(
        &mut self,
        host: HostIndex,
        number: Option<Number>,
        reply: Reply,
        given: Micros,
    ) {
        match (reply, number) {
            (Reply::Delivered(jobs, _), _) => {
                self.workload.found_elsewhere |= number.is_none();
                for job in jobs {
                    self.delivered(host, &job, given);
                }
            }
            // Where memory is short, a node gives its jobs away.
            (Reply::NothingToDeliver, Some(number))
                if self.plan.memory == 0 && !self.workload.peace =>
            {
                self.checker.is_gone(self.now, host, number);
            }
            (Reply::NothingToDeliver | Reply::Refused(_), _) => {}
            (reply, _) => {
                let what = format!("n{host} answers a GETJOB by {reply:?}");
                self.checker.violate(None, what);
            }
        }
    }
}
