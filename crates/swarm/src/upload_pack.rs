//! The serving side of a git channel (docs/protocol/05-swarm.md sections 8.3 to 8.6).
//!
//! A machine for one channel: bytes in by [`UploadPack::receive`], whole pkt-lines out by
//! [`UploadPack::poll_output`]. It satisfies existing peers (libgit2 clients), plain `git`
//! and [`crate::fetch`]. The pack is made while it is polled, so a peer that reads slowly
//! costs no memory: poll only when the channel can take more.
//!
//! Other than existing peers it answers only for commits it has, and closes the channel
//! when it cannot answer, where they leave the peer waiting.

use std::collections::VecDeque;
use std::fmt;

use baraza_wire::CommitId;
use bytes::Bytes;
use gix::ObjectId;
use gix::objs::{Find, Kind};

use crate::pack::{self, PackError, PackLimits, PackWriter, Selecting};
use crate::pktline::{FLUSH, MAX_DATA_SENT, Packet, PktLineError, PktReader, PktWriter};

/// What is served: one conversation's repository.
pub trait Served {
    /// The newest commit of the own branch; `None` if there is none.
    fn head(&self) -> Option<CommitId>;

    /// The objects. Every commit in it is validated and may be handed out.
    fn objects(&self) -> &dyn Find;
}

/// What the driver must do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerOutput {
    /// Send these bytes in one channel write: whole pkt-lines, at most 65535 bytes.
    Write(Bytes),
    /// All of a pack up to this commit was handed out.
    Served {
        /// The commit that was asked for.
        commit: CommitId,
    },
    /// The peer saw our head and asked for nothing: it has it.
    UpToDate {
        /// The head it saw.
        commit: CommitId,
    },
    /// There is more to do, which takes a while: ask again when there is time.
    Pause,
    /// Close the channel; nothing follows.
    Close(ServeError),
}

/// Why a channel is closed by the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The bytes are not pkt-lines.
    #[error("the peer does not speak the git protocol: {0}")]
    Framing(#[from] PktLineError),
    /// The first line is not a request for a pack.
    #[error("the peer asked for something else than git-upload-pack")]
    Request,
    /// A line that has no meaning where it came.
    #[error("the peer sent {0} out of place")]
    OutOfPlace(&'static str),
    /// More bytes than a client ever has reason to send at once.
    #[error("the peer sends more than it reads")]
    Flood,
    /// The peer wants what we do not have.
    #[error("the peer asked for commit {0}, which is not here")]
    UnknownWant(CommitId),
    /// There is no commit yet.
    #[error("there is nothing to serve yet")]
    Empty,
    /// The repository failed.
    #[error("cannot serve: {0}")]
    Repository(String),
}

/// Most bytes waiting while a pack is being sent. A client sends nothing then but the
/// flush at the end and perhaps its next request.
pub const MAX_WAITING: usize = 128 << 10;
/// Different commits one request may want; existing peers honour one only.
pub const MAX_WANTS: usize = 16;
/// Haves that are looked up, found or not; a libgit2 client sends at most 256.
pub const MAX_HAVES: usize = 1024;
/// Writes queued before reading goes on.
const MAX_QUEUED: usize = 8;
/// What existing peers advertise, word for word.
const CAPABILITIES: &[u8] = b"side-band side-band-64k shallow no-progress include-tag";
/// Commits looked at in one step of a selection, and steps in one call.
const SELECTED_AT_ONCE: usize = 256;
const STEPS: usize = 4;
/// Longest line for a peer with plain `side-band`.
const SMALL_LINE_DATA: usize = 996;

/// The machine. One per channel; requests may follow each other on it.
pub struct UploadPack {
    limits: PackLimits,
    reader: PktReader,
    state: State,
    queue: VecDeque<ServerOutput>,
}

impl fmt::Debug for UploadPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadPack")
            .field("state", &self.state.name())
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

enum State {
    /// Waiting for a request.
    Idle,
    /// Head and references were sent.
    Advertised {
        head: CommitId,
    },
    /// Between the first want and `done`.
    Negotiating(Negotiation),
    /// What is to be sent is sought.
    Selecting(Box<Selecting>, Negotiation),
    Sending(Box<Sending>),
    Closed,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Advertised { .. } => "advertised",
            Self::Negotiating(_) => "negotiating",
            Self::Selecting(..) => "selecting",
            Self::Sending(_) => "sending",
            Self::Closed => "closed",
        }
    }
}

#[derive(Default)]
struct Negotiation {
    wants: Vec<CommitId>,
    /// The flush after the wants came.
    wants_done: bool,
    /// Those we have too.
    haves: Vec<ObjectId>,
    looked_up: usize,
    /// Whether haves came since the last flush, ours or not.
    haves_since_flush: bool,
    band: Band,
    /// The blank before the line feed of the want line (section 8.5) tells libgit2, which
    /// stops sending haves at an ACK. `git` without multi_ack would misread that ACK.
    libgit2: bool,
}

#[derive(Clone, Copy, Default)]
enum Band {
    #[default]
    None,
    Small,
    Large,
}

struct Sending {
    pack: PackWriter,
    band: Band,
    commits: Vec<CommitId>,
}

impl UploadPack {
    /// A server for one channel. `limits.objects` bounds what one request may select.
    pub fn new(limits: PackLimits) -> Self {
        Self {
            limits,
            reader: PktReader::new(),
            state: State::Idle,
            queue: VecDeque::new(),
        }
    }

    /// Whether the peer waits for a pack that is being made or sent.
    pub fn is_answering(&self) -> bool {
        matches!(self.state, State::Selecting(..) | State::Sending(_))
    }

    /// Takes bytes of the channel, in any chunking. Drain [`Self::poll_output`] afterwards.
    pub fn receive(&mut self, bytes: &[u8], served: &dyn Served) {
        if matches!(self.state, State::Closed) {
            return;
        }
        // Take what is complete before adding, so that only a peer that does not wait for
        // its pack can fill the buffer.
        self.advance(served);
        for piece in bytes.chunks(MAX_WAITING / 2) {
            if self.reader.buffered().saturating_add(piece.len()) > MAX_WAITING {
                self.close(ServeError::Flood);
                return;
            }
            self.reader.push(piece);
            self.advance(served);
        }
    }

    /// The next thing to do, `None` until more bytes come. Errors close the channel.
    pub fn poll_output(&mut self, served: &dyn Served) -> Option<ServerOutput> {
        if self.queue.is_empty()
            && matches!(self.state, State::Selecting(..))
            && let Err(reason) = self.select_more(served)
        {
            self.close(reason);
        }
        if self.queue.is_empty() && matches!(self.state, State::Selecting(..)) {
            return Some(ServerOutput::Pause);
        }
        if self.queue.is_empty() {
            self.send_more(served);
        }
        if self.queue.is_empty() {
            self.advance(served);
            if self.queue.is_empty() {
                self.send_more(served);
            }
        }
        self.queue.pop_front()
    }

    fn close(&mut self, reason: ServeError) {
        self.state = State::Closed;
        self.reader = PktReader::new();
        self.queue.push_back(ServerOutput::Close(reason));
    }

    fn write(&mut self, bytes: impl Into<Bytes>) {
        self.queue.push_back(ServerOutput::Write(bytes.into()));
    }

    /// Handles complete packets, until a pack is to be sent or there are enough answers.
    fn advance(&mut self, served: &dyn Served) {
        while self.queue.len() < MAX_QUEUED
            && !matches!(
                self.state,
                State::Selecting(..) | State::Sending(_) | State::Closed
            )
        {
            let result = match self.reader.next_packet() {
                Ok(Some(packet)) => self.packet(&packet, served),
                Ok(None) => return,
                Err(error) => Err(error.into()),
            };
            if let Err(reason) = result {
                self.close(reason);
            }
        }
    }

    fn packet(&mut self, packet: &Packet, served: &dyn Served) -> Result<(), ServeError> {
        match (std::mem::replace(&mut self.state, State::Idle), packet) {
            // A client ends each fetch with a flush, which we may meet here.
            (State::Idle, Packet::Flush) => Ok(()),
            (State::Idle, Packet::Data(line)) => self.request(line, served),
            (State::Advertised { head }, Packet::Flush) => {
                self.queue
                    .push_back(ServerOutput::UpToDate { commit: head });
                Ok(())
            }
            (State::Advertised { .. }, Packet::Data(line)) => {
                self.negotiate(Negotiation::default(), line, served)
            }
            (State::Negotiating(negotiation), Packet::Flush) => {
                self.flush(negotiation);
                Ok(())
            }
            (State::Negotiating(negotiation), Packet::Data(line)) => {
                self.negotiate(negotiation, line, served)
            }
            (state @ (State::Selecting(..) | State::Sending(_) | State::Closed), _) => {
                self.state = state;
                Ok(())
            }
        }
    }

    /// `git-upload-pack /<path>\0host=<host>\0…`: the path and the host are ignored, the
    /// channel chose the repository (section 8.3). A version asked for is ignored too; the
    /// answer is always version 0, which clients understand.
    fn request(&mut self, line: &[u8], served: &dyn Served) -> Result<(), ServeError> {
        if !line.starts_with(b"git-upload-pack ") {
            return Err(ServeError::Request);
        }
        let head = served.head().ok_or(ServeError::Empty)?;
        let hex = head.to_hex();
        let mut writer = PktWriter::new();
        let fits = writer.line(&[hex.as_bytes(), b" HEAD\0", CAPABILITIES, b"\n"])
            && writer.line(&[hex.as_bytes(), b" refs/heads/main\n"])
            && writer.flush();
        debug_assert!(fits, "three short packets fit a write");
        self.write(writer.finish());
        self.state = State::Advertised { head };
        Ok(())
    }

    fn negotiate(
        &mut self,
        mut negotiation: Negotiation,
        line: &[u8],
        served: &dyn Served,
    ) -> Result<(), ServeError> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if let Some(rest) = text.strip_prefix(b"want ") {
            negotiation.want(rest, served)?;
        } else if let Some(rest) = text.strip_prefix(b"have ") {
            if negotiation.wants.is_empty() {
                return Err(ServeError::OutOfPlace("a have before any want"));
            }
            negotiation.have(rest, served)?;
        } else if text == b"done" {
            if negotiation.wants.is_empty() {
                return Err(ServeError::OutOfPlace("done before any want"));
            }
            return self.done(negotiation, served);
        } else if negotiation.wants.is_empty() {
            return Err(ServeError::OutOfPlace("an unknown line"));
        }
        // Others (`shallow`, `deepen`) are ignored, as existing peers do.
        self.state = State::Negotiating(negotiation);
        Ok(())
    }

    fn flush(&mut self, mut negotiation: Negotiation) {
        if negotiation.haves_since_flush {
            negotiation.haves_since_flush = false;
            match negotiation.haves.first().copied() {
                Some(common) if negotiation.libgit2 => {
                    self.line(&[
                        b"ACK ",
                        common.to_hex().to_string().as_bytes(),
                        b" continue\n",
                    ]);
                    self.line(&[b"NAK\n"]);
                }
                _ => self.line(&[b"NAK\n"]),
            }
        }
        negotiation.wants_done = true;
        self.state = State::Negotiating(negotiation);
    }

    fn done(&mut self, negotiation: Negotiation, served: &dyn Served) -> Result<(), ServeError> {
        let wants: Vec<ObjectId> = negotiation.wants.iter().map(object_id).collect();
        let repository = |error: PackError| ServeError::Repository(error.to_string());
        let selecting = Selecting::new(served.objects(), &wants, &negotiation.haves, &self.limits)
            .map_err(repository)?;
        self.state = State::Selecting(Box::new(selecting), negotiation);
        self.select_more(served)
    }

    /// Seeks some more of what is to be sent. The answer to `done` comes when all is found.
    fn select_more(&mut self, served: &dyn Served) -> Result<(), ServeError> {
        let repository = |error: PackError| ServeError::Repository(error.to_string());
        let state = std::mem::replace(&mut self.state, State::Idle);
        let State::Selecting(mut selecting, negotiation) = state else {
            self.state = state;
            return Ok(());
        };
        // A short history takes one step of each kind.
        let mut selection = None;
        for _ in 0..STEPS {
            selection = selecting
                .step(served.objects(), SELECTED_AT_ONCE)
                .map_err(repository)?;
            if selection.is_some() {
                break;
            }
        }
        let Some(selection) = selection else {
            self.state = State::Selecting(selecting, negotiation);
            return Ok(());
        };
        match negotiation.haves.first() {
            Some(common) => {
                self.line(&[b"ACK ", common.to_hex().to_string().as_bytes(), b"\n"]);
            }
            None => self.line(&[b"NAK\n"]),
        }
        self.state = State::Sending(Box::new(Sending {
            pack: PackWriter::new(selection.objects).map_err(repository)?,
            band: negotiation.band,
            commits: negotiation.wants,
        }));
        Ok(())
    }

    fn line(&mut self, parts: &[&[u8]]) {
        let mut writer = PktWriter::new();
        if writer.line(parts) {
            self.write(writer.finish());
        }
    }

    /// Makes the next piece of the pack.
    fn send_more(&mut self, served: &dyn Served) {
        let State::Sending(sending) = &mut self.state else {
            return;
        };
        let max = match sending.band {
            Band::None => MAX_DATA_SENT,
            Band::Small => SMALL_LINE_DATA.saturating_sub(1),
            Band::Large => MAX_DATA_SENT.saturating_sub(1),
        };
        match sending.pack.next_chunk(served.objects(), max) {
            Ok(Some(chunk)) => {
                if matches!(sending.band, Band::None) {
                    self.write(chunk);
                } else {
                    self.line(&[b"\x01", &chunk]);
                }
            }
            Ok(None) => {
                let commits = std::mem::take(&mut sending.commits);
                if !matches!(sending.band, Band::None) {
                    self.write(FLUSH);
                }
                for commit in commits {
                    self.queue.push_back(ServerOutput::Served { commit });
                }
                self.state = State::Idle;
            }
            Err(error) => self.close(ServeError::Repository(error.to_string())),
        }
    }
}

impl Negotiation {
    fn want(&mut self, rest: &[u8], served: &dyn Served) -> Result<(), ServeError> {
        if self.wants_done {
            return Err(ServeError::OutOfPlace("a want after the wants"));
        }
        let (id, capabilities) =
            parse_id(rest).ok_or(ServeError::OutOfPlace("a want without an id"))?;
        if self.wants.is_empty() {
            let mut words = capabilities.split(|byte| *byte == b' ');
            self.band = match words.clone().any(|word| word == b"side-band-64k") {
                true => Band::Large,
                false if words.any(|word| word == b"side-band") => Band::Small,
                false => Band::None,
            };
            self.libgit2 = capabilities.ends_with(b" ");
        }
        if self.wants.contains(&id) {
            return Ok(());
        }
        if self.wants.len() >= MAX_WANTS {
            return Err(ServeError::OutOfPlace("more wants than there are branches"));
        }
        if !is_commit(&id, served)? {
            return Err(ServeError::UnknownWant(id));
        }
        self.wants.push(id);
        Ok(())
    }

    fn have(&mut self, rest: &[u8], served: &dyn Served) -> Result<(), ServeError> {
        let (id, _) = parse_id(rest).ok_or(ServeError::OutOfPlace("a have without an id"))?;
        self.haves_since_flush = true;
        if self.looked_up >= MAX_HAVES {
            return Ok(());
        }
        self.looked_up = self.looked_up.saturating_add(1);
        if is_commit(&id, served)? {
            self.haves.push(object_id(&id));
        }
        Ok(())
    }
}

fn is_commit(id: &CommitId, served: &dyn Served) -> Result<bool, ServeError> {
    let mut buffer = Vec::new();
    pack::lookup(served.objects(), &object_id(id), &mut buffer)
        .map(|found| found.is_some_and(|data| data.kind == Kind::Commit))
        .map_err(|error| ServeError::Repository(error.to_string()))
}

pub(crate) fn object_id(id: &CommitId) -> ObjectId {
    ObjectId::Sha1(*id.as_bytes())
}

/// The id at the start of `text`, and what follows.
pub(crate) fn parse_id(text: &[u8]) -> Option<(CommitId, &[u8])> {
    let (digits, rest) = text.split_at_checked(CommitId::LEN.saturating_mul(2))?;
    let id = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (rest.is_empty() || rest.first() == Some(&b' ') || rest.first() == Some(&0))
        .then_some((id, rest))
}
