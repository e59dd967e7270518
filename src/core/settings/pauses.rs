//! PAUSE: with BCAST it writes two settings, `pause-in` and `pause-out` of the queue, so that it survives restarts and
//! reaches nodes that were away. Without, it holds at this node until the next PAUSE … BCAST of the queue, or a restart.
//!
//! A queue carries its pause itself, so that no job has to look at the settings.

use std::sync::Arc;

use crate::command::{Pause, PauseState, Reply};
use crate::effect::Effect;
use crate::node::Node;
use crate::setting::SettingKind;
use crate::settings::shared::Change;
use crate::time::{Now, Time};

const YES: &[u8] = b"yes";

impl Node {
    pub(crate) fn pause(
        &mut self,
        now: Now,
        pause: &Pause<'_>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        let Some(state) = pause.set else {
            let queue = self.queues.find(pause.queue);
            return Reply::PauseState(
                queue.map_or(PauseState::default(), |key| self.queues[key].pause),
            );
        };
        if pause.broadcast {
            let change = |kind, holds: bool| Change {
                kind,
                name: pause.queue,
                value: holds.then_some(YES),
            };
            let changes = [
                change(SettingKind::PAUSE_IN, state.input),
                change(SettingKind::PAUSE_OUT, state.output),
            ];
            if let Err(refusal) = self.write_settings(now, &changes, effects) {
                return Reply::Refused(refusal);
            }
        }
        self.set_pause(now.time, pause.queue, state, effects);
        Reply::PauseState(state)
    }

    /// The queue is paused as the settings say from now on.
    pub(super) fn follow_pause(&mut self, now: Time, queue: &[u8], effects: &mut Vec<Effect>) {
        let state = self.shared_pause(queue);
        let known = self.queues.find(queue);
        let known = known.is_some_and(|key| self.queues[key].open);
        if state != PauseState::default() || known {
            self.set_pause(now, queue, state, effects);
        }
    }

    /// The node starts: queues are paused as its log says, before any job is queued.
    pub(crate) fn restore_pauses(&mut self, now: Time) {
        let paused = |setting: &&crate::setting::Setting| setting.value.as_deref() == Some(YES);
        let names: Vec<Arc<[u8]>> = self
            .shared
            .all()
            .filter(paused)
            .map(|setting| setting.name.clone())
            .collect();
        for name in names {
            let state = self.shared_pause(&name);
            if state != PauseState::default() {
                let key = self.queues.find_or_add(&name);
                self.queues.open(key, now);
                self.queues[key].pause = state;
            }
        }
    }

    fn shared_pause(&self, queue: &[u8]) -> PauseState {
        let holds = |kind| self.shared.value(kind, queue) == Some(YES);
        PauseState {
            input: holds(SettingKind::PAUSE_IN),
            output: holds(SettingKind::PAUSE_OUT),
        }
    }

    fn set_pause(&mut self, now: Time, queue: &[u8], state: PauseState, effects: &mut Vec<Effect>) {
        let key = self.queues.find_or_add(queue);
        self.queues.open(key, now);
        self.queues[key].pause = state;
        self.watch_idle(now, key);
        self.serve(now, key, effects);
        self.want_again(now, key, effects);
    }
}
