//! The replies of commands on topics, and what subscribers are told: Redis's shapes where Redis has the command.

use std::sync::Arc;

use shoalmq_core::extras::Tag;
use shoalmq_core::meta::Meta;
use shoalmq_core::topic::{
    Addressee, BindingView, ChannelView, Entry, Listen, NamedView, Push, Rule, Told, TopicPage,
    TopicReply,
};

use super::{key, number};
use crate::error;
use shoalmq_resp::{Protocol, encode};

/// Appends the reply to a command on topics.
pub(super) fn encode(reply: &TopicReply, protocol: Protocol, out: &mut Vec<u8>) {
    match reply {
        TopicReply::Published(id) => text(out, id),
        TopicReply::Announced(count) | TopicReply::Count(count) => number(out, *count),
        TopicReply::Page(page) => encode_page(out, protocol, page),
        TopicReply::Followed(subscription, cursor, _) => {
            encode::push(out, protocol, 3);
            encode::bulk(out, b"tsubscribe");
            number(out, *subscription);
            text(out, cursor);
        }
        TopicReply::Unfollowed(ended, _) => {
            for (subscription, cursor) in ended {
                encode::push(out, protocol, 3);
                encode::bulk(out, b"tunsubscribe");
                number(out, *subscription);
                text(out, cursor);
            }
            if ended.is_empty() {
                encode::push(out, protocol, 3);
                encode::bulk(out, b"tunsubscribe");
                encode::nil_bulk(out, protocol);
                encode::nil_bulk(out, protocol);
            }
        }
        TopicReply::Subscribed(listen, names) => {
            for (name, count) in names {
                let kind = named(*listen, b"subscribe", b"psubscribe");
                confirm(out, protocol, kind, Some(name), *count);
            }
        }
        TopicReply::Unsubscribed(listen, names) => {
            for (name, count) in names {
                let kind = named(*listen, b"unsubscribe", b"punsubscribe");
                confirm(out, protocol, kind, name.as_ref(), *count);
            }
        }
        TopicReply::Names(names) => list(out, names),
        TopicReply::Subscribers(all) => {
            encode::array(out, all.len() * 2);
            for (name, count) in all {
                encode::bulk(out, name);
                number(out, *count);
            }
        }
        TopicReply::Done => encode::simple(out, b"OK"),
        TopicReply::Rules(rules) => {
            encode::array(out, rules.len());
            for (pattern, rule) in rules {
                encode::array(out, 2);
                encode::bulk(out, pattern);
                encode_rule(out, protocol, rule);
            }
        }
        TopicReply::Bindings(bindings) => encode_bindings(out, protocol, bindings),
        TopicReply::Misread(misread) => error::encode_misread(misread, out),
        TopicReply::Stat(None) | TopicReply::Named(None) => encode::nil_array(out, protocol),
        TopicReply::Named(Some(named)) => encode_named(out, protocol, named),
        TopicReply::Stat(Some(channel)) => stat(out, protocol, channel),
        TopicReply::Channels(cursor, names) => {
            encode::array(out, 2);
            encode::bulk_integer(out, *cursor);
            list(out, names);
        }
    }
}

/// Appends what a subscriber is told.
pub fn encode_push(push: &Push, protocol: Protocol, out: &mut Vec<u8>) {
    match (&push.to, &push.told) {
        (Addressee::Channel, Told::Entry(entry, _)) => {
            encode::push(out, protocol, 3);
            encode::bulk(out, b"message");
            encode::bulk(out, &entry.channel);
            encode::bulk(out, entry.body.as_bytes());
        }
        (Addressee::Pattern(pattern), Told::Entry(entry, _)) => {
            encode::push(out, protocol, 4);
            encode::bulk(out, b"pmessage");
            encode::bulk(out, pattern);
            encode::bulk(out, &entry.channel);
            encode::bulk(out, entry.body.as_bytes());
        }
        (Addressee::Follower(pattern, meta), Told::Entry(entry, late)) => {
            encode::push(out, protocol, 6 + mark_elements(*late, *meta));
            encode::bulk(out, b"tmessage");
            encode::bulk(out, pattern);
            encode::bulk(out, &entry.channel);
            text(out, &entry.id);
            encode::bulk(out, push.cursor.as_bytes());
            encode::bulk(out, entry.body.as_bytes());
            encode_mark(out, protocol, entry, *late, *meta);
        }
        (Addressee::Follower(..), Told::Lost(before, count)) => {
            encode::push(out, protocol, 8);
            encode::bulk(out, b"tmessage");
            encode::nil_bulk(out, protocol);
            encode::nil_bulk(out, protocol);
            text(out, before);
            encode::bulk(out, push.cursor.as_bytes());
            encode::nil_bulk(out, protocol);
            encode::bulk(out, b"lost");
            number(out, *count);
        }
        (Addressee::Channel | Addressee::Pattern(_), Told::Lost(..)) => {}
        (_, Told::Unread(_)) => panic!("it is read before it is told"),
    }
}

fn encode_page(out: &mut Vec<u8>, protocol: Protocol, page: &TopicPage) {
    encode::array(out, 2);
    text(out, &page.cursor);
    encode::array(out, page.told.len());
    for told in &page.told {
        match told {
            Told::Entry(entry, late) => {
                encode::array(out, 3 + mark_elements(*late, page.meta));
                text(out, &entry.id);
                encode::bulk(out, &entry.channel);
                encode::bulk(out, entry.body.as_bytes());
                encode_mark(out, protocol, entry, *late, page.meta);
            }
            Told::Lost(before, count) => {
                encode::array(out, 5);
                text(out, before);
                encode::nil_bulk(out, protocol);
                encode::nil_bulk(out, protocol);
                encode::bulk(out, b"lost");
                number(out, *count);
            }
            Told::Unread(_) => panic!("it is read before it is told"),
        }
    }
}

/// How many elements stand behind a body: the mark, and with WITHMETA the mark or nil, and a map.
fn mark_elements(late: bool, meta: bool) -> usize {
    if meta { 2 } else { usize::from(late) }
}

fn encode_mark(out: &mut Vec<u8>, protocol: Protocol, entry: &Entry, late: bool, meta: bool) {
    if late {
        encode::bulk(out, b"late");
    } else if meta {
        encode::nil_bulk(out, protocol);
    }
    if meta {
        let given = Meta::decode(entry.extras.get(Tag::META).unwrap_or_default());
        encode::map(out, protocol, given.pairs().len());
        for (name, value) in given.pairs() {
            encode::bulk(out, name);
            encode::bulk(out, value);
        }
    }
}

fn named(listen: Listen, channel: &'static [u8], pattern: &'static [u8]) -> &'static [u8] {
    match listen {
        Listen::Channel => channel,
        Listen::Pattern => pattern,
    }
}

fn confirm(
    out: &mut Vec<u8>,
    protocol: Protocol,
    kind: &[u8],
    name: Option<&Arc<[u8]>>,
    count: u64,
) {
    encode::push(out, protocol, 3);
    encode::bulk(out, kind);
    match name {
        Some(name) => encode::bulk(out, name),
        None => encode::nil_bulk(out, protocol),
    }
    number(out, count);
}

fn encode_rule(out: &mut Vec<u8>, protocol: Protocol, rule: &Rule) {
    let age = rule.age.map(|age| ("maxage", age.as_secs()));
    let bytes = rule.bytes.map(|bytes| ("maxbytes", bytes));
    let entries = rule.entries.map(|entries| ("maxlen", entries));
    let keep = rule.keep.then_some(("keep", 1));
    let pairs: Vec<(&str, u64)> = [age, bytes, entries, keep].into_iter().flatten().collect();
    encode::map(out, protocol, pairs.len());
    for (name, value) in pairs {
        key(out, name);
        number(out, value);
    }
}

fn stat(out: &mut Vec<u8>, protocol: Protocol, channel: &ChannelView) {
    encode::map(out, protocol, 6);
    for (name, id) in [("oldest", channel.oldest), ("newest", channel.newest)] {
        key(out, name);
        match id {
            Some(id) => text(out, &id),
            None => encode::nil_bulk(out, protocol),
        }
    }
    for (name, value) in [
        ("entries", channel.entries),
        ("bytes", channel.bytes),
        ("readers", channel.readers),
        ("bindings", channel.bindings),
    ] {
        key(out, name);
        number(out, value);
    }
}

fn encode_named(out: &mut Vec<u8>, protocol: Protocol, named: &NamedView) {
    encode::map(out, protocol, 4);
    key(out, "cursor");
    text(out, &named.cursor);
    key(out, "patterns");
    list(out, &named.patterns);
    key(out, "behind");
    number(out, named.behind);
    key(out, "committed");
    match named.committed_ms_ago {
        Some(ms) => number(out, ms),
        None => encode::nil_bulk(out, protocol),
    }
}

fn encode_bindings(out: &mut Vec<u8>, protocol: Protocol, bindings: &[BindingView]) {
    encode::array(out, bindings.len());
    for binding in bindings {
        encode::map(out, protocol, 4);
        key(out, "pattern");
        encode::bulk(out, &binding.pattern);
        key(out, "queue");
        encode::bulk(out, &binding.queue);
        key(out, "behind");
        number(out, binding.behind);
        key(out, "waits-for");
        match binding.waits_for {
            Some(waits_for) => encode::bulk(out, waits_for.word().as_bytes()),
            None => encode::nil_bulk(out, protocol),
        }
    }
}

fn list(out: &mut Vec<u8>, names: &[Arc<[u8]>]) {
    encode::array(out, names.len());
    for name in names {
        encode::bulk(out, name);
    }
}

fn text(out: &mut Vec<u8>, value: &impl std::fmt::Display) {
    encode::bulk(out, value.to_string().as_bytes());
}
