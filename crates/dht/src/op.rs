//! Operations of clients, and what each has told its client.

use std::collections::BTreeMap;
use std::time::Duration;

use baraza_wire::InfoHash;

use crate::api::{ClientId, OpId};
use crate::clock::Ms;
use crate::node::{NodeRef, PerFamily};
use crate::query::Query;
use crate::search::SearchRef;
use crate::slab::Ref;
use crate::value::Value;
use crate::value_type;

/// Operations of one client at a time.
pub(crate) const MAX_PER_CLIENT: usize = 16_384;
/// Values that one get or listen reports.
pub(crate) const MAX_VALUES: usize = 4096;
/// Contents under one id that one listen reports.
const MAX_VARIANTS: usize = 8;

pub(crate) type OpRef = Ref<Op>;

/// An operation.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) client: ClientId,
    pub(crate) name: OpId,
    pub(crate) key: InfoHash,
    /// The searches that work for it.
    pub(crate) searches: PerFamily<Option<SearchRef>>,
    /// In some family it went well.
    pub(crate) success: bool,
    pub(crate) kind: OpKind,
}

#[derive(Debug)]
pub(crate) enum OpKind {
    Get {
        query: Query,
        /// What was reported.
        seen: Vec<Value>,
    },
    Listen {
        query: Query,
        heard: Heard,
    },
    Put {
        value: Value,
        permanent: bool,
        /// When the put was asked for.
        begun: Ms,
        /// Its end was reported.
        reported: bool,
    },
}

/// Who holds a value that a listen heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Local,
    Node(NodeRef),
}

#[derive(Debug)]
struct Known {
    value: Value,
    holders: Vec<(Holder, Ms)>,
}

/// The values a listen knows, and who holds each until when (section 5.5).
#[derive(Debug, Default)]
pub(crate) struct Heard {
    values: BTreeMap<u64, Vec<Known>>,
    count: usize,
    /// The timer that is set.
    pub(crate) due: Option<Ms>,
}

impl Heard {
    /// A node has the value; returns whether that is news.
    pub(crate) fn add(&mut self, value: &Value, holder: Holder, now: Ms) -> bool {
        let until = match holder {
            // We say so when it goes.
            Holder::Local => Ms::NEVER,
            Holder::Node(_) => now.plus(value_type::lifetime(value.value_type())),
        };
        let variants = self.values.entry(value.id).or_default();
        for known in variants.iter_mut() {
            if !known.value.content_eq(value) {
                known.holders.retain(|(of, _)| *of != holder);
            }
        }
        if let Some(known) = variants.iter_mut().find(|k| k.value.content_eq(value)) {
            match known.holders.iter_mut().find(|(of, _)| *of == holder) {
                Some((_, old)) => *old = until,
                None => known.holders.push((holder, until)),
            }
            variants.retain(|known| !known.holders.is_empty());
            self.recount();
            return false;
        }
        variants.retain(|known| !known.holders.is_empty());
        if variants.len() >= MAX_VARIANTS || self.count >= MAX_VALUES {
            self.recount();
            return false;
        }
        variants.push(Known {
            value: value.clone(),
            holders: vec![(holder, until)],
        });
        self.recount();
        true
    }

    /// A node still has the value with this id.
    pub(crate) fn refresh(&mut self, id: u64, holder: Holder, now: Ms) {
        for known in self.values.get_mut(&id).into_iter().flatten() {
            let until = now.plus(value_type::lifetime(known.value.value_type()));
            for (of, old) in &mut known.holders {
                if *of == holder && holder != Holder::Local {
                    *old = until;
                }
            }
        }
    }

    /// A node no longer has the value; `gone` gets what nobody has any more.
    pub(crate) fn expire_id(&mut self, id: u64, holder: Holder, gone: &mut Vec<Value>) {
        if let Some(variants) = self.values.get_mut(&id) {
            for known in variants.iter_mut() {
                known.holders.retain(|(of, _)| *of != holder);
            }
            drop_unheld(variants, gone);
            if variants.is_empty() {
                self.values.remove(&id);
            }
            self.recount();
        }
    }

    /// Drops what nobody confirmed in time.
    pub(crate) fn expire(&mut self, now: Ms, gone: &mut Vec<Value>) {
        self.values.retain(|_, variants| {
            for known in variants.iter_mut() {
                known.holders.retain(|(_, until)| *until > now);
            }
            drop_unheld(variants, gone);
            !variants.is_empty()
        });
        self.recount();
    }

    /// When something may expire, at the earliest.
    pub(crate) fn next_due(&self) -> Option<Ms> {
        self.values
            .values()
            .flatten()
            .flat_map(|known| &known.holders)
            .map(|(_, until)| *until)
            .min()
            .filter(|until| *until < Ms::NEVER)
    }

    fn recount(&mut self) {
        self.count = self.values.values().map(Vec::len).sum();
    }
}

fn drop_unheld(variants: &mut Vec<Known>, gone: &mut Vec<Value>) {
    let held = variants.iter().any(|known| !known.holders.is_empty());
    variants.retain(|known| {
        let keep = !known.holders.is_empty();
        // An edited value is not gone while another content of it is there.
        if !keep && !held {
            gone.push(known.value.clone());
        }
        keep
    });
}

/// For how long an operation without any node to ask waits for one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
