//! The CPU time of the node's process, when it runs on this machine.

use super::BenchError;
use crate::cli::NodeArgs;
use shoalmq_client::{Connection, ConnectionError};
use std::fs;
use std::net::IpAddr;
use std::time::Duration;

/// Clock ticks per second in `/proc`: fixed by the kernel's interface, whatever its own clock.
const TICKS_PER_SECOND: u64 = 100;

/// A process to watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Process(u32);

impl Process {
    /// The process of this id, if there is one.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let process = Self(pid);
        process.cpu_time().map(|_| process)
    }

    /// The process that the flags name, or that of the node which `client` is connected to.
    pub(super) async fn chosen(
        pid: Option<u32>,
        node: &NodeArgs,
        client: &mut Connection,
    ) -> Result<Option<Self>, BenchError> {
        match pid {
            Some(pid) => match Self::of(pid) {
                Some(process) => Ok(Some(process)),
                None => Err(BenchError::Args("no process of --server-pid")),
            },
            None => Ok(Self::serving(node, client).await?),
        }
    }

    /// The process of the node that `client` is connected to, if it is on this machine, as far as its address tells.
    pub(super) async fn serving(
        node: &NodeArgs,
        client: &mut Connection,
    ) -> Result<Option<Self>, ConnectionError> {
        let host = &node.host;
        if host != "localhost" && !host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) {
            return Ok(None);
        }
        let info = client.call(&["INFO", "server"]).await?;
        Ok(info.as_str().and_then(Self::named_by))
    }

    /// The process that a node's INFO names. Another of that id would not be called a queue.
    pub(super) fn named_by(info: &str) -> Option<Self> {
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"))?;
        let pid = pid.trim().parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.contains("shoalmq") || name.contains("disque"))
            .then(|| Self::of(pid))
            .flatten()
    }

    /// User and system time so far, of all its threads.
    pub(super) fn cpu_time(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).ok()?;
        parse(&stat).map(|ticks| Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    }
}

/// Fields 14 and 15. The second may hold blanks and parentheses, so counting starts at its end.
fn parse(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 6";
        assert_eq!(parse(stat), Some(200));
        assert_eq!(parse("7 (a) S 1"), None);
    }

    #[test]
    fn only_a_process_that_is_there_is_watched() {
        assert!(Process::of(std::process::id()).is_some());
        assert!(Process::of(u32::MAX).is_none());
        assert!(Process::named_by("# Server\r\nprocess_id:1\r\n").is_none());
    }
}
