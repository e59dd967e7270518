//! The long forms of what workers and subscriptions live through:
//! `cargo test --release --test integration -- --ignored --nocapture soaks`. `SOAK_MINUTES` is how long the cluster is soaked, 30 unless
//! said.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use shoalmq_client::{Counts, Error, Item, Options, Shoal, State, Worker};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::worker::{Running, until};
use super::{Mail, address, runtime};
use crate::fixture::Node;

/// How often each job was done.
#[derive(Clone)]
struct Done(Arc<Vec<AtomicU8>>);

impl Done {
    fn new(jobs: usize) -> Self {
        Done(Arc::new((0..jobs).map(|_| AtomicU8::new(0)).collect()))
    }

    fn times(&self, from: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let jobs = self.0[..from].iter();
        jobs.filter(|times| wanted(times.load(Ordering::Relaxed)))
            .count()
    }
}

async fn note(mail: Mail, State(done): State<Done>) {
    done.0[mail.number as usize].fetch_add(1, Ordering::Relaxed);
}

/// Adds jobs at a pace.
struct Load {
    shoal: Shoal,
    /// Jobs a second, at most all of them.
    rate: usize,
    jobs: usize,
    /// On how many nodes each has to be.
    copies: u16,
    stop: Arc<AtomicBool>,
    added: Arc<AtomicUsize>,
}

impl Load {
    fn new(shoal: Shoal, rate: usize, jobs: usize, copies: u16) -> Self {
        Load {
            shoal,
            rate,
            jobs,
            copies,
            stop: Arc::default(),
            added: Arc::default(),
        }
    }

    /// Until it is told to stop or has added all. Each is added with a key until a node says that it has it.
    async fn run(self) {
        let mut ticks = tokio::time::interval(Duration::from_millis(10));
        let mut tasks = tokio::task::JoinSet::new();
        let mut number = 0;
        while number < self.jobs && !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            for _ in 0..self.rate / 100 {
                let mail = Mail {
                    number: number as u32,
                };
                number += 1;
                let (shoal, copies) = (self.shoal.clone(), self.copies);
                tasks.spawn(async move { add(&shoal, &mail, copies).await });
            }
            while tasks.len() > 20_000 {
                tasks.join_next().await;
            }
            while let Some(ended) = tasks.try_join_next() {
                ended.expect("no panic");
            }
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("no panic");
        }
        self.added.store(number, Ordering::Release);
    }
}

async fn add(shoal: &Shoal, mail: &Mail, copies: u16) {
    let producer = shoal.producer("mails");
    loop {
        let add = producer.add(mail).expect("it is plain");
        let key = format!("soak-{}", mail.number);
        let add = add.retry(Duration::from_secs(5)).replicate(copies);
        match add.unique(key, Duration::from_mins(2)).await {
            Ok(_) => return,
            // Too few nodes are there at the moment.
            Err(Error::Refused(text)) if text.starts_with("NOREPL") => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(Error::Unreachable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number");
    pages * 4096
}

fn told(what: &str, counts: &[Counts]) {
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    println!(
        "{what}: {} acknowledged, {} came again, {} given back, {} of which no node heard",
        sum(Counts::done),
        sum(Counts::redelivered),
        sum(Counts::given_back),
        sum(Counts::unsettled),
    );
}

/// Three nodes that are killed and restarted in turns every 20 s, and four workers that stop and start.
#[test]
#[ignore = "half an hour; see the head of this file"]
fn soaks_a_cluster_and_its_workers() {
    const RATE: usize = 500;
    let minutes = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|minutes| minutes.parse().ok());
    let time = Duration::from_secs(60 * minutes.unwrap_or(30));
    let jobs = time.as_secs() as usize * RATE;
    let mut cluster = crate::cluster::fixture::Shoal::with(3, "--appendonly yes");
    let addresses: Vec<String> = cluster.nodes.iter().map(address).collect();
    let runtime = runtime();
    let connect = || {
        let options = Options::new(addresses.clone()).answer_timeout(Duration::from_secs(3));
        runtime
            .block_on(Shoal::connect_with(options))
            .expect("the nodes are there")
    };
    let load = Load::new(connect(), RATE, jobs, 2);
    let (stop, added, done) = (
        load.stop.clone(),
        load.added.clone(),
        Done::new(jobs + RATE),
    );
    let producer = runtime.spawn(load.run());
    let shoals: Vec<Shoal> = (0..4).map(|_| connect()).collect();
    let mut counts = Vec::new();
    let mut start = |shoal: &Shoal| {
        let worker = Worker::with_state(shoal, done.clone()).on("mails", note);
        counts.push(worker.counts());
        runtime.block_on(async { Running::start(worker) })
    };
    let mut workers: Vec<Running> = shoals.iter().map(&mut start).collect();
    let began = Instant::now();
    let mut memory = Vec::new();
    let mut round = 0;
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_secs(7));
        cluster.nodes[round % 3].kill();
        std::thread::sleep(Duration::from_secs(6));
        cluster.nodes[round % 3].restart();
        let worker = workers.remove(0);
        runtime.block_on(worker.stop());
        std::thread::sleep(Duration::from_secs(7));
        workers.push(start(&shoals[round % 4]));
        memory.push(resident());
        round += 1;
        if round % 9 == 0 {
            println!("{} s: {} MB", began.elapsed().as_secs(), resident() >> 20);
        }
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(producer).expect("no panic");
    let added = added.load(Ordering::Acquire);
    runtime.block_on(until(async || done.times(added, |times| times == 0) == 0));
    for worker in workers {
        runtime.block_on(worker.stop());
    }
    let twice = done.times(added, |times| times > 1);
    println!("{round} kills; {added} jobs, all done, {twice} of them more than once");
    told("workers", &counts);
    let (early, late) = (memory[memory.len() / 4], memory[memory.len() - 1]);
    println!(
        "resident memory: {} MB after a quarter, {} MB at the end",
        early >> 20,
        late >> 20
    );
    assert!(late < early + early / 5, "it grows");
}

/// A way to a node that can be cut: what is sent then stays where it is, and nobody is told.
struct Cable {
    address: String,
    is_cut: watch::Sender<bool>,
    _task: JoinHandle<()>,
}

impl Cable {
    fn to(node: &Node, runtime: &Runtime) -> Self {
        let is_cut = watch::Sender::new(false);
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a free port");
        let own = listener.local_addr().expect("it is bound").to_string();
        let (target, cut) = (address(node), is_cut.clone());
        let task = runtime.spawn(async move {
            loop {
                let (near, _) = listener.accept().await.expect("a client");
                let (target, cut) = (target.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(target).await else {
                        return;
                    };
                    let (mut near_in, mut near_out) = near.into_split();
                    let (mut far_in, mut far_out) = far.into_split();
                    tokio::select! {
                        () = carry(&mut near_in, &mut far_out, cut.clone()) => {}
                        () = carry(&mut far_in, &mut near_out, cut) => {}
                    }
                });
            }
        });
        Cable {
            address: own,
            is_cut,
            _task: task,
        }
    }
}

async fn carry(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut cut: watch::Receiver<bool>,
) {
    loop {
        let mut buffer = Vec::with_capacity(64 << 10);
        if from.readable().await.is_err() || cut.wait_for(|cut| !cut).await.is_err() {
            return;
        }
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        if to.write_all(&buffer).await.is_err() {
            return;
        }
    }
}

/// One node, 5000 jobs and 200 entries a second: 20 kills, 20 clean restarts, a stall of 10 s, a cut network.
#[test]
#[ignore = "minutes; see the head of this file"]
fn soaks_a_node_and_its_clients() {
    const RATE: usize = 5000;
    let jobs = RATE * 600;
    // What a kill leaves of a node alone is what it has on disk.
    let mut node = Node::with("--appendonly yes --appendfsync always");
    let runtime = runtime();
    let cable = Cable::to(&node, &runtime);
    let connect = || {
        let options = Options::new([cable.address.clone()]).answer_timeout(Duration::from_secs(2));
        let options = options.patience(Duration::from_mins(1));
        runtime
            .block_on(Shoal::connect_with(options))
            .expect("the node is there")
    };
    let load = Load::new(connect(), RATE, jobs, 1);
    let (stop, added, done) = (
        load.stop.clone(),
        load.added.clone(),
        Done::new(jobs + RATE),
    );
    let producer = runtime.spawn(load.run());
    let worker = Worker::with_state(&connect(), done.clone())
        .on("mails", note)
        .concurrency(50);
    let counts = worker.counts();
    let worker = runtime.block_on(async { Running::start(worker) });
    let mut entries = runtime
        .block_on(connect().subscribe(["c"]).into_future())
        .expect("it begins");
    let published = Arc::new(AtomicUsize::new(0));
    let entries_come = runtime.spawn({
        let (shoal, stop, published) = (connect(), stop.clone(), published.clone());
        async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let publish = shoal.publish("c", number.to_string());
                publish
                    .unique(number.to_string())
                    .await
                    .expect("it is published");
                number += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            published.store(number, Ordering::Release);
        }
    });
    let reader = runtime.spawn(async move {
        let mut wanted = 0;
        loop {
            match entries.next().await.expect("nothing but waiting") {
                Item::Entry(entry) if entry.body == "end" => return wanted,
                Item::Entry(entry) => assert_eq!(entry.body, wanted.to_string()),
                lost @ Item::Lost { .. } => panic!("{lost:?}"),
            }
            wanted += 1;
        }
    });
    for round in 0..40 {
        std::thread::sleep(Duration::from_secs(1));
        match round {
            9 => {
                node.freeze();
                std::thread::sleep(Duration::from_secs(10));
                node.thaw();
            }
            19 => {
                cable.is_cut.send_replace(true);
                std::thread::sleep(Duration::from_secs(10));
                cable.is_cut.send_replace(false);
            }
            _ => {}
        }
        if round % 2 == 0 {
            node.restart_after_kill();
        } else {
            node.restart_cleanly();
        }
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        producer.await.expect("no panic");
        entries_come.await.expect("no panic");
        connect_and_end(&address(&node)).await;
        let added = added.load(Ordering::Acquire);
        until(async || done.times(added, |times| times == 0) == 0).await;
        let read = reader.await.expect("no gap and no repeat");
        worker.stop().await;
        let twice = done.times(added, |times| times > 1);
        println!("{added} jobs, all done, {twice} of them more than once; {read} entries read once, in order");
        told("worker", &[counts]);
        assert_eq!(read, published.load(Ordering::Acquire));
    });
}

async fn connect_and_end(address: &str) {
    let shoal = Shoal::connect([address.to_owned()])
        .await
        .expect("the node is there");
    shoal.publish("c", "end").await.expect("it is published");
}
