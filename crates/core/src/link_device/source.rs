//! The device that has the account.

use std::collections::VecDeque;

use baraza_identity::Password;
use zeroize::Zeroizing;

use super::message::{
    ARCHIVE, AUTH_SCHEME, AuthMessage, CAN_RETRY, CANCELED, PASSWORD, PASSWORD_CORRECT, STATE,
    TIMEOUT,
};
use super::wire::Wire;
use super::{Action, LinkError, LinkState, LinkStatus, LinkToken, MAX_TRIES};

/// What the source waits for.
#[derive(Debug, PartialEq, Eq)]
enum Waits {
    /// For the new device to accept the channel.
    Channel,
    /// For its user.
    User,
    /// For the password.
    Password,
    /// For the archive to be opened.
    Archive,
    /// For the archive to be on its way.
    Sent,
    Nothing,
}

/// What came of opening the archive with the password of the new device's user.
#[derive(Debug)]
pub enum ArchiveAnswer {
    /// Its JSON, brought up to date.
    Opened(Zeroizing<String>),
    /// It is another password.
    WrongPassword,
    /// It cannot be read.
    Failed,
}

/// The side that has the account.
#[derive(Debug)]
pub struct Source {
    status: LinkStatus,
    waits: Waits,
    wire: Wire,
    actions: VecDeque<Action>,
}

impl Source {
    /// When the user has given `token`: a channel of its name is being opened.
    pub fn new(token: &LinkToken) -> Self {
        let mut status = LinkStatus::new(LinkState::Connecting);
        status.peer_device = Some(token.device());
        Self {
            status,
            waits: Waits::Channel,
            wire: Wire::new(),
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
        if self.waits == Waits::Sent && self.wire.is_written() {
            self.end(None);
        }
        self.actions.pop_front()
    }

    /// The channel is open: the user is asked.
    pub fn opened(&mut self) {
        if self.waits == Waits::Channel {
            self.waits = Waits::User;
            self.tell(LinkState::Authenticating);
        }
    }

    /// The user wants it. `needs_password` says whether the archive has one. `false` if that
    /// is not asked now.
    pub fn confirm(&mut self, needs_password: bool) -> bool {
        if self.waits != Waits::User {
            return false;
        }
        self.waits = Waits::Password;
        let scheme = if needs_password { PASSWORD } else { "" };
        self.wire
            .send(&AuthMessage::empty().with(AUTH_SCHEME, scheme));
        self.tell(LinkState::InProgress);
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

    /// The channel ended, or could not be opened.
    pub fn closed(&mut self) {
        if self.waits == Waits::Sent && self.wire.is_written() {
            // The new device has what it needs.
            self.finish(None);
        } else if self.is_open() || self.waits == Waits::Channel {
            self.finish(Some(LinkError::Network));
        }
    }

    /// The user does not want it any more. `false` if it is over.
    pub fn cancel(&mut self) -> bool {
        if self.waits == Waits::Nothing {
            return false;
        }
        if self.is_open() {
            self.wire.send(&AuthMessage::empty().with(STATE, CANCELED));
        }
        self.end(Some(LinkError::Canceled));
        true
    }

    /// It took too long.
    pub fn timeout(&mut self) {
        if self.is_open() {
            self.wire.send(&AuthMessage::empty().with(STATE, TIMEOUT));
        }
        if self.waits != Waits::Nothing {
            self.end(Some(LinkError::Timeout));
        }
    }

    /// What came of [`Action::OpenArchive`].
    pub fn archive(&mut self, answer: ArchiveAnswer) {
        if self.waits != Waits::Archive {
            return;
        }
        match answer {
            ArchiveAnswer::Opened(json) => {
                self.waits = Waits::Sent;
                self.wire
                    .send(&AuthMessage::empty().with(ARCHIVE, json.as_str()));
            }
            ArchiveAnswer::WrongPassword => self.wrong_password(),
            ArchiveAnswer::Failed => self.end(Some(LinkError::Unknown)),
        }
    }

    fn is_open(&self) -> bool {
        !matches!(self.waits, Waits::Channel | Waits::Nothing)
    }

    fn message(&mut self, mut message: AuthMessage) {
        match message.get(STATE) {
            Some(TIMEOUT) => return self.end(Some(LinkError::Timeout)),
            Some(CANCELED) => return self.end(Some(LinkError::Canceled)),
            _ => {}
        }
        match self.waits {
            // The new device's first message says nothing.
            Waits::User => {}
            Waits::Password => match message.take(PASSWORD) {
                Some(password) => {
                    self.waits = Waits::Archive;
                    let password = Password::new(password);
                    self.actions.push_back(Action::OpenArchive(password));
                }
                // It comes after the user was quick to confirm.
                None if message == AuthMessage::empty() => {}
                None => self.wrong_password(),
            },
            _ => self.end(Some(LinkError::Unknown)),
        }
    }

    fn wrong_password(&mut self) {
        self.status.wrong_passwords = self.status.wrong_passwords.saturating_add(1);
        let may_retry = self.status.wrong_passwords < MAX_TRIES;
        let answer = AuthMessage::empty().with(CAN_RETRY, may_retry.to_string());
        if may_retry {
            self.wire.send(&answer.with(PASSWORD_CORRECT, "false"));
            self.waits = Waits::Password;
            self.tell(LinkState::InProgress);
        } else {
            self.wire.send(&answer);
            self.end(Some(LinkError::AuthError));
        }
    }

    fn end(&mut self, error: Option<LinkError>) {
        self.actions.push_back(Action::Close);
        self.finish(error);
    }

    fn finish(&mut self, error: Option<LinkError>) {
        self.waits = Waits::Nothing;
        self.status.error = error;
        self.tell(LinkState::Done);
    }

    fn tell(&mut self, state: LinkState) {
        self.status.set(state);
        self.actions.push_back(Action::Told);
    }
}
