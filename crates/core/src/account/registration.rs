//! Being found: the announcement, the certificate, and what comes over the DHT.

use std::time::Duration;

use baraza_dht::{Command, Event, OpId, Query, Status, Value, certificate_value};
use baraza_store::StoreError;
use baraza_wire::{AccountId, DeviceId, InfoHash};

use crate::account::Account;
use crate::account::timers::Timer;
use crate::event::{EventBody, RegistrationState};
use crate::protocol::account_value::AccountValue;
use crate::protocol::inbox;

/// First pause before publishing again.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
/// Longest pause before publishing again.
const AGAIN_LONGEST: Duration = Duration::from_secs(60);

/// An operation of the DHT under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Our announcement.
    Announce,
    /// Our certificate, under one of its two keys.
    Certificate(usize),
    /// What is left for this device.
    Inbox,
    /// The devices of an account.
    Watch(AccountId),
    /// The certificate of a device, under one of its two keys.
    Lookup(DeviceId, InfoHash),
    /// What the own account has revoked.
    Revocations,
    /// Something left for a device.
    Post,
}

/// How far the account is with registering.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) state: RegistrationState,
    pub(super) announced: bool,
    announcement: Value,
    /// Operations that last as long as the account runs.
    lasting: [Option<OpId>; 4],
    tries: u32,
}

impl Registration {
    pub(super) fn new(announcement: Value) -> Self {
        Self {
            state: RegistrationState::Unregistered,
            announced: false,
            announcement,
            lasting: [None; 4],
            tries: 0,
        }
    }
}

/// The operations that last, in the order of `Registration::lasting`.
const LASTING: [Op; 4] = [
    Op::Announce,
    Op::Certificate(0),
    Op::Certificate(1),
    Op::Inbox,
];

impl Account {
    pub(super) fn start_registration(&mut self) {
        let later = self.core.after(super::conversation::opening::MAINTAIN);
        self.core.timers.set(Timer::Maintain, later);
        if self.core.config.enabled {
            self.set_state(RegistrationState::Trying, "");
            self.register();
        }
    }

    /// Starts the operations that do not run.
    pub(super) fn register(&mut self) {
        if self.revoked.ourselves {
            return;
        }
        if !self.has_published() {
            self.publish_revocations();
        }
        let keys = certificate_value::keys(self.core.identity.public_key());
        for (slot, kind) in LASTING.into_iter().enumerate() {
            if self
                .registration
                .lasting
                .get(slot)
                .is_some_and(Option::is_some)
            {
                continue;
            }
            let put = |key: InfoHash, value: Value| {
                move |op| Command::Put {
                    op,
                    key,
                    value,
                    permanent: true,
                }
            };
            let op = match kind {
                Op::Announce => {
                    let key = self.core.account.into();
                    let value = self.registration.announcement.clone();
                    self.core.operation(kind, put(key, value))
                }
                Op::Certificate(which) => {
                    let Some(key) = keys.get(which) else {
                        continue;
                    };
                    let value = certificate_value::build(self.core.identity.chain());
                    self.core.operation(kind, put(*key, value))
                }
                _ => {
                    let key = inbox::key(self.core.identity.short_id());
                    self.core.operation(kind, |op| Command::Listen {
                        op,
                        key,
                        query: Query::all(),
                    })
                }
            };
            if let Some(slot) = self.registration.lasting.get_mut(slot) {
                *slot = Some(op);
            }
        }
    }

    /// Does not register any more.
    pub(super) fn end_registration(&mut self) {
        self.core.timers.clear(Timer::Register);
        self.registration.announced = false;
        let lasting = std::mem::take(&mut self.registration.lasting);
        for op in lasting.into_iter().flatten() {
            self.core.cancel(op);
        }
    }

    pub(super) fn set_state(&mut self, state: RegistrationState, detail: &str) {
        if self.registration.state != state {
            self.registration.state = state;
            self.core.emit(EventBody::RegistrationStateChanged {
                state,
                detail: detail.to_owned(),
            });
        }
    }

    pub(super) fn dht_event(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Values {
                op,
                values,
                expired,
            } => {
                let Some(kind) = self.core.ops.get(&op).copied() else {
                    return Ok(());
                };
                for value in values {
                    match kind {
                        Op::Inbox if !expired => self.inbox_value(&value)?,
                        Op::Watch(account) => self.account_value(account, &value, expired)?,
                        Op::Lookup(device, key) => self.found_certificate(device, &key, &value)?,
                        _ => {}
                    }
                }
                Ok(())
            }
            Event::Done { op, result } => {
                let Some(kind) = self.core.ops.get(&op).copied() else {
                    return Ok(());
                };
                self.operation_done(op, kind, result.is_ok())
            }
            Event::Status { .. } if self.revoked.ourselves => Ok(()),
            Event::Status { ipv4, ipv6 } => {
                let best = |status| ipv4 == status || ipv6 == status;
                if best(Status::Connected) {
                    if self.registration.state != RegistrationState::Registered {
                        self.look_up_own_name();
                    }
                    self.set_state(RegistrationState::Registered, "");
                    self.registration.tries = 0;
                    self.register();
                    return self.route_all();
                } else if self.registration.state == RegistrationState::Registered {
                    self.set_state(RegistrationState::Trying, "no node of the DHT answers");
                }
                Ok(())
            }
            Event::PublicAddress(_) => Ok(()),
        }
    }

    fn operation_done(&mut self, op: OpId, kind: Op, done: bool) -> Result<(), StoreError> {
        match kind {
            Op::Announce if done => {
                if !std::mem::replace(&mut self.registration.announced, true) {
                    self.core.emit(EventBody::DeviceAnnounced);
                }
                Ok(())
            }
            Op::Certificate(_) | Op::Revocations if done => Ok(()),
            Op::Revocations => {
                self.unpublished();
                self.try_again();
                Ok(())
            }
            Op::Announce | Op::Certificate(_) | Op::Inbox => {
                self.core.cancel(op);
                for slot in &mut self.registration.lasting {
                    if *slot == Some(op) {
                        *slot = None;
                    }
                }
                self.try_again();
                Ok(())
            }
            Op::Watch(account) => {
                self.core.cancel(op);
                self.watches.remove(&account);
                self.try_again();
                Ok(())
            }
            Op::Lookup(device, _) => {
                self.core.ops.remove(&op);
                self.lookup_done(device)
            }
            Op::Post => {
                self.core.ops.remove(&op);
                Ok(())
            }
        }
    }

    fn try_again(&mut self) {
        let tries = self.registration.tries;
        self.registration.tries = tries.saturating_add(1);
        let pause = self.core.back_off(AGAIN_FIRST, tries, AGAIN_LONGEST);
        let later = self.core.after(pause);
        self.core.timers.sooner(Timer::Register, later);
    }

    /// A value under a Jami ID.
    fn account_value(
        &mut self,
        account: AccountId,
        value: &Value,
        expired: bool,
    ) -> Result<(), StoreError> {
        match AccountValue::parse(account, value) {
            Ok(AccountValue::Device(announcement)) => {
                // Very old peers leave the key out; theirs comes with the first link.
                let Some(key) = &announcement.device_key else {
                    return Ok(());
                };
                if key.long_id() == self.core.device {
                    return Ok(());
                }
                if expired {
                    self.unannounced(account, key, value.id);
                    Ok(())
                } else {
                    self.announced(account, key, value.id)
                }
            }
            Ok(AccountValue::Revocations(list)) => self.revocations_heard(account, &list),
            Err(error) => {
                tracing::debug!(%account, %error, "strange value under a Jami ID");
                Ok(())
            }
        }
    }

    /// Hears of the devices of an account from now on.
    pub(super) fn watch(&mut self, account: AccountId) {
        if self.watches.contains_key(&account) {
            return;
        }
        let op = self
            .core
            .operation(Op::Watch(account), |op| Command::Listen {
                op,
                key: account.into(),
                query: Query::all(),
            });
        self.watches.insert(account, op);
    }

    /// Does not any more.
    pub(super) fn unwatch(&mut self, account: &AccountId) {
        if let Some(op) = self.watches.remove(account) {
            self.core.cancel(op);
        }
        for device in self.devices.values_mut() {
            if device.row.owner == *account {
                device.present.clear();
            }
        }
    }
}
