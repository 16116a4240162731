use super::super::cluster::Cluster;
use super::super::suite::{self, Made, NOW, record};
use super::*;

async fn open(url: &str) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::open(url).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn suite() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    suite::run(|| async {
        let url = cluster.database().await;
        let (store, other) = (open(&url).await, open(&url).await);
        Made {
            store,
            other,
            keep: (),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_make_one_directory() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database().await;
    let mut servers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let url = url.clone();
        servers.spawn(async move { open(&url).await });
    }
    let servers = servers.join_all().await;
    let outcome = servers[0].register(record("alice", 1), Likeness::Ascii, NOW);
    assert_eq!(outcome.await.unwrap(), Outcome::Registered);
    assert_eq!(servers[7].head().await.unwrap().seq, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_spoils_no_other_registration() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database().await;
    let store = open(&url).await;
    let register = |name, id| store.register(record(name, id), Likeness::Ascii, NOW);
    assert_eq!(register("alice", 1).await.unwrap(), Outcome::Registered);
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let damage = "UPDATE names SET state = 9 WHERE name = 'alice'";
    client.batch_execute(damage).await.unwrap();
    // The second and the third wait for the first, and are one transaction then.
    let (carol, alice, bob) = tokio::join!(
        register("carol", 3),
        register("alice", 4),
        register("bob", 5)
    );
    assert_eq!(carol, Ok(Outcome::Registered));
    assert!(matches!(alice, Err(StoreError::Corrupt(_))), "{alice:?}");
    assert_eq!(bob, Ok(Outcome::Registered));
}

/// Three servers, of which 64 clients want the same name at once, and each one of its own,
/// round after round, while the database is killed: each name goes to one, and what was
/// confirmed is there.
#[tokio::test(flavor = "multi_thread")]
async fn one_wins_and_no_confirmed_name_is_lost() {
    const ROUNDS: u32 = 12;
    const CLIENTS: u32 = 64;
    let Some(mut cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.database().await;
    let servers = [open(&url).await, open(&url).await, open(&url).await];
    let (mut won, mut confirmed) = (0, Vec::new());
    for round in 0..ROUNDS {
        let mut clients = tokio::task::JoinSet::new();
        for client in 0..CLIENTS {
            let server = Arc::clone(&servers[client as usize % servers.len()]);
            let number = round * 1000 + client;
            clients.spawn(async move {
                let same = record(&format!("wanted-{round}"), number);
                let first = server.register(same.clone(), Likeness::Off, NOW).await;
                let own = record(&format!("own-{round}-{client}"), number + 500);
                let second = server.register(own.clone(), Likeness::Off, NOW).await;
                [(same, first), (own, second)]
            });
        }
        if round % 4 == 1 {
            cluster.kill_and_start().await;
        }
        let mut winners = 0;
        for (record, outcome) in clients.join_all().await.into_iter().flatten() {
            match outcome {
                Ok(Outcome::Registered | Outcome::Same) => {
                    winners += u32::from(record.name.as_str().starts_with("wanted"));
                    confirmed.push(record);
                }
                Ok(Outcome::NameTaken) | Err(StoreError::Busy(_)) => {}
                other => panic!("{}: {other:?}", record.name.as_str()),
            }
        }
        assert!(winners <= 1, "{winners} have the name of round {round}");
        won += winners;
    }
    assert!(won >= ROUNDS / 2, "only {won} names were won");
    for record in &confirmed {
        let held = servers[0].by_name(&record.name).await.unwrap();
        assert_eq!(held.unwrap().record.as_ref(), Some(record));
    }
    let (head, _) = suite::verify(servers[1].as_ref()).await;
    assert!(head.seq >= confirmed.len() as u64);
}
