use proptest::prelude::*;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn dave() -> Profile {
    Profile {
        name: "Dave".to_owned(),
        photo: Some(Photo {
            kind: PhotoKind::Png,
            bytes: PNG.to_vec(),
        }),
    }
}

#[test]
fn a_real_card_with_either_line_end() {
    let lf = "BEGIN:VCARD\nVERSION:2.1\nFN:Dave\nPHOTO;ENCODING=BASE64;TYPE=PNG:iVBORw0KGgo=\n\
              END:VCARD";
    assert_eq!(Profile::parse(lf.as_bytes()), Ok(dave()));
    assert_eq!(
        Profile::parse(lf.replace('\n', "\r\n").as_bytes()),
        Ok(dave())
    );
    assert_eq!(dave().write(), lf);
}

#[test]
fn other_versions_and_folded_lines() {
    for card in [
        "begin:vcard\nfn:Dave\nphoto;type=png;encoding=b:iVBOR\n w0KGgo=\nEND:VCARD",
        "BEGIN:VCARD\nN:x\nFN;CHARSET=UTF-8:Dave\nPHOTO:data:image/png;base64,iVBORw0KGgo=\n",
    ] {
        assert_eq!(Profile::parse(card.as_bytes()), Ok(dave()), "{card}");
    }
}

#[test]
fn a_bad_picture_is_left_out() {
    let card = b"BEGIN:VCARD\nFN:Dave\nPHOTO;TYPE=PNG:!!!\nEND:VCARD";
    let read = Profile::parse(card).unwrap();
    assert_eq!((read.name.as_str(), read.photo), ("Dave", None));
    assert_eq!(Profile::parse(b"FN:Dave"), Err(VcardError::NotOne));
    assert_eq!(Profile::parse(b""), Err(VcardError::NotOne));
}

#[test]
fn a_name_cannot_add_lines() {
    let profile = Profile {
        name: "Eve\nPHOTO:x\r\nFN:Bob".to_owned(),
        photo: None,
    };
    assert_eq!(profile.write().lines().count(), 4);
}

#[test]
fn lengths_are_bounded() {
    let card = |len: usize| {
        let head = "BEGIN:VCARD\nNOTE:";
        format!("{head}{}", "x".repeat(len - head.len()))
    };
    assert!(Profile::parse(card(MAX_LEN - 1).as_bytes()).is_ok());
    assert!(Profile::parse(card(MAX_LEN).as_bytes()).is_ok());
    let refused = Profile::parse(card(MAX_LEN + 1).as_bytes());
    assert_eq!(refused, Err(VcardError::TooLong));
    let named = format!("BEGIN:VCARD\nFN:{}", "é".repeat(MAX_NAME));
    assert_eq!(
        Profile::parse(named.as_bytes()).unwrap().name.len(),
        MAX_NAME
    );
}

#[test]
fn a_request_carries_the_picture_only_if_it_fits() {
    let with = |len: usize| Profile {
        name: "Dave".to_owned(),
        photo: Some(Photo {
            kind: PhotoKind::Jpeg,
            bytes: vec![1; len],
        }),
    };
    let small = Profile::parse(&with(40_000).payload()).unwrap();
    assert!(small.photo.is_some());
    let large = with(60_000).payload();
    assert!(large.len() < trust_request::MAX_PAYLOAD);
    let large = Profile::parse(&large).unwrap();
    assert_eq!((large.name.as_str(), large.photo), ("Dave", None));
}

proptest! {
    #[test]
    fn any_profile_reads_back(name in "[ -~äß€]{0,40}", bytes: Vec<u8>, jpeg: bool) {
        let kind = if jpeg { PhotoKind::Jpeg } else { PhotoKind::Png };
        let profile = Profile {
            name: name.trim().to_owned(),
            photo: (!bytes.is_empty()).then_some(Photo { kind, bytes }),
        };
        prop_assert_eq!(Profile::parse(profile.write().as_bytes()), Ok(profile));
    }

    #[test]
    fn any_bytes_do_no_harm(bytes: Vec<u8>) {
        let mut card = b"BEGIN:VCARD\n".to_vec();
        card.extend(bytes);
        if let Ok(profile) = Profile::parse(&card) {
            prop_assert_eq!(Profile::parse(profile.write().as_bytes()), Ok(profile));
        }
    }
}
