//! Opening a connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::flow::Flow;
use super::{Conn, ConnId, End, Side, Step, TcpEvent};
use crate::net::{Event, HostId, Input, Net};

/// Like Linux: the first SYN and six more, after 1, 2, 4, 8, 16, 32 seconds; given up
/// after 64 more.
const SYN_TRIES: u32 = 7;

impl Net {
    pub(super) fn tcp_connect(&mut self, host: HostId, conn: ConnId, to: SocketAddr) {
        let port = self.tcp.free_port();
        let id = self.tcp.next;
        self.tcp.next = self.tcp.next.wrapping_add(1);
        let node = self.node_mut(host);
        node.traffic.connections += 1;
        let boot = node.boot;
        let local = node.address(to.is_ipv6());
        let remote = self.host_at(to.ip());
        let end = |host, boot, conn, addr| End {
            host,
            boot,
            conn,
            addr,
            open: false,
            flow: Flow::default(),
            paused: false,
            held: VecDeque::new(),
            held_bytes: 0,
            unacked: 0,
        };
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let any: SocketAddr = any.parse().unwrap_or(to);
        let addr = local.map_or(any, |ip| SocketAddr::new(ip, port));
        let mut client = end(host, boot, conn, addr);
        client.open = true;
        let server = end(remote.unwrap_or(host), 0, ConnId(0), to);
        let both = Conn {
            ends: [client, server],
            listener: None,
            tries: 0,
            connected: false,
            accepted: false,
        };
        self.tcp.conns.insert(id, both);
        self.tcp.names.insert((host, conn), (id, Side::Client));
        // No address: no route, the kernel says so at once. No such host: silence.
        let step = match local {
            None => Step::Refused(id),
            Some(_) => Step::SynLeaves(id),
        };
        self.queue.push(self.now, Event::Tcp(step));
    }

    pub(super) fn syn_leaves(&mut self, id: u32, inputs: &mut Vec<(HostId, Input)>) {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        if conn.connected {
            return;
        }
        if !conn.ends[0].open {
            self.tcp.conns.remove(&id);
            return;
        }
        if conn.tries >= SYN_TRIES {
            self.connect_failed(id, inputs);
            return;
        }
        let pause = Duration::from_secs(1 << conn.tries);
        conn.tries += 1;
        let again = self.now + pause;
        self.queue.push(again, Event::Tcp(Step::SynLeaves(id)));
        self.tcp_control(id, Side::Client, Step::SynArrives(id));
    }

    pub(super) fn syn_arrives(&mut self, id: u32) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        if conn.connected || !self.ends_connected(conn) {
            return;
        }
        let server = &conn.ends[1];
        let boot = self.node(server.host).boot;
        let found = self.tcp.listeners.get(&(server.host, server.addr.port()));
        let listener = found
            .filter(|(_, v6)| *v6 == server.addr.is_ipv6())
            .map(|(listener, _)| *listener);
        let answer = match listener {
            Some(_) => Step::SynAckArrives(id),
            None => Step::Refused(id),
        };
        if let Some(conn) = self.tcp.conns.get_mut(&id) {
            conn.listener = listener;
            conn.ends[1].boot = boot;
        }
        self.tcp_control(id, Side::Server, answer);
    }

    pub(super) fn syn_ack_arrives(&mut self, id: u32, inputs: &mut Vec<(HostId, Input)>) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        if conn.connected || !self.ends_connected(conn) {
            return;
        }
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return;
        };
        let client = conn.end(Side::Client);
        if !client.open {
            self.tcp.conns.remove(&id);
            return;
        }
        let event = TcpEvent::Connected {
            conn: client.conn,
            local: client.addr,
        };
        inputs.push((client.host, Input::Tcp(event)));
        conn.connected = true;
        // The last packet of the handshake: the server's program hears of the connection
        // when it arrives, or the first data does.
        conn.end(Side::Client).flow.handshake();
        self.pump(id, Side::Client);
    }

    pub(super) fn connect_failed(&mut self, id: u32, inputs: &mut Vec<(HostId, Input)>) {
        let Some(mut conn) = self.tcp.conns.remove(&id) else {
            return;
        };
        if conn.connected {
            self.tcp.conns.insert(id, conn);
            return;
        }
        let client = conn.end(Side::Client);
        if client.open {
            self.tcp.names.remove(&(client.host, client.conn));
            let event = TcpEvent::ConnectFailed { conn: client.conn };
            inputs.push((client.host, Input::Tcp(event)));
        }
    }

    /// The server's program hears of the connection; `false` if it no longer listens.
    pub(super) fn accept(&mut self, id: u32, inputs: &mut Vec<(HostId, Input)>) -> bool {
        let Some(conn) = self.tcp.conns.get_mut(&id) else {
            return false;
        };
        if conn.accepted {
            return true;
        }
        let server = &conn.ends[1];
        let listening = self.tcp.listeners.get(&(server.host, server.addr.port()));
        let Some((listener, _)) =
            listening.filter(|(listener, _)| Some(*listener) == conn.listener)
        else {
            return false;
        };
        let listener = *listener;
        conn.accepted = true;
        let remote = conn.ends[0].addr;
        let server = conn.end(Side::Server);
        server.conn = ConnId::accepted(self.tcp.next_accepted);
        self.tcp.next_accepted += 1;
        server.open = true;
        let event = TcpEvent::Accepted {
            listener,
            conn: server.conn,
            local: server.addr,
            remote,
        };
        let host = server.host;
        self.tcp
            .names
            .insert((host, server.conn), (id, Side::Server));
        self.nodes[host.index()].traffic.connections += 1;
        inputs.push((host, Input::Tcp(event)));
        true
    }

    /// Sends a packet without data from one end; it may get lost.
    pub(super) fn tcp_control(&mut self, id: u32, from: Side, step: Step) {
        let Some(conn) = self.tcp.conns.get(&id) else {
            return;
        };
        let (a, b) = (&conn.ends[from.index()], &conn.ends[from.other().index()]);
        let known = self.host_at(conn.ends[1].addr.ip()) == Some(conn.ends[1].host);
        if !known || !self.ends_connected(conn) {
            return;
        }
        let path = self.path(a.host, b.host);
        if !path.loses(1, &mut self.rng) {
            let at = self.now + path.delay(self.now);
            self.queue.push(at, Event::Tcp(step));
        }
    }
}
