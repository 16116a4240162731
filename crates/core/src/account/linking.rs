//! Bringing the account to a new device: the machine of [`crate::link_device`], on a channel
//! of this account.

use std::time::Instant;

use baraza_identity::Archive;
use baraza_link::{ChannelId, Event};
use baraza_wire::{DeviceId, Now};

use super::timers::Timer;
use super::{Account, Output};
use crate::command::CommandError;
use crate::event::EventBody;
use crate::keys::Keys;
use crate::link_device::{Action, ArchiveAnswer, LINK_TIMEOUT, LinkToken, Source};

/// Why a connection is needed, for the new device.
const REASON: &str = "auth";

/// A device that is being linked, or was the last.
#[derive(Debug)]
pub(super) struct Linking {
    source: Source,
    channel: ChannelId,
    device: DeviceId,
}

impl Account {
    /// The command to link the device whose token the user was shown.
    pub(super) fn link_device(&mut self, token: &LinkToken) -> Result<(), CommandError> {
        let running = self.linking.as_ref();
        if running.is_some_and(|linking| !linking.source.status().is_done()) {
            return Err(CommandError::LinkRunning);
        }
        if !self.core.config.enabled {
            let why = "the account is disabled";
            return Err(CommandError::NotAllowed(why.into()));
        }
        let (channel, device) = (self.core.channel(), token.device());
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: token.channel_name(),
            reason: REASON.to_owned(),
        });
        let source = Source::new(token);
        self.core
            .out
            .push_back(Output::Linking(source.status().clone()));
        self.linking = Some(Linking {
            source,
            channel,
            device,
        });
        self.limit_linking();
        Ok(())
    }

    /// The command that says that the user wants the device.
    pub(super) fn confirm_link(&mut self) -> Result<(), CommandError> {
        let linking = self.linking.as_mut().ok_or(CommandError::NoLink)?;
        let file = Keys::read_archive(&self.core.config.directory)
            .map_err(|error| CommandError::Store(error.to_string()))?;
        if !linking.source.confirm(Archive::is_encrypted(&file)) {
            return Err(CommandError::NoLink);
        }
        self.run_linking();
        Ok(())
    }

    /// The command to give up.
    pub(super) fn cancel_link(&mut self) -> Result<(), CommandError> {
        let linking = self.linking.as_mut().ok_or(CommandError::NoLink)?;
        if !linking.source.cancel() {
            return Err(CommandError::NoLink);
        }
        self.run_linking();
        Ok(())
    }

    /// Takes what came of [`Output::OpenArchive`].
    pub fn handle_archive(&mut self, now: Now, answer: ArchiveAnswer) {
        self.begin(now);
        if let Some(linking) = &mut self.linking {
            linking.source.archive(answer);
            self.run_linking();
        }
    }

    /// Whether an event was of the channel to a new device, and was used up.
    pub(super) fn linking_event(&mut self, event: &Event) -> bool {
        let Some(linking) = &mut self.linking else {
            return false;
        };
        let (Event::Opened { channel, .. }
        | Event::Failed { channel, .. }
        | Event::Data { channel, .. }
        | Event::Sent { channel, .. }
        | Event::Closed { channel }) = event
        else {
            return false;
        };
        if *channel != linking.channel {
            return false;
        }
        let opened = match event {
            Event::Opened { .. } => {
                linking.source.opened();
                true
            }
            Event::Data { bytes, .. } => {
                linking.source.data(bytes);
                let (channel, bytes) = (*channel, bytes.len());
                self.core
                    .link(baraza_link::Command::Consumed { channel, bytes });
                false
            }
            Event::Sent { bytes, .. } => {
                linking.source.sent(*bytes);
                false
            }
            _ => {
                linking.source.closed();
                false
            }
        };
        if opened {
            self.limit_linking();
        }
        self.run_linking();
        true
    }

    pub(super) fn linking_timeout(&mut self) {
        if let Some(linking) = &mut self.linking {
            linking.source.timeout();
            self.run_linking();
        }
    }

    fn limit_linking(&mut self) {
        let at: Instant = self.core.after(LINK_TIMEOUT);
        self.core.timers.set(Timer::Linking, at);
    }

    /// Does what the machine wants.
    fn run_linking(&mut self) {
        while let Some(linking) = &mut self.linking {
            let channel = linking.channel;
            match linking.source.poll_action() {
                Some(Action::Write(bytes)) => {
                    self.core
                        .link(baraza_link::Command::Write { channel, bytes });
                }
                Some(Action::Close) => {
                    let device = linking.device;
                    self.core.link(baraza_link::Command::Close { channel });
                    tracing::debug!(device = %device.short(), "linking is over");
                }
                Some(Action::OpenArchive(password)) => {
                    self.core.out.push_back(Output::OpenArchive(password));
                }
                Some(Action::Told) => {
                    let status = linking.source.status().clone();
                    self.core.emit(EventBody::DeviceLinkChanged {
                        state: status.state,
                        error: status.error,
                    });
                    if status.is_done() {
                        self.core.timers.clear(Timer::Linking);
                    }
                    self.core.out.push_back(Output::Linking(status));
                }
                // The other side's.
                Some(Action::Take(..)) => {}
                None => break,
            }
        }
    }
}
