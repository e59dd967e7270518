//! QCONFIG: policies, each a setting of the cluster on the name of a queue or on the beginning of names.
//!
//! For each policy by itself the most specific pattern that sets it wins: the name, then the longest beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::adding::Terms;
use crate::command::{Policies, QueueConfig, Reply};
use crate::effect::Effect;
use crate::moving::Rules;
use crate::node::Node;
use crate::policy::{PREFIX_MARK, Policy, Use, is_prefix};
use crate::setting::Setting;
use crate::settings::Shared;
use crate::settings::shared::Change;
use crate::time::Now;

/// What the map knows of policies that stand in for options, so that it need not be searched when a job is added or fails.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Entries with a value that count when a job is added.
    set: usize,
    /// Those that count when one fails.
    rules: usize,
    /// Of them, those on beginnings, by the length of the beginning.
    lengths: BTreeMap<usize, usize>,
    /// Rises with every change.
    changes: u64,
}

impl Index {
    /// An entry comes into the map.
    pub(super) fn add(&mut self, setting: &Setting) {
        let Some(used) = used(setting) else {
            return;
        };
        self.changes += 1;
        *self.count(used) += 1;
        if is_prefix(&setting.name) {
            *self.lengths.entry(setting.name.len() - 1).or_default() += 1;
        }
    }

    /// An entry leaves the map.
    pub(super) fn remove(&mut self, setting: &Setting) {
        let Some(used) = used(setting) else {
            return;
        };
        self.changes += 1;
        *self.count(used) -= 1;
        if is_prefix(&setting.name) {
            let length = setting.name.len() - 1;
            let left = self.lengths.get_mut(&length);
            let left = left.expect("an entry that leaves has come");
            *left -= 1;
            if *left == 0 {
                self.lengths.remove(&length);
            }
        }
    }

    fn count(&mut self, used: Use) -> &mut usize {
        match used {
            Use::Adding => &mut self.set,
            Use::Failing | Use::Pausing => &mut self.rules,
        }
    }

    /// The same, without the number of changes.
    pub(super) fn is_same(&self, other: &Index) -> bool {
        (self.set, self.rules, &self.lengths) == (other.set, other.rules, &other.lengths)
    }
}

/// Where a setting counts that stands in for an option.
fn used(setting: &Setting) -> Option<Use> {
    let policy = Policy::of_kind(setting.kind)?;
    let used = Some(policy.used()).filter(|&used| used != Use::Pausing);
    setting.value.as_ref().and(used)
}

/// What policies say of a queue, as it was looked up last.
#[derive(Debug, Default)]
pub(crate) struct Remembered<T> {
    /// How often policies had changed then; 0 for never.
    changes: u64,
    found: T,
}

impl<T> Remembered<T> {
    /// What was found, if policies have not changed since.
    pub(crate) fn get(&self, changes: u64) -> Option<&T> {
        (self.changes == changes).then_some(&self.found)
    }

    /// The same; looked up again if they have.
    pub(crate) fn refresh(&mut self, changes: u64, look_up: impl FnOnce() -> T) -> &T {
        if self.changes != changes {
            let found = look_up();
            *self = Remembered { changes, found };
        }
        &self.found
    }
}

impl Shared {
    /// Whether any policy may stand in for an option of ADDJOB.
    pub(crate) fn has_policies(&self) -> bool {
        self.policies.set > 0
    }

    /// Whether any policy may count when a job fails.
    pub(crate) fn has_rules(&self) -> bool {
        self.policies.rules > 0
    }

    /// How often such policies have changed: never 0 when there are any.
    pub(crate) fn policy_changes(&self) -> u64 {
        self.policies.changes
    }

    /// What policies say of jobs of this queue.
    pub(crate) fn terms_of(&self, queue: &[u8]) -> Terms {
        let mut terms = Terms::default();
        let is_used = |policy: &Policy| policy.used() == Use::Adding;
        self.walk_patterns(queue, |shared, pattern| {
            for policy in Policy::ALL.into_iter().filter(is_used) {
                let value = shared.value(policy.kind(), pattern);
                if let Some(number) = value.and_then(|value| policy.number(value)) {
                    terms.set_unless_set(policy, number);
                }
            }
        });
        terms
    }

    /// What policies say of jobs of this queue that fail.
    pub(crate) fn rules_of(&self, queue: &[u8]) -> Rules {
        let mut rules = Rules::default();
        let is_used = |policy: &Policy| policy.used() == Use::Failing;
        self.walk_patterns(queue, |shared, pattern| {
            for policy in Policy::ALL.into_iter().filter(is_used) {
                if let Some(value) = shared.value(policy.kind(), pattern) {
                    rules.set_unless_set(policy, value);
                }
            }
        });
        rules
    }

    /// The longest life of dead letters that any policy gives, in seconds; 0 when none does.
    pub(crate) fn longest_dead_ttl(&self) -> u32 {
        let all = self.of_kind(Policy::DeadTtl.kind());
        let all = all.filter_map(|setting| Policy::DeadTtl.number(setting.value.as_deref()?));
        all.max()
            .map_or(0, |ttl| u32::try_from(ttl).unwrap_or(u32::MAX))
    }

    /// All that applies to a queue of this name; of a prefix, what is set on it.
    fn policies_of(&self, pattern: &[u8]) -> Policies {
        let mut found: BTreeMap<Policy, Arc<[u8]>> = BTreeMap::new();
        let mut look = |shared: &Shared, at: &[u8]| {
            for policy in Policy::ALL {
                let is_meant = policy.used() != Use::Pausing || at == pattern && !is_prefix(at);
                if let Some(value) = shared.value(policy.kind(), at).filter(|_| is_meant) {
                    found.entry(policy).or_insert_with(|| value.into());
                }
            }
        };
        if is_prefix(pattern) {
            look(self, pattern);
        } else {
            self.walk_patterns(pattern, look);
        }
        found.into_iter().collect()
    }

    /// Looks at all patterns that fit the name of a queue and may have policies, the most specific first.
    fn walk_patterns(&self, queue: &[u8], mut look: impl FnMut(&Shared, &[u8])) {
        // A queue whose name ends like a prefix has no policy of its own.
        if !is_prefix(queue) {
            look(self, queue);
        }
        let mut pattern = Vec::with_capacity(queue.len() + 1);
        for (&length, _) in self.policies.lengths.range(..=queue.len()).rev() {
            pattern.clear();
            pattern.extend_from_slice(&queue[..length]);
            pattern.push(PREFIX_MARK);
            look(self, &pattern);
        }
    }

    fn all_policies(&self) -> Vec<(Arc<[u8]>, Policies)> {
        let mut found: BTreeMap<Arc<[u8]>, Policies> = BTreeMap::new();
        for policy in Policy::ALL {
            let of_kind = self.of_kind(policy.kind());
            for setting in of_kind {
                let is_meant = policy.used() != Use::Pausing || !is_prefix(&setting.name);
                if let Some(value) = setting.value.as_ref().filter(|_| is_meant) {
                    let policies = found.entry(setting.name.clone()).or_default();
                    policies.push((policy, value.clone()));
                }
            }
        }
        found.into_iter().collect()
    }
}

impl Node {
    pub(crate) fn configure_queues(
        &mut self,
        now: Now,
        config: &QueueConfig<'_>,
        effects: &mut Vec<Effect>,
    ) -> Reply {
        match config {
            QueueConfig::All => Reply::AllPolicies(self.shared.all_policies()),
            QueueConfig::Of(pattern) => Reply::Policies(self.shared.policies_of(pattern)),
            QueueConfig::Change { pattern, changes } => {
                let settings = changes.iter().map(|(policy, value)| Change {
                    kind: policy.kind(),
                    name: pattern,
                    value: value.as_deref(),
                });
                let settings: Vec<Change<'_>> = settings.collect();
                if let Err(refusal) = self.write_settings(now, &settings, effects) {
                    return Reply::Refused(refusal);
                }
                if changes
                    .iter()
                    .any(|(policy, _)| policy.used() == Use::Pausing)
                {
                    self.follow_pause(now.time, pattern, effects);
                }
                Reply::Configured
            }
        }
    }
}
