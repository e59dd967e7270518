//! Workers against real nodes: jobs are done, failures go where they should, and nothing but a stop or a fatal error ends a worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shoalmq_client::{
    Add, Error, Fail, HandlerError, Job, JobCx, JobId, Meta, Options, QueueOptions, Report, Shoal,
    State, Worker,
};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::{Mail, address, kill_restart_and_stall, push, run, run_with_node, runtime};
use crate::fixture::{Launch, Node};

/// A worker that runs, and what stops it.
pub(super) struct Running {
    stop: oneshot::Sender<()>,
    ends: JoinHandle<Result<Report, Error>>,
}

impl Running {
    pub(super) fn start<S: Clone + Send + Sync + 'static>(worker: Worker<S>) -> Self {
        let (stop, told) = oneshot::channel();
        let signal = async {
            let _ = told.await;
        };
        let ends = tokio::spawn(worker.run_until(signal));
        Running { stop, ends }
    }

    pub(super) async fn stop(self) -> Report {
        self.stop.send(()).expect("it runs");
        let report = self.ends.await.expect("no panic");
        report.expect("nothing but the stop ended it")
    }
}

/// Waits until it is so.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    while !holds().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn quick(_: Mail) {}

#[test]
fn a_handler_gets_what_it_asks_for() {
    #[derive(Clone)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    async fn note(mail: Mail, State(seen): State<Seen>, job: JobCx, id: JobId, meta: Meta) {
        assert_eq!((job.id(), job.queue()), (id, &b"mails"[..]));
        let from = meta.get("from").expect("it is sent along");
        let line = format!(
            "{} {} {}",
            mail.number,
            job.deliveries(),
            String::from_utf8_lossy(from)
        );
        seen.0.lock().expect("no panic").push(line);
    }

    run_with_node(async |_, shoal| {
        let seen = Seen(Arc::default());
        let worker = Worker::with_state(&shoal, seen.clone()).on("mails", note);
        let counts = worker.counts();
        let worker = Running::start(worker);
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 7 }).expect("it is plain");
        add.meta("from", "ada").await.expect("it is added");
        until(async || counts.done() == 1).await;
        let report = worker.stop().await;
        assert_eq!(report.counts.done(), 1);
        assert!(report.still_running.is_empty());
        assert_eq!(*seen.0.lock().expect("no panic"), ["7 1 ada"]);
        let known = shoal.raw(&["INFO", "jobs"], true).await.expect("figures");
        assert!(
            known.as_str().expect("text").contains("registered_jobs:0"),
            "{known:?}"
        );
    });
}

#[test]
fn failures_are_tried_again_or_buried_with_their_text() {
    #[derive(Serialize, Deserialize)]
    struct Charge {
        order: u32,
    }

    impl Job for Charge {
        const QUEUE: &'static str = "charges";

        fn options<'a>(&self, add: Add<'a>) -> Add<'a> {
            add.max_deliver(3)
        }
    }

    async fn charge(charge: Charge, job: JobCx) -> Result<(), HandlerError> {
        match charge.order {
            0 => Err(Fail::dead("no such card"))?,
            1 => Err("the bank sleeps")?,
            2 if job.deliveries() == 1 => Err(Fail::retry_in(Duration::from_secs(1), "later"))?,
            3 => panic!("no coins in {}", "the box"),
            _ => Ok(()),
        }
    }

    run_with_node(async |_, shoal| {
        let begun = Instant::now();
        for order in 0..5 {
            shoal.push(&Charge { order }).await.expect("it is added");
        }
        shoal
            .add("charges", "no charge")
            .await
            .expect("it is added");
        let worker = shoal.worker().job(charge);
        let counts = worker.counts();
        let worker = Running::start(worker);
        until(async || counts.done() == 2).await;
        assert!(
            begun.elapsed() >= Duration::from_secs(1),
            "one of them waited"
        );
        until(async || shoal.len("charges.dead").await.expect("a count") == 4).await;
        let report = worker.stop().await;
        // Two at once, and two of three attempts each; and one that was tried again.
        assert_eq!(report.counts.failed(), 2 + 3 + 3 + 1);
        assert_eq!(report.counts.buried(), 2);
        let mut texts = Vec::new();
        for job in shoal.get(["charges.dead"]).count(10).await.expect("jobs") {
            let dead = job.dead.expect("they are dead letters");
            assert_eq!(&dead.from[..], b"charges");
            let reason = String::from_utf8_lossy(&dead.reason).into_owned();
            texts.push((reason, String::from_utf8_lossy(&dead.text).into_owned()));
        }
        texts.sort();
        let texts: Vec<_> = texts
            .iter()
            .map(|(reason, text)| (&reason[..], &text[..]))
            .collect();
        assert_eq!(
            texts[..2],
            [
                ("deliveries", "panicked: no coins in the box"),
                ("deliveries", "the bank sleeps"),
            ]
        );
        assert!(texts[2].1.starts_with("no such card"), "{texts:?}");
        assert!(
            texts[3].1.starts_with("the body is no such message: "),
            "{texts:?}"
        );
    });
}

/// Of one queue one at a time, of the other as many as the worker allows.
#[test]
fn limits_hold_for_each_queue_and_for_the_worker() {
    /// How many run, and how many ran at most.
    type Level = (u32, u32);

    #[derive(Clone, Default)]
    struct Gauge(Arc<Mutex<BTreeMap<Vec<u8>, Level>>>);

    impl Gauge {
        fn change(&self, queue: &[u8], change: impl Fn(&mut Level)) {
            let mut gauge = self.0.lock().expect("no panic");
            change(gauge.entry(queue.to_vec()).or_default());
        }
    }

    async fn work(_: Mail, State(gauge): State<Gauge>, job: JobCx) {
        gauge.change(job.queue(), |(now, most)| {
            *now += 1;
            *most = (*most).max(*now);
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        gauge.change(job.queue(), |(now, _)| *now -= 1);
    }

    run_with_node(async |_, shoal| {
        for queue in ["one", "many"] {
            let producer = shoal.producer(queue);
            for number in 0..40 {
                producer.push(&Mail { number }).await.expect("it is added");
            }
        }
        let gauge = Gauge::default();
        let one = QueueOptions::new().concurrency(1);
        let worker = Worker::with_state(&shoal, gauge.clone())
            .on_with("one", one, work)
            .on("many", work)
            .concurrency(4);
        let counts = worker.counts();
        let worker = Running::start(worker);
        until(async || counts.done() == 80).await;
        worker.stop().await;
        let gauge = gauge.0.lock().expect("no panic");
        assert_eq!(gauge[&b"one"[..]], (0, 1));
        let (_, many) = gauge[&b"many"[..]];
        assert!((3..=4).contains(&many), "{many}");
    });
}

#[test]
fn weights_and_order_say_what_is_taken_first() {
    #[derive(Clone, Default)]
    struct Taken(Arc<Mutex<Vec<Vec<u8>>>>);

    async fn note(_: Mail, State(taken): State<Taken>, job: JobCx) {
        taken.0.lock().expect("no panic").push(job.queue().to_vec());
    }

    async fn taken(
        shoal: &Shoal,
        set: impl FnOnce(Worker<Taken>) -> Worker<Taken>,
    ) -> Vec<Vec<u8>> {
        for queue in ["small", "large"] {
            let producer = shoal.producer(queue);
            for number in 0..40 {
                producer.push(&Mail { number }).await.expect("it is added");
            }
        }
        let taken = Taken::default();
        let worker = set(Worker::with_state(shoal, taken.clone()).concurrency(4));
        let counts = worker.counts();
        let worker = Running::start(worker);
        until(async || counts.done() == 80).await;
        worker.stop().await;
        std::mem::take(&mut *taken.0.lock().expect("no panic"))
    }

    run_with_node(async |_, shoal| {
        let three = QueueOptions::new().weight(3);
        let by_weight = taken(&shoal, |worker| {
            worker.on("small", note).on_with("large", three, note)
        })
        .await;
        let large = by_weight[..40]
            .iter()
            .filter(|queue| *queue == b"large")
            .count();
        assert!(
            (24..=36).contains(&large),
            "{large} of 40, and 30 by weight"
        );
        let in_order = taken(&shoal, |worker| {
            worker.on("large", note).on("small", note).in_order()
        })
        .await;
        assert!(in_order[..40].iter().all(|queue| queue == b"large"));
    });
}

#[test]
fn blocking_handlers_do_not_hold_up_others() {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "handlers take messages by value"
    )]
    fn block(mail: Mail, State(release): State<Arc<(Mutex<u32>, std::sync::Condvar)>>) {
        let mut released = release.0.lock().expect("no panic");
        while *released <= mail.number {
            released = release.1.wait(released).expect("no panic");
        }
    }

    run_with_node(async |_, shoal| {
        let release = Arc::new((Mutex::new(0), std::sync::Condvar::new()));
        let worker = Worker::with_state(&shoal, release.clone())
            .blocking("slow", block)
            .on("mails", quick);
        let counts = worker.counts();
        let worker = Running::start(worker);
        // More of them than the runtime has threads.
        for number in 0..5 {
            let pushed = shoal.producer("slow").push(&Mail { number }).await;
            pushed.expect("it is added");
        }
        push(&shoal, 1).await;
        until(async || counts.done() == 1).await;
        *release.0.lock().expect("no panic") = 5;
        release.1.notify_all();
        until(async || counts.done() == 6).await;
        worker.stop().await;
    });
}

#[test]
fn a_stop_ends_in_time_and_gives_back_what_is_held() {
    async fn stay(mail: Mail, job: JobCx) {
        if mail.number > 0 {
            std::future::pending::<()>().await;
        }
        job.stopping().await;
    }

    run_with_node(async |_, shoal| {
        for number in 0..3 {
            push(&shoal, number).await;
        }
        let worker = shoal.worker().on("mails", stay).concurrency(2);
        let worker = worker.shutdown_timeout(Duration::from_secs(1));
        let counts = worker.counts();
        let worker = Running::start(worker);
        until(async || shoal.len("mails").await.expect("a count") == 1).await;
        let told = Instant::now();
        let report = worker.stop().await;
        assert!(
            told.elapsed() < Duration::from_millis(1500),
            "{:?}",
            told.elapsed()
        );
        assert_eq!((counts.done(), report.still_running.len()), (1, 1));
        assert_eq!(
            shoal.len("mails").await.expect("a count"),
            2,
            "both are back"
        );
        let clients = shoal.raw(&["CLIENT", "LIST"], true).await.expect("a list");
        assert_eq!(
            clients.as_str().expect("text").lines().count(),
            1,
            "its connection is closed"
        );
    });
}

#[test]
fn results_and_progress_reach_those_who_wait() {
    #[derive(Clone, Default)]
    struct Gate(Arc<Notify>);

    async fn count(mail: Mail, State(gate): State<Gate>, job: JobCx) -> Result<(), HandlerError> {
        job.progress("half").await?;
        gate.0.notified().await;
        job.set_result(&(mail.number + 1))?;
        Ok(())
    }

    run_with_node(async |_, shoal| {
        let gate = Gate::default();
        let worker = Running::start(Worker::with_state(&shoal, gate.clone()).on("mails", count));
        let producer = shoal.producer("mails");
        let add = producer.add(&Mail { number: 41 }).expect("it is plain");
        let added = add.keep(Duration::from_mins(1)).await;
        let id = added.expect("it is added").id;
        let progress = async || {
            let waited = shoal.wait([id]).timeout(Duration::from_millis(1)).await;
            format!("{:?}", waited.expect("an answer"))
        };
        until(async || progress().await.contains("half")).await;
        gate.0.notify_one();
        let ends = shoal.wait([id]).await.expect("an answer");
        let [(_, shoalmq_client::Ending::Acked(Some(result)))] = &ends[..] else {
            panic!("{ends:?}")
        };
        let result: u32 =
            shoalmq_client::MessageDecodable::decode(result.clone()).expect("a number");
        assert_eq!(result, 42);
        worker.stop().await;
    });
}

#[test]
fn a_wrong_password_ends_a_worker_and_names_itself() {
    let node = Launch::new().password("right").start();
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "right\n").expect("a file");
        let options = Options::new([address(&node)]).patience(Duration::from_millis(500));
        let shoal = Shoal::connect_with(options.password_file(&file)).await;
        let shoal = shoal.expect("it is let in");
        let worker = shoal.worker().on("mails", quick);
        std::fs::write(&file, "wrong\n").expect("a file");
        let error = worker.run_until(std::future::pending()).await;
        assert!(matches!(error, Err(Error::Denied(_))), "{error:?}");
    });
}

/// Its connections are gone, the password is another one, and the file has it a little later.
#[test]
fn a_worker_goes_on_through_a_change_of_password() {
    let node = Launch::new().password("old").start();
    run(async {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        std::fs::write(&file, "old").expect("a file");
        let shoal = Shoal::connect_with(Options::new([address(&node)]).password_file(&file)).await;
        let shoal = shoal.expect("it is let in");
        let worker = shoal.worker().on("mails", quick);
        let counts = worker.counts();
        let worker = Running::start(worker);
        push(&shoal, 1).await;
        until(async || counts.done() == 1).await;
        let set = shoal
            .raw(&["CONFIG", "SET", "requirepass", "new"], true)
            .await;
        set.expect("it is set");
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"];
        let killed = shoal.raw(&kill, false).await;
        assert!(matches!(killed, Ok(_) | Err(Error::Unknown)), "{killed:?}");
        let pushed = tokio::spawn({
            let producer = shoal.producer("mails");
            async move {
                let add = producer.add(&Mail { number: 2 }).expect("it is plain");
                add.unique_per_call().await
            }
        });
        // Long enough to be refused at least once.
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::write(&file, "new").expect("a file");
        let pushed = pushed.await.expect("no panic");
        pushed.expect("it is added");
        until(async || counts.done() == 2).await;
        worker.stop().await;
    });
}

/// Kills and clean restarts in turns, and one stall. Each job is done; how many came twice is told.
#[test]
fn a_worker_goes_on_through_kills_restarts_and_a_stall() {
    const JOBS: u32 = 2000;
    #[derive(Clone)]
    struct Done(Arc<Vec<AtomicU32>>);

    async fn note(mail: Mail, State(done): State<Done>) {
        done.0[mail.number as usize].fetch_add(1, Ordering::Relaxed);
    }

    let mut node = Node::with("--appendonly yes --appendfsync always");
    let runtime = runtime();
    let options = Options::new([address(&node)]).answer_timeout(Duration::from_millis(500));
    let shoal = runtime.block_on(Shoal::connect_with(options));
    let shoal = shoal.expect("the node is there");
    let done = Done(Arc::new((0..JOBS).map(|_| AtomicU32::new(0)).collect()));
    let worker = Worker::with_state(&shoal, done.clone()).on("mails", note);
    let counts = worker.counts();
    let worker = runtime.block_on(async { Running::start(worker) });
    let pushes = runtime.spawn({
        let producer = shoal.producer("mails");
        async move {
            for number in 0..JOBS {
                let add = producer.add(&Mail { number }).expect("it is plain");
                let add = add.retry(Duration::from_secs(1)).unique_per_call();
                add.await.expect("it is added, sooner or later");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    kill_restart_and_stall(&mut node);
    run(async {
        pushes.await.expect("no panic");
        let missing = || {
            done.0
                .iter()
                .filter(|times| times.load(Ordering::Relaxed) == 0)
                .count()
        };
        until(async || missing() == 0).await;
        until(async || counts.done() + counts.unsettled() >= JOBS.into()).await;
        let report = worker.stop().await;
        let twice = done
            .0
            .iter()
            .filter(|times| times.load(Ordering::Relaxed) > 1)
            .count();
        println!("{JOBS} jobs done, {twice} of them more than once: {report:?}");
    });
}
