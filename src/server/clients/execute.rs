//! Running one command: the checks in Disque's order, then the core or the server itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use shoalmq_core::command::Command;
use shoalmq_core::event::Event;
use shoalmq_core::id::Ticket;
use shoalmq_core::node::MemoryLevel;
use shoalmq_core::time::Now;
use shoalmq_storage::journal::Position;

use super::output::{Audience, Place, UNANSWERED_MAX, WRITE_BYTES};
use super::session::{Replies, Session};
use crate::command::{Admin, CommandSpec, Failure, Flags, Parsed, Request, ServerError, resolve};
use crate::server::driver::{Answered, Driver, Shared};
use crate::server::{admin, metrics, persistence};

/// The row of a command and what its parser says; or why it is refused before all else.
type Resolved<'a> = Result<(&'static CommandSpec, Parsed<'a>), Failure<'a>>;

/// A command whose arguments were parsed, before anybody holds the lock.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    parsed: Resolved<'a>,
    /// Whether the folder that it names, if it does, can be used.
    usable: Result<(), &'static str>,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is answered.
    Done,
    /// Its answer comes by mail; the commands behind it go on.
    Late(Place),
    /// Its answer comes by mail; the commands behind it wait.
    Blocked(Place),
    /// It did not run: it must wait until those before it are answered, or enough of them.
    Waits,
    /// The connection ends, after the answer or without one.
    Close,
    /// It is never answered: the node stops.
    Silent,
}

impl Outcome {
    /// The client does not want to see the reply.
    fn unheard(mut self) -> Self {
        if let Outcome::Late(place) | Outcome::Blocked(place) = &mut self {
            place.audience = Audience::Nobody;
        }
        self
    }
}

impl<'a> Prepared<'a> {
    /// Parses a command; `args` begins with its name. May wait for the disk that it names.
    pub(super) fn new(args: &[&'a [u8]]) -> Self {
        let parsed = resolve(args).map(|spec| (spec, (spec.parse)(&args[1..])));
        let usable = match &parsed {
            Ok((_, Ok(Request::Admin(Admin::Backup(directory))))) => {
                let directory = Path::new(OsStr::from_bytes(directory));
                tokio::task::block_in_place(|| persistence::usable(directory))
            }
            _ => Ok(()),
        };
        Prepared { parsed, usable }
    }

    /// What it brings may come at any time, also before the answers to the commands before it.
    fn opens_stream(&self) -> bool {
        match &self.parsed {
            Ok((_, Ok(Request::Admin(Admin::Monitor)))) => true,
            Ok((spec, Ok(_))) => spec.flags.contains(Flags::SUBSCRIBES),
            Ok((_, Err(_))) | Err(_) => false,
        }
    }
}

/// The command may not run, and was told so.
struct Refused;

/// One batch of a connection, with the lock held.
pub(crate) struct Execution<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) driver: &'a mut Driver,
    pub(crate) session: &'a mut Session,
    now: Now,
    pub(crate) out: &'a mut Vec<u8>,
    /// When the last command ended.
    clock: Instant,
    /// How far the log must be on disk before the replies may leave.
    pub(super) gate: Position,
    /// The command that runs or ran last.
    pub(crate) command: &'static str,
    /// How many commands of the connection wait for their answers.
    unanswered: usize,
    /// Bytes of bodies that are to be read for commands of the batch.
    unread: usize,
    /// Whether the folder that the command names, if it does, can be used.
    pub(crate) usable: Result<(), &'static str>,
}

impl<'a> Execution<'a> {
    /// Begins a batch at `clock` on a connection with this many commands unanswered. Replies are added to `out`.
    pub(super) fn new(
        shared: &'a Arc<Shared>,
        driver: &'a mut Driver,
        session: &'a mut Session,
        out: &'a mut Vec<u8>,
        clock: Instant,
        unanswered: usize,
    ) -> Self {
        Execution {
            now: driver.clock.now(),
            shared,
            driver,
            session,
            out,
            clock,
            gate: Position(0),
            command: "NULL",
            unanswered,
            unread: 0,
            usable: Ok(()),
        }
    }

    /// Runs `commands` until one of them holds back the rest. Returns the places of late answers, and the command that
    /// holds back the rest with its outcome. Commands are known by their index in the batch; `first` is that of the
    /// first one. `arguments` gives the arguments of a command, for MONITOR and SLOWLOG.
    pub(super) fn run(
        &mut self,
        first: usize,
        commands: Vec<Prepared<'_>>,
        arguments: impl Fn(usize) -> Vec<Vec<u8>>,
    ) -> (Vec<Place>, Option<(Outcome, usize)>) {
        let mut open = Vec::new();
        for (index, command) in (first..).zip(commands) {
            match self.run_one(command, || arguments(index)) {
                Outcome::Done => {}
                Outcome::Late(place) => open.push(place),
                stopped => {
                    if let Outcome::Blocked(place) = stopped {
                        open.push(place);
                    }
                    return (open, Some((stopped, index)));
                }
            }
        }
        (open, None)
    }

    /// Runs one command, and counts it.
    fn run_one(&mut self, command: Prepared<'_>, args: impl Fn() -> Vec<Vec<u8>>) -> Outcome {
        // Lines of MONITOR may stand between any two replies, but not before its own.
        if self.unread >= WRITE_BYTES {
            return Outcome::Waits;
        }
        if self.unanswered >= UNANSWERED_MAX || self.unanswered > 0 && command.opens_stream() {
            return Outcome::Waits;
        }
        let replies = self.session.replies;
        if replies == Replies::SkipNext {
            self.session.replies = Replies::On;
        }
        let before = self.out.len();
        let Prepared { parsed, usable } = command;
        let known = parsed.as_ref().ok().map(|&(spec, _)| spec);
        let outcome = if let Ok((spec, request)) = self.check(parsed) {
            if !self.driver.monitors.is_empty() {
                admin::monitor::show(self.driver, self.session, &args());
            }
            self.command = spec.name;
            self.usable = usable;
            let outcome = match request {
                Request::Core(command) => self.core(command, spec.flags),
                Request::Admin(command) => admin::run(self, &command),
            };
            if spec.flags.contains(Flags::PUBSUB) {
                let node = &self.driver.node;
                self.session.subscriptions = node.subscription_count(self.session.id);
            }
            let failed = self.out.get(before) == Some(&b'-');
            self.account(spec, failed, args);
            outcome
        } else {
            if let Some(spec) = known {
                self.driver.stats.refuse(spec.index);
            }
            Outcome::Done
        };
        if self.out.get(before) == Some(&b'-') {
            metrics::note_error(&self.out[before + 1..]);
        }
        if replies != Replies::On && self.session.replies != Replies::On
            || replies == Replies::SkipNext
        {
            self.out.truncate(before);
            return outcome.unheard();
        }
        outcome
    }

    /// Everything that can refuse a command before it runs, in Disque's order. Writes the refusal.
    fn check<'c>(
        &mut self,
        parsed: Resolved<'c>,
    ) -> Result<(&'static CommandSpec, Request<'c>), Refused> {
        let (spec, parsed) = match parsed {
            Ok(found) => found,
            Err(failure) => return self.refuse(&failure),
        };
        let locked = self.driver.config.requirepass.is_some() && !self.session.authenticated;
        // HELLO may bring the password along; without arguments it tells of the nodes.
        let open = spec.flags.contains(Flags::NO_AUTH)
            && !matches!(parsed, Ok(Request::Admin(Admin::Nodes)));
        if locked && !open {
            return self.refuse(&ServerError::NotAuthenticated.into());
        }
        if spec.flags.contains(Flags::DENYOOM) && !self.make_room() {
            return self.refuse(&ServerError::OutOfMemory.into());
        }
        if spec.flags.contains(Flags::MISCONF) && self.driver.health.is_failing() {
            return self.refuse(&ServerError::LogUnwritable(&self.driver.health.reason()).into());
        }
        if self.driver.health.is_short() && matches!(spec.name, "addjob" | "tpub" | "publish") {
            return self.refuse(&ServerError::DiskShort(&self.driver.health.shortage()).into());
        }
        if self.session.is_subscribed() && !spec.flags.contains(Flags::PUBSUB) {
            return self.refuse(&ServerError::Subscribed(spec.name).into());
        }
        if self.driver.loading.is_some() && !spec.flags.contains(Flags::LOADING) {
            return self.refuse(&ServerError::Loading.into());
        }
        match parsed {
            Ok(request) => Ok((spec, request)),
            Err(error) => self.refuse(&error.into()),
        }
    }

    fn refuse<T>(&mut self, failure: &Failure<'_>) -> Result<T, Refused> {
        failure.encode(self.out);
        Err(Refused)
    }

    /// Whether there is memory for one more command, after what may go has gone.
    fn make_room(&mut self) -> bool {
        if self.driver.node.memory_level() == MemoryLevel::Normal {
            return true;
        }
        self.driver.feed(Event::MemoryPressure);
        self.driver.node.memory_level() < MemoryLevel::Full
    }

    /// Leaves a place for the answer to this ticket, which comes by mail.
    pub(crate) fn place(&mut self, ticket: Ticket) -> Place {
        self.unanswered += 1;
        Place {
            number: ticket.number,
            audience: Audience::Client,
            at: self.out.len(),
        }
    }

    fn core(&mut self, command: Command<'_>, flags: Flags) -> Outcome {
        let ticket = self.session.ticket();
        self.driver.take_in_safe();
        let adds = command.adds();
        let before = self.out.len();
        let protocol = self.session.protocol;
        let answered = self
            .driver
            .feed_command(self.now, ticket, command, protocol, self.out);
        if let Some(Answered::Now(gate)) = answered {
            let ends = flags.contains(Flags::PUBSUB) && !flags.contains(Flags::SUBSCRIBES);
            if ends && self.session.mailbox.has_pushes() {
                return self.answer_last(ticket, before);
            }
            self.gate = self.gate.max(gate);
            return Outcome::Done;
        }
        let reads = match answered {
            Some(Answered::HungUp) => return Outcome::Close,
            Some(Answered::Unread(bytes)) => {
                self.unread += bytes;
                true
            }
            Some(Answered::Now(_)) | None => false,
        };
        let place = self.place(ticket);
        if adds || reads {
            Outcome::Late(place)
        } else {
            Outcome::Blocked(place)
        }
    }

    /// Subscriptions end: what they brought comes before the reply, which was just written.
    fn answer_last(&mut self, ticket: Ticket, before: usize) -> Outcome {
        let reply = self.out.split_off(before);
        let mailbox = &self.session.mailbox;
        mailbox.answer_last(ticket.number, reply);
        self.driver.note_mail(mailbox);
        Outcome::Late(self.place(ticket))
    }

    /// Counts the command, and the time since the last one ended as its own.
    fn account(
        &mut self,
        spec: &'static CommandSpec,
        failed: bool,
        args: impl Fn() -> Vec<Vec<u8>>,
    ) {
        let ended = Instant::now();
        let took = ended - std::mem::replace(&mut self.clock, ended);
        let driver = &mut *self.driver;
        driver.stats.count(spec.index, took, failed);
        if driver
            .config
            .slowlog_log_slower_than
            .is_some_and(|slow| took >= slow)
        {
            driver
                .slowlog
                .push(took, &args(), driver.config.slowlog_max_len as usize);
        }
        if driver
            .config
            .latency_monitor_threshold
            .is_some_and(|slow| took >= slow)
        {
            driver.latency.push(
                if spec.flags.contains(Flags::FAST) {
                    "fast-command"
                } else {
                    "command"
                },
                took,
            );
        }
    }
}
