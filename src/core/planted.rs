//! Bugs on purpose, so that the simulation can prove that it finds such.
//!
//! They exist only with the feature `planted-bugs`, which no build that ships turns on; without it `Node::has` is
//! always false, and nothing of this is left.

use crate::node::Node;
use crate::topic;

/// A bug that a node can be made to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// ADDJOB is answered before the copies are confirmed.
    EarlyReply,
    /// An ack that comes when its job is queued again is counted, and has no effect.
    LostAck,
    /// An at-most-once job is queued again after a crash.
    SecondRun,
    /// A copy that comes after its job was forgotten is kept.
    LateCopy,
    /// The holders are told once that an add was withdrawn, and nobody remembers it.
    LostWithdrawal,
    /// A job leaves at once for a node that wants it, but where no client waits.
    NoStay,
    /// GOTJOB leaves before the copy is on disk.
    EarlyCopy,
    /// A node that has a job queued does not answer a holder who asks whether it may queue it.
    SilentTurn,
    /// A job that goes to another node, where clients wait, is deleted from the log here before the other node has it.
    EarlyDelete,
    /// Copies that were lost are not made again.
    NoHealing,
    /// An at-most-once job that a leaving node gives to another node stays here, too.
    LeftTwice,
    /// A setting that was removed is forgotten at once, so that an older write brings it back.
    ForgottenRemoval,
    /// A purge compares the creation time of a job with the clocks of other nodes than the one that made it.
    YoungerPurged,
    /// What a holder says is looked at without a look at the register: a dead letter is back in its queue.
    RankBeforeRegister,
    /// Counters are merged between different registers: a job that was sent back is buried at once.
    MergedCounters,
    /// A job is buried, and that is recorded nowhere.
    UnrecordedMove,
    /// Hand-outs are not recorded.
    UnrecordedDelivery,
    /// A job whose ttl is over is buried by every holder.
    EveryHolderBuries,
    /// An ack is given up when the ttl of its job is over.
    AckEndsWithTtl,
    /// Other holders do not hear that a job waits after NACK.
    CutWait,
    /// A start counts each job that is not acked as handed out once more.
    WaitingCounted,
    /// A holder whose job was sent back from the dead letters does not take an ack from another node.
    RedriveBeatsAck,
    /// A job whose ttl is over counts as acked for those who wait for its end.
    AckedExpiry,
    /// The end of a job that is asked to be kept goes once all holders know of it.
    EndNotKept,
    /// WAITJOB tells of an end while another holder has the job unfinished.
    EarlyExpiry,
    /// A copy answers for its key before it is known that its job was added.
    UnacceptedAnswers,
    /// A job ends as a duplicate because another node says that there is an older one, and nobody is asked about that.
    DuplicateUnseen,
    /// One in the rules of topics.
    Topic(topic::Bug),
}

impl Bug {
    /// All of them, but those of topics.
    pub const ALL: [Bug; 27] = [
        Bug::EarlyReply,
        Bug::LostAck,
        Bug::SecondRun,
        Bug::LateCopy,
        Bug::LostWithdrawal,
        Bug::NoStay,
        Bug::EarlyCopy,
        Bug::SilentTurn,
        Bug::EarlyDelete,
        Bug::NoHealing,
        Bug::LeftTwice,
        Bug::ForgottenRemoval,
        Bug::YoungerPurged,
        Bug::RankBeforeRegister,
        Bug::MergedCounters,
        Bug::UnrecordedMove,
        Bug::UnrecordedDelivery,
        Bug::EveryHolderBuries,
        Bug::AckEndsWithTtl,
        Bug::CutWait,
        Bug::WaitingCounted,
        Bug::RedriveBeatsAck,
        Bug::AckedExpiry,
        Bug::EndNotKept,
        Bug::EarlyExpiry,
        Bug::UnacceptedAnswers,
        Bug::DuplicateUnseen,
    ];
}

impl Node {
    /// Whether this node has a bug.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.planted == Some(bug)
    }

    /// Whether this node has a bug.
    #[cfg(not(feature = "planted-bugs"))]
    #[expect(clippy::unused_self, reason = "with the feature it looks")]
    pub(crate) const fn has(&self, _: Bug) -> bool {
        false
    }
}
