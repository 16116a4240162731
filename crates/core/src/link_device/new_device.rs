//! The new device.

use std::collections::VecDeque;

use baraza_identity::{Archive, Password};
use baraza_wire::AccountId;

use super::message::{
    ARCHIVE, AUTH_SCHEME, AuthMessage, CAN_RETRY, CANCELED, PASSWORD, PASSWORD_CORRECT, STATE,
    TIMEOUT,
};
use super::wire::Wire;
use super::{Action, LinkError, LinkState, LinkStatus, LinkToken, MAX_TRIES};
use crate::event::LocalId;

/// What the new device waits for.
#[derive(Debug, PartialEq, Eq)]
enum Waits {
    /// For a channel.
    Channel,
    /// To hear how the account is protected.
    Scheme,
    /// For its user.
    User,
    /// For the account.
    Archive,
    /// For the account to be written down.
    Added,
    Nothing,
}

/// The side without an account.
#[derive(Debug)]
pub struct NewDevice {
    token: LinkToken,
    status: LinkStatus,
    waits: Waits,
    wire: Wire,
    peer: Option<AccountId>,
    password: Option<Password>,
    actions: VecDeque<Action>,
}

impl NewDevice {
    /// Once there are temporary keys: shows `token`.
    pub fn new(token: LinkToken) -> Self {
        let mut status = LinkStatus::new(LinkState::TokenAvailable);
        status.token = Some(token.to_string());
        Self {
            token,
            status,
            waits: Waits::Channel,
            wire: Wire::new(),
            peer: None,
            password: None,
            actions: VecDeque::new(),
        }
    }

    /// How far it is.
    pub fn status(&self) -> &LinkStatus {
        &self.status
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(bytes) = self.wire.write() {
            return Some(Action::Write(bytes));
        }
        self.actions.pop_front()
    }

    /// Somebody asks for a channel. Whether to accept it: the first with the right name, of
    /// whoever it is.
    pub fn requested(&mut self, name: &str, account: AccountId) -> bool {
        if self.waits != Waits::Channel || name != self.token.channel_name() {
            return false;
        }
        self.peer = Some(account);
        self.waits = Waits::Scheme;
        self.wire.send(&AuthMessage::empty());
        self.tell(LinkState::Connecting);
        true
    }

    /// Bytes came on the channel.
    pub fn data(&mut self, bytes: &[u8]) {
        self.wire.push(bytes);
        while self.is_open() {
            match self.wire.next() {
                Ok(Some(message)) => self.message(message),
                Ok(None) => break,
                Err(()) => self.end(Some(LinkError::Unknown)),
            }
        }
    }

    /// Bytes are on their way.
    pub fn sent(&mut self, bytes: usize) {
        self.wire.sent(bytes);
    }

    /// The channel ended.
    pub fn closed(&mut self) {
        if self.is_open() {
            self.end(Some(LinkError::Network));
        }
    }

    /// The user wants to become a device of the account shown, and gives its password, empty
    /// if it has none. `false` if that is not asked now.
    pub fn confirm(&mut self, password: Password) -> bool {
        if self.waits != Waits::User {
            return false;
        }
        self.waits = Waits::Archive;
        let message = AuthMessage::empty().with(PASSWORD, password.as_str());
        self.wire.send(&message);
        self.password = Some(password).filter(|password| !password.is_empty());
        self.tell(LinkState::InProgress);
        true
    }

    /// The user does not want it any more. `false` if the account is being written already.
    pub fn cancel(&mut self) -> bool {
        match self.waits {
            Waits::Added | Waits::Nothing => false,
            _ => {
                self.end(Some(LinkError::Canceled));
                true
            }
        }
    }

    /// It took too long.
    pub fn timeout(&mut self) {
        if self.is_open() || self.waits == Waits::Channel {
            if self.is_open() {
                self.wire.send(&AuthMessage::empty().with(STATE, TIMEOUT));
            }
            self.end(Some(LinkError::Timeout));
        }
    }

    /// What came of [`Action::Take`].
    pub fn added(&mut self, account: Option<LocalId>) {
        self.status.account = account;
        self.finish(account.is_none().then_some(LinkError::NotAdded));
    }

    fn is_open(&self) -> bool {
        matches!(self.waits, Waits::Scheme | Waits::User | Waits::Archive)
    }

    fn message(&mut self, mut message: AuthMessage) {
        match message.get(STATE) {
            Some(TIMEOUT) => return self.end(Some(LinkError::Timeout)),
            Some(CANCELED) => return self.end(Some(LinkError::Canceled)),
            _ => {}
        }
        match self.waits {
            Waits::Scheme => self.scheme(&message),
            Waits::Archive => {
                if let Some(json) = message.take(ARCHIVE) {
                    self.archive(zeroize::Zeroizing::new(json).as_bytes());
                } else if message.get(CAN_RETRY).is_some()
                    || message.get(PASSWORD_CORRECT).is_some()
                {
                    self.wrong_password(message.get(CAN_RETRY) == Some("true"));
                } else {
                    self.end(Some(LinkError::Unknown));
                }
            }
            _ => self.end(Some(LinkError::Unknown)),
        }
    }

    fn scheme(&mut self, message: &AuthMessage) {
        let needs_password = match message.get(AUTH_SCHEME) {
            Some("") => false,
            Some(PASSWORD) => true,
            _ => return self.end(Some(LinkError::Unknown)),
        };
        self.status.peer_id = self.peer;
        self.status.needs_password = Some(needs_password);
        self.waits = Waits::User;
        self.tell(LinkState::Authenticating);
    }

    fn archive(&mut self, json: &[u8]) {
        let archive = Archive::from_json(json);
        // It is of the account that the user was shown, or it is nothing.
        match archive {
            Ok(archive) if Some(archive.account_id()) == self.peer => {
                self.waits = Waits::Added;
                self.actions.push_back(Action::Close);
                let take = Action::Take(Box::new(archive), self.password.take());
                self.actions.push_back(take);
            }
            _ => self.end(Some(LinkError::Unknown)),
        }
    }

    fn wrong_password(&mut self, may_retry: bool) {
        self.password = None;
        self.status.wrong_passwords = self.status.wrong_passwords.saturating_add(1);
        if may_retry && self.status.wrong_passwords < MAX_TRIES {
            self.waits = Waits::User;
            self.tell(LinkState::Authenticating);
        } else {
            self.end(Some(LinkError::AuthError));
        }
    }

    fn end(&mut self, error: Option<LinkError>) {
        if self.waits != Waits::Channel {
            self.actions.push_back(Action::Close);
        }
        self.finish(error);
    }

    fn finish(&mut self, error: Option<LinkError>) {
        self.waits = Waits::Nothing;
        self.password = None;
        self.status.token = None;
        self.status.error = error;
        self.tell(LinkState::Done);
    }

    fn tell(&mut self, state: LinkState) {
        self.status.set(state);
        self.actions.push_back(Action::Told);
    }
}
