//! Which node to talk to, and as whom: the options that all subcommands spell alike.

use std::time::Duration;

use super::seconds;
use super::session::{Credentials, Target};
use shoalmq_client::{Connection, ConnectionError};

/// Where a password may come from when no option gives one; the first that is set counts.
///
/// The client's own comes first: on the machine of one node it may be meant for another.
const PASSWORD_VARIABLES: [&str; 3] = ["SHOALMQ_PASSWORD", "SHOALMQ_REQUIREPASS", "REDISCLI_AUTH"];

/// Which node to talk to, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct NodeArgs {
    /// Host name or address of the node.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port of the node for clients.
    #[arg(short = 'p', long, default_value_t = 7711)]
    pub(crate) port: u16,
    #[command(flatten)]
    pub(crate) login: LoginArgs,
    /// Seconds to wait for the connection.
    #[arg(short = 't', long, default_value = "5", value_name = "SECONDS", value_parser = seconds)]
    connect_timeout: Duration,
}

/// What the node wants to know of who asks.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoginArgs {
    /// Password of the node; better in `SHOALMQ_PASSWORD`, `SHOALMQ_REQUIREPASS` or `REDISCLI_AUTH`, where `ps` does not
    /// show it.
    #[arg(short = 'a', long, visible_alias = "pass")]
    password: Option<String>,
    /// User that the password is of.
    #[arg(long)]
    pub(crate) user: Option<String>,
}

impl NodeArgs {
    /// Connects, and gives the password if there is one.
    pub(crate) async fn connect(&self) -> Result<Connection, ConnectionError> {
        let target = self.target(false);
        let mut client = Connection::connect(&target.address, target.timeout).await?;
        if let Some(Credentials { user, password }) = &target.credentials {
            client.authenticate(user.as_deref(), password).await?;
        }
        Ok(client)
    }

    /// Host and port, an address of IPv6 in brackets.
    fn address(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(super) fn target(&self, resp3: bool) -> Target {
        let credentials = self.login.password().map(|password| Credentials {
            user: self.login.user.clone(),
            password,
        });
        Target {
            address: self.address(),
            timeout: self.connect_timeout,
            credentials,
            resp3,
        }
    }
}

impl LoginArgs {
    /// The password that was given, or that the environment has; an empty one is none.
    pub(crate) fn password(&self) -> Option<String> {
        let from_environment = || {
            let values = PASSWORD_VARIABLES.into_iter().map(std::env::var);
            values
                .filter_map(Result::ok)
                .find(|value| !value.is_empty())
        };
        self.password.clone().or_else(from_environment)
    }
}
