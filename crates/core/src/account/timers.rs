//! When the account wants to be called again, and for what.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use baraza_link::ChannelId;
use baraza_store::OutboxKind;
use baraza_wire::{AccountId, ConversationId, DeviceId};

/// What a timer is for. There is one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Publish again what could not be published.
    Register,
    /// Write rows that may wait.
    Write,
    /// Send a request or a confirmation again.
    Outbox(OutboxKind, AccountId),
    /// Look for a device's certificate again.
    Lookup(DeviceId),
    /// Connect to a device.
    Dial(DeviceId),
    /// Ask a connected device what it has, though nothing seems to be missing.
    Check(DeviceId),
    /// Tell a device again of a commit it is owed.
    Notice(ConversationId, DeviceId),
    /// Fetch again after a failure.
    Fetch(ConversationId, DeviceId),
    /// A fetch on a channel, or an answer on a `sip` channel, takes too long.
    Channel(ChannelId),
    /// A device may be sent a profile again.
    Profile(DeviceId),
    /// The profile of a device's account should have come by now.
    NoProfile(DeviceId),
    /// Look at the routing table of a group.
    Route(ConversationId),
    /// Try again to clone.
    Clone(ConversationId),
    /// Erase a conversation that was left.
    Erase(ConversationId),
    /// We have not typed for a while.
    OwnTyping(ConversationId),
    /// Somebody may have stopped typing.
    Typing(ConversationId),
    /// Fetch files that wait for that.
    Files,
    /// Pack loose objects.
    Maintain,
    /// Open a channel to tell a device of the own account of changes.
    OpenSync(DeviceId),
    /// Tell the other devices of the account what has changed.
    TellSync,
    /// Leave contacts on the DHT for devices of the account that cannot be told otherwise.
    PostSync,
    /// Linking a device takes too long.
    Linking,
    /// Ask again for names that were asked for long ago.
    Names,
}

/// Timers by time.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_name: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets a timer, whatever it was.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(old) = self.by_name.insert(timer, at) {
            self.by_time.remove(&(old, timer));
        }
        self.by_time.insert((at, timer));
    }

    /// Sets a timer unless it is set for an earlier time.
    pub(crate) fn sooner(&mut self, timer: Timer, at: Instant) {
        if self.by_name.get(&timer).is_none_or(|old| at < *old) {
            self.set(timer, at);
        }
    }

    /// Clears a timer.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(old) = self.by_name.remove(&timer) {
            self.by_time.remove(&(old, timer));
        }
    }

    /// When a timer is due.
    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.by_name.get(&timer).copied()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_come_in_order_and_are_replaced() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set(Timer::Write, at(5));
        timers.set(Timer::Register, at(3));
        timers.sooner(Timer::Register, at(4));
        assert_eq!(timers.next(), Some(at(3)));
        timers.set(Timer::Register, at(9));
        timers.sooner(Timer::Register, at(8));
        assert_eq!(timers.pop(at(4)), None);
        assert_eq!(timers.pop(at(8)), Some(Timer::Write));
        assert_eq!(timers.get(Timer::Register), Some(at(8)));
        assert_eq!(timers.pop(at(8)), Some(Timer::Register));
        assert_eq!(timers.next(), None);
    }
}
