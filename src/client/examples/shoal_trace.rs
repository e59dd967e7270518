//! One trace over a producer, the queue and a worker: W3C trace context travels in META of the job.
//!
//! ```text
//! cargo run -p shoalmq-client --features opentelemetry --example shoal_trace 127.0.0.1:7711
//! ```

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use shoalmq_client::{HandlerError, Job, Shoal};
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Debug, Serialize, Deserialize)]
struct Order {
    number: u32,
}

impl Job for Order {
    const QUEUE: &'static str = "traced-orders";
}

async fn pack(_: Order) {
    tokio::time::sleep(Duration::from_millis(20))
        .instrument(tracing::info_span!("pack"))
        .await;
}

#[tokio::main]
async fn main() -> Result<(), HandlerError> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shoal_trace"));
    tracing_subscriber::registry().with(layer).init();

    let address = std::env::args().nth(1);
    let shoal = Shoal::connect([address.unwrap_or_else(|| "127.0.0.1:7711".to_owned())]).await?;
    async {
        shoal.push(&Order { number: 7 }).await?;
        Ok::<_, HandlerError>(())
    }
    .instrument(tracing::info_span!("take the order"))
    .await?;

    // It waits in its queue for a while.
    let worker = shoal.worker().job(pack);
    let counts = worker.counts();
    let one = async {
        while counts.done() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    worker.run_until(one).await?;

    let mut spans = spans.get_finished_spans()?;
    spans.sort_by_key(|span| span.start_time);
    let first = spans.first().ok_or("there is no span")?.clone();
    for span in &spans {
        let since = span.start_time.duration_since(first.start_time)?;
        let took = span.end_time.duration_since(span.start_time)?;
        println!(
            "{:>9.3} ms {:>9.3} ms  trace {} span {} parent {}  {}",
            since.as_secs_f64() * 1000.0,
            took.as_secs_f64() * 1000.0,
            span.span_context.trace_id(),
            span.span_context.span_id(),
            span.parent_span_id,
            span.name,
        );
    }
    let job = spans
        .iter()
        .find(|span| span.name == "job")
        .ok_or("no job was traced")?;
    let queued = job.start_time.duration_since(first.end_time)?;
    println!("in the queue for {:.3} ms", queued.as_secs_f64() * 1000.0);
    let is_one = spans
        .iter()
        .all(|span| span.span_context.trace_id() == first.span_context.trace_id());
    assert!(is_one && spans.len() == 3, "one trace with three spans");
    Ok(())
}
