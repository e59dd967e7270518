//! CLIENT: what is known of connections, and what is done to them.

use std::time::Instant;

use shoalmq_core::id::ClientId;

use super::{Answer, ok};
use crate::command::ServerError;
use crate::command::client::{Client, KillFilter, ReplyMode};
use crate::server::clients::{self, Execution, Outcome, Replies};
use crate::server::driver::Driver;
use shoalmq_resp::encode;

pub(super) fn run(execution: &mut Execution<'_>, command: &Client<'_>) -> Outcome {
    // Its own line shows the command that runs; those of others, what they ran last.
    if let Some(client) = execution.driver.clients.get_mut(&execution.session.id) {
        client.last_command = execution.command;
    }
    let answer = match command {
        Client::List => list(execution),
        Client::Info => info(execution),
        Client::Id => id(execution),
        Client::GetName => name(execution),
        Client::SetName(name) => {
            execution.driver.name_peer(execution.session.id, name);
            ok(execution)
        }
        Client::SetInfo(..) | Client::Ignored => ok(execution),
        Client::KillAddress(address) => return kill_address(execution, address),
        Client::Kill(filter) => return kill(execution, filter),
        Client::Pause(duration) => {
            execution.driver.paused_until = Instant::now().checked_add(*duration);
            ok(execution)
        }
        Client::Reply(mode) => reply(execution, *mode),
    };
    if let Err(failure) = answer {
        failure.encode(execution.out);
    }
    Outcome::Done
}

fn list(execution: &mut Execution<'_>) -> Answer {
    let mut text = String::new();
    for (&id, client) in &execution.driver.clients {
        line(&mut text, id, client);
    }
    encode::bulk(execution.out, text.as_bytes());
    Ok(())
}

fn info(execution: &mut Execution<'_>) -> Answer {
    let mut text = String::new();
    if let Some(client) = execution.driver.clients.get(&execution.session.id) {
        line(&mut text, execution.session.id, client);
    }
    encode::bulk(execution.out, text.as_bytes());
    Ok(())
}

fn line(text: &mut String, id: ClientId, client: &clients::Client) {
    use std::fmt::Write;
    let flags = match (client.monitor, client.unanswered > 0) {
        (true, _) => "O",
        (false, true) => "b",
        (false, false) => "N",
    };
    let (unread, buffers) = (client.mailbox.unread(), &client.mailbox.buffers);
    let _ = writeln!(
        text,
        "id={} addr={} fd={} name={} age={} idle={} flags={flags} qbuf={} qbuf-free={} obl={} oll={} omem={} events=r cmd={}",
        id.0,
        client.address,
        client.fd,
        String::from_utf8_lossy(&client.name),
        client.since.elapsed().as_secs(),
        client.last_seen.elapsed().as_secs(),
        buffers.input(),
        buffers.input_free(),
        buffers.output(),
        usize::from(unread > 0),
        unread,
        client.last_command,
    );
}

fn id(execution: &mut Execution<'_>) -> Answer {
    encode::integer(
        execution.out,
        i64::try_from(execution.session.id.0).unwrap_or(i64::MAX),
    );
    Ok(())
}

fn name(execution: &mut Execution<'_>) -> Answer {
    let client = execution.driver.clients.get(&execution.session.id);
    match client
        .map(|client| &client.name)
        .filter(|name| !name.is_empty())
    {
        Some(name) => encode::bulk(execution.out, name),
        None => encode::nil_bulk(execution.out, execution.session.protocol),
    }
    Ok(())
}

fn kill_address(execution: &mut Execution<'_>, address: &[u8]) -> Outcome {
    let mut clients = execution.driver.clients.iter();
    let Some((&id, client)) = clients.find(|(_, client)| client.address.as_bytes() == address)
    else {
        crate::command::Failure::from(ServerError::NoSuchClient).encode(execution.out);
        return Outcome::Done;
    };
    encode::simple(execution.out, b"OK");
    if id == execution.session.id {
        return Outcome::Close;
    }
    client.mailbox.kill();
    Outcome::Done
}

fn kill(execution: &mut Execution<'_>, filter: &KillFilter<'_>) -> Outcome {
    let (mut killed, mut myself) = (0, false);
    for (&id, client) in &execution.driver.clients {
        let me = id == execution.session.id;
        let passes = filter.id.is_none_or(|wanted| wanted == id.0)
            && filter
                .address
                .is_none_or(|address| address == client.address.as_bytes())
            && !(filter.normal_only && client.monitor)
            && !(filter.skip_me && me);
        if passes {
            killed += 1;
            myself |= me;
            if !me {
                client.mailbox.kill();
            }
        }
    }
    encode::integer(execution.out, killed);
    if myself {
        Outcome::Close
    } else {
        Outcome::Done
    }
}

fn reply(execution: &mut Execution<'_>, mode: ReplyMode) -> Answer {
    execution.session.replies = match mode {
        ReplyMode::On => Replies::On,
        ReplyMode::Off => Replies::Off,
        // While nothing is answered anyway, there is nothing to skip.
        ReplyMode::Skip if execution.session.replies == Replies::Off => Replies::Off,
        ReplyMode::Skip => Replies::SkipNext,
    };
    if mode == ReplyMode::On {
        ok(execution)
    } else {
        Ok(())
    }
}

impl Driver {
    /// Names a connection; an empty name takes its name away.
    pub(super) fn name_peer(&mut self, id: ClientId, name: &[u8]) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.name = name.to_vec();
        }
    }
}
