//! Every bound of the core, with its reason.

use std::time::Duration;

/// A job that names no retry gets a tenth of its ttl, within these bounds, in seconds: Disque's rule.
pub(crate) const DEFAULT_RETRY_MIN: u32 = 1;
pub(crate) const DEFAULT_RETRY_MAX: u32 = 300;

/// How long an empty queue stays, so that its figures do not vanish between two bursts; less when memory is short.
pub(crate) const QUEUE_IDLE: Duration = Duration::from_mins(5);
pub(crate) const QUEUE_IDLE_EXTERNAL: Duration = Duration::from_secs(10);
pub(crate) const QUEUE_IDLE_EVICT: Duration = Duration::from_secs(2);

/// How long a dead letter lives when no policy says otherwise, in seconds: a week, so that those of a weekend are still there.
pub(crate) const DEAD_TTL: u32 = 7 * 86_400;
/// What is put behind the name of a queue to name that of its dead letters.
pub(crate) const DEAD_SUFFIX: &[u8] = b".dead";

/// How long a command on a job that is not held here waits for the node that it is passed to.
pub(crate) const FIND_WITHIN: Duration = Duration::from_secs(1);

/// One step of REDRIVE moves at most this many jobs, and the next step follows after the pause: 200 thousand a second, while
/// clients get their turns.
pub(crate) const REDRIVE_PER_STEP: u32 = 1000;
pub(crate) const REDRIVE_PAUSE: Duration = Duration::from_millis(5);

/// Under memory pressure a sweep looks at all queues this often, rather than at every refused command.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// An at-most-once job whose delay ends while its queue is paused has no retry to wait for: it tries again after this.
pub(crate) const PAUSED_RETRY_SECS: u32 = 1;

/// How much earlier than its requeue a node looks at a job, to warn the other holders.
pub(crate) const WILLQUEUE_AHEAD: Duration = Duration::from_millis(500);

/// The shortest and the longest time that a holder without the turn waits after the holder with the turn should have
/// acted: longer than a message takes, and long enough that holders that all lost touch do not act at once.
pub(crate) const STAGGER_MIN: Duration = Duration::from_millis(100);
pub(crate) const STAGGER_MAX: Duration = Duration::from_secs(1);

/// When a holder comes back, this node tells it which jobs are queued here. One step covers this many slots, and the next
/// step follows after the pause: at most 200 thousand messages a second, some 7 MB.
pub(crate) const TELL_PER_TICK: u32 = 1024;
pub(crate) const TELL_PAUSE: Duration = Duration::from_millis(5);

/// After a start, a node asks another holder of a job before it queues the job. If no link comes up within this time,
/// the node must be alone.
pub(crate) const ALONE_AFTER: Duration = Duration::from_secs(10);
/// Most links are up within milliseconds of a start; a holder whose link is not up by then is taken to be away.
pub(crate) const LINKS_WITHIN: Duration = Duration::from_secs(2);
/// How often a job looks whether a link to a holder is up by then.
pub(crate) const ALONE_CHECK: Duration = Duration::from_secs(1);
/// How long other holders have to answer, after a start, about a job that was queued here before the stop: they have many
/// questions of their own at that moment.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// Jobs that begin to ask per millisecond after a start: a million jobs take ten seconds.
pub(crate) const SETTLE_PER_MS: u64 = 100;

/// One step of handing over sends at most this many jobs and bytes of bodies, and the next step follows after the pause:
/// 25 thousand jobs or 25 MB a second, which leaves room for the node's own clients.
pub(crate) const HAND_OVER_PER_TICK: usize = 256;
/// Slots that such a step looks at.
pub(crate) const HAND_OVER_SLOTS: u32 = 1024;
pub(crate) const HAND_OVER_BYTES_PER_TICK: usize = 256 << 10;
pub(crate) const HAND_OVER_PAUSE: Duration = Duration::from_millis(10);
/// Most moves that are not confirmed yet: a node that does not answer gets no more than these.
pub(crate) const HAND_OVER_UNCONFIRMED: usize = 4096;
/// How long a move waits for its answer.
pub(crate) const HAND_OVER_PATIENCE: Duration = Duration::from_secs(2);
/// A pass over all jobs follows the last one after this.
pub(crate) const HAND_OVER_AGAIN: Duration = Duration::from_secs(1);

/// The log ties the timeline to the wall clock this often: what a crash can cost in accuracy of ttl and delay.
pub(crate) const MARK_EVERY: Duration = Duration::from_mins(1);

/// A wall clock that is off by more than this since the last mark has jumped, and the log wants a new mark.
pub(crate) const WALL_JUMP_MS: u64 = 1000;

/// Due jobs that one tick handles (about 2 ms), so that a million delays that end at once hold up nobody.
pub(crate) const DUE_PER_TICK: usize = 8192;

/// The most that one tick of a pass over the log does (under 1 ms): slots it looks at, jobs it records again, and bytes of
/// those records. The next tick follows after the pause.
pub(crate) const REWRITE_SLOTS: u32 = 16 * 1024;
pub(crate) const REWRITE_RECORDS: u32 = 512;
pub(crate) const REWRITE_BYTES: u64 = 256 << 10;
pub(crate) const REWRITE_PAUSE: Duration = Duration::from_millis(2);
/// When a pass is urgent, one tick records this many times as many bytes as were recorded since the last tick, within the
/// following bounds for slots, jobs and bytes (under 4 ms).
pub(crate) const REWRITE_FACTOR: u64 = 4;
pub(crate) const REWRITE_SLOTS_URGENT: u32 = 64 * 1024;
pub(crate) const REWRITE_RECORDS_URGENT: u32 = 8192;
pub(crate) const REWRITE_BYTES_URGENT: u64 = 4 << 20;
/// The pause while records wait for the disk.
pub(crate) const REWRITE_PAUSE_SLOW: Duration = Duration::from_millis(10);

/// One stop event records where the jobs in this many slots stand (some 4 MB): a stop with ten million jobs takes no more
/// memory than a stop with a few.
pub(crate) const STANDINGS_PER_STOP: u32 = 1 << 16;

/// Settings of one kind, and bytes of all of them, that clients may make: every node keeps all of them, and records them
/// again in each segment of its log. What other nodes have is taken over in any case.
pub(crate) const SETTINGS_OF_A_KIND: usize = 10_000;
pub(crate) const SETTINGS_BYTES: usize = 4 << 20;
/// What a setting takes beside its name and its value.
pub(crate) const SETTING_BYTES: usize = 160;
/// A message with settings holds about this much, so that others get through.
pub(crate) const SETTINGS_BATCH_BYTES: usize = 64 << 10;
/// Nodes whose jobs a node has heard of: twice as many as a cluster has, for some that left it.
pub(crate) const STAMPS: usize = 130;
/// The greatest creation time that is believed of another node: beyond the year 2200, and far from where creation times end.
pub(crate) const CREATED: u64 = 1 << 63;
/// How long a removed setting stays as an empty entry, and a mark of a purge at all: no node should be away for longer and still hold what was removed.
pub(crate) const SETTING_REMOVED_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Other nodes that a node can know at once, so that a set of them is one word: every job has such a set. A cluster
/// of 65 nodes is far past what full-mesh links are good for.
pub(crate) const PEERS: usize = 64;
/// Forgotten nodes that a node remembers, to tell them from unknown ones: as many as it can know at once.
pub(crate) const FORGOTTEN_PEERS: usize = PEERS;
/// Lists of holders kept ready: three copies on 16 nodes make 105 different ones.
pub(crate) const HOLDER_LISTS: usize = 1024;

/// How long a member that cannot be reached is expected back: a restart takes seconds, and ADDJOB waits for it if its client does.
pub(crate) const EXPECTED_BACK: Duration = Duration::from_secs(10);

/// How often a node repeats its interest in the jobs of other nodes, and how long the interest holds without a refresh:
/// two refreshes may be lost.
pub(crate) const INTEREST_REFRESH: Duration = Duration::from_secs(2);
pub(crate) const INTEREST_EXPIRES: Duration = Duration::from_secs(5);
/// How long interest outlasts the last client that waits: a client that asks in a loop must not announce and cancel it
/// each time.
pub(crate) const INTEREST_LINGER: Duration = Duration::from_millis(200);
/// How long a job stays where it is ready before it goes to a node that wants it, but where no client waits: a client here
/// may be about to take it.
pub(crate) const STAYS_READY: Duration = Duration::from_millis(50);
/// How long a client that waited and got a job counts as waiting: it works on the job, and comes back.
pub(crate) const BACK_WITHIN: Duration = Duration::from_millis(50);
/// A GETJOB that ends within this counts as one that does not wait: a job from another node may come too late. So peers hear
/// in time that nobody waits any more.
pub(crate) const BRIEF_WAIT: Duration = Duration::from_millis(10);
/// How long a GETJOB NOHANG that found nothing counts as wanting jobs, and how many at most.
pub(crate) const MISS_HOLDS: Duration = Duration::from_secs(1);
pub(crate) const MISS_MAX: u64 = 100;
/// How long a client waits for the known sources before others are asked: a few round trips in a data centre.
pub(crate) const DISCOVER_AFTER: Duration = Duration::from_millis(5);
/// Jobs that a node has ready ahead of its fastest clients: Disque's most per request.
pub(crate) const LOOKAHEAD: u64 = 100;
/// The fewest jobs to ask one source for, if that many are wanted: fewer messages than asking all sources for a few.
pub(crate) const SHARE_MIN: u64 = 8;
/// Jobs that one peer may ask for at once, however many of its clients wait.
pub(crate) const CREDIT: u64 = 1024;
/// What goes to one peer at once, and the pause before more follows: other messages must get through.
pub(crate) const SHIP_JOBS: usize = 128;
pub(crate) const SHIP_BYTES: usize = 1 << 20;
pub(crate) const SHIP_PAUSE: Duration = Duration::from_millis(2);
/// Jobs that one shipping looks at beyond what is asked for: a queue may begin with many that nobody may get.
pub(crate) const SHIP_LOOKS: usize = 64;
/// How often a job moves on without being delivered.
pub(crate) const MOVES: u8 = 3;
/// Queues that jobs of other nodes are wanted of, and how long after the last client their figures are kept.
pub(crate) const WANTS: usize = 1 << 16;
pub(crate) const WANT_IDLE: Duration = Duration::from_secs(30);
/// Queues that peers want jobs of, and the bytes of their names.
pub(crate) const INTERESTS: usize = 1 << 16;
pub(crate) const INTEREST_NAME_BYTES: usize = 16 << 20;
/// Moves to other nodes that are not settled: a round trip's worth. Beyond it the normal retry must do.
pub(crate) const UNSETTLED: usize = 1 << 16;
/// How long the nodes that may have got a job over a broken link have to say so.
pub(crate) const SETTLE_WITHIN: Duration = Duration::from_millis(500);
/// How long a peer counts as one that sends jobs, for QSTAT.
pub(crate) const IMPORT_LATELY: Duration = Duration::from_secs(30);
/// What wanting jobs of a queue takes, beside its name: with a few peers asked.
pub(crate) const WANT_BYTES: usize = 600;
/// What interest of peers in a queue takes, beside its name: with a few peers.
pub(crate) const INTEREST_BYTES: usize = 400;
/// What an unsettled move takes.
pub(crate) const MOVE_BYTES: usize = 96;

/// A node tells the holders of an acked job again, if they do not answer, after the shortest time, then after twice that,
/// and so on up to the longest: Disque's rule.
pub(crate) const ACK_RETRY_MIN: Duration = Duration::from_secs(1);
pub(crate) const ACK_RETRY_MAX: Duration = Duration::from_mins(3);
/// A holder leaves the collection of an ack to the node that told it of the ack for this long, and up to a quarter more.
pub(crate) const ACK_PATIENCE: Duration = Duration::from_secs(5);
/// When a peer comes or is gone, a pass goes over all acked jobs. One step looks at this many: at most 100 000 a second,
/// some 6 MB, so that no outbox overflows.
pub(crate) const ACKS_PER_STEP: usize = 1024;
pub(crate) const ACK_STEP_PAUSE: Duration = Duration::from_millis(10);
/// The most tombstones: some 200 MB.
pub(crate) const TOMBSTONES: usize = 1 << 20;

/// The shortest time that a node remembers the id of a job that is over, to refuse copies that come late: longer than any
/// outbox or slow disk holds a copy back.
pub(crate) const FORGOTTEN_FOR: Duration = Duration::from_mins(5);
/// The most ids that wait to be remembered where a node is alone: putting them into the tables takes some 5 ms.
pub(crate) const FORGOTTEN_ALONE: usize = 1 << 15;
/// The most ids that are remembered: two generations of 64 tables of 8192 places each, full to 7/8. Some 26 MB.
pub(crate) const FORGOTTEN: usize = 2 * 64 * 7168;

/// Remembered ids and tombstones serve only to clean up: each takes at most this part of maxmemory.
const CLEANING_SHARE: u64 = 16;

/// How many things of `bytes` each may be kept for cleaning up; `most` if memory is not limited.
pub(crate) fn share(max_memory: u64, bytes: usize, most: usize) -> usize {
    if max_memory == 0 {
        return most;
    }
    let fitting = max_memory / CLEANING_SHARE / bytes as u64;
    usize::try_from(fitting).unwrap_or(most).min(most)
}

/// ADDJOB asks one more node for a copy when confirmations are missing for this time, or for this multiple of the usual
/// wait if that is longer: a slow disk must not cause more copies, which would make it slower.
pub(crate) const ASK_MORE_AFTER: Duration = Duration::from_millis(50);
pub(crate) const ASK_MORE_MEDIANS: u32 = 4;
/// How often ADDJOB asks the nodes that did not answer again, once all nodes were asked.
pub(crate) const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Nodes with fewer jobs than this count as equally loaded, and above it nodes within a factor of two do. A finer
/// comparison would only send all copies to one node until its next news.
pub(crate) const LOAD_STEP: u64 = 1024;
/// How old a node's news about itself may be: until the next news its peers go on sending copies to a node that has just
/// filled up.
pub(crate) const STATE_EVERY: Duration = Duration::from_secs(1);

/// How long healing waits for answers at first. Each further wait is twice as long, up to this many times.
pub(crate) const HEALING_PATIENCE: Duration = Duration::from_millis(500);
pub(crate) const HEALING_STEPS: u32 = 5;
/// How long healing waits before it relies on a peer that came back, or asks it to take copies: others may be about to
/// come back.
pub(crate) const HEALING_SETTLE: Duration = Duration::from_secs(1);
/// How much later the next holder in rank looks after a job.
pub(crate) const HEALING_RANK: Duration = Duration::from_secs(5);
/// How often healing looks at all jobs while some are short and nothing could be done for them.
pub(crate) const HEALING_EVERY: Duration = Duration::from_mins(1);
/// One step of healing looks at this many slots (0.2 ms), and acts on this many jobs and bytes: 10 thousand jobs a second,
/// or 50 MB of bodies, leave a node most of its time. The next step follows after the pause.
pub(crate) const HEALING_SLOTS_PER_TICK: u32 = 8192;
pub(crate) const HEALING_JOBS_PER_TICK: u32 = 100;
pub(crate) const HEALING_BYTES_PER_TICK: usize = 512 << 10;
pub(crate) const HEALING_PAUSE: Duration = Duration::from_millis(10);
/// A pass goes on while fewer cases than the first bound are open. The second bounds the cases of jobs that were answered
/// before their copies were confirmed (100 MB): a later pass finds the others.
pub(crate) const HEALING_OPEN: usize = 4096;
pub(crate) const HEALING_CASES: usize = 1 << 20;

/// A node that crashes may lose what it wrote in this time: the oldest unsynced record is never older.
pub(crate) const UNSYNCED: Duration = Duration::from_secs(2);
/// Copies from that time that a node remembers for each peer: 4 MB, enough for 130 thousand jobs a second.
pub(crate) const RECENT_COPIES: usize = 1 << 18;
/// Remembered copies that one step offers again: 100 thousand a second, some 10 MB.
pub(crate) const OFFERS_PER_TICK: usize = 1000;

/// How often members are asked again how jobs stand that clients wait for.
pub(crate) const WATCH_AGAIN: Duration = Duration::from_secs(5);
/// How long a node tells another one of a job without being asked again: two questions may be lost.
pub(crate) const WATCH_FOR: Duration = Duration::from_secs(15);
/// The most jobs that a node tells others of without being asked again: some 20 MB. Of more it tells when it is asked.
pub(crate) const WATCHED: usize = 100_000;

/// How often a node repeats what it wants to know about keys of DEDUP, and has not heard.
pub(crate) const KEYS_AGAIN: Duration = Duration::from_secs(1);
/// How long a claim of a key holds without being repeated: four repetitions may be lost.
pub(crate) const CLAIM_FOR: Duration = Duration::from_secs(5);
/// How long a node says that a job counts that it added and does not hold: the other nodes have heard by then.
pub(crate) const KEY_GIVEN_FOR: Duration = Duration::from_secs(10);
/// The most jobs of which it does: some megabytes.
pub(crate) const KEYS_GIVEN: usize = 16 * 1024;
/// Jobs with keys that a peer hears about in one step when its link comes up, some 100 KB; the next step follows after the pause.
pub(crate) const KEYS_PER_STEP: usize = 1000;
pub(crate) const KEYS_PAUSE: Duration = Duration::from_millis(10);
/// Jobs that were added this long before a link broke may be unknown to the peer: as long as it takes to notice.
pub(crate) const KEYS_OVERLAP: Duration = Duration::from_mins(1);
/// The most jobs of which a node tries to find out whether they are duplicates: some 10 MB.
pub(crate) const DOUBTS: usize = 65_536;
/// Jobs that ended as duplicates of which a node remembers the older ones: some megabytes.
pub(crate) const DUPLICATES: usize = 16 * 1024;

/// How long other nodes have to answer a question about the whole cluster.
pub(crate) const GATHER_WITHIN: Duration = Duration::from_secs(1);
/// How long they have to delete the jobs of a queue that was purged: ten million go in about a minute.
pub(crate) const PURGE_WITHIN: Duration = Duration::from_mins(5);
/// One step of a purge looks at this many slots and deletes this many jobs (2 ms). The next step follows after the pause.
pub(crate) const PURGE_SLOTS: u32 = 16 * 1024;
pub(crate) const PURGE_JOBS: u32 = 512;
pub(crate) const PURGE_PAUSE: Duration = Duration::from_millis(2);
/// Purges of which a node remembers how many jobs went.
pub(crate) const PURGES: usize = 1024;
/// What happened to jobs lately, and is remembered: 3 MiB.
pub(crate) const HAPPENINGS: usize = 1 << 16;
/// The most events of one job that a node tells.
pub(crate) const EVENTS_TOLD: usize = 64;
/// The jobs before one in its queue that are counted.
pub(crate) const AHEAD_COUNTED: usize = 1001;
/// Questions that may wait for answers at a time; beyond that only this node answers.
pub(crate) const GATHERINGS: usize = 1024;
/// The most jobs and bytes of bodies in an answer (one job more may be in it).
pub(crate) const ANSWER_JOBS: u32 = 10_000;
pub(crate) const ANSWER_BYTES: usize = 4 << 20;
/// The most queues in an answer, and what each takes beside its name: its figures. (Tests must meet a full answer.)
pub(crate) const ANSWER_QUEUES: usize = if cfg!(test) { 5 } else { 10_000 };
pub(crate) const QUEUE_ANSWER_BYTES: usize = 64;
/// The most queues in a list: a reply of some 200 MB.
pub(crate) const LISTED: usize = 1 << 20;

/// How many queues a list may have: at least one.
pub(crate) fn count_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(LISTED).clamp(1, LISTED)
}

/// A scan of the whole cluster that continues by itself ends after this many jobs.
pub(crate) const SCAN_WHOLE: usize = 1 << 20;

/// Elements that a scan looks at for each one that it was asked for, so that a scan with a filter that matches nothing
/// ends.
pub(crate) const SCAN_LOOKS_PER_COUNT: u64 = 10;

/// Shares of maxmemory, in percent, from which a node keeps no local copies of new jobs; evicts; refuses.
pub(crate) const MEMORY_EXTERNAL: u64 = 75;
pub(crate) const MEMORY_EVICT: u64 = 95;
pub(crate) const MEMORY_FULL: u64 = 100;

/// Jobs that one step of spilling looks at (0.2 ms). While the log is read, a step follows each job that was read, and
/// looks at fewer. Without other events the next step follows after the pause: a log under load takes longer than that to
/// write the records.
pub(crate) const SPILL_LOOKS: u32 = 4096;
pub(crate) const SPILL_LOOKS_LOADING: u32 = 64;
pub(crate) const SPILL_PAUSE: Duration = Duration::from_millis(2);
/// How long spilling rests when it finds no body that could go.
pub(crate) const SPILL_REST: Duration = Duration::from_secs(1);
/// Jobs that are queued within this time, and this many jobs of each queue, keep their bodies if others can go.
pub(crate) const SPILL_AHEAD: Duration = Duration::from_secs(1);
pub(crate) const SPILL_HOT: u64 = 1024;
/// Bytes of bodies that are read at once, so that their records can be copied: what a disk reads in a few milliseconds.
pub(crate) const FETCH_BYTES: usize = 1 << 20;
/// How often a node asks the other holders for a body that is lost here, and tries again to read a body that it cannot
/// read at the moment.
pub(crate) const LOST_ASK: Duration = Duration::from_secs(1);
/// The same for a lost body of which no other node holds a copy.
pub(crate) const LOST_AGAIN: Duration = Duration::from_mins(1);

/// Most channels of topics that have entries: the table of them takes some 150 bytes each.
pub(crate) const TOPIC_CHANNELS: usize = 1_000_000;
/// Most keys of DEDUP that are remembered.
pub(crate) const TOPIC_KEYS: usize = 1_000_000;
/// Most subscriptions of one connection.
pub(crate) const TOPIC_SUBSCRIPTIONS: u64 = 10_000;
/// Most patterns that a flush left a mark on.
pub(crate) const TOPIC_MARKS: usize = 100_000;
/// Most named cursors, those included that were deleted in the last 30 days.
pub(crate) const TOPIC_CURSORS: usize = SETTINGS_OF_A_KIND;
/// Most bindings, those included that were ended in the last 30 days.
pub(crate) const TOPIC_BINDINGS: usize = SETTINGS_OF_A_KIND;
/// Jobs that a queue may hold before a binding waits that does not say.
pub(crate) const TOPIC_BINDING_JOBS: u64 = 10_000;
/// Pages of entries that a binding makes jobs of at once.
pub(crate) const TOPIC_BINDING_PAGES: usize = 2;
/// How often the progress of a binding is kept, and how long it waits before it tries again.
pub(crate) const TOPIC_BINDING_PAUSE: Duration = Duration::from_millis(100);
/// Most rules of retention.
pub(crate) const TOPIC_RULES: usize = 10_000;
/// Bytes of the newest entries that stay in memory although they are in the log.
pub(crate) const TOPIC_CACHE: usize = 64 << 20;
/// A page looks at about this many records before others get their turn: half a millisecond.
pub(crate) const TOPIC_LOOKS: u64 = 10_000;
/// Pages in one step.
pub(crate) const TOPIC_PAGES: usize = 4;
/// A subscription that reads by itself is given this much at a time.
pub(crate) const TOPIC_PAGE_ENTRIES: u64 = 256;
pub(crate) const TOPIC_PAGE_BYTES: u64 = 256 << 10;
/// How long a node that starts gathers what the others have of topics, and how long a reader waits for the end of that.
pub(crate) const TOPIC_GATHER: Duration = Duration::from_secs(2);
/// Records that travel together have about this many bytes: they are taken in within some 2 ms.
pub(crate) const TOPIC_MESSAGE_BYTES: usize = 256 << 10;
/// Bytes of records that a member is sent before it confirms any.
pub(crate) const TOPIC_WINDOW_BYTES: usize = 16 << 20;
/// Records that a member is asked for at once.
pub(crate) const TOPIC_PULL_RECORDS: u64 = 8192;
/// The rules of retention are applied this often, to this many channels in a step.
pub(crate) const RETENTION_EVERY: Duration = Duration::from_secs(1);
pub(crate) const RETENTION_STEP: usize = 1024;
/// How far named cursors are behind is measured this often, with this between two steps.
pub(crate) const LAGGING_EVERY: Duration = Duration::from_secs(5);
pub(crate) const LAGGING_PAUSE: Duration = Duration::from_millis(5);

/// The log of topics may be this much larger than twice what is live, before the live part of its oldest segments is recorded
/// again.
pub(crate) const TOPIC_LOG_MARGIN: u64 = 256 << 20;
/// How far above `topic-max-disk` the log may be until publishing stops: some segments, while the oldest entries go.
pub(crate) const TOPIC_DISK_SLACK: u64 = 64 << 20;
/// Chunks of the index whose entries are recorded again in one step: at most 4096 entries.
pub(crate) const TOPIC_CHUNKS: usize = 4;
/// Steps follow each other after this.
pub(crate) const TOPIC_COMPACTION_PAUSE: Duration = Duration::from_millis(2);
