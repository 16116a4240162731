//! The whole directory as a file: the log, one entry a line of JSON, each with the record it
//! made if that still holds, and the checkpoints. Enough to check everything, and to put
//! everything back.

use std::io::{self, BufRead, Read as _, Write};

use baraza_wire::{AccountId, UnixTime, hex};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::audit::{
    Act, Checkpoint, Head, Logged, MAX_REASON, Replay, ReplayError, SignerKey, Tally,
};
use crate::directory::{Record, Signed};
use crate::name::Name;
use crate::record::{Owner, ProofError};
use crate::store::{HeldState, Line, Store, StoreError};

/// Entries that are read or written at once.
const PAGE: usize = 1000;
/// Longest line.
const MAX_LINE: u64 = 64 * 1024;
/// The version in the first line.
const VERSION: u32 = 1;

/// Why a file cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A line is not what is expected.
    #[error("line {line}: {what}")]
    Line {
        /// Which, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// The log is wrong.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The key or signature of a name is wrong.
    #[error("the proof of {0} is wrong: {1}")]
    Proof(Name, ProofError),
    /// A record that must be there is not.
    #[error("the record of {0} is missing")]
    NoRecord(Name),
    /// The directory holds something already.
    #[error("this directory is not empty: a whole log is put back into an empty one only")]
    NotEmpty,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    baraza_names: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum FileLine {
    Entry(Box<EntryLine>),
    Point { checkpoint: PointLine },
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine {
    seq: u64,
    time: u64,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addr: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record: Option<RecordLine>,
    hash: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publickey: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PointLine {
    seq: u64,
    hash: String,
    time: u64,
    key: String,
    signature: String,
}

impl EntryLine {
    fn new(logged: &Logged, record: Option<&Record>) -> Self {
        let mut line = Self {
            seq: logged.seq,
            time: logged.time.secs(),
            kind: logged.act.kind().to_owned(),
            name: logged.act.name().map(ToString::to_string),
            record: record.map(|record| RecordLine {
                owner: record.owner.map(|owner| owner.to_hex()),
                publickey: record
                    .signed
                    .as_ref()
                    .map(|signed| STANDARD.encode(&signed.key)),
                signature: record
                    .signed
                    .as_ref()
                    .map(|signed| STANDARD.encode(&signed.signature)),
            }),
            hash: hex::encode(&logged.hash),
            ..Self::default()
        };
        match &logged.act {
            Act::Key { key } => line.key = Some(key.to_hex()),
            Act::Registered { addr, digest, .. } | Act::Imported { addr, digest, .. } => {
                line.addr = Some(*addr);
                line.digest = Some(hex::encode(digest));
            }
            Act::AdminAllowed { allowed } => line.allowed = Some(*allowed),
            Act::Moved {
                from,
                to,
                digest,
                reason,
                ..
            } => {
                line.from = Some(*from);
                line.addr = Some(*to);
                line.digest = Some(hex::encode(digest));
                line.reason = Some(reason.clone());
            }
            Act::Reserved { reason, .. }
            | Act::Released { reason, .. }
            | Act::Suspended { reason, .. }
            | Act::Restored { reason, .. } => line.reason = Some(reason.clone()),
        }
        line
    }

    fn read(self) -> Result<Line, String> {
        let missing = |what: &str| format!("{what} is missing or wrong");
        let name = || {
            let text = self.name.as_deref().ok_or_else(|| missing("name"))?;
            Name::new(text).map_err(|error| error.to_string())
        };
        let array = |text: &Option<String>, what: &str| {
            let bytes = text.as_deref().and_then(hex::decode_array::<32>);
            bytes.ok_or_else(|| missing(what))
        };
        let reason = || match &self.reason {
            Some(reason) if reason.len() <= MAX_REASON => Ok(reason.clone()),
            _ => Err(missing("reason")),
        };
        let addr = || self.addr.ok_or_else(|| missing("addr"));
        let act = match self.kind.as_str() {
            "key" => Act::Key {
                key: SignerKey::new(array(&self.key, "key")?),
            },
            "registered" => Act::Registered {
                name: name()?,
                addr: addr()?,
                digest: array(&self.digest, "digest")?,
            },
            "imported" => Act::Imported {
                name: name()?,
                addr: addr()?,
                digest: array(&self.digest, "digest")?,
            },
            "admin_allowed" => Act::AdminAllowed {
                allowed: self.allowed.ok_or_else(|| missing("allowed"))?,
            },
            "moved" => Act::Moved {
                name: name()?,
                from: self.from.ok_or_else(|| missing("from"))?,
                to: addr()?,
                digest: array(&self.digest, "digest")?,
                reason: reason()?,
            },
            "reserved" => Act::Reserved {
                name: name()?,
                reason: reason()?,
            },
            "released" => Act::Released {
                name: name()?,
                reason: reason()?,
            },
            "suspended" => Act::Suspended {
                name: name()?,
                reason: reason()?,
            },
            "restored" => Act::Restored {
                name: name()?,
                reason: reason()?,
            },
            other => return Err(format!("unknown kind {other:?}")),
        };
        let record = match (&self.record, &act) {
            (None, _) => None,
            (
                Some(line),
                Act::Registered { name, addr, digest }
                | Act::Imported { name, addr, digest }
                | Act::Moved {
                    name,
                    to: addr,
                    digest,
                    ..
                },
            ) => {
                let record = line.read(name, *addr)?;
                if record.digest() != *digest {
                    return Err("the record is not the one that was logged".into());
                }
                Some(record)
            }
            (Some(_), _) => return Err("a record where none belongs".into()),
        };
        let hash = hex::decode_array(&self.hash).ok_or_else(|| missing("hash"))?;
        if self.time > u64::MAX / 1000 {
            return Err(missing("time"));
        }
        let time = UnixTime::from_secs(self.time);
        Ok(Line {
            logged: Logged {
                seq: self.seq,
                time,
                act,
                hash,
            },
            record,
        })
    }
}

impl RecordLine {
    fn read(&self, name: &Name, addr: AccountId) -> Result<Record, String> {
        let bytes = |text: &str| STANDARD.decode(text).map_err(|error| error.to_string());
        let owner = match &self.owner {
            None => None,
            Some(owner) => Some(Owner::parse(owner).ok_or("the owner is wrong")?),
        };
        let signed = match (&self.publickey, &self.signature) {
            (None, None) => None,
            (Some(key), Some(signature)) => Some(Signed {
                key: bytes(key)?,
                signature: bytes(signature)?,
            }),
            _ => return Err("only one of key and signature".into()),
        };
        Ok(Record {
            name: name.clone(),
            addr,
            owner,
            signed,
        })
    }
}

impl PointLine {
    fn new(point: &Checkpoint) -> Self {
        Self {
            seq: point.seq,
            hash: hex::encode(&point.hash),
            time: point.time.secs(),
            key: point.key.to_hex(),
            signature: hex::encode(&point.signature),
        }
    }

    fn read(self) -> Option<Checkpoint> {
        Some(Checkpoint {
            seq: self.seq,
            hash: hex::decode_array(&self.hash)?,
            time: UnixTime::from_secs(self.time.min(u64::MAX / 1000)),
            key: SignerKey::parse(&self.key)?,
            signature: hex::decode(&self.signature)?,
        })
    }
}

/// Writes a directory; how many entries. It may be served meanwhile.
///
/// # Errors
/// If it cannot be read or written.
pub async fn export(store: &dyn Store, out: &mut (dyn Write + Send)) -> Result<u64, TransferError> {
    let mut write = |line: String| -> io::Result<()> {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")
    };
    let text = |line: &FileLine| serde_json::to_string(line).map_err(io::Error::other);
    let header = Header {
        baraza_names: VERSION,
    };
    write(serde_json::to_string(&header).map_err(io::Error::other)?)?;
    let mut done = 0;
    loop {
        let entries = store.entries(done, PAGE).await?;
        let Some(end) = entries.last().map(|entry| entry.seq) else {
            break;
        };
        let mut held = store.held(done, PAGE).await?.into_iter().peekable();
        let mut points = store.checkpoints(done, PAGE).await?.into_iter().peekable();
        for logged in &entries {
            while held.next_if(|held| held.seq < logged.seq).is_some() {}
            let made = held.next_if(|held| held.seq == logged.seq);
            let record = made
                .filter(|held| held.state != HeldState::Reserved)
                .and_then(|held| held.record);
            let entry = EntryLine::new(logged, record.as_ref());
            write(text(&FileLine::Entry(Box::new(entry)))?)?;
            while let Some(point) = points.next_if(|point| point.seq <= logged.seq) {
                let checkpoint = PointLine::new(&point);
                write(text(&FileLine::Point { checkpoint })?)?;
            }
        }
        done = end;
    }
    out.flush()?;
    Ok(done)
}

/// Reads one line after the other.
struct Lines<'a> {
    input: &'a mut (dyn BufRead + Send),
    number: u64,
}

impl Lines<'_> {
    fn wrong(&self, what: impl std::fmt::Display) -> TransferError {
        TransferError::Line {
            line: self.number,
            what: what.to_string(),
        }
    }

    fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, TransferError> {
        self.number = self.number.saturating_add(1);
        let mut bytes = Vec::new();
        let mut limited = (&mut *self.input).take(MAX_LINE);
        let read = limited.read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(None);
        }
        if bytes.last() != Some(&b'\n') {
            return Err(self.wrong("too long, or cut short"));
        }
        let line = serde_json::from_slice(&bytes).map_err(|error| self.wrong(error))?;
        Ok(Some(line))
    }
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// The end of its log.
    pub head: Head,
    /// What happened how often.
    pub tally: Tally,
    /// How many checkpoints it has.
    pub checkpoints: u64,
    /// The latest.
    pub last: Option<Checkpoint>,
    /// Records without a signature of their account.
    pub unsigned: u64,
    /// Whether the checkpoint that was wanted is one of this log.
    pub contained: bool,
}

/// A page of a file.
enum Part {
    Lines(Vec<Line>),
    Point(Checkpoint),
}

/// Reads and checks a file, and hands its parts on in order.
async fn read(
    input: &mut (dyn BufRead + Send),
    signatures: bool,
    wanted: Option<&Checkpoint>,
    store: Option<&dyn Store>,
) -> Result<FileReport, TransferError> {
    let mut lines = Lines { input, number: 0 };
    match lines.next::<Header>()? {
        Some(header) if header.baraza_names == VERSION => {}
        _ => return Err(lines.wrong("not a directory of names of a version known here")),
    }
    let put = async |part: Part| -> Result<(), TransferError> {
        match (store, part) {
            (None, _) => {}
            (Some(store), Part::Lines(lines)) => store.put_back(lines).await?,
            (Some(store), Part::Point(point)) => store.add_checkpoint(point).await?,
        }
        Ok(())
    };
    let mut replay = Replay::new();
    let mut without = Vec::new();
    let (mut checkpoints, mut last, mut unsigned) = (0u64, None, 0u64);
    let mut contained = wanted.is_none();
    let mut page = Vec::new();
    while let Some(line) = lines.next::<FileLine>()? {
        match line {
            FileLine::Entry(entry) => {
                let line = entry.read().map_err(|what| lines.wrong(what))?;
                replay.follow(&line.logged)?;
                contained |= wanted.is_some_and(|wanted| {
                    wanted.seq == line.logged.seq && wanted.hash == line.logged.hash
                });
                match (&line.record, &line.logged.act) {
                    (Some(record), _) if record.signed.is_none() => {
                        unsigned = unsigned.saturating_add(1);
                    }
                    (Some(record), _) if signatures => {
                        record
                            .verify()
                            .map_err(|error| TransferError::Proof(record.name.clone(), error))?;
                    }
                    (
                        None,
                        Act::Registered { name, .. }
                        | Act::Imported { name, .. }
                        | Act::Moved { name, .. },
                    ) => without.push((name.clone(), line.logged.seq)),
                    _ => {}
                }
                if store.is_some() {
                    page.push(line);
                }
                if page.len() >= PAGE {
                    put(Part::Lines(std::mem::take(&mut page))).await?;
                }
            }
            FileLine::Point { checkpoint } => {
                let point = checkpoint
                    .read()
                    .ok_or_else(|| lines.wrong("no checkpoint"))?;
                replay.checkpoint(&point)?;
                checkpoints = checkpoints.saturating_add(1);
                last = Some(point.clone());
                put(Part::Lines(std::mem::take(&mut page))).await?;
                put(Part::Point(point)).await?;
            }
        }
    }
    put(Part::Lines(page)).await?;
    for (name, seq) in without {
        if replay.made_by(&name, seq) {
            return Err(TransferError::NoRecord(name));
        }
    }
    Ok(FileReport {
        head: replay.head(),
        tally: replay.tally(),
        checkpoints,
        last,
        unsigned,
        contained,
    })
}

/// Checks a file without a directory; `wanted` is a checkpoint of the same server that was
/// kept.
///
/// # Errors
/// The first thing that is wrong.
pub async fn verify(
    input: &mut (dyn BufRead + Send),
    signatures: bool,
    wanted: Option<&Checkpoint>,
) -> Result<FileReport, TransferError> {
    read(input, signatures, wanted, None).await
}

/// Puts a file back into an empty directory. Check it first: what is wrong is noticed when
/// some of it is stored.
///
/// # Errors
/// If the directory is not empty, or as [`verify`].
pub async fn restore(
    input: &mut (dyn BufRead + Send),
    store: &dyn Store,
) -> Result<FileReport, TransferError> {
    if store.head().await?.seq != 0 {
        return Err(TransferError::NotEmpty);
    }
    read(input, false, None, Some(store)).await
}
