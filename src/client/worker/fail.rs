//! How a handler says that it failed.

use std::error::Error;
use std::time::Duration;

/// Any error of a handler.
pub type HandlerError = Box<dyn Error + Send + Sync>;

/// Where a job goes that failed. Anywhere in the chain of an error it decides; an error without one gives the job back, and BACKOFF of
/// the job or of its queue says when it comes again.
///
/// ```
/// use std::time::Duration;
/// use shoalmq_client::{Fail, HandlerError};
///
/// async fn charge(amount: u64) -> Result<(), HandlerError> {
///     match amount {
///         0 => Err(Fail::dead("there is nothing to charge"))?,
///         1..10 => Err(Fail::retry_in(Duration::from_secs(60), "too little to bother the bank now"))?,
///         _ => Ok(()),
///     }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Fail {
    reason: String,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Retry(Option<Duration>),
    Dead,
}

impl Fail {
    /// It is tried again when its BACKOFF says so.
    pub fn retry(reason: impl Into<String>) -> Self {
        Fail::new(reason, Way::Retry(None))
    }

    /// It is tried again after this time at the earliest, in whole seconds.
    pub fn retry_in(delay: Duration, reason: impl Into<String>) -> Self {
        Fail::new(reason, Way::Retry(Some(delay)))
    }

    /// It becomes a dead letter: no attempt would help.
    pub fn dead(reason: impl Into<String>) -> Self {
        Fail::new(reason, Way::Dead)
    }

    fn new(reason: impl Into<String>, way: Way) -> Self {
        let reason = reason.into();
        Fail { reason, way }
    }
}

/// What a handler returns: nothing, or a [`Result`] with any error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a handler can return",
    note = "return `()` or `Result<(), E>`, where `E` is an error, an `anyhow::Error`, a `String` or a `HandlerError`"
)]
pub trait Outcome {
    /// As a result.
    fn into_result(self) -> Result<(), HandlerError>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), HandlerError> {
        Ok(())
    }
}

impl<E: Into<HandlerError>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), HandlerError> {
        self.map_err(Into::into)
    }
}

/// What becomes of a job that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) reason: String,
    pub(super) is_dead: bool,
    pub(super) delay: Option<Duration>,
}

impl Verdict {
    pub(super) fn of(error: &HandlerError) -> Self {
        let first: &(dyn Error + 'static) = &**error;
        let causes = || std::iter::successors(Some(first), |&error| error.source());
        let mut texts: Vec<String> = causes().map(ToString::to_string).collect();
        // Many errors end with what their cause says.
        texts.dedup_by(|cause, error| error.ends_with(cause.as_str()));
        let way = causes().find_map(|error| error.downcast_ref::<Fail>());
        let way = way.map_or(Way::Retry(None), |fail| fail.way);
        Verdict {
            reason: texts.join(": "),
            is_dead: way == Way::Dead,
            delay: match way {
                Way::Retry(delay) => delay,
                Way::Dead => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no mail")]
    struct NoMail(#[source] Fail);

    fn verdict(error: impl Into<HandlerError>) -> Verdict {
        Verdict::of(&error.into())
    }

    #[test]
    fn a_plain_error_is_tried_again() {
        let wanted = Verdict {
            reason: "the bank sleeps".to_owned(),
            is_dead: false,
            delay: None,
        };
        assert_eq!(verdict("the bank sleeps"), wanted);
    }

    #[test]
    fn a_fail_decides_wherever_it_is_in_the_chain() {
        let dead = verdict(NoMail(Fail::dead("no such address")));
        assert!(dead.is_dead);
        assert_eq!(dead.reason, "no mail: no such address");
        let minute = Duration::from_mins(1);
        assert_eq!(verdict(Fail::retry_in(minute, "later")).delay, Some(minute));
    }

    #[test]
    fn what_an_error_says_of_its_cause_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("no mail: {0}")]
        struct Twice(#[source] Fail);
        assert_eq!(
            verdict(Twice(Fail::retry("it rains"))).reason,
            "no mail: it rains"
        );
    }
}
