use baraza_identity::testing;
use proptest::prelude::*;

use super::*;

const BODY: &str =
    include_str!("../../../../testing/vectors/account-nameservice/register-body.json");
const LOG: &str = include_str!("../../../../testing/vectors/account-nameservice/http.log");

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// The bodies of the requests that a daemon of 2023 sent, with the names it sent them for.
fn requests() -> Vec<(&'static str, &'static str)> {
    LOG.split(">>> POST /name/")
        .skip(1)
        .map(|part| {
            let name = part.split(' ').next().unwrap();
            let body = part.lines().find(|line| line.starts_with('{')).unwrap();
            (name, body)
        })
        .collect()
}

#[test]
fn registrations_of_a_real_daemon_are_verified_and_written_again_as_they_came() {
    let requests = requests();
    assert_eq!(requests.len(), 3);
    for (asked, body) in requests
        .iter()
        .copied()
        .chain([("alicetest", BODY.trim_end())])
    {
        let registration = Registration::from_json(body.as_bytes()).unwrap();
        registration.verify(&name(asked)).unwrap();
        assert_eq!(registration.to_json(), body);
        // It ends in the NUL that these daemons send.
        assert_eq!(registration.proof.key_bytes().last(), Some(&0));
        assert_eq!(
            registration.verify(&name("somebody")),
            Err(ProofError::Signature)
        );
        let mut other = registration;
        other.addr = AccountId::new([7; 20]);
        assert_eq!(other.verify(&name(asked)), Err(ProofError::OtherId));
    }
}

#[test]
fn answers_are_verified_against_the_question() {
    let answer = LOG
        .lines()
        .find_map(|line| line.strip_prefix("<<< 200 {\"name\": \"bob-test_1\","))
        .unwrap();
    let answer = format!("{{\"name\": \"bob-test_1\",{answer}");
    let found = Found::from_json(answer.as_bytes()).unwrap().unwrap();
    let asked = LookupText::new("Bob-Test_1").unwrap();
    assert_eq!(found.verify(&asked), Ok(true));
    let again = Found::from_json(found.to_json().as_bytes()).unwrap();
    assert_eq!(again.as_ref(), Some(&found));
    assert_eq!(
        found.verify(&LookupText::new("alicetest").unwrap()),
        Err(AnswerError::OtherName)
    );
    let nameless = Found {
        name: None,
        ..found.clone()
    };
    assert_eq!(
        nameless.verify(&LookupText::new("alicetest").unwrap()),
        Err(AnswerError::Proof(ProofError::Signature))
    );
    let unsigned = Found {
        proof: None,
        ..found
    };
    assert_eq!(unsigned.verify(&asked), Ok(false));
}

#[test]
fn answers_of_other_kinds() {
    let id = "66fd3fd929906a8a61be84ebb24fb5ae74e43745";
    let read = |text: &str| Found::from_json(text.as_bytes());
    for none in [
        "{}",
        r#"{"addr":""}"#,
        r#"{"addr":null}"#,
        r#"{"addr":"0x0000000000000000000000000000000000000000"}"#,
    ] {
        assert_eq!(read(none), Ok(None), "{none}");
    }
    let mixed = format!(r#"{{"addr":"0x{}"}}"#, id.to_uppercase());
    assert_eq!(read(&mixed).unwrap().unwrap().addr.to_hex(), id);
    assert_eq!(read(r#"{"addr":"0x12"}"#), Err(AnswerError::NotAnId));
    assert_eq!(
        read(&format!(r#"{{"addr":"{id}","signature":"AAAA"}}"#)),
        Err(AnswerError::HalfSigned)
    );
    assert!(matches!(read("[]"), Err(AnswerError::Json(_))));
    assert!(matches!(
        read(&format!(r#"{{"addr":"{id}","addr":"{id}"}}"#)),
        Err(AnswerError::Json(_))
    ));
    assert_eq!(
        read(&" ".repeat(MAX_ANSWER + 1)),
        Err(AnswerError::TooLarge)
    );
    assert_eq!(
        reverse_from_json(br#"{"name":"alicetest"}"#),
        Ok(Some("alicetest".into()))
    );
    assert_eq!(reverse_from_json(br#"{"name":""}"#), Ok(None));
    assert_eq!(
        registered_from_json(br#"{"success": true}"#),
        Ok((true, None))
    );
    assert_eq!(
        registered_from_json(br#"{"success":false,"error":"invalid name"}"#),
        Ok((false, Some("invalid name".into())))
    );
    assert_eq!(registered_from_json(b"{}"), Ok((false, None)));
    assert!(registered_from_json(b"true").is_err());
}

#[test]
fn our_own_registration_is_one() {
    let archive = testing::archive("alice");
    let key = &archive.account_key;
    let owner = Owner::parse("0xa3564a494b624d51869469c1322621f294bf33b4");
    let made = Registration::sign(&name("alice"), key, owner).unwrap();
    made.verify(&name("alice")).unwrap();
    let read = Registration::from_json(made.to_json().as_bytes()).unwrap();
    assert_eq!(read, made);
    // DER instead of PEM is the same key.
    let der = Proof::from_bytes(
        key.public_key().spki_der().to_vec(),
        made.proof.signature().to_vec(),
    )
    .unwrap();
    assert_eq!(der.key(), made.proof.key());
}

#[test]
fn bad_requests_are_refused_in_words() {
    let message = |body: &str| {
        Registration::from_json(body.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message("{}"), r#""addr" is missing"#);
    assert!(message("[]").contains("expected an object"));
    assert!(message("").contains("EOF"));
    assert!(message(&format!("{BODY} x")).contains("trailing characters"));
    let twice = BODY.replacen(
        '{',
        r#"{"addr":"7d730a03d9f5b3f8e5bcebf1409e89abcc9545a4","#,
        1,
    );
    assert!(message(&twice).contains("a member is there twice"));
    // Also if one of them is written with an escape.
    let escaped = BODY.replacen(
        '{',
        r#"{"a\u0064dr":"7d730a03d9f5b3f8e5bcebf1409e89abcc9545a4","#,
        1,
    );
    assert!(message(&escaped).contains("a member is there twice"));
    assert!(
        message(&BODY.replace(r#""owner":""#, r#""owner":17,"x":""#))
            .contains(r#""owner" is not a text"#)
    );
    assert_eq!(
        message(&BODY.replace(r#""addr":"66"#, r#""addr":"6"#)),
        r#""addr" is not 40 hexadecimal digits"#
    );
    assert_eq!(
        message(&BODY.replace(r#""owner":"a3"#, r#""owner":"zz"#)),
        r#""owner" is not 40 hexadecimal digits"#
    );
    assert_eq!(
        message(&BODY.replace(r#""signature":"#, r#""sig":"#)),
        r#""signature" is missing"#
    );
    assert_eq!(
        message(&BODY.replace(r#""publickey":"#, r#""key":"#)),
        r#""publickey" is missing"#
    );
    assert_eq!(
        message(&BODY.replace("gHJHV2pG", "gHJH 2pG")),
        "the signature is not base64, or too long"
    );
    assert!(message(&" ".repeat(MAX_REQUEST + 1)).contains("more than 65536 bytes"));
    let deep = format!(r#"{{"x":{}}}"#, "[".repeat(2000));
    assert!(message(&deep).contains("not what is expected"));
    let nothing = r#"{"addr":"0x0000000000000000000000000000000000000000"}"#;
    assert_eq!(message(nothing), r#""addr" is not 40 hexadecimal digits"#);
    let small = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAI1v5kvJ6cYWYS52lqbOzBt45RBhcxHYo8LOb0R+1NV7Hi/riUFMNDwQJ8TRw4a7xM1hPjDY8WrfkbdYSiJlsfUCAwEAAQ==";
    let body = format!(
        r#"{{"addr":"66fd3fd929906a8a61be84ebb24fb5ae74e43745","signature":"AAAA","publickey":"{small}"}}"#
    );
    assert!(
        message(&body).contains("512 bits are refused"),
        "{}",
        message(&body)
    );
}

#[test]
fn what_others_send_beside_it_is_left_alone() {
    let more = BODY.replacen('{', r#"{"v":2,"tags":["a",{"b":null}],"#, 1);
    let registration = Registration::from_json(more.as_bytes()).unwrap();
    registration.verify(&name("alicetest")).unwrap();
    let upper = BODY.replace(
        "66fd3fd929906a8a61be84ebb24fb5ae74e43745",
        "0x66FD3FD929906A8A61BE84EBB24FB5AE74E43745",
    );
    Registration::from_json(upper.as_bytes())
        .unwrap()
        .verify(&name("alicetest"))
        .unwrap();
}

proptest! {
    #[test]
    fn any_body_is_judged(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _judged = Registration::from_json(&body);
        let _judged = Found::from_json(&body);
    }

    #[test]
    fn a_damaged_body_proves_nothing_else(at in 0usize..1884, byte in any::<u8>()) {
        let mut body = BODY.trim_end().as_bytes().to_vec();
        let before = body[at];
        body[at] = byte;
        if let Ok(read) = Registration::from_json(&body) {
            let proves = read.verify(&name("alicetest")).is_ok();
            let whole = Registration::from_json(BODY.as_bytes()).unwrap();
            // Case of the ID, the owner (which is not signed), or line ends of the key.
            prop_assert!(!proves || byte == before || (read.addr, read.proof.key(), read.proof.signature())
                == (whole.addr, whole.proof.key(), whole.proof.signature()));
        }
    }
}
