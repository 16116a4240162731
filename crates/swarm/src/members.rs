//! Who belongs to a conversation (docs/protocol/05-swarm.md sections 2.3 and 6).

use baraza_wire::AccountId;

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
