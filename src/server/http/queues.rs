//! `/api/v1/queues`: how many jobs there are.
//!
//! | path | answers |
//! |---|---|
//! | `queues` | the queues as QLIST lists them, by `match`, `sort` and `count`, and the sum of all |
//! | `queues/{name}` | one queue; zeros when it is not known, so that a scaler can begin from nothing |
//!
//! Figures are those of the node that is asked; with `?global=true` those of all nodes, added up, and the ids of the
//! nodes that did not answer.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use shoalmq_core::command::{Answer, Gathered, Question, QueuesWanted, Reply};
use shoalmq_core::id::QueueName;
use shoalmq_core::telling::{Depths, QueueDepths, QueuesView};

use super::{Node, problem, request};
use crate::command::queue::pause_name;
use crate::server::metrics;

/// The most queues in an answer: some 40 MB.
const COUNT_MAX: usize = 100_000;

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/api/v1/queues", get(queues))
        .route("/api/v1/queues/{name}", get(queue))
}

async fn queues(State(shared): State<Node>, uri: Uri) -> Result<Json<Value>, Response> {
    let request::Queues { list, global } = request::Queues::of(&uri, COUNT_MAX)?;
    let (view, known, mut shown) = if global {
        let (view, scope) = ask(&shared, QueuesWanted::First(list)).await?;
        (view, None, scope)
    } else {
        let driver = shared.driver.lock();
        let view = driver.node.list_queues(driver.clock.now().time, &list);
        let known = driver.node.queue_count();
        (view, Some(known), json!({ "scope": "node" }))
    };
    shown["queues"] = view.queues.iter().map(figures).collect();
    shown["total"] = depths(&view.total);
    if let Some(known) = known {
        shown["total"]["queues"] = json!(known);
    }
    Ok(Json(shown))
}

async fn queue(State(shared): State<Node>, uri: Uri) -> Result<Json<Value>, Response> {
    let name = QueueName::new(&request::last_segment(&uri)?);
    let (found, scope) = if request::switch(&uri, "global")? {
        let (view, scope) = ask(&shared, QueuesWanted::Named(vec![name.clone()])).await?;
        (view.queues.into_iter().next(), scope)
    } else {
        let driver = shared.driver.lock();
        let now = driver.clock.now().time;
        let found = driver.node.find_queue(now, name.as_bytes());
        (found, json!({ "scope": "node" }))
    };
    let exists = found.is_some();
    let mut shown = figures(&found.unwrap_or_else(|| QueueDepths::empty(name)));
    shown["exists"] = json!(exists);
    if let (Some(shown), Value::Object(scope)) = (shown.as_object_mut(), scope) {
        shown.extend(scope);
    }
    Ok(Json(shown))
}

/// Asks all nodes. Returns what they say, and who did not answer.
async fn ask(shared: &Node, wanted: QueuesWanted) -> Result<(QueuesView, Value), Response> {
    let unavailable = |why| problem(StatusCode::SERVICE_UNAVAILABLE, why);
    let answer = {
        let mut driver = shared.driver.lock();
        if driver.loading.is_some() {
            return Err(unavailable("the node reads its job log"));
        }
        let answer = driver.ask(Question::Queues(wanted));
        if driver.settle() {
            shared.tick_sooner.notify_one();
        }
        answer
    };
    match answer.await {
        Ok(Reply::Global(gathered)) => {
            let Gathered { answer, missing } = *gathered;
            let Answer::Queues(view) = answer else {
                panic!("{answer:?} is no answer to this question");
            };
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let scope = json!({
                "scope": "cluster",
                "complete": missing.is_empty(),
                "missing": missing,
            });
            Ok((view, scope))
        }
        Ok(_) | Err(_) => Err(unavailable("the node stops")),
    }
}

/// What QLIST tells, and more.
fn figures(queue: &QueueDepths) -> Value {
    let mut shown = depths(&queue.depths);
    shown["name"] = json!(metrics::queue_label(queue.name.as_bytes()));
    shown["oldest"] = json!(queue.oldest.as_secs());
    shown["oldest_ready_age_seconds"] = json!(queue.oldest.as_secs_f64());
    shown["consumers"] = json!(queue.consumers);
    shown["in"] = json!(queue.recent.in_per_second());
    shown["out"] = json!(queue.recent.out_per_second());
    shown["paused"] = json!(queue.pause.input || queue.pause.output);
    shown["pause"] = json!(pause_name(queue.pause));
    shown["restored_requeue_within_seconds"] =
        json!(queue.restored_within.map(|within| within.as_secs_f64()));
    shown
}

fn depths(depths: &Depths) -> Value {
    json!({
        "ready": depths.ready,
        "active": depths.active,
        "delayed": depths.delayed,
        "dead": depths.dead,
        "restored": depths.restored,
        "copies": depths.copies,
        "bytes": depths.bytes,
    })
}
