//! Says WORKING for messages that are in hand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::Error;
use crate::guard::Held;
use crate::id::JobId;
use crate::link::sleep_until;
use crate::shoal::Shoal;

/// When a message is first spoken of: a third of the shortest retry that there is.
const FIRST: Duration = Duration::from_millis(333);

/// The messages of a consumer that are in hand.
#[derive(Debug, Clone)]
pub(crate) struct Heartbeat {
    messages: Arc<Mutex<Messages>>,
    /// Wakes the task, and ends it once the last copy is gone.
    sooner: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct Messages {
    held: HashMap<JobId, Beat>,
    /// When the task looks again by itself.
    wakes: Option<Instant>,
}

#[derive(Debug)]
struct Beat {
    next: Instant,
    held: Arc<Held>,
}

impl Heartbeat {
    /// Begins the task. It ends when the consumer and all its messages are gone.
    pub(crate) fn begin(shoal: &Shoal) -> Self {
        let (sooner, mut woken) = watch::channel(());
        let messages = Arc::<Mutex<Messages>>::default();
        let heartbeat = Heartbeat {
            messages: messages.clone(),
            sooner: Arc::new(sooner),
        };
        let (shoal, runtime) = (shoal.clone(), shoal.runtime().clone());
        runtime.spawn(async move {
            loop {
                beat(&messages, &shoal).await;
                let next = {
                    let mut messages = lock(&messages);
                    messages.wakes = messages.held.values().map(|beat| beat.next).min();
                    messages.wakes
                };
                tokio::select! {
                    () = sleep_until(next) => {}
                    changed = woken.changed() => if changed.is_err() {
                        return;
                    },
                }
            }
        });
        heartbeat
    }

    /// A message is in hand from now on.
    pub(crate) fn hold(&self, held: Arc<Held>) {
        let next = Instant::now() + FIRST;
        let mut messages = lock(&self.messages);
        messages.held.insert(held.delivery.id, Beat { next, held });
        if messages.wakes.is_none_or(|wakes| next < wakes) {
            messages.wakes = Some(next);
            self.sooner.send_replace(());
        }
    }

    /// It is not in hand any more.
    pub(crate) fn release(&self, id: JobId) {
        lock(&self.messages).held.remove(&id);
    }
}

fn lock(messages: &Mutex<Messages>) -> MutexGuard<'_, Messages> {
    messages.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Speaks of all that are due.
async fn beat(messages: &Mutex<Messages>, shoal: &Shoal) {
    let now = Instant::now();
    let due: Vec<JobId> = {
        let messages = lock(messages);
        let due = messages.held.iter().filter(|(_, beat)| beat.next <= now);
        due.map(|(id, _)| *id).collect()
    };
    let ask = |id| {
        let shoal = shoal.clone();
        (id, tokio::spawn(async move { shoal.working(id).await }))
    };
    let asked: Vec<_> = due.into_iter().map(ask).collect();
    for (id, answer) in asked {
        let said = answer.await.unwrap_or(Err(Error::Gone));
        let mut messages = lock(messages);
        let Some(beat) = messages.held.get_mut(&id) else {
            continue;
        };
        match said {
            Ok(retry) => beat.next = Instant::now() + (retry / 3).max(FIRST),
            Err(Error::Refused(text)) if text.starts_with("NOJOB") => {
                beat.held.lose();
                messages.held.remove(&id);
            }
            // Half of its life is over: nothing postpones it any more.
            Err(Error::Refused(text)) => {
                tracing::warn!(%id, text, "the next delivery of a job cannot be postponed");
                messages.held.remove(&id);
            }
            Err(error) => {
                tracing::warn!(%id, %error, "a heartbeat was not heard");
                beat.next = Instant::now() + FIRST;
            }
        }
    }
}
