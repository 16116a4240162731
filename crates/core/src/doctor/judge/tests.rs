use std::path::PathBuf;

use super::*;
use crate::node::Schedule;

fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn the_network_is_judged_by_who_answers() {
    let second = Duration::from_secs(1);
    let answers = Host::Answers(second);
    assert_eq!(codes(&dht(None, &[])), [Code::DhtEnded]);
    for (good, code) in [(0, Code::DhtNone), (3, Code::DhtFew), (4, Code::DhtWell)] {
        assert_eq!(dht(Some((good, 1)), &[])[0].code, code);
    }
    for (hosts, code) in [
        (vec![], Code::BootstrapNone),
        (vec![answers.clone()], Code::BootstrapAnswers),
        (vec![answers, Host::Unknown], Code::BootstrapSome),
        (vec![Host::Silent, Host::Unknown], Code::BootstrapSilent),
    ] {
        assert_eq!(dht(Some((9, 0)), &hosts)[1].code, code, "{hosts:?}");
    }
}

#[test]
fn addresses_are_compared_with_what_others_see() {
    let home = ips(&["192.168.1.7", "2001:db8::7"]);
    let of = |seen: &[&str]| codes(&nat(false, &home, &ips(seen)));
    assert_eq!(of(&[]), [Code::NatUnknown]);
    assert_eq!(of(&["203.0.113.9"]), [Code::NatTranslated]);
    assert_eq!(
        of(&["203.0.113.9", "2001:db8::7"]),
        [Code::NatTranslated, Code::NatDirect]
    );
    assert_eq!(
        of(&["2001:db8::7", "203.0.113.9", "203.0.113.10"]),
        [Code::NatChanging, Code::NatDirect]
    );
    // A neighbour sees the address in the network of both.
    assert_eq!(of(&["203.0.113.9", "192.168.1.7"]), [Code::NatTranslated]);
    assert_eq!(codes(&nat(false, &[], &[])), [Code::NatOffline]);
    assert_eq!(codes(&nat(true, &home, &[])), [Code::NatLoopback]);
}

#[test]
fn ports_have_to_answer() {
    assert_eq!(codes(&ports(&[])), [Code::PortsUnbound]);
    let answered = Asked::Answered(Duration::ZERO);
    let both = ports(&[(4222, true, answered), (4223, false, Asked::Silent)]);
    assert_eq!(codes(&both), [Code::PortsSilent, Code::PortsAnswer]);
    // Where there is no IPv6, nothing is wrong with it.
    let one = ports(&[(4222, true, answered), (4222, false, Asked::Unused)]);
    assert_eq!(codes(&one), [Code::PortsAnswer]);
    let none = ports(&[(4222, true, Asked::Unused)]);
    assert_eq!(codes(&none), [Code::PortsSilent]);
}

#[test]
fn name_servers_are_judged_by_answer_and_way() {
    let server = |plain, local, seconds, answer| NameServer {
        address: "x".into(),
        plain,
        local,
        took: Duration::from_secs(seconds),
        ahead: None,
        answer,
    };
    assert_eq!(codes(&names(&[])), [Code::NamesNone]);
    let why = || "it is away".to_owned();
    for (one, code) in [
        (server(false, false, 0, NameAnswer::Good), Code::NamesAnswer),
        (server(true, true, 0, NameAnswer::Good), Code::NamesLocal),
        (server(true, false, 0, NameAnswer::Good), Code::NamesPlain),
        (server(false, false, 4, NameAnswer::Good), Code::NamesSlow),
        (server(false, false, 0, NameAnswer::Busy), Code::NamesBusy),
        (
            server(false, false, 0, NameAnswer::Strange(500)),
            Code::NamesStrange,
        ),
        (
            server(false, false, 0, NameAnswer::None(why())),
            Code::NamesUnreachable,
        ),
        (
            server(false, false, 0, NameAnswer::Untrusted(why())),
            Code::NamesUntrusted,
        ),
    ] {
        assert_eq!(codes(&names(&[one])), [code]);
    }
}

#[test]
fn a_clock_is_judged_by_others() {
    assert_eq!(codes(&clock(&[], &[], 0)), [Code::ClockUnknown]);
    for (ahead, code) in [
        (2, Code::ClockRight),
        (-45, Code::ClockOff),
        (301, Code::ClockWrong),
    ] {
        assert_eq!(codes(&clock(&[ahead], &[], 0)), [code]);
    }
    // One server whose own clock is wrong does not make ours wrong.
    assert_eq!(codes(&clock(&[4000, 1], &[], 0)), [Code::ClockRight]);
    assert_eq!(codes(&clock(&[], &[-5, 3], 0)), [Code::ClockPeers]);
    assert_eq!(codes(&clock(&[], &[-5, 90], 0)), [Code::ClockPeersAhead]);
    assert_eq!(
        codes(&clock(&[0], &[], 100)),
        [Code::ClockBack, Code::ClockRight]
    );
}

#[test]
fn a_disk_has_room_speed_and_a_whole_database() {
    let look = |free: u64, written: Result<Duration, String>| {
        let disk = Disk {
            room: Some((free, 1 << 40)),
            written,
            database: (1000, Ok(Some(()))),
        };
        super::disk(&disk)
    };
    let fast = || Ok(Duration::from_millis(5));
    let failed = || Err("no".to_owned());
    assert_eq!(
        codes(&look(1 << 33, fast())),
        [Code::DiskWell, Code::DatabaseWhole]
    );
    assert_eq!(look(1 << 29, fast())[0].code, Code::DiskLow);
    assert_eq!(look(1 << 20, fast())[0].code, Code::DiskFull);
    assert_eq!(look(1 << 20, failed())[0].code, Code::DiskFull);
    assert_eq!(look(1 << 33, failed())[0].code, Code::DiskUnwritable);
    let slow = Ok(Duration::from_secs(1));
    assert_eq!(look(1 << 33, slow)[0].code, Code::DiskSlow);
    let database = |database| {
        let disk = Disk {
            room: None,
            written: Ok(Duration::ZERO),
            database: (1000, database),
        };
        codes(&super::disk(&disk))
    };
    assert_eq!(
        database(Err("page 7".into())),
        [Code::DatabaseDamaged, Code::DiskWell]
    );
    assert_eq!(database(Ok(None))[0], Code::DatabaseUnfinished);
}

#[test]
fn backups_are_wanted_of_every_account_and_lately() {
    let now = UnixTime::from_secs(100_000_000);
    let ago = |days: u64| Some(UnixTime::from_secs(100_000_000 - days * 86_400));
    let state = BackupState::default();
    assert_eq!(codes(&backups(&[], &state, now)), [Code::BackupNone]);
    let of = |accounts: &[Option<UnixTime>]| codes(&backups(accounts, &state, now));
    assert_eq!(of(&[ago(1), ago(3)]), [Code::BackupFresh]);
    assert_eq!(of(&[ago(1), None]), [Code::BackupNever]);
    assert_eq!(of(&[ago(1), ago(40)]), [Code::BackupOld]);
    let mut state = BackupState {
        schedule: Some(Schedule {
            directory: PathBuf::from("/there"),
            every: 86_400,
            keep: 3,
            password_file: PathBuf::from("/secret"),
            files: false,
        }),
        last: ago(3),
        ..BackupState::default()
    };
    assert_eq!(
        codes(&backups(&[ago(3)], &state, now)),
        [Code::BackupLate, Code::BackupFresh]
    );
    state.error = Some("/there is full".into());
    let findings = backups(&[ago(3)], &state, now);
    assert_eq!(findings[0].code, Code::BackupFailed);
}
