//! Giving files to members of their conversations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use baraza_link::{ChannelId, Peer, WRITE_WINDOW};
use baraza_store::{FileRow, FileState, StoreError};
use baraza_wire::{ConversationId, DeviceId};
use bytes::Bytes;

use super::task::From;
use super::{FileKey, FileProduct, FileTask, Job};
use crate::account::Account;
use crate::account::channels::{Channel, ChannelKind};
use crate::account::timers::Timer;
use crate::files::{FileError, Source, changed};
use crate::protocol::transfer::{FileRequest, file_id};

/// Files given at once; others wait for their turn.
const AT_ONCE: usize = 16;
/// Bytes read at once: some of the longest messages, half of what may be under way.
const PIECE: usize = 4 * 0xffff;
/// A device may take so long to take the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);
/// A channel stays open so long: a daemon of 2023 misses the end of one that ends when it opens.
const SHORTEST: Duration = Duration::from_millis(500);

/// A file that somebody fetches.
#[derive(Debug)]
pub(in crate::account) struct Serving {
    pub(super) key: FileKey,
    start: u64,
    end: u64,
    stage: Stage,
    /// Read, but not written to the channel yet.
    ready: Option<Bytes>,
    /// The channel is not to end before.
    not_before: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// It is being found out if it still is what it should be.
    Checking,
    /// Waits for its turn.
    Waiting,
    /// The next bytes are being read.
    Reading,
    /// There are more.
    Open(Source),
    /// All was read.
    Over,
}

/// Who is given files now, and who waits.
#[derive(Debug, Default)]
pub(super) struct Turns {
    now: BTreeSet<ChannelId>,
    waiting: VecDeque<ChannelId>,
}

impl Account {
    /// A member of a conversation wants a file: accepts or declines (section 8.2).
    pub(in crate::account) fn file_wanted(
        &mut self,
        channel: ChannelId,
        peer: &Peer,
        wish: &FileRequest,
    ) -> Result<(), StoreError> {
        let Some(row) = self.may_have(peer, wish)? else {
            tracing::debug!(device = %peer.device.short(), file = wish.file_id, "file declined");
            self.core.link(baraza_link::Command::Decline { channel });
            return Ok(());
        };
        let key = (wish.conversation, wish.message);
        let path = self.core.area().content(&key.0, &row.sha3);
        // What was not touched since its content was compared is what it was then.
        let untouched = std::fs::metadata(&path)
            .is_ok_and(|file| file.len() == row.size && changed(&file) == row.changed);
        let serving = Serving {
            key,
            start: wish.start,
            end: wish.end,
            stage: if untouched {
                Stage::Waiting
            } else {
                Stage::Checking
            },
            ready: None,
            not_before: None,
        };
        let kind = ChannelKind::ServeFile(Box::new(serving));
        let state = Channel::new(peer.device, peer.account, kind);
        self.channels.insert(channel, state);
        if untouched {
            self.give(channel);
        } else {
            let task = FileTask::Check {
                path,
                sha3: row.sha3,
                size: row.size,
            };
            self.files
                .start(&mut self.core, Job::Check(key, channel), task);
        }
        Ok(())
    }

    /// The file that is wished for, if the peer may have it and it is here.
    fn may_have(&self, peer: &Peer, wish: &FileRequest) -> Result<Option<FileRow>, StoreError> {
        let conversation = self.conversations.get(&wish.conversation);
        let repository = conversation.and_then(|conversation| conversation.ready());
        let banned = repository
            .is_none_or(|repository| repository.is_banned_device(&peer.device).unwrap_or(true));
        let member = self.is_member(&wish.conversation, &peer.account);
        if banned || !member || wish.device == self.core.device {
            return Ok(None);
        }
        let Some(number) = self.conversation_number(&wish.conversation) else {
            return Ok(None);
        };
        let row = self.core.store.file(number, &wish.message)?;
        Ok(row.filter(|row| {
            row.state == FileState::Here
                && file_id(&row.message, &row.tid, &row.name) == wish.file_id
        }))
    }

    /// A file was compared with what it should be.
    pub(super) fn checked(
        &mut self,
        key: FileKey,
        channel: ChannelId,
        result: Result<FileProduct, FileError>,
    ) -> Result<(), StoreError> {
        let Some(number) = self.conversation_number(&key.0) else {
            return Ok(());
        };
        let row = self.core.store.file(number, &key.1)?;
        let row = row.filter(|row| row.state == FileState::Here);
        match (result, row) {
            (Ok(FileProduct::Checked(changed)), Some(_)) => {
                self.core.store.begin()?;
                self.core
                    .store
                    .set_file_state(number, &key.1, FileState::Here, changed)?;
                if self.channels.contains_key(&channel) {
                    self.give(channel);
                }
                Ok(())
            }
            (result, row) => {
                if self.channels.remove(&channel).is_some() {
                    self.core.link(baraza_link::Command::Decline { channel });
                }
                match row {
                    // Not if it was given up.
                    Some(mut row) if !matches!(result, Err(FileError::Stopped)) => {
                        self.content_lost(key.0, &mut row)
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Accepts, and begins when it is the channel's turn.
    fn give(&mut self, channel: ChannelId) {
        let shortest = self.core.after(SHORTEST);
        if let Some(state) = self.channels.get_mut(&channel)
            && let ChannelKind::ServeFile(serving) = &mut state.kind
        {
            state.open = true;
            serving.stage = Stage::Waiting;
            serving.not_before = Some(shortest);
            self.core.link(baraza_link::Command::Accept { channel });
            self.files.serving.waiting.push_back(channel);
            self.next_turns();
        }
    }

    /// Begins with who waits, first with devices that are given the fewest.
    fn next_turns(&mut self) {
        while self.files.serving.now.len() < AT_ONCE {
            let mut busy: BTreeMap<DeviceId, usize> = BTreeMap::new();
            for channel in &self.files.serving.now {
                if let Some(state) = self.channels.get(channel) {
                    let count = busy.entry(state.device).or_default();
                    *count = count.saturating_add(1);
                }
            }
            let waiting = self.files.serving.waiting.iter().enumerate();
            let next = waiting
                .filter_map(|(place, channel)| {
                    let device = self.channels.get(channel)?.device;
                    Some((
                        busy.get(&device).copied().unwrap_or_default(),
                        place,
                        *channel,
                    ))
                })
                .min();
            let Some((_, place, channel)) = next else {
                return;
            };
            self.files.serving.waiting.remove(place);
            self.files.serving.now.insert(channel);
            self.serve_file(channel);
        }
    }

    /// Sends what there is and reads on, as far as there is room.
    pub(in crate::account) fn serve_file(&mut self, id: ChannelId) {
        let at = self.core.after(PATIENCE);
        let now = self.core.now.instant;
        let Some(state) = self.channels.get_mut(&id) else {
            return;
        };
        let ChannelKind::ServeFile(serving) = &mut state.kind else {
            return;
        };
        if let Some(bytes) = serving.ready.take() {
            if state.unsent.saturating_add(bytes.len()) > WRITE_WINDOW {
                serving.ready = Some(bytes);
            } else {
                state.unsent = state.unsent.saturating_add(bytes.len());
                self.core
                    .link(baraza_link::Command::Write { channel: id, bytes });
            }
        }
        if serving.ready.is_some() {
            return;
        }
        let from = match std::mem::replace(&mut serving.stage, Stage::Reading) {
            Stage::Waiting => {
                let (key, start, end) = (serving.key, serving.start, serving.end);
                self.core.timers.set(Timer::Channel(id), at);
                let number = self.conversation_number(&key.0);
                let row = number.map(|number| self.core.store.file(number, &key.1));
                let Some(Ok(Some(row))) = row else {
                    return self.stop_giving(id);
                };
                let path = self.core.area().content(&key.0, &row.sha3);
                From::Path { path, start, end }
            }
            Stage::Open(source) => From::Open(source),
            Stage::Over => {
                if let Some(later) = serving.not_before.filter(|at| *at > now) {
                    serving.stage = Stage::Over;
                    self.core.timers.set(Timer::Channel(id), later);
                    // Others need not wait for that.
                    return self.given(id);
                }
                return self.stop_giving(id);
            }
            stage @ (Stage::Checking | Stage::Reading) => {
                serving.stage = stage;
                return;
            }
        };
        let task = FileTask::Read { from, most: PIECE };
        self.files.start(&mut self.core, Job::Read(id), task);
    }

    /// A device took bytes.
    pub(in crate::account) fn file_taken(&mut self, channel: ChannelId) {
        let at = self.core.after(PATIENCE);
        self.core.timers.set(Timer::Channel(channel), at);
        self.serve_file(channel);
    }

    /// The next bytes of a file were read.
    pub(super) fn was_read(
        &mut self,
        channel: ChannelId,
        result: Result<FileProduct, FileError>,
    ) -> Result<(), StoreError> {
        let Some(state) = self.channels.get_mut(&channel) else {
            return Ok(());
        };
        let ChannelKind::ServeFile(serving) = &mut state.kind else {
            return Ok(());
        };
        match result {
            Ok(FileProduct::Read { bytes, source }) => {
                serving.stage = if source.is_over() {
                    Stage::Over
                } else {
                    Stage::Open(source)
                };
                serving.ready = (!bytes.is_empty()).then_some(bytes);
                self.serve_file(channel);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a file cannot be read");
                self.stop_giving(channel);
            }
        }
        Ok(())
    }

    /// All was written, or no more will be.
    pub(in crate::account) fn stop_giving(&mut self, channel: ChannelId) {
        self.core.link(baraza_link::Command::Close { channel });
        self.channels.remove(&channel);
        self.core.timers.clear(Timer::Channel(channel));
        self.given(channel);
    }

    /// A channel for a file is gone: it is the turn of others.
    pub(in crate::account) fn given(&mut self, channel: ChannelId) {
        self.files.serving.now.remove(&channel);
        self.files
            .serving
            .waiting
            .retain(|waiting| *waiting != channel);
        self.next_turns();
    }

    /// A file is not given any more.
    pub(super) fn stop_serving(&mut self, key: &FileKey) -> Result<(), StoreError> {
        self.stop_serving_those(|other| other == key)
    }

    /// No file of a conversation is given any more.
    pub(super) fn stop_serving_all(&mut self, id: &ConversationId) -> Result<(), StoreError> {
        self.stop_serving_those(|(conversation, _)| conversation == id)
    }

    fn stop_serving_those(&mut self, which: impl Fn(&FileKey) -> bool) -> Result<(), StoreError> {
        let channels: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, state)| match &state.kind {
                ChannelKind::ServeFile(serving) => which(&serving.key),
                _ => false,
            })
            .map(|(channel, _)| *channel)
            .collect();
        for channel in channels {
            self.close_channel(channel)?;
        }
        Ok(())
    }
}
