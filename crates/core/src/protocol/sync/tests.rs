use baraza_wire::hex;
use proptest::prelude::*;

use super::*;
use crate::protocol::tests_support::vector;

/// Messages of a capture: lines with hex after `marker`.
fn captured(name: &str, marker: &str) -> Vec<Vec<u8>> {
    let text = String::from_utf8(vector(name)).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(marker));
    lines.map(|line| hex::decode(line).unwrap()).collect()
}

#[test]
fn messages_of_2023_are_read() {
    let messages = captured("swarm-sync.txt", "HEX ");
    assert!(messages.len() > 3);
    let first = SyncMessage::decode(&messages[0]).unwrap();
    assert_eq!(first.devices.len(), 2);
    let device = "d0db60b9c15abec3e349664e269221dd7c0b8ca65a6f3e7be1ee53ed86109d61";
    let device = &first.devices[&device.parse().unwrap()];
    assert_eq!(device.name, "vm");
    let short = "e2c2ea5299b4a60edf6d78f0582415c73aa30acf";
    assert_eq!(device.short, Some(short.parse().unwrap()));
    let contact = "2d854d73999f113079ae4664ae9764cd81cf9b3a";
    let contact = &first.contacts[&contact.parse().unwrap()];
    assert_eq!(contact.added, UnixTime::from_secs(1_795_393_720));
    assert_eq!(contact.removed, UnixTime::default());
    assert!(contact.confirmed && !contact.banned && !contact.exact);
    let chat = "8b3731747a61279f2d367fea6c9a5474bff82c6c".parse().unwrap();
    assert_eq!(contact.conversation, Some(chat));
    let all: Vec<SyncMessage> = messages
        .iter()
        .map(|bytes| SyncMessage::decode(bytes).unwrap())
        .collect();
    let of_chat = all
        .iter()
        .find_map(|it| it.conversations.get(&chat))
        .unwrap();
    assert!(of_chat.created > UnixTime::default() && !of_chat.exact);
    assert_eq!(of_chat.mode, None);
}

#[test]
fn newer_messages_are_read() {
    let messages = captured("head-sync.txt", "hex ");
    let all: Vec<SyncMessage> = messages
        .iter()
        .map(|bytes| SyncMessage::decode(bytes).unwrap())
        .collect();
    let bob: AccountId = "20b3b6b4b5be27f37fd78f22b9a1f3daa9435dc8".parse().unwrap();
    let chat = "9771fde252b5b76ab00e1522ea52c3ed0837a51c".parse().unwrap();
    let contact = all.iter().find_map(|it| it.contacts.get(&bob)).unwrap();
    assert_eq!(contact.added, UnixTime::from_millis(1_795_399_091_715));
    assert!(contact.confirmed && contact.exact);
    let of_chat = all
        .iter()
        .find_map(|it| it.conversations.get(&chat))
        .unwrap();
    assert_eq!((of_chat.mode, of_chat.members.len()), (Some(0), 2));
    assert_eq!(of_chat.created, UnixTime::from_millis(1_795_399_091_715));
    let marks = &all.iter().find_map(|it| it.marks.get(&chat)).unwrap()[&bob];
    let read = "cc16520e1fa5aecd278220c992ca354da41576c6".parse().unwrap();
    assert_eq!(marks.read, Some((read, 1_795_399_102)));
}

#[test]
fn a_message_of_2023_is_a_prefix_of_what_is_written() {
    // Four parts there, six here, of which the last two are ignored there.
    let bytes = &captured("swarm-sync.txt", "HEX ")[0];
    let message = SyncMessage::decode(bytes).unwrap();
    let written = message.encode();
    let [written] = &written[..] else {
        panic!("several messages");
    };
    assert_eq!(written[0], 0x96);
    assert_eq!(written[1..bytes.len()], bytes[1..]);
    assert_eq!(written[bytes.len()..], [0x80, 0x80]);
}

#[test]
fn much_is_split_into_writes_in_order() {
    let mut message = SyncMessage::default();
    for number in 0..2000_u32 {
        let mut id = [7; 20];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let contact = SyncContact {
            exact: true,
            ..SyncContact::default()
        };
        message.contacts.insert(AccountId::new(id), contact);
        let request = SyncTrustRequest::default();
        message.trust_requests.insert(AccountId::new(id), request);
        let chat = SyncConversation {
            exact: true,
            ..SyncConversation::default()
        };
        message.conversations.insert(ConversationId::new(id), chat);
    }
    let writes = message.encode();
    let mut again = SyncMessage::default();
    let mut last = 0;
    for write in &writes {
        assert!(write.len() <= 0xffff);
        let part = SyncMessage::decode(write).unwrap();
        assert!(part.trust_requests.len() <= 20);
        let order = usize::from(!part.conversations.is_empty());
        assert!(order >= last, "parts out of order");
        last = order;
        again.contacts.extend(part.contacts);
        again.trust_requests.extend(part.trust_requests);
        again.conversations.extend(part.conversations);
    }
    assert_eq!(again, message);
    let dates: Vec<u64> = message
        .encode_dht()
        .iter()
        .map(|piece| SyncMessage::decode_dht(piece).unwrap().date)
        .collect();
    assert!(dates.len() > 100);
    assert!(dates.windows(2).all(|two| two[0] < two[1]));
}

fn ids<const N: usize>() -> impl Strategy<Value = [u8; N]> {
    prop::array::uniform::<_, N>(any::<u8>())
}

fn time() -> impl Strategy<Value = UnixTime> {
    (0_u64..4_000_000_000_000).prop_map(UnixTime::from_millis)
}

prop_compose! {
    fn any_message()(
        date in any::<u64>(),
        devices in prop::collection::btree_map(
            ids::<32>().prop_map(DeviceId::new),
            ("[a-z ü]{0,20}", prop::option::of(ids::<20>()))
                .prop_map(|(name, short)| SyncDevice { name, short: short.map(InfoHash::new) }),
            0..4,
        ),
        contacts in prop::collection::btree_map(
            ids::<20>().prop_map(AccountId::new),
            (time(), time(), any::<[bool; 2]>(), prop::option::of(ids::<20>())).prop_map(
                |(added, removed, [confirmed, banned], chat)| SyncContact {
                    added, removed, confirmed, banned, exact: true,
                    conversation: chat.map(ConversationId::new),
                }
            ),
            0..4,
        ),
        conversations in prop::collection::btree_map(
            ids::<20>().prop_map(ConversationId::new),
            (time(), time(), prop::collection::btree_set(ids::<20>(), 0..3), 0_u8..5).prop_map(
                |(created, removed, members, mode)| SyncConversation {
                    created, removed, erased: removed, exact: true, mode: Some(mode),
                    members: members.into_iter().map(AccountId::new).collect(),
                }
            ),
            0..4,
        ),
        requests in prop::collection::btree_map(
            ids::<20>().prop_map(ConversationId::new),
            (ids::<20>(), time(), time(), prop::collection::btree_map("[a-z]{1,5}", ".{0,9}", 0..4))
                .prop_map(|(from, received, declined, metadata)| SyncRequest {
                    from: AccountId::new(from), received, declined, metadata, exact: true,
                }),
            0..4,
        ),
        preferences in prop::collection::btree_map(
            ids::<20>().prop_map(ConversationId::new),
            prop::collection::btree_map("[a-z]{1,5}", ".{0,9}", 0..4),
            0..4,
        ),
        marks in prop::collection::btree_map(
            ids::<20>().prop_map(ConversationId::new),
            prop::collection::btree_map(
                ids::<20>().prop_map(AccountId::new),
                (prop::option::of((ids::<20>(), any::<u64>())), prop::option::of((ids::<20>(), any::<u64>())))
                    .prop_map(|(fetched, read)| Marks {
                        fetched: fetched.map(|(id, time)| (CommitId::new(id), time)),
                        read: read.map(|(id, time)| (CommitId::new(id), time)),
                    }),
                0..3,
            ),
            0..3,
        ),
    ) -> SyncMessage {
        SyncMessage {
            date, devices, contacts, trust_requests: BTreeMap::new(), conversations, requests,
            preferences, marks,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in any_message()) {
        let mut again = SyncMessage { date: message.date, ..SyncMessage::default() };
        for write in message.encode() {
            let part = SyncMessage::decode(&write).unwrap();
            prop_assert_eq!(part.date, message.date);
            again.devices.extend(part.devices);
            again.contacts.extend(part.contacts);
            again.conversations.extend(part.conversations);
            again.requests.extend(part.requests);
            again.preferences.extend(part.preferences);
            again.marks.extend(part.marks);
        }
        prop_assert_eq!(again, message);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = SyncMessage::decode(&bytes);
        let _ = SyncMessage::decode_dht(&bytes);
    }

    #[test]
    fn damage_is_read_or_refused(message in any_message(), at in any::<usize>(), to in any::<u8>()) {
        for mut write in message.encode() {
            let at = at % write.len();
            write[at] = to;
            let _ = SyncMessage::decode(&write);
        }
    }
}
