use std::collections::VecDeque;
use std::time::{Duration, Instant};

use baraza_sim::net::{ConnId, ListenerId, UDP_PORT};
use baraza_sim::{Access, Action, HostId, Input, Program, TcpCommand, TcpEvent, World};
use baraza_wire::Now;
use bytes::Bytes;

/// A program that does what the test says and notes what it sees.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    actions: VecDeque<Action>,
    pub(crate) seen: Vec<(Instant, Input)>,
    pub(crate) alarm: Option<Instant>,
    pub(crate) fired: Vec<Instant>,
    /// Send everything back.
    pub(crate) echo: bool,
}

impl Program for Probe {
    fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Timeout => {
                self.alarm = None;
                self.fired.push(now.instant);
                return;
            }
            Input::Datagram { from, ref bytes } if self.echo => {
                self.actions.push_back(Action::Transmit {
                    to: from,
                    bytes: bytes.clone(),
                });
            }
            Input::Tcp(TcpEvent::Received { conn, ref bytes }) if self.echo => {
                self.tcp(TcpCommand::Write {
                    conn,
                    bytes: bytes.clone(),
                });
            }
            _ => {}
        }
        self.seen.push((now.instant, input));
    }

    fn poll_action(&mut self, _now: Now) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.alarm
    }
}

impl Probe {
    pub(crate) fn tcp(&mut self, command: TcpCommand) {
        self.actions.push_back(Action::Tcp(command));
    }

    pub(crate) fn crash(&mut self, crash: baraza_sim::Crash) {
        self.actions.push_back(Action::Crash(crash));
    }

    pub(crate) fn datagrams(&self) -> Vec<(Instant, Bytes)> {
        let bytes = |(at, input): &(Instant, Input)| match input {
            Input::Datagram { bytes, .. } => Some((*at, bytes.clone())),
            _ => None,
        };
        self.seen.iter().filter_map(bytes).collect()
    }

    pub(crate) fn events(&self) -> Vec<TcpEvent> {
        let event = |(_, input): &(Instant, Input)| match input {
            Input::Tcp(event) => Some(event.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(event).collect()
    }

    /// All TCP payload, joined.
    pub(crate) fn received(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for event in self.events() {
            if let TcpEvent::Received { bytes, .. } = event {
                all.extend_from_slice(&bytes);
            }
        }
        all
    }

    pub(crate) fn has(&self, event: &TcpEvent) -> bool {
        self.events().contains(event)
    }
}

/// A world with so many hosts on the same kind of line, each running a probe.
pub(crate) fn world(seed: u64, hosts: usize, access: &Access) -> (World<Probe>, Vec<HostId>) {
    let mut world = World::new(seed);
    let ids: Vec<_> = (0..hosts).map(|_| world.add_host(access.clone())).collect();
    for id in &ids {
        world.start(*id, Probe::default());
    }
    (world, ids)
}

pub(crate) fn send(world: &mut World<Probe>, from: HostId, to: HostId, bytes: impl Into<Bytes>) {
    let ip = world.net().node(to).address(false).unwrap();
    let action = Action::Transmit {
        to: (ip, UDP_PORT).into(),
        bytes: bytes.into(),
    };
    world.with(from, |probe, _| probe.actions.push_back(action));
}

pub(crate) fn tcp(world: &mut World<Probe>, host: HostId, command: TcpCommand) {
    world.with(host, |probe, _| probe.tcp(command));
}

pub(crate) const CONN: ConnId = ConnId(7);

/// Connects one host to the other; gives the name that the other side has for it.
pub(crate) fn connect(world: &mut World<Probe>, from: HostId, to: HostId) -> ConnId {
    let listener = ListenerId(1);
    tcp(world, to, TcpCommand::Listen { listener, v6: true });
    let port = world.program(to).and_then(|probe| {
        probe.events().into_iter().find_map(|event| match event {
            TcpEvent::Listening { port, .. } => Some(port),
            _ => None,
        })
    });
    let to_addr = world.net().node(to).address(true).unwrap();
    let conn = CONN;
    let command = TcpCommand::Connect {
        conn,
        to: (to_addr, port.unwrap()).into(),
    };
    tcp(world, from, command);
    world.run_for(Duration::from_secs(1));
    world
        .program(to)
        .and_then(|probe| {
            probe.events().into_iter().find_map(|event| match event {
                TcpEvent::Accepted { conn, .. } => Some(conn),
                _ => None,
            })
        })
        .unwrap()
}
