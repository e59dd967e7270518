//! TBIND, TUNBIND and TBINDINGS.

use std::sync::Arc;

use super::super::command::{Start, TopicRefusal, TopicReply};
use super::super::named::Named;
use super::super::origin::OriginNode;
use super::value::{Binding, Options, name_of};
use super::{Bound, WaitsFor};
use crate::command::AddJob;
use crate::effect::Effect;
use crate::limits;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::setting::SettingKind;
use crate::settings::Change;
use crate::time::Now;

pub(super) const KIND: SettingKind = SettingKind::TOPIC_BINDING;

/// What TBINDINGS tells of a binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingView {
    /// What it reads.
    pub pattern: Arc<[u8]>,
    /// Where its jobs go.
    pub queue: Arc<[u8]>,
    /// Of how many entries it has made no jobs yet; of many about.
    pub behind: u64,
    /// Why it makes none at present.
    pub waits_for: Option<WaitsFor>,
}

impl Bound {
    /// How far it has come, as far as this node knows: the maker knows more than it has kept.
    fn reached(&self) -> Named {
        let mut reached = self.binding.progress.clone();
        if let Some(making) = &self.making {
            reached.cursor.merge(&making.from);
        }
        reached
    }
}

impl Node {
    /// TBIND.
    pub(in crate::topic) fn bind(
        &mut self,
        now: Now,
        (pattern, start): (&[u8], &Start),
        add: &AddJob<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        self.check_topics()?;
        let options = Options::of(add)?;
        let name = name_of(pattern, add.queue);
        let setting = self.shared.get(KIND, &name);
        let epoch = match setting.map(|setting| (setting.version, setting.value.as_deref())) {
            Some((_, Some(value))) => {
                return match Binding::decode(value) {
                    Some(binding) if binding.options == options => Ok(TopicReply::Done),
                    Some(_) | None => Err(TopicRefusal::BoundOtherwise.into()),
                };
            }
            Some((deleted, None)) => deleted.saturating_add(1),
            None if self.shared.count_of(KIND) >= limits::TOPIC_BINDINGS => {
                return Err(TopicRefusal::TooManyBindings.into());
            }
            // The same at all nodes: two that make it at once mean one binding.
            None => 1,
        };
        self.topics.check_loaded()?;
        self.settle_alone(now);
        self.topics.advance(now.wall);
        let cursor = self.topics.start(start, &[pattern]);
        let home = OriginNode::of(&self.id);
        // Another one than before, also if the clock was set back.
        let number = now.wall.0.max(epoch);
        let binding = Binding::begin(number, home, options, pattern, cursor);
        self.write_binding(now, (&name, epoch), &binding, effects)?;
        Ok(TopicReply::Done)
    }

    /// Keeps a binding, and tells the others.
    pub(super) fn write_binding(
        &mut self,
        now: Now,
        (name, epoch): (&[u8], u64),
        binding: &Binding,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refusal> {
        let value = binding.encode();
        let change = Change {
            kind: KIND,
            name,
            value: Some(&value),
        };
        self.write_setting_at(now, epoch, change, effects)?;
        self.topics.follow_binding(name, epoch, Some(&value));
        Ok(())
    }

    /// TUNBIND.
    pub(in crate::topic) fn unbind(
        &mut self,
        now: Now,
        (pattern, queue): (&[u8], &[u8]),
        effects: &mut Vec<Effect>,
    ) -> Result<TopicReply, Refusal> {
        let name = name_of(pattern, queue);
        let reply = self.unset_topic(now, KIND, &name, effects)?;
        self.topics.follow_binding(&name, 0, None);
        Ok(reply)
    }

    /// TBINDINGS.
    pub(in crate::topic) fn binding_views(&mut self, now: Now) -> TopicReply {
        self.settle_alone(now);
        self.topics.advance(now.wall);
        let bound = self.topics.bindings.all.values();
        let views = bound.map(|bound| BindingView {
            pattern: Arc::clone(&bound.pattern),
            queue: Arc::clone(&bound.queue),
            behind: self.topics.behind(&bound.reached()),
            waits_for: bound.binding.lease.waits_for,
        });
        TopicReply::Bindings(views.collect())
    }
}
