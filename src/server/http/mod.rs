//! HTTP: health for Kubernetes, metrics for Prometheus, and a small API for scripts and people.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz/startup`, `/healthz/ready`, `/healthz/live` | 200, or 503 with the reasons, one a line |
//! | `/metrics` | metrics, in Prometheus' text or OpenMetrics |
//! | `/api/v1/…` | see `api` |
//!
//! It goes on while the node loads, drains and stops: that is when it is asked.

mod api;
mod auth;
mod health;
mod listener;
mod queues;
mod request;
mod topics;

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::driver::Shared;
use super::metrics::{self, Format};

pub(crate) use listener::{Http, HttpError};

type Node = Arc<Shared>;

fn routes(shared: &Node) -> Router {
    let open = Router::new()
        .route("/", get(index))
        .route("/healthz/startup", get(health::startup))
        .route("/healthz/ready", get(health::ready))
        .route("/healthz/live", get(health::live));
    let guarded = |routes: Router<Node>, guard| {
        let state = (Arc::clone(shared), guard);
        routes.layer(middleware::from_fn_with_state(state, auth::check))
    };
    let numbers = Router::new().route("/metrics", get(metrics));
    Router::new()
        .merge(open)
        .merge(guarded(numbers, auth::Guard::Metrics))
        .merge(guarded(
            api::routes()
                .merge(queues::routes())
                .merge(topics::routes()),
            auth::Guard::Api,
        ))
        .merge(guarded(api::drain_route(), auth::Guard::Drain))
        .fallback(async || problem(StatusCode::NOT_FOUND, "there is nothing here: see /"))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "this takes another method")
        })
        .with_state(Arc::clone(shared))
}

/// What there is, for who looks by hand.
async fn index() -> &'static str {
    "ShoalMQ\n\
     /healthz/startup  /healthz/ready  /healthz/live\n\
     /metrics\n\
     /api/v1/cluster  /api/v1/queues  /api/v1/queues/{name}  /api/v1/topics  /api/v1/safe-to-delete\n"
}

async fn metrics(State(shared): State<Node>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).map(|value| value.to_str());
    let accept = accept.and_then(Result::ok).unwrap_or_default();
    let format = Format::accepted(accept);
    // A thousand queues take some milliseconds to write.
    let text = tokio::task::spawn_blocking(move || metrics::render(&shared, format)).await;
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "the node is about to exit"),
    }
}

/// An answer that says what is wrong.
fn problem(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
