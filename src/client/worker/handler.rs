//! Functions as handlers: a message first, and then what they want to know beside it.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;

use super::context::JobCx;
use super::fail::{Fail, HandlerError, Outcome};
use crate::id::JobId;
use crate::message::MessageDecodable;
use crate::verbs::Meta;

/// What a handler can ask for after its message.
///
/// ```no_run
/// use shoalmq_client::{FromJob, JobCx};
///
/// /// Who sent it.
/// struct Sender(String);
///
/// impl<S> FromJob<S> for Sender {
///     fn from_job(job: &JobCx, _: &S) -> Self {
///         let name = job.meta().get("sender").unwrap_or(b"nobody");
///         Sender(String::from_utf8_lossy(name).into_owned())
///     }
/// }
///
/// async fn send(mail: String, Sender(sender): Sender) {
///     println!("{mail} from {sender}");
/// }
///
/// # async fn run(shoal: shoalmq_client::Shoal) -> Result<(), shoalmq_client::Error> {
/// shoal.worker().on("mails", send).run().await?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot ask for `{Self}`",
    note = "after the message it can ask for `State<S>` (the `S` of `Worker::with_state`), `JobCx`, `JobId` and `Meta`, or for a type \
            that implements `FromJob`"
)]
pub trait FromJob<S> {
    /// Makes it for this job.
    fn from_job(job: &JobCx, state: &S) -> Self;
}

/// The state of the worker: a copy of what [`Worker::with_state`](crate::Worker::with_state) was given.
#[derive(Debug, Clone)]
pub struct State<S>(pub S);

impl<S: Clone> FromJob<S> for State<S> {
    fn from_job(_: &JobCx, state: &S) -> Self {
        State(state.clone())
    }
}

impl<S> FromJob<S> for JobCx {
    fn from_job(job: &JobCx, _: &S) -> Self {
        job.clone()
    }
}

impl<S> FromJob<S> for JobId {
    fn from_job(job: &JobCx, _: &S) -> Self {
        job.id()
    }
}

impl<S> FromJob<S> for Meta {
    fn from_job(job: &JobCx, _: &S) -> Self {
        job.meta().clone()
    }
}

/// An async function that takes a message, and up to four [`FromJob`] after it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler for messages of type `{T}`",
    note = "a handler is an `async fn` that takes the message, and after it what implements `FromJob`; it returns `()` or \
            `Result<(), E>`"
)]
pub trait Handler<T, S, Args>: Send + Sync + 'static {
    /// Works on a message.
    fn call(
        &self,
        message: T,
        job: &JobCx,
        state: &S,
    ) -> impl Future<Output = Result<(), HandlerError>> + Send + 'static;
}

/// A function that takes a message, and up to four [`FromJob`] after it, and that may block its thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no blocking handler for messages of type `{T}`",
    note = "it is a plain `fn` that takes the message, and after it what implements `FromJob`; it returns `()` or `Result<(), E>`"
)]
pub trait BlockingHandler<T, S, Args>: Send + Sync + 'static {
    /// Works on a message.
    fn call(&self, message: T, job: &JobCx, state: &S) -> Result<(), HandlerError>;
}

macro_rules! handlers {
    ($($arg:ident),*) => {
        impl<F, R, T, S, $($arg),*> Handler<T, S, (R, $($arg,)*)> for F
        where
            F: Fn(T, $($arg),*) -> R + Send + Sync + 'static,
            R: Future<Output: Outcome> + Send + 'static,
            $($arg: FromJob<S>,)*
        {
            #[allow(unused_variables, reason = "a handler may ask for nothing but the message")]
            fn call(
                &self,
                message: T,
                job: &JobCx,
                state: &S,
            ) -> impl Future<Output = Result<(), HandlerError>> + Send + 'static {
                let done = self(message, $($arg::from_job(job, state)),*);
                async move { done.await.into_result() }
            }
        }

        impl<F, R, T, S, $($arg),*> BlockingHandler<T, S, (R, $($arg,)*)> for F
        where
            F: Fn(T, $($arg),*) -> R + Send + Sync + 'static,
            R: Outcome,
            $($arg: FromJob<S>,)*
        {
            #[allow(unused_variables, reason = "a handler may ask for nothing but the message")]
            fn call(&self, message: T, job: &JobCx, state: &S) -> Result<(), HandlerError> {
                self(message, $($arg::from_job(job, state)),*).into_result()
            }
        }
    };
}

handlers!();
handlers!(A);
handlers!(A, B);
handlers!(A, B, C);
handlers!(A, B, C, D);

/// Work on one job.
pub(crate) type Work = Pin<Box<dyn Future<Output = Result<(), HandlerError>> + Send>>;

/// A handler of some type of message: it takes a body.
pub(crate) type Handle = Arc<dyn Fn(Bytes, JobCx) -> Work + Send + Sync>;

/// A handler, with the state that it is called with.
pub(super) fn handle<T, S, Args>(handler: impl Handler<T, S, Args>, state: S) -> Handle
where
    T: MessageDecodable + Send + 'static,
    S: Send + Sync + 'static,
    Args: 'static,
{
    let handler = Arc::new((handler, state));
    with_message(move |message, job| {
        let handler = handler.clone();
        async move { handler.0.call(message, &job, &handler.1).await }
    })
}

/// A handler that blocks, on a thread for such work.
pub(super) fn handle_blocking<T, S, Args>(
    handler: impl BlockingHandler<T, S, Args>,
    state: S,
) -> Handle
where
    T: MessageDecodable + Send + 'static,
    S: Send + Sync + 'static,
    Args: 'static,
{
    let handler = Arc::new((handler, state));
    with_message(move |message, job| {
        let handler = handler.clone();
        let work = move || handler.0.call(message, &job, &handler.1);
        async {
            match tokio::task::spawn_blocking(work).await {
                Ok(done) => done,
                Err(error) if error.is_panic() => Err(panicked(&*error.into_panic())),
                Err(error) => Err(error.into()),
            }
        }
    })
}

/// Work on a body that is such a message; any other is a dead letter.
fn with_message<T, W>(work: impl Fn(T, JobCx) -> W + Send + Sync + 'static) -> Handle
where
    T: MessageDecodable + Send + 'static,
    W: Future<Output = Result<(), HandlerError>> + Send + 'static,
{
    let work = Arc::new(work);
    Arc::new(move |body, job| {
        let work = work.clone();
        without_panic(async move {
            let message = T::decode(body).map_err(|error| Fail::dead(error.to_string()))?;
            work(message, job).await
        })
    })
}

/// The same work, where a panic is a failure.
pub(super) fn without_panic(
    work: impl Future<Output = Result<(), HandlerError>> + Send + 'static,
) -> Work {
    // What a panic leaves half done is the handler's own: its future is not polled again.
    let work = AssertUnwindSafe(work).catch_unwind();
    Box::pin(work.map(|done| done.unwrap_or_else(|panic| Err(panicked(&*panic)))))
}

fn panicked(panic: &(dyn Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!(
        "panicked: {}",
        text.unwrap_or("with something else than a text")
    )
    .into()
}
