//! The directives, one row each: the struct, its defaults and the table are all made from these rows.

use super::directive::{Change, Computed, Directive, Group, Standing};
use super::memory;
use super::seeds::{BUS_OFFSET, Host, Seed};
use super::types::{
    AppendFsync, BindAddress, BufferLimit, HttpAuth, HttpPort, LogFormat, LogLevel,
    MaxmemoryPolicy, MemoryPolicy, Password, Storage, StorageOnCorrupt, SyslogFacility, UnixMode,
};
use super::units::{Off, Unit};
use super::value::{Allowed, Setting, YES_OR_NO};
use Standing::{Disque, Obsolete, Ours};
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

/// Builds [`Config`], its `Default` and [`DIRECTIVES`]. A row is
///
/// ```text
/// /// Help.
/// "name" field: Type = default [, or "how it is found", such as "value"];
/// values, when it may change, standing;
/// ```
macro_rules! directives {
    ($($group:ident {$(
        $(#[doc = $help:literal])+
        $name:literal $field:ident: $type:ty = $default:expr
            $(, or $words:literal, such as $sample:literal)?;
        $allowed:expr, $change:ident, $standing:expr;
    )+})+) => {
        /// What a node runs with: one field per directive, and the file that it was started with.
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct Config {
            /// The file that the node was started with, absolute; `CONFIG REWRITE` writes to it.
            pub file: Option<PathBuf>,
            $($(
                $(#[doc = $help])+
                #[doc = concat!("\n\n`", $name, "`: default `", stringify!($default), "`, `", stringify!($allowed), "`.")]
                pub $field: $type,
            )+)+
        }

        impl Default for Config {
            /// Every directive at its default. Reads how many processors and how much memory there are.
            fn default() -> Self {
                Self { file: None, $($($field: $default,)+)+ }
            }
        }

        /// Every directive, in the order of `CONFIG GET *` and of the help.
        pub static DIRECTIVES: &[Directive] = &[$($(Directive {
            name: $name,
            group: Group::$group,
            help: concat!($($help),+),
            allowed: $allowed,
            change: Change::$change,
            standing: $standing,
            computed: directives!(@computed $($words, $sample)?),
            assign: |config, words, allowed| {
                config.$field = Setting::parse(words, allowed)?;
                Some(())
            },
            read: |config, allowed| config.$field.words(allowed),
        },)+)+];
    };
    (@computed) => { None };
    (@computed $words:literal, $sample:literal) => { Some(Computed { words: $words, sample: $sample }) };
}

const INT_MAX: u64 = i32::MAX as u64;
const DAY_MICROS: u64 = 86_400_000_000;

const fn number(min: u64, max: u64) -> Allowed {
    Allowed::Number { min, max }
}

const fn time(unit: Unit, min: u64, max: u64, off: Off) -> Allowed {
    Allowed::Time {
        unit,
        min,
        max,
        off,
    }
}

const fn size(min: u64, max: u64, off: Off) -> Allowed {
    Allowed::Size { min, max, off }
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const PIB: u64 = 1 << 50;

/// One worker per processor up to four: past that, measured, one node gains little.
fn worker_threads() -> NonZeroU16 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    NonZeroU16::new(processors.min(4) as u16).unwrap_or(NonZeroU16::MIN)
}

/// The working directory: `.` made absolute.
fn working_directory() -> PathBuf {
    std::path::absolute(".").unwrap_or_else(|_| PathBuf::from("."))
}

directives! {
    Network {
        /// The TCP port for clients. With 0 the system chooses a free one, which the log and INFO
        /// name.
        "port" port: u16 = 7711;
        number(0, 65535), AtStart, Disque;

        /// The addresses to listen on. Only this machine can connect by default; `*` is every
        /// address, IPv4 and IPv6.
        "bind" bind: Vec<BindAddress> = vec![BindAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        Allowed::Addresses, AtStart, Disque;

        /// The port for HTTP: metrics, health, and a small API. `auto` is `port` + 1000 where that is free; 0
        /// is none.
        "http-port" http_port: HttpPort = HttpPort::Auto;
        Allowed::HttpPort, AtStart, Ours;

        /// The addresses to listen on for HTTP; without one, those of `bind`.
        "http-bind" http_bind: Vec<BindAddress> = Vec::new();
        Allowed::MoreAddresses, AtStart, Ours;

        /// What needs the password of `requirepass` over HTTP (basic or bearer), while one is set: metrics and
        /// the API (`all`), the API alone (`api`), or nothing (`none`). Health is always open.
        "http-auth" http_auth: HttpAuth = HttpAuth::All;
        HttpAuth::ALLOWED, AtRunTime, Ours;

        /// A Unix socket to listen on too.
        "unixsocket" unixsocket: Option<PathBuf> = None;
        Allowed::File, AtStart, Disque;

        /// Access rights of the Unix socket. 0 leaves them to the umask.
        "unixsocketperm" unixsocketperm: Option<UnixMode> = None;
        Allowed::Mode, AtStart, Disque;

        /// How many connections may wait to be accepted. The system may hold it lower: on Linux see
        /// net.core.somaxconn.
        "tcp-backlog" tcp_backlog: u16 = 511;
        number(0, 65535), AtStart, Disque;

        /// Closes a client that is idle for this time, unless it waits for jobs.
        "timeout" timeout: Option<Duration> = None;
        time(Unit::Seconds, 1, INT_MAX, Off::Zero), AtRunTime, Disque;

        /// TCP probes a connection that is silent for this time, and closes it if its other end is gone.
        "tcp-keepalive" tcp_keepalive: Option<Duration> = None;
        time(Unit::Seconds, 1, INT_MAX, Off::No), AtRunTime, Disque;

        /// How many clients may be connected at once. Others get an error and are disconnected.
        "maxclients" maxclients: NonZeroU32 = const { NonZeroU32::new(10_000).expect("not 0") };
        number(1, INT_MAX), AtRunTime, Disque;

        /// A client that does not read its replies is closed when more than HARD bytes wait for it, or
        /// more than SOFT bytes for SECONDS. 0 is no limit.
        "client-output-buffer-limit" client_output_buffer_limit: BufferLimit = BufferLimit::default();
        Allowed::BufferLimit, AtRunTime, Disque;
    }

    Process {
        /// The folder that holds the node's data. A new value takes effect at the next start.
        "dir" dir: PathBuf = working_directory(), or "the working directory", such as ".";
        Allowed::Folder, AtRunTime, Disque;

        /// The file that the server appends its log to. SIGHUP reopens it. Without a file, the log goes
        /// to standard error.
        "logfile" logfile: Option<PathBuf> = None;
        Allowed::File, AtStart, Disque;

        /// The lowest level that is logged. `info` and `warn` mean `notice` and `warning`.
        "loglevel" loglevel: LogLevel = LogLevel::Notice;
        LogLevel::ALLOWED, AtRunTime, Disque;

        /// How a line of the log looks: for people, or one JSON object per line.
        "log-format" log_format: LogFormat = LogFormat::Text;
        LogFormat::ALLOWED, AtStart, Ours;

        /// The file that the process id is written to. It is removed at the end. If it cannot be written,
        /// the node starts with a warning.
        "pidfile" pidfile: Option<PathBuf> = None;
        Allowed::File, AtStart, Disque;

        /// How many threads serve clients.
        "worker-threads" worker_threads: NonZeroU16 = worker_threads(),
            or "one per processor, at most 4", such as "4";
        number(1, 256), AtStart, Ours;

        /// How long a stop may take to hand queued jobs to other nodes and to let clients go, before it is
        /// cut short. Closing the log may take 12 s more.
        "shutdown-timeout" shutdown_timeout: Duration = Duration::from_secs(10);
        time(Unit::Seconds, 0, 86_400, Off::Never), AtRunTime, Ours;
    }

    Security {
        /// The password that clients must give with AUTH. A new one also applies to connected clients: they
        /// must authenticate again.
        "requirepass" requirepass: Option<Password> = None;
        Allowed::Password, AtRunTime, Disque;

        /// Without a password, refuse clients from other machines.
        "protected-mode" protected_mode: bool = true;
        YES_OR_NO, AtRunTime, Ours;
    }

    Memory {
        /// How much memory jobs may take. With `memory-policy spill`, bodies that may leave memory do not count
        /// for what follows. From 75 % of it a node keeps no copy of new jobs; if no other node takes copies either,
        /// it refuses all new jobs and is not ready. From 95 % it throws out what `maxmemory-policy` names; at 100 %
        /// it refuses what needs memory. 0 is no limit.
        "maxmemory" maxmemory: Option<NonZeroU64> = memory::default_maxmemory(),
            or "70 % of the memory of the machine or of the cgroup", such as "1gb";
        size(1, PIB, Off::Zero), AtRunTime, Disque;

        /// What may be thrown out when memory is short: acknowledged jobs and delivered at-most-once
        /// jobs (`acks`), or nothing.
        "maxmemory-policy" maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Acks;
        MaxmemoryPolicy::ALLOWED, AtRunTime, Disque;

        /// How many queues have series of their own in the metrics; the rest share the series `__other__`.
        /// When a queue goes, one of the rest takes its place. Each node chooses its own: first come, first
        /// served. 0 leaves the sum of all.
        "metrics-max-queues" metrics_max_queues: u32 = 1000;
        number(0, 100_000), AtRunTime, Ours;

        /// How many channels of topics, and how many named cursors, have series of their own in the metrics; the rest share
        /// the series `__other__`. A channel that goes makes room for a new one. 0 leaves the sum of all channels.
        "metrics-max-topics" metrics_max_topics: u32 = 100;
        number(0, 10_000), AtRunTime, Ours;

        /// What happens to jobs that memory does not hold. `spill`: from 75 % of `maxmemory` the bodies of
        /// those that are delivered last stay in the log alone, and are read from there; what counts against
        /// `maxmemory` is then what must stay in memory, some 150 bytes a job. `refuse`, or where nothing is kept
        /// on disk: more jobs are refused.
        "memory-policy" memory_policy: MemoryPolicy = MemoryPolicy::Spill;
        MemoryPolicy::ALLOWED, AtRunTime, Ours;
    }

    Topics {
        /// Whether this node keeps topics and serves them. Every member of the cluster that does keeps every entry; one that
        /// does not answers `-NOTOPICS`.
        "topics" topics: bool = true;
        YES_OR_NO, AtStart, Ours;

        /// How many members have an entry that was published without REPLICATE before its publisher is answered, and before
        /// anybody reads it; where fewer are present, all of these, but `min-replicate` at least. An entry that cannot get
        /// them is read after `topic-stall` all the same.
        "topic-replicate" topic_replicate: NonZeroU16 = const { NonZeroU16::new(3).expect("not 0") };
        number(1, 64), AtRunTime, Ours;

        /// How long a member may leave a question about topics unanswered before readers at the others go on without it.
        "topic-stall" topic_stall: Duration = Duration::from_secs(1);
        time(Unit::Milliseconds, 100, 60_000, Off::Never), AtRunTime, Ours;

        /// How much memory topics may take: the index of all entries, some 20 bytes each, and the newest entries. With
        /// nothing on disk it holds all entries. When it is full, TPUB is refused.
        "topic-max-memory" topic_max_memory: u64 = GIB;
        size(MIB, PIB, Off::Never), AtRunTime, Ours;

        /// How much of the disk topics may take. Above it the oldest entries go of channels without a rule of TRETAIN; where
        /// rules hold all that is there, TPUB is refused. 0 is a quarter of the disk, but at least 1 GiB.
        "topic-max-disk" topic_max_disk: Option<NonZeroU64> = None, or "a quarter of the disk, at least 1 GiB", such as "0";
        size(64 * MIB, PIB, Off::Zero), AtRunTime, Ours;

        /// How long, in milliseconds, TPUB remembers a key of DEDUP.
        "topic-dedup-window" topic_dedup_window: Duration = Duration::from_mins(2);
        time(Unit::Milliseconds, 1, 86_400_000, Off::Never), AtRunTime, Ours;
    }

    Persistence {
        /// Whether jobs are kept on disk.
        "appendonly" appendonly: bool = true;
        YES_OR_NO, AtRunTime, Disque;

        /// When what was written is forced to disk: before the reply (`always`), or within two seconds
        /// of it. Only `always` loses nothing when every node that holds a copy crashes at once.
        "appendfsync" appendfsync: AppendFsync = AppendFsync::Everysec;
        AppendFsync::ALLOWED, AtRunTime, Disque;

        /// What keeps jobs on disk: `sled`, or `log`, plain files that take a fraction of its CPU, memory and writes. A
        /// folder with the jobs of one is not opened by the other: `shoalmq storage convert`. `memory` keeps none, as
        /// does `appendonly no`.
        "storage" storage: Storage = Storage::Sled;
        Storage::ALLOWED, AtStart, Ours;

        /// How many bytes a segment of the log holds. A segment is dropped from disk as a whole.
        "storage-segment-size" storage_segment_size: u64 = 16 * MIB;
        size(MIB, GIB, Off::Never), AtStart, Ours;

        /// Adds stop when the disk has no more than this left: acknowledgements, deletions and the
        /// compaction of the log may use it. 0 is the smaller of 5 % of the disk and 1 GiB, but at least
        /// two segments. On a disk of less than 24 segments, segments are smaller.
        "disk-reserve" disk_reserve: Option<NonZeroU64> = None, or "5 % of the disk, at most 1 GiB", such as "0";
        size(1, PIB, Off::Zero), AtRunTime, Ours;

        /// How far the files of the log may grow above what its live jobs need: this many percent, and
        /// 256 MiB. The oldest segments are compacted in time. 0 leaves that to BGREWRITEAOF.
        "auto-aof-rewrite-percentage" auto_aof_rewrite_percentage: u32 = 100;
        number(0, INT_MAX), AtRunTime, Disque;

        /// A log that is smaller is compacted only by BGREWRITEAOF, as is any below 64 MiB.
        "auto-aof-rewrite-min-size" auto_aof_rewrite_min_size: u64 = 64 * MIB;
        size(0, PIB, Off::Never), AtRunTime, Disque;

        /// Whether a node starts when the end of its log is torn, as a crash leaves it: the torn end is
        /// dropped with a warning. With `no` it refuses to start.
        "aof-load-truncated" aof_load_truncated: bool = true;
        YES_OR_NO, AtRunTime, Disque;

        /// What a start does when the log is damaged before its end. `refuse`: it names the place and
        /// stops, for these may be the only copies. `set-aside`: it renames the folder of the log to
        /// `sled.corrupt-` or `log.corrupt-` with the time in seconds and starts empty, and the other
        /// nodes replace the copies that it held. Topics have a folder of their own (`sled-topics`,
        /// `log-topics`): damage there leaves the jobs where they are, and the other way round.
        "storage-on-corrupt" storage_on_corrupt: StorageOnCorrupt = StorageOnCorrupt::Refuse;
        StorageOnCorrupt::ALLOWED, AtRunTime, Ours;

        /// Put jobs back in their queues at the next start, once: this directive is then `no` again.
        /// Jobs that were being worked on are delivered again.
        "aof-enqueue-jobs-once" aof_enqueue_jobs_once: bool = false;
        YES_OR_NO, AtRunTime, Disque;
    }

    Cluster {
        /// The port for other nodes, TCP and UDP. 0 stands for `port` + 10000, which must not be above
        /// 65535.
        "cluster-port" cluster_port: u16 = 0;
        number(0, 65535), AtStart, Ours;

        /// Nodes to join at the start: `host:port` with their port for clients, `host:port@bus` when
        /// `cluster-port` is not the usual one, or one DNS name of several nodes that have the ports of
        /// this one. Names are looked up again and again; one node that answers is enough.
        "cluster-join" cluster_join: Vec<Seed> = Vec::new();
        Allowed::Seeds, AtStart, Ours;

        /// The name or address that other nodes reach this node at; clients are told the address. Without
        /// one it is found out: from `bind` when that is one address, else from the way to other nodes.
        "cluster-announce-host" cluster_announce_host: Option<Host> = None;
        Allowed::Host, AtStart, Ours;

        /// Nodes with another name are refused, so that two clusters on one network never become one.
        "cluster-name" cluster_name: String = "shoal".to_owned();
        Allowed::Text { min: 1, max: 64 }, AtStart, Ours;

        /// The secret that the nodes of a cluster prove to each other. Without one, protected mode keeps
        /// out nodes on other machines.
        "cluster-secret" cluster_secret: Option<Password> = None;
        Allowed::Password, AtStart, Ours;

        /// How long another node may be silent before it counts as failed.
        "cluster-node-timeout" cluster_node_timeout: Duration = Duration::from_secs(3);
        time(Unit::Milliseconds, 1, INT_MAX, Off::Never), AtRunTime, Disque;

        /// Where this node is: a rack, a data centre. Copies of a job go to other zones first.
        "zone" zone: String = String::new();
        Allowed::Text { min: 0, max: 64 }, AtStart, Ours;

        /// The most bytes of a RESULT of ACKJOB. What is larger belongs where workers and producers both can read it, and its
        /// place into the result.
        "result-max-size" result_max_size: u32 = 65_536;
        number(0, 65_536), AtRunTime, Ours;

        /// How many nodes hold a job that was added without REPLICATE. While the cluster has fewer nodes, a
        /// job has fewer copies, and gets the missing ones later.
        "default-replicate" default_replicate: NonZeroU16 = const { NonZeroU16::new(3).expect("not 0") };
        number(1, 65535), AtRunTime, Ours;

        /// How many nodes must hold a job that was added without REPLICATE before its producer is answered;
        /// in a smaller cluster, all of them. A number above `default-replicate` counts as `default-replicate`.
        "min-replicate" min_replicate: NonZeroU16 = const { NonZeroU16::new(2).expect("not 0") };
        number(1, 65535), AtRunTime, Ours;

        /// How long a node may be away before other nodes get new copies of the jobs that it held.
        "heal-delay" heal_delay: Duration = Duration::from_mins(1);
        time(Unit::Seconds, 0, INT_MAX, Off::Never), AtRunTime, Ours;

        /// How long after CLUSTER LEAVING the jobs of this node begin to move to others.
        "leaving-grace" leaving_grace: Duration = Duration::from_secs(5);
        time(Unit::Seconds, 0, INT_MAX, Off::Never), AtRunTime, Ours;
    }

    Monitoring {
        /// Commands that take at least this long enter the slow log. 0 logs all commands.
        "slowlog-log-slower-than" slowlog_log_slower_than: Option<Duration> =
            Some(Duration::from_millis(10));
        time(Unit::Microseconds, 0, DAY_MICROS, Off::Negative), AtRunTime, Disque;

        /// How many commands the slow log keeps.
        "slowlog-max-len" slowlog_max_len: u32 = 128;
        number(0, 1_000_000), AtRunTime, Disque;

        /// Events that take at least this long are kept for LATENCY.
        "latency-monitor-threshold" latency_monitor_threshold: Option<Duration> = None;
        time(Unit::Milliseconds, 1, INT_MAX, Off::Zero), AtRunTime, Disque;
    }

    Obsolete {
        /// Run in the background.
        "daemonize" daemonize: bool = false;
        YES_OR_NO, AtStart, Obsolete("the node stays in the foreground: use systemd, Docker, or `&`");

        /// How many jobs to look at for one to throw out.
        "maxmemory-samples" maxmemory_samples: u32 = 5;
        number(1, INT_MAX), AtRunTime, Obsolete("jobs to throw out are known, not searched for");

        /// Do not force the log to disk during a rewrite.
        "no-appendfsync-on-rewrite" no_appendfsync_on_rewrite: bool = false;
        YES_OR_NO, AtRunTime, Obsolete("a rewrite does not hold up the log");

        /// Force a rewritten log to disk bit by bit.
        "aof-rewrite-incremental-fsync" aof_rewrite_incremental_fsync: bool = true;
        YES_OR_NO, AtRunTime, Obsolete("the log is written in small segments");

        /// How often background work runs, per second.
        "hz" hz: u32 = 10;
        number(0, INT_MAX), AtRunTime, Obsolete("background work runs when it is due");

        /// Spend idle time on hash tables.
        "activerehashing" activerehashing: bool = true;
        YES_OR_NO, AtStart, Obsolete("hash tables need no such time");

        /// How many databases there are.
        "databases" databases: u32 = 16;
        number(1, INT_MAX), AtStart, Obsolete("there is one");

        /// Log a trace when a command takes this long.
        "watchdog-period" watchdog_period: Option<Duration> = None;
        time(Unit::Milliseconds, 1, INT_MAX, Off::Zero), AtRunTime, Obsolete("see the slow log");

        /// The facility for the system log.
        "syslog-facility" syslog_facility: SyslogFacility = SyslogFacility::Local0;
        SyslogFacility::ALLOWED, AtStart,
        Obsolete("the log goes to standard error or to `logfile`; systemd or Docker pass it on");
    }
}

impl Config {
    /// The backend that keeps jobs, with `appendonly` taken into account.
    pub fn backend(&self) -> Storage {
        if self.appendonly {
            self.storage
        } else {
            Storage::Memory
        }
    }

    /// The port for other nodes when clients connect to `port`. Where the system chose that one and nothing fits above
    /// it, the system chooses this one too: 0.
    pub fn bus_port(&self, port: u16) -> u16 {
        match self.cluster_port {
            0 => port.checked_add(BUS_OFFSET).unwrap_or(0),
            given => given,
        }
    }
}
