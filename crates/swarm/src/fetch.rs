//! The asking side of a git channel (docs/protocol/05-swarm.md section 8).
//!
//! A machine for one channel, reusable for one fetch after the other. It speaks as the
//! libgit2 client of existing peers does, and bears with what their server does: it
//! acknowledges commits it does not have, and says nothing at all when it cannot answer.
//! The pack goes to a [`Spool`], unchecked; `crate::ingest` takes it from there.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use baraza_wire::{CommitId, ConversationId, DeviceId};
use bytes::Bytes;

use crate::pack::Spool;
use crate::pktline::{FLUSH, Packet, PktLineError, PktReader, PktWriter};
use crate::upload_pack::parse_id;

/// What the machine must know of the own repository.
pub trait Local {
    /// Whether commit `id` is here (and validated).
    fn contains(&self, id: &CommitId) -> bool;

    /// At most `max` commits that are here, the likeliest to be known to `peer` first:
    /// the last head fetched from it, then all by time, newest first. The same call with a
    /// larger `max` gives the same list, continued.
    fn haves(&self, peer: &DeviceId, max: usize) -> Vec<CommitId>;
}

/// No repository yet: for a first fetch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Local for Nothing {
    fn contains(&self, _: &CommitId) -> bool {
        false
    }

    fn haves(&self, _: &DeviceId, _: usize) -> Vec<CommitId> {
        Vec::new()
    }
}

/// Limits of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest pack, in bytes (section 8.7).
    pub pack_bytes: u64,
    /// Longest silence of the server. Existing peers wait 24 hours and never answer some
    /// requests; 30 seconds is what section 8.7 advises.
    pub idle: Duration,
    /// Longest fetch altogether, so that a peer that sends a byte now and then ends too.
    pub total: Duration,
    /// Most references advertised: one per device that ever served the peer.
    pub references: usize,
    /// Most bytes beside the pack: references, progress and what is ignored.
    pub chatter: usize,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            pack_bytes: 256 << 20,
            idle: Duration::from_secs(30),
            total: Duration::from_secs(3600),
            references: 20_000,
            chatter: 4 << 20,
        }
    }
}

/// What the driver must do next.
#[derive(Debug)]
pub enum FetchOutput {
    /// Send these bytes in one channel write; they must not be cut.
    Write(Bytes),
    /// The fetch is over; the channel may be used for another.
    Done(FetchOutcome),
    /// The fetch failed: close the channel.
    Failed(FetchError),
}

/// How a fetch ended.
#[derive(Debug)]
pub enum FetchOutcome {
    /// The peer's head is here already.
    UpToDate {
        /// The peer's head.
        head: CommitId,
    },
    /// Something came.
    Pack {
        /// The bytes, unchecked.
        pack: Spool,
        /// The peer's head, which the pack should lead to.
        head: CommitId,
    },
}

/// Why a fetch failed. The channel is of no use any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The bytes are not pkt-lines.
    #[error("the peer does not speak the git protocol: {0}")]
    Framing(#[from] PktLineError),
    /// A line that has no meaning where it came.
    #[error("the peer answered with {0}")]
    Unexpected(&'static str),
    /// The peer has no commit.
    #[error("the peer has nothing to fetch yet")]
    Empty,
    /// The peer reports an error.
    #[error("the peer refuses: {0}")]
    Remote(String),
    /// The pack is too long.
    #[error("the pack is larger than {0} bytes")]
    PackTooLarge(u64),
    /// Too much besides the pack.
    #[error("the peer sends too much beside the pack")]
    Chatter,
    /// No byte for too long.
    #[error("the peer stopped answering")]
    Idle,
    /// Not finished in the longest time allowed.
    #[error("the fetch took too long")]
    TooSlow,
    /// The channel ended.
    #[error("the channel was closed during the fetch")]
    Closed,
    /// A fetch is under way already.
    #[error("a fetch is under way on this channel")]
    Busy,
    /// The disk failed.
    #[error("cannot keep the pack: {0}")]
    Io(#[from] io::Error),
}

/// Haves sent before an answer is awaited, as libgit2 does.
pub const HAVES_PER_FLUSH: usize = 20;
/// Most haves altogether, as libgit2 does.
pub const MAX_HAVES: usize = 256;
/// What we ask for; the blank before the line feed is libgit2's.
const WANT_CAPABILITIES: &[u8] = b" side-band-64k include-tag \n";
/// Longest text of a peer's error that is kept.
const MAX_REMOTE_ERROR: usize = 200;

/// The machine.
pub struct Fetch {
    conversation: ConversationId,
    responder: DeviceId,
    spool_directory: PathBuf,
    limits: FetchLimits,
    reader: PktReader,
    state: State,
    queue: VecDeque<FetchOutput>,
    started: Option<Instant>,
    heard: Option<Instant>,
    chatter: usize,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("conversation", &self.conversation)
            .field("responder", &self.responder)
            .field("state", &self.state.name())
            .finish_non_exhaustive()
    }
}

enum State {
    Idle,
    /// Waiting for references.
    References {
        head: Option<CommitId>,
        main: Option<CommitId>,
        count: usize,
    },
    /// Haves sent, waiting for one answer.
    Haves {
        head: CommitId,
        /// More haves; `None` after the first group, when they were not asked for yet.
        left: Option<VecDeque<CommitId>>,
    },
    /// `done` sent.
    Pack {
        head: CommitId,
        spool: Spool,
    },
    Failed,
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::References { .. } => "references",
            Self::Haves { .. } => "haves",
            Self::Pack { .. } => "pack",
            Self::Failed => "failed",
        }
    }
}

impl Fetch {
    /// A client for the channel `git://<responder>/<conversation>`. Large packs are kept
    /// in a temporary file in `spool_directory`, which must exist.
    pub fn new(
        conversation: ConversationId,
        responder: DeviceId,
        spool_directory: PathBuf,
        limits: FetchLimits,
    ) -> Self {
        Self {
            conversation,
            responder,
            spool_directory,
            limits,
            reader: PktReader::new(),
            state: State::Idle,
            queue: VecDeque::new(),
            started: None,
            heard: None,
            chatter: 0,
        }
    }

    /// Whether [`Self::start`] may be called.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Asks for what the peer has.
    ///
    /// # Errors
    /// If a fetch is under way or has failed.
    pub fn start(&mut self, now: Instant) -> Result<(), FetchError> {
        match self.state {
            State::Idle => {}
            State::Failed => return Err(FetchError::Closed),
            _ => return Err(FetchError::Busy),
        }
        let mut writer = PktWriter::new();
        let fits = writer.line(&[
            b"git-upload-pack /",
            self.conversation.to_hex().as_bytes(),
            b"\0host=",
            self.responder.to_hex().as_bytes(),
            b"\0",
        ]);
        debug_assert!(fits, "a request has 132 bytes");
        self.write(writer);
        self.started = Some(now);
        self.heard = Some(now);
        self.chatter = 0;
        self.state = State::References {
            head: None,
            main: None,
            count: 0,
        };
        Ok(())
    }

    /// Takes bytes of the channel, in any chunking.
    pub fn receive(&mut self, now: Instant, bytes: &[u8], local: &dyn Local) {
        if self.started.is_some() {
            self.heard = Some(now);
        }
        for piece in bytes.chunks(64 << 10) {
            if matches!(self.state, State::Failed) {
                return;
            }
            self.reader.push(piece);
            loop {
                let result = match self.reader.next_packet() {
                    Ok(Some(packet)) => self.packet(packet, local),
                    Ok(None) => break,
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = result {
                    self.fail(error);
                    return;
                }
            }
        }
    }

    /// The channel ended.
    pub fn handle_close(&mut self) {
        match self.state {
            State::Idle => self.state = State::Failed,
            State::Failed => {}
            _ => self.fail(FetchError::Closed),
        }
    }

    /// When to call [`Self::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        let idle = self.heard?.checked_add(self.limits.idle)?;
        let total = self.started?.checked_add(self.limits.total)?;
        Some(idle.min(total))
    }

    /// Fails a fetch that takes too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        let idle = self
            .heard
            .is_some_and(|at| now.saturating_duration_since(at) >= self.limits.idle);
        self.fail(if idle {
            FetchError::Idle
        } else {
            FetchError::TooSlow
        });
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<FetchOutput> {
        self.queue.pop_front()
    }

    fn write(&mut self, writer: PktWriter) {
        self.queue.push_back(FetchOutput::Write(writer.finish()));
    }

    fn fail(&mut self, error: FetchError) {
        self.end();
        self.state = State::Failed;
        self.reader = PktReader::new();
        self.queue.push_back(FetchOutput::Failed(error));
    }

    fn end(&mut self) {
        self.started = None;
        self.heard = None;
    }

    fn finish(&mut self, outcome: FetchOutcome) {
        // The flush tells the server that we have its head now (section 8.5).
        self.queue
            .push_back(FetchOutput::Write(Bytes::from_static(FLUSH)));
        self.queue.push_back(FetchOutput::Done(outcome));
        self.end();
    }

    fn packet(&mut self, packet: Packet, local: &dyn Local) -> Result<(), FetchError> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => Err(FetchError::Unexpected("something before it was asked")),
            State::References { head, main, count } => {
                self.reference(&packet, (head, main, count), local)
            }
            State::Haves { head, left } => self.answer(&packet, head, left, local),
            State::Pack { head, spool } => self.pack(packet, head, spool),
            State::Failed => Err(FetchError::Closed),
        }
    }

    fn chat(&mut self, bytes: usize) -> Result<(), FetchError> {
        self.chatter = self.chatter.saturating_add(bytes);
        if self.chatter > self.limits.chatter {
            return Err(FetchError::Chatter);
        }
        Ok(())
    }

    fn reference(
        &mut self,
        packet: &Packet,
        (mut head, mut main, mut count): (Option<CommitId>, Option<CommitId>, usize),
        local: &dyn Local,
    ) -> Result<(), FetchError> {
        let Some(line) = packet.text() else {
            // Only the branch counts; HEAD follows it except in other git servers.
            let head = main.or(head).ok_or(FetchError::Empty)?;
            self.ask(head, local);
            return Ok(());
        };
        self.chat(line.len())?;
        if let Some(text) = line.strip_prefix(b"ERR ") {
            return Err(remote_error(text));
        }
        count = count.saturating_add(1);
        if count > self.limits.references {
            return Err(FetchError::Chatter);
        }
        if line != b"version 1" {
            let (id, rest) = parse_id(line)
                .ok_or(FetchError::Unexpected("something that is not a reference"))?;
            let name = rest.split(|byte| *byte == 0).next().unwrap_or_default();
            if !id.is_zero() {
                match name {
                    b" HEAD" => head = Some(id),
                    b" refs/heads/main" => main = Some(id),
                    _ => {}
                }
            }
        }
        self.state = State::References { head, main, count };
        Ok(())
    }

    fn ask(&mut self, head: CommitId, local: &dyn Local) {
        if local.contains(&head) {
            self.finish(FetchOutcome::UpToDate { head });
            return;
        }
        // Nearly always one group will do, and a long list costs a walk.
        let haves = local.haves(&self.responder, HAVES_PER_FLUSH);
        let mut writer = PktWriter::new();
        let fits =
            writer.line(&[b"want ", head.to_hex().as_bytes(), WANT_CAPABILITIES]) && writer.flush();
        debug_assert!(fits, "a want fits a write");
        self.send_haves(writer, head, haves.into(), true);
    }

    /// Sends up to 20 haves: with a flush if there were 20, else with `done`.
    fn send_haves(
        &mut self,
        mut writer: PktWriter,
        head: CommitId,
        mut left: VecDeque<CommitId>,
        first: bool,
    ) {
        let mut fits = true;
        let batch = left.len().min(HAVES_PER_FLUSH);
        for have in left.drain(..batch) {
            fits &= writer.line(&[b"have ", have.to_hex().as_bytes(), b"\n"]);
        }
        if batch == HAVES_PER_FLUSH {
            fits &= writer.flush();
            let left = (!first).then_some(left);
            self.state = State::Haves { head, left };
        } else {
            fits &= writer.line(&[b"done\n"]);
            self.state = State::Pack {
                head,
                spool: Spool::new(&self.spool_directory),
            };
        }
        debug_assert!(fits, "20 haves fit a write");
        self.write(writer);
    }

    /// The one packet that answers a flush after haves.
    fn answer(
        &mut self,
        packet: &Packet,
        head: CommitId,
        left: Option<VecDeque<CommitId>>,
        local: &dyn Local,
    ) -> Result<(), FetchError> {
        let line = packet
            .text()
            .ok_or(FetchError::Unexpected("a flush instead of an answer"))?;
        self.chat(line.len())?;
        if line.starts_with(b"ACK ") {
            // No proof that the peer has it (section 8.5), but nothing better comes.
            self.send_haves(PktWriter::new(), head, VecDeque::new(), false);
            Ok(())
        } else if line == b"NAK" {
            let left = left.unwrap_or_else(|| {
                let all = local.haves(&self.responder, MAX_HAVES).into_iter();
                all.take(MAX_HAVES).skip(HAVES_PER_FLUSH).collect()
            });
            self.send_haves(PktWriter::new(), head, left, false);
            Ok(())
        } else if let Some(text) = line.strip_prefix(b"ERR ") {
            Err(remote_error(text))
        } else {
            Err(FetchError::Unexpected("neither ACK nor NAK"))
        }
    }

    fn pack(&mut self, packet: Packet, head: CommitId, mut spool: Spool) -> Result<(), FetchError> {
        let Packet::Data(data) = packet else {
            if spool.is_empty() {
                return Err(FetchError::Unexpected("an empty pack"));
            }
            self.finish(FetchOutcome::Pack { pack: spool, head });
            return Ok(());
        };
        match data.split_first() {
            Some((1, bytes)) => {
                let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                if spool.len().saturating_add(added) > self.limits.pack_bytes {
                    return Err(FetchError::PackTooLarge(self.limits.pack_bytes));
                }
                spool.append(bytes)?;
            }
            Some((3, text)) => return Err(remote_error(text)),
            // Acknowledgements still under way (existing peers send one or two more, `git`
            // none), progress, and what else libgit2 ignores here.
            _ => {
                if let Some(text) = data.strip_prefix(b"ERR ") {
                    return Err(remote_error(text));
                }
                self.chat(data.len().max(1))?;
            }
        }
        self.state = State::Pack { head, spool };
        Ok(())
    }
}

/// The peer's words, cut and without anything that could upset a terminal.
fn remote_error(text: &[u8]) -> FetchError {
    let text: String = String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_REMOTE_ERROR)
        .collect();
    FetchError::Remote(text.trim().to_owned())
}
