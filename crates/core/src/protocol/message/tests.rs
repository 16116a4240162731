use baraza_wire::UnixTime;
use proptest::prelude::*;

use super::*;

const CONVERSATION: &str = "8b3731747a61279f2d367fea6c9a5474bff82c6c";
const COMMIT_ID: &str = "c02eda375723bee403d0ebc5b2ee0623d8ad24fa";

#[test]
fn notices_are_read_pretty_or_compact() {
    let device = "d0db60b9c15abec3e349664e269221dd7c0b8ca65a6f3e7be1ee53ed86109d61";
    let compact =
        format!(r#"{{"commit":"{COMMIT_ID}","deviceId":"{device}","id":"{CONVERSATION}"}}"#);
    let pretty = format!(
        "{{\n\t\"commit\" : \"{COMMIT_ID}\",\n\t\"deviceId\" : \"{device}\",\n\t\"id\" : \"{CONVERSATION}\"\n}}\n"
    );
    let expected = Message::Commit(CommitNotice {
        conversation: CONVERSATION.parse().unwrap(),
        commit: COMMIT_ID.parse().unwrap(),
        device: device.parse().unwrap(),
    });
    assert_eq!(expected.body(), compact);
    for body in [compact, pretty] {
        assert_eq!(Message::parse(COMMIT, &body), Ok(expected.clone()));
    }
    for bad in ["", "{}", "[]", r#"{"commit":"x","deviceId":"y","id":"z"}"#] {
        let refused = Message::parse(COMMIT, bad);
        assert_eq!(refused, Err(MessageError::Malformed(COMMIT)), "{bad}");
    }
}

#[test]
fn invitations_of_old_and_new_peers() {
    let old = r#"{"conversationId":"f821711bf46a26ad5f457becae6d5119f65902f2","metadatas":{"avatar":"iVBORw0KGgo=","description":"a swarm vector","mode":"2","title":"Test Group"}}"#;
    let Ok(Message::Invite(invite)) = Message::parse(INVITE, old) else {
        panic!();
    };
    assert_eq!((invite.mode(), invite.received), (2, None));
    assert_eq!(invite.metadata["title"], "Test Group");
    assert_eq!(invite.write(), old);

    let new = r#"{"conversationId":"18c8cb9db706fc2a26ccba2be3f2054800ca3dbb","metadatas":{"mode":"2","title":"Three heads"},"received":1795399494,"receivedMs":1795399494693}"#;
    let invite = Invite::parse(new).unwrap();
    assert_eq!(
        invite.received,
        Some(UnixTime::from_millis(1_795_399_494_693))
    );
    assert_eq!(invite.write(), new);

    let odd = format!(
        r#"{{"conversationId":"{CONVERSATION}","metadatas":{{"mode":1,"a":[],"b":"{}"}},"received":-5,"x":1}}"#,
        "y".repeat(MAX_METADATA_VALUE)
    );
    let invite = Invite::parse(&odd).unwrap();
    assert_eq!((invite.mode(), invite.received), (1, None));
    assert_eq!(invite.metadata.len(), 1);
    let bare = Invite::parse(&format!(r#"{{"conversationId":"{CONVERSATION}"}}"#)).unwrap();
    assert_eq!(bare.mode(), 0);
    assert_eq!(Invite::parse(r#"{"conversationId":""}"#), None);
}

#[test]
fn the_metadata_is_bounded() {
    for count in [MAX_METADATA - 1, MAX_METADATA, MAX_METADATA + 1] {
        let entries: Vec<_> = (0..count).map(|at| format!(r#""{at:03}":"x""#)).collect();
        let body = format!(
            r#"{{"conversationId":"{CONVERSATION}","metadatas":{{{}}}}}"#,
            entries.join(",")
        );
        let read = Invite::parse(&body).unwrap().metadata.len();
        assert_eq!(read, count.min(MAX_METADATA));
    }
}

#[test]
fn typing_and_receipts_are_the_texts_of_real_peers() {
    let composing = Message::Composing(Composing {
        conversation: CONVERSATION.parse().unwrap(),
        active: true,
    });
    assert_eq!(
        composing.body(),
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<isComposing><state>active</state>\
             <conversation>{CONVERSATION}</conversation></isComposing>"
        )
    );
    assert_eq!(composing.body().len(), 157);
    let displayed = Message::Displayed(Displayed {
        conversation: CONVERSATION.parse().unwrap(),
        message: COMMIT_ID.parse().unwrap(),
    });
    assert_eq!(displayed.body().len(), 263);
    for message in [composing, displayed] {
        assert!(message.is_ephemeral());
        let spaced = message
            .body()
            .replace(CONVERSATION, &format!(" {CONVERSATION}\n"));
        assert_eq!(Message::parse(message.mime(), &spaced), Ok(message));
    }
}

#[test]
fn receipts_and_typing_that_say_nothing_are_dropped() {
    for body in [
        "",
        "<conversation></conversation>",
        "<state>busy</state><conversation>8b3731747a61279f2d367fea6c9a5474bff82c6c</conversation>",
    ] {
        assert!(Message::parse(COMPOSING, body).is_err());
        assert!(Message::parse(DISPLAYED, body).is_err());
    }
    let delivered = format!(
        "<imdn><message-id>{COMMIT_ID}</message-id><conversation>{CONVERSATION}</conversation>\
         <status><delivered/></status></imdn>"
    );
    assert!(Message::parse(DISPLAYED, &delivered).is_err());
}

#[test]
fn asking_for_an_invitation() {
    let asked = Message::AskInvite(CONVERSATION.parse().unwrap());
    assert_eq!(Message::parse(ASK_INVITE, CONVERSATION), Ok(asked.clone()));
    assert_eq!(asked.body(), CONVERSATION);
    assert!(Message::parse(ASK_INVITE, "../x").is_err());
}

#[test]
fn other_messages_are_for_the_client_if_not_too_long() {
    let other = |len: usize| Message::parse("text/plain", &"x".repeat(len));
    assert!(matches!(other(3), Ok(Message::Other { .. })));
    assert!(other(MAX_BODY - 1).is_ok() && other(MAX_BODY).is_ok());
    assert_eq!(other(MAX_BODY + 1), Err(MessageError::TooLong));
    let long_mime = "x".repeat(MAX_MIME + 1);
    assert_eq!(Message::parse(&long_mime, ""), Err(MessageError::TooLong));
}

fn any_message() -> impl Strategy<Value = Message> {
    let id = || any::<[u8; 20]>();
    let metadata = prop::collection::btree_map("[a-z]{1,8}", any::<String>(), 0..5);
    prop_oneof![
        id().prop_map(|c| Message::AskInvite(ConversationId::new(c))),
        (id(), id(), any::<[u8; 32]>()).prop_map(|(c, m, d)| Message::Commit(CommitNotice {
            conversation: ConversationId::new(c),
            commit: CommitId::new(m),
            device: DeviceId::new(d),
        })),
        (id(), any::<bool>()).prop_map(|(c, active)| Message::Composing(Composing {
            conversation: ConversationId::new(c),
            active,
        })),
        (id(), id()).prop_map(|(c, m)| Message::Displayed(Displayed {
            conversation: ConversationId::new(c),
            message: CommitId::new(m),
        })),
        (id(), metadata, prop::option::of(1..1u64 << 50)).prop_map(|(c, metadata, at)| {
            Message::Invite(Invite {
                conversation: ConversationId::new(c),
                metadata,
                received: at.map(UnixTime::from_millis),
            })
        }),
        any::<String>().prop_map(|body| Message::Other {
            mime: "text/plain".to_owned(),
            body,
        }),
    ]
}

proptest! {
    #[test]
    fn any_message_reads_back(message in any_message()) {
        prop_assert_eq!(Message::parse(message.mime(), &message.body()), Ok(message.clone()));
    }

    #[test]
    fn any_text_does_no_harm(text: String) {
        for mime in [ASK_INVITE, COMMIT, COMPOSING, DISPLAYED, INVITE] {
            let _ = Message::parse(mime, &text);
        }
    }
}
