//! The machines with a node that is a few JSON texts: what a person would see.

use baraza_wire::ConversationId;
use crossterm::event::{Event as Key, KeyCode, KeyEvent, KeyModifiers};
use hyper::Method;
use jiff::tz::TimeZone;
use ratatui_core::backend::TestBackend;
use ratatui_core::buffer::Cell;
use ratatui_core::terminal::Terminal;
use serde_json::{Value, json};

use super::ask::{Act, Answer, Trouble};
use super::desk::Desk;
use super::drafts::Drafts;
use super::plain::Plain;
use super::screen::Screen;
use super::words;

const ME: &str = "1111111111111111111111111111111111111111";
const BOB: &str = "2222222222222222222222222222222222222222";
const EVE: &str = "3333333333333333333333333333333333333333";
const CHAT: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const ASKED: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ACCOUNT: &str = "0000000000000001";
/// 2026-11-30 12:00 UTC, in seconds.
const NOON: u64 = 1_796_040_000;
const NOW: u64 = NOON * 1000;

/// A node that is a few lists.
struct Fake {
    account: Value,
    contacts: Vec<Value>,
    requests: Vec<Value>,
    entries: Vec<Value>,
    unread: u64,
    group: bool,
    title: String,
    /// What it was asked to do.
    done: Vec<(Method, String, Value, Option<String>)>,
    refuse: Option<&'static str>,
}

impl Fake {
    fn new() -> Self {
        Self {
            account: json!({
                "account": ACCOUNT, "jami_id": ME, "device_id": null, "display_name": "Alice",
                "registered_name": "", "state": "REGISTERED", "announced": true,
            }),
            contacts: vec![json!({
                "id": BOB, "name": "Bob", "registered_name": "", "added": 1, "confirmed": true,
                "blocked": false, "conversation": CHAT, "presence": "connected",
            })],
            requests: Vec::new(),
            entries: Vec::new(),
            unread: 0,
            group: false,
            title: String::new(),
            done: Vec::new(),
            refuse: None,
        }
    }

    /// Another entry; its ID is its number.
    fn says(&mut self, author: &str, body: &str) -> String {
        let id = format!("{:040x}", self.entries.len() + 0x00c0_ffee);
        let time = NOON + 60 * self.entries.len() as u64;
        let sent = u64::from(author == ME);
        self.entries.push(json!({
            "id": id, "author": author, "kind": "text", "type": "text/plain",
            "timestamp": time, "text": "", "body": body, "cut": false, "edited": false,
            "deleted": false, "reply_to": null, "editions": [], "reactions": [],
            "reaction_counts": [], "details": {}, "status": [],
            "status_counts": { "sending": 0, "sent": sent, "displayed": 0 },
        }));
        id
    }

    fn conversation(&self) -> Value {
        json!({
            "id": CHAT, "mode": u8::from(self.group) * 2, "members": [ME, BOB], "length": 3,
            "last": null, "read": null, "unread": self.unread, "first_unread": null,
            "newest": self.entries.last(),
        })
    }

    fn page(&self, query: &str) -> Value {
        let field = |name: &str| {
            let mut parts = query.split('&').filter_map(|part| part.split_once('='));
            parts
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let at = |id: &str| self.entries.iter().position(|one| one["id"] == id).unwrap();
        let limit: usize = field("limit").unwrap().parse().unwrap();
        let all = self.entries.len();
        let (from, to) = if let Some(id) = field("before") {
            (at(&id).saturating_sub(limit), at(&id))
        } else if let Some(id) = field("around") {
            let middle = at(&id);
            let from = middle.saturating_sub(limit / 2);
            (from, (from + limit).min(all))
        } else if let Some(id) = field("after") {
            (at(&id) + 1, (at(&id) + 1 + limit).min(all))
        } else {
            (all.saturating_sub(limit), all)
        };
        let entries: Vec<_> = self.entries[from..to].iter().rev().cloned().collect();
        let older = (from > 0).then(|| self.entries[from]["id"].clone());
        let newer = (to < all).then(|| self.entries[to - 1]["id"].clone());
        json!({
            "entries": entries, "older": older, "newer": newer, "unread": self.unread,
            "first_unread": null,
        })
    }

    fn answer(&mut self, act: Act) -> Answer {
        let Act::Call {
            method,
            path,
            body,
            key,
        } = act
        else {
            panic!("files are tested with real nodes")
        };
        if method != Method::GET {
            self.done.push((method, path, body.clone(), key));
            if let Some(text) = self.refuse {
                return Err(Trouble {
                    code: "refused".into(),
                    text: text.into(),
                    away: false,
                });
            }
            return Ok(json!({ "id": format!("{:040x}", 0xdead) }));
        }
        let own = format!("/accounts/{ACCOUNT}");
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let chat = format!("{own}/conversations/{CHAT}");
        Ok(match path {
            "/accounts" => json!([self.account]),
            "/status" => Value::Null,
            _ if path == format!("{own}/conversations") => json!([self.conversation()]),
            _ if path == format!("{own}/contacts") => json!(self.contacts),
            _ if path == format!("{own}/requests") => json!(self.requests),
            _ if path == chat => self.conversation(),
            _ if path == format!("{chat}/entries") => self.page(query),
            _ if path == format!("{chat}/members") => json!([]),
            _ if path == format!("{chat}/profile") => json!({ "title": self.title }),
            _ if path.ends_with("/profile") => json!({ "id": EVE, "name": "", "picture": null }),
            _ if path.ends_with("/delivery") => json!({
                "arrived": false, "counts": { "sending": 1, "sent": 0, "displayed": 0 },
                "members": [{ "id": BOB, "status": "sending", "pending": null }],
                "devices": [{
                    "account": BOB, "device": null, "delivered": false, "pending": null,
                    "reason": "no device answers", "next_try": null, "tries": 1,
                }],
            }),
            other => panic!("asked for {other}"),
        })
    }
}

/// Asks and answers until nothing is left.
fn settle(desk: &mut Desk, fake: &mut Fake) {
    while let Some(ask) = desk.poll_ask() {
        let answer = fake.answer(ask.act);
        desk.answer(ask.id, answer);
    }
}

fn desk(fake: &mut Fake) -> Desk {
    let mut desk = Desk::new("s".into(), TimeZone::UTC, None, Drafts::default());
    desk.connected();
    settle(&mut desk, fake);
    desk
}

/// A screen in a terminal of a size.
struct Shown {
    fake: Fake,
    desk: Desk,
    screen: Screen,
    terminal: Terminal<TestBackend>,
}

impl Shown {
    fn new(mut fake: Fake, width: u16, height: u16) -> Self {
        let desk = desk(&mut fake);
        let mut shown = Self {
            fake,
            desk,
            screen: Screen::new((width, height), true),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
        };
        shown.settle();
        shown
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.screen.update(&mut self.desk, NOW);
            settle(&mut self.desk, &mut self.fake);
        }
        self.screen.update(&mut self.desk, NOW);
    }

    fn press(&mut self, code: KeyCode) {
        self.press_with(code, KeyModifiers::NONE);
    }

    fn press_with(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        let key = Key::Key(KeyEvent::new(code, modifiers));
        self.screen.event(&mut self.desk, NOW, key);
        self.settle();
    }

    fn types(&mut self, text: &str) {
        for c in text.chars() {
            self.press(KeyCode::Char(c));
        }
    }

    /// What is seen, line by line.
    fn lines(&mut self) -> Vec<String> {
        let (screen, desk) = (&self.screen, &self.desk);
        self.terminal
            .draw(|frame| {
                if let Some(cursor) = screen.draw(desk, frame.buffer_mut()) {
                    frame.set_cursor_position(cursor);
                }
            })
            .unwrap();
        let buffer = self.terminal.backend().buffer();
        let width = usize::from(buffer.area.width);
        for cell in &buffer.content {
            let bad = cell.symbol().chars().any(words::must_not_pass);
            assert!(!bad, "{:?} reaches the terminal", cell.symbol());
        }
        let rows = buffer.content.chunks(width);
        rows.map(|row| row.iter().map(Cell::symbol).collect::<String>())
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    #[track_caller]
    fn sees(&mut self, text: &str) {
        let lines = self.lines();
        assert!(
            lines.iter().any(|line| line.contains(text)),
            "no {text:?} in {lines:#?}"
        );
    }

    #[track_caller]
    fn sees_no(&mut self, text: &str) {
        let lines = self.lines();
        assert!(
            !lines.iter().any(|line| line.contains(text)),
            "{text:?} in {lines:#?}"
        );
    }

    fn event(&mut self, event: Value) {
        let mut event = event;
        event["cursor"] = json!(1);
        event["local_account"] = json!(ACCOUNT);
        event["time"] = json!(NOW);
        self.desk.event(NOW, &event);
        self.settle();
    }

    /// Somebody writes, and the node tells.
    fn receives(&mut self, author: &str, body: &str) -> String {
        let id = self.fake.says(author, body);
        self.event(json!({
            "event": "message_received", "conversation": CHAT,
            "message": {
                "id": id, "author": author, "type": "text/plain", "timestamp": "5",
                "parents": "", "linearizedParent": "", "body": body,
            },
        }));
        id
    }
}

#[test]
fn a_message_is_read_and_answered_at_80_columns() {
    let mut fake = Fake::new();
    fake.says(BOB, "hello Alice");
    fake.unread = 1;
    let mut shown = Shown::new(fake, 80, 24);
    shown.sees("Alice · online · 1 unread");
    shown.sees("● Bob");
    shown.press(KeyCode::Enter);
    shown.sees("Bob · connected");
    shown.sees("Monday, 30 November 2026");
    shown.sees("hello Alice");
    let read = shown
        .fake
        .done
        .iter()
        .find(|(_, path, ..)| path.ends_with("/read"));
    assert!(read.is_some(), "{:?}", shown.fake.done);

    shown.types("hi Bob");
    shown.sees("> hi Bob");
    assert_eq!(shown.desk.draft(), "hi Bob", "kept before it is sent");
    shown.press(KeyCode::Enter);
    let (method, path, body, key) = shown.fake.done.last().unwrap().clone();
    let sent = shown
        .fake
        .done
        .iter()
        .filter(|(_, path, ..)| path.ends_with("/messages"));
    assert_eq!(sent.count(), 1);
    assert_eq!(
        (method, body["body"].as_str()),
        (Method::POST, Some("hi Bob"))
    );
    assert!(path.ends_with("/messages"));
    assert!(key.is_some(), "a repeated send must not write twice");
    assert_eq!(shown.desk.draft(), "");
    assert!(shown.desk.drafts.outgoing.is_empty());

    // An answer to a selected message.
    shown.receives(BOB, "how are you?");
    shown.sees("how are you?");
    shown.press(KeyCode::Up);
    shown.press(KeyCode::Char('r'));
    shown.sees("answering Bob: how are you?");
    shown.types("well");
    shown.press(KeyCode::Enter);
    let body = &shown.fake.done.last().unwrap().2;
    assert_eq!(body["body"], "well");
    assert_eq!(body["reply_to"], shown.fake.entries[1]["id"]);
}

#[test]
fn what_the_node_refuses_comes_back_and_what_it_did_not_hear_is_sent_again() {
    let mut shown = Shown::new(Fake::new(), 80, 24);
    shown.press(KeyCode::Enter);
    shown.fake.refuse = Some("blocked");
    shown.types("text");
    shown.press(KeyCode::Enter);
    shown.sees("not sent: blocked");
    shown.sees("> text");
    shown.fake.refuse = None;

    shown.press_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    shown.types("later");
    // The node goes while it is asked.
    let key = Key::Key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
    shown.screen.event(&mut shown.desk, NOW, key);
    let mut keys = Vec::new();
    while let Some(ask) = shown.desk.poll_ask() {
        if let Act::Call { key: Some(key), .. } = ask.act {
            keys.push(key);
        }
    }
    shown
        .desk
        .away("no node runs on /data: start one with: baraza run");
    shown.settle();
    shown.sees("start one with: baraza run");
    assert_eq!(shown.desk.drafts.outgoing.len(), 1);
    shown.desk.connected();
    shown.settle();
    let (_, _, body, key) = shown.fake.done.last().unwrap();
    assert_eq!(body["body"], "later");
    assert_eq!(key.as_ref(), keys.first(), "the same key: written once");
    assert!(shown.desk.drafts.outgoing.is_empty());
    shown.sees("the node is back");
}

#[test]
fn a_request_is_seen_and_accepted() {
    let mut fake = Fake::new();
    fake.requests.push(json!({
        "conversation": ASKED, "from": EVE, "mode": 0, "name": "Eve", "received": NOW,
    }));
    let mut shown = Shown::new(fake, 80, 24);
    shown.sees("? Eve (33333333)");
    shown.sees("a accept · d decline · b block");
    shown.press(KeyCode::Char('a'));
    let (_, path, ..) = shown.fake.done.last().unwrap();
    assert_eq!(
        *path,
        format!("/accounts/{ACCOUNT}/requests/{ASKED}/accept")
    );
    shown.sees("accepted");
}

#[test]
fn forty_columns_show_the_list_or_the_conversation() {
    let mut fake = Fake::new();
    fake.says(
        BOB,
        "a text that is longer than forty columns and is broken",
    );
    let mut shown = Shown::new(fake, 40, 12);
    shown.sees("● Bob");
    shown.sees_no("Bob  12:00");
    shown.press(KeyCode::Enter);
    shown.sees("Bob  12:00");
    shown.sees("  a text that is longer than forty");
    shown.sees("  columns and is broken");
    shown.press(KeyCode::Esc);
    shown.sees("● Bob");
    // A terminal that grows shows both.
    shown.terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    shown
        .screen
        .event(&mut shown.desk, NOW, Key::Resize(100, 30));
    shown.sees("● Bob");
    shown.sees("columns and is broken");
    for (width, height) in [(20, 6), (19, 5), (1, 1), (300, 80)] {
        shown.terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        shown
            .screen
            .event(&mut shown.desk, NOW, Key::Resize(width, height));
        shown.lines();
    }
}

#[test]
fn nothing_of_others_controls_the_terminal() {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\u{8}\u{2066}x";
    let mut fake = Fake::new();
    fake.contacts[0]["name"] = json!(evil);
    fake.account["display_name"] = json!(evil);
    fake.group = true;
    fake.title = evil.into();
    let id = fake.says(BOB, evil);
    fake.entries[0]["reaction_counts"] = json!([{ "emoji": evil, "count": 2 }]);
    fake.says(ME, "x");
    fake.entries[1]["reply_to"] = json!(id);
    fake.entries[1]["status_counts"] = json!({ "sending": 1, "sent": 0, "displayed": 0 });
    fake.says(BOB, "");
    fake.entries[2]["kind"] = json!("file");
    fake.entries[2]["details"] = json!({ "displayName": evil, "totalSize": evil });
    fake.entries[2]["deleted"] = json!(true);
    fake.requests.push(json!({
        "conversation": ASKED, "from": EVE, "mode": 0, "name": evil, "received": NOW,
    }));
    let mut shown = Shown::new(fake, 80, 24);
    shown.press(KeyCode::Down);
    shown.press(KeyCode::Enter);
    // `lines` looks at each cell.
    shown.sees("\\u{1b}]0;owned");
    for command in [
        "/list",
        "/contacts",
        "/requests",
        "/accounts",
        "/members",
        "/status",
        "/why",
    ] {
        shown.types(command);
        shown.press(KeyCode::Enter);
        shown.lines();
        shown.press(KeyCode::Esc);
    }
    shown.event(json!({
        "event": "registration_state_changed", "state": "ERROR_GENERIC", "detail": evil,
    }));
    shown.sees("does not work: \\u{1b}]0;owned");
    shown.fake.refuse = Some("\u{1b}[2J");
    shown.types("/title x");
    shown.press(KeyCode::Enter);
    shown.lines();
    let pasted = Key::Paste("\u{1b}[31mred\u{7}\nline".into());
    shown.screen.event(&mut shown.desk, NOW, pasted);
    shown.sees("[31mred");

    // The same line by line.
    let mut plain = Plain::default();
    let mut desk = desk(&mut shown.fake);
    let mut printed = Vec::new();
    for line in [
        "/list",
        "/open 2",
        "/contacts",
        "/accounts",
        "/requests",
        "/why",
        evil,
    ] {
        settle(&mut desk, &mut shown.fake);
        printed.extend(plain.lines(&mut desk, NOW));
        printed.extend(plain.typed(&mut desk, NOW, line));
        settle(&mut desk, &mut shown.fake);
        printed.extend(plain.lines(&mut desk, NOW));
    }
    assert!(printed.len() > 10, "{printed:#?}");
    for line in printed {
        assert!(!line.chars().any(words::must_not_pass), "{line:?}");
    }
}

#[test]
fn persian_and_wide_letters_keep_their_places() {
    let mut fake = Fake::new();
    fake.contacts[0]["name"] = json!("مریم");
    fake.says(BOB, "سلام، خوبی؟ 👩‍👩‍👧 漢字");
    let mut shown = Shown::new(fake, 80, 24);
    shown.press(KeyCode::Enter);
    shown.sees("\u{2068}مریم\u{2069}");
    shown.sees("\u{2068}سلام، خوبی؟ 👩‍👩‍👧");
    // The bar between the list and the conversation stands in one column, whatever is in it.
    let lines = shown.lines();
    let backend = shown.terminal.backend().buffer().clone();
    for y in 1..23 {
        assert_eq!(backend.cell((26, y)).unwrap().symbol(), "│", "{lines:#?}");
    }
    shown.types("درود");
    shown.sees("> \u{2068}درود\u{2069}");
    let cursor = shown.terminal.backend().cursor_position();
    assert_eq!((cursor.x, cursor.y), (27 + 2 + 4, 22));
}

#[test]
fn history_is_read_by_pages_as_one_goes_back() {
    let mut fake = Fake::new();
    for number in 0..300 {
        fake.says(BOB, &format!("text {number}."));
    }
    let mut shown = Shown::new(fake, 80, 24);
    shown.press(KeyCode::Enter);
    shown.sees("text 299.");
    for _ in 0..60 {
        shown.press(KeyCode::PageUp);
    }
    shown.sees("text 0.");
    // What comes now does not move what is read.
    shown.receives(BOB, "new one");
    shown.sees("text 0.");
    for _ in 0..80 {
        shown.press(KeyCode::PageDown);
    }
    shown.sees("new one");
}

#[test]
fn own_messages_are_edited_taken_back_and_tell_how_far_they_are() {
    let mut fake = Fake::new();
    let id = fake.says(ME, "frist");
    fake.entries[0]["status_counts"] = json!({ "sending": 1, "sent": 0, "displayed": 0 });
    let mut shown = Shown::new(fake, 80, 24);
    shown.press(KeyCode::Enter);
    shown.sees("frist (on its way)");
    shown.sees("not arrived: Bob: no device answers");
    shown.fake.entries[0]["status_counts"] = json!({ "sending": 0, "sent": 0, "displayed": 1 });
    shown.event(json!({
        "event": "message_read", "conversation": CHAT, "message": id, "account": BOB,
    }));
    shown.sees("frist (read)");
    shown.types("half a draft");
    shown.press(KeyCode::Esc);
    shown.press(KeyCode::Esc);
    shown.press_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    shown.press(KeyCode::Up);
    shown.press(KeyCode::Char('e'));
    shown.sees("> frist");
    shown.press_with(KeyCode::Char('u'), KeyModifiers::CONTROL);
    shown.types("first");
    shown.press(KeyCode::Enter);
    let (method, path, body, _) = shown.fake.done.last().unwrap().clone();
    assert_eq!(
        (method, body["body"].as_str()),
        (Method::PATCH, Some("first"))
    );
    assert!(path.ends_with(&id));
    shown.press(KeyCode::Up);
    shown.press(KeyCode::Char('d'));
    shown.sees("Take this message back?");
    shown.press(KeyCode::Char('n'));
    assert_eq!(shown.fake.done.last().unwrap().2["body"], "first");
    shown.press(KeyCode::Char('d'));
    shown.press(KeyCode::Char('y'));
    assert_eq!(shown.fake.done.last().unwrap().2["body"], "");
}

#[test]
fn drafts_belong_to_their_conversation_and_outlive_the_program() {
    let mut shown = Shown::new(Fake::new(), 80, 24);
    shown.press(KeyCode::Enter);
    shown.types("half a sen");
    let kept = serde_json::to_string(&shown.desk.drafts).unwrap();
    let drafts: Drafts = serde_json::from_str(&kept).unwrap();
    let mut desk = Desk::new("t".into(), TimeZone::UTC, None, drafts);
    desk.connected();
    settle(&mut desk, &mut shown.fake);
    shown.desk = desk;
    shown.screen = Screen::new((80, 24), false);
    shown.settle();
    shown.press(KeyCode::Enter);
    shown.sees("> half a sen");
}

#[test]
fn lines_tell_time_name_and_number_and_nothing_twice() {
    let mut fake = Fake::new();
    fake.says(BOB, "hello\nAlice");
    let mut desk = desk(&mut fake);
    let mut plain = Plain::default();
    let mut run = |desk: &mut Desk, fake: &mut Fake, line: &str| {
        let mut printed = plain.typed(desk, NOW, line);
        settle(desk, fake);
        printed.extend(plain.lines(desk, NOW));
        printed
    };
    let opened = run(&mut desk, &mut fake, "/open bob");
    assert_eq!(
        opened,
        [
            "12:00 * Bob, connected; what you type is sent",
            "#1 2026-11-30 12:00 Bob: hello",
            "    Alice",
        ]
    );
    fake.says(ME, "hi");
    let event = json!({
        "cursor": 1, "local_account": ACCOUNT, "time": NOW, "event": "message_delivered",
        "conversation": CHAT, "message": fake.entries[1]["id"], "device": "00".repeat(32),
        "account": BOB,
    });
    desk.event(NOW, &event);
    // What a newer node tells is left alone.
    desk.event(
        NOW,
        &json!({ "event": "moon_risen", "local_account": ACCOUNT }),
    );
    assert_eq!(
        run(&mut desk, &mut fake, ""),
        ["#2 2026-11-30 12:01 you: hi (arrived)"]
    );
    assert_eq!(
        run(&mut desk, &mut fake, "/nonsense"),
        ["12:00 ! there is no command /nonsense; /help lists them"]
    );
    let list = run(&mut desk, &mut fake, "/list");
    assert_eq!(
        list,
        ["12:00 * 1 conversation", "    1. Bob, connected, you: hi"]
    );
    run(&mut desk, &mut fake, "/react 1 👍");
    assert_eq!(fake.done.last().unwrap().2["emoji"], "👍");
    assert_eq!(
        fake.done.last().unwrap().1.split('/').nth_back(1),
        fake.entries[0]["id"].as_str()
    );
}

#[test]
fn only_one_question_for_each_thing_is_under_way() {
    let mut fake = Fake::new();
    let mut desk = desk(&mut fake);
    let chat: ConversationId = CHAT.parse().unwrap();
    desk.open(chat);
    settle(&mut desk, &mut fake);
    let mut asked = Vec::new();
    for _ in 0..100 {
        let event = json!({
            "cursor": 1, "account": ACCOUNT, "time": NOW, "event": "conversation_ready",
            "conversation": CHAT,
        });
        desk.event(NOW, &event);
        while let Some(ask) = desk.poll_ask() {
            asked.push(ask);
        }
    }
    assert_eq!(asked.len(), 2, "{asked:?}");
}
