//! The command line.

use std::ops::Range;

use shoalmq_core::planted::Bug;
use shoalmq_core::topic;

use crate::plan::Plan;

/// All bugs of topics.
const OF_TOPICS: &str = "all-of-topics";

/// How to call the simulator.
pub(crate) const USAGE: &str = "\
--seeds A..B   run these seeds; 0..40 unless told otherwise, which is quick also without optimization
--seed N       run this one
--hosts N      this many nodes, whatever the seed says
--bug NAME     give every node a bug: early-reply, lost-ack, second-run, late-copy, lost-withdrawal, no-stay,
               early-copy, silent-turn, early-delete, no-healing, left-twice, forgotten-removal,
               younger-purged, rank-before-register, merged-counters, unrecorded-move, unrecorded-delivery,
               every-holder-buries, ack-ends-with-ttl, cut-wait, waiting-counted, redrive-beats-ack,
               acked-expiry, end-not-kept, early-expiry;
               of topics newcomer-read, ended-cut-short, end-too-early, nested-end-too-early,
               later-ignored, name-dropped-early, name-dropped-under-others, lost-twice, end-lost-with-segment,
               cursor-past-page, closed-early, life-goes-on, flush-reaches-on, freed-not-named,
               idle-aside, bound-early, bound-twice, commit-back, commit-beyond, commit-early,
               commit-stale, commit-refused, epoch-of-before, rewind-merged, name-unseen, last-of-others,
               last-and-one-more, end-passed, end-exclusive, listener-skips, name-as-glob; or several, with commas between them; or all of those that are
               not of topics, or all-of-topics. Several are tried one after the other, which fails unless each of
               them is found (needs --features planted-bugs). NAME@N tries seed N first: the one that found it before
--no-topics    no seed has topics
--trace        with --seed: tell all that happens
--keep-going   do not stop at the first seed that fails";

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) seeds: Range<u64>,
    /// Tell all of this seed.
    pub(crate) trace: Option<u64>,
    pub(crate) keep_going: bool,
    /// Nodes, whatever the seed says.
    pub(crate) hosts: Option<usize>,
    /// No seed has topics.
    pub(crate) no_topics: bool,
    /// Bugs that nodes have, one at a time; each with the seed that is tried first.
    pub(crate) bugs: Vec<(Bug, Option<u64>)>,
    /// Each of them is to be found.
    pub(crate) hunt: bool,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut arguments = arguments;
        let mut options = Options {
            seeds: 0..40,
            trace: None,
            keep_going: false,
            hosts: None,
            no_topics: false,
            bugs: Vec::new(),
            hunt: false,
        };
        let mut trace = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--seeds" => {
                    let text = value()?;
                    let range = text
                        .split_once("..")
                        .and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
                    options.seeds = range.ok_or(format!("{text} is no range of seeds"))?;
                }
                "--seed" => {
                    let text = value()?;
                    let seed: u64 = text.parse().map_err(|_| format!("{text} is no seed"))?;
                    options.seeds = seed..seed + 1;
                }
                "--hosts" => {
                    let text = value()?;
                    let hosts = text.parse().ok().filter(|hosts| (1..=7).contains(hosts));
                    options.hosts = Some(hosts.ok_or(format!("{text} is not 1 to 7 nodes"))?);
                }
                "--bug" => {
                    let text = value()?;
                    options.hunt = text == "all" || text == OF_TOPICS || text.contains(',');
                    for word in text.split(',') {
                        let (name, first) = word
                            .split_once('@')
                            .map_or((word, None), |(name, first)| (name, Some(first)));
                        let first: Option<u64> = first
                            .map(str::parse)
                            .transpose()
                            .map_err(|_| format!("{word} names no seed"))?;
                        options
                            .bugs
                            .extend(bugs(name)?.into_iter().map(|bug| (bug, first)));
                    }
                }
                "--no-topics" => options.no_topics = true,
                "--trace" => trace = true,
                "--keep-going" => options.keep_going = true,
                // What cargo adds for its own harness.
                "--nocapture" | "--quiet" | "-q" => {}
                other => return Err(format!("unknown option {other}")),
            }
        }
        options.trace = trace.then_some(options.seeds.start);
        Ok(options)
    }

    /// What a seed means, with these options and this bug.
    pub(crate) fn plan(&self, seed: u64, bug: Option<Bug>) -> Plan {
        let plan = Plan::new(seed, self.hosts);
        Plan {
            bug,
            topics: plan.topics.clone().filter(|_| !self.no_topics),
            ..plan
        }
    }
}

/// How a bug is called here.
pub(crate) fn name_of(bug: Bug) -> &'static str {
    match bug {
        Bug::EarlyReply => "early-reply",
        Bug::LostAck => "lost-ack",
        Bug::SecondRun => "second-run",
        Bug::LateCopy => "late-copy",
        Bug::LostWithdrawal => "lost-withdrawal",
        Bug::NoStay => "no-stay",
        Bug::EarlyCopy => "early-copy",
        Bug::SilentTurn => "silent-turn",
        Bug::EarlyDelete => "early-delete",
        Bug::NoHealing => "no-healing",
        Bug::LeftTwice => "left-twice",
        Bug::ForgottenRemoval => "forgotten-removal",
        Bug::YoungerPurged => "younger-purged",
        Bug::RankBeforeRegister => "rank-before-register",
        Bug::MergedCounters => "merged-counters",
        Bug::UnrecordedMove => "unrecorded-move",
        Bug::UnrecordedDelivery => "unrecorded-delivery",
        Bug::EveryHolderBuries => "every-holder-buries",
        Bug::AckEndsWithTtl => "ack-ends-with-ttl",
        Bug::CutWait => "cut-wait",
        Bug::WaitingCounted => "waiting-counted",
        Bug::RedriveBeatsAck => "redrive-beats-ack",
        Bug::AckedExpiry => "acked-expiry",
        Bug::EndNotKept => "end-not-kept",
        Bug::UnacceptedAnswers => "unaccepted-answers",
        Bug::DuplicateUnseen => "duplicate-unseen",
        Bug::EarlyExpiry => "early-expiry",
        Bug::Topic(bug) => match bug {
            topic::Bug::NewcomerRead => "newcomer-read",
            topic::Bug::EndedCutShort => "ended-cut-short",
            topic::Bug::EndTooEarly => "end-too-early",
            topic::Bug::NestedEndTooEarly => "nested-end-too-early",
            topic::Bug::LaterIgnored => "later-ignored",
            topic::Bug::NameDroppedEarly => "name-dropped-early",
            topic::Bug::NameDroppedUnderOthers => "name-dropped-under-others",
            topic::Bug::LostTwice => "lost-twice",
            topic::Bug::EndLostWithSegment => "end-lost-with-segment",
            topic::Bug::CursorPastPage => "cursor-past-page",
            topic::Bug::ClosedEarly => "closed-early",
            topic::Bug::LifeGoesOn => "life-goes-on",
            topic::Bug::FlushReachesOn => "flush-reaches-on",
            topic::Bug::FreedNotNamed => "freed-not-named",
            topic::Bug::IdleAside => "idle-aside",
            topic::Bug::BoundEarly => "bound-early",
            topic::Bug::BoundTwice => "bound-twice",
            topic::Bug::CommitBack => "commit-back",
            topic::Bug::CommitBeyond => "commit-beyond",
            topic::Bug::CommitEarly => "commit-early",
            topic::Bug::CommitStale => "commit-stale",
            topic::Bug::CommitRefused => "commit-refused",
            topic::Bug::EpochOfBefore => "epoch-of-before",
            topic::Bug::RewindMerged => "rewind-merged",
            topic::Bug::NameUnseen => "name-unseen",
            topic::Bug::LastOfOthers => "last-of-others",
            topic::Bug::LastAndOneMore => "last-and-one-more",
            topic::Bug::EndPassed => "end-passed",
            topic::Bug::EndExclusive => "end-exclusive",
            topic::Bug::ListenerSkips => "listener-skips",
            topic::Bug::NameAsGlob => "name-as-glob",
        },
    }
}

fn bugs(name: &str) -> Result<Vec<Bug>, String> {
    if !cfg!(feature = "planted-bugs") {
        return Err("bugs need --features planted-bugs".to_owned());
    }
    let named = |&bug: &Bug| {
        let of_topics = matches!(bug, Bug::Topic(_));
        name == "all" && !of_topics || name == OF_TOPICS && of_topics || name == name_of(bug)
    };
    let all = Bug::ALL.into_iter();
    let of_topics = topic::Bug::ALL.into_iter().chain(topic::Bug::SERVED);
    let all = all.chain(of_topics.map(Bug::Topic));
    let bugs: Vec<Bug> = all.filter(named).collect();
    if bugs.is_empty() {
        return Err(format!("there is no bug {name}"));
    }
    Ok(bugs)
}
