//! `baraza-core`.

use baraza_core::backup::entries::{Reader, Writer, is_safe};
use baraza_core::jami::config::Config;
use baraza_core::jami::state;
use baraza_core::link_device::{Action, ArchiveAnswer, AuthMessage, LinkToken, NewDevice, Source};
use baraza_core::protocol::account_value::AccountValue;
use baraza_core::protocol::drt::{DrtMessage, DrtStream};
use baraza_core::protocol::im_message::ImMessage;
use baraza_core::protocol::message::Message;
use baraza_core::protocol::msg_channel::{ChannelMessage, MessageStream};
use baraza_core::protocol::sip::{Addresses, MAX_HEAD, SipDecoder, SipSession};
use baraza_core::protocol::sync::SyncMessage;
use baraza_core::protocol::transfer::{self, TransferName};
use baraza_core::protocol::trust_request::TrustRequest;
use baraza_core::protocol::vcard::Profile;
use baraza_dht::Value;
use baraza_wire::{AccountId, DeviceId, Rng};

/// The content of values that accounts and devices leave on the DHT.
pub(crate) fn account_value(data: &[u8]) -> bool {
    let mut understood = false;
    if let Ok(request) = TrustRequest::decode(data) {
        let again = TrustRequest::decode(&request.encode());
        assert_eq!(again, Ok(request), "a request reads back");
        understood = true;
    }
    if let Ok(message) = ImMessage::decode(data) {
        let again = ImMessage::decode(&message.encode());
        assert_eq!(again, Ok(message), "a message reads back");
        understood = true;
    }
    for value in [Ok(Value::new(0, data)), Value::from_packed(data)] {
        let Ok(value) = value else { continue };
        let account = value.owner_id().unwrap_or_default().into();
        understood |= AccountValue::parse(account, &value).is_ok();
    }
    understood
}

/// A message between devices: its MIME type, a line end, its text.
pub(crate) fn device_message(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let (mime, body) = text.split_once('\n').unwrap_or((&text, ""));
    let Ok(message) = Message::parse(mime, body) else {
        return false;
    };
    let again = Message::parse(message.mime(), &message.body());
    assert_eq!(again.as_ref(), Ok(&message), "a message reads back");
    !matches!(message, Message::Other { .. })
}

/// A `msg:` channel, whole and byte by byte.
pub(crate) fn msg_channel(data: &[u8]) -> bool {
    let whole = MessageStream::new().push(data);
    let mut stream = MessageStream::new();
    let pieces: Result<Vec<_>, _> = data.iter().map(|byte| stream.push(&[*byte])).collect();
    let pieces = pieces.map(|messages| messages.concat());
    assert_eq!(whole, pieces, "the pieces do not matter");
    let Ok(messages) = whole else { return false };
    let written: Vec<u8> = messages.iter().flat_map(ChannelMessage::encode).collect();
    let again = MessageStream::new().push(&written);
    assert_eq!(again.as_ref(), Ok(&messages), "messages read back");
    !messages.is_empty()
}

/// The state of another device, on a `sync://` channel or over the DHT.
pub(crate) fn sync(data: &[u8]) -> bool {
    let again = |state: &SyncMessage| {
        let mut again = SyncMessage::default();
        for write in state.encode() {
            let part = SyncMessage::decode(&write).unwrap_or_else(|e| panic!("ours: {e}"));
            again.devices.extend(part.devices);
            again.contacts.extend(part.contacts);
            again.trust_requests.extend(part.trust_requests);
            again.conversations.extend(part.conversations);
            again.requests.extend(part.requests);
            again.preferences.extend(part.preferences);
            again.marks.extend(part.marks);
        }
        again
    };
    let mut understood = false;
    for state in [SyncMessage::decode(data), SyncMessage::decode_dht(data)] {
        let Ok(state) = state else { continue };
        let once = again(&state);
        assert_eq!(again(&once), once, "a state reads back");
        understood |= once != SyncMessage::default();
    }
    understood
}

/// A `swarm://` channel, whole and byte by byte.
pub(crate) fn swarm_channel(data: &[u8]) -> bool {
    let whole = DrtStream::new().push(data);
    let mut stream = DrtStream::new();
    let pieces: Result<Vec<_>, _> = data.iter().map(|byte| stream.push(&[*byte])).collect();
    let pieces = pieces.map(|messages| messages.concat());
    assert_eq!(whole, pieces, "the pieces do not matter");
    let Ok(messages) = whole else { return false };
    let written: Vec<u8> = messages.iter().flat_map(DrtMessage::encode).collect();
    let again = DrtStream::new().push(&written);
    assert_eq!(again.as_ref(), Ok(&messages), "messages read back");
    !messages.is_empty()
}

/// A `sip` channel.
pub(crate) fn sip(data: &[u8]) -> bool {
    let (own, peer) = (AccountId::new([1; 20]), AccountId::new([2; 20]));
    let mut session = SipSession::new(own, peer, "Bob", Addresses::default());
    let events = session.receive(data);
    let mut decoder = SipDecoder::new();
    decoder.push(data);
    while let Ok(Some(message)) = decoder.next_message() {
        let written = message.write();
        if written.len().saturating_sub(message.body.len()) > MAX_HEAD {
            continue;
        }
        let mut again = SipDecoder::new();
        again.push(&written);
        assert_eq!(
            again.next_message(),
            Ok(Some(message)),
            "a message reads back"
        );
    }
    events.is_ok_and(|events| !events.is_empty())
}

/// The name of a file channel, and of a file.
pub(crate) fn transfer_name(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let shown = transfer::display_name(text);
    assert_eq!(
        transfer::display_name(&shown),
        shown,
        "nothing is left to clean"
    );
    assert!(!shown.contains(['/', '\\', '?']) && !shown.contains(char::is_control));
    let Some(name) = TransferName::parse(text) else {
        return false;
    };
    let again = TransferName::parse(&name.to_string());
    assert_eq!(again, Some(name), "a name reads back");
    true
}

/// A profile.
pub(crate) fn vcard(data: &[u8]) -> bool {
    let Ok(profile) = Profile::parse(data) else {
        return false;
    };
    let again = Profile::parse(profile.write().as_bytes());
    assert_eq!(again, Ok(profile), "a profile reads back");
    true
}

/// The text inside of a backup: names stay below the directory it is for, and sizes within
/// what is there.
pub(crate) fn backup(data: &[u8]) -> bool {
    let Ok(mut reader) = Reader::new(data) else {
        return false;
    };
    let mut names = Vec::new();
    loop {
        match reader.next_file() {
            Ok(Some((name, size))) => {
                assert!(is_safe(&name), "a name that leads elsewhere");
                let mut content = Vec::new();
                if reader.copy(&mut content).is_err() {
                    return false;
                }
                assert_eq!(u64::try_from(content.len()), Ok(size));
                names.push((name, content));
            }
            Ok(None) => break,
            Err(_) => return false,
        }
    }
    let Ok(mut writer) = Writer::new(Vec::new(), &reader.manifest) else {
        return true;
    };
    for (name, content) in &names {
        let size = u64::try_from(content.len()).unwrap_or_default();
        let written = writer.file(name, size, content.as_slice());
        assert!(written.is_ok(), "what was read can be written");
    }
    let text = writer.finish().unwrap_or_default();
    let again = Reader::new(text.as_slice());
    assert!(again.is_ok_and(|again| again.manifest == reader.manifest));
    true
}

/// The files of existing peers with contacts, conversations and requests.
pub(crate) fn jami_state(data: &[u8]) -> bool {
    let contacts = state::contacts(data);
    let conversations = state::conversations(data);
    let requests = state::requests(data);
    let members = conversations.entries.values().map(|it| it.members.len());
    assert!(members.sum::<usize>() <= data.len(), "members from nowhere");
    let some = !contacts.entries.is_empty()
        || !conversations.entries.is_empty()
        || !requests.entries.is_empty();
    some && data.len() > 1
}

/// An account's settings as existing peers write them.
pub(crate) fn jami_config(data: &[u8]) -> bool {
    let config = Config::parse(data);
    config.receipt();
    config.get("username").is_some()
}

/// A message of a device being linked; then the same bytes on the channel of either side.
pub(crate) fn auth_message(data: &[u8]) -> bool {
    let token = LinkToken::new(DeviceId::new([1; 32]), &mut Rng::from_seed(1));
    let mut new = NewDevice::new(token.clone());
    assert!(new.requested(&token.channel_name(), AccountId::new([2; 20])));
    let mut source = Source::new(&token);
    source.opened();
    source.confirm(true);
    for piece in data.chunks(7) {
        new.data(piece);
        source.data(piece);
        while new.poll_action().is_some() {}
        while let Some(action) = source.poll_action() {
            if let Action::OpenArchive(_) = action {
                source.archive(ArchiveAnswer::WrongPassword);
            }
        }
    }
    assert!(new.status().account.is_none(), "no account came");
    let Ok(message) = AuthMessage::decode(data) else {
        return false;
    };
    let again = AuthMessage::decode(&message.encode());
    assert_eq!(again, Ok(message), "a message reads back");
    true
}

/// The token of a new device.
pub(crate) fn link_token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let Ok(token) = text.parse::<LinkToken>() else {
        return false;
    };
    assert_eq!(token.to_string().parse(), Ok(token), "a token reads back");
    true
}
