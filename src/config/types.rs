//! The types of directives that are more than a number, a name or a path.

use super::units::{digits, size};
use super::value::{Allowed, Setting, single};
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU64};
use std::time::Duration;

/// An enum whose variants are words: the first is shown, the others are taken too.
macro_rules! words_enum {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$variant_doc:meta])* $variant:ident = $word:literal $(| $synonym:literal)*,)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            pub(super) const ALLOWED: Allowed = Allowed::OneOf(&[$(&[$word $(, $synonym)*]),+]);

            /// The word, as `CONFIG GET` shows it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl Setting for $name {
            fn parse(words: &[String], _: &Allowed) -> Option<Self> {
                match single(words)?.to_ascii_lowercase().as_str() {
                    $($word $(| $synonym)* => Some(Self::$variant),)+
                    _ => None,
                }
            }

            fn words(&self, _: &Allowed) -> Vec<String> {
                vec![self.as_str().to_owned()]
            }
        }
    };
}

words_enum! {
    /// The least that is logged.
    LogLevel {
        /// All there is, each event and effect.
        Trace = "trace",
        /// What helps to find a fault.
        Debug = "debug",
        /// As `debug`: Disque's word for a little less.
        Verbose = "verbose",
        /// What an operator wants to read back.
        Notice = "notice" | "info",
        /// What asks an operator to look.
        Warning = "warning" | "warn",
        /// What stops the node.
        Error = "error",
    }
}

words_enum! {
    /// How a line of the log looks.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

words_enum! {
    /// When what was written is forced to disk.
    AppendFsync {
        /// Before the reply.
        Always = "always",
        /// Once a second, beside the replies.
        Everysec = "everysec",
        /// When the system likes to.
        No = "no",
    }
}

words_enum! {
    /// What may be thrown out when memory is short.
    MaxmemoryPolicy {
        /// Acknowledged jobs, and delivered ones that are never delivered again.
        Acks = "acks",
        /// Nothing: adds are refused.
        Noeviction = "noeviction",
    }
}

words_enum! {
    /// What happens when jobs need more memory than there is.
    MemoryPolicy {
        /// Bodies leave memory, and are read back from the log.
        Spill = "spill",
        /// Jobs are refused.
        Refuse = "refuse",
    }
}

words_enum! {
    /// What a start does when the job log is damaged.
    StorageOnCorrupt {
        /// It refuses, and changes nothing.
        Refuse = "refuse",
        /// It moves the log away, and goes on without one.
        SetAside = "set-aside",
    }
}

words_enum! {
    /// What is asked for a password over HTTP.
    HttpAuth {
        /// Metrics and the API.
        All = "all",
        /// The API.
        Api = "api",
        /// Nothing.
        None = "none",
    }
}

/// Where HTTP is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpPort {
    /// 1000 above the port for clients, where that is free.
    Auto,
    /// Nowhere.
    Off,
    /// There.
    Port(NonZeroU16),
}

impl Setting for HttpPort {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let word = single(words)?;
        if word.eq_ignore_ascii_case("auto") {
            return Some(HttpPort::Auto);
        }
        let port = Some(word).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        let port: u16 = port?.parse().ok()?;
        Some(NonZeroU16::new(port).map_or(HttpPort::Off, HttpPort::Port))
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![match self {
            HttpPort::Auto => "auto".to_owned(),
            HttpPort::Off => "0".to_owned(),
            HttpPort::Port(port) => port.to_string(),
        }]
    }
}

words_enum! {
    /// What keeps jobs on disk.
    Storage {
        /// sled, as an append log.
        Sled = "sled",
        /// Segment files of its own.
        Log = "log",
        /// Nothing: jobs live in memory only.
        Memory = "memory",
    }
}

words_enum! {
    /// Disque's facility for the system log. Kept, without effect.
    SyslogFacility {
        /// For programs of users.
        User = "user",
        /// For local use, as are the others.
        Local0 = "local0",
        /// See `Local0`.
        Local1 = "local1",
        /// See `Local0`.
        Local2 = "local2",
        /// See `Local0`.
        Local3 = "local3",
        /// See `Local0`.
        Local4 = "local4",
        /// See `Local0`.
        Local5 = "local5",
        /// See `Local0`.
        Local6 = "local6",
        /// See `Local0`.
        Local7 = "local7",
    }
}

impl LogLevel {
    /// The level of `tracing` that this one asks for.
    pub fn tracing_level(self) -> tracing::Level {
        match self {
            Self::Trace => tracing::Level::TRACE,
            Self::Debug | Self::Verbose => tracing::Level::DEBUG,
            Self::Notice => tracing::Level::INFO,
            Self::Warning => tracing::Level::WARN,
            Self::Error => tracing::Level::ERROR,
        }
    }
}

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BindAddress {
    /// Every address of the machine, IPv4 and IPv6: `*`.
    Every,
    /// One address.
    Ip(IpAddr),
    /// The addresses of a host name, looked up at the start.
    Name(String),
}

impl BindAddress {
    fn parse(word: &str) -> Option<Self> {
        if word == "*" {
            return Some(Self::Every);
        }
        let ip = word.parse().ok().map(Self::Ip);
        ip.or_else(|| is_host_name(word).then(|| Self::Name(word.to_ascii_lowercase())))
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Whether a word can be a host name. A last label of digits only is a slip in an IP address.
pub(super) fn is_host_name(word: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = word.rsplit('.').next().unwrap_or(word);
    word.len() <= 253 && word.split('.').all(label) && digits(last).is_none()
}

const ADDRESSES_MAX: usize = 16;

impl Setting for Vec<BindAddress> {
    fn parse(words: &[String], allowed: &Allowed) -> Option<Self> {
        if *allowed == Allowed::MoreAddresses && single(words) == Some("") {
            return Some(Vec::new());
        }
        let addresses: Option<Self> = pieces(words).map(BindAddress::parse).collect();
        addresses.filter(|addresses| (1..=ADDRESSES_MAX).contains(&addresses.len()))
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        if self.is_empty() {
            return vec![String::new()];
        }
        self.iter().map(ToString::to_string).collect()
    }
}

/// When a client that does not read its replies is closed. `Default` is never.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BufferLimit {
    /// Bytes waiting for it that close it at once.
    pub hard: Option<NonZeroU64>,
    /// Bytes waiting for it that close it when they last for `soft_time`.
    pub soft: Option<NonZeroU64>,
    /// How long it may stay above `soft`.
    pub soft_time: Duration,
}

const SOFT_SECONDS_MAX: u64 = i32::MAX as u64;

impl Setting for BufferLimit {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let words: Vec<&str> = pieces(words).collect();
        let [class, hard, soft, seconds] = words[..] else {
            return None;
        };
        let seconds = digits(seconds).filter(|seconds| *seconds <= SOFT_SECONDS_MAX)?;
        class.eq_ignore_ascii_case("normal").then_some(())?;
        Some(Self {
            hard: NonZeroU64::new(size(hard)?),
            soft: NonZeroU64::new(size(soft)?),
            soft_time: Duration::from_secs(seconds),
        })
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        let bytes = |limit: Option<NonZeroU64>| limit.map_or(0, NonZeroU64::get).to_string();
        let seconds = self.soft_time.as_secs().to_string();
        vec![
            "normal".to_owned(),
            bytes(self.hard),
            bytes(self.soft),
            seconds,
        ]
    }
}

/// The words of a list, which `CONFIG SET` and the environment give as one.
pub(super) fn pieces(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|word| word.split_ascii_whitespace())
}

/// Access rights of the Unix socket: the nine low bits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnixMode(u16);

impl UnixMode {
    /// The bits, as `chmod` takes them.
    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

impl Setting for Option<UnixMode> {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let word = single(words).filter(|word| word.bytes().all(|byte| byte.is_ascii_digit()))?;
        let bits = u16::from_str_radix(word, 8)
            .ok()
            .filter(|bits| *bits <= 0o777)?;
        Some((bits != 0).then_some(UnixMode(bits)))
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![format!("{:o}", self.map_or(0, UnixMode::bits))]
    }
}

/// A password: never shown by `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(String);

const PASSWORD_MAX: usize = 512;

impl Password {
    /// The password itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is it, in a time that does not tell how much of it was right.
    pub fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut differing = own.len() ^ given.len();
        for i in 0..PASSWORD_MAX {
            let (own, given) = (own.get(i).copied(), given.get(i).copied());
            differing |= usize::from(own.unwrap_or(0) ^ given.unwrap_or(0));
        }
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Setting for Option<Password> {
    fn parse(words: &[String], _: &Allowed) -> Option<Self> {
        let word = single(words).filter(|word| word.len() <= PASSWORD_MAX)?;
        Some((!word.is_empty()).then(|| Password(word.to_owned())))
    }

    fn words(&self, _: &Allowed) -> Vec<String> {
        vec![
            self.as_ref()
                .map_or_else(String::new, |password| password.0.clone()),
        ]
    }
}
