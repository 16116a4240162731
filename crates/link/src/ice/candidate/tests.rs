use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;

const BOB: &str = "141f8ee4
6e52620a4791db53479134c2
Ha4d0002 1 TCP 2130706431 10.77.0.2 51115 typ host tcptype passive
Ha4d0002 1 TCP 2130706175 10.77.0.2 9 typ host tcptype active
Hf6ba7416 1 TCP 2130706431 fd77::2 53899 typ host tcptype passive
Hf6ba7416 1 TCP 2130706175 fd77::2 9 typ host tcptype active
";

#[test]
fn gathering_gives_what_existing_peers_write() {
    let gathered = Gathered {
        addresses: vec!["10.77.0.2".parse().unwrap(), "fd77::2".parse().unwrap()],
        port_v4: Some(51115),
        port_v6: Some(53899),
        ..Gathered::default()
    };
    let description = Description {
        credentials: Credentials {
            ufrag: "141f8ee4".into(),
            pwd: "6e52620a4791db53479134c2".into(),
        },
        candidates: gathered.candidates(),
    };
    assert_eq!(description.to_string(), BOB);
    assert_eq!(Description::parse(BOB).unwrap(), description);
}

#[test]
fn routers_relays_and_more_interfaces_have_their_priorities() {
    let gathered = Gathered {
        addresses: vec!["10.0.0.2".parse().unwrap(), "10.1.0.2".parse().unwrap()],
        port_v4: Some(5000),
        port_v6: None,
        mapped: vec!["198.51.100.7:10123".parse().unwrap()],
        public: vec![
            "198.51.100.7".parse().unwrap(),
            "10.0.0.2".parse().unwrap(),
            "127.0.0.1".parse().unwrap(),
            "198.51.100.8".parse().unwrap(),
        ],
        relayed: vec!["203.0.113.1:40000".parse().unwrap()],
    };
    let lines: Vec<_> = gathered
        .candidates()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        lines,
        [
            "Ha000002 1 TCP 2130706431 10.0.0.2 5000 typ host tcptype passive",
            "Ha000002 1 TCP 2130706175 10.0.0.2 9 typ host tcptype active",
            "Ha010002 1 TCP 2130705919 10.1.0.2 5000 typ host tcptype passive",
            "Ha010002 1 TCP 2130705663 10.1.0.2 9 typ host tcptype active",
            "Sa000002 1 TCP 1694498303 198.51.100.7 10123 typ srflx tcptype passive",
            "Sa000002 1 TCP 1694498047 198.51.100.8 9 typ srflx tcptype active",
            "Rcb007101 1 TCP 16777215 203.0.113.1 40000 typ relay tcptype passive",
        ]
    );
}

#[test]
fn the_parser_is_as_odd_as_the_existing_one() {
    let port = |line: &str| Candidate::parse(line).map(|c| c.address.port());
    for (line, expected) in [
        ("H1 1 TCP 1 10.0.0.1 5 typ host tcptype passive", Some(5)),
        (
            "H1 1  TCP 1\t10.0.0.1 5 typ host tcptype passive generation 0",
            Some(5),
        ),
        (
            "H1 1 TCP 1 10.0.0.1 65541 typ host tcptype passive",
            Some(5),
        ),
        (
            "H1 1 TCP 1 10.0.0.1 5 typ srflx raddr 1.2.3.4 rport 9 tcptype active",
            None,
        ),
        ("H1 1 TCP 1 10.0.0.1 5 typ host", None),
        ("H1 1 tcp 1 10.0.0.1 5 typ host tcptype passive", None),
        ("H1 1 UDP 1 10.0.0.1 5 typ host", None),
        ("H1 2 TCP 1 10.0.0.1 5 typ host tcptype passive", None),
        (
            "H1 1 TCP 4294967296 10.0.0.1 5 typ host tcptype passive",
            None,
        ),
        ("H1 1 TCP 1 host.example 5 typ host tcptype passive", None),
        ("H1 1 TCP 1 [fd77::2] 5 typ host tcptype passive", None),
        ("H1 1 TCP 1 fe80::1%eth0 5 typ host tcptype passive", None),
        ("H1 1 TCP 1 10.0.0.1 5 typ host tcptype both", None),
        ("", None),
    ] {
        assert_eq!(port(line), expected, "{line}");
    }
    let long = "H".repeat(MAX_FOUNDATION);
    let line = |foundation: &str| format!("{foundation} 1 TCP 1 ::1 5 typ host tcptype so");
    assert_eq!(port(&line(&long)), Some(5));
    assert_eq!(port(&line(&(long + "H"))), None);
}

#[test]
fn bad_lines_are_skipped_and_none_left_is_an_error() {
    let text = format!("{BOB}\nrubbish\n\nH1 1 TCP 1 10.0.0.1 5 typ host tcptype so\n");
    assert_eq!(Description::parse(&text).unwrap().candidates.len(), 5);
    let error = |text: &str| Description::parse(text).unwrap_err();
    assert_eq!(
        error("abcd\n0123456789012345678901\nrubbish\n"),
        DescriptionError::NoCandidates
    );
    assert_eq!(
        error("abc\n0123456789012345678901\n"),
        DescriptionError::Ufrag
    );
    assert_eq!(
        error("ab:d\n0123456789012345678901\n"),
        DescriptionError::Ufrag
    );
    assert_eq!(
        error("abcd\n012345678901234567890\n"),
        DescriptionError::Pwd
    );
    assert_eq!(error(""), DescriptionError::Ufrag);
}

#[test]
fn long_lists_are_cut_keeping_the_order() {
    let list = |kinds: &[(&str, usize)]| {
        let mut text = "abcd\n0123456789012345678901\n".to_owned();
        let mut port = 1;
        for (kind, count) in kinds {
            for _ in 0..*count {
                text += &format!("F 1 TCP 1 10.0.0.1 {port} typ {kind} tcptype passive\n");
                port += 1;
            }
        }
        Description::parse(&text).unwrap().candidates
    };
    assert_eq!(list(&[("host", 31)]).len(), 31, "short lists stay");
    assert_eq!(list(&[("host", 32)]).len(), 8);
    let cut = list(&[("host", 20), ("relay", 20), ("srflx", 40)]);
    assert_eq!(cut.len(), 31);
    let ports: Vec<_> = cut.iter().map(|c| c.address.port()).collect();
    assert_eq!(ports[7..14], [8, 21, 22, 23, 24, 41, 42]);
}

#[test]
fn only_sensible_addresses_are_dialled() {
    let own = ["192.0.2.1".parse().unwrap()];
    for (address, loopback, expected) in [
        ("10.0.0.1:80", false, true),
        ("10.0.0.1:0", false, false),
        ("127.0.0.1:5000", false, false),
        ("127.0.0.1:5000", true, true),
        ("127.0.0.1:22", true, false),
        ("[::1]:5000", false, false),
        ("[::ffff:127.0.0.1]:5000", false, false),
        ("0.0.0.0:5000", true, false),
        ("0.1.2.3:5000", false, false),
        ("[::]:5000", true, false),
        ("224.0.0.1:5000", false, false),
        ("255.255.255.255:5000", false, false),
        ("240.0.0.1:5000", false, false),
        ("[ff02::1]:5000", false, false),
        ("[fe80::1]:5000", false, false),
        ("[fd77::1]:5000", false, true),
        ("192.0.2.1:22", false, false),
        ("192.0.2.1:1024", false, true),
    ] {
        let parsed = address.parse().unwrap();
        assert_eq!(is_dialable(parsed, &own, loopback), expected, "{address}");
    }
}

#[test]
fn passwords_stay_out_of_logs() {
    let credentials = Credentials::random(&mut Rng::from_seed(1));
    assert_eq!((credentials.ufrag.len(), credentials.pwd.len()), (8, 24));
    assert!(!format!("{credentials:?}").contains(&credentials.pwd));
}

proptest! {
    #[test]
    fn descriptions_round_trip(
        ips in prop::collection::vec(any::<IpAddr>(), 1..8),
        port: u16,
        seed: u64,
    ) {
        let description = Description {
            credentials: Credentials::random(&mut Rng::from_seed(seed)),
            candidates: Gathered {
                addresses: ips,
                port_v4: Some(port),
                port_v6: Some(port),
                ..Gathered::default()
            }
            .candidates(),
        };
        prop_assert_eq!(Description::parse(&description.to_string()), Ok(description));
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = Description::parse(&text);
        let _ = Description::parse(&format!("abcd\n0123456789012345678901\n{text}"));
    }
}
