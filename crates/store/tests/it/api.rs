//! Who may use the API, what it answered, and whom it tells.

use baraza_store::{
    Answer, Durability, PasswordRow, SessionRow, Store, TokenRow, WebhookRow, WebhookSecret,
    WebhookState,
};
use baraza_wire::UnixTime;

fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(dir.path().join("node.db"), Durability::Process).unwrap()
}

fn time(seconds: u64) -> UnixTime {
    UnixTime::from_secs(seconds)
}

fn token(id: &str, parent: Option<&str>) -> TokenRow {
    let mut secret = [0; 32];
    secret[..id.len()].copy_from_slice(id.as_bytes());
    TokenRow {
        id: id.into(),
        secret,
        prefix: "jm_sk_".into(),
        label: "bot".into(),
        scopes: "read send".into(),
        accounts: String::new(),
        conversations: String::new(),
        parent: parent.map(str::to_owned),
        created: time(1),
        expires: Some(time(100)),
        used: None,
    }
}

fn webhook(id: &str, parent: Option<&str>) -> WebhookRow {
    WebhookRow {
        id: id.into(),
        url: "https://bot.example/".into(),
        label: "bot".into(),
        secret: WebhookSecret([7; 32]),
        types: "message_received".into(),
        accounts: String::new(),
        conversations: String::new(),
        parent: parent.map(str::to_owned),
        created: time(2),
        state: WebhookState {
            cursor: 5,
            ..WebhookState::default()
        },
    }
}

#[test]
fn sessions_and_the_password_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let row = |secret, used| SessionRow {
        id: 0,
        secret: [secret; 32],
        client: "Firefox".into(),
        created: time(1),
        used,
    };
    let first = store.add_session(&row(1, time(1))).unwrap();
    let second = store.add_session(&row(2, time(1))).unwrap();
    assert_ne!(first, second);
    assert!(
        store.add_session(&row(1, time(1))).is_err(),
        "one secret is one session"
    );
    store.session_used(second, time(9)).unwrap();
    store.remove_session(first).unwrap();
    let mut store = open(&dir);
    let wanted = SessionRow {
        id: second,
        ..row(2, time(9))
    };
    assert_eq!(store.sessions().unwrap(), [wanted]);

    assert_eq!(store.api_password().unwrap(), None);
    for salt in [1, 2] {
        let password = PasswordRow {
            salt: vec![salt; 16],
            hash: vec![salt; 32],
        };
        store.set_api_password(Some(&password)).unwrap();
        assert_eq!(store.api_password().unwrap(), Some(password));
    }
    store.set_api_password(None).unwrap();
    assert_eq!(store.api_password().unwrap(), None);
}

#[test]
fn with_a_token_goes_what_was_made_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    for (id, parent) in [("a", None), ("b", Some("a")), ("c", Some("b")), ("d", None)] {
        store.add_token(&token(id, parent)).unwrap();
    }
    assert!(store.add_token(&token("e", Some("nobody"))).is_err());
    store.token_used("d", time(50)).unwrap();
    for (id, parent) in [("1", Some("c")), ("2", Some("d")), ("3", None)] {
        store.add_webhook(&webhook(id, parent)).unwrap();
    }
    assert!(store.add_webhook(&webhook("4", Some("nobody"))).is_err());

    store.remove_token("a").unwrap();
    let store = open(&dir);
    let left = TokenRow {
        used: Some(time(50)),
        ..token("d", None)
    };
    assert_eq!(store.tokens().unwrap(), [left]);
    let hooks = store.webhooks().unwrap();
    let ids: Vec<_> = hooks.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["2", "3"]);
}

#[test]
fn a_webhook_knows_how_far_it_is_and_keeps_its_secret_from_logs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    store.add_webhook(&webhook("1", None)).unwrap();
    assert!(store.add_webhook(&webhook("1", None)).is_err());
    let state = WebhookState {
        cursor: 9,
        delivered: Some(time(3)),
        failing: Some(time(4)),
        failures: 7,
        failed: Some(time(5)),
        error: "it refuses".into(),
        disabled: "given up".into(),
    };
    store.set_webhook_state("1", &state).unwrap();
    store.set_webhook_state("gone", &state).unwrap();
    let mut store = open(&dir);
    let wanted = WebhookRow {
        state,
        ..webhook("1", None)
    };
    assert_eq!(store.webhooks().unwrap(), std::slice::from_ref(&wanted));
    assert!(!format!("{wanted:?}").contains('7'.to_string().repeat(2).as_str()));
    assert!(format!("{wanted:?}").contains("WebhookSecret(…)"));
    store.remove_webhook("1").unwrap();
    assert_eq!(store.webhooks().unwrap(), []);
}

#[test]
fn a_request_is_begun_once_and_known_by_its_holder_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    assert_eq!(
        store.begin_request("owner", "k", [1; 32], time(1)).unwrap(),
        None
    );
    // Its end is not known yet, nor after a crash.
    let mut store_again = open(&dir);
    let known = store_again
        .begin_request("owner", "k", [2; 32], time(2))
        .unwrap();
    let known = known.unwrap();
    assert_eq!((known.request, known.answer), ([1; 32], None));
    assert_eq!(
        store.begin_request("token", "k", [3; 32], time(2)).unwrap(),
        None
    );

    let answer = Answer {
        content: [4; 32],
        status: 201,
        body: b"{}".to_vec(),
    };
    store.answer_request("owner", "k", &answer).unwrap();
    let known = store.begin_request("owner", "k", [1; 32], time(3)).unwrap();
    assert_eq!(known.unwrap().answer, Some(answer));
    let other = store.begin_request("token", "k", [3; 32], time(3)).unwrap();
    assert_eq!(other.unwrap().answer, None);

    store.forget_request("token", "k").unwrap();
    assert_eq!(
        store.begin_request("token", "k", [5; 32], time(4)).unwrap(),
        None
    );
}

#[test]
fn old_requests_and_the_oldest_of_too_many_are_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    for second in 1..=10 {
        let key = format!("k{second}");
        store
            .begin_request("owner", &key, [1; 32], time(second))
            .unwrap();
    }
    let is_known = |store: &mut Store, second: u64| {
        let key = format!("k{second}");
        let known = store
            .begin_request("owner", &key, [2; 32], time(20))
            .unwrap();
        if known.is_none() {
            store.forget_request("owner", &key).unwrap();
        }
        known.is_some()
    };
    store.forget_requests(time(3), 100).unwrap();
    let known: Vec<_> = (1..=10)
        .filter(|second| is_known(&mut store, *second))
        .collect();
    assert_eq!(known, [3, 4, 5, 6, 7, 8, 9, 10]);
    store.forget_requests(time(3), 5).unwrap();
    let known: Vec<_> = (1..=10)
        .filter(|second| is_known(&mut store, *second))
        .collect();
    assert_eq!(known.last(), Some(&10));
    assert!((5..=6).contains(&known.len()), "{known:?}");
}
