//! Writing: in the form that peers of both generations read, in messages that fit into one
//! write each.

use baraza_wire::UnixTime;
use baraza_wire::msgpack::Writer;

use super::{Marks, SyncContact, SyncConversation, SyncDevice, SyncMessage, SyncRequest};

/// Bytes of entries in one message. Peers of 2023 take each write for one message, and a
/// write has at most 65535 bytes.
const MAX_ENTRIES: usize = 60_000;

/// Trust requests in one message, as existing peers have it.
const MAX_TRUST_REQUESTS: usize = 20;

/// Where an entry belongs. The order is that in which the parts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Devices,
    Contacts,
    TrustRequests,
    Conversations,
    Requests,
    Preferences,
    Marks,
}

impl Slot {
    /// The part of a message.
    const fn part(self) -> usize {
        match self {
            Self::Devices | Self::Contacts | Self::TrustRequests => 0,
            Self::Conversations => 1,
            Self::Requests => 2,
            Self::Preferences => 3,
            Self::Marks => 5,
        }
    }
}

/// Entries of one message.
#[derive(Debug, Default)]
struct Batch(Vec<(Slot, Vec<u8>)>);

impl Batch {
    fn map(&self, writer: &mut Writer, slot: Slot) {
        let entries = self.0.iter().filter(|(of, _)| *of == slot);
        writer.map(entries.clone().count());
        for (_, bytes) in entries {
            writer.raw(bytes);
        }
    }

    fn devices(&self, writer: &mut Writer, date: u64) {
        writer.map(6).str("date").uint(date);
        writer.str("device_name").str("");
        // What peers of 2023 had before, which they still want to see.
        writer.str("devices_known").map(0);
        writer.str("devices");
        self.map(writer, Slot::Devices);
        writer.str("peers");
        self.map(writer, Slot::Contacts);
        writer.str("trust_requests");
        self.map(writer, Slot::TrustRequests);
    }
}

impl SyncMessage {
    /// The messages to send on a channel: one write each.
    pub fn encode(&self) -> Vec<Vec<u8>> {
        let batches = self.batches().into_iter();
        let messages = batches.map(|batch| {
            let mut writer = Writer::new();
            writer.array(6);
            batch.devices(&mut writer, self.date);
            batch.map(&mut writer, Slot::Conversations);
            batch.map(&mut writer, Slot::Requests);
            batch.map(&mut writer, Slot::Preferences);
            writer.map(0);
            batch.map(&mut writer, Slot::Marks);
            writer.into_bytes()
        });
        messages.collect()
    }

    /// What to leave on the DHT: devices, contacts and requests alone. Receivers take only
    /// what is newer than the last, so that each piece is.
    pub fn encode_dht(&self) -> Vec<Vec<u8>> {
        let batches = self.batches().into_iter();
        let own = batches.filter(|batch| batch.0.iter().all(|(slot, _)| slot.part() == 0));
        let pieces = (self.date..).zip(own).map(|(date, batch)| {
            let mut writer = Writer::new();
            batch.devices(&mut writer, date);
            writer.into_bytes()
        });
        pieces.collect()
    }

    /// All entries, as many together as fit, each part for itself.
    fn batches(&self) -> Vec<Batch> {
        let mut batches: Vec<Batch> = Vec::new();
        let (mut bytes, mut requests) = (0_usize, 0_usize);
        for (slot, entry) in self.entries() {
            bytes = bytes.saturating_add(entry.len());
            requests = requests.saturating_add(usize::from(slot == Slot::TrustRequests));
            let last = batches.last_mut().filter(|batch| {
                let first = batch.0.first().map(|(first, _)| first.part());
                first == Some(slot.part()) && bytes <= MAX_ENTRIES && requests <= MAX_TRUST_REQUESTS
            });
            if let Some(last) = last {
                last.0.push((slot, entry));
            } else {
                bytes = entry.len();
                requests = usize::from(slot == Slot::TrustRequests);
                batches.push(Batch(vec![(slot, entry)]));
            }
        }
        batches
    }

    fn entries(&self) -> Vec<(Slot, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut add = |slot: Slot, write: &dyn Fn(&mut Writer)| {
            let mut writer = Writer::new();
            write(&mut writer);
            entries.push((slot, writer.into_bytes()));
        };
        for (id, device) in &self.devices {
            add(Slot::Devices, &|writer| {
                write_device(writer.bin(id.as_bytes()), device);
            });
        }
        for (id, contact) in &self.contacts {
            add(Slot::Contacts, &|writer| {
                write_contact(writer.bin(id.as_bytes()), contact);
            });
        }
        for (id, request) in &self.trust_requests {
            add(Slot::TrustRequests, &|writer| {
                writer.bin(id.as_bytes()).map(6);
                writer.str("device").bin(&request.device);
                let id = request.conversation.map(|id| id.to_hex());
                writer.str("conversationId").str(&id.unwrap_or_default());
                writer.str("received").uint(request.received.secs());
                writer.str("payload").bin(&[]);
                writer.str("receivedMs").uint(request.received.millis());
                let issued = request.issued.unwrap_or_default();
                writer.str("invitedMs").uint(issued.millis());
            });
        }
        for (id, conversation) in &self.conversations {
            add(Slot::Conversations, &|writer| {
                write_conversation(writer.str(&id.to_hex()), &id.to_hex(), conversation);
            });
        }
        for (id, request) in &self.requests {
            add(Slot::Requests, &|writer| {
                write_request(writer.str(&id.to_hex()), &id.to_hex(), request);
            });
        }
        for (id, preferences) in &self.preferences {
            add(Slot::Preferences, &|writer| {
                write_texts(
                    writer.str(&id.to_hex()),
                    preferences.iter().map(|(key, value)| (&**key, &**value)),
                );
            });
        }
        for (id, members) in &self.marks {
            add(Slot::Marks, &|writer| {
                writer.str(&id.to_hex()).map(members.len());
                for (member, marks) in members {
                    write_marks(writer.str(&member.to_hex()), marks);
                }
            });
        }
        entries
    }
}

fn write_device(writer: &mut Writer, device: &SyncDevice) {
    let entries = if device.short.is_some() { 2 } else { 1 };
    writer.map(entries).str("name").str(&device.name);
    if let Some(short) = &device.short {
        writer.str("sha1").bin(short.as_bytes());
    }
}

fn write_contact(writer: &mut Writer, contact: &SyncContact) {
    let entries = if contact.exact { 7 } else { 5 };
    writer.map(entries).str("added").uint(contact.added.secs());
    writer.str("removed").uint(contact.removed.secs());
    writer.str("confirmed").bool(contact.confirmed);
    writer.str("banned").bool(contact.banned);
    let id = contact.conversation.map(|id| id.to_hex());
    writer.str("conversationId").str(&id.unwrap_or_default());
    if contact.exact {
        write_millis(writer, "addedMs", contact.added);
        write_millis(writer, "removedMs", contact.removed);
    }
}

fn write_conversation(writer: &mut Writer, id: &str, conversation: &SyncConversation) {
    let modes = usize::from(conversation.mode.is_some());
    let times = if conversation.exact { 3 } else { 0 };
    writer.map(7_usize.saturating_add(modes).saturating_add(times));
    writer.str("id").str(id);
    writer.str("created").uint(conversation.created.secs());
    writer.str("removed").uint(conversation.removed.secs());
    writer.str("erased").uint(conversation.erased.secs());
    writer.str("members").array(conversation.members.len());
    for member in &conversation.members {
        writer.str(&member.to_hex());
    }
    writer.str("lastDisplayed").str("");
    if let Some(mode) = conversation.mode {
        writer.str("mode").uint(mode.into());
    }
    if conversation.exact {
        write_millis(writer, "createdMs", conversation.created);
        write_millis(writer, "removedMs", conversation.removed);
        write_millis(writer, "erasedMs", conversation.erased);
    }
    writer.str("invited").map(0);
}

fn write_request(writer: &mut Writer, id: &str, request: &SyncRequest) {
    writer.map(7).str("from").str(&request.from.to_hex());
    writer.str("conversationId").str(id);
    let metadata = request.metadata.iter();
    write_texts(
        writer.str("metadatas"),
        metadata.map(|(key, value)| (&**key, &**value)),
    );
    writer.str("received").uint(request.received.secs());
    writer.str("declined").uint(request.declined.secs());
    write_millis(writer, "receivedMs", request.received);
    write_millis(writer, "declinedMs", request.declined);
}

fn write_marks(writer: &mut Writer, marks: &Marks) {
    let one = |name: &'static str, time: &'static str, mark: &Option<_>| match mark {
        Some((commit, seconds)) => {
            let commit: &baraza_wire::CommitId = commit;
            let seconds: &u64 = seconds;
            vec![(name, commit.to_hex()), (time, seconds.to_string())]
        }
        None => vec![(name, String::new())],
    };
    let mut texts = one("fetched", "fetched_ts", &marks.fetched);
    texts.extend(one("read", "read_ts", &marks.read));
    write_texts(writer, texts.iter().map(|(key, value)| (*key, &**value)));
}

fn write_texts<'a>(writer: &mut Writer, texts: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
    writer.map(texts.len());
    for (key, value) in texts {
        writer.str(key).str(value);
    }
}

fn write_millis(writer: &mut Writer, key: &str, time: UnixTime) {
    writer.str(key).uint(time.millis());
}
