//! Views and search, where order and mischief matter.

use baraza_store::{Class, ConversationRow, Durability, MessageRow, SearchQuery, Store, ViewRow};
use baraza_wire::{AccountId, CommitId};

use crate::rows::{account, conversation, message};

struct Chat {
    _directory: tempfile::TempDir,
    store: Store,
    view: ViewRow,
    next: u64,
}

const OWN: [u8; 20] = [1; 20];

impl Chat {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node.db");
        let mut store = Store::open(path, Durability::Process).unwrap();
        let number = store.add_account(&account(1)).unwrap();
        let row: ConversationRow = conversation(1);
        let conversation = store.add_conversation(number, &row).unwrap();
        let view = ViewRow {
            conversation,
            ..ViewRow::default()
        };
        Self {
            _directory: directory,
            store,
            view,
            next: 0,
        }
    }

    fn add(&mut self, id: u8, author: u8, kind: &str, fields: &serde_json::Value) {
        let row = MessageRow {
            author: AccountId::new([author; 20]),
            kind: kind.into(),
            fields: fields.to_string(),
            ..message(self.next, id)
        };
        self.next += 1;
        let number = self.view.conversation;
        self.store.add_message(number, &row).unwrap();
        let own = AccountId::new(OWN);
        self.store.add_to_view(&own, &mut self.view, &row).unwrap();
        self.store.put_view(&self.view).unwrap();
    }

    fn text(&mut self, id: u8, author: u8, body: &str) {
        self.add(
            id,
            author,
            "text/plain",
            &serde_json::json!({ "body": body }),
        );
    }

    fn edit(&mut self, id: u8, author: u8, of: u8, body: &str) {
        let of = CommitId::new([of; 20]).to_hex();
        let fields = serde_json::json!({ "body": body, "edit": of });
        self.add(id, author, "application/edited-message", &fields);
    }

    fn react(&mut self, id: u8, author: u8, to: u8, emoji: &str) {
        let to = CommitId::new([to; 20]).to_hex();
        let fields = serde_json::json!({ "body": emoji, "react-to": to });
        self.add(id, author, "text/plain", &fields);
    }

    fn find(&self, text: &str) -> usize {
        let query = SearchQuery {
            text: text.into(),
            count: 100,
            ..SearchQuery::default()
        };
        self.store.search(1, &query).unwrap().len()
    }

    fn emojis(&self, of: u8) -> Vec<(String, u64)> {
        let of = CommitId::new([of; 20]);
        let number = self.view.conversation;
        self.store.reaction_counts(number, &of, 100).unwrap()
    }
}

#[test]
fn what_refers_to_a_message_may_come_before_it() {
    let mut chat = Chat::new();
    chat.react(10, 2, 1, "👍");
    chat.edit(11, 3, 1, "better");
    chat.edit(12, 2, 1, "of another author");
    // A reaction that was taken back before it came.
    chat.edit(13, 2, 14, "");
    chat.react(14, 2, 1, "❤");
    assert_eq!(chat.find("better"), 0);
    chat.text(1, 3, "worse");
    assert_eq!((chat.find("better"), chat.find("worse")), (1, 0));
    assert_eq!(chat.find("author"), 0);
    assert_eq!(chat.emojis(1), [("👍".to_owned(), 1)]);
    let entries = chat.store.entries_below(1, u64::MAX, 10).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].class, entries[0].wording),
        (Class::Text, Some(1))
    );
    assert_eq!(chat.view.unread, 1);
}

#[test]
fn only_the_author_changes_a_message_and_deleted_ones_are_not_found() {
    let mut chat = Chat::new();
    chat.text(1, 2, "original");
    chat.edit(2, 3, 1, "forged");
    assert_eq!((chat.find("original"), chat.find("forged")), (1, 0));
    chat.edit(3, 2, 1, "");
    assert_eq!(chat.find("original"), 0);
    assert_eq!(chat.view.unread, 0);
    chat.edit(4, 2, 1, "again");
    assert_eq!((chat.find("again"), chat.view.unread), (1, 1));
    chat.react(5, 3, 1, "👍");
    chat.edit(6, 2, 5, "");
    assert_eq!(chat.emojis(1).len(), 1, "of another author");
    chat.edit(7, 3, 5, "");
    assert!(chat.emojis(1).is_empty());
    // A file's name; and it is taken back.
    let file = serde_json::json!({ "displayName": "holiday.JPG", "tid": "7" });
    chat.add(8, 2, "application/data-transfer+json", &file);
    assert_eq!(chat.find("holiday"), 1);
    let media = SearchQuery {
        classes: vec![Class::Media],
        count: 10,
        ..SearchQuery::default()
    };
    assert_eq!(chat.store.search(1, &media).unwrap().len(), 1);
    let of = CommitId::new([8; 20]).to_hex();
    let gone = serde_json::json!({ "edit": of, "tid": "" });
    chat.add(9, 2, "application/data-transfer+json", &gone);
    assert_eq!(chat.find("holiday"), 0);
}

#[test]
fn a_conversation_takes_its_view_and_its_words_with_it() {
    let mut chat = Chat::new();
    chat.text(1, 2, "word");
    chat.react(2, 2, 1, "👍");
    chat.add(3, 2, "member", &serde_json::json!({ "action": "add" }));
    assert_eq!(chat.find("word"), 1);
    chat.store
        .remove_conversation(chat.view.conversation)
        .unwrap();
    assert_eq!(chat.find("word"), 0);
    for table in ["entries", "refs", "views", "search"] {
        let count: i64 = chat
            .store
            .raw()
            .query_row(&format!("SELECT count(*) FROM {table}"), (), |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
}

#[test]
fn ten_thousand_reactions_are_counted_in_no_time() {
    let mut chat = Chat::new();
    chat.text(1, 2, "popular");
    let number = chat.view.conversation;
    let own = AccountId::new(OWN);
    let to = CommitId::new([1; 20]).to_hex();
    chat.store.begin().unwrap();
    for serial in 0..10_000_u32 {
        let mut id = [9; 20];
        id[..4].copy_from_slice(&serial.to_be_bytes());
        let emoji = ["👍", "❤", "😂"][(serial % 3) as usize];
        let fields = serde_json::json!({ "body": emoji, "react-to": to });
        let row = MessageRow {
            id: CommitId::new(id),
            fields: fields.to_string(),
            ..message(chat.next, 1)
        };
        chat.next += 1;
        chat.store.add_message(number, &row).unwrap();
        chat.store.add_to_view(&own, &mut chat.view, &row).unwrap();
    }
    chat.store.commit().unwrap();
    let begun = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(chat.emojis(1)[0], ("👍".to_owned(), 3334));
        let first = chat
            .store
            .reactions(number, &CommitId::new([1; 20]), 100)
            .unwrap();
        assert_eq!(first.len(), 100);
        // Nor do they stand between the entries of a page.
        assert_eq!(
            chat.store
                .entries_below(number, u64::MAX, 50)
                .unwrap()
                .len(),
            1
        );
    }
    // 4 ms each in a release build; this is about orders of magnitude.
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}
