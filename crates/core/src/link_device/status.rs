//! What the user is shown.

use baraza_wire::{AccountId, DeviceId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::LocalId;

/// How far the linking of a device is, named as existing clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkState {
    /// The new device makes temporary keys.
    Init,
    /// The new device shows its token.
    TokenAvailable,
    /// The device that has the account connects to the new one.
    Connecting,
    /// They are connected: the user confirms, and gives the password if there is one.
    Authenticating,
    /// The password is checked, or the account is on its way.
    InProgress,
    /// It is over; `error` says how.
    Done,
}

/// Why no device was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(rename_all = "snake_case")]
pub enum LinkError {
    /// The devices did not reach each other, or the connection ended.
    #[error("the connection to the other device failed")]
    Network,
    /// It took longer than five minutes.
    #[error("it took too long")]
    Timeout,
    /// Three wrong passwords.
    #[error("the password was wrong too often")]
    AuthError,
    /// The user of either device does not want it.
    #[error("it was cancelled")]
    Canceled,
    /// The other device did what it must not.
    #[error("the other device gave something else than the account it showed")]
    Unknown,
    /// The account is on the new device already, or could not be written there.
    #[error("the account cannot be added on this device")]
    NotAdded,
}

/// How far the linking of a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Rises with each change.
    pub revision: u64,
    /// How far it is.
    pub state: LinkState,
    /// New device: what the other device is given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    /// New device: whether the account has a password, once that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub needs_password: Option<bool>,
    /// New device: the account it is about to become a device of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer_id: Option<AccountId>,
    /// Source: the temporary device it is connected to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer_device: Option<DeviceId>,
    /// Passwords that were wrong.
    pub wrong_passwords: u32,
    /// When it is over: why not, if not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<LinkError>,
    /// New device: the account's local name, when it is here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<LocalId>,
}

impl LinkStatus {
    /// At the beginning.
    pub fn new(state: LinkState) -> Self {
        Self {
            // The new device is at `Init` before there is a machine, which begins anew.
            revision: u64::from(state != LinkState::Init),
            state,
            token: None,
            needs_password: None,
            peer_id: None,
            peer_device: None,
            wrong_passwords: 0,
            error: None,
            account: None,
        }
    }

    pub(super) fn set(&mut self, state: LinkState) {
        self.state = state;
        self.revision = self.revision.wrapping_add(1);
    }

    /// Whether it is over.
    pub fn is_done(&self) -> bool {
        self.state == LinkState::Done
    }
}
