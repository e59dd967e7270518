//! Runs against a toy node, right or wrong in one way.

use super::*;
use clap::Parser;
use shoalmq_client::ConnectionError;
use shoalmq_resp::{Decoder, Protocol, encode};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What a toy node does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    /// Answers every third TPUB with NOREPL.
    Refuses,
    /// Forgets every third entry.
    Loses,
    /// Has every third entry twice.
    Repeats,
    /// Gives two entries in the wrong order.
    Swaps,
    /// Gives bodies cut short.
    Cuts,
    /// Marks an entry as late.
    Delays,
    /// Answers TPUB with OK.
    AnswersWrong,
    /// Closes the connection in place of the tenth answer to TPUB.
    Closes,
    /// Cannot flush.
    Keeps,
}

#[derive(Clone, Debug)]
struct Entry {
    id: String,
    channel: Vec<u8>,
    body: Vec<u8>,
    late: bool,
}

#[derive(Debug)]
struct Toy {
    fault: Fault,
    log: Vec<Entry>,
    published: u64,
}

/// A toy node that all its connections share.
#[derive(Clone, Debug)]
struct Shared {
    toy: Arc<Mutex<Toy>>,
    published: Arc<Notify>,
}

impl Toy {
    /// Appends the answer to one command; tells whether the connection goes on. `follows` is what a subscriber has got.
    fn answer(&mut self, words: &[&[u8]], follows: &mut Option<usize>, out: &mut Vec<u8>) -> bool {
        match words {
            [b"AUTH", _] => encode::error(out, b"ERR wrong"),
            [b"INFO", ..] => encode::bulk(out, b"process_id:1\r\n"),
            [b"TLEN", _] => encode::integer(out, i64::try_from(self.log.len()).expect("few")),
            [b"TFLUSH", _, b"BEFORE", b"$"] if self.fault == Fault::Keeps => {
                encode::error(out, b"ERR no");
            }
            [b"TFLUSH", _, b"BEFORE", b"$"] => {
                let went = std::mem::take(&mut self.log).len();
                encode::integer(out, i64::try_from(went).expect("few"));
            }
            [b"TPUB", channel, body, ..] => return self.publish(channel, body, out),
            [b"TSUB", b"FROM", b"$", ..] => {
                *follows = Some(self.log.len());
                encode::array(out, 3);
                encode::bulk(out, b"tsubscribe");
                encode::integer(out, 1);
                encode::bulk(out, b"0");
            }
            [b"TUNSUB"] => {
                *follows = None;
                encode::array(out, 1);
                encode::bulk(out, b"tunsubscribe");
            }
            [b"TREAD", b"FROM", cursor, b"COUNT", count, ..] => self.page(cursor, count, out),
            _ => encode::error(out, b"ERR unknown command"),
        }
        true
    }

    fn publish(&mut self, channel: &[u8], body: &[u8], out: &mut Vec<u8>) -> bool {
        self.published += 1;
        let third = self.published.is_multiple_of(3);
        let id = format!("{}-7", self.published);
        match self.fault {
            Fault::Refuses if third => {
                encode::error(out, b"NOREPL too few");
                return true;
            }
            Fault::AnswersWrong => encode::simple(out, b"OK"),
            Fault::Closes if self.published == 10 => return false,
            _ => encode::bulk(out, id.as_bytes()),
        }
        let cut = usize::from(self.fault == Fault::Cuts);
        let entry = Entry {
            id,
            channel: channel.to_vec(),
            body: body[cut..].to_vec(),
            late: third && self.fault == Fault::Delays,
        };
        match self.fault {
            Fault::Loses if third => {}
            Fault::Repeats if third => self.log.extend([entry.clone(), entry]),
            Fault::Swaps if third => self.log.insert(self.log.len() - 1, entry),
            _ => self.log.push(entry),
        }
        true
    }

    fn page(&self, cursor: &[u8], count: &[u8], out: &mut Vec<u8>) {
        let number = |digits| {
            std::str::from_utf8(digits)
                .expect("digits")
                .parse::<usize>()
        };
        let from = number(cursor).expect("a cursor");
        let to = self.log.len().min(from + number(count).expect("a count"));
        encode::array(out, 2);
        encode::bulk(out, to.to_string().as_bytes());
        encode::array(out, to - from);
        for entry in &self.log[from..to] {
            encode::array(out, 3 + usize::from(entry.late));
            encode::bulk(out, entry.id.as_bytes());
            encode::bulk(out, &entry.channel);
            encode::bulk(out, &entry.body);
            if entry.late {
                encode::bulk(out, b"late");
            }
        }
    }

    /// Appends what a subscriber has not got.
    fn push(&self, follows: &mut Option<usize>, out: &mut Vec<u8>) {
        let Some(from) = follows else { return };
        for entry in self.log.get(*from..).unwrap_or_default() {
            encode::array(out, 6 + usize::from(entry.late));
            encode::bulk(out, b"tmessage");
            encode::bulk(out, b"pattern");
            encode::bulk(out, &entry.channel);
            encode::bulk(out, entry.id.as_bytes());
            encode::nil_bulk(out, Protocol::Resp2);
            encode::bulk(out, &entry.body);
            if entry.late {
                encode::bulk(out, b"late");
            }
        }
        *from = self.log.len();
    }
}

impl Shared {
    /// Serves one client.
    async fn serve(self, mut stream: TcpStream) {
        stream.set_nodelay(true).expect("an open socket");
        let (mut decoder, mut input, mut out) = (Decoder::new(), Vec::new(), Vec::new());
        let mut follows = None;
        loop {
            let published = self.published.notified();
            self.toy
                .lock()
                .expect("no panic")
                .push(&mut follows, &mut out);
            if stream.write_all(&out).await.is_err() {
                return;
            }
            out.clear();
            tokio::select! {
                () = published => continue,
                count = stream.read_buf(&mut input) => match count {
                    Ok(count) if count > 0 => {}
                    _ => return,
                },
            }
            let batch = decoder.decode(&input);
            for index in 0..batch.commands {
                let mut words = Vec::new();
                decoder.args(index, &input, &mut words);
                let mut toy = self.toy.lock().expect("no panic");
                if !toy.answer(&words, &mut follows, &mut out) {
                    return;
                }
            }
            input.drain(..batch.consumed);
            self.published.notify_waiters();
        }
    }
}

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    args: TopicsArgs,
}

/// A run that has ended: how, what it told, and the node it ran against.
struct Run {
    result: Result<bool, BenchError>,
    reports: Vec<TopicReport>,
    toy: Shared,
}

impl Run {
    /// Runs with these flags against a new toy node that has `log`.
    async fn on(fault: Fault, log: Vec<Entry>, flags: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket").port();
        let shared = Shared {
            toy: Arc::new(Mutex::new(Toy {
                fault,
                log,
                published: 0,
            })),
            published: Arc::new(Notify::new()),
        };
        let toy = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(toy.clone().serve(stream));
            }
        });
        let flags = format!("bench -p {port} -c 4 -n 600 {flags}");
        let flags = flags.replace("PORT", &port.to_string());
        let args = CommandLine::try_parse_from(flags.split(' ').filter(|flag| !flag.is_empty()));
        let mut reports = Vec::new();
        let mut keep = |report: &TopicReport, _| reports.push(report.clone());
        let result = measure(args.expect("valid flags").args, &mut keep).await;
        Self {
            result,
            reports,
            toy: shared,
        }
    }

    fn left(&self) -> usize {
        self.toy.toy.lock().expect("no panic").log.len()
    }
}

/// Runs with these flags; the first error of the last report. Nothing may be left.
async fn fault(fault: Fault, flags: &str) -> String {
    let run = Run::on(fault, Vec::new(), flags).await;
    assert!(
        !run.result.as_ref().expect("it runs"),
        "a run with errors is not good"
    );
    assert_eq!(run.left(), 0, "{flags}: a run flushes what it published");
    let last = run.reports.last().expect("a report");
    last.first_error.clone().expect("an error")
}

#[tokio::test]
async fn every_entry_is_published_and_read() {
    for (flags, counts) in [
        ("", &[600, 600, 1200][..]),
        ("--phases live,replay -P 1 --readers 3", &[1800, 1800]),
        (
            "--phases publish,replay,publish,replay --page 7",
            &[600, 600, 600, 1200],
        ),
        (
            "--channels 7 --size 32 -n 999 -c 1 --replicate 1",
            &[999, 999, 1998],
        ),
        ("--phases publish -n 1", &[1]),
        (
            "--phases live -n 50 --rate 5000 --read-at localhost:PORT",
            &[50],
        ),
        ("--channel a*b[c]?", &[600, 600, 1200]),
    ] {
        let run = Run::on(Fault::None, Vec::new(), flags).await;
        let reports = &run.reports;
        assert!(
            matches!(run.result, Ok(true)),
            "{flags}: {:?} {reports:?}",
            run.result
        );
        assert_eq!(run.left(), 0, "{flags}: a run flushes what it published");
        let entries: Vec<_> = reports.iter().map(|report| report.entries).collect();
        assert_eq!(entries, counts, "{flags}");
        for report in reports {
            assert_eq!(report.errors, 0);
            let latency = report.latency;
            assert!(
                0.0 < latency.p50_ms && latency.p50_ms <= latency.p99_ms,
                "{report:?}"
            );
            assert!(
                latency.max_ms <= report.seconds * 1010.0,
                "{flags}: {report:?}"
            );
            assert!(report.entries_per_second > 0.0, "{report:?}");
            let json = serde_json::to_value(report).expect("plain data");
            assert_eq!(json["phase"], report.phase.name());
        }
    }
}

#[tokio::test]
async fn a_rate_is_kept() {
    let run = Run::on(
        Fault::None,
        Vec::new(),
        "--phases live -n 100 -P 1 --rate 1000",
    )
    .await;
    assert!(matches!(run.result, Ok(true)), "{:?}", run.reports);
    assert!(run.reports[0].seconds >= 0.099, "{:?}", run.reports);
}

#[tokio::test]
async fn wrong_answers_fail_the_run() {
    assert_eq!(
        fault(Fault::Refuses, "--phases publish").await,
        "TPUB: NOREPL too few"
    );
    let wrong = fault(Fault::AnswersWrong, "--phases publish").await;
    assert_eq!(wrong, "TPUB: unexpected reply OK");
    let closed = fault(Fault::Closes, "--phases publish -c 1").await;
    assert!(
        closed.contains("closed") || closed.contains("lost"),
        "{closed}"
    );
}

#[tokio::test]
async fn refused_entries_do_not_hold_up_the_rest() {
    let run = Run::on(Fault::Refuses, Vec::new(), "--readers 2").await;
    assert!(matches!(run.result, Ok(false)));
    let told: Vec<_> = run
        .reports
        .iter()
        .map(|report| (report.entries, report.errors))
        .collect();
    assert_eq!(told, [(400, 200), (800, 200), (1600, 0)]);
}

#[tokio::test]
async fn entries_that_come_wrongly_fail_the_run() {
    for (wrong, said) in [
        (Fault::Loses, "entries are missing"),
        (Fault::Repeats, "came twice"),
        (Fault::Swaps, "came out of order"),
        (Fault::Cuts, "is not of this run"),
        (Fault::Delays, "an entry came late"),
    ] {
        for phases in ["live", "publish,replay"] {
            let error = fault(wrong, &format!("--phases {phases} -c 1")).await;
            assert!(error.contains(said), "{phases}: {error}");
        }
    }
}

#[tokio::test]
async fn what_cannot_start_is_refused() {
    let run = Run::on(Fault::None, Vec::new(), "-a wrong").await;
    assert!(matches!(
        run.result,
        Err(BenchError::Client(ConnectionError::Refused(_)))
    ));
    for (flags, said) in [
        ("--size 31", "--size"),
        (
            "--phases replay",
            "put publish or live before it in --phases",
        ),
        ("--server-pid 4294967295", "--server-pid"),
    ] {
        let run = Run::on(Fault::None, Vec::new(), flags).await;
        let error = run.result.expect_err("it cannot run").to_string();
        assert!(error.contains(said), "{error}");
    }
    for flags in [
        "--page 0",
        "--page 10001",
        "--channel=",
        "--read-at host",
        "--read-at :1",
    ] {
        let words = ["bench"].into_iter().chain(flags.split(' '));
        assert!(CommandLine::try_parse_from(words).is_err(), "{flags}");
    }
}

#[tokio::test]
async fn channels_of_others_are_left_alone() {
    let entry = Entry {
        id: "1-1".to_owned(),
        channel: b"shoalmq-bench.0".to_vec(),
        body: Vec::new(),
        late: false,
    };
    let run = Run::on(Fault::None, vec![entry], "").await;
    let error = run
        .result
        .as_ref()
        .expect_err("the channel is not empty")
        .to_string();
    assert!(
        error.starts_with("channels shoalmq-bench.* hold 1 entries"),
        "{error}"
    );
    assert!(error.contains("--channel"), "{error}");
    assert_eq!(run.left(), 1);
}

#[tokio::test]
async fn a_run_whose_entries_stay_is_not_good() {
    let run = Run::on(Fault::Keeps, Vec::new(), "--phases publish").await;
    assert!(run.reports[0].is_good() && matches!(run.result, Ok(false)));
}

#[test]
fn a_process_that_spends_time_shows_in_the_report() {
    let args = CommandLine::try_parse_from(["bench"]).expect("valid").args;
    let mut tally = crate::bench::tally::Tally::new();
    tally.done = 500_000;
    let second = std::time::Duration::from_secs(1);
    let report = TopicReport::new(&args, TopicPhase::Live, tally, 2 * second, Some(second));
    assert_eq!(report.server_cpu_seconds_per_million, Some(2.0));
    let text = report.text();
    assert!(
        text.contains("250000 entries/s") && text.contains("server 2.00 CPU s per million"),
        "{text}"
    );
}
