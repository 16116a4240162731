use proptest::prelude::*;

use super::*;

const CHAT: &str = "8b3731747a61279f2d367fea6c9a5474bff82c6c";
const DEVICE: &str = "94b4b3684b66b3ef5df70596d35676a16238e35abb9bf73eeff05a91265a1fa8";
const OTHER: &str = "568d8137d99c646cd095953fcb9c6bf4d244c064";
const FILE: &str = "7f42e60b870db5b9c7023699a0ab3dacf8d529b5_2700798550353453.txt";

#[test]
fn names_of_a_real_daemon_are_read_and_written() {
    let capture = include_str!("../../../../../testing/vectors/swarm-data-transfer.txt");
    let mut files = 0;
    let mut profiles = 0;
    for name in capture.split('\'').filter(|part| part.starts_with(SCHEME)) {
        let parsed = TransferName::parse(name).unwrap();
        assert_eq!(parsed.to_string(), name);
        match parsed {
            TransferName::File(wish) => {
                assert_eq!(wish.file_id, FILE);
                assert_eq!(wish.message.to_hex(), FILE[..40]);
                assert_eq!(
                    file_id(&wish.message, "2700798550353453", "file1.txt"),
                    FILE
                );
                files += 1;
            }
            TransferName::PushedProfile { version, .. } => {
                assert_eq!(version, Version::default());
                profiles += 1;
            }
            TransferName::PulledProfile { uri, .. } => assert_eq!(uri.to_hex(), OTHER),
            other => panic!("{other:?}"),
        }
    }
    assert!(files >= 2 && profiles >= 4);
}

#[test]
fn ranges_and_versions_are_read() {
    let base = format!("{SCHEME}{CHAT}/{DEVICE}/{FILE}");
    let range = |query: &str| match TransferName::parse(&format!("{base}{query}")) {
        Some(TransferName::File(wish)) => Some((wish.start, wish.end)),
        _ => None,
    };
    assert_eq!(range(""), Some((0, 0)));
    assert_eq!(range("?start=5"), Some((5, 0)));
    assert_eq!(range("?start=5&end=9&new=x"), Some((5, 9)));
    assert_eq!(range("?end=9"), Some((0, 9)));
    assert_eq!(range("?start=-1"), None);
    assert_eq!(range("?start=+1"), None);
    assert_eq!(range("?start="), None);
    assert_eq!(range("?start=99999999999999999999"), None);

    let sha3 = "0f".repeat(64);
    let own = format!("{SCHEME}profile.vcf?sha3={sha3}&modified=7");
    let version = Version {
        sha3: Some(sha3),
        modified: 7,
    };
    assert_eq!(
        TransferName::parse(&own),
        Some(TransferName::OwnProfile { version })
    );
    let wrong = format!("{SCHEME}{CHAT}/{DEVICE}/profile.vcf?sha3=../x");
    assert_eq!(TransferName::parse(&wrong), None);
}

#[test]
fn tricks_are_refused() {
    let refused = [
        format!("{SCHEME}{CHAT}/{DEVICE}/../{FILE}"),
        format!("{SCHEME}{CHAT}/{DEVICE}/x/{FILE}"),
        format!("{SCHEME}../{DEVICE}/{FILE}"),
        format!("{SCHEME}{CHAT}/../{FILE}"),
        format!("{SCHEME}{CHAT}/{DEVICE}/etc_passwd"),
        format!("{SCHEME}{CHAT}/{DEVICE}/"),
        format!("{SCHEME}{CHAT}/{DEVICE}"),
        format!("{SCHEME}{CHAT}/profile/../../x.vcf"),
        format!("{SCHEME}{CHAT}/profile/{OTHER}"),
        "git://x/y".to_owned(),
        SCHEME.to_owned(),
        String::new(),
    ];
    for name in refused {
        assert_eq!(TransferName::parse(&name), None, "{name}");
    }
}

#[test]
fn the_id_takes_short_extensions_only() {
    let id = CommitId::new([0x11; 20]);
    let start = format!("{id}_5");
    assert_eq!(file_id(&id, "5", "a.txt"), format!("{start}.txt"));
    assert_eq!(file_id(&id, "5", "a.tar.gz"), format!("{start}.gz"));
    assert_eq!(file_id(&id, "5", "a.1234567"), format!("{start}.1234567"));
    assert_eq!(file_id(&id, "5", "a.12345678"), start);
    assert_eq!(file_id(&id, "5", "a."), start);
    assert_eq!(file_id(&id, "5", "Makefile"), start);
}

#[test]
fn names_to_show_are_no_paths() {
    assert_eq!(display_name("../../etc/passwd"), "passwd");
    assert_eq!(display_name("C:\\x\\cat.png"), "cat.png");
    assert_eq!(display_name("a\nb\u{0}.txt"), "ab.txt");
    assert_eq!(display_name("what?.a?b"), "what_.a_b");
    assert_eq!(display_name("שלום 😀.jpg"), "שלום 😀.jpg");
    assert_eq!(display_name(".."), "file");
    assert_eq!(display_name("x/"), "file");
    let long = display_name(&format!("{}.png", "ä".repeat(300)));
    assert!(long.len() <= 255 && long.ends_with("ä.png"));
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "\\PC{0,200}") {
        let _ = TransferName::parse(&text);
        let named = TransferName::parse(&format!("{SCHEME}{text}"));
        if let Some(named) = named {
            prop_assert_eq!(TransferName::parse(&named.to_string()), Some(named));
        }
        let shown = display_name(&text);
        prop_assert!(!shown.is_empty() && !shown.contains(['/', '\\', '\n', '?']));
    }

    #[test]
    fn what_is_written_is_read(start: u64, end: u64, tid in "[0-9]{1,16}", name in "[a-z.]{0,12}") {
        let message = CommitId::new([7; 20]);
        let named = TransferName::File(FileRequest {
            conversation: CHAT.parse().unwrap(),
            device: DEVICE.parse().unwrap(),
            message,
            file_id: file_id(&message, &tid, &name),
            start,
            end,
        });
        prop_assert_eq!(TransferName::parse(&named.to_string()), Some(named));
    }
}
