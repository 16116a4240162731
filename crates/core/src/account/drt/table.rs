//! The routing table of one conversation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use baraza_wire::{DeviceId, Rng};

/// Connections wanted in each part of the table.
pub(crate) const BUCKET: usize = 2;
/// Connections in one part above which those we opened are given up again.
const SURPLUS: usize = BUCKET + 1;
/// Devices kept that only other members told of.
const MAX_HEARSAY: usize = 64;
/// Devices kept in all.
const MAX_NODES: usize = 4096;
/// Pause before a device that was connected a moment ago is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// First pause after a failed attempt, and the longest, for devices that seem to be there.
const LIVE: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(60));
/// The same for those of which nobody knows.
const SILENT: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(1800));
/// Longest pause between two attempts with devices of which nobody knows whether they are
/// there: of a large group, most may be away.
const PACE_LONGEST: Duration = Duration::from_secs(60);
/// Attempts in a row that may fail before there are pauses at all.
const FREE_FAILURES: u32 = 6;

/// What is known of a device that is not connected.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Whether it was seen lately, by us or by others.
    live: bool,
    /// Whether others named it, and nothing else is known.
    hearsay: bool,
    /// Attempts that failed in a row.
    failures: u32,
    /// Not to be tried before.
    not_before: Option<Instant>,
}

/// The table. Parts are told apart by how many leading bits of an id are ours; all ids with
/// at least `depth` such bits are the last part, which is split as it fills.
#[derive(Debug)]
pub(crate) struct Table {
    own: DeviceId,
    depth: u32,
    connected: BTreeMap<DeviceId, Connection>,
    connecting: BTreeSet<DeviceId>,
    known: BTreeMap<DeviceId, Node>,
    /// Failures in a row with devices of which nothing is known.
    silent_failures: u32,
    /// No such attempt before.
    quiet_until: Option<Instant>,
    /// The device that was visited last, for no other reason than that it is one.
    visited: DeviceId,
}

#[derive(Debug, Clone, Copy)]
struct Connection {
    /// Whether we asked for it.
    ours: bool,
    since: Instant,
}

impl Table {
    pub(crate) fn new(own: DeviceId) -> Self {
        Self {
            own,
            depth: 0,
            connected: BTreeMap::new(),
            connecting: BTreeSet::new(),
            known: BTreeMap::new(),
            silent_failures: 0,
            quiet_until: None,
            visited: own,
        }
    }

    /// Leading bits that two ids share.
    fn shared_bits(a: &DeviceId, b: &DeviceId) -> u32 {
        let mut bits = 0_u32;
        for (a, b) in a.as_bytes().iter().zip(b.as_bytes()) {
            let zeros = (a ^ b).leading_zeros();
            bits = bits.saturating_add(zeros);
            if zeros < 8 {
                break;
            }
        }
        bits
    }

    fn part(&self, id: &DeviceId) -> u32 {
        Self::shared_bits(&self.own, id).min(self.depth)
    }

    fn distance(a: &DeviceId, b: &DeviceId) -> [u8; 32] {
        let mut distance = *a.as_bytes();
        for (byte, other) in distance.iter_mut().zip(b.as_bytes()) {
            *byte ^= other;
        }
        distance
    }

    fn connected_in(&self, part: u32) -> usize {
        let ids = self.connected.keys();
        ids.filter(|id| self.part(id) == part).count()
    }

    /// There is such a device; `live` if somebody saw it lately.
    pub(crate) fn know(&mut self, id: DeviceId, live: bool) {
        self.meet(id, live, false);
    }

    /// Another member is connected to such a device, it says.
    pub(crate) fn hear_of(&mut self, id: DeviceId) {
        let hearsay = self.known.values().filter(|node| node.hearsay).count();
        let known = self.known.contains_key(&id);
        self.meet(id, known || hearsay < MAX_HEARSAY, !known);
        if !known && hearsay >= MAX_HEARSAY {
            self.known.remove(&id);
        }
    }

    fn meet(&mut self, id: DeviceId, live: bool, hearsay: bool) {
        if id == self.own || self.connected.contains_key(&id) {
            return;
        }
        if self.known.len() >= MAX_NODES && !self.known.contains_key(&id) {
            return;
        }
        let node = self.known.entry(id).or_insert(Node {
            hearsay,
            ..Node::default()
        });
        node.hearsay &= hearsay;
        if live && !node.live {
            node.live = true;
            node.failures = 0;
            node.not_before = None;
        }
    }

    /// A device is of no concern here any more.
    pub(crate) fn forget(&mut self, id: &DeviceId) {
        self.known.remove(id);
        self.connecting.remove(id);
        self.connected.remove(id);
    }

    /// All devices in it.
    pub(crate) fn nodes(&self) -> Vec<DeviceId> {
        let connected = self.connected.keys().copied();
        connected.chain(self.known.keys().copied()).collect()
    }

    /// A channel to a device is open; `ours` if we asked for it.
    pub(crate) fn connected(&mut self, id: DeviceId, ours: bool, now: Instant) {
        if id == self.own {
            return;
        }
        self.connecting.remove(&id);
        self.known.remove(&id);
        self.silent_failures = 0;
        self.quiet_until = None;
        self.connected
            .entry(id)
            .or_insert(Connection { ours, since: now });
        while self.depth < 255 && self.connected_in(self.depth) > BUCKET {
            self.depth = self.depth.saturating_add(1);
        }
    }

    /// The last channel to a device is gone.
    pub(crate) fn disconnected(&mut self, id: DeviceId, now: Instant) {
        if self.connected.remove(&id).is_some() {
            let node = Node {
                live: true,
                not_before: now.checked_add(AGAIN),
                ..Node::default()
            };
            self.known.insert(id, node);
        }
    }

    /// An attempt to connect to a device failed.
    pub(crate) fn failed(&mut self, id: &DeviceId, now: Instant) {
        if !self.connecting.remove(id) {
            return;
        }
        let Some(node) = self.known.get_mut(id) else {
            return;
        };
        node.failures = node.failures.saturating_add(1);
        let (first, longest) = if node.live { LIVE } else { SILENT };
        let factor = 1_u32
            .checked_shl(node.failures.saturating_sub(1).min(16))
            .unwrap_or(u32::MAX);
        node.not_before = now.checked_add(first.saturating_mul(factor).min(longest));
        if node.failures >= 4 {
            // Whoever saw it: it is not there any more.
            node.live = false;
        }
        let (drop, silent) = (node.hearsay && node.failures >= 2, !node.live);
        if drop {
            self.known.remove(id);
        }
        if silent {
            self.silent_failures = self.silent_failures.saturating_add(1);
            if let Some(more) = self.silent_failures.checked_sub(FREE_FAILURES) {
                let factor = 1_u32.checked_shl(more.min(16)).unwrap_or(u32::MAX);
                let pause = AGAIN.saturating_mul(factor).min(PACE_LONGEST);
                self.quiet_until = now.checked_add(pause);
            }
        }
    }

    /// Forgets what failed.
    pub(crate) fn retry(&mut self) {
        self.silent_failures = 0;
        self.quiet_until = None;
        for node in self.known.values_mut() {
            node.failures = 0;
            node.not_before = None;
        }
    }

    /// Whether a link to this device is wanted for this conversation.
    pub(crate) fn wants(&self, id: &DeviceId) -> bool {
        self.connected.contains_key(id) || self.connecting.contains(id)
    }

    /// Whether a device is connected.
    pub(crate) fn is_connected(&self, id: &DeviceId) -> bool {
        self.connected.contains_key(id)
    }

    /// How many devices are connected.
    pub(crate) fn links(&self) -> usize {
        self.connected.len()
    }

    /// Devices to connect to now. They count as being connected to until
    /// [`Self::connected`] or [`Self::failed`] is called. And when to ask again, if there is
    /// anything to be had then.
    pub(crate) fn maintain(
        &mut self,
        now: Instant,
        rng: &mut Rng,
    ) -> (Vec<DeviceId>, Option<Instant>) {
        let (mut chosen, mut again) = (Vec::new(), None);
        for part in 0..=self.depth {
            let busy = self.connecting.iter().filter(|id| self.part(id) == part);
            let mut have = busy.count();
            if part != self.depth {
                have = have.saturating_add(self.connected_in(part));
            }
            while have < BUCKET {
                match self.choose(part, now, rng, &mut again) {
                    Some(id) => {
                        self.connecting.insert(id);
                        chosen.push(id);
                    }
                    None => break,
                }
                have = have.saturating_add(1);
            }
        }
        (chosen, again)
    }

    fn choose(
        &self,
        part: u32,
        now: Instant,
        rng: &mut Rng,
        again: &mut Option<Instant>,
    ) -> Option<DeviceId> {
        let mut best: Vec<(bool, u32, DeviceId)> = Vec::new();
        for (id, node) in &self.known {
            if self.part(id) != part || self.connecting.contains(id) {
                continue;
            }
            let quiet = self.quiet_until.filter(|_| !node.live);
            let due = node.not_before.max(quiet).filter(|at| *at > now);
            if let Some(due) = due {
                *again = Some(again.map_or(due, |at| at.min(due)));
                continue;
            }
            best.push((!node.live, node.failures, *id));
        }
        let rank = |(silent, failures, _): &(bool, u32, DeviceId)| (*silent, *failures);
        let first = best.iter().map(rank).min()?;
        best.retain(|entry| rank(entry) == first);
        let index = rng.index(best.len())?;
        best.get(index).map(|(_, _, id)| *id)
    }

    /// The next device in a round through all that are not connected: what a network that
    /// fell apart in ways the table does not show comes together by.
    pub(crate) fn visit(&mut self, now: Instant) -> Option<DeviceId> {
        let may = |(id, node): &(&DeviceId, &Node)| {
            !self.connecting.contains(id) && node.not_before.is_none_or(|at| at <= now)
        };
        let after = (
            std::ops::Bound::Excluded(self.visited),
            std::ops::Bound::Unbounded,
        );
        let later = self.known.range(after);
        let all = later.chain(&self.known).filter(may);
        let mut best = None;
        for (id, node) in all {
            if node.live {
                best = Some(*id);
                break;
            }
            best = best.or(Some(*id));
        }
        let id = best?;
        self.visited = id;
        self.connecting.insert(id);
        Some(id)
    }

    /// Connections of ours that are too many, and old enough to have served.
    pub(crate) fn surplus(&self, now: Instant, age: Duration) -> Vec<DeviceId> {
        let mut given_up = Vec::new();
        for part in 0..self.depth {
            let all = self.connected.iter();
            let here: Vec<_> = all.filter(|(id, _)| self.part(id) == part).collect();
            let too_many = here.len().saturating_sub(SURPLUS);
            let old = here.into_iter().filter(|(_, connection)| {
                connection.ours && now.saturating_duration_since(connection.since) >= age
            });
            given_up.extend(old.take(too_many).map(|(id, _)| *id));
        }
        given_up
    }

    /// The connected devices nearest to one, that one left out, nearest first.
    pub(crate) fn closest(&self, target: &DeviceId, count: usize) -> Vec<DeviceId> {
        let others = self.connected.keys().filter(|id| *id != target);
        let mut near: Vec<DeviceId> = others.copied().collect();
        near.sort_by_key(|id| Self::distance(id, target));
        near.truncate(count);
        near
    }

    /// Puts the nearest to this device first.
    pub(crate) fn sort(&self, ids: &mut [DeviceId]) {
        ids.sort_by_key(|id| Self::distance(&self.own, id));
    }

    /// Whether this device is to care for one that is not part of the table: it is among the
    /// nearest, as far as can be seen from here. Of all members that are connected to each
    /// other, the nearest one always thinks so.
    pub(crate) fn is_near(&self, target: &DeviceId) -> bool {
        let own = Self::distance(&self.own, target);
        let nearer = self.connected.keys().filter(|id| *id != target);
        nearer.filter(|id| Self::distance(id, target) < own).count() < BUCKET
    }

    /// Whether there are parts of the table with devices to be had but too few connected.
    pub(crate) fn is_hungry(&self) -> bool {
        (0..=self.depth).any(|part| {
            self.connected_in(part) < BUCKET && self.known.keys().any(|id| self.part(id) == part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(rng: &mut Rng) -> DeviceId {
        DeviceId::new(rng.bytes())
    }

    /// Lets tables of devices that are all there connect to each other.
    fn connect(tables: &mut BTreeMap<DeviceId, Table>, rng: &mut Rng, now: Instant) {
        for _ in 0..40 {
            let all: Vec<DeviceId> = tables.keys().copied().collect();
            for own in all {
                let (chosen, _) = tables.get_mut(&own).unwrap().maintain(now, rng);
                for other in chosen {
                    match tables.get_mut(&other) {
                        Some(table) => {
                            table.connected(own, false, now);
                            tables.get_mut(&own).unwrap().connected(other, true, now);
                        }
                        None => tables.get_mut(&own).unwrap().failed(&other, now),
                    }
                }
            }
        }
    }

    fn reached(tables: &BTreeMap<DeviceId, Table>) -> usize {
        let first = *tables.keys().next().unwrap();
        let (mut seen, mut waiting) = (BTreeSet::from([first]), vec![first]);
        while let Some(id) = waiting.pop() {
            for next in tables[&id].connected.keys() {
                if seen.insert(*next) {
                    waiting.push(*next);
                }
            }
        }
        seen.len()
    }

    fn crowd(size: usize, away: usize, rng: &mut Rng) -> BTreeMap<DeviceId, Table> {
        let here: Vec<DeviceId> = (0..size).map(|_| id(rng)).collect();
        let away: Vec<DeviceId> = (0..away).map(|_| id(rng)).collect();
        here.iter()
            .map(|own| {
                let mut table = Table::new(*own);
                here.iter()
                    .chain(&away)
                    .for_each(|id| table.know(*id, false));
                (*own, table)
            })
            .collect()
    }

    #[test]
    fn all_are_connected_and_links_grow_with_the_logarithm() {
        let mut rng = Rng::from_seed(1);
        for size in [2, 5, 20, 100, 400] {
            let mut tables = crowd(size, 0, &mut rng);
            connect(&mut tables, &mut rng, Instant::now());
            assert_eq!(reached(&tables), size);
            let links: usize = tables.values().map(|table| table.connected.len()).sum();
            let mean = links as f64 / size as f64;
            let most = 4.0 * (size as f64).log2();
            assert!(mean <= most, "{size}: {mean} links, {most} are enough");
            assert!(tables.values().all(|table| !table.is_hungry()));
        }
    }

    #[test]
    fn who_is_there_is_found_among_many_who_are_away() {
        let mut rng = Rng::from_seed(2);
        let mut tables = crowd(10, 190, &mut rng);
        let mut now = Instant::now();
        for _ in 0..400 {
            now += Duration::from_secs(15);
            connect(&mut tables, &mut rng, now);
        }
        assert_eq!(reached(&tables), 10);
    }

    #[test]
    fn attempts_with_those_who_are_away_become_rare() {
        let mut rng = Rng::from_seed(3);
        let mut tables = crowd(1, 200, &mut rng);
        let table = tables.values_mut().next().unwrap();
        let (mut now, mut attempts) = (Instant::now(), 0);
        let end = now + Duration::from_secs(3600);
        while now < end {
            let (chosen, again) = table.maintain(now, &mut rng);
            attempts += chosen.len();
            for id in chosen {
                table.failed(&id, now + Duration::from_secs(10));
            }
            now = again.unwrap_or(now).max(now + Duration::from_secs(10));
        }
        assert!((60..200).contains(&attempts), "{attempts}");
        // One that shows up is tried at once.
        let some = *table.known.keys().nth(77).unwrap();
        table.know(some, true);
        assert_eq!(table.maintain(now, &mut rng).0, vec![some]);
    }

    #[test]
    fn somebody_is_always_near() {
        let mut rng = Rng::from_seed(4);
        let mut tables = crowd(60, 0, &mut rng);
        connect(&mut tables, &mut rng, Instant::now());
        for _ in 0..200 {
            let target = id(&mut rng);
            let near = tables.values().filter(|table| table.is_near(&target));
            let near = near.count();
            assert!((1..=12).contains(&near), "{near}");
        }
    }

    #[test]
    fn a_round_visits_everybody_and_leaves_nothing_behind() {
        let mut rng = Rng::from_seed(5);
        let mut tables = crowd(1, 30, &mut rng);
        let table = tables.values_mut().next().unwrap();
        let mut now = Instant::now();
        let mut seen = BTreeSet::new();
        for _ in 0..30 {
            let visited = table.visit(now).unwrap();
            assert!(seen.insert(visited));
            table.connected(visited, true, now);
            table.disconnected(visited, now);
            table.known.get_mut(&visited).unwrap().live = false;
        }
        now += Duration::from_secs(600);
        assert!(table.visit(now).is_some());
        assert!(table.connected.is_empty());
    }

    #[test]
    fn what_others_tell_is_bounded_and_dropped_when_nobody_is_there() {
        let mut rng = Rng::from_seed(6);
        let mut table = Table::new(id(&mut rng));
        (0..1000).for_each(|_| table.hear_of(id(&mut rng)));
        assert_eq!(table.known.len(), MAX_HEARSAY);
        let mut now = Instant::now();
        for _ in 0..1000 {
            now += Duration::from_secs(60);
            let (chosen, _) = table.maintain(now, &mut rng);
            chosen.iter().for_each(|id| table.failed(id, now));
        }
        assert_eq!(table.known.len(), 0);
    }

    #[test]
    fn too_many_connections_of_ours_are_given_up_when_they_have_served() {
        let mut rng = Rng::from_seed(7);
        let own = DeviceId::new([0; 32]);
        let mut table = Table::new(own);
        let now = Instant::now();
        for number in 0..9_u8 {
            let mut bytes: [u8; 32] = rng.bytes();
            bytes[0] = 0x80 | number;
            table.connected(DeviceId::new(bytes), number < 7, now);
        }
        let age = Duration::from_secs(60);
        assert_eq!(table.surplus(now, age), vec![]);
        assert_eq!(table.surplus(now + age, age).len(), 6);
    }
}
