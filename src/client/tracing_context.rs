//! W3C trace context: from the span of a producer to that of a handler, in META of the job.
//! <https://www.w3.org/TR/trace-context/>

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::verbs::Meta;

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

/// What to send along from the span that is current, if it is part of a trace.
pub(crate) fn outgoing() -> Vec<(&'static str, String)> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return Vec::new();
    }
    let parent = format!(
        "00-{}-{}-{:02x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8()
    );
    let mut meta = vec![(PARENT, parent)];
    let state = span.trace_state().header();
    if !state.is_empty() {
        meta.push((STATE, state));
    }
    meta
}

/// Makes the span of a producer the parent of the span of a handler.
pub(crate) fn adopt(span: &Span, meta: &Meta) {
    if let Some(parent) = incoming(meta) {
        let context = opentelemetry::Context::new().with_remote_span_context(parent);
        // Without a layer for OpenTelemetry there is nothing to set.
        let _ = span.set_parent(context);
    }
}

fn incoming(meta: &Meta) -> Option<SpanContext> {
    let text = |name| std::str::from_utf8(meta.get(name)?).ok();
    let mut parts = text(PARENT)?.split('-');
    let (_version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let state = text(STATE).and_then(|state| state.parse::<TraceState>().ok());
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        state.unwrap_or_default(),
    );
    context.is_valid().then_some(context)
}
