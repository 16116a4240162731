use std::io::Cursor;

use baraza_names::Name;
use baraza_names::audit::Signer;
use baraza_names::directory::Record;
use baraza_names::store::sqlite::SqliteStore;
use baraza_names::store::{Admin, Store as _};
use baraza_names::transfer;
use baraza_wire::UnixTime;

use crate::support::{World, free, registration};

const NOW: UnixTime = UnixTime::from_secs(1_767_225_600);

/// A directory in which everything happened.
async fn full() -> (World, String) {
    let world = World::new(free()).await;
    for (name, who) in [("alice", "alice"), ("bob", "bob"), ("carol", "carol")] {
        world.register(name, who).await.is(200, "");
    }
    let name = |text: &str| Name::new(text).unwrap();
    let reason = || "a court's \"order\"".to_owned();
    let moved = registration("alice", "dave");
    for act in [
        Admin::Allow(true),
        Admin::Move {
            to: Record::new(name("alice"), &moved),
            reason: reason(),
        },
        Admin::Suspend {
            name: name("bob"),
            reason: reason(),
        },
        Admin::Reserve {
            name: name("root"),
            reason: reason(),
        },
        Admin::Reserve {
            name: name("toor"),
            reason: reason(),
        },
        Admin::Release {
            name: name("toor"),
            reason: reason(),
        },
    ] {
        assert_eq!(world.store.admin(act, NOW).await.unwrap(), Ok(true));
    }
    let head = world.store.head().await.unwrap();
    let signer = Signer::load_or_create(&world.dir.path().join("checkpoint.key")).unwrap();
    world
        .store
        .add_checkpoint(signer.sign(&head, NOW))
        .await
        .unwrap();
    let mut file = Vec::new();
    assert_eq!(
        transfer::export(world.store.as_ref(), &mut file)
            .await
            .unwrap(),
        head.seq
    );
    (world, String::from_utf8(file).unwrap())
}

#[tokio::test]
async fn a_directory_is_put_back_as_it_was() {
    let (world, file) = full().await;
    let report = transfer::verify(&mut Cursor::new(&file), true, None)
        .await
        .unwrap();
    assert_eq!(report.head, world.store.head().await.unwrap());
    assert_eq!(
        (report.tally.registered, report.tally.moved, report.unsigned),
        (3, 1, 0)
    );
    assert!(report.checkpoints >= 1);
    let dir = tempfile::tempdir().unwrap();
    let copy = SqliteStore::open(dir.path()).unwrap();
    transfer::restore(&mut Cursor::new(&file), &copy)
        .await
        .unwrap();
    assert_eq!(
        copy.held(0, 100).await.unwrap(),
        world.store.held(0, 100).await.unwrap()
    );
    baraza_names::verify::store(&copy, true).await.unwrap();
    let mut again = Vec::new();
    transfer::export(&copy, &mut again).await.unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), file);
    let error = transfer::restore(&mut Cursor::new(&file), &copy)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
}

#[tokio::test]
async fn a_file_that_was_changed_is_found_out() {
    let (world, file) = full().await;
    let lines: Vec<&str> = file.lines().collect();
    let third = lines
        .iter()
        .position(|line| line.starts_with("{\"seq\":3,"))
        .unwrap();
    let without = |left: usize| {
        let kept = lines.iter().enumerate().filter(|(index, _)| *index != left);
        kept.map(|(_, line)| format!("{line}\n"))
            .collect::<String>()
    };
    let dave = registration("alice", "dave").addr.to_hex();
    let bob = registration("bob", "bob").addr.to_hex();
    let cases = [
        (without(0), "line 1"),
        (without(third), "stands where entry"),
        (file.replace(&dave, &bob), "line"),
        (
            file.replacen("\"allowed\":true", "\"allowed\":false", 1),
            "the hash of entry",
        ),
        (file.replace("court", "count"), "the hash of entry"),
        (file.replacen("\"record\":{", "\"recort\":{", 1), "line"),
        (file.replace("\"seq\":1,", "\"seq\":1,\"seq\":1,"), "line"),
        (file.trim_end().to_owned(), "cut short"),
    ];
    for (changed, why) in cases {
        assert_ne!(changed, file);
        let error = transfer::verify(&mut Cursor::new(&changed), true, None)
            .await
            .expect_err(why);
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
    // An end cut off cleanly is only found by who kept a checkpoint.
    let cut: String = lines
        .iter()
        .take_while(|line| !line.contains("\"kind\":\"suspended\""))
        .map(|line| format!("{line}\n"))
        .collect();
    let report = transfer::verify(&mut Cursor::new(&cut), true, None)
        .await
        .unwrap();
    assert_eq!(report.head.seq, 6);
    let kept = world.store.last_checkpoint().await.unwrap().unwrap();
    let with = |file: String| {
        let kept = kept.clone();
        async move {
            transfer::verify(&mut Cursor::new(&file), true, Some(&kept))
                .await
                .unwrap()
        }
    };
    assert!(!with(cut).await.contained);
    assert!(with(file).await.contained);
}
