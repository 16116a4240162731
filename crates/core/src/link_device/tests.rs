//! Both sides against each other, on a channel that is a pair of queues.

use baraza_identity::{Archive, Password, testing};
use baraza_wire::{AccountId, DeviceId, Rng};
use zeroize::Zeroizing;

use super::*;
use crate::event::LocalId;

struct Pair {
    new: NewDevice,
    source: Source,
    /// The account that the source has, and shows by its certificate.
    archive: Archive,
    password: &'static str,
    taken: Vec<(Archive, Option<Password>)>,
    closed: [bool; 2],
}

fn token() -> LinkToken {
    LinkToken::new(DeviceId::new([7; 32]), &mut Rng::from_seed(1))
}

impl Pair {
    fn new(password: &'static str) -> Self {
        Self {
            new: NewDevice::new(token()),
            source: Source::new(&token()),
            archive: testing::archive("alice"),
            password,
            taken: Vec::new(),
            closed: [false; 2],
        }
    }

    fn connect(mut self) -> Self {
        let account = self.archive.account_id();
        assert!(self.new.requested(&token().channel_name(), account));
        self.source.opened();
        self.run();
        assert_eq!(self.source.status().state, LinkState::Authenticating);
        self
    }

    fn confirmed(password: &'static str) -> Self {
        let mut pair = Self::new(password).connect();
        assert!(pair.source.confirm(!password.is_empty()));
        pair.run();
        let status = pair.new.status();
        assert_eq!(status.state, LinkState::Authenticating);
        assert_eq!(status.peer_id, Some(pair.archive.account_id()));
        assert_eq!(status.needs_password, Some(!password.is_empty()));
        pair
    }

    /// Until nothing moves.
    fn run(&mut self) {
        loop {
            let action = self.source.poll_action();
            let of_source = action.is_some();
            match action {
                Some(Action::Write(bytes)) => {
                    self.new.data(&bytes);
                    self.source.sent(bytes.len());
                }
                Some(Action::Close) => {
                    self.closed[1] = true;
                    self.new.closed();
                }
                Some(Action::OpenArchive(given)) => {
                    let answer = if given.as_str() == self.password {
                        let json = self.archive.to_json(false).unwrap();
                        let text = String::from_utf8(json.to_vec()).unwrap();
                        ArchiveAnswer::Opened(Zeroizing::new(text))
                    } else {
                        ArchiveAnswer::WrongPassword
                    };
                    self.source.archive(answer);
                }
                Some(Action::Take(..)) => panic!("the source takes nothing"),
                Some(Action::Told) | None => {}
            }
            let action = self.new.poll_action();
            match action {
                Some(Action::Write(bytes)) => {
                    self.source.data(&bytes);
                    self.new.sent(bytes.len());
                }
                Some(Action::Close) => {
                    self.closed[0] = true;
                    self.source.closed();
                }
                Some(Action::Take(archive, password)) => {
                    self.taken.push((*archive, password));
                    self.new.added(Some(LocalId::new(5)));
                }
                Some(Action::OpenArchive(_)) => panic!("the new device opens nothing"),
                Some(Action::Told) => {}
                None if of_source => {}
                None => return,
            }
        }
    }

    /// Both are over; why not.
    fn ends(&self, new: Option<LinkError>, source: Option<LinkError>) {
        for (status, error) in [(self.new.status(), new), (self.source.status(), source)] {
            assert_eq!(status.state, LinkState::Done);
            assert_eq!(status.error, error);
            assert_eq!(status.token, None);
        }
        assert_eq!(self.taken.is_empty(), new.is_some());
    }
}

#[test]
fn an_account_with_a_password_is_linked() {
    let mut pair = Pair::confirmed("right");
    assert!(pair.new.confirm(Password::new("wrong")));
    pair.run();
    assert_eq!(pair.new.status().state, LinkState::Authenticating);
    assert_eq!(pair.new.status().wrong_passwords, 1);
    assert!(pair.new.confirm(Password::new("right")));
    pair.run();
    pair.ends(None, None);
    assert_eq!(pair.new.status().account, Some(LocalId::new(5)));
    let (archive, password) = &pair.taken[0];
    assert_eq!(archive.account_id(), pair.archive.account_id());
    assert_eq!(password.as_ref().unwrap().as_str(), "right");
}

#[test]
fn an_account_without_a_password_is_linked_when_both_users_want_it() {
    let mut pair = Pair::confirmed("");
    // The new device's user has not seen the account yet.
    assert!(pair.taken.is_empty());
    assert!(pair.new.confirm(Password::new("")));
    pair.run();
    pair.ends(None, None);
    assert!(pair.taken[0].1.is_none());
}

#[test]
fn nothing_is_said_before_the_users_confirm() {
    let mut pair = Pair::new("").connect();
    assert!(!pair.new.confirm(Password::new("")));
    assert_eq!(pair.new.status().state, LinkState::Connecting);
    assert_eq!(pair.new.status().peer_id, None);
    assert!(pair.source.confirm(false));
    assert!(!pair.source.confirm(false));
}

#[test]
fn a_large_archive_comes_in_pieces() {
    let mut pair = Pair::confirmed("");
    for n in 0..20_000_u32 {
        let mut id = [3; 20];
        id[..4].copy_from_slice(&n.to_be_bytes());
        pair.archive
            .contacts
            .insert(AccountId::new(id), Default::default());
    }
    assert!(pair.archive.to_json(false).unwrap().len() > 1_000_000);
    assert!(pair.new.confirm(Password::new("")));
    pair.run();
    pair.ends(None, None);
    assert_eq!(pair.taken[0].0.contacts.len(), 20_000);
}

#[test]
fn three_wrong_passwords_end_it() {
    let mut pair = Pair::confirmed("right");
    for _ in 0..3 {
        assert!(pair.new.confirm(Password::new("wrong")));
        pair.run();
    }
    pair.ends(Some(LinkError::AuthError), Some(LinkError::AuthError));
    assert_eq!(pair.closed, [true; 2]);
    assert!(!pair.new.confirm(Password::new("right")));
}

#[test]
fn wrong_codes_and_second_channels_are_refused() {
    let mut new = NewDevice::new(token());
    let account = AccountId::new([1; 20]);
    for name in ["", "auth:", "auth:000000", "sip", "auth:1234567"] {
        assert!(!new.requested(name, account), "{name}");
    }
    let name = token().channel_name();
    assert!(new.requested(&name, account));
    assert!(!new.requested(&name, account));
    new.cancel();
    assert!(!new.requested(&name, account));
}

#[test]
fn either_side_can_give_up() {
    let mut pair = Pair::confirmed("right");
    assert!(pair.source.cancel());
    pair.run();
    pair.ends(Some(LinkError::Canceled), Some(LinkError::Canceled));
    assert!(!pair.source.cancel());

    let mut pair = Pair::confirmed("right");
    assert!(pair.new.cancel());
    pair.run();
    pair.ends(Some(LinkError::Canceled), Some(LinkError::Network));

    let mut alone = NewDevice::new(token());
    assert!(alone.cancel());
    assert_eq!(alone.status().error, Some(LinkError::Canceled));
}

#[test]
fn it_takes_five_minutes_at_most() {
    let mut pair = Pair::confirmed("right");
    pair.source.timeout();
    pair.run();
    pair.ends(Some(LinkError::Timeout), Some(LinkError::Timeout));
    let mut pair = Pair::confirmed("right");
    pair.new.timeout();
    pair.run();
    pair.ends(Some(LinkError::Timeout), Some(LinkError::Timeout));
}

#[test]
fn a_connection_that_is_lost_ends_it() {
    let mut pair = Pair::confirmed("right");
    pair.new.closed();
    pair.source.closed();
    pair.ends(Some(LinkError::Network), Some(LinkError::Network));
}

#[test]
fn the_archive_of_another_account_is_not_taken() {
    let mut pair = Pair::confirmed("");
    pair.archive = testing::archive("bob");
    assert!(pair.new.confirm(Password::new("")));
    pair.run();
    assert_eq!(pair.new.status().error, Some(LinkError::Unknown));
    assert!(pair.taken.is_empty());
}

#[test]
fn nothing_but_what_is_expected_is_read() {
    let messages = [
        AuthMessage::empty().with("accData", "{}"),
        AuthMessage::empty().with("authScheme", "another"),
        AuthMessage::empty(),
    ];
    for message in messages {
        let mut new = NewDevice::new(token());
        new.requested(&token().channel_name(), AccountId::new([1; 20]));
        new.data(&message.encode());
        assert_eq!(new.status().error, Some(LinkError::Unknown), "{message:?}");
    }
    // Not msgpack, and a message without end.
    let mut endless = vec![0xdb, 0x7f, 0xff, 0xff, 0xff];
    endless.resize(MAX_MESSAGE + 10, b'a');
    for bytes in [vec![0xc1], endless] {
        let mut new = NewDevice::new(token());
        new.requested(&token().channel_name(), AccountId::new([1; 20]));
        let mut source = Source::new(&token());
        source.opened();
        for piece in bytes.chunks(0xffff) {
            new.data(piece);
            source.data(piece);
        }
        assert_eq!(new.status().error, Some(LinkError::Unknown));
        assert_eq!(source.status().error, Some(LinkError::Unknown));
    }
}
