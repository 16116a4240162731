//! Members of large groups whose presence is watched: those who are ours to tell, and, as long
//! as there are too few links, some others.

use baraza_store::DeviceKind;
use baraza_swarm::Role;
use baraza_wire::{AccountId, ConversationId};

use super::MAX_UNMET;
use crate::account::Account;
use crate::account::conversation::Conversation;

impl Account {
    /// Whether the account has to be watched for another reason than one large group.
    fn must_watch(&self, account: &AccountId) -> bool {
        self.is_contact(account)
            || self.is_invited(account)
            || !self.cloning_from(account).is_empty()
            || self.conversations.values().any(|conversation| {
                !conversation.routing.large
                    && conversation.is_shared()
                    && conversation.is_authorised(account)
            })
            || self
                .conversations
                .values()
                .any(|conversation| conversation.routing.scouts.contains(account))
    }

    /// The group is large now: most of its members need not be watched.
    pub(super) fn watch_less(&mut self, id: &ConversationId) {
        for member in self.joined_members(id) {
            if !self.must_watch(&member) {
                self.unwatch(&member);
            }
        }
    }

    fn joined_members(&self, id: &ConversationId) -> Vec<AccountId> {
        let repository = self.conversations.get(id).and_then(Conversation::ready);
        let members = repository.and_then(|repository| repository.members().ok());
        let members = members.unwrap_or_default().into_iter();
        members
            .filter(|member| matches!(member.role, Role::Admin | Role::Member))
            .map(|member| member.uri)
            .filter(|uri| *uri != self.core.account)
            .collect()
    }

    /// Watches a few members, whether one of their devices is there: those who are ours to
    /// tell, and as long as the table lacks somebody some others, different ones each time.
    pub(super) fn send_scouts(&mut self, id: &ConversationId) {
        let Some(conversation) = self.conversations.get_mut(id) else {
            return;
        };
        let before = std::mem::take(&mut conversation.routing.scouts);
        let hungry = conversation.routing.table.is_hungry();
        let mut members = self.joined_members(id);
        members.retain(|member| !self.must_watch(member) && !self.is_banned(member));
        let mut scouts = self.wards(id);
        scouts.retain(|ward| members.contains(ward));
        if hungry {
            let few = members.len().checked_ilog2();
            let few = few.map_or(0, |log| log.saturating_add(3));
            for _ in 0..few {
                if let Some(index) = self.core.rng.index(members.len()) {
                    scouts.push(members.swap_remove(index));
                }
            }
        }
        for scout in &scouts {
            self.watch(*scout);
        }
        if let Some(conversation) = self.conversations.get_mut(id) {
            conversation.routing.scouts = scouts;
        }
        for scout in before {
            if !self.must_watch(&scout) {
                self.unwatch(&scout);
            }
        }
    }

    /// Owners of devices in a large group that may be ours to tell: daemons of 2023, and the
    /// nearest of those that were not met yet.
    fn wards(&self, id: &ConversationId) -> Vec<AccountId> {
        let Some(conversation) = self.conversations.get(id) else {
            return Vec::new();
        };
        let table = &conversation.routing.table;
        let peers = conversation.peers.keys();
        let near = peers.filter(|device| !table.is_connected(device) && table.is_near(device));
        let (mut wards, mut unknown) = (Vec::new(), Vec::new());
        for device in near.filter_map(|device| self.devices.get(device)) {
            match device.row.kind {
                DeviceKind::Old => wards.push(device.row.owner),
                DeviceKind::Unknown => unknown.push(device.row.device),
                DeviceKind::New => {}
            }
        }
        table.sort(&mut unknown);
        unknown.truncate(MAX_UNMET);
        let owners = unknown.iter().filter_map(|device| self.devices.get(device));
        wards.extend(owners.map(|device| device.row.owner));
        wards
    }
}
