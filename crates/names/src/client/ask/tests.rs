use proptest::prelude::*;

use super::*;
use crate::record::{Proof, Registration};
use baraza_identity::testing;

const ID: &str = "f2c815f5554bcc22689ce84d45aefdda1bce9146";

fn ask(question: Question) -> Ask {
    Ask {
        server: ServerUrl::parse("example.com/ns/").unwrap(),
        question,
    }
}

fn name(text: &str) -> Ask {
    ask(Question::Name(LookupText::new(text).unwrap()))
}

fn address() -> Ask {
    ask(Question::Address(ID.parse().unwrap()))
}

fn registering(text: &str) -> Ask {
    let registration = registration(text);
    ask(Question::Register {
        name: Name::new(text).unwrap(),
        id: registration.addr,
        body: registration.to_json(),
    })
}

fn registration(text: &str) -> Registration {
    let archive = testing::archive("alice");
    Registration::sign(&Name::new(text).unwrap(), &archive.account_key, None).unwrap()
}

fn answer(status: u16, body: &str) -> Result<Answer, Unreachable> {
    Ok(Answer {
        status,
        retry_after: None,
        date: None,
        body: body.into(),
    })
}

/// What is said of an answer.
fn words(ask: &Ask, status: u16, body: &str) -> String {
    match ask.understand(answer(status, body), false) {
        Ok(outcome) => format!("{outcome:?}"),
        Err(failure) => failure.to_string(),
    }
}

#[test]
fn questions_go_where_clients_of_today_send_them() {
    let url = |ask: Ask| ask.url().unwrap().to_string();
    assert_eq!(url(name("Alice")), "https://example.com/ns/name/alice");
    assert_eq!(url(name("Ä.b")), "https://example.com/ns/name/%C3%84.b");
    // What is "the folder above" to everybody on the way, encoded or not, is not asked.
    assert_eq!(name("..").url(), None);
    assert_eq!(url(address()), format!("https://example.com/ns/addr/{ID}"));
    let registering = registering("alice");
    assert_eq!(registering.method(), "POST");
    assert!(registering.body().starts_with("{\"addr\":\""));
    assert_eq!(url(registering), "https://example.com/ns/name/alice");
}

#[test]
fn signed_answers_are_believed_whatever_their_server_is_like() {
    let mine = registration("alice");
    let key = mine.proof.key_base64();
    // As 2023 registers it: with a NUL in the text that is encoded.
    let mut with_nul = mine.proof.key_bytes().to_vec();
    with_nul.push(0);
    let old = Proof::from_bytes(with_nul, mine.proof.signature().to_vec()).unwrap();
    let mixed: String = mine.addr.to_hex();
    let mixed: String = mixed
        .chars()
        .enumerate()
        .map(|(at, c)| {
            if at % 2 == 0 {
                c.to_ascii_uppercase()
            } else {
                c
            }
        })
        .collect();
    for (key, addr) in [
        (key, format!("0x{mixed}")),
        (old.key_base64(), mine.addr.to_hex()),
    ] {
        let signature = mine.proof.signature_base64();
        let body = format!(
            r#"{{"name":"Alice","addr":"{addr}","publickey":"{key}","signature":"{signature}"}}"#
        );
        let found = name("alice").understand(answer(200, &body), true).unwrap();
        let alice = LookupText::new("alice").unwrap();
        assert_eq!(
            found,
            Outcome::Found {
                name: alice,
                id: mine.addr,
                signed: true
            }
        );
        // The same for another name, or of another account.
        let other = name("alice2").understand(answer(200, &body), false);
        assert!(matches!(other, Err(Failure::Lied { .. })), "{other:?}");
        let unnamed = body.replace(r#""name":"Alice","#, "");
        assert!(
            name("alice")
                .understand(answer(200, &unnamed), true)
                .is_ok()
        );
        let stolen = unnamed.replace(&addr, ID);
        assert_eq!(
            words(&name("alice"), 200, &stolen),
            "the name server https://example.com/ns gave an answer that is not true: the public \
             key is that of another Jami ID"
        );
        assert_eq!(
            words(&name("bob"), 200, &unnamed),
            "the name server https://example.com/ns gave an answer that is not true: the \
             signature over the name is wrong"
        );
        let half = unnamed.replace(&format!(",\"signature\":\"{signature}\""), "");
        assert!(words(&name("alice"), 200, &half).contains("only one of key and signature"));
    }
}

#[test]
fn unsigned_answers_are_believed_unless_somebody_minds() {
    let body = format!(r#"{{"name":"alice","addr":"0x{ID}"}}"#);
    let found = name("alice").understand(answer(200, &body), false);
    assert!(matches!(found, Ok(Outcome::Found { signed: false, .. })));
    let refused = name("alice").understand(answer(200, &body), true);
    assert!(matches!(refused, Err(Failure::Unsigned { .. })));
}

#[test]
fn every_failure_is_told_in_words() {
    let alice = name("alice");
    for (status, body, text) in [
        (200, r#"{"addr":""}"#, "no such name is registered"),
        (
            404,
            r#"{"error":"name not registered"}"#,
            "no such name is registered",
        ),
        (404, "<html>", "no such name is registered"),
        (
            400,
            r#"{"error":"invalid name"}"#,
            "the name server https://example.com/ns refuses (status 400): invalid name",
        ),
        (
            403,
            "",
            "the name server https://example.com/ns refuses (status 403)",
        ),
        (
            429,
            "",
            "the name server https://example.com/ns wants no more questions now; try again later",
        ),
        (
            502,
            "",
            "the name server https://example.com/ns has failed (status 502); try again later",
        ),
        (
            200,
            r#"{"addr":"abc"}"#,
            "the name server https://example.com/ns gave an answer that is not true: the \
             answer's address is not a Jami ID",
        ),
    ] {
        assert_eq!(words(&alice, status, body), text);
    }
    let page = words(&alice, 200, "<html>Welcome to the hotel</html>");
    assert!(
        page.starts_with("https://example.com/ns does not answer as a name server does: "),
        "{page}"
    );
    let busy = |status, seconds| {
        let answer = Answer {
            status,
            retry_after: Some(seconds),
            date: None,
            body: Vec::new(),
        };
        alice.understand(Ok(answer), false).unwrap_err().to_string()
    };
    assert!(busy(429, 30).ends_with("try again in 30 seconds"));
    assert!(busy(503, 600).ends_with("try again in 10 minutes"));
    let gone = Unreachable {
        reason: "nothing listens there".into(),
        sent: false,
    };
    assert_eq!(
        alice.understand(Err(gone), false).unwrap_err().to_string(),
        "the name server https://example.com/ns cannot be asked: nothing listens there"
    );
    // What a server says is shown without what could hide or turn it around.
    let odd = "{\"error\":\"a\u{202e}b\\n\\u0007c\"}";
    assert!(words(&alice, 400, odd).ends_with("(status 400): abc"));
}

#[test]
fn registrations_succeed_or_say_why_not() {
    let ours = registration("alice").addr.to_hex();
    let alice = registering("alice");
    assert_eq!(words(&alice, 200, r#"{"success":true}"#), "Registered");
    for (status, body, text) in [
        (403, r#"{"success":false}"#.to_owned(), "the name is taken"),
        (409, String::new(), "the name is taken"),
        (
            400,
            r#"{"success":false,"error":"name already registered"}"#.into(),
            "the name is taken",
        ),
        (
            403,
            format!(r#"{{"success":false,"name":"alicia","addr":"0x{ours}"}}"#),
            "this account has the name alicia already; a name server gives only one",
        ),
        (
            403,
            format!(r#"{{"success":false,"name":"alice","addr":"0x{ID}"}}"#),
            "the name is taken",
        ),
        (
            401,
            r#"{"success":false}"#.into(),
            "the name server https://example.com/ns does not accept the account's signature",
        ),
        (
            400,
            r#"{"success":false,"error":"invalid name"}"#.into(),
            "the name server https://example.com/ns refuses (status 400): invalid name",
        ),
        (
            404,
            String::new(),
            "the name server https://example.com/ns refuses (status 404)",
        ),
        (
            200,
            r#"{"success":false,"error":"not now"}"#.into(),
            "the name server https://example.com/ns refuses (status 200): not now",
        ),
    ] {
        assert_eq!(words(&alice, status, &body), text, "{status} {body}");
    }
}

#[test]
fn names_of_accounts_are_only_what_the_server_says() {
    let named = words(&address(), 200, r#"{"name":"Alice"}"#);
    assert_eq!(named, r#"Named(LookupText("alice"))"#);
    let nobody = words(&address(), 200, r#"{"name":""}"#);
    assert_eq!(nobody, "no such name is registered");
    let odd = words(&address(), 200, "{\"name\":\"a\u{202e}b\"}");
    assert!(
        odd.contains("does not answer as a name server does"),
        "{odd}"
    );
}

#[test]
fn redirections_stay_on_the_host_and_secure() {
    let from = Url::parse("https://example.com/name/alice").unwrap();
    let to = |location| redirect(&from, location).map(|url| url.to_string());
    assert_eq!(to("/v2/alice").unwrap(), "https://example.com/v2/alice");
    assert_eq!(
        to("https://example.com:8443/x").unwrap(),
        "https://example.com:8443/x"
    );
    assert!(to("http://example.com/name/alice").is_err());
    assert!(to("https://www.example.com/name/alice").is_err());
    assert!(to("//evil.example/x").is_err());
    assert!(to("https://u:p@example.com/").is_err());
    assert!(to("file:///etc/passwd").is_err());
    let plain = Url::parse("http://example.com/x").unwrap();
    assert!(redirect(&plain, "https://example.com/x").is_ok());
    assert_eq!(retry_after(Some(" 7 ")), Some(7));
    assert_eq!(retry_after(Some("99999999")), Some(86400));
    assert_eq!(retry_after(Some("Wed, 21 Oct 2026 07:28:00 GMT")), None);
}

proptest! {
    #[test]
    fn no_answer_is_too_odd(status in 0_u16..700, body in ".{0,80}") {
        for ask in [name("alice"), address()] {
            let understood = ask.understand(answer(status, &body), false);
            if let Ok(outcome) = understood {
                prop_assert!((200..300).contains(&status), "{:?}", outcome);
            }
        }
    }
}
