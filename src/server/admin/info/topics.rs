//! INFO topics: channels, entries and readers of this node, and what they take.

use super::Fields;
use crate::server::driver::Driver;

pub(super) fn fields(driver: &Driver, fields: &mut Fields) {
    let all = driver.node.topic_figures();
    fields.add("topic_channels", all.channels);
    fields.add("topic_entries", all.entries);
    fields.add("topic_bytes", all.bytes);
    fields.add("topic_readers", all.readers);
    fields.add("topic_cursors", all.cursors);
    fields.add("topic_bindings", all.bindings);
    fields.add("topic_bindings_waiting", all.bindings_waiting);
    fields.add("topic_entries_published", all.published);
    fields.add("topic_entries_delivered", all.delivered);
    fields.add("topic_entries_flushed", all.flushed);
    fields.add("topic_entries_expired", all.taken);
    fields.add("topic_jobs_bound", all.bound);
    fields.add("topic_log_bytes", all.log_bytes);
    fields.add("topic_log_limit", all.log_limit);
    fields.add("topic_memory", all.memory);
    fields.add("topic_memory_limit", all.memory_limit);
    fields.add("topic_members", all.members.present);
    fields.add("topic_members_set_aside", all.members.aside);
    fields.add("topic_records_missing", all.members.missing);
    fields.add("topic_logs_refused", all.members.refused);
}
