//! Fetching files: what waits for that, from whom, and how far it is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use baraza_link::{ChannelId, FailReason};
use baraza_store::{FileRow, FileState, StoreError};
use baraza_wire::{CommitId, ConversationId, DeviceId};
use bytes::Bytes;

use super::{FileKey, FileProduct, FileTask, Job};
use crate::account::channels::{Channel, ChannelKind};
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::CommandError;
use crate::event::FileStatus;
use crate::files::{FileError, Parked, Sink};
use crate::protocol::transfer::{FileRequest, TransferName, file_id};

/// Files fetched at once.
const AT_ONCE: usize = 4;
/// Bytes written at a time: less than half of what may wait on a link, so that more comes
/// before all of that is written.
const AT_A_TIME: usize = 1 << 20;
/// Files waiting to be fetched, if nobody asked for them; and if somebody did.
pub(super) const MAX_UNASKED: usize = 1000;
const MAX_WANTS: usize = 10_000;
/// A device may take so long to accept a channel, or to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// First and longest pause before a device is asked again for a file that it did not give.
const ASK_AGAIN: Duration = Duration::from_secs(10);
const ASK_AGAIN_LONGEST: Duration = Duration::from_secs(600);
/// Pause before a device is asked again that gave a part.
const GO_ON: Duration = Duration::from_millis(500);
/// Pause after the disk failed.
const DISK_PAUSE: Duration = Duration::from_secs(60);
/// Pause between telling how far a file is.
const TELL: Duration = Duration::from_secs(1);
/// And the least part of a file in between: events are kept, and one on a slow line would
/// push out all others.
const TELL_PART: u64 = 100;

/// A file to be fetched.
#[derive(Debug)]
pub(super) struct Want {
    row: FileRow,
    /// Its place among the others; tells this want from an earlier one for the same file.
    serial: u64,
    tried: BTreeMap<DeviceId, Tried>,
    stage: Stage,
    /// What there is, if nothing is under way.
    parked: Option<Parked>,
    /// Who gave bytes of it. `None` if an earlier run got some.
    givers: Option<BTreeSet<DeviceId>>,
    /// To be forgotten when what is done aside is over.
    cancelled: bool,
    /// Not before this time, as the disk failed.
    not_before: Option<Instant>,
    told: Option<(Instant, u64)>,
}

/// A device that was asked.
#[derive(Debug, Default)]
struct Tried {
    failures: u32,
    next: Option<Instant>,
    /// It was one of those that gave something wrong.
    suspicion: u32,
    /// It gave something wrong, and nobody else can have been it.
    wrong: bool,
}

#[derive(Debug)]
enum Stage {
    /// Waits.
    Idle,
    /// What there is, is being looked at; then this device is asked, or, if all is there
    /// already, none.
    Preparing(Option<DeviceId>),
    /// Comes, or is asked for.
    Flow(Box<Flow>),
    /// Is being checked.
    Finishing,
}

#[derive(Debug)]
struct Flow {
    device: DeviceId,
    /// `None` when it has ended.
    channel: Option<ChannelId>,
    /// `None` while it is being written.
    sink: Option<Sink>,
    /// What came and is not being written yet.
    pending: VecDeque<Bytes>,
    /// Bytes that are being written.
    writing: usize,
    /// Where it began, and where it is, with all that came.
    start: u64,
    received: u64,
    /// More came than the file has: it is another one.
    too_long: bool,
}

impl Want {
    /// What clients are told.
    pub(super) fn status(&self) -> FileStatus {
        match &self.stage {
            Stage::Flow(flow) if flow.received > flow.start => FileStatus::Ongoing,
            Stage::Finishing => FileStatus::Ongoing,
            _ => FileStatus::Waiting,
        }
    }

    /// How much of it is here.
    pub(super) fn received(&self) -> u64 {
        match (&self.stage, &self.parked) {
            (Stage::Flow(flow), _) => flow.received,
            (Stage::Finishing, _) => self.row.size,
            (_, Some(parked)) => parked.length(),
            _ => 0,
        }
    }

    fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }
}

impl Account {
    /// Puts a file among those to be fetched.
    pub(super) fn enqueue(&mut self, id: ConversationId, row: FileRow, fresh: bool) {
        let key = (id, row.message);
        self.files.next_want = self.files.next_want.saturating_add(1);
        let want = Want {
            row,
            serial: self.files.next_want,
            tried: BTreeMap::new(),
            stage: Stage::Idle,
            parked: None,
            givers: fresh.then(BTreeSet::new),
            cancelled: false,
            not_before: None,
            told: None,
        };
        self.files.wants.insert(key, want);
    }

    /// The command to fetch a file.
    pub(in crate::account) fn accept_file(
        &mut self,
        id: ConversationId,
        message: CommitId,
    ) -> Result<(), CommandFailure> {
        let mut row = self.file_row(&id, &message)?;
        match row.state {
            FileState::Deleted => return Err(CommandError::NoSuchFile.into()),
            FileState::Here if self.core.area().content(&id, &row.sha3).is_file() => return Ok(()),
            FileState::Here => self.content_lost(id, &mut row)?,
            FileState::Offered | FileState::Wanted => {}
        }
        if let Some(want) = self.files.wants.get_mut(&(id, message)) {
            // Whoever was asked in vain is asked again.
            want.tried.clear();
            want.not_before = None;
            want.cancelled = false;
        } else if self.files.wants.len() >= MAX_WANTS {
            return Err(CommandError::Busy.into());
        }
        self.accept(id, row, true)?;
        self.advance_files();
        Ok(())
    }

    /// Notes that a file is to be fetched.
    pub(super) fn accept(
        &mut self,
        id: ConversationId,
        row: FileRow,
        fresh: bool,
    ) -> Result<(), StoreError> {
        let Some(number) = self.conversation_number(&id) else {
            return Ok(());
        };
        self.core.store.begin()?;
        self.core
            .store
            .set_file_state(number, &row.message, FileState::Wanted, 0)?;
        if !self.files.wants.contains_key(&(id, row.message)) {
            self.tell_file(id, &row, FileStatus::Waiting, 0, "");
            self.enqueue(id, row, fresh);
        }
        Ok(())
    }

    /// The command not to fetch a file, or not any further.
    pub(in crate::account) fn cancel_file(
        &mut self,
        id: ConversationId,
        message: CommitId,
    ) -> Result<(), CommandFailure> {
        let row = self.file_row(&id, &message)?;
        if row.state != FileState::Wanted {
            let text = "the file is not being fetched";
            return Err(CommandError::Invalid(text.into()).into());
        }
        let number = self.conversation(&id)?.row.number;
        self.core.store.begin()?;
        self.core
            .store
            .set_file_state(number, &message, FileState::Offered, 0)?;
        self.tell_file(id, &row, FileStatus::Offered, 0, "cancelled");
        self.stop_fetching(&(id, message));
        self.advance_files();
        Ok(())
    }

    /// Gives up fetching a file, and removes what there is of it.
    pub(super) fn stop_fetching(&mut self, key: &FileKey) {
        let Some(want) = self.files.wants.get_mut(key) else {
            return;
        };
        let busy = match &mut want.stage {
            Stage::Idle => false,
            Stage::Preparing(_) | Stage::Finishing => true,
            Stage::Flow(flow) => {
                let channel = flow.channel.take();
                let busy = flow.sink.is_none();
                if let Some(channel) = channel {
                    self.drop_channel(channel);
                }
                busy
            }
        };
        if busy {
            if let Some(want) = self.files.wants.get_mut(key) {
                want.cancelled = true;
            }
            return;
        }
        self.files.wants.remove(key);
        self.remove_aside(&self.core.area().partial(&key.0, &key.1));
    }

    /// Closes a channel without looking at what was on it.
    fn drop_channel(&mut self, channel: ChannelId) {
        self.channels.remove(&channel);
        self.core.timers.clear(Timer::Channel(channel));
        self.core.link(baraza_link::Command::Close { channel });
    }

    /// A content is not what it was, or not there any more.
    pub(super) fn content_lost(
        &mut self,
        id: ConversationId,
        row: &mut FileRow,
    ) -> Result<(), StoreError> {
        let Some(number) = self.conversation_number(&id) else {
            return Ok(());
        };
        tracing::warn!(conversation = %id, message = %row.message, "a file was lost or changed");
        self.core.store.begin()?;
        for mut other in self.core.store.files_like(number, &row.sha3)? {
            if other.state == FileState::Here {
                self.core
                    .store
                    .set_file_state(number, &other.message, FileState::Offered, 0)?;
                other.state = FileState::Offered;
                self.tell_file(id, &other, FileStatus::Offered, 0, "the file was lost");
            }
        }
        row.state = FileState::Offered;
        // What is there of it, if anything, is not it.
        self.remove_aside(&self.core.area().content(&id, &row.sha3));
        Ok(())
    }

    /// A device is connected, or has just given us what it has of a conversation: it is
    /// asked for files once more.
    pub(in crate::account) fn ask_for_files(&mut self, device: &DeviceId) {
        let mut any = false;
        for want in self.files.wants.values_mut() {
            if let Some(tried) = want.tried.get_mut(device)
                && !tried.wrong
            {
                tried.next = None;
            }
            any = any || want.is_idle();
        }
        if any {
            self.advance_files();
        }
    }

    /// Begins to fetch what waits for that, as far as somebody can be asked.
    pub(in crate::account) fn advance_files(&mut self) {
        let wants = self.files.wants.values();
        let mut busy = wants.filter(|want| !want.is_idle()).count();
        let wants = self.files.wants.iter();
        let mut waiting: Vec<(u64, FileKey)> = wants
            .filter(|(_, want)| want.is_idle())
            .map(|(key, want)| (want.serial, *key))
            .collect();
        waiting.sort_unstable();
        let now = self.core.now.instant;
        let mut next: Option<Instant> = None;
        let mut later = |at: Instant| next = Some(next.map_or(at, |next: Instant| next.min(at)));
        for (_, key) in waiting {
            if busy >= AT_ONCE {
                break;
            }
            let Some(want) = self.files.wants.get(&key) else {
                continue;
            };
            if let Some(at) = want.not_before.filter(|at| *at > now) {
                later(at);
                continue;
            }
            let source = match want.row.size {
                0 => Some(None),
                _ => match self.source(&key.0, want) {
                    Ok(device) => Some(Some(device)),
                    Err(again) => {
                        again.into_iter().for_each(&mut later);
                        None
                    }
                },
            };
            if let Some(device) = source {
                self.prepare(key, device);
                busy = busy.saturating_add(1);
            }
        }
        if let Some(at) = next {
            self.core.timers.set(Timer::Files, at);
        }
    }

    /// The device to ask; else when there will be one, if that is known.
    fn source(&self, id: &ConversationId, want: &Want) -> Result<DeviceId, Option<Instant>> {
        let now = self.core.now.instant;
        let nothing = Tried::default();
        let conversation = self.conversations.get(id);
        let peers = conversation.into_iter().flat_map(|it| &it.peers);
        let linked = peers.filter(|(device, _)| {
            let device = self.devices.get(device);
            device.is_some_and(|device| device.link)
        });
        let tried = linked.map(|(device, peer)| {
            let tried = want.tried.get(device).unwrap_or(&nothing);
            let author = peer.known.owner == want.row.author;
            (tried, !author, *device)
        });
        let usable: Vec<_> = tried.filter(|(tried, ..)| !tried.wrong).collect();
        let ready = usable
            .iter()
            .filter(|(tried, ..)| tried.next.is_none_or(|at| at <= now))
            .min_by_key(|(tried, other, _)| (tried.suspicion, tried.failures, *other));
        match ready {
            Some((_, _, device)) => Ok(*device),
            None => Err(usable.iter().filter_map(|(tried, ..)| tried.next).min()),
        }
    }

    fn prepare(&mut self, key: FileKey, device: Option<DeviceId>) {
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        want.stage = Stage::Preparing(device);
        let task = FileTask::Prepare {
            path: self.core.area().partial(&key.0, &key.1),
            parked: want.parked.take(),
            total: want.row.size,
        };
        let job = Job::Fetch(key, want.serial);
        self.files.start(&mut self.core, job, task);
    }

    /// Something was done aside for a file.
    pub(super) fn fetch_worked(
        &mut self,
        key: FileKey,
        serial: u64,
        result: Result<FileProduct, FileError>,
    ) -> Result<(), StoreError> {
        let Some(want) = self.files.wants.get_mut(&key) else {
            return Ok(());
        };
        if want.serial != serial {
            return Ok(());
        }
        if want.cancelled {
            let sha3 = want.row.sha3.clone();
            self.files.wants.remove(&key);
            if let (Ok(FileProduct::Finished(_)), Some(number)) =
                (result, self.conversation_number(&key.0))
            {
                self.drop_content(key.0, number, &sha3)?;
            }
            self.remove_aside(&self.core.area().partial(&key.0, &key.1));
            self.advance_files();
            return Ok(());
        }
        match result {
            Ok(FileProduct::Prepared(sink)) => self.prepared(key, sink),
            Ok(FileProduct::Written(sink)) => self.written(key, sink),
            Ok(FileProduct::Finished(changed)) => return self.finished(key, changed),
            Ok(_) => {}
            Err(FileError::Wrong) => self.was_wrong(key),
            Err(error) => self.disk_failed(key, &error),
        }
        Ok(())
    }

    /// What there is of a file is known.
    fn prepared(&mut self, key: FileKey, sink: Sink) {
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        let Stage::Preparing(device) = want.stage else {
            return;
        };
        if sink.length() == want.row.size {
            return self.finish(key, sink, Vec::new());
        }
        if sink.length() == 0 {
            // Whatever was there is gone.
            want.givers = Some(BTreeSet::new());
        }
        let device = device.filter(|device| self.devices.get(device).is_some_and(|it| it.link));
        let owner = device.and_then(|device| Some(self.devices.get(&device)?.row.owner));
        let (Some(device), Some(owner)) = (device, owner) else {
            want.parked = sink.park();
            want.stage = Stage::Idle;
            // Somebody else may be there.
            return self.advance_files();
        };
        let channel = self.core.channel();
        let start = sink.length();
        let name = TransferName::File(FileRequest {
            conversation: key.0,
            device: self.core.device,
            message: key.1,
            file_id: file_id(&key.1, &want.row.tid, &want.row.name),
            start,
            end: 0,
        });
        want.stage = Stage::Flow(Box::new(Flow {
            device,
            channel: Some(channel),
            sink: Some(sink),
            pending: VecDeque::new(),
            writing: 0,
            start,
            received: start,
            too_long: false,
        }));
        let kind = ChannelKind::FetchFile(key);
        self.channels
            .insert(channel, Channel::new(device, owner, kind));
        self.core.link(baraza_link::Command::Open {
            channel,
            device,
            name: name.to_string(),
            reason: String::new(),
        });
        self.be_patient(channel);
    }

    fn be_patient(&mut self, channel: ChannelId) {
        let at = self.core.after(PATIENCE);
        self.core.timers.set(Timer::Channel(channel), at);
    }

    fn flow(&mut self, key: &FileKey, channel: ChannelId) -> Option<&mut Flow> {
        match &mut self.files.wants.get_mut(key)?.stage {
            Stage::Flow(flow) if flow.channel == Some(channel) => Some(flow),
            _ => None,
        }
    }

    /// A channel for a file is open.
    pub(in crate::account) fn file_open(&mut self, channel: ChannelId) {
        self.be_patient(channel);
    }

    /// A device does not give a file.
    pub(in crate::account) fn file_refused(
        &mut self,
        key: &FileKey,
        channel: ChannelId,
        reason: &FailReason,
    ) {
        tracing::debug!(message = %key.1, %reason, "a device does not give a file");
        self.file_ended(key, channel);
    }

    /// Bytes of a file came.
    pub(in crate::account) fn file_data(&mut self, key: FileKey, channel: ChannelId, bytes: Bytes) {
        let Some(size) = self.files.wants.get(&key).map(|want| want.row.size) else {
            return self.drop_channel(channel);
        };
        let Some(flow) = self.flow(&key, channel) else {
            return self.drop_channel(channel);
        };
        let left = size.saturating_sub(flow.received);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > left {
            flow.channel = None;
            flow.too_long = true;
            flow.pending.clear();
            self.drop_channel(channel);
            return self.pump_file(key);
        }
        flow.received = flow.received.saturating_add(length);
        flow.pending.push_back(bytes);
        let device = flow.device;
        if let Some(want) = self.files.wants.get_mut(&key)
            && let Some(givers) = &mut want.givers
        {
            givers.insert(device);
        }
        self.be_patient(channel);
        self.pump_file(key);
    }

    /// The channel of a file has ended.
    pub(in crate::account) fn file_ended(&mut self, key: &FileKey, channel: ChannelId) {
        if let Some(flow) = self.flow(key, channel) {
            flow.channel = None;
            self.pump_file(*key);
        }
    }

    /// A device takes too long.
    pub(in crate::account) fn file_stalls(&mut self, key: &FileKey, channel: ChannelId) {
        self.drop_channel(channel);
        self.file_ended(key, channel);
    }

    /// Does what can be done for a file that comes.
    fn pump_file(&mut self, key: FileKey) {
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        let (size, serial) = (want.row.size, want.serial);
        let Stage::Flow(flow) = &mut want.stage else {
            return;
        };
        let Some(sink) = flow.sink.take() else {
            // When that is written.
            return;
        };
        if flow.too_long {
            drop(sink);
            self.remove_aside(&self.core.area().partial(&key.0, &key.1));
            return self.was_wrong(key);
        }
        // Not all at once, so that more can come while these are being hashed.
        let (mut pieces, mut taken) = (Vec::new(), 0_usize);
        while taken < AT_A_TIME
            && let Some(piece) = flow.pending.pop_front()
        {
            taken = taken.saturating_add(piece.len());
            pieces.push(piece);
        }
        if flow.received == size && flow.pending.is_empty() {
            let channel = flow.channel.take();
            if let Some(channel) = channel {
                self.drop_channel(channel);
            }
            return self.finish(key, sink, pieces);
        }
        if !pieces.is_empty() {
            flow.writing = taken;
            let task = FileTask::Write { sink, pieces };
            self.files
                .start(&mut self.core, Job::Fetch(key, serial), task);
            return self.tell_progress(key);
        }
        if flow.channel.is_some() {
            flow.sink = Some(sink);
            return;
        }
        // It ended too early.
        let (device, gave) = (flow.device, flow.received > flow.start);
        want.parked = sink.park();
        want.stage = Stage::Idle;
        let tried = want.tried.entry(device).or_default();
        let pause = if gave {
            tried.failures = 0;
            GO_ON
        } else {
            tried.failures = tried.failures.saturating_add(1);
            let failures = tried.failures.saturating_sub(1);
            self.core.back_off(ASK_AGAIN, failures, ASK_AGAIN_LONGEST)
        };
        tried.next = Some(self.core.after(pause));
        self.advance_files();
    }

    /// Bytes of a file were written.
    fn written(&mut self, key: FileKey, sink: Sink) {
        let Some(Stage::Flow(flow)) = self.files.wants.get_mut(&key).map(|want| &mut want.stage)
        else {
            return;
        };
        flow.sink = Some(sink);
        let bytes = std::mem::take(&mut flow.writing);
        if let Some(channel) = flow.channel {
            self.core
                .link(baraza_link::Command::Consumed { channel, bytes });
        }
        self.pump_file(key);
    }

    /// All of a file is there.
    fn finish(&mut self, key: FileKey, sink: Sink, pieces: Vec<Bytes>) {
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        want.stage = Stage::Finishing;
        let task = FileTask::Finish {
            sink,
            pieces,
            to: self.core.area().content(&key.0, &want.row.sha3),
            sha3: want.row.sha3.clone(),
        };
        let job = Job::Fetch(key, want.serial);
        self.files.start(&mut self.core, job, task);
    }

    /// A file is here.
    fn finished(&mut self, key: FileKey, changed: u64) -> Result<(), StoreError> {
        let (id, _) = key;
        let Some(want) = self.files.wants.remove(&key) else {
            return Ok(());
        };
        let Some(number) = self.conversation_number(&id) else {
            return Ok(());
        };
        if !self.core.area().content(&id, &want.row.sha3).is_file() {
            // One with the same content was deleted in this moment.
            self.enqueue(id, want.row, true);
            self.advance_files();
            return Ok(());
        }
        self.content_here(id, number, &want.row, changed)?;
        self.advance_files();
        Ok(())
    }

    /// A content is here: so is every file that has it, as the same may have been sent more
    /// than once.
    pub(super) fn content_here(
        &mut self,
        id: ConversationId,
        number: i64,
        like: &FileRow,
        changed: u64,
    ) -> Result<(), StoreError> {
        for row in self.core.store.files_like(number, &like.sha3)? {
            let wanted = matches!(row.state, FileState::Offered | FileState::Wanted);
            if !wanted || row.size != like.size {
                continue;
            }
            self.core.store.begin()?;
            self.core
                .store
                .set_file_state(number, &row.message, FileState::Here, changed)?;
            self.stop_fetching(&(id, row.message));
            let size = row.size;
            self.tell_file(id, &row, FileStatus::Here, size, "");
        }
        Ok(())
    }

    /// What came is not what the message says, and was removed.
    fn was_wrong(&mut self, key: FileKey) {
        let now = self.core.now.instant;
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        want.stage = Stage::Idle;
        want.parked = None;
        let givers = want.givers.replace(BTreeSet::new()).unwrap_or_default();
        let alone = givers.len() == 1;
        for device in givers {
            let tried = want.tried.entry(device).or_default();
            tried.suspicion = tried.suspicion.saturating_add(1);
            tried.wrong = alone;
        }
        if want.row.size == 0 {
            // Nobody can have anything else.
            want.not_before = Some(now.checked_add(ASK_AGAIN_LONGEST).unwrap_or(now));
        }
        let (row, error) = (want.row.clone(), FileError::Wrong.to_string());
        tracing::warn!(message = %key.1, %error, "a file was thrown away");
        self.tell_file(key.0, &row, FileStatus::Waiting, 0, &error);
        self.advance_files();
    }

    /// A file cannot be written.
    fn disk_failed(&mut self, key: FileKey, error: &FileError) {
        let later = self.core.after(DISK_PAUSE);
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        tracing::warn!(message = %key.1, %error, "a file cannot be stored");
        let channel = match &mut want.stage {
            Stage::Flow(flow) => flow.channel.take(),
            _ => None,
        };
        want.stage = Stage::Idle;
        want.parked = None;
        want.not_before = Some(later);
        let row = want.row.clone();
        if let Some(channel) = channel {
            self.drop_channel(channel);
        }
        self.tell_file(key.0, &row, FileStatus::Waiting, 0, &error.to_string());
        self.advance_files();
    }

    /// Tells how far a file is, now and then.
    fn tell_progress(&mut self, key: FileKey) {
        let now = self.core.now.instant;
        let Some(want) = self.files.wants.get_mut(&key) else {
            return;
        };
        let received = want.received();
        let news = match want.told {
            None => true,
            Some((at, before)) => {
                let part = want.row.size / TELL_PART;
                now.saturating_duration_since(at) >= TELL && received.abs_diff(before) > part
            }
        };
        if news {
            want.told = Some((now, received));
            let (row, status) = (want.row.clone(), want.status());
            self.tell_file(key.0, &row, status, received, "");
        }
    }
}
