//! Nodes as processes: started on a free port in a folder of their own, stopped by their own pid, always reaped.
//!
//! A node that fails a test tells its log. Nothing here sleeps for a fixed time: what is waited for is looked at.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::wire::{Connection, Reply, encode, simple};

/// How long a node may take to start, to stop, or to reach what a test waits for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Looks again and again until there is something, and panics with `what` after [`DEADLINE`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, look)
}

/// As [`eventually`], with another deadline.
#[track_caller]
pub(crate) fn within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < deadline,
            "not within {deadline:?}: {what}"
        );
        thread::sleep(Duration::from_millis(4));
    }
}

/// The built binary.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoalmq"));
    // The environment in which the tests run must not configure the nodes.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHOALMQ_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// A port that is free together with those derived from it (bus and HTTP). Below the ephemeral range, so that no
/// outgoing connection takes it in between; another test process still might, which [`Launch::start`] bears.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const PORTS: u16 = 2_700;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(PORTS)) as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..PORTS)
        .map(|_| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS) % PORTS)
        .find(|port| [*port, port + 10_000, port + 20_000].iter().all(is_free))
        .expect("one of 2700 ports is free")
}

/// How a node is started, and started again.
#[derive(Clone)]
pub(crate) struct Launch {
    folder: Arc<TempDir>,
    data: PathBuf,
    port: u16,
    configuration: Option<PathBuf>,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    password: Option<String>,
}

/// What a process that ended by itself left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Launch {
    /// With the defaults of the product, jobs on disk included, in a new folder and on a free port.
    pub(crate) fn new() -> Self {
        let folder = Arc::new(
            tempfile::Builder::new()
                .prefix("shoalmq-")
                .tempdir()
                .expect("make a temporary folder"),
        );
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("make a data folder");
        Self {
            folder,
            data,
            port: free_port(),
            configuration: None,
            flags: Vec::new(),
            environment: Vec::new(),
            password: None,
        }
    }

    /// Adds flags, given as words.
    pub(crate) fn flags(mut self, words: &str) -> Self {
        self.flags
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one flag whose value may be anything.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts from a configuration file with this text.
    pub(crate) fn configuration(mut self, text: &str) -> Self {
        let path = self.folder.path().join("shoalmq.conf");
        fs::write(&path, text).expect("write the configuration file");
        self.configuration = Some(path);
        self
    }

    /// Asks clients for a password.
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.flag("--requirepass", password)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// In another data folder than its own.
    pub(crate) fn in_data(mut self, data: &Path) -> Self {
        data.clone_into(&mut self.data);
        self
    }

    pub(crate) fn configuration_path(&self) -> PathBuf {
        self.configuration
            .clone()
            .expect("started from a configuration file")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("node.log")
    }

    fn command(&self) -> Command {
        let mut command = binary();
        command.arg("server");
        if let Some(path) = &self.configuration {
            command.arg(path);
        }
        command
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--dir",
            ])
            .arg(self.data());
        // The port that is chosen by itself may be that of another test.
        if !self.flags.iter().any(|flag| flag == "--http-port") {
            command.args(["--http-port", "0"]);
        }
        command
            .args(&self.flags)
            .envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Starts the process without waiting for it to serve.
    pub(crate) fn spawn(self) -> Node {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("open the log of the node");
        let stdout = log.try_clone().expect("duplicate the log of the node");
        let child = self
            .command()
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .expect("start the node");
        Node {
            launch: self,
            child: Some(child),
        }
    }

    /// Starts a node and waits until it serves clients.
    #[track_caller]
    pub(crate) fn start(mut self) -> Node {
        for _ in 0..5 {
            let mut node = self.clone().spawn();
            if node.wait_until_it_serves() {
                return node;
            }
            self.port = free_port();
        }
        panic!("five free ports were taken by others in between");
    }

    /// As [`Launch::start`], for a node whose password the fixture does not know: serving is answering at all.
    #[track_caller]
    pub(crate) fn start_unauthenticated(self) -> Node {
        let port = self.port;
        let node = self.spawn();
        eventually("the node answers", || {
            let mut connection = Connection::try_open(port).ok()?;
            connection.try_send_raw(b"PING\r\n").ok()?;
            connection.try_receive().ok()
        });
        node
    }

    /// Runs a process that is expected to end by itself.
    #[track_caller]
    pub(crate) fn run(self) -> Ended {
        run(self.command(), b"")
    }
}

/// Runs a process to its end, with this on its standard input.
#[track_caller]
pub(crate) fn run(mut command: Command, input: &[u8]) -> Ended {
    let folder = tempfile::tempdir().expect("make a temporary folder");
    let [input_path, out, err] = ["in", "out", "err"].map(|name| folder.path().join(name));
    fs::write(&input_path, input).expect("write the input");
    command.stdin(File::open(&input_path).expect("open the input"));
    command
        .stdout(File::create(&out).expect("create a file"))
        .stderr(File::create(&err).expect("create a file"));
    let mut child = Reaped(command.spawn().expect("start the process"));
    let read = |path: &Path| {
        String::from_utf8_lossy(&fs::read(path).expect("read an output")).into_owned()
    };
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait().expect("wait for the process") {
            break status;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "does not end: {command:?}\n{}{}",
            read(&out),
            read(&err)
        );
        thread::sleep(Duration::from_millis(4));
    };
    Ended {
        status,
        stdout: read(&out),
        stderr: read(&err),
    }
}

/// A process that is killed and reaped when a test ends early.
pub(crate) struct Reaped(pub(crate) Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // Both fail only when it has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running node.
pub(crate) struct Node {
    launch: Launch,
    child: Option<Child>,
}

impl Node {
    /// A node that keeps its jobs in memory: for what has nothing to do with disks.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// The same with further flags, given as words.
    #[track_caller]
    pub(crate) fn with(flags: &str) -> Self {
        Launch::new().flags("--appendonly no").flags(flags).start()
    }

    pub(crate) fn port(&self) -> u16 {
        self.launch.port
    }

    pub(crate) fn launch(&self) -> &Launch {
        &self.launch
    }

    pub(crate) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.launch.log_path()).unwrap_or_default()).into_owned()
    }

    /// A connection, authenticated when the node asks for a password.
    #[track_caller]
    pub(crate) fn connect(&self) -> Connection {
        let mut connection = Connection::open(self.port());
        if let Some(password) = &self.launch.password {
            assert_eq!(connection.call_arguments(&["AUTH", password]), simple("OK"));
        }
        connection
    }

    /// True once it serves, false when its port was taken by another process.
    #[track_caller]
    fn wait_until_it_serves(&mut self) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .as_mut()
                .expect("the node runs")
                .try_wait()
                .expect("wait for the node")
            {
                let log = self.log();
                assert!(
                    log.to_lowercase().contains("in use"),
                    "the node ended with {status}:\n{log}"
                );
                return false;
            }
            if self.serves() {
                return true;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "the node does not serve:\n{}",
                self.log()
            );
            thread::sleep(Duration::from_millis(4));
        }
    }

    /// Whether clients are answered, by this very process, and with its jobs loaded.
    fn serves(&self) -> bool {
        let ask = || {
            let mut connection = Connection::try_open(self.port())?;
            if let Some(password) = &self.launch.password {
                connection.try_send_raw(&encode(&["AUTH", password]))?;
                connection.try_receive()?;
            }
            connection.try_send_raw(b"INFO\r\n")?;
            connection.try_receive()
        };
        let own = format!("process_id:{}\r\n", self.pid());
        match ask() {
            Ok(Reply::Bulk(text)) => {
                let text = String::from_utf8_lossy(&text);
                text.contains(&own) && text.contains("loading:0\r\n")
            }
            _ => false,
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid is a positive number");
        kill_process(pid, signal).expect("signal the node");
    }

    /// kill -9, and the process is gone when this returns.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the node runs");
        child.kill().expect("kill the node");
        child.wait().expect("reap the node");
    }

    /// SIGTERM, and waits for the end.
    #[track_caller]
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// SIGINT, and waits for the end.
    #[track_caller]
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        self.signal(Signal::INT);
        self.wait_for_end()
    }

    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    /// SIGSTOP until [`Node::thaw`].
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually("the node stands still", || {
            let path = format!("/proc/{}/stat", self.pid());
            let stat = fs::read_to_string(path).expect("read the state of the node");
            stat.contains(") T ").then_some(())
        });
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for a process that was asked to end.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .as_mut()
                .expect("the node runs")
                .try_wait()
                .expect("wait for the node")
            {
                self.child = None;
                return status;
            }
            assert!(start.elapsed() < DEADLINE, "the node does not end");
            thread::sleep(Duration::from_millis(4));
        }
    }

    /// Starts it again on its folder and port, after it ended.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.restart_with("");
    }

    /// The same with further flags, given as words.
    #[track_caller]
    pub(crate) fn restart_with(&mut self, flags: &str) {
        assert!(self.child.is_none(), "the node still runs");
        let mut again = self.launch.clone().flags(flags).spawn();
        assert!(
            again.wait_until_it_serves(),
            "the port of the node was taken while it was down"
        );
        self.child = again.child.take();
    }

    /// Stops it cleanly and starts it again.
    #[track_caller]
    pub(crate) fn restart_cleanly(&mut self) {
        let status = self.terminate();
        assert!(status.success(), "a clean stop exits with 0, not {status}");
        self.restart();
    }

    /// Kills it and starts it again.
    #[track_caller]
    pub(crate) fn restart_after_kill(&mut self) {
        self.kill();
        self.restart();
    }

    /// Waits until `clients` clients are blocked.
    #[track_caller]
    pub(crate) fn wait_for_blocked(&self, clients: usize) {
        let mut connection = self.connect();
        let wanted = clients.to_string();
        eventually(&format!("{clients} blocked clients"), || {
            (connection.info("blocked_clients") == wanted).then_some(())
        });
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("read the status of the node");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a process has a resident size");
        let kib: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number of kB");
        kib * 1024
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            drop(Reaped(child));
        }
        if thread::panicking() {
            eprintln!(
                "--- log of the node on port {}:\n{}---",
                self.port(),
                self.log()
            );
        }
    }
}
