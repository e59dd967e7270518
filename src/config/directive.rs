//! What a row of the table is, and the directives of Disque that mean nothing here.

use super::source::variable;
use super::table::{Config, DIRECTIVES};
use super::value::Allowed;
use shoalmq_command::suggestion;

/// One directive: everything that is known of it, and how it reaches its field of [`Config`].
#[derive(Debug)]
pub struct Directive {
    /// The name, in lower case with hyphens, as Disque writes it where Disque has it.
    pub name: &'static str,
    /// The heading that it stands under in the help.
    pub group: Group,
    /// What it does: sentences without line breaks.
    pub help: &'static str,
    /// The values it takes.
    pub allowed: Allowed,
    /// Whether `CONFIG SET` can change it.
    pub change: Change,
    /// Where it comes from, and whether it still does anything.
    pub standing: Standing,
    /// What to say for the default when it depends on the machine.
    pub(super) computed: Option<Computed>,
    pub(super) assign: fn(&mut Config, &[String], &Allowed) -> Option<()>,
    pub(super) read: fn(&Config, &Allowed) -> Vec<String>,
}

/// Headings of the help and of the example file, in their order there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// Listeners and connections.
    Network,
    /// The process, its threads and its log.
    Process,
    /// Who may connect.
    Security,
    /// How much memory jobs may take.
    Memory,
    /// Durable channels.
    Topics,
    /// What is on disk, and when it gets there.
    Persistence,
    /// Other nodes.
    Cluster,
    /// Slow log and latency monitor.
    Monitoring,
    /// Accepted from a Disque file, without effect.
    Obsolete,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::Process,
        Self::Security,
        Self::Memory,
        Self::Topics,
        Self::Persistence,
        Self::Cluster,
        Self::Monitoring,
        Self::Obsolete,
    ];

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Process => "Process and log",
            Self::Security => "Security",
            Self::Memory => "Memory",
            Self::Topics => "Topics",
            Self::Persistence => "Persistence",
            Self::Cluster => "Cluster",
            Self::Monitoring => "Monitoring",
            Self::Obsolete => "Accepted for Disque's sake, without effect",
        }
    }
}

/// When a directive may change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Only at the start of the node.
    AtStart,
    /// Also by `CONFIG SET`, at once.
    AtRunTime,
}

/// Where a directive comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Disque has it, with the same meaning.
    Disque,
    /// New in `ShoalMQ`.
    Ours,
    /// Disque has it; here it is read, shown and kept, and does nothing, for the reason given.
    Obsolete(&'static str),
}

/// A default that depends on the machine.
#[derive(Debug)]
pub(super) struct Computed {
    /// How it is found.
    pub(super) words: &'static str,
    /// A value that could be given in its place.
    pub(super) sample: &'static str,
}

/// A directive of Disque that is read past with a warning: any values, not in `CONFIG GET`.
#[derive(Debug)]
pub(super) struct Ignored {
    pub(super) name: &'static str,
    pub(super) reason: &'static str,
}

/// What a word at the head of a line stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    Directive(&'static Directive),
    Include,
    Ignored(&'static Ignored),
}

/// Stands for a secret that is set.
const HIDDEN: &str = "********";

const INCLUDE: &str = "include";

static IGNORED: [Ignored; 6] = [
    Ignored {
        name: "appendfilename",
        reason: "the storage backend names its own files, inside `dir`",
    },
    Ignored {
        name: "cluster-config-file",
        reason: "a node keeps its identity inside `dir`",
    },
    Ignored {
        name: "cluster-enabled",
        reason: "every node can join a cluster",
    },
    Ignored {
        name: "rename-command",
        reason: "commands keep their names: use `requirepass` and `bind` to keep strangers out",
    },
    Ignored {
        name: "syslog-enabled",
        reason: "the log goes to standard error or to `logfile`; systemd or Docker pass it on",
    },
    Ignored {
        name: "syslog-ident",
        reason: "the log goes to standard error or to `logfile`; systemd or Docker pass it on",
    },
];

impl Directive {
    /// The row of this name, in any case.
    pub fn find(name: &str) -> Option<&'static Self> {
        DIRECTIVES
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name))
    }

    /// The present value, as `CONFIG GET` shows it: of a secret only whether there is one.
    pub fn value(&self, config: &Config) -> String {
        let value = self.words(config).join(" ");
        if self.is_secret() && !value.is_empty() {
            return HIDDEN.to_owned();
        }
        value
    }

    /// The present value, as the words of a line.
    pub(super) fn words(&self, config: &Config) -> Vec<String> {
        (self.read)(config, &self.allowed)
    }

    /// The value that `CONFIG SET`, a flag or the environment gives in one piece or in several.
    pub(super) fn set(&self, config: &mut Config, words: &[String]) -> Option<()> {
        (self.assign)(config, words, &self.allowed)
    }

    /// Whether the value must not be shown.
    pub fn is_secret(&self) -> bool {
        self.allowed == Allowed::Password
    }

    /// How to give a value to a directive that CONFIG SET cannot change.
    fn at_start(&self) -> String {
        format!(
            "it can only be set at a start: in the configuration file, with --{}, or with {}",
            self.name,
            variable(self.name)
        )
    }
}

impl Known {
    /// Why CONFIG SET cannot set it, and what to do instead.
    pub(super) fn advice(self) -> String {
        match self {
            Self::Directive(row) => row.at_start(),
            Self::Include => "it stands in configuration files only".to_owned(),
            Self::Ignored(row) => format!("it has no effect: {}", row.reason),
        }
    }

    pub(super) fn find(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case(INCLUDE) {
            return Some(Self::Include);
        }
        let ignored = IGNORED
            .iter()
            .find(|row| row.name.eq_ignore_ascii_case(name));
        Directive::find(name)
            .map(Self::Directive)
            .or(ignored.map(Self::Ignored))
    }

    fn names() -> impl Iterator<Item = &'static str> {
        let directives = DIRECTIVES.iter().map(|row| row.name);
        directives
            .chain(IGNORED.iter().map(|row| row.name))
            .chain([INCLUDE])
    }
}

/// The known name that `name` is probably a slip of, if one is close.
pub(super) fn closest(name: &str) -> Option<&'static str> {
    suggestion::closest(name.as_bytes(), Known::names())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_directive() {
        assert_eq!(closest("prot"), Some("port"));
        assert_eq!(closest("max-memory"), Some("maxmemory"));
        assert_eq!(closest("append_fsync"), Some("appendfsync"));
        assert_eq!(closest("TCP_BACKLOG"), Some("tcp-backlog"));
        assert_eq!(closest("includes"), Some("include"));
        assert_eq!(closest("save"), None);
        assert_eq!(closest("zzzzzzzz"), None);
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let mut names: Vec<_> = Known::names().collect();
        for name in &names {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{name}"
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
