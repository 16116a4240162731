//! How connected we are, and how others see us (docs/protocol/01-dht.md sections 3.3, 3.8).

use std::net::{IpAddr, SocketAddr};

use super::Dht;
use crate::api::{ClientId, Event, Status};
use crate::node::Family;

/// Votes kept for each family.
const MAX_VOTES: usize = 32;

/// Networks that reported an address of ours, one vote each, newest last.
#[derive(Debug, Default)]
pub(super) struct Votes {
    votes: Vec<([u8; 6], IpAddr)>,
    winner: Option<IpAddr>,
    /// The last one of which the driver said that this host has it.
    own: Option<IpAddr>,
    pub(super) dirty: bool,
}

impl Votes {
    fn add(&mut self, voter: [u8; 6], address: IpAddr) {
        if self.votes.last() == Some(&(voter, address)) {
            return;
        }
        self.votes.retain(|(of, _)| *of != voter);
        if self.votes.len() >= MAX_VOTES {
            self.votes.remove(0);
        }
        self.votes.push((voter, address));
    }

    pub(super) fn clear(&mut self) {
        self.votes.clear();
    }

    /// The addresses, those with most votes first.
    pub(super) fn ranking(&self) -> Vec<(IpAddr, usize)> {
        let mut ranking: Vec<(IpAddr, usize)> = Vec::new();
        for (_, address) in &self.votes {
            match ranking.iter_mut().find(|(of, _)| of == address) {
                Some((_, votes)) => *votes = votes.saturating_add(1),
                None => ranking.push((*address, 1)),
            }
        }
        ranking.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        ranking
    }
}

impl Dht {
    /// A node says from where it saw us. It counts as much as its whole network.
    pub(super) fn vote(&mut self, from: SocketAddr, address: Option<IpAddr>) {
        let Some(address) = address.filter(|address| address.is_ipv4() == from.is_ipv4()) else {
            return;
        };
        let family = Family::of(from);
        let voter = match from.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                [a, b, c, 0, 0, 0]
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, ..] = ip.octets();
                [a, b, c, d, e, f]
            }
        };
        let votes = self.votes.of_mut(family);
        votes.add(voter, address);
        if votes.winner == Some(address) && votes.votes.len() <= 1 {
            return;
        }
        let winner = votes.ranking().first().map(|(address, _)| *address);
        if winner != votes.winner {
            votes.winner = winner;
            if let Some(ip) = winner {
                self.tell_all(&Event::PublicAddress(SocketAddr::new(ip, 0)));
            }
        }
    }

    /// The addresses that others reported for us, most often reported first.
    pub fn reported_addresses(&self) -> Vec<IpAddr> {
        Family::BOTH
            .iter()
            .flat_map(|family| self.votes.of(*family).ranking())
            .map(|(address, _)| address)
            .collect()
    }

    /// The addresses under which others see us, one of each family.
    pub fn public_addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        Family::BOTH
            .iter()
            .filter_map(|family| self.votes.of(*family).winner)
    }

    /// An interface of this host has this address: if others see us under it, nothing on the
    /// way translates addresses, and less has to be sent.
    pub fn host_has(&mut self, address: IpAddr) {
        let family = Family::of(SocketAddr::new(address, 0));
        self.votes.of_mut(family).own = Some(address);
    }

    /// Whether others see us under an address of this host.
    pub(super) fn is_direct(&self, family: Family) -> bool {
        let votes = self.votes.of(family);
        votes.winner.is_some() && votes.winner == votes.own
    }

    pub(super) fn greet(&mut self, client: ClientId) {
        let event = self.status_event();
        self.emit(client, event);
        for family in Family::BOTH {
            if let Some(ip) = self.votes.of(family).winner {
                self.emit(client, Event::PublicAddress(SocketAddr::new(ip, 0)));
            }
        }
    }

    fn status_event(&self) -> Event {
        Event::Status {
            ipv4: *self.status.of(Family::V4),
            ipv6: *self.status.of(Family::V6),
        }
    }

    fn tell_all(&mut self, event: &Event) {
        let clients: Vec<ClientId> = self.clients.keys().copied().collect();
        for client in clients {
            self.emit(client, event.clone());
        }
    }

    /// The status may have changed.
    pub(super) fn status_changes(&mut self) {
        for family in Family::BOTH {
            self.votes.of_mut(family).dirty = true;
        }
    }

    pub(super) fn update_status(&mut self) {
        let mut changed = false;
        for family in Family::BOTH {
            let votes = self.votes.of_mut(family);
            if !votes.dirty {
                continue;
            }
            votes.dirty = false;
            let new = self.status_of(family);
            let old = self.status.of_mut(family);
            if *old != new {
                let connected = new == Status::Connected;
                *old = new;
                changed = true;
                self.last_change = self.now;
                self.on_status(family, connected);
            }
        }
        if changed {
            let event = self.status_event();
            self.tell_all(&event);
        }
    }

    fn status_of(&self, family: Family) -> Status {
        let table = self.tables.of(family);
        if table.any_good(&self.nodes, self.now) {
            Status::Connected
        } else if table.any_dubious(&self.nodes, self.now)
            || self.requests.any_to_unknown(family == Family::V4)
        {
            Status::Connecting
        } else {
            Status::Disconnected
        }
    }
}
