//! The log of all that ever happened to names, so that anybody can check that no name
//! changed hands in silence.
//!
//! Each entry is hashed together with the hash of the one before it. Now and then the server
//! signs the newest hash (a [`Checkpoint`]): who has kept one can check any later copy of the
//! log against it. [`Replay`] follows a log from its beginning and says what must be in the
//! directory at its end. Entries hold names, Jami IDs, times and reasons: nothing about who
//! asked from where.

mod checkpoint;
mod entry;
mod replay;

pub use checkpoint::{BadCheckpoint, Checkpoint, Signer, SignerKey};
pub use entry::{Act, EntryError, Logged, MAX_REASON};
pub use replay::{Replay, ReplayError, Tally};

/// The hash of an entry and all before it.
pub type ChainHash = [u8; 32];

/// The hash before the first entry.
pub const BEGINNING: ChainHash = [0; 32];

/// The end of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries there are.
    pub seq: u64,
    /// The hash of the last.
    pub hash: ChainHash,
    /// How many names belong to somebody.
    pub names: u64,
    /// Whether names may be changed by whoever runs the server.
    pub admin: bool,
}

impl Head {
    /// That of an empty log.
    pub const EMPTY: Self = Self {
        seq: 0,
        hash: BEGINNING,
        names: 0,
        admin: false,
    };

    /// Appends an act: the entry, and the end of the log behind it.
    pub fn append(&self, act: Act, time: baraza_wire::UnixTime) -> (Logged, Self) {
        let seq = self.seq.saturating_add(1);
        let names = match act {
            Act::Registered { .. } | Act::Imported { .. } => self.names.saturating_add(1),
            _ => self.names,
        };
        let admin = match act {
            Act::AdminAllowed { allowed } => allowed,
            _ => self.admin,
        };
        let logged = Logged::new(seq, time, act, &self.hash);
        let hash = logged.hash;
        (
            logged,
            Self {
                seq,
                hash,
                names,
                admin,
            },
        )
    }
}
