//! Runs against a toy node, right or wrong in one way.

use super::*;
use clap::Parser;
use shoalmq_resp::{Decoder, Protocol, encode};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a toy node does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// Answers every third ADDJOB with NOREPL.
    Refuses,
    /// Forgets every third job.
    Loses,
    /// Delivers bodies cut short.
    Cuts,
    /// Knows none of the jobs that are acknowledged.
    ForgetsAcks,
    /// Answers ADDJOB with OK.
    AnswersWrong,
    /// Closes the connection in place of the tenth answer to ADDJOB.
    Closes,
}

/// A job: id and body.
type Job = (String, Vec<u8>);

#[derive(Debug)]
struct Toy {
    fault: Fault,
    queues: HashMap<Vec<u8>, VecDeque<Job>>,
    added: u64,
}

impl Toy {
    /// Answers one command; `None` to wait, `Some(false)` to close.
    fn answer(&mut self, words: &[&[u8]], out: &mut Vec<u8>) -> Option<bool> {
        match words {
            [b"AUTH", password] => {
                let right = *password == b"secret";
                if right {
                    encode::simple(out, b"OK");
                } else {
                    encode::error(out, b"ERR wrong");
                }
            }
            [b"INFO", ..] => encode::bulk(out, b"process_id:1\r\n"),
            [b"QLEN", queue] => {
                let length = self.queues.get(*queue).map_or(0, VecDeque::len);
                encode::integer(out, i64::try_from(length).expect("few"));
            }
            [b"QSTAT", queue, b"FULL", b"GLOBAL"] => self.figures(queue, out),
            [b"JSCAN", b"0", .., b"GLOBAL"] => self.scan(words, out),
            [b"ADDJOB", queue, body, ..] => return Some(self.add(queue, body, out)),
            [b"ACKJOB", ids @ ..] => {
                for jobs in self.queues.values_mut() {
                    jobs.retain(|(id, _)| !ids.contains(&id.as_bytes()));
                }
                let known = if self.fault == Fault::ForgetsAcks {
                    0
                } else {
                    ids.len()
                };
                encode::integer(out, i64::try_from(known).expect("few"));
            }
            [b"GETJOB", rest @ ..] => return self.deliver(rest, out).then_some(true),
            _ => encode::error(out, b"ERR unknown command"),
        }
        Some(true)
    }

    /// Answers QSTAT FULL GLOBAL: of a queue that is there, how long it is.
    fn figures(&self, queue: &[u8], out: &mut Vec<u8>) {
        encode::array(out, 2);
        match self.queues.get(queue) {
            None => encode::nil_array(out, Protocol::Resp2),
            Some(jobs) => {
                encode::array(out, 10);
                let counts = [jobs.len(), 0, 0, 0, 0];
                let names = ["len", "active", "delayed", "copies", "restored"];
                for (name, count) in names.into_iter().zip(counts) {
                    encode::bulk(out, name.as_bytes());
                    encode::integer(out, i64::try_from(count).expect("few"));
                }
            }
        }
        encode::array(out, 0);
    }

    /// Answers JSCAN GLOBAL: all ids of the queue that it names.
    fn scan(&self, words: &[&[u8]], out: &mut Vec<u8>) {
        let queue = words.iter().position(|word| *word == b"QUEUE");
        let queue = words[queue.expect("QUEUE is given") + 1];
        let jobs: Vec<&Job> = self.queues.get(queue).into_iter().flatten().collect();
        encode::array(out, 2);
        encode::array(out, 2);
        encode::bulk(out, b"0");
        encode::array(out, jobs.len());
        for (id, _) in jobs {
            encode::simple(out, id.as_bytes());
        }
        encode::array(out, 0);
    }

    fn add(&mut self, queue: &[u8], body: &[u8], out: &mut Vec<u8>) -> bool {
        self.added += 1;
        let third = self.added.is_multiple_of(3);
        match self.fault {
            Fault::Refuses if third => encode::error(out, b"NOREPL Not enough reachable nodes"),
            Fault::AnswersWrong => encode::simple(out, b"OK"),
            Fault::Closes if self.added == 10 => return false,
            fault => {
                let id = format!("D-{:08x}-{:024}-05a1", 7, self.added);
                encode::simple(out, id.as_bytes());
                if !(third && fault == Fault::Loses) {
                    let queue = self.queues.entry(queue.to_vec()).or_default();
                    queue.push_back((id, body.to_vec()));
                }
            }
        }
        true
    }

    fn deliver(&mut self, words: &[&[u8]], out: &mut Vec<u8>) -> bool {
        let from = words
            .iter()
            .position(|word| *word == b"FROM")
            .expect("FROM is given");
        let count = words
            .iter()
            .position(|word| *word == b"COUNT")
            .expect("COUNT is given");
        let count = std::str::from_utf8(words[count + 1]).expect("digits");
        let count: usize = count.parse().expect("a number");
        let mut jobs = Vec::new();
        for name in &words[from + 1..] {
            let queue = self.queues.entry(name.to_vec()).or_default();
            let room = queue.len().min(count - jobs.len());
            jobs.extend(queue.drain(..room).map(|job| (*name, job)));
        }
        if jobs.is_empty() {
            return false;
        }
        encode::array(out, jobs.len());
        for (queue, (id, body)) in jobs {
            encode::array(out, 3);
            encode::bulk(out, queue);
            encode::bulk(out, id.as_bytes());
            let cut = usize::from(self.fault == Fault::Cuts);
            encode::bulk(out, &body[cut..]);
        }
        true
    }
}

/// A toy node that all its connections share.
#[derive(Clone)]
struct Shared {
    toy: Arc<Mutex<Toy>>,
    added: Arc<Notify>,
}

impl Shared {
    fn new(fault: Fault, queues: HashMap<Vec<u8>, VecDeque<Job>>) -> Self {
        let toy = Toy {
            fault,
            queues,
            added: 0,
        };
        Self {
            toy: Arc::new(Mutex::new(toy)),
            added: Arc::new(Notify::new()),
        }
    }

    /// Serves one client. A GETJOB waits for at most 20 ms.
    async fn serve(self, mut stream: TcpStream) {
        stream.set_nodelay(true).expect("an open socket");
        let (mut decoder, mut input, mut out) = (Decoder::new(), Vec::new(), Vec::new());
        while stream
            .read_buf(&mut input)
            .await
            .is_ok_and(|count| count > 0)
        {
            let batch = decoder.decode(&input);
            for index in 0..batch.commands {
                let mut words = Vec::new();
                decoder.args(index, &input, &mut words);
                if !self.answer(&words, &mut out).await {
                    return;
                }
            }
            input.drain(..batch.consumed);
            if stream.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
        }
    }

    /// Answers one command, when it can; tells whether to go on.
    async fn answer(&self, words: &[&[u8]], out: &mut Vec<u8>) -> bool {
        let end = tokio::time::Instant::now() + Duration::from_millis(20);
        loop {
            let added = self.added.notified();
            let answered = self.toy.lock().expect("no panic").answer(words, out);
            if words[0] == b"ADDJOB" {
                self.added.notify_waiters();
            }
            if let Some(go_on) = answered {
                return go_on;
            }
            let waits = words[1] != b"NOHANG";
            if !waits || tokio::time::timeout_at(end, added).await.is_err() {
                encode::nil_array(out, Protocol::Resp2);
                return true;
            }
        }
    }
}

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    args: Args,
}

/// Runs with these flags against a new toy node, on which nothing may be left.
async fn bench(fault: Fault, flags: &str) -> (Result<bool, BenchError>, Vec<Report>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let shared = Shared::new(fault, HashMap::new());
    let toy = shared.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(toy.clone().serve(stream));
        }
    });
    let flags = format!("bench -p {port} -c 4 -n 2000 {flags}");
    let args = CommandLine::try_parse_from(flags.split(' ').filter(|flag| !flag.is_empty()));
    let mut reports = Vec::new();
    let mut keep = |report: &Report, _| reports.push(report.clone());
    let result = measure(args.expect("valid flags").args, &mut keep).await;
    let toy = shared.toy.lock().expect("no panic");
    let left: usize = toy.queues.values().map(VecDeque::len).sum();
    assert_eq!(left, 0, "{flags}: a run deletes what it added");
    (result, reports)
}

/// Runs with these flags; the first error of the last report.
async fn fault(fault: Fault, flags: &str) -> String {
    let (result, reports) = bench(fault, flags).await;
    assert!(!result.expect("it runs"), "a run with errors is not good");
    let last = reports.last().expect("a report");
    last.first_error.clone().expect("an error")
}

#[tokio::test]
async fn every_job_is_added_taken_and_acknowledged() {
    for flags in [
        "--phases produce,consume,end-to-end",
        "--phases end-to-end,produce,consume -P 1 --count 1 -n 300",
        "--phases end-to-end --queues 7 --size 16 -n 999",
        "--queues 3 -P 7 --count 3 --size 0 -n 1001 -a secret",
        "--queues 9 -c 2 --replicate 1 --retry 60 --async -n 1",
        "--phases produce,produce,consume -c 1 -n 50",
    ] {
        let (result, reports) = bench(Fault::None, flags).await;
        assert!(
            matches!(result, Ok(true)),
            "{flags}: {result:?} {reports:?}"
        );
        for report in &reports {
            assert_eq!(report.errors, 0);
            assert!(report.jobs > 0 && report.jobs_per_second > 0.0);
            let Latency {
                p50_ms,
                p99_ms,
                p999_ms,
                max_ms,
            } = report.latency;
            assert!(
                0.0 < p50_ms && p50_ms <= p99_ms && p99_ms <= p999_ms && p999_ms <= max_ms * 1.001
            );
            assert!(max_ms <= report.seconds * 1010.0, "{flags}: {report:?}");
            let json = serde_json::to_value(report).expect("plain data");
            assert_eq!(json["phase"], report.phase.name());
        }
    }
}

#[tokio::test]
async fn a_report_counts_what_was_done() {
    let (_, reports) = bench(Fault::None, "--phases produce,produce,consume").await;
    let jobs: Vec<_> = reports.iter().map(|report| report.jobs).collect();
    assert_eq!(jobs, [2000, 2000, 4000]);
}

#[tokio::test]
async fn wrong_answers_fail_the_run() {
    let refused = "ADDJOB: NOREPL Not enough reachable nodes";
    assert_eq!(fault(Fault::Refuses, "--phases produce").await, refused);
    assert_eq!(
        fault(Fault::AnswersWrong, "--phases produce").await,
        "ADDJOB: unexpected reply OK"
    );
    let cut = fault(Fault::Cuts, "-n 100").await;
    assert_eq!(cut, "a job of 99 bytes that this run did not add");
    let acks = fault(Fault::ForgetsAcks, "-n 100 -c 1").await;
    assert_eq!(acks, "ACKJOB: unexpected reply Integer(0) to 16 jobs");
}

#[tokio::test]
async fn refused_adds_do_not_hold_up_the_rest() {
    let (result, reports) = bench(Fault::Refuses, "--phases end-to-end -n 300").await;
    assert!(matches!(result, Ok(false)));
    assert_eq!((reports[0].jobs, reports[0].errors), (200, 100));
}

#[tokio::test]
async fn lost_jobs_fail_the_run() {
    assert!(
        fault(Fault::Loses, "")
            .await
            .starts_with("jobs are missing")
    );
    assert!(
        fault(Fault::Loses, "--phases end-to-end -n 300")
            .await
            .starts_with("jobs are missing")
    );
}

#[tokio::test]
async fn a_lost_connection_fails_the_run() {
    let lost = fault(Fault::Closes, "--phases produce -c 1").await;
    assert!(
        lost.contains("closed the connection") || lost.contains("lost"),
        "{lost}"
    );
}

#[tokio::test]
async fn what_cannot_start_is_refused() {
    let (result, _) = bench(Fault::None, "-a wrong").await;
    assert!(matches!(
        result,
        Err(BenchError::Client(ConnectionError::Refused(_)))
    ));
    let (result, _) = bench(Fault::None, "--phases end-to-end --size 15").await;
    assert!(matches!(result, Err(BenchError::Args(_))));
    let (result, _) = bench(Fault::None, "--server-pid 4294967295").await;
    assert!(matches!(result, Err(BenchError::Args(_))));
}

#[tokio::test]
async fn jobs_left_over_are_told() {
    let (result, reports) = bench(Fault::None, "--phases produce,consume,produce -n 10").await;
    assert!(
        matches!(result, Ok(true)) && reports.len() == 3,
        "a producer may come last"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("a bound socket").port();
    let jobs = VecDeque::from([("D-".to_owned(), Vec::new())]);
    let queues = HashMap::from([(b"shoalmq-bench".to_vec(), jobs)]);
    let toy = Shared::new(Fault::None, queues);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        toy.serve(stream).await;
    });
    let args = CommandLine::try_parse_from(["bench", "-p", &port.to_string()])
        .expect("valid")
        .args;
    let error = measure(args, &mut |_, _| ())
        .await
        .expect_err("the queue is not empty");
    assert!(
        error
            .to_string()
            .starts_with("queue shoalmq-bench holds 1 jobs"),
        "{error}"
    );
}

#[test]
fn a_process_that_spends_time_shows_in_the_report() {
    let args = CommandLine::try_parse_from(["bench"]).expect("valid").args;
    let mut tally = tally::Tally::new();
    tally.done = 500_000;
    tally.took(Duration::from_millis(2));
    let cpu = Some(Duration::from_secs(1));
    let report = Report::new(&args, Phase::Produce, tally, Duration::from_secs(2), cpu);
    assert_eq!(report.server_cpu_seconds_per_million, Some(2.0));
    let text = report.text();
    assert!(
        text.contains("250000 jobs/s") && text.contains("server 2.00 CPU s per million"),
        "{text}"
    );
}
