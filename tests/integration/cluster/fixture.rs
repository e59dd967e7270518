//! Several nodes that met: started one by one, introduced to the first, each stopped by its own pid.

use std::time::Duration;

use crate::fixture::{Launch, Node, eventually, within};
use crate::wire::{Connection, Reply, simple};

/// How long the nodes of a test may take to agree on something, with one of them just killed.
const AGREEMENT: Duration = Duration::from_secs(30);

/// Some nodes that are one job queue.
pub(crate) struct Shoal {
    pub(crate) nodes: Vec<Node>,
}

impl Shoal {
    /// So many nodes with jobs in memory.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        Self::with(count, "--appendonly no")
    }

    /// So many nodes with these flags, given as words; introduced by CLUSTER MEET.
    #[track_caller]
    pub(crate) fn with(count: usize, flags: &str) -> Self {
        let nodes: Vec<Node> = (0..count)
            .map(|_| Launch::new().flags(flags).start())
            .collect();
        let shoal = Self { nodes };
        for node in &shoal.nodes[1..] {
            shoal.meet(node.port());
        }
        shoal.wait_until_all_met();
        shoal
    }

    /// Introduces the node at this port to the first.
    #[track_caller]
    pub(crate) fn meet(&self, port: u16) {
        let met =
            self.connect(0)
                .call_arguments(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string()]);
        assert_eq!(met, simple("OK"));
    }

    #[track_caller]
    pub(crate) fn connect(&self, node: usize) -> Connection {
        self.nodes[node].connect()
    }

    /// The running nodes.
    pub(crate) fn running(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|&node| self.nodes[node].is_running())
    }

    /// Waits until every running node reaches every other running one.
    #[track_caller]
    pub(crate) fn wait_until_all_met(&self) {
        let others = self.running().count() - 1;
        for node in self.running() {
            self.wait_for_reachable(node, others);
        }
    }

    /// Waits until a node reaches exactly so many others.
    #[track_caller]
    pub(crate) fn wait_for_reachable(&self, node: usize, others: usize) {
        let mut connection = self.connect(node);
        let wanted = format!("cluster_reachable_nodes:{others}\r\n");
        within(
            AGREEMENT,
            &format!("node {node} reaches {others} others"),
            || {
                let info = connection.call_arguments(&["CLUSTER", "INFO"]).text();
                info.contains(&wanted).then_some(())
            },
        );
    }

    /// The state of a job at each running node; none where it is not known.
    #[track_caller]
    pub(crate) fn states(&self, id: &str) -> Vec<Option<String>> {
        let state = |node| match self.connect(node).call_arguments(&["SHOW", id]) {
            Reply::Array(fields) => Some(fields[5].text()),
            Reply::NilBulk => None,
            other => panic!("{other:?} answers no SHOW"),
        };
        self.running().map(state).collect()
    }

    /// How many running nodes hold a job.
    #[track_caller]
    pub(crate) fn copies(&self, id: &str) -> usize {
        self.states(id).iter().flatten().count()
    }

    /// Waits until no running node holds any job, acked or not.
    #[track_caller]
    pub(crate) fn wait_until_empty(&self) {
        for node in self.running() {
            let mut connection = self.connect(node);
            within(AGREEMENT, &format!("node {node} is empty"), || {
                (connection.info("registered_jobs") == "0").then_some(())
            });
        }
    }

    /// Waits until the node answers again with all others in reach.
    #[track_caller]
    pub(crate) fn restart(&mut self, node: usize) {
        self.nodes[node].restart();
        self.wait_until_all_met();
    }
}

/// A job id that ADDJOB answered.
#[track_caller]
pub(crate) fn added(reply: &Reply) -> String {
    match reply {
        Reply::Simple(id) => id.clone(),
        other => panic!("{other:?} answers no ADDJOB"),
    }
}

/// Looks until the closure holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || holds().then_some(()));
}
