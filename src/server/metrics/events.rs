//! What happens now and then, counted where it happens: by the crate `metrics`, whose exporter writes it.
//!
//! Not for what happens to every job: a counter with a label costs 100 ns.

use std::sync::OnceLock;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::server::clock;

const REJECTED: &str = "shoalmq_rejected_total";
const AUTH_FAILURES: &str = "shoalmq_auth_failures_total";
const PROTOCOL_ERRORS: &str = "shoalmq_protocol_errors_total";
const RELOADED_AT: &str = "shoalmq_config_last_reload_success_timestamp_seconds";
const RELOADED: &str = "shoalmq_config_last_reload_successful";

/// The codes that errors begin with, and the reasons that they are counted under. All others are no rejections: the
/// command was wrong.
const REASONS: [(&[u8], &str); 10] = [
    (b"OOM", "oom"),
    (b"MISCONF", "misconf"),
    (b"LEAVING", "leaving"),
    (b"LOADING", "loading"),
    (b"NOREPL", "norepl"),
    (b"MAXLEN", "maxlen"),
    (b"PAUSED", "paused"),
    (b"NOAUTH", "noauth"),
    (b"WRONGPASS", "wrongpass"),
    (b"DENIED", "denied"),
];

static EVENTS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Makes all of them known, at 0. Once for a process.
pub(crate) fn start() {
    EVENTS.get_or_init(|| {
        let handle = PrometheusBuilder::new().install_recorder();
        let handle = handle.expect("no other recorder is installed in this process");
        describe_counter!(REJECTED, "Commands refused, by the reason.");
        describe_counter!(AUTH_FAILURES, "Wrong passwords.");
        describe_counter!(
            PROTOCOL_ERRORS,
            "Connections closed because what came was no RESP."
        );
        describe_gauge!(
            RELOADED_AT,
            "When the configuration was read last, unix time."
        );
        describe_gauge!(RELOADED, "Whether the last reading of it succeeded.");
        for (_, reason) in REASONS {
            counter!(REJECTED, "reason" => reason).absolute(0);
        }
        counter!(AUTH_FAILURES).absolute(0);
        counter!(PROTOCOL_ERRORS).absolute(0);
        note_reload(true);
        handle
    });
}

/// What was counted, as text.
pub(super) fn render() -> String {
    EVENTS
        .get()
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

/// A command was answered with this error line, without its `-`.
pub(crate) fn note_error(line: &[u8]) {
    let code = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    let reason = REASONS.iter().find(|(known, _)| *known == code);
    if let Some(&(_, reason)) = reason {
        counter!(REJECTED, "reason" => reason).increment(1);
        if reason == "wrongpass" {
            counter!(AUTH_FAILURES).increment(1);
        }
    }
}

/// A wrong password came over HTTP.
pub(crate) fn note_auth_failure() {
    counter!(AUTH_FAILURES).increment(1);
}

/// A connection is closed, for what came on it was no RESP.
pub(crate) fn note_protocol_error() {
    counter!(PROTOCOL_ERRORS).increment(1);
}

/// The configuration was read, or could not be.
pub(crate) fn note_reload(succeeded: bool) {
    gauge!(RELOADED).set(f64::from(u8::from(succeeded)));
    if succeeded {
        gauge!(RELOADED_AT).set(clock::since_epoch().as_secs_f64());
    }
}
