//! `/api/v1`: small JSON for KEDA, for scripts, and for people.
//!
//! | path | answers |
//! |---|---|
//! | `cluster` | this node and the others |
//! | `queues`, `queues/{name}` | see `queues` |
//! | `topics` | see `topics` |
//! | `drain` (POST) | hands queued jobs over before a stop: how many are left |
//! | `drain` (DELETE) | undoes a drain, and CLUSTER LEAVING yes |
//! | `safe-to-delete` | 200 when this node may be removed for good, 409 with the reasons when not |
//!
//! Figures are those of this node, unless the whole cluster is asked for.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::{Node, problem};
use crate::server::closing;
use crate::server::cluster::Health;
use crate::server::driver::Driver;

pub(super) fn routes() -> Router<Node> {
    Router::new()
        .route("/api/v1/cluster", get(cluster))
        .route("/api/v1/safe-to-delete", get(safe_to_delete))
}

pub(super) fn drain_route() -> Router<Node> {
    Router::new().route("/api/v1/drain", post(drain).delete(stay))
}

async fn cluster(State(shared): State<Node>) -> Json<Value> {
    let driver = shared.driver.lock();
    let others = driver.cluster.members.values().map(|member| {
        json!({
            "id": member.id.to_string(),
            "address": member.client.map(|address| address.to_string()),
            "name": member.name,
            "zone": member.zone,
            "version": member.software,
            "state": state(member.health),
            "linked": member.linked,
            "leaving": member.leaving,
        })
    });
    let others: Vec<Value> = others.collect();
    let own = json!({
        "id": driver.identity.id.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "zone": driver.config.zone,
        "port": driver.port,
        "ready": driver.not_ready().is_empty(),
        "not_ready": driver.not_ready(),
        "leaving": driver.node.is_leaving(),
        "jobs": driver.node.job_count(),
        "under_replicated_jobs": driver.node.under_replicated(),
        "remaining_jobs": driver.node.handing_over(),
    });
    Json(json!({ "name": driver.config.cluster_name, "node": own, "others": others }))
}

fn state(health: Health) -> &'static str {
    match health {
        Health::Alive => "alive",
        Health::Suspect => "suspect",
        Health::Down => "down",
    }
}

/// The node is about to be stopped: it is not ready from now on, and hands over its queued jobs.
async fn drain(State(shared): State<Node>) -> Response {
    if shared.driver.lock().loading.is_some() {
        return problem(
            StatusCode::SERVICE_UNAVAILABLE,
            "the node reads its job log: it has nothing to hand over yet",
        );
    }
    let left = closing::drain(&shared);
    Json(json!({ "draining": true, "remaining_jobs": left })).into_response()
}

/// The node is not going to be stopped after all.
async fn stay(State(shared): State<Node>) -> Response {
    if closing::stay(&shared) {
        Json(json!({ "draining": false })).into_response()
    } else {
        problem(
            StatusCode::CONFLICT,
            "the node stops: its clients are gone already, so start it again instead",
        )
    }
}

/// Whether nothing is lost when this node and its volume go away.
async fn safe_to_delete(State(shared): State<Node>) -> Response {
    let driver = shared.driver.lock();
    let reasons = unsafe_to_delete(&driver);
    drop(driver);
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::CONFLICT
    };
    let answer = json!({ "safe": reasons.is_empty(), "reasons": reasons });
    (status, Json(answer)).into_response()
}

fn unsafe_to_delete(driver: &Driver) -> Vec<String> {
    let node = &driver.node;
    let mut reasons = Vec::new();
    if driver.loading.is_some() {
        return vec!["the job log is being read".to_owned()];
    }
    if !node.is_leaving() {
        reasons.push("the node is not leaving: send it CLUSTER LEAVING yes".to_owned());
    }
    let left = node.handing_over();
    if left > 0 {
        reasons.push(format!("{left} jobs are yet to be handed over"));
    }
    let jobs = node.job_count();
    let depths = node.total_depths();
    let own = depths.ready + depths.active + depths.delayed;
    if own > 0 && left == 0 {
        reasons.push(format!(
            "{own} of {jobs} jobs here are this node's to deliver"
        ));
    }
    let waiting = node.collecting_count();
    if waiting > 0 {
        reasons.push(format!(
            "{waiting} acknowledged or withdrawn jobs are yet to be told to others"
        ));
    }
    reasons
}
