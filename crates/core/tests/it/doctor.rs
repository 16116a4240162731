//! The doctor, with whole nodes: what is measured is what is so.

use baraza_core::doctor::{Check, Code, Examination, FactName, Value, Verdict};
use baraza_core::names::NameServerChoice;
use baraza_core::{Command, LocalId, Node, NodeConfig, NodeError};
use baraza_names::testing::{Served, http};

use crate::node::{open, person};

fn codes(examination: &Examination) -> Vec<Code> {
    let findings = examination.findings.iter();
    findings.map(|finding| finding.code).collect()
}

fn fact(examination: &Examination, wanted: FactName) -> Option<Value> {
    let mut facts = examination.findings.iter().flat_map(|one| &one.facts);
    facts
        .find(|fact| fact.name == wanted)
        .map(|fact| fact.value.clone())
}

async fn choose(node: &Node, account: LocalId, server: String) {
    let command = Command::ChangeNameSettings {
        server: Some(NameServerChoice::At(server)),
        only_signed: None,
    };
    node.command(account, command).await.unwrap();
}

#[tokio::test]
async fn the_network_its_hosts_and_the_port_are_asked_and_answer() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = open(directories[0].path(), None).await;
    let alone = first.examine(Check::Dht).await;
    assert_eq!(codes(&alone), [Code::DhtNone, Code::BootstrapNone]);

    // A host that nobody has a name for, and a port where nobody is.
    let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = NodeConfig::new(directories[1].path());
    config.loopback = true;
    config.bootstrap = vec![
        first.dht_addresses()[0].to_string(),
        nobody.local_addr().unwrap().to_string(),
        "no name at all".to_owned(),
    ];
    let second = Node::open(config).await.unwrap();
    let few = second.examine(Check::Dht).await;
    assert_eq!(few.findings[1].code, Code::BootstrapSome, "{few:?}");
    assert_eq!(fact(&few, FactName::Hosts), Some(Value::Count(3)));
    assert_eq!(fact(&few, FactName::Answering), Some(Value::Count(1)));
    assert_eq!(fact(&few, FactName::Unknown), Some(Value::Count(1)));

    let ports = second.examine(Check::Ports).await;
    assert_eq!(codes(&ports), [Code::PortsAnswer], "{ports:?}");
    let port = format!("{} (IPv4)", second.dht_addresses()[0].port());
    assert_eq!(fact(&ports, FactName::Bound), Some(Value::Word(port)));
    let nat = second.examine(Check::Nat).await;
    assert_eq!(codes(&nat), [Code::NatLoopback]);

    first.shutdown().await;
    let silent = second.examine(Check::Dht).await;
    assert_eq!(silent.findings.last().unwrap().verdict(), Verdict::Look);
    assert!(
        codes(&silent).contains(&Code::BootstrapSilent),
        "{silent:?}"
    );
    second.shutdown().await;
    assert_eq!(codes(&second.examine(Check::Dht).await)[0], Code::DhtEnded);
}

#[tokio::test]
async fn the_name_server_and_its_clock_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let alice = person("alice", directory.path(), None).await;
    let (node, account) = (&alice.node, alice.account);
    let nothing = node.examine(Check::NameServer).await;
    assert_eq!(codes(&nothing), [Code::NamesNone]);
    assert_eq!(nothing.verdict(), Verdict::Nothing);
    let clock = node.examine(Check::Clock).await;
    assert_eq!(clock.verdict(), Verdict::Nothing, "{clock:?}");

    let long_ago = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let server = Served::with(move |_| http(404, long_ago, "{\"error\":\"not registered\"}"));
    choose(node, account, server.url()).await;
    let well = node.examine(Check::NameServer).await;
    assert_eq!(codes(&well), [Code::NamesLocal], "{well:?}");
    let clock = node.examine(Check::Clock).await;
    assert_eq!(codes(&clock), [Code::ClockWrong]);
    let Some(Value::Seconds(ahead)) = fact(&clock, FactName::Ahead) else {
        panic!("{clock:?}");
    };
    assert!(ahead > 30 * 365 * 86_400, "{ahead}");

    let strange = Served::with(|_| http(200, "", "<html>Welcome to the hotel</html>"));
    choose(node, account, strange.url()).await;
    let strange = node.examine(Check::NameServer).await;
    assert_eq!(codes(&strange), [Code::NamesStrange]);

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    choose(node, account, format!("http://{address}")).await;
    let gone = node.examine(Check::NameServer).await;
    assert_eq!(codes(&gone), [Code::NamesUnreachable]);
    let shown = format!("{:?}", gone.redacted());
    assert!(!shown.contains(&address.to_string()), "{shown}");
    // It speaks no TLS.
    let plain = Served::with(|_| http(404, "", "{}"));
    choose(node, account, format!("https://{}", plain.address)).await;
    let plain = node.examine(Check::NameServer).await;
    assert_eq!(codes(&plain), [Code::NamesUntrusted], "{plain:?}");
}

#[tokio::test]
async fn disk_backups_and_versions_are_looked_at_and_nothing_is_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let node = open(directory.path(), None).await;
    let before = std::fs::read_dir(directory.path()).unwrap().count();
    let disk = node.examine(Check::Disk).await;
    assert!(codes(&disk).contains(&Code::DatabaseWhole), "{disk:?}");
    assert!(matches!(
        fact(&disk, FactName::Written),
        Some(Value::Millis(_))
    ));
    let after = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(before, after);
    let nobody = node.examine(Check::Backups).await;
    assert_eq!(codes(&nobody), [Code::BackupNone]);
    node.create_account("Alice".into(), None, |_| {})
        .await
        .unwrap();
    let never = node.examine(Check::Backups).await;
    assert_eq!(codes(&never), [Code::BackupNever]);
    let versions = node.examine(Check::Versions).await;
    let baraza = Value::Word(env!("CARGO_PKG_VERSION").to_owned());
    assert_eq!(fact(&versions, FactName::Baraza), Some(baraza));
    for check in [Check::Turn, Check::Proxy] {
        assert_eq!(node.examine(check).await.verdict(), Verdict::Nothing);
    }
    node.shutdown().await;
}

#[tokio::test]
async fn hosts_to_begin_with_are_chosen_while_the_node_runs_and_stay() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let first = open(directories[0].path(), None).await;
    let mut second = open(directories[1].path(), None).await;
    let there = vec![first.dht_addresses()[0].to_string()];
    let wrong = second.set_bootstrap(Some(vec!["http://nowhere".into()]));
    assert!(matches!(wrong, Err(NodeError::Refused(_))), "{wrong:?}");
    assert!(second.bootstrap().is_empty());
    second.set_bootstrap(Some(there.clone())).unwrap();
    let reached = tokio::time::timeout(std::time::Duration::from_secs(30), async {
        while second.examine(Check::Dht).await.findings[0].code != Code::DhtFew {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    reached.await.unwrap();
    for given in [false, true] {
        second.shutdown().await;
        let mut config = NodeConfig::new(directories[1].path());
        config.loopback = true;
        config.bootstrap_given = given;
        second = Node::open(config).await.unwrap();
        let expected = if given { vec![] } else { there.clone() };
        assert_eq!(second.bootstrap(), expected);
        assert_eq!(second.chosen_bootstrap(), Some(there.clone()));
    }
    second.set_bootstrap(None).unwrap();
    assert_eq!(second.chosen_bootstrap(), None);
}
