//! Several nodes that met: started one by one, introduced to the first, each stopped by its own pid.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::fixture::{Launch, Node, within};
use crate::wire::{Connection, Reply, jobs, simple};

/// How long the nodes of a test may take to agree on something, with one of them just killed.
const AGREEMENT: Duration = Duration::from_secs(30);

/// Some nodes that are one job queue.
pub(crate) struct Shoal {
    pub(crate) nodes: Vec<Node>,
}

impl Shoal {
    /// `count` nodes with jobs in memory.
    #[track_caller]
    pub(crate) fn start(count: usize) -> Self {
        Self::with(count, "--appendonly no")
    }

    /// `count` nodes with these flags, given as words; introduced by CLUSTER MEET.
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

    /// One command, given as words, on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, node: usize, command: &str) -> Reply {
        self.connect(node).call(command)
    }

    /// The id of a node.
    #[track_caller]
    pub(crate) fn id(&self, node: usize) -> String {
        self.call(node, "CLUSTER MYID").text()
    }

    /// A field of CLUSTER INFO.
    #[track_caller]
    pub(crate) fn cluster_info(&self, node: usize, field: &str) -> String {
        let text = self.call(node, "CLUSTER INFO").text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {text}"))
            .to_owned()
    }

    /// Kills these nodes, and waits until the others have noticed.
    #[track_caller]
    pub(crate) fn kill(&mut self, nodes: &[usize]) {
        for &node in nodes {
            self.nodes[node].kill();
        }
        self.wait_until_all_met();
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

    /// Waits until a node reaches exactly `others` others.
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

    /// The running nodes where a job is in this state.
    #[track_caller]
    pub(crate) fn nodes_where(&self, id: &str, state: &str) -> Vec<usize> {
        let states = self.states(id);
        let with_states = self.running().zip(states);
        with_states
            .filter(|(_, found)| found.as_deref() == Some(state))
            .map(|(node, _)| node)
            .collect()
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

/// Looks until the closure holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    within(AGREEMENT, what, || holds().then_some(()));
}

/// Checks all the time, for this long, that the closure holds. Only the absence of something is worth such a wait.
#[track_caller]
pub(crate) fn throughout(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time {
        assert!(holds(), "no longer after {:?}: {what}", start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Takes and acknowledges jobs at all nodes until none has come for this long. Bodies by how often they came.
#[track_caller]
pub(crate) fn drain(shoal: &Shoal, queue: &str, quiet: Duration) -> BTreeMap<String, usize> {
    let mut connections: Vec<_> = shoal.running().map(|node| shoal.connect(node)).collect();
    let mut seen = BTreeMap::new();
    let mut last = Instant::now();
    while last.elapsed() < quiet {
        for connection in &mut connections {
            let reply = connection.call(&format!("GETJOB TIMEOUT 10 COUNT 100 FROM {queue}"));
            if reply == Reply::NilArray {
                continue;
            }
            last = Instant::now();
            for job in jobs(&reply) {
                connection.call(&format!("ACKJOB {}", job.id));
                *seen.entry(job.body).or_default() += 1;
            }
        }
    }
    seen
}

/// That all of these came, and each once.
#[track_caller]
pub(crate) fn assert_each_once(
    seen: &BTreeMap<String, usize>,
    bodies: impl IntoIterator<Item = String>,
) {
    let wanted: BTreeMap<_, _> = bodies.into_iter().map(|body| (body, 1)).collect();
    assert_eq!(*seen, wanted);
}
