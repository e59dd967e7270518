//! The manual of CLUSTER.

use super::{Group, Manual, entry, sub};
use crate::Failure::{Parse, Server};
use crate::{ParseError, ServerError};

pub(crate) static CLUSTER: Manual = Manual {
    failures: &[
        Parse(ParseError::ClusterUsage(b"MEET")),
        Parse(ParseError::ClusterUsage(b"MET")),
        Parse(ParseError::MeetPort(b"x")),
        Parse(ParseError::MeetAddress(b"host", b"port")),
        Server(ServerError::MeetName {
            host: "nosuch.example",
            port: 7711,
            reason: "the name does not resolve: <reason>",
        }),
        Parse(ParseError::NodeId),
        Server(ServerError::UnknownNode(b"<id>")),
        Server(ServerError::ForgetSelf),
        Parse(ParseError::LeavingAnswer),
        Parse(ParseError::Near(b"SOFTLY", "cluster")),
    ],
    notes: &[
        "A line of `CLUSTER NODES` has six fields: id, address, flags, ping sent, pong received, link. Flags are `myself`, \
         `fail?`, `fail`, `handshake`, `noaddr`, `leaving`, joined by commas, or `noflags`.",
    ],
    subcommands: &[
        sub(
            "FORGET",
            "node-id",
            "Drops a node from the cluster; it stays away for about a minute. Answers OK.",
        ),
        sub(
            "INFO",
            "",
            "Tells figures of the cluster, as a bulk of `name:value` lines.",
        ),
        sub(
            "LEAVING",
            "[ < YES | NO > ]",
            "Tells whether this node is leaving (`yes` or `no`), or makes it leave or stay and answers OK. A node that leaves \
             hands its jobs over after `leaving-grace`; it may stop when `cluster_leaving_jobs_left` of CLUSTER INFO is 0. `NO` \
             also ends a drain: the node is ready again, takes jobs and lets clients wait. What was handed over stays where \
             it is.",
        ),
        sub(
            "MEET",
            "host port",
            "Joins the cluster of this node: an IP address or a host name, and its port for clients, or `port@bus` when \
             its `cluster-port` is not the usual one. Answers OK before the node has joined, but not before a name is looked up.",
        ),
        sub("MYID", "", "Tells the id of this node, as a bulk."),
        sub(
            "NODES",
            "",
            "Lists the known nodes, as a bulk with a line for each.",
        ),
        sub(
            "RESET",
            "[ < SOFT | HARD > ]",
            "Forgets all other nodes, and all jobs and queues of this one; `HARD` also takes a new id. Answers OK.",
        ),
        sub(
            "SAVECONFIG",
            "",
            "Writes what is known of the cluster to disk. Answers OK.",
        ),
    ],
    ..entry(
        Group::Cluster,
        "subcommand [ argument ... ]",
        "Shows the nodes of the cluster, and adds and removes nodes.",
        "depends on the subcommand.",
    )
};
