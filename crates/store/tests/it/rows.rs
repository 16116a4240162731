use baraza_store::{
    AccountRow, ContactRow, ConversationRow, ConversationState, DeliveryRow, DeviceKind, DeviceRow,
    Durability, FileRow, FileState, MessageRow, OutboxKind, OutboxRow, RequestRow, Store,
};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

pub(crate) fn account(name: u8) -> AccountRow {
    AccountRow {
        number: 0,
        local_id: format!("{name:016x}"),
        jami_id: AccountId::new([name; 20]),
        device_id: DeviceId::new([name; 32]),
        display_name: "Alice".into(),
        created: UnixTime::from_secs(5),
    }
}

pub(crate) fn conversation(name: u8) -> ConversationRow {
    ConversationRow {
        number: 0,
        id: ConversationId::new([name; 20]),
        state: ConversationState::Ready,
        mode: 0,
        peer: Some(AccountId::new([9; 20])),
        created: UnixTime::from_secs(6),
        removed: UnixTime::default(),
        head: None,
        length: 0,
        read: None,
    }
}

pub(crate) fn message(position: u64, id: u8) -> MessageRow {
    MessageRow {
        position,
        id: CommitId::new([id; 20]),
        author: AccountId::new([1; 20]),
        kind: "text/plain".into(),
        time: 7,
        parents: vec![CommitId::new([id.wrapping_sub(1); 20])],
        fields: r#"{"body":"سلام"}"#.into(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path().join("node.db"), Durability::Process).unwrap();
    (directory, store)
}

#[test]
fn every_kind_of_row_comes_back_and_goes_with_its_account() {
    let (_directory, mut store) = store();
    let number = store.add_account(&account(1)).unwrap();
    let other = store.add_account(&account(2)).unwrap();
    assert!(store.add_account(&account(1)).is_err());
    store.set_display_name(number, "Alicia").unwrap();
    assert_eq!(store.accounts().unwrap()[0].display_name, "Alicia");

    let contact = ContactRow {
        contact: AccountId::new([3; 20]),
        added: UnixTime::from_millis(1),
        removed: UnixTime::from_millis(2),
        confirmed: false,
        banned: true,
        conversation: None,
    };
    assert!(contact.is_banned() && !contact.is_active());
    store.put_contact(number, &contact).unwrap();
    store.put_contact(number, &contact).unwrap();
    assert_eq!(store.contacts(number).unwrap(), [contact]);
    assert_eq!(store.contacts(other).unwrap(), []);

    let request = RequestRow {
        mode: 2,
        conversation: ConversationId::new([4; 20]),
        sender: AccountId::new([3; 20]),
        name: "Bob".into(),
        received: UnixTime::from_secs(1),
        declined: UnixTime::default(),
        issued: UnixTime::from_secs(7),
    };
    store.put_request(number, &request).unwrap();
    assert_eq!(
        store.requests(number).unwrap(),
        std::slice::from_ref(&request)
    );
    store.remove_request(number, &request.conversation).unwrap();
    assert_eq!(store.requests(number).unwrap(), []);

    let outbox = OutboxRow {
        kind: OutboxKind::Confirmation,
        target: AccountId::new([3; 20]),
        conversation: ConversationId::new([4; 20]),
        payload: vec![1, 2],
        created: UnixTime::from_secs(1),
        tries: 3,
        next_try: UnixTime::from_secs(9),
        reason: "no device found".into(),
    };
    store.put_outbox(number, &outbox).unwrap();
    assert_eq!(store.outbox(number).unwrap(), [outbox]);

    let device = DeviceRow {
        device: DeviceId::new([5; 32]),
        owner: AccountId::new([3; 20]),
        public_key: vec![7],
        chain: String::new(),
        kind: DeviceKind::Old,
        seen: UnixTime::from_secs(2),
    };
    store.put_device(number, &device).unwrap();
    assert_eq!(store.devices(number).unwrap(), [device]);

    store.set_setting(number, "a", Some("b")).unwrap();
    assert_eq!(store.setting(number, "a").unwrap().as_deref(), Some("b"));
    store.set_setting(number, "a", None).unwrap();
    assert_eq!(store.setting(number, "a").unwrap(), None);

    store.add_conversation(number, &conversation(4)).unwrap();
    store.forget_account(number, &account(1).local_id).unwrap();
    assert_eq!(store.conversations(number).unwrap(), []);
    assert_eq!(store.outbox(number).unwrap(), []);
    assert_eq!(store.accounts().unwrap().len(), 1);
}

#[test]
fn messages_are_found_by_position_and_by_id() {
    let (_directory, mut store) = store();
    let number = store.add_account(&account(1)).unwrap();
    let chat = store.add_conversation(number, &conversation(1)).unwrap();
    for i in 0..5 {
        let mut row = message(i, 10 + i as u8);
        if i == 3 {
            row.kind = "merge".into();
        }
        store.add_message(chat, &row).unwrap();
    }
    assert!(
        store.add_message(chat, &message(9, 12)).is_err(),
        "id known"
    );
    let page = store.messages_down(chat, 3, 2).unwrap();
    assert_eq!(
        page.iter().map(|row| row.position).collect::<Vec<_>>(),
        [3, 2]
    );
    assert_eq!(page[1], message(2, 12));
    assert_eq!(
        store.position(chat, &CommitId::new([14; 20])).unwrap(),
        Some(4)
    );
    assert_eq!(
        store.position(chat, &CommitId::new([99; 20])).unwrap(),
        None
    );
    let outline = |at| store.outline(chat, at).unwrap();
    assert_eq!(outline(3), Some((CommitId::new([13; 20]), false)));
    assert_eq!(outline(4), Some((CommitId::new([14; 20]), true)));
    assert_eq!(outline(5), None);
    let (position, parents) = store
        .ancestry(chat, &CommitId::new([12; 20]))
        .unwrap()
        .unwrap();
    assert_eq!((position, parents), (2, vec![CommitId::new([11; 20])]));

    let delivery = DeliveryRow {
        device: DeviceId::new([1; 32]),
        owner: AccountId::new([2; 20]),
        base: 4,
        heads: vec![CommitId::new([12; 20]), CommitId::new([13; 20])],
    };
    store.put_delivery(chat, &delivery).unwrap();
    assert_eq!(
        store.deliveries(chat).unwrap(),
        std::slice::from_ref(&delivery)
    );
    store.remove_delivery(chat, &delivery.device).unwrap();
    assert_eq!(store.deliveries(chat).unwrap(), []);
}

#[test]
fn cursors_rise_and_the_log_stays_bounded() {
    let (_directory, mut store) = store();
    assert_eq!(store.event_range().unwrap(), (0, 0));
    store
        .atomic::<_, baraza_store::StoreError>(|store| {
            for i in 0..60_000u64 {
                let cursor = store.add_event("x", UnixTime::from_secs(i), "{}")?;
                assert_eq!(cursor, i + 1);
            }
            Ok(())
        })
        .unwrap();
    let (before, newest) = store.event_range().unwrap();
    assert_eq!(newest, 60_000);
    assert!((7_000..=10_000).contains(&before), "{before}");
    let page = store.events_after(59_998, 10).unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(page[0].cursor, 59_999);
}

#[test]
fn treated_numbers_use_all_bits_and_are_bounded() {
    let (_directory, mut store) = store();
    let number = store.add_account(&account(1)).unwrap();
    store
        .add_treated(number, &[u64::MAX, 1], UnixTime::from_secs(1))
        .unwrap();
    assert_eq!(store.treated(number).unwrap().len(), 2);
    let many: Vec<u64> = (10..6000).collect();
    store
        .add_treated(number, &many, UnixTime::from_secs(2))
        .unwrap();
    let left = store.treated(number).unwrap();
    assert_eq!(left.len(), 4096);
    assert!(!left.contains(&u64::MAX), "the oldest go first");
}

#[test]
fn files_keep_their_state_and_go_with_their_conversation() {
    let (_directory, mut store) = store();
    let account = store.add_account(&account(1)).unwrap();
    let chat = store.add_conversation(account, &conversation(1)).unwrap();
    let row = |id: u8, sha3: &str, time| FileRow {
        message: CommitId::new([id; 20]),
        author: AccountId::new([3; 20]),
        time,
        name: "../سلام.jpg".into(),
        sha3: sha3.into(),
        tid: "5".into(),
        size: 5 << 30,
        state: FileState::Offered,
        changed: 0,
    };
    let (mut one, two) = (row(1, "aa", 5), row(2, "aa", 6));
    store.add_file(chat, &one).unwrap();
    store.add_file(chat, &two).unwrap();
    store
        .set_file_state(chat, &one.message, FileState::Here, 77)
        .unwrap();
    // The index may be made anew.
    store.add_file(chat, &one).unwrap();
    (one.state, one.changed) = (FileState::Here, 77);
    assert_eq!(store.file(chat, &one.message).unwrap(), Some(one.clone()));
    assert_eq!(store.files(chat).unwrap(), [two.clone(), one.clone()]);
    assert_eq!(store.files_like(chat, "aa").unwrap(), [one.clone(), two]);
    assert_eq!(store.files_like(chat, "bb").unwrap(), []);
    store.remove_conversation(chat).unwrap();
    assert_eq!(store.files(chat).unwrap(), []);
}
