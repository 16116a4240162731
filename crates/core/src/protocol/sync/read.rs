//! Reading: what is strange is left out, so that one entry does not hold up the others.

use std::collections::BTreeMap;

use baraza_wire::msgpack::{Error, Reader};
use baraza_wire::{AccountId, CommitId, DeviceId, InfoHash, UnixTime};

use super::{
    Marks, SyncContact, SyncConversation, SyncDevice, SyncMessage, SyncRequest, SyncTrustRequest,
};
use crate::protocol::each_entry;

/// Longest name of a device.
const MAX_NAME: usize = 256;
/// Texts of one map that are read: metadata of a request, preferences.
const MAX_TEXTS: usize = 64;
/// Members of a conversation that are read.
const MAX_MEMBERS: usize = 2000;
/// No time is later than this: the year 9999.
const LATEST: u64 = 253_402_300_800;

impl SyncMessage {
    /// Reads what came on a channel: an array of up to six parts.
    ///
    /// # Errors
    /// If it is not one.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let mut message = Self::default();
        for position in 0..reader.array_len()? {
            let mut part = Reader::new(reader.skip()?);
            match position {
                0 => message.read_devices(&mut part)?,
                1 => message.conversations = named(&mut part, conversation)?,
                2 => message.requests = named(&mut part, request)?,
                3 => message.preferences = named(&mut part, texts)?,
                5 => message.marks = named(&mut part, |member| named(member, marks))?,
                _ => {}
            }
        }
        Ok(message)
    }

    /// Reads what came over the DHT: the first of those parts alone.
    ///
    /// # Errors
    /// If it is not that.
    pub fn decode_dht(bytes: &[u8]) -> Result<Self, Error> {
        let mut message = Self::default();
        message.read_devices(&mut Reader::new(bytes))?;
        Ok(message)
    }

    fn read_devices(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        each_entry(reader, |key, entry| {
            match key {
                b"date" => self.date = entry.u64().unwrap_or_default(),
                b"devices" => self.devices = keyed(entry, DeviceId::from_slice, device)?,
                b"peers" => self.contacts = keyed(entry, AccountId::from_slice, contact)?,
                b"trust_requests" => {
                    self.trust_requests = keyed(entry, AccountId::from_slice, trust_request)?;
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// A map whose keys are ids as bytes.
fn keyed<K: Ord, V>(
    reader: &mut Reader<'_>,
    id: impl Fn(&[u8]) -> Option<K>,
    value: impl Fn(&mut Reader<'_>) -> Result<V, Error>,
) -> Result<BTreeMap<K, V>, Error> {
    let mut map = BTreeMap::new();
    for _ in 0..reader.map_len()? {
        let mut key = Reader::new(reader.skip()?);
        let mut entry = Reader::new(reader.skip()?);
        let key = key.bin().ok().and_then(&id);
        if let (Some(key), Ok(value)) = (key, value(&mut entry)) {
            map.entry(key).or_insert(value);
        }
    }
    Ok(map)
}

/// A map whose keys are ids as text.
fn named<K: Ord + std::str::FromStr, V>(
    reader: &mut Reader<'_>,
    value: impl Fn(&mut Reader<'_>) -> Result<V, Error>,
) -> Result<BTreeMap<K, V>, Error> {
    let mut map = BTreeMap::new();
    for _ in 0..reader.map_len()? {
        let mut key = Reader::new(reader.skip()?);
        let mut entry = Reader::new(reader.skip()?);
        let key = key.str().ok().and_then(|key| key.parse().ok());
        if let (Some(key), Ok(value)) = (key, value(&mut entry)) {
            map.entry(key).or_insert(value);
        }
    }
    Ok(map)
}

fn device(reader: &mut Reader<'_>) -> Result<SyncDevice, Error> {
    let mut device = SyncDevice::default();
    each_entry(reader, |key, entry| {
        match key {
            b"name" => {
                let name = entry.str()?;
                device.name = name.chars().filter(|c| !c.is_control()).collect();
                device
                    .name
                    .truncate(device.name.floor_char_boundary(MAX_NAME));
            }
            b"sha1" => device.short = InfoHash::from_slice(entry.bin()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(device)
}

/// A time in two forms, of which the finer one counts.
#[derive(Default)]
struct Time {
    seconds: UnixTime,
    millis: Option<UnixTime>,
}

impl Time {
    fn read_seconds(&mut self, entry: &mut Reader<'_>) -> Result<(), Error> {
        // What is not a time is none: daemons write uninitialised ones.
        let seconds = u64::try_from(entry.int()?).unwrap_or_default();
        self.seconds = UnixTime::from_secs(if seconds < LATEST { seconds } else { 0 });
        Ok(())
    }

    fn read_millis(&mut self, entry: &mut Reader<'_>) -> Result<(), Error> {
        let millis = u64::try_from(entry.int()?).unwrap_or_default();
        let known = millis / 1000 < LATEST;
        self.millis = Some(UnixTime::from_millis(if known { millis } else { 0 }));
        Ok(())
    }

    fn get(&self) -> UnixTime {
        self.millis.unwrap_or(self.seconds)
    }
}

fn contact(reader: &mut Reader<'_>) -> Result<SyncContact, Error> {
    let mut contact = SyncContact::default();
    let (mut added, mut removed) = (Time::default(), Time::default());
    each_entry(reader, |key, entry| {
        match key {
            b"added" => added.read_seconds(entry)?,
            b"addedMs" => added.read_millis(entry)?,
            b"removed" => removed.read_seconds(entry)?,
            b"removedMs" => removed.read_millis(entry)?,
            b"confirmed" => contact.confirmed = entry.bool()?,
            b"banned" => contact.banned = entry.bool()?,
            b"conversationId" => contact.conversation = entry.str()?.parse().ok(),
            _ => {}
        }
        Ok(())
    })?;
    contact.exact = added.millis.is_some() && removed.millis.is_some();
    contact.added = added.get();
    contact.removed = removed.get();
    Ok(contact)
}

fn trust_request(reader: &mut Reader<'_>) -> Result<SyncTrustRequest, Error> {
    let mut request = SyncTrustRequest::default();
    let (mut received, mut invited) = (Time::default(), Time::default());
    each_entry(reader, |key, entry| {
        match key {
            b"device" => request.device = entry.bin()?.to_vec(),
            b"conversationId" => request.conversation = entry.str()?.parse().ok(),
            b"received" => received.read_seconds(entry)?,
            b"receivedMs" => received.read_millis(entry)?,
            b"invitedMs" => invited.read_millis(entry)?,
            _ => {}
        }
        Ok(())
    })?;
    request.received = received.get();
    request.issued = invited.millis.filter(|time| time.millis() > 0);
    Ok(request)
}

fn conversation(reader: &mut Reader<'_>) -> Result<SyncConversation, Error> {
    let mut conversation = SyncConversation::default();
    let (mut created, mut removed) = (Time::default(), Time::default());
    let mut erased = Time::default();
    each_entry(reader, |key, entry| {
        match key {
            b"created" => created.read_seconds(entry)?,
            b"createdMs" => created.read_millis(entry)?,
            b"removed" => removed.read_seconds(entry)?,
            b"removedMs" => removed.read_millis(entry)?,
            b"erased" => erased.read_seconds(entry)?,
            b"erasedMs" => erased.read_millis(entry)?,
            b"mode" => conversation.mode = u8::try_from(entry.int()?).ok(),
            b"members" => {
                for _ in 0..entry.array_len()? {
                    let mut member = Reader::new(entry.skip()?);
                    let id = member.str().ok();
                    let id = id.and_then(|uri| uri.parse::<AccountId>().ok());
                    if conversation.members.len() < MAX_MEMBERS {
                        conversation.members.extend(id);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    conversation.exact = created.millis.is_some() && removed.millis.is_some();
    conversation.created = created.get();
    conversation.removed = removed.get();
    conversation.erased = erased.get();
    Ok(conversation)
}

fn request(reader: &mut Reader<'_>) -> Result<SyncRequest, Error> {
    let mut request = SyncRequest::default();
    let (mut received, mut declined) = (Time::default(), Time::default());
    let mut from = None;
    each_entry(reader, |key, entry| {
        match key {
            b"from" => from = entry.str()?.parse::<AccountId>().ok(),
            b"metadatas" => request.metadata = texts(entry)?,
            b"received" => received.read_seconds(entry)?,
            b"receivedMs" => received.read_millis(entry)?,
            b"declined" => declined.read_seconds(entry)?,
            b"declinedMs" => declined.read_millis(entry)?,
            _ => {}
        }
        Ok(())
    })?;
    request.from = from.ok_or(Error::Type("a request with a sender"))?;
    request.received = received.get();
    request.declined = declined.get();
    request.exact = declined.millis.is_some();
    Ok(request)
}

fn texts(reader: &mut Reader<'_>) -> Result<BTreeMap<String, String>, Error> {
    let mut map = BTreeMap::new();
    for _ in 0..reader.map_len()? {
        let mut key = Reader::new(reader.skip()?);
        let mut entry = Reader::new(reader.skip()?);
        if let (Ok(key), Ok(value)) = (key.str(), entry.str())
            && map.len() < MAX_TEXTS
        {
            map.entry(key.to_owned()).or_insert(value.to_owned());
        }
    }
    Ok(map)
}

fn marks(reader: &mut Reader<'_>) -> Result<Marks, Error> {
    let mut map = texts(reader)?;
    let mut mark = |name: &str, time: &str| {
        let commit: CommitId = map.remove(name)?.parse().ok()?;
        let time = map.remove(time).and_then(|time| time.parse().ok());
        Some((commit, time.unwrap_or_default()))
    };
    Ok(Marks {
        fetched: mark("fetched", "fetched_ts"),
        read: mark("read", "read_ts"),
    })
}
