//! Somebody in a group, or about to be.

use std::collections::{BTreeMap, BTreeSet};

use baraza_core::account::RequestId;
use baraza_core::command::Delivery;
use baraza_core::keys::Keys;
use baraza_core::{EventBody, Message};
use baraza_wire::{AccountId, CommitId, ConversationId};

use crate::net::HostId;
use crate::node_host::Disk;
use crate::time::Time;

/// What a user waits for.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    Accept,
    Ban(usize),
    Delivery,
    Diagnostics,
    History,
    Invite(usize),
    Leave,
    Requests,
    Revoke,
    Send(String),
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Not in the group.
    Outside,
    /// Invited, or on the way in.
    Invited,
    /// In the group.
    Member,
    /// In the group, with a device that is never there.
    Away,
    /// A second device, not set up.
    Unlinked,
    /// Thrown out, or left, or revoked.
    Gone,
    /// In the group, but meaning harm.
    Hostile,
}

/// Somebody.
pub(super) struct Person {
    pub(super) number: usize,
    pub(super) name: String,
    pub(super) host: HostId,
    pub(super) keys: Keys,
    pub(super) place: Place,
    /// Whose second device it is.
    pub(super) owner: Option<usize>,
    /// What is on the disk of a node that does not run.
    pub(super) disk: Option<Disk>,
    pub(super) asked: BTreeMap<RequestId, Asked>,
    /// Bodies of messages sent, in order.
    pub(super) bodies: Vec<String>,
    pub(super) confirmed: Vec<(CommitId, String)>,
    /// How often the arrival of each commit was told, over all lives of the node.
    pub(super) told: BTreeMap<CommitId, usize>,
    /// Newest first, as of the last answer.
    pub(super) history: Vec<Message>,
    /// Who has the last message asked about, as of the last answer.
    pub(super) delivery: Vec<Delivery>,
    /// Links, as of the last answer.
    pub(super) links: usize,
    pub(super) looked: Time,
    pub(super) errors: Vec<String>,
}

impl Person {
    pub(super) fn new(number: usize, host: HostId, place: Place, keys: Keys) -> Self {
        Self {
            number,
            name: format!("member {number}"),
            host,
            keys,
            place,
            owner: None,
            disk: None,
            asked: BTreeMap::new(),
            bodies: Vec::new(),
            confirmed: Vec::new(),
            told: BTreeMap::new(),
            history: Vec::new(),
            delivery: Vec::new(),
            links: 0,
            looked: Time::ZERO,
            errors: Vec::new(),
        }
    }

    pub(super) fn account(&self) -> AccountId {
        self.keys.identity.account_id()
    }

    pub(super) fn event(&mut self, body: EventBody, group: ConversationId) {
        match body {
            EventBody::MessageReceived { message, .. } => {
                *self.told.entry(message.id).or_default() += 1;
            }
            EventBody::ConversationReady { conversation }
                if conversation == group && self.place == Place::Invited =>
            {
                self.place = Place::Member;
            }
            EventBody::SyncError { rule, detail, .. } => {
                let text = format!("{}: refused by {rule}: {detail}", self.name);
                self.errors.push(text);
            }
            _ => {}
        }
    }

    /// Whether it wrote this message.
    pub(super) fn wrote(&self, message: &Message) -> bool {
        self.account() == message.author && self.bodies.iter().any(|body| body == message.body())
    }

    /// Commits of the last history but merges.
    pub(super) fn ids(&self) -> BTreeSet<CommitId> {
        let real = self.history.iter().filter(|m| m.kind != "merge");
        real.map(|message| message.id).collect()
    }
}
