//! AUTH, HELLO with a protocol, RESET: who a connection is, and how it is spoken to.

use shoalmq_core::event::Event;

use super::{Answer, ok};
use crate::command::ServerError;
use crate::command::admin::{Credentials, Hello};
use crate::server::clients::{Execution, Replies};
use shoalmq_resp::{Protocol, encode};

/// The one user there is.
const USER: &[u8] = b"default";

pub(super) fn auth(execution: &mut Execution<'_>, credentials: &Credentials<'_>) -> Answer {
    check(execution, credentials)?;
    ok(execution)
}

/// As in Redis: without a password set, naming the user is enough, and a password alone is a mistake.
fn check(execution: &mut Execution<'_>, credentials: &Credentials<'_>) -> Answer {
    let right = match (credentials.user, &execution.driver.config.requirepass) {
        (Some(user), _) if user != USER => false,
        (_, Some(password)) => password.matches(credentials.password),
        // This proves nothing: a password that is set later is asked of this connection too.
        (Some(_), None) => return Ok(()),
        (None, None) => return Err(ServerError::NoPasswordSet.into()),
    };
    execution.session.authenticated = right;
    if right {
        Ok(())
    } else {
        Err(ServerError::WrongPassword.into())
    }
}

pub(super) fn hello(execution: &mut Execution<'_>, hello: &Hello<'_>) -> Answer {
    if let Some(credentials) = &hello.auth {
        check(execution, credentials)?;
    }
    if execution.driver.config.requirepass.is_some() && !execution.session.authenticated {
        return Err(ServerError::NotAuthenticated.into());
    }
    if let Some(name) = hello.name {
        execution.driver.name_peer(execution.session.id, name);
    }
    execution.session.protocol = hello.protocol;
    let out = &mut *execution.out;
    encode::map(out, hello.protocol, 7);
    let text = |out: &mut Vec<u8>, name: &str, value: &str| {
        encode::bulk(out, name.as_bytes());
        encode::bulk(out, value.as_bytes());
    };
    text(out, "server", "disque");
    text(out, "version", env!("CARGO_PKG_VERSION"));
    encode::bulk(out, b"proto");
    encode::integer(
        out,
        if hello.protocol == Protocol::Resp3 {
            3
        } else {
            2
        },
    );
    encode::bulk(out, b"id");
    encode::integer(
        out,
        i64::try_from(execution.session.id.0).unwrap_or(i64::MAX),
    );
    let alone = execution.driver.cluster.members.is_empty();
    text(out, "mode", if alone { "standalone" } else { "cluster" });
    text(out, "role", "master");
    encode::bulk(out, b"modules");
    encode::array(out, 0);
    Ok(())
}

/// As if the client had just connected.
pub(super) fn reset(execution: &mut Execution<'_>) -> Answer {
    let id = execution.session.id;
    execution.session.authenticated = false;
    execution.session.protocol = Protocol::Resp2;
    execution.session.replies = Replies::On;
    execution.driver.name_peer(id, b"");
    execution.driver.monitors.remove(&id);
    if let Some(client) = execution.driver.clients.get_mut(&id) {
        client.monitor = false;
    }
    execution.driver.feed(Event::Unsubscribed(id));
    // What it was still to see as a monitor is of the time before.
    execution.session.mailbox.drop_lines();
    encode::simple(execution.out, b"RESET");
    Ok(())
}
