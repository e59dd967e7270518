//! Entries of the cluster's settings.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use shoalmq_core::id::NodeId;
use shoalmq_core::setting::{Setting, SettingKind};

/// One entry.
#[derive(Serialize, Deserialize)]
pub(super) struct Entry<'a> {
    kind: u8,
    #[serde(borrow)]
    name: &'a Bytes,
    #[serde(borrow)]
    value: Option<&'a Bytes>,
    version: u64,
    node: NodeId,
}

impl<'a> Entry<'a> {
    pub(super) fn of(setting: &'a Setting) -> Self {
        Entry {
            kind: setting.kind.0,
            name: Bytes::new(&setting.name),
            value: setting.value.as_deref().map(Bytes::new),
            version: setting.version,
            node: setting.node,
        }
    }

    pub(super) fn into_setting(self) -> Setting {
        Setting {
            kind: SettingKind(self.kind),
            name: Arc::from(&self.name[..]),
            value: self.value.map(|value| Arc::from(&value[..])),
            version: self.version,
            node: self.node,
        }
    }
}
