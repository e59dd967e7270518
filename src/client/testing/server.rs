//! A real node on a free port.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::Error;
use crate::options::Options;
use crate::shoal::Shoal;

/// How long is tried to connect before it is looked whether the node still runs.
const LOOK: Duration = Duration::from_millis(200);
/// How long a node may take to start.
const START: Duration = Duration::from_secs(30);
/// How many ports are tried: one that is free may be taken before the node has it.
const ATTEMPTS: u32 = 5;
/// How long it may take to end.
const END: Duration = Duration::from_secs(30);

/// A node of its own for a test: the real binary, on a free port of the loopback, with its data in a folder that goes with it.
///
/// The binary is what the variable `SHOALMQ` names, or else `shoalmq` on the path.
///
/// ```no_run
/// use shoalmq_client::testing::TestServer;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = TestServer::start().await?;
/// let shoal = server.connect().await?;
/// shoal.add("mails", "to ada").await?;
/// server.kill()?;
/// server.restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestServer {
    binary: PathBuf,
    port: u16,
    folder: tempfile::TempDir,
    flags: Vec<String>,
    child: Option<Child>,
}

impl TestServer {
    /// Starts a node, and waits until it serves.
    pub async fn start() -> io::Result<Self> {
        TestServer::start_with(["--appendonly", "yes"]).await
    }

    /// The same with other flags than `--appendonly yes`.
    pub async fn start_with<F: Into<String>>(
        flags: impl IntoIterator<Item = F>,
    ) -> io::Result<Self> {
        let binary = std::env::var_os("SHOALMQ").unwrap_or_else(|| OsString::from("shoalmq"));
        TestServer::start_binary(binary, flags).await
    }

    /// The same with this binary.
    pub async fn start_binary<F: Into<String>>(
        binary: impl Into<PathBuf>,
        flags: impl IntoIterator<Item = F>,
    ) -> io::Result<Self> {
        let mut server = TestServer {
            binary: binary.into(),
            port: free_port()?,
            folder: tempfile::tempdir()?,
            flags: flags.into_iter().map(Into::into).collect(),
            child: None,
        };
        let mut left = ATTEMPTS;
        while let Err(error) = server.spawn().await {
            left -= 1;
            let was_taken = server.log().contains("Address already in use");
            if left == 0 || !was_taken {
                return Err(error);
            }
            server.port = free_port()?;
        }
        Ok(server)
    }

    /// Where it is, as host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client of it.
    pub async fn connect(&self) -> Result<Shoal, Error> {
        Shoal::connect([self.address()]).await
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => {
                child.kill()?;
                child.wait().map(drop)
            }
            None => Ok(()),
        }
    }

    /// Asks it to stop, as a rolling update does (SHUTDOWN), and waits until it has.
    pub async fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Ok(shoal) = self.connect().await {
            // Its answer is that the connection ends.
            let _ = shoal.raw(&["SHUTDOWN"], false).await;
        }
        let ended = async {
            while child.try_wait()?.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        let ended = tokio::time::timeout(END, ended).await;
        ended.unwrap_or_else(|_| {
            child.kill()?;
            child.wait()?;
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the node did not stop, and was killed",
            ))
        })
    }

    /// Starts it again on its data, after it was killed or stopped, and waits until it serves.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.spawn().await
    }

    async fn spawn(&mut self) -> io::Result<()> {
        let mut command = Command::new(&self.binary);
        let port = self.port.to_string();
        command.args([
            "server",
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--http-port",
            "0",
        ]);
        command
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.flags);
        let log = std::fs::File::create(self.folder.path().join("test-server.log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().map_err(|error| {
            let binary = self.binary.display();
            let help = "put it on the path, or name it in the variable SHOALMQ";
            io::Error::new(error.kind(), format!("start {binary}: {error}; {help}"))
        });
        let child = self.child.insert(child?);
        let started = tokio::time::Instant::now();
        loop {
            let status = child.try_wait()?;
            let options = Options::new([format!("127.0.0.1:{}", self.port)]);
            let connected = Shoal::connect_with(options.patience(LOOK)).await;
            match (connected, status) {
                (Ok(_), None) => return Ok(()),
                (Err(error), None) if started.elapsed() >= START => {
                    return Err(io::Error::other(format!(
                        "{error}; it said:\n{}",
                        self.log()
                    )));
                }
                (Err(_), None) => {}
                (_, Some(status)) => {
                    let said = self.log();
                    return Err(io::Error::other(format!(
                        "the node ended with {status}:\n{said}"
                    )));
                }
            }
        }
    }

    /// What it has said since it was started last.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.folder.path().join("test-server.log"));
        String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            tracing::warn!(%error, "a test server cannot be killed");
        }
    }
}

/// Two of them: clients, and nodes ten thousand above.
fn free_port() -> io::Result<u16> {
    loop {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let for_nodes = port.checked_add(10_000);
        if for_nodes.is_some_and(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return Ok(port);
        }
    }
}
