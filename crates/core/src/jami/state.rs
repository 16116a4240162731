//! Contacts, conversations and requests in the files of existing peers (section 16.3).
//!
//! They are written in place, so that one may end anywhere: what was whole up to there
//! counts.

use std::collections::BTreeMap;

use baraza_wire::msgpack::{Error, Reader};
use baraza_wire::{AccountId, ConversationId, UnixTime};

use crate::protocol::each_entry;

/// Most entries of one file.
const MAX_ENTRIES: usize = 100_000;
/// Most members of one conversation.
const MAX_MEMBERS: usize = 10_000;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<K: Ord, V> {
    /// Those that can be used.
    pub entries: BTreeMap<K, V>,
    /// Entries that cannot.
    pub skipped: usize,
    /// Whether the file ends early or goes on with something else.
    pub damaged: bool,
}

/// A contact (section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Contact {
    /// When it was last added.
    pub added: UnixTime,
    /// When it was last removed.
    pub removed: UnixTime,
    /// Whether it is known to have us, too.
    pub confirmed: bool,
    /// Whether the removal was a ban.
    pub banned: bool,
    /// The one-to-one conversation.
    pub conversation: Option<ConversationId>,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// When it was made or joined.
    pub created: UnixTime,
    /// When it was removed; 0 for never.
    pub removed: UnixTime,
    /// Who is in it.
    pub members: Vec<AccountId>,
}

impl Conversation {
    /// Whether it was removed.
    pub fn is_removed(&self) -> bool {
        self.removed.millis() > 0 && self.removed >= self.created
    }
}

/// A request for a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Who asks.
    pub from: Option<AccountId>,
    /// The mode of the conversation: 0 is one-to-one.
    pub mode: u8,
    /// The title of a group.
    pub title: String,
    /// When it came.
    pub received: UnixTime,
    /// When it was declined; 0 if it is pending.
    pub declined: UnixTime,
}

/// A time that some give in seconds and some in milliseconds, too.
#[derive(Debug, Default)]
struct Time {
    secs: u64,
    millis: Option<u64>,
}

impl Time {
    fn unix(&self) -> UnixTime {
        self.millis
            .map_or_else(|| UnixTime::from_secs(self.secs), UnixTime::from_millis)
    }
}

/// Seconds; negative ones and what is beyond all dates are none.
fn secs(value: &mut Reader<'_>) -> Result<u64, Error> {
    let number = value.int()?;
    Ok(u64::try_from(number)
        .ok()
        .filter(|it| *it < 1 << 40)
        .unwrap_or(0))
}

fn millis(value: &mut Reader<'_>) -> Result<Option<u64>, Error> {
    let number = value.int()?;
    Ok(u64::try_from(number).ok().filter(|it| *it < 1 << 50))
}

fn conversation(text: &[u8]) -> Option<ConversationId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn account(text: &[u8]) -> Option<AccountId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Reads a map whose entries stand for themselves.
fn read<K: Ord, V>(
    bytes: &[u8],
    key: impl Fn(&mut Reader<'_>) -> Result<Option<K>, Error>,
    value: impl Fn(&mut Reader<'_>) -> Result<V, Error>,
) -> Entries<K, V> {
    let mut found = Entries {
        entries: BTreeMap::new(),
        skipped: 0,
        damaged: false,
    };
    let mut reader = Reader::new(bytes);
    let Ok(count) = reader.map_len() else {
        // An empty file is one that was never written.
        found.damaged = !bytes.is_empty();
        return found;
    };
    found.damaged = count > MAX_ENTRIES;
    for _ in 0..count.min(MAX_ENTRIES) {
        let Ok(key) = key(&mut reader) else {
            found.damaged = true;
            break;
        };
        let Ok(item) = reader.skip() else {
            found.damaged = true;
            break;
        };
        match (key, value(&mut Reader::new(item))) {
            (Some(key), Ok(value)) => {
                found.entries.insert(key, value);
            }
            _ => found.skipped = found.skipped.saturating_add(1),
        }
    }
    found.damaged |= !reader.is_empty();
    found
}

/// The file `contacts`.
pub fn contacts(bytes: &[u8]) -> Entries<AccountId, Contact> {
    let key = |reader: &mut Reader<'_>| Ok(AccountId::from_slice(reader.bin()?));
    read(bytes, key, |reader| {
        let mut contact = Contact::default();
        let (mut added, mut removed) = (Time::default(), Time::default());
        each_entry(reader, |key, value| {
            match key {
                b"added" => added.secs = secs(value)?,
                b"addedMs" => added.millis = millis(value)?,
                b"removed" => removed.secs = secs(value)?,
                b"removedMs" => removed.millis = millis(value)?,
                b"confirmed" => contact.confirmed = value.bool()?,
                b"banned" => contact.banned = value.bool()?,
                b"conversationId" => contact.conversation = conversation(value.str_bytes()?),
                _ => {}
            }
            Ok(())
        })?;
        (contact.added, contact.removed) = (added.unix(), removed.unix());
        Ok(contact)
    })
}

fn id_key(reader: &mut Reader<'_>) -> Result<Option<ConversationId>, Error> {
    Ok(conversation(reader.str_bytes()?))
}

/// The file `convInfo`.
pub fn conversations(bytes: &[u8]) -> Entries<ConversationId, Conversation> {
    read(bytes, id_key, |reader| {
        let mut found = Conversation::default();
        let (mut created, mut removed) = (Time::default(), Time::default());
        each_entry(reader, |key, value| {
            match key {
                b"created" => created.secs = secs(value)?,
                b"createdMs" => created.millis = millis(value)?,
                b"removed" => removed.secs = secs(value)?,
                b"removedMs" => removed.millis = millis(value)?,
                b"members" => {
                    let count = value.array_len()?;
                    for _ in 0..count.min(MAX_MEMBERS) {
                        found.members.extend(account(value.str_bytes()?));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        (found.created, found.removed) = (created.unix(), removed.unix());
        Ok(found)
    })
}

/// The file `convRequests`.
pub fn requests(bytes: &[u8]) -> Entries<ConversationId, Request> {
    read(bytes, id_key, |reader| {
        let mut request = Request::default();
        let (mut received, mut declined) = (Time::default(), Time::default());
        each_entry(reader, |key, value| {
            match key {
                b"from" => request.from = account(value.str_bytes()?),
                b"received" => received.secs = secs(value)?,
                b"receivedMs" => received.millis = millis(value)?,
                b"declined" => declined.secs = secs(value)?,
                b"declinedMs" => declined.millis = millis(value)?,
                b"metadatas" => each_entry(value, |key, value| {
                    let text = value.str().unwrap_or_default();
                    match key {
                        b"mode" => request.mode = text.parse().unwrap_or_default(),
                        b"title" => text.clone_into(&mut request.title),
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        (request.received, request.declined) = (received.unix(), declined.unix());
        Ok(request)
    })
}

#[cfg(test)]
mod tests {
    use baraza_wire::msgpack::Writer;

    use super::*;

    fn two_contacts() -> Vec<u8> {
        let mut out = Writer::new();
        out.map(2);
        out.bin(&[1; 20]).map(3);
        out.str("added").uint(100).str("removed").uint(0);
        out.str("conversationId").str(&"ab".repeat(20));
        out.bin(&[2; 20]).map(4);
        out.str("added").uint(5).str("addedMs").uint(5_123);
        out.str("removed").int(-7).str("banned").bool(true);
        out.into_bytes()
    }

    #[test]
    fn contacts_of_both_generations_are_read() {
        let found = contacts(&two_contacts());
        assert!(!found.damaged && found.skipped == 0);
        let first = found.entries[&AccountId::new([1; 20])];
        assert_eq!(first.added, UnixTime::from_secs(100));
        assert_eq!(first.conversation, Some(ConversationId::new([0xab; 20])));
        let second = found.entries[&AccountId::new([2; 20])];
        assert_eq!(second.added, UnixTime::from_millis(5_123));
        assert!(second.banned && second.removed == UnixTime::default());
    }

    #[test]
    fn half_written_file_gives_what_was_whole() {
        let whole = two_contacts();
        for end in 1..whole.len() {
            let found = contacts(&whole[..end]);
            assert!(found.damaged, "cut at {end}");
            assert!(found.entries.len() < 2);
        }
        assert!(!contacts(b"").damaged);
        assert!(contacts(&[whole.as_slice(), b"\x00"].concat()).damaged);
        // A map that claims to be endless costs nothing.
        assert!(contacts(b"\xdf\xff\xff\xff\xff").damaged);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = (contacts(&bytes), conversations(&bytes), requests(&bytes));
        }
    }
}
