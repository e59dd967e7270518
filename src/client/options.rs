//! How a client connects.

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, fs, io};

/// Where a password is from.
#[derive(Clone)]
pub(crate) enum Password {
    Given(String),
    In(PathBuf),
}

impl Password {
    pub(crate) fn read(&self) -> io::Result<String> {
        match self {
            Password::Given(password) => Ok(password.clone()),
            Password::In(path) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => Err(io::Error::new(
                    error.kind(),
                    format!("read the password in {}: {error}", path.display()),
                )),
            },
        }
    }
}

/// How to reach a cluster, and for how long to try.
///
/// ```no_run
/// use std::time::Duration;
/// use shoalmq_client::{Options, Shoal};
///
/// # async fn run() -> Result<(), shoalmq_client::Error> {
/// let options = Options::new(["q-0:7711", "q-1:7711"])
///     .password_file("/run/secrets/shoalmq")
///     .name("mailer")
///     .patience(Duration::from_secs(10));
/// let shoal = Shoal::connect_with(options).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Options {
    /// Nodes to begin with, as host and port. Others are learned from them.
    pub(crate) seeds: Vec<String>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Password>,
    pub(crate) name: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) answer_timeout: Duration,
    pub(crate) patience: Duration,
    /// Where links lead instead of to nodes.
    #[cfg(feature = "testing")]
    pub(crate) world: Option<crate::testing::World>,
}

impl Options {
    /// Options for a cluster that has these nodes, each as `host:port`.
    pub fn new<S: Into<String>>(seeds: impl IntoIterator<Item = S>) -> Self {
        Options {
            seeds: seeds.into_iter().map(Into::into).collect(),
            user: None,
            password: None,
            name: None,
            connect_timeout: Duration::from_secs(2),
            answer_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            #[cfg(feature = "testing")]
            world: None,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn world(mut self, world: crate::testing::World) -> Self {
        self.world = Some(world);
        self
    }

    /// The password of the cluster, or of the [`user`](Self::user).
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Password::Given(password.into()));
        self
    }

    /// A file with the password, which is read for each connection: so it may change while the client runs. A line ending at its end
    /// does not count.
    #[must_use]
    pub fn password_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.password = Some(Password::In(path.into()));
        self
    }

    /// Who the client is, where the server knows users.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// What CLIENT LIST shows: letters and digits without spaces.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How long one attempt to connect to one node may take: 2 s unless said.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a node may take to answer before the link counts as broken: 10 s unless said. What a command waits for by itself is
    /// added to it.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// How long a command may wait for a node that can be reached: 30 s unless said. Consumers wait for ever.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("seeds", &self.seeds)
            .field("user", &self.user)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
