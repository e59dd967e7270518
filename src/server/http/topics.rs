//! `/api/v1/topics`: the channels of topics that have entries, page by page.
//!
//! | parameter | means |
//! |---|---|
//! | `match` | a glob: only channels that it matches |
//! | `count` | at most this many channels on a page: 100, at most 1000 |
//! | `cursor` | the `next` of the page before |
//!
//! Figures are those of the node that is asked. The lock is held for a bounded time: for some names, or for one channel.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use shoalmq_core::topic::{ChannelView, Scan};

use super::{Node, request};
use crate::server::metrics;

const COUNT: usize = 100;
const COUNT_MAX: usize = 1000;
/// How many channels are looked at while the lock is held.
const LOOKS: usize = 1000;

pub(super) fn routes() -> Router<Node> {
    Router::new().route("/api/v1/topics", get(topics))
}

async fn topics(State(shared): State<Node>, uri: Uri) -> Result<Json<Value>, Response> {
    let asked = request::Page::of(&uri, COUNT, COUNT_MAX)?;
    let mut cursor = asked.cursor;
    let mut channels: Vec<Value> = Vec::new();
    loop {
        let (next, names) = shared.driver.lock().node.scan_topics(Scan {
            cursor,
            looks: LOOKS,
            finds: asked.count - channels.len(),
            pattern: asked.pattern.as_deref(),
        });
        for name in names {
            // It may have gone meanwhile.
            let view = shared.driver.lock().node.topic_view(&name);
            channels.extend(view.map(|view| shown(&name, &view)));
        }
        cursor = next;
        if cursor == 0 || channels.len() >= asked.count {
            break;
        }
        tokio::task::yield_now().await;
    }
    let total = shared.driver.lock().node.topic_figures();
    Ok(Json(json!({
        "scope": "node",
        "channels": channels,
        "next": (cursor > 0).then_some(cursor),
        "total": {
            "channels": total.channels,
            "entries": total.entries,
            "bytes": total.bytes,
            "readers": total.readers,
            "cursors": total.cursors,
            "bindings": total.bindings,
        },
    })))
}

fn shown(name: &[u8], view: &ChannelView) -> Value {
    json!({
        "name": metrics::queue_label(name),
        "entries": view.entries,
        "bytes": view.bytes,
        "oldest": view.oldest.map(|id| id.to_string()),
        "newest": view.newest.map(|id| id.to_string()),
        "readers": view.readers,
        "bindings": view.bindings,
    })
}
