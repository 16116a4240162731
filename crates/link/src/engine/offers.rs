//! Requests and answers on the DHT: which are taken, which are made.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use baraza_dht::{Command, OpError, OpId, Query, Value, infohash, secure};
use baraza_identity::PublicKey;
use baraza_wire::{DeviceId, InfoHash, Now};
use tracing::debug;

use super::attempt::{AttemptId, Direction, Phase};
use super::{Links, Output, later};
use crate::api::{Event, FailReason};
use crate::ice::Description;
use crate::offer::{KeyKind, MAX_ID, Offer, USER_TYPE, long_key, short_key};

/// Most ids of treated offers that are remembered. Values live ten minutes on the DHT.
const MAX_TREATED: usize = 1 << 16;
/// Most values that wait for being decrypted; more are lost, and their senders ask again.
const MAX_INCOMING: usize = 256;
/// So many values are decrypted before other events get their turn.
const BATCH: usize = 8;
/// Most values that are remembered as seen, so that each is decrypted once.
const MAX_SEEN: usize = 1024;
/// A device may make so many requests at once ...
const BURST: u32 = 16;
/// ... and then one more after each of these.
const REFILL: Duration = Duration::from_secs(5);
/// Most devices whose requests are counted.
const MAX_COUNTED: usize = 1024;
/// Most answers under way for one device.
const MAX_ANSWERS_PER_DEVICE: usize = 4;
/// Most answers under way in all.
const MAX_ANSWERS: usize = 32;
/// Most links with one device.
const MAX_LINKS_PER_DEVICE: usize = 8;
/// Most links in all.
const MAX_LINKS: usize = 512;
/// Pause before listening again when the DHT gave up.
const RELISTEN: Duration = Duration::from_secs(5);

/// What an operation on the DHT is for.
#[derive(Debug, Clone)]
pub(super) enum DhtOp {
    /// Hearing of offers for us.
    Offers(KeyKind),
    /// Searching the chain of a device at a key.
    Certificate { device: DeviceId, key: InfoHash },
    /// Putting an offer.
    Put { attempt: AttemptId },
}

/// What is known of offers.
#[derive(Debug)]
pub(super) struct Offers {
    treated: BTreeSet<u64>,
    treated_order: VecDeque<u64>,
    seen: BTreeSet<InfoHash>,
    seen_order: VecDeque<InfoHash>,
    incoming: VecDeque<(KeyKind, Value)>,
    /// When the oldest of `incoming` came.
    incoming_since: Option<Instant>,
    relisten: Vec<(Instant, KeyKind)>,
    rates: BTreeMap<DeviceId, (u32, Instant)>,
}

impl Offers {
    pub(super) fn new(treated: impl IntoIterator<Item = u64>) -> Self {
        let mut offers = Self {
            treated: BTreeSet::new(),
            treated_order: VecDeque::new(),
            seen: BTreeSet::new(),
            seen_order: VecDeque::new(),
            incoming: VecDeque::new(),
            incoming_since: None,
            relisten: Vec::new(),
            rates: BTreeMap::new(),
        };
        for id in treated {
            offers.treat(id);
        }
        offers
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let relisten = self.relisten.iter().map(|(at, _)| *at);
        relisten.chain(self.incoming_since).min()
    }

    /// Whether this id was not treated before.
    fn treat(&mut self, id: u64) -> bool {
        let new = self.treated.insert(id);
        if new {
            self.treated_order.push_back(id);
        }
        if self.treated_order.len() > MAX_TREATED
            && let Some(oldest) = self.treated_order.pop_front()
        {
            self.treated.remove(&oldest);
        }
        new
    }

    /// Whether this value was not decrypted before.
    fn is_new(&mut self, value: &Value) -> bool {
        let Some(cypher) = value.cypher() else {
            return false;
        };
        let hash = infohash(cypher);
        let new = self.seen.insert(hash);
        if new {
            self.seen_order.push_back(hash);
        }
        if self.seen_order.len() > MAX_SEEN
            && let Some(oldest) = self.seen_order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        new
    }

    /// Whether one more request of this device is acceptable now.
    fn admit(&mut self, now: Instant, device: DeviceId) -> bool {
        if self.rates.len() >= MAX_COUNTED && !self.rates.contains_key(&device) {
            // Full again: as if never seen.
            self.rates.retain(|_, (left, since)| {
                let gained = refilled(now, *since);
                left.saturating_add(gained) < BURST
            });
            if self.rates.len() >= MAX_COUNTED {
                return false;
            }
        }
        let (left, since) = self.rates.entry(device).or_insert((BURST, now));
        let gained = refilled(now, *since);
        if gained > 0 {
            *left = left.saturating_add(gained).min(BURST);
            *since = now;
        }
        let admitted = *left > 0;
        *left = left.saturating_sub(1);
        admitted
    }
}

fn refilled(now: Instant, since: Instant) -> u32 {
    let passed = now.saturating_duration_since(since).as_secs();
    u32::try_from(passed / REFILL.as_secs().max(1)).unwrap_or(u32::MAX)
}

impl Links {
    pub(super) fn listen_for_offers(&mut self, _now: Now) {
        self.listen_at(KeyKind::Long);
        self.listen_at(KeyKind::Short);
    }

    fn listen_at(&mut self, kind: KeyKind) {
        let key = match kind {
            KeyKind::Short => short_key(&self.identity.short_id()),
            KeyKind::Long => long_key(&self.identity.device_id()),
        };
        let op = OpId(self.fresh_id());
        self.ops.insert(op, DhtOp::Offers(kind));
        let query = Query::all();
        self.out
            .push_back(Output::Dht(Command::Listen { op, key, query }));
    }

    pub(super) fn relisten(&mut self, now: Now) {
        let due: Vec<_> = self
            .offers
            .relisten
            .extract_if(.., |(at, _)| *at <= now.instant)
            .collect();
        for (_, kind) in due {
            self.listen_at(kind);
        }
    }

    pub(super) fn dht_values(&mut self, now: Now, op: OpId, values: Vec<Value>) {
        match self.ops.get(&op) {
            Some(DhtOp::Offers(kind)) => {
                let kind = *kind;
                for value in values {
                    if self.offers.incoming.len() < MAX_INCOMING && self.offers.is_new(&value) {
                        self.offers.incoming.push_back((kind, value));
                        self.offers.incoming_since.get_or_insert(now.instant);
                    }
                }
                self.treat_offers(now);
            }
            Some(DhtOp::Certificate { device, key }) => {
                let (device, key) = (*device, *key);
                self.found_certificates(now, device, key, &values);
            }
            Some(DhtOp::Put { .. }) | None => {}
        }
    }

    pub(super) fn dht_done(&mut self, now: Now, op: OpId, result: Result<(), OpError>) {
        match self.ops.remove(&op) {
            Some(DhtOp::Offers(kind)) => {
                if let Some(at) = later(now.instant, RELISTEN) {
                    self.offers.relisten.push((at, kind));
                }
            }
            Some(DhtOp::Certificate { device, .. }) => self.certificate_op_done(now, device, op),
            Some(DhtOp::Put { attempt }) => {
                if let Err(error) = result {
                    debug!(%error, "the offer was not stored");
                    self.put_failed(now, attempt);
                }
            }
            None => {}
        }
    }

    /// Without any stored request there will be no answer.
    fn put_failed(&mut self, now: Now, id: AttemptId) {
        let Some(attempt) = self.attempts.get_mut(&id) else {
            return;
        };
        attempt.puts = attempt.puts.saturating_sub(1);
        if attempt.puts == 0 && matches!(attempt.phase, Phase::Waiting) {
            self.fail(now, id, &FailReason::NoAnswer);
        }
    }

    /// Decrypts some of the values that wait.
    pub(super) fn treat_offers(&mut self, now: Now) {
        for _ in 0..BATCH {
            let Some((kind, value)) = self.offers.incoming.pop_front() else {
                break;
            };
            self.treat_offer(now, kind, &value);
        }
        if self.offers.incoming.is_empty() {
            self.offers.incoming_since = None;
        }
    }

    fn treat_offer(&mut self, now: Now, kind: KeyKind, value: &Value) {
        let Ok(opened) = secure::open(value, self.identity.key()) else {
            return;
        };
        // The sender is who signed, whatever else the value says.
        let Some(signer) = opened.signer.filter(|_| opened.encrypted) else {
            return;
        };
        if opened.value.user_type() != USER_TYPE {
            return;
        }
        let offer = match Offer::decode(opened.value.data()) {
            Ok(offer) => offer,
            Err(error) => return debug!(%error, "unreadable offer"),
        };
        let device = signer.long_id();
        if device == self.identity.device_id() {
            return;
        }
        if !offer.is_answer && !self.offers.admit(now.instant, device) {
            return debug!(device = %device.short(), "too many requests");
        }
        if !self.offers.treat(offer.id) {
            return;
        }
        self.event(Event::OfferSeen { id: offer.id });
        let description = match Description::parse(&offer.ice) {
            Ok(description) => description,
            Err(error) => return debug!(%error, device = %device.short(), "unusable offer"),
        };
        if offer.is_answer {
            self.answered(now, kind, device, offer.id, description);
        } else {
            self.requested(now, kind, &signer, offer.id, description);
        }
    }

    fn answered(
        &mut self,
        now: Now,
        kind: KeyKind,
        device: DeviceId,
        offer: u64,
        description: Description,
    ) {
        let attempt = self.attempts.values_mut().find(|attempt| {
            attempt.device == device
                && matches!(attempt.phase, Phase::Waiting)
                && attempt.direction.offer() == offer
        });
        let Some(attempt) = attempt else {
            return debug!(device = %device.short(), "an answer nobody waits for");
        };
        attempt.phase = Phase::Connecting;
        attempt.deadline = None;
        attempt.agent.set_remote(now.instant, description);
        let id = attempt.id;
        self.device(device).kind = Some(kind);
        self.drain_agent(now, id);
    }

    fn requested(
        &mut self,
        now: Now,
        kind: KeyKind,
        signer: &PublicKey,
        offer: u64,
        description: Description,
    ) {
        let device = signer.long_id();
        self.device(device).kind = Some(kind);
        let (mut links, mut own_links, mut answers, mut own_answers) = (0, 0, 0, 0);
        for attempt in self.attempts.values() {
            let own = usize::from(attempt.device == device);
            if attempt.is_up() {
                links += 1;
                own_links += own;
            } else if !attempt.direction.is_asking() {
                answers += 1;
                own_answers += own;
            }
        }
        if links >= MAX_LINKS
            || own_links >= MAX_LINKS_PER_DEVICE
            || answers >= MAX_ANSWERS
            || own_answers >= MAX_ANSWERS_PER_DEVICE
        {
            return debug!(device = %device.short(), "too many connections");
        }
        let direction = Direction::Answering {
            offer,
            kind,
            description,
        };
        let id = self.new_attempt(now, device, direction);
        match self.certificates.get(&device) {
            Some(_) => self.prepare(now, id),
            None => self.look_up(now, device, Some(signer)),
        }
    }

    /// Puts a request or an answer on the DHT. False if it cannot be made.
    pub(super) fn put_offer(
        &mut self,
        id: AttemptId,
        offer: &Offer,
        to: &PublicKey,
        kind: Option<KeyKind>,
    ) -> bool {
        let value = offer.to_value(&mut self.rng);
        let Ok(sealed) = secure::encrypt(&value, self.identity.key(), to) else {
            return false;
        };
        // To a device of unknown generation the same request goes under both keys: it
        // listens at one of them, or drops the second by its id.
        let keys = match kind {
            Some(KeyKind::Short) => vec![short_key(&to.short_id())],
            Some(KeyKind::Long) => vec![long_key(&to.long_id())],
            None => vec![long_key(&to.long_id()), short_key(&to.short_id())],
        };
        if let Some(attempt) = self.attempts.get_mut(&id) {
            attempt.puts = keys.len();
        }
        for key in keys {
            let op = OpId(self.fresh_id());
            self.ops.insert(op, DhtOp::Put { attempt: id });
            self.out.push_back(Output::Dht(Command::Put {
                op,
                key,
                value: sealed.clone(),
                permanent: false,
            }));
        }
        true
    }

    /// A fresh id for a request.
    pub(super) fn offer_id(&mut self) -> u64 {
        self.rng.range(1..MAX_ID)
    }
}
