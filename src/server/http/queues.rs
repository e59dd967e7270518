//! `/api/v1/queues`: how many jobs there are.
//!
//! | path | answers |
//! |---|---|
//! | `queues` | the queues that have series of their own, and the sum of all |
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
use shoalmq_core::command::{Answer, Gathered, Question, Reply};
use shoalmq_core::id::QueueName;
use shoalmq_core::telling::Depths;
use shoalmq_core::telling::{QueueDepths, QueuesView};

use super::{Node, problem, request};
use crate::server::metrics;

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/api/v1/queues", get(queues))
        .route("/api/v1/queues/{name}", get(queue))
}

async fn queues(State(shared): State<Node>, uri: Uri) -> Result<Json<Value>, Response> {
    let told = look(&shared, &uri, None).await?;
    let mut shown = told.scope;
    let queues = told.view.queues.iter().map(|queue| {
        let mut shown = figures(queue);
        shown["name"] = json!(metrics::queue_label(queue.name.as_bytes()));
        shown
    });
    shown["queues"] = queues.collect();
    shown["total"] = depths(&told.view.total);
    if let Some(known) = told.known {
        shown["total"]["queues"] = json!(known);
    }
    Ok(Json(shown))
}

async fn queue(State(shared): State<Node>, uri: Uri) -> Result<Json<Value>, Response> {
    let name = QueueName::new(&request::last_segment(&uri)?);
    let told = look(&shared, &uri, Some(name.clone())).await?;
    let found = told.view.queues.into_iter().next();
    let exists = found.is_some();
    let queue = found.unwrap_or_else(|| QueueDepths::empty(name));
    let mut shown = figures(&queue);
    shown["name"] = json!(metrics::queue_label(queue.name.as_bytes()));
    shown["exists"] = json!(exists);
    if let (Some(shown), Value::Object(scope)) = (shown.as_object_mut(), told.scope) {
        shown.extend(scope);
    }
    Ok(Json(shown))
}

/// What was found, and where.
struct Told {
    view: QueuesView,
    /// Who answered.
    scope: Value,
    /// How many queues the node knows, if only one was asked.
    known: Option<usize>,
}

/// Asks this node, or all of them.
async fn look(shared: &Node, uri: &Uri, queue: Option<QueueName>) -> Result<Told, Response> {
    if !request::switch(uri, "global")? {
        let driver = shared.driver.lock();
        let name = queue.as_ref().map(QueueName::as_bytes);
        return Ok(Told {
            view: driver.node.queues_view(driver.clock.now().time, name),
            scope: json!({ "scope": "node" }),
            known: Some(driver.node.queue_count()),
        });
    }
    let unavailable = |why| problem(StatusCode::SERVICE_UNAVAILABLE, why);
    let answer = {
        let mut driver = shared.driver.lock();
        if driver.loading.is_some() {
            return Err(unavailable("the node reads its job log"));
        }
        let answer = driver.ask(Question::Queues(queue));
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
            Ok(Told {
                view,
                scope: json!({
                    "scope": "cluster",
                    "complete": missing.is_empty(),
                    "missing": missing,
                }),
                known: None,
            })
        }
        Ok(_) | Err(_) => Err(unavailable("the node stops")),
    }
}

fn figures(queue: &QueueDepths) -> Value {
    let mut shown = depths(&queue.depths);
    shown["oldest_ready_age_seconds"] = json!(queue.oldest.as_secs_f64());
    shown["consumers"] = json!(queue.consumers);
    shown["paused"] = json!(queue.paused);
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
