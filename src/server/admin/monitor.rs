//! MONITOR: every command of every client, as it runs.

use super::{Answer, ok};
use crate::server::clients::{Execution, Session};
use crate::server::clock;
use crate::server::driver::Driver;

/// The connection sees every command from now on.
pub(super) fn start(execution: &mut Execution<'_>) -> Answer {
    execution.driver.monitors.insert(execution.session.id);
    if let Some(client) = execution.driver.clients.get_mut(&execution.session.id) {
        client.monitor = true;
    }
    ok(execution)
}

/// Shows a command to all who watch, its client included.
pub(in crate::server) fn show(driver: &Driver, session: &Session, args: &[Vec<u8>]) {
    let now = clock::since_epoch();
    let address = driver
        .clients
        .get(&session.id)
        .map_or("", |client| client.address.as_str());
    let mut line =
        format!("+{}.{:06} [{address}]", now.as_secs(), now.subsec_micros()).into_bytes();
    for arg in args {
        line.extend_from_slice(b" \"");
        for &byte in arg {
            quote(byte, &mut line);
        }
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    for id in &driver.monitors {
        if let Some(client) = driver.clients.get(id) {
            client.mailbox.push(&line);
        }
    }
}

/// A byte as redis-cli would print it.
fn quote(byte: u8, line: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => line.extend_from_slice(&[b'\\', byte]),
        b'\n' => line.extend_from_slice(b"\\n"),
        b'\r' => line.extend_from_slice(b"\\r"),
        b'\t' => line.extend_from_slice(b"\\t"),
        0x07 => line.extend_from_slice(b"\\a"),
        0x08 => line.extend_from_slice(b"\\b"),
        b' '..=b'~' => line.push(byte),
        _ => line.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
    }
}
