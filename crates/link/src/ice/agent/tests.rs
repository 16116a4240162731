use baraza_wire::Rng;
use proptest::prelude::*;

use super::*;
use crate::ice::candidate::Gathered;
use crate::testing::start;

const LATENCY: Duration = Duration::from_millis(10);

/// What is under way between the two agents.
#[derive(Debug)]
enum Packet {
    Connect(ConnId, SocketAddr),
    Refused(ConnId),
    Connected(ConnId),
    Bytes(ConnId, Bytes),
    Closed(ConnId),
}

struct Side {
    agent: Agent,
    ip: IpAddr,
    port: u16,
    /// Whether connections to the port arrive.
    reachable: bool,
    conns: BTreeMap<ConnId, ConnId>,
    selected: Vec<(ConnId, bool)>,
    failed: Option<IceError>,
    data: Vec<Bytes>,
    connects: Vec<SocketAddr>,
    writes: Vec<Bytes>,
}

struct Net {
    now: Instant,
    begin: Instant,
    sides: [Side; 2],
    queue: VecDeque<(Instant, usize, Packet)>,
    accepted: u64,
}

/// Who is the receiver of packets: the asker or the answerer.
const ASKER: usize = 0;
const ANSWERER: usize = 1;

impl Net {
    fn new() -> Self {
        let now = start();
        let side = |n: u8, controlling| {
            let ip = IpAddr::from([10, 77, 0, n]);
            let config = AgentConfig {
                controlling,
                first_conn: 0,
                allow_loopback: false,
                own_addresses: vec![ip],
            };
            Side {
                agent: Agent::new(config, Rng::from_seed(u64::from(n))),
                ip,
                port: 5000 + u16::from(n),
                reachable: true,
                conns: BTreeMap::new(),
                selected: Vec::new(),
                failed: None,
                data: Vec::new(),
                connects: Vec::new(),
                writes: Vec::new(),
            }
        };
        Self {
            now,
            begin: now,
            sides: [side(1, false), side(2, true)],
            queue: VecDeque::new(),
            accepted: 0,
        }
    }

    fn description(&self, side: usize) -> Description {
        let side = &self.sides[side];
        let gathered = Gathered {
            addresses: vec![side.ip],
            port_v4: Some(side.port),
            ..Gathered::default()
        };
        side.agent.description(gathered.candidates())
    }

    /// Lets the side know the other's description.
    fn introduce(&mut self, side: usize) {
        let remote = self.description(1 - side);
        self.sides[side].agent.set_remote(self.now, remote);
        self.flush();
    }

    fn flush(&mut self) {
        for at in [0, 1] {
            let other = 1 - at;
            while let Some(output) = self.sides[at].agent.poll_output() {
                let arrival = self.now + LATENCY;
                let side = &mut self.sides[at];
                match output {
                    AgentOutput::Connect { conn, to } => {
                        side.connects.push(to);
                        self.queue
                            .push_back((arrival, other, Packet::Connect(conn, to)));
                    }
                    AgentOutput::Write { conn, bytes } => {
                        side.writes.push(bytes.clone());
                        if let Some(peer) = side.conns.get(&conn) {
                            let packet = Packet::Bytes(*peer, bytes);
                            self.queue.push_back((arrival, other, packet));
                        }
                    }
                    AgentOutput::Close { conn } => {
                        if let Some(peer) = side.conns.remove(&conn) {
                            self.queue.push_back((arrival, other, Packet::Closed(peer)));
                        }
                    }
                    AgentOutput::Selected { conn, controlling } => {
                        side.selected.push((conn, controlling));
                    }
                    AgentOutput::Data(bytes) => side.data.push(bytes),
                    AgentOutput::Failed(error) => side.failed = Some(error),
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, packet: Packet) {
        let (now, from) = (self.now, 1 - to);
        match packet {
            Packet::Connect(conn, address) => {
                let side = &self.sides[to];
                let back = self.now + LATENCY;
                let listens = SocketAddr::new(side.ip, side.port) == address;
                if !listens || !side.reachable {
                    return self.queue.push_back((back, from, Packet::Refused(conn)));
                }
                self.accepted += 1;
                let id = ConnId::accepted(self.accepted);
                let remote = SocketAddr::new(self.sides[from].ip, 40_000);
                self.sides[to].conns.insert(id, conn);
                self.sides[from].conns.insert(conn, id);
                self.queue.push_back((back, from, Packet::Connected(conn)));
                self.sides[to].agent.accepted(now, id, remote);
            }
            Packet::Refused(conn) => self.sides[to].agent.connect_failed(now, conn),
            Packet::Connected(conn) => self.sides[to].agent.connected(now, conn),
            Packet::Bytes(conn, bytes) => self.sides[to].agent.received(now, conn, &bytes),
            Packet::Closed(conn) => {
                self.sides[to].conns.remove(&conn);
                self.sides[to].agent.closed(now, conn);
            }
        }
    }

    /// Lets time pass until nothing happens any more, or `limit` is over.
    fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            self.flush();
            self.queue.make_contiguous().sort_by_key(|(at, _, _)| *at);
            let packet = self.queue.front().map(|(at, _, _)| *at);
            let timers = self
                .sides
                .iter()
                .filter_map(|side| side.agent.poll_timeout());
            let Some(next) = timers.chain(packet).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if packet.is_some_and(|at| at <= self.now) {
                let (_, to, packet) = self.queue.pop_front().unwrap();
                self.deliver(to, packet);
            } else {
                for side in &mut self.sides {
                    if side.agent.poll_timeout().is_some_and(|at| at <= self.now) {
                        side.agent.handle_timeout(self.now);
                    }
                }
            }
        }
    }

    fn selected(&self) -> [(ConnId, bool); 2] {
        let [a, b] = &self.sides;
        assert_eq!((a.failed, b.failed), (None, None));
        assert_eq!((a.selected.len(), b.selected.len()), (1, 1));
        let (ours, theirs) = (a.selected[0].0, b.selected[0].0);
        assert_eq!(a.conns[&ours], theirs, "both ends of one connection");
        [a.selected[0], b.selected[0]]
    }

    fn elapsed(&self) -> Duration {
        self.now - self.begin
    }
}

#[test]
fn two_agents_agree_on_one_connection_in_a_few_round_trips() {
    let mut net = Net::new();
    net.introduce(ANSWERER);
    net.run(LATENCY * 2);
    net.introduce(ASKER);
    net.run(LATENCY * 8);
    let [asker, answerer] = net.selected();
    assert!(!asker.1 && answerer.1, "the answerer controls");
    assert!(net.elapsed() <= Duration::from_millis(100));
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_used_later() {
    let mut net = Net::new();
    net.sides[ANSWERER].reachable = false;
    net.introduce(ANSWERER);
    net.run(Duration::from_secs(3));
    assert_eq!(net.sides[ASKER].selected, []);
    assert!(!net.sides[ASKER].writes.is_empty(), "responses");
    net.introduce(ASKER);
    net.run(Duration::from_secs(1));
    let [asker, _] = net.selected();
    assert!(asker.0.is_accepted());
}

#[test]
fn one_open_port_on_either_side_is_enough() {
    for closed in [ASKER, ANSWERER] {
        let mut net = Net::new();
        net.sides[closed].reachable = false;
        net.introduce(ANSWERER);
        net.introduce(ASKER);
        net.run(Duration::from_secs(1));
        net.selected();
    }
}

#[test]
fn without_any_path_both_give_up() {
    let mut net = Net::new();
    net.sides[ASKER].reachable = false;
    net.sides[ANSWERER].reachable = false;
    net.introduce(ANSWERER);
    net.introduce(ASKER);
    net.run(Duration::from_secs(60));
    for side in &net.sides {
        assert_eq!(side.failed, Some(IceError::Exhausted));
        assert_eq!(side.agent.poll_timeout(), None);
    }
}

#[test]
fn two_of_the_same_role_settle_it_by_the_tie_breaker() {
    for controlling in [false, true] {
        let mut net = Net::new();
        for side in &mut net.sides {
            side.agent.controlling = controlling;
        }
        net.introduce(ANSWERER);
        net.introduce(ASKER);
        net.run(Duration::from_secs(2));
        let [asker, answerer] = net.selected();
        assert_ne!(asker.1, answerer.1);
        let larger = net.sides[ASKER].agent.tie_breaker > net.sides[ANSWERER].agent.tie_breaker;
        assert_eq!(asker.1, larger, "the larger one controls");
    }
}

#[test]
fn data_flows_after_selection_and_keep_alives_are_swallowed() {
    let mut net = Net::new();
    net.introduce(ANSWERER);
    net.introduce(ASKER);
    net.run(Duration::from_secs(1));
    let [(conn, _), _] = net.selected();
    for side in &mut net.sides {
        side.agent.close_others();
        side.writes.clear();
    }
    net.run(Duration::from_secs(50));
    for side in &net.sides {
        assert_eq!(
            side.conns.len(),
            2,
            "the one in use and the other that was tried"
        );
        assert_eq!(side.data.len(), 0);
        assert!((2..=3).contains(&side.writes.len()), "{:?}", side.writes);
        for keep_alive in &side.writes {
            assert_eq!(keep_alive.len(), 30);
            let message = Message::parse(&keep_alive[2..]).unwrap();
            assert_eq!(message.class, Class::Indication);
            assert!(message.has_fingerprint);
        }
    }
    let record = Bytes::from_static(b"\0\x06\x16\x03\x03\0\x01x");
    net.deliver(ASKER, Packet::Bytes(conn, record));
    net.flush();
    assert_eq!(net.sides[ASKER].data, [&b"\x16\x03\x03\0\x01x"[..]]);
    net.deliver(ASKER, Packet::Closed(conn));
    net.flush();
    assert_eq!(net.sides[ASKER].failed, Some(IceError::Closed));
}

/// Lets a stranger connect to the asker and send `bytes`.
fn stranger(net: &mut Net, bytes: &[u8]) -> ConnId {
    net.accepted += 1;
    let id = ConnId::accepted(1000 + net.accepted);
    let agent = &mut net.sides[ASKER].agent;
    agent.accepted(net.now, id, "192.0.2.9:999".parse().unwrap());
    agent.received(net.now, id, bytes);
    id
}

fn outputs(net: &mut Net) -> Vec<AgentOutput> {
    std::iter::from_fn(|| net.sides[ASKER].agent.poll_output()).collect()
}

#[test]
fn strangers_are_hung_up_on() {
    let mut net = Net::new();
    let request = Builder::new(Class::Request, TransactionId([0; 12]))
        .priority(1)
        .role(Role::Controlling(1))
        .username(&net.sides[ASKER].agent.local.ufrag, "abcd")
        .finish(Some("wrong password, much too long"));
    let mut framed = BytesMut::new();
    put_frame(&mut framed, &request).unwrap();
    for bytes in [&b"\0\x03GET"[..], b"GET / HTTP/1.1\r\n\r\n", &framed] {
        let conn = stranger(&mut net, bytes);
        assert_eq!(outputs(&mut net).pop(), Some(AgentOutput::Close { conn }));
    }
    let silent = stranger(&mut net, b"");
    let deadline = net.sides[ASKER].agent.poll_timeout().unwrap();
    assert_eq!(deadline - net.now, FIRST_REQUEST_TIMEOUT);
    net.sides[ASKER].agent.handle_timeout(deadline);
    assert_eq!(outputs(&mut net), [AgentOutput::Close { conn: silent }]);
    for _ in 0..MAX_UNPROVEN {
        stranger(&mut net, b"");
    }
    assert_eq!(outputs(&mut net), []);
    let conn = stranger(&mut net, b"");
    assert_eq!(outputs(&mut net), [AgentOutput::Close { conn }]);
}

#[test]
fn relays_are_tried_last_and_again_when_they_refuse() {
    let mut net = Net::new();
    let mut remote = net.description(ANSWERER);
    let relay: SocketAddr = "203.0.113.1:4000".parse().unwrap();
    remote.candidates = vec![
        Candidate::parse("R1 1 TCP 16777215 203.0.113.1 4000 typ relay tcptype passive").unwrap(),
        Candidate::parse("S1 1 TCP 1694498303 198.51.100.1 4000 typ srflx tcptype passive")
            .unwrap(),
        Candidate::parse("H1 1 TCP 2130706431 127.0.0.1 4000 typ host tcptype passive").unwrap(),
        Candidate::parse("H1 1 TCP 2130706431 fd77::1 4000 typ host tcptype passive").unwrap(),
        Candidate::parse("H1 1 TCP 2130706175 10.0.0.9 9 typ host tcptype active").unwrap(),
    ];
    net.sides[ASKER].agent.set_remote(net.now, remote);
    net.flush();
    let dialled = &net.sides[ASKER].connects;
    assert_eq!(dialled[..], ["198.51.100.1:4000".parse().unwrap(), relay]);
    net.run(Duration::from_secs(8));
    let again = net.sides[ASKER].connects[2..].to_vec();
    assert!((10..=RELAY_RETRIES.into()).contains(&again.len()));
    assert!(again.iter().all(|to| *to == relay));
    net.run(Duration::from_secs(30));
    assert_eq!(
        net.sides[ASKER].connects.len(),
        2 + usize::from(RELAY_RETRIES)
    );
    assert_eq!(net.sides[ASKER].failed, Some(IceError::Exhausted));
}

#[test]
fn a_relayed_pair_waits_for_a_better_one_but_not_long() {
    let mut net = Net::new();
    net.sides[ASKER].reachable = false;
    let mut remote = net.description(ASKER);
    let port = net.sides[ASKER].port;
    remote.candidates = ["relay", "host"]
        .iter()
        .zip([port, port + 1])
        .filter_map(|(kind, port)| {
            let line = format!("X 1 TCP 5 10.77.0.1 {port} typ {kind} tcptype passive");
            Candidate::parse(&line)
        })
        .collect();
    net.sides[ASKER].reachable = true;
    // The host candidate never answers at all.
    net.sides[ANSWERER].agent.set_remote(net.now, remote);
    let agent = &mut net.sides[ANSWERER].agent;
    let dialled: Vec<_> = std::iter::from_fn(|| agent.poll_output()).collect();
    let relayed = dialled.iter().find_map(|output| match output {
        AgentOutput::Connect { conn, to } if to.port() == port => Some((*conn, *to)),
        _ => None,
    });
    let (conn, to) = relayed.unwrap();
    net.introduce(ASKER);
    net.sides[ASKER].agent.close_others();
    net.queue.clear();
    net.queue
        .push_back((net.now, ASKER, Packet::Connect(conn, to)));
    net.run(Duration::from_millis(300));
    assert_eq!(net.sides[ANSWERER].selected, [], "still hoping");
    net.run(Duration::from_millis(300));
    net.selected();
}

#[test]
fn the_recorded_controlling_peer_is_understood() {
    // What alice's daemon sent on the connection that was selected, to an agent with bob's
    // credentials: a check, then the same with USE-CANDIDATE.
    let text = crate::testing::vector("connection-2023-stun-frames.txt");
    let frames: Vec<(String, String, Vec<u8>)> = text
        .lines()
        .filter(|line| line.contains("10.77.0.1:54718") && line.contains("10.77.0.2:51115"))
        .map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (
                words[1].into(),
                words[3].into(),
                crate::testing::hex(words[4]),
            )
        })
        .collect();
    let mut net = Net::new();
    let agent = &mut net.sides[ASKER].agent;
    agent.local = Credentials {
        ufrag: "141f8ee4".into(),
        pwd: "6e52620a4791db53479134c2".into(),
    };
    let now = net.now;
    let remote: SocketAddr = "10.77.0.1:54718".parse().unwrap();
    agent.set_remote(
        now,
        Description {
            credentials: Credentials {
                ufrag: "25093d86".into(),
                pwd: "066f810b7e15d11812ab256f".into(),
            },
            candidates: Vec::new(),
        },
    );
    let id = ConnId::accepted(1);
    agent.accepted(now, id, remote);
    for (from, _, frame) in frames
        .iter()
        .filter(|(from, _, _)| *from == remote.to_string())
    {
        assert_eq!(*from, remote.to_string());
        // The recorded responses are to checks of the recorded bob, not ours.
        agent.received(now, id, frame);
    }
    let conn = agent.conns.get(&id).unwrap();
    assert!(conn.proven && conn.peer_nominated && !conn.valid);
    let transaction = conn.check.as_ref().unwrap().transaction;
    let response = Builder::new(Class::Success, transaction)
        .mapped("10.77.0.2:51115".parse().unwrap())
        .finish(Some("066f810b7e15d11812ab256f"));
    let mut framed = BytesMut::from(&b"\0\x05\x16\x03\x01\0\0"[..]);
    put_frame(&mut framed, &response).unwrap();
    agent.received(now, id, &framed);
    let outputs: Vec<_> = std::iter::from_fn(|| agent.poll_output()).collect();
    let [.., selected, data] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    let expected = AgentOutput::Selected {
        conn: id,
        controlling: false,
    };
    assert_eq!(*selected, expected);
    assert_eq!(
        *data,
        AgentOutput::Data(Bytes::from_static(b"\x16\x03\x01\0\0"))
    );
}

/// A message of a peer that knows the passwords and uses them badly.
fn odd_message(rng: &mut Rng, own: &Credentials, peer: &Credentials, last: &[u8]) -> Vec<u8> {
    let known = Message::parse(last).map(|message| message.transaction);
    let transaction = match known {
        Ok(transaction) if !rng.one_in(4) => transaction,
        _ => TransactionId(rng.bytes()),
    };
    let classes = [
        Class::Request,
        Class::Success,
        Class::Error,
        Class::Indication,
    ];
    let class = classes[rng.index(4).unwrap()];
    let mut builder = Builder::new(class, transaction);
    if !rng.one_in(4) {
        builder = builder.priority(rng.u32());
    }
    if rng.one_in(3) {
        builder = builder.use_candidate();
    }
    if !rng.one_in(3) {
        builder = builder.mapped("192.0.2.1:5".parse().unwrap());
    }
    builder = match rng.range(0..4) {
        0 => builder.role(Role::Controlled(rng.u64())),
        1 => builder.role(Role::Controlling(rng.u64())),
        2 => builder.error([400, 401, 487][rng.index(3).unwrap()], "no"),
        _ => builder,
    };
    let password = if class == Class::Request {
        builder = builder.username(&own.ufrag, &peer.ufrag);
        &own.pwd
    } else {
        &peer.pwd
    };
    builder.finish(Some(password)).to_vec()
}

proptest! {
    #[test]
    fn odd_peers_are_borne(seed: u64, controlling: bool, steps in 1_usize..300) {
        let mut rng = Rng::from_seed(seed);
        let peer = Credentials::random(&mut rng);
        let own_ip = IpAddr::from([10, 77, 0, 1]);
        let config = AgentConfig {
            controlling,
            first_conn: 0,
            allow_loopback: false,
            own_addresses: vec![own_ip],
        };
        let mut agent = Agent::new(config, rng.fork());
        let mut now = start();
        let mut conns: Vec<ConnId> = Vec::new();
        let (mut last, mut accepted, mut selected, mut failed) = (Vec::new(), 0, 0, 0);
        for _ in 0..steps {
            let conn = rng.index(conns.len()).map(|index| conns[index]);
            match (rng.range(0..12), conn) {
                (0, _) => {
                    accepted += 1;
                    let id = ConnId::accepted(accepted);
                    conns.push(id);
                    agent.accepted(now, id, "10.77.0.2:4000".parse().unwrap());
                }
                (1, _) => {
                    let candidates = (0..rng.range(1..20))
                        .filter_map(|port| {
                            let kind = ["host", "srflx", "relay"][rng.index(3)?];
                            Candidate::parse(&format!(
                                "H 1 TCP 5 10.77.0.2 {} typ {kind} tcptype passive",
                                port + 5000
                            ))
                        })
                        .collect();
                    let credentials = peer.clone();
                    agent.set_remote(now, Description { credentials, candidates });
                }
                (2, Some(conn)) => agent.connected(now, conn),
                (3, Some(conn)) if rng.one_in(3) => agent.closed(now, conn),
                (4, Some(conn)) => agent.received(now, conn, &rng.bytes::<40>()),
                (5, _) => {
                    now += Duration::from_millis(rng.range(0..3000));
                    agent.handle_timeout(now);
                    prop_assert!(agent.poll_timeout().is_none_or(|at| at > now));
                }
                (6, Some(conn)) => agent.received(now, conn, b"\0\x05\x16\x03\x03\0\0"),
                (_, Some(conn)) => {
                    let own = agent.local.clone();
                    let message = odd_message(&mut rng, &own, &peer, &last);
                    let mut frame = BytesMut::new();
                    put_frame(&mut frame, &message).unwrap();
                    agent.received(now, conn, &frame);
                }
                _ => {}
            }
            while let Some(output) = agent.poll_output() {
                match output {
                    AgentOutput::Connect { conn, .. } => conns.push(conn),
                    AgentOutput::Write { bytes, .. } => last = bytes[2..].to_vec(),
                    AgentOutput::Close { conn } => conns.retain(|other| *other != conn),
                    AgentOutput::Selected { .. } => selected += 1,
                    AgentOutput::Data(_) => prop_assert_eq!(selected, 1),
                    AgentOutput::Failed(_) => failed += 1,
                }
            }
            prop_assert!(selected <= 1 && failed <= 1);
            prop_assert!(agent.conns.len() <= MAX_ACCEPTED + 20);
        }
    }
}
