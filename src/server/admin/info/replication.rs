//! INFO replication: this node's role, the other nodes, copies of jobs, and why jobs were delivered again.

use super::Fields;
use crate::server::driver::Driver;

pub(super) fn fields(driver: &Driver, fields: &mut Fields) {
    // Every node takes writes, and valkey-glide refuses a server that does not say so.
    fields.add("role", "master");
    nodes(driver, fields);
    copies(driver, fields);
    let counters = driver.node.counters();
    fields.add("jobs_imported", counters.imported);
    fields.add("jobs_exported", counters.exported);
    fields.add("redelivered_timeout", counters.redelivered_timeout);
    fields.add("redelivered_nack", counters.redelivered_nack);
    fields.add("redelivered_enqueue", counters.redelivered_asked);
    fields.add("redelivered_restart", counters.redelivered_restart);
    fields.add("redelivered_heal", counters.redelivered_heal);
    fields.add("redelivered_drain", counters.redelivered_drain);
}

fn nodes(driver: &Driver, fields: &mut Fields) {
    let cluster = &driver.cluster;
    let linked = cluster.members.values().filter(|member| member.linked);
    fields.add("known_nodes", cluster.members.len() + 1);
    fields.add("reachable_nodes", cluster.reachable().count());
    fields.add("links_up", linked.count());
    fields.add("messages_sent", cluster.messages_sent);
    fields.add("messages_received", cluster.messages_received);
    fields.add("outbox_bytes", cluster.unsent_bytes());
    fields.add("copies_held_back", cluster.copies_held_back);
    fields.add("outboxes_overflowed", cluster.outboxes_overflowed);
    for (reason, count) in cluster.refusals.counts() {
        fields.add(&format!("refused_{reason}"), count);
    }
    fields.add("leaving", u8::from(driver.node.is_leaving()));
    fields.add("leaving_jobs_left", driver.node.handing_over());
}

fn copies(driver: &Driver, fields: &mut Fields) {
    let counters = driver.node.counters();
    let unanswered: usize = driver
        .clients
        .values()
        .map(|client| client.unanswered)
        .sum();
    let adds = unanswered.saturating_sub(driver.node.waiting_count());
    fields.add("adds_waiting_for_copies", adds);
    fields.add("replication_timeouts", counters.replication_timeouts);
    fields.add("under_replicated_jobs", driver.node.under_replicated());
    fields.add("healing_jobs_left", driver.node.healing_left());
    fields.add("copies_healed", counters.healed);
    let withdrawn = driver.node.withdrawn_count();
    let acked = driver.node.collecting_count() - withdrawn;
    fields.add("acked_jobs_waiting", acked);
    fields.add("withdrawn_jobs_waiting", withdrawn);
    fields.add("tombstones", driver.node.tombstone_count());
    fields.add("tombstones_dropped", counters.tombstones_dropped);
}
