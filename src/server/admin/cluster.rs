//! CLUSTER and HELLO's list of nodes, for a node that is alone.

use shoalmq_core::event::Event;

use super::{Answer, ok};
use crate::command::admin::{Cluster, Reset};
use crate::command::{Failure, ParseError, ServerError};
use crate::resp::encode;
use crate::server::execute::Execution;

/// HELLO's priorities of a node: smaller is better.
const PRIORITY_GOOD: &[u8] = b"1";
const PRIORITY_LEAVING: &[u8] = b"100";

pub(super) fn run(execution: &mut Execution<'_>, command: &Cluster<'_>) -> Answer {
    match *command {
        Cluster::MyId => encode::bulk(execution.out, &execution.driver.node.id().text()),
        Cluster::Info => info(execution),
        Cluster::Nodes => nodes(execution),
        Cluster::Leaving(None) => {
            let leaving = execution.driver.node.is_leaving();
            encode::simple(execution.out, if leaving { b"yes" } else { b"no" });
        }
        Cluster::Leaving(Some(leaving)) => {
            execution.driver.feed(Event::Leaving(leaving));
            return ok(execution);
        }
        Cluster::Reset(how) => return reset(execution, how),
        // A node that can meet no other has none to forget but itself, and nothing to save.
        Cluster::Forget(id) if id == execution.driver.node.id().text() => {
            return Err(ServerError::ForgetSelf.into());
        }
        Cluster::Forget(id) => {
            Failure::from(ServerError::UnknownNode(id)).encode(execution.out);
        }
        Cluster::Meet { .. } => return Err(ParseError::ClusterUsage.into()),
        Cluster::SaveConfig => return ok(execution),
    }
    Ok(())
}

fn info(execution: &mut Execution<'_>) {
    let text = "cluster_state:ok\r\ncluster_known_nodes:1\r\ncluster_reachable_nodes:0\r\ncluster_size:1\r\n\
                cluster_stats_messages_sent:0\r\ncluster_stats_messages_received:0\r\n";
    encode::bulk(execution.out, text.as_bytes());
}

fn nodes(execution: &mut Execution<'_>) {
    let node = &execution.driver.node;
    let flags = if node.is_leaving() {
        "myself,leaving"
    } else {
        "myself"
    };
    let line = format!(
        "{} :{} {flags} 0 0 connected\n",
        node.id(),
        execution.driver.port
    );
    encode::bulk(execution.out, line.as_bytes());
}

pub(super) fn hello_nodes(execution: &mut Execution<'_>) -> Answer {
    let node = &execution.driver.node;
    let out = &mut *execution.out;
    encode::array(out, 3);
    encode::integer(out, 1);
    encode::bulk(out, &node.id().text());
    encode::array(out, 4);
    encode::bulk(out, &node.id().text());
    encode::bulk(out, b"");
    encode::bulk_integer(out, u64::from(execution.driver.port));
    encode::bulk(
        out,
        if node.is_leaving() {
            PRIORITY_LEAVING
        } else {
            PRIORITY_GOOD
        },
    );
    Ok(())
}

fn reset(execution: &mut Execution<'_>, how: Reset) -> Answer {
    execution.driver.feed(Event::Flush);
    execution.driver.feed(Event::Leaving(false));
    if how == Reset::Hard {
        match execution.driver.identity.renew() {
            Ok(id) => execution.driver.feed(Event::Renamed(id)),
            Err(error) => {
                let line = format!("ERR Saving the new node id: {error}");
                Failure::from(ServerError::Verbatim(line.as_bytes())).encode(execution.out);
                return Ok(());
            }
        }
    }
    ok(execution)
}
