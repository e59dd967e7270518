//! Workers on time that stands still: what would take hours of real time.

use std::future::IntoFuture;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::TestShoal;
use crate::{Ending, Error, Fail, Job, JobCx, Raw};

#[derive(Debug, Serialize, Deserialize)]
struct Charge {
    order: u32,
}

/// With the usual attempts and waits.
impl Job for Charge {
    const QUEUE: &'static str = "charges";
}

async fn shoal() -> TestShoal {
    TestShoal::new().await.expect("tokio is there")
}

#[tokio::test]
async fn the_usual_attempts_take_about_two_hours() {
    async fn fail(_: Charge) -> Result<(), String> {
        Err("the bank sleeps".to_owned())
    }

    let shoal = shoal().await;
    let worker = shoal.worker().job(fail);
    let pushed = shoal.push(&Charge { order: 7 }).await;
    let id = pushed.expect("it is added");
    let minute = Duration::from_mins(1);
    let (mut minutes, mut failed) = (0, 0);
    while shoal.len("charges.dead").await.expect("a count") == 0 {
        let report = shoal.drain(&worker).await.expect("nothing is fatal");
        failed += report.counts.failed();
        shoal.advance(minute);
        minutes += 1;
    }
    assert_eq!(failed, 20);
    assert!((75..180).contains(&minutes), "{minutes} minutes");
    let ending = shoal.ending(id).expect("an answer");
    assert!(
        matches!(&ending, Ending::Dead(letter) if letter.deliveries == 20),
        "{ending:?}"
    );
    let dead = shoal.peek("charges.dead", 10).await.expect("jobs");
    assert_eq!((dead.len(), dead[0].id), (1, id));

    assert_eq!(shoal.redrive("charges.dead").await.expect("a count"), 1);
    let report = shoal.drain(&worker).await.expect("nothing is fatal");
    assert_eq!(report.counts.failed(), 1, "it begins again");
}

#[tokio::test]
async fn a_job_in_hand_elsewhere_does_not_keep_a_drain_from_ending() {
    async fn work(_: Raw) {}

    let shoal = shoal().await;
    let mut other = shoal.consumer::<Raw>("q");
    for body in ["one", "two"] {
        shoal.add("q", body).await.expect("it is added");
    }
    let held = other.next().await.expect("nobody stops it").expect("bytes");
    let worker = shoal.worker().on("q", work);
    let report = shoal.drain(&worker).await.expect("nothing is fatal");
    assert_eq!(report.counts.done(), 1);
    assert!(held.ack().await.expect("it is acknowledged"));
}

#[tokio::test]
async fn delays_and_explanations() {
    async fn work(_: Raw, job: JobCx) -> Result<(), Fail> {
        match job.deliveries() {
            1 => Err(Fail::retry_in(Duration::from_hours(1), "later")),
            _ => Ok(()),
        }
    }

    let shoal = shoal().await;
    let worker = shoal.worker().on("q", work);
    let add = shoal.add("q", "body").delay(Duration::from_mins(10));
    let id = add.await.expect("it is added").id;
    let done = async || {
        let report = shoal.drain(&worker).await.expect("nothing is fatal");
        (report.counts.done(), report.counts.failed())
    };
    assert_eq!(done().await, (0, 0), "it waits");
    let known = shoal.explain(id).await.expect("an answer");
    assert_eq!(known.expect("it is known").state, "delayed");
    let shown = shoal
        .show(id)
        .await
        .expect("an answer")
        .expect("it is here");
    assert_eq!(
        (&shown.queue[..], &shown.body[..]),
        (&b"q"[..], &b"body"[..])
    );
    shoal.advance(Duration::from_mins(11));
    assert_eq!(done().await, (0, 1));
    shoal.advance(Duration::from_mins(59));
    assert_eq!(done().await, (0, 0), "it waits for an hour");
    shoal.advance(Duration::from_mins(2));
    assert_eq!(done().await, (1, 0));
}

#[tokio::test]
async fn a_job_without_a_backoff_does_not_fail_in_a_loop() {
    async fn fail(_: Raw) -> Result<(), String> {
        Err("it rains".to_owned())
    }

    let shoal = shoal().await;
    let worker = shoal.worker().on("q", fail);
    shoal.add("q", "body").await.expect("it is added");
    let mut failed = Vec::new();
    for _ in 0..4 {
        let report = shoal.drain(&worker).await.expect("nothing is fatal");
        failed.push(report.counts.failed());
        shoal.advance(Duration::from_mins(10));
    }
    // At first it comes again at once; that it does so each worker has to learn.
    assert_eq!(failed, [2, 2, 2, 2]);
}

#[tokio::test]
async fn what_has_no_server_is_told() {
    let shoal = shoal().await;
    let info = shoal.raw(&["INFO"], true).await;
    assert!(
        matches!(&info, Err(Error::Refused(text)) if text.contains("TestServer")),
        "{info:?}"
    );
    let idle = shoal.worker().run_until(std::future::pending()).await;
    assert!(matches!(&idle, Err(Error::Refused(text)) if text.contains("without handlers")));
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn a_layer_is_around_the_handlers_named_before() {
    async fn stay(_: Raw) {
        std::future::pending::<()>().await;
    }

    let shoal = shoal().await;
    let timeout = tower::timeout::TimeoutLayer::new(Duration::from_millis(10));
    let worker = shoal.worker().on("q", stay).layer(timeout);
    let id = shoal.add("q", "body").max_deliver(1).await;
    let id = id.expect("it is added").id;
    let report = shoal.drain(&worker).await.expect("nothing is fatal");
    assert_eq!(report.counts.failed(), 1);
    let ending = shoal.ending(id).expect("an answer");
    assert!(
        matches!(&ending, Ending::Dead(letter) if letter.text == "request timed out"),
        "{ending:?}"
    );
}

#[cfg(feature = "opentelemetry")]
#[tokio::test]
async fn a_trace_goes_from_a_producer_to_a_handler() {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
    use tracing::Instrument;
    use tracing_subscriber::layer::SubscriberExt;

    async fn work(_: Raw, job: JobCx) {
        assert!(job.meta().get("traceparent").is_some());
    }

    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone());
    let provider = provider.build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let shoal = shoal().await;
    let added = shoal.add("q", "body").into_future();
    added
        .instrument(tracing::info_span!("add"))
        .await
        .expect("it is added");
    let worker = shoal.worker().on("q", work);
    let report = shoal.drain(&worker).await.expect("nothing is fatal");
    assert_eq!(report.counts.done(), 1);
    let spans = spans.get_finished_spans().expect("spans");
    let of = |name| {
        spans
            .iter()
            .find(|span| span.name == name)
            .expect("it ended")
    };
    assert_eq!(of("job").parent_span_id, of("add").span_context.span_id());
    assert_eq!(
        of("job").span_context.trace_id(),
        of("add").span_context.trace_id()
    );
}
