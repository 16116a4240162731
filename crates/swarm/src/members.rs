//! Who belongs to a conversation (docs/protocol/05-swarm.md sections 2.3 and 6).

use std::collections::{BTreeMap, BTreeSet};

use baraza_wire::{AccountId, DeviceId};
use gix::ObjectId;
use gix::objs::Find;

use crate::commit::lower_hex;
use crate::tree::{TreeError, Trees};
use crate::validate::Founding;

/// What an account is in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May ban and change the profile.
    Admin,
    /// Has joined.
    Member,
    /// Was added and may clone, but has not joined.
    Invited,
    /// Was thrown out.
    Banned,
    /// Was one of the two of a one-to-one conversation.
    Left,
}

impl Role {
    /// The word of the client interface (section 6).
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Invited => "invited",
            Self::Banned => "banned",
            Self::Left => "left",
        }
    }
}

/// One account of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// The account.
    pub uri: AccountId,
    /// What it is.
    pub role: Role,
}

/// Everybody in a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) roles: BTreeMap<AccountId, Role>,
    pub(crate) banned_devices: BTreeSet<DeviceId>,
}

impl Membership {
    /// Reads who is what in the tree `root`. Whoever is banned is nothing else, and an
    /// admin is not listed as a member too.
    pub(crate) fn read(
        trees: &Trees,
        objects: &dyn Find,
        root: ObjectId,
        founding: &Founding,
    ) -> Result<Self, TreeError> {
        let mut membership = Self::default();
        if founding.invited.is_some() {
            let two = [Some(founding.creator), founding.invited];
            let left = two.into_iter().flatten().map(|uri| (uri, Role::Left));
            membership.roles.extend(left);
        }
        // Later ones count more.
        for (path, end, role) in [
            ("invited", "", Role::Invited),
            ("members", ".crt", Role::Member),
            ("admins", ".crt", Role::Admin),
            ("banned/invited", "", Role::Banned),
            ("banned/members", ".crt", Role::Banned),
            ("banned/admins", ".crt", Role::Banned),
        ] {
            for (name, _) in trees.files_in(objects, root, path)? {
                let uri = name
                    .strip_suffix(end)
                    .and_then(|uri| lower_hex(uri.as_bytes()));
                membership.roles.extend(uri.map(|uri| (uri, role)));
            }
        }
        for (name, _) in trees.files_in(objects, root, "banned/devices")? {
            let device = name.strip_suffix(".crt");
            let device = device.and_then(|device| lower_hex(device.as_bytes()));
            membership.banned_devices.extend::<Option<DeviceId>>(device);
        }
        Ok(membership)
    }
}
