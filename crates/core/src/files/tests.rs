use bytes::Bytes;

use super::*;

const EMPTY: &str = "a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a6\
                     15b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26";

fn sha3(bytes: &[u8]) -> String {
    let mut digest = Digest::new();
    digest.update(bytes);
    digest.finish()
}

fn stop() -> baraza_swarm::Stop {
    baraza_swarm::Stop::default()
}

fn area() -> (tempfile::TempDir, Area) {
    let directory = tempfile::tempdir().unwrap();
    let area = Area::new(directory.path());
    (directory, area)
}

const CHAT: ConversationId = ConversationId::new([1; 20]);
const MESSAGE: CommitId = CommitId::new([2; 20]);

#[test]
fn hashes_are_those_of_fips_202() {
    assert_eq!(sha3(b""), EMPTY);
    assert!(sha3(b"abc").starts_with("b751850b1a57168a"));
}

/// The CPU decides which code is used; sizes around one and two blocks of 72 bytes, cut anywhere.
#[test]
fn hashes_do_not_depend_on_the_code_or_on_the_cuts() {
    let bytes: Vec<u8> = (0..1000_u32).map(|at| (at * 7 % 251) as u8).collect();
    for length in (0..=150).chain([999, 1000]) {
        let of = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA3_512, bytes);
        let expected = of(&bytes[..length]);
        let expected = expected.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let expected: String = expected.collect();
        for cut in [0, 1, 71, 72, 73, 144, length] {
            let (left, right) = bytes[..length].split_at(cut.min(length));
            let mut digest = Digest::new();
            digest.update(left);
            digest.clone().update(b"something else");
            digest.update(right);
            assert_eq!(digest.finish(), expected, "{length} bytes, cut at {cut}");
        }
    }
}

#[test]
fn what_is_taken_in_lies_under_its_hash() {
    let (_directory, area) = area();
    let mut staging = Staging::create(&area.staging(), 7).unwrap();
    staging.write(b"he").unwrap();
    staging.write(b"llo").unwrap();
    let staged = staging.finish().unwrap();
    assert_eq!((staged.size, &staged.sha3), (5, &sha3(b"hello")));
    staged.place(&area.conversation(&CHAT)).unwrap();
    let content = area.content(&CHAT, &staged.sha3);
    assert_eq!(std::fs::read(&content).unwrap(), b"hello");
    // One that is given up leaves nothing.
    drop(Staging::create(&area.staging(), 8).unwrap());
    assert_eq!(std::fs::read_dir(area.staging()).unwrap().count(), 0);

    // A copy of another file, which may change afterwards.
    let original = area.staging().join("original");
    std::fs::write(&original, b"one").unwrap();
    let copy = Staged::import(&original, &area.staging(), 9, &stop()).unwrap();
    std::fs::write(&original, b"two").unwrap();
    copy.place(&area.conversation(&CHAT)).unwrap();
    assert_eq!(
        std::fs::read(area.content(&CHAT, &copy.sha3)).unwrap(),
        b"one"
    );
    let directory = Staged::import(&area.staging(), &area.staging(), 10, &stop());
    assert!(matches!(directory, Err(FileError::Disk(_))));
}

#[test]
fn what_is_fetched_goes_on_where_it_was_and_is_checked() {
    let (_directory, area) = area();
    let (path, to) = (area.partial(&CHAT, &MESSAGE), area.content(&CHAT, "x"));
    let open = |parked| Sink::open(path.clone(), parked, 5, &stop()).unwrap();
    let mut sink = open(None);
    sink.write(&[Bytes::from_static(b"h"), Bytes::from_static(b"e")])
        .unwrap();
    // In this life, and in another one.
    let mut sink = open(sink.park());
    assert_eq!(sink.length(), 2);
    sink.write(&[Bytes::from_static(b"l")]).unwrap();
    drop(sink);
    let mut sink = open(None);
    assert_eq!(sink.length(), 3);
    sink.write(&[Bytes::from_static(b"lo")]).unwrap();
    sink.finish(&to, &sha3(b"hello")).unwrap();
    assert_eq!(std::fs::read(&to).unwrap(), b"hello");
    assert!(!path.exists());

    let mut sink = open(None);
    sink.write(&[Bytes::from_static(b"HELLO")]).unwrap();
    let wrong = sink.finish(&area.content(&CHAT, "y"), &sha3(b"hello"));
    assert_eq!(wrong, Err(FileError::Wrong));
    assert!(!path.exists() && !area.content(&CHAT, "y").exists());

    // More than there can be is of no use.
    std::fs::write(&path, b"123456").unwrap();
    assert_eq!(open(None).length(), 0);
    let huge = Sink::open(path.clone(), None, u64::MAX, &stop());
    assert!(matches!(huge, Err(FileError::NoRoom)));
}

#[test]
fn parts_are_read() {
    let (directory, _area) = area();
    let path = directory.path().join("content");
    std::fs::write(&path, b"0123456789").unwrap();
    let read = |start, end, most| {
        let mut source = Source::open(&path, start, end).unwrap();
        let mut pieces = Vec::new();
        while !source.is_over() {
            pieces.push(source.read(most).unwrap());
        }
        pieces.concat()
    };
    assert_eq!(read(0, 0, 3), b"0123456789");
    assert_eq!(read(4, 0, 100), b"456789");
    assert_eq!(read(4, 6, 1), b"45");
    assert_eq!(read(4, 4, 1), b"456789");
    assert_eq!(read(8, 99, 7), b"89");
    assert_eq!(read(99, 0, 7), b"");

    let sum = sha3(b"0123456789");
    assert!(check(&path, &sum, 10, &stop()).unwrap() > 0);
    assert_eq!(check(&path, &sum, 9, &stop()), Err(FileError::Wrong));
    assert_eq!(check(&path, EMPTY, 10, &stop()), Err(FileError::Wrong));
}

#[test]
fn what_nobody_needs_is_removed() {
    let (_directory, area) = area();
    area.tidy(|_, _| true).unwrap();
    for name in ["keep", "drop"] {
        let path = area.content(&CHAT, name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }
    let old = area.content(&ConversationId::new([9; 20]), "keep");
    std::fs::create_dir_all(old.parent().unwrap()).unwrap();
    std::fs::write(&old, b"x").unwrap();
    let aside = area.set_aside(&area.content(&CHAT, "drop"), 5).unwrap();
    assert!(aside.is_some_and(|path| path.exists()));
    assert_eq!(
        area.set_aside(&area.content(&CHAT, "none"), 6).unwrap(),
        None
    );
    area.tidy(|directory, name| directory == CHAT.to_hex() && name == "keep")
        .unwrap();
    assert!(area.content(&CHAT, "keep").exists());
    assert!(!old.parent().unwrap().exists() && !area.staging().exists());
}
