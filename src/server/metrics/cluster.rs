//! The other nodes: membership, gossip, links, healing.

use shoalmq_core::telling::{Histogram, WAIT_MICROS};

use super::exposition::{Exposition, Kind};
use crate::server::cluster::Health;
use crate::server::driver::Driver;

const MICROS: f64 = 1_000_000.0;
/// Characters of a node's id that tell it from the others.
const SHORT_ID: usize = 8;

/// Figures of the other nodes.
pub(super) struct Nodes {
    alive: usize,
    suspect: usize,
    down: usize,
    peers: Vec<Peer>,
    sent: u64,
    received: u64,
    unsent: u64,
    held_back: u64,
    overflowed: u64,
    links_in: usize,
    links_out: usize,
    packets: [(&'static str, u64); 2],
    refused: Vec<(&'static str, u64)>,
    pings: Histogram<{ WAIT_MICROS.len() }>,
    short: usize,
    short_for: f64,
    healing: usize,
    healed: u64,
    imported: u64,
    exported: u64,
    leaving: bool,
    draining: bool,
    left: usize,
}

struct Peer {
    id: String,
    skew: f64,
    software: String,
}

impl Nodes {
    pub(super) fn of(driver: &Driver) -> Self {
        let (cluster, node) = (&driver.cluster, &driver.node);
        let counters = node.counters();
        let with = |health: Health| {
            let members = cluster.members.values();
            members.filter(|member| member.health == health).count()
        };
        let known = cluster.members.values();
        let told = known.filter(|member| !member.software.is_empty());
        let short = node.under_replicated();
        let since = driver.stats.short_since.filter(|_| short > 0);
        Nodes {
            alive: with(Health::Alive) + 1,
            suspect: with(Health::Suspect),
            down: with(Health::Down),
            peers: told
                .map(|member| Peer {
                    id: member.id.to_string()[..SHORT_ID].to_owned(),
                    skew: member.skew_ms as f64 / 1000.0,
                    software: member.software.clone(),
                })
                .collect(),
            sent: cluster.messages_sent,
            received: cluster.messages_received,
            unsent: cluster.unsent_bytes(),
            held_back: cluster.copies_held_back,
            overflowed: cluster.outboxes_overflowed,
            links_in: cluster.inbound_links(),
            links_out: cluster
                .members
                .values()
                .filter(|member| member.linked)
                .count(),
            packets: cluster.packets(),
            refused: cluster.refusals.counts().collect(),
            pings: cluster.pings,
            short,
            short_for: since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
            healing: node.healing_left(),
            healed: counters.healed,
            imported: counters.imported,
            exported: counters.exported,
            leaving: node.is_leaving(),
            draining: node.is_about_to_stop() || driver.is_closed,
            left: node.handing_over(),
        }
    }

    pub(super) fn write(&self, text: &mut Exposition) {
        self.write_members(text);
        self.write_links(text);
        self.write_healing(text);
    }

    fn write_members(&self, text: &mut Exposition) {
        text.family(
            Kind::Gauge,
            "cluster_members",
            "Nodes of the cluster, this one included, by what this node takes them for.",
        );
        text.sample(&[("state", "alive")], self.alive);
        text.sample(&[("state", "suspect")], self.suspect);
        text.sample(&[("state", "down")], self.down);
        let known = self.alive + self.suspect + self.down;
        text.gauge(
            "cluster_known_nodes",
            "Nodes that this node knows, itself included.",
            known,
        );
        // Half of the nodes or more do not answer: it is likely that they live on the other side.
        text.gauge(
            "cluster_partition_suspected",
            "Whether this node reaches no more than half of the nodes that it knows.",
            u8::from(self.alive * 2 <= known && known > 1),
        );
        text.family(
            Kind::Gauge,
            "clock_skew_seconds",
            "How far the wall clock of a peer is ahead of this one's, the time on the way included.",
        );
        for peer in &self.peers {
            text.sample(&[("peer", &peer.id)], peer.skew);
        }
        text.family(
            Kind::Gauge,
            "cluster_version_info",
            "The version that a peer runs; always 1.",
        );
        for peer in &self.peers {
            text.sample(&[("peer", &peer.id), ("version", &peer.software)], 1);
        }
    }

    fn write_links(&self, text: &mut Exposition) {
        text.family(Kind::Counter, "gossip_messages_total", "Packets of gossip.");
        for (direction, packets) in self.packets {
            text.sample(&[("direction", direction)], packets);
        }
        text.family(
            Kind::Counter,
            "gossip_rejected_total",
            "Packets and links of others that were turned away, by the reason.",
        );
        for (reason, count) in &self.refused {
            text.sample(&[("reason", reason)], count);
        }
        text.family(
            Kind::Histogram,
            "gossip_probe_seconds",
            "How long peers took to answer the pings on their links.",
        );
        text.histogram(&[], &WAIT_MICROS, MICROS, &self.pings);
        text.family(
            Kind::Gauge,
            "bus_links",
            "Links to other nodes that are up.",
        );
        text.sample(&[("direction", "in")], self.links_in);
        text.sample(&[("direction", "out")], self.links_out);
        text.family(Kind::Counter, "bus_messages_total", "Messages on links.");
        text.sample(&[("direction", "in")], self.received);
        text.sample(&[("direction", "out")], self.sent);
        text.gauge(
            "bus_unsent_bytes",
            "Bytes that wait to be written to other nodes.",
            self.unsent,
        );
        text.counter(
            "bus_copies_held_back_total",
            "Copies not sent for too much that waits; they are offered again.",
            self.held_back,
        );
        text.counter(
            "bus_overflows_total",
            "Links reset because the peer took too little.",
            self.overflowed,
        );
    }

    fn write_healing(&self, text: &mut Exposition) {
        text.gauge(
            "jobs_under_replicated",
            "Jobs with fewer copies than they are to have. Each node that holds one counts it: take the maximum, not a sum.",
            self.short,
        );
        text.gauge(
            "repair_lag_seconds",
            "For how long there have been such jobs without a break.",
            self.short_for,
        );
        text.gauge(
            "jobs_in_repair",
            "Jobs for which missing copies are being made at this moment.",
            self.healing,
        );
        text.counter(
            "repair_jobs_total",
            "Copies made for jobs that had too few.",
            self.healed,
        );
        text.family(
            Kind::Counter,
            "jobs_moved_total",
            "Ready jobs that came from other nodes, for clients waited here, and that went.",
        );
        text.sample(&[("direction", "in")], self.imported);
        text.sample(&[("direction", "out")], self.exported);
        text.gauge(
            "leaving",
            "Whether CLUSTER LEAVING holds.",
            u8::from(self.leaving),
        );
        text.gauge(
            "draining",
            "Whether the node hands its jobs over because it is about to stop.",
            u8::from(self.draining),
        );
        text.gauge(
            "drain_remaining_jobs",
            "Jobs that a leaving or stopping node has yet to hand over.",
            self.left,
        );
    }
}
