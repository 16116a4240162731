//! Whether the peer is still there (section 11.1).
//!
//! TCP does not tell: the system of a peer takes what comes for a program that hangs, and one
//! that lost its way back to us answers nobody. So whoever was sent something and then keeps
//! silent is asked.

use std::time::{Duration, Instant};

use super::{FIRST_WORDS_TIMEOUT, SILENCE};

/// What a passed deadline means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// The peer is to be asked.
    Ask,
    /// It is gone.
    Gone,
}

/// What is known of the peer's presence.
#[derive(Debug)]
pub(super) struct Liveness {
    beacon: Beacon,
    /// When the peer was first sent something after its last word, beacons aside; nobody who
    /// only answers them is asked in return.
    unheard: Option<Instant>,
    /// When the link has failed if nothing was heard at all; `None` once something was.
    first_words: Option<Instant>,
}

#[derive(Debug)]
enum Beacon {
    /// To be sent as soon as the peer has told its version.
    Due,
    None,
    Sent {
        unanswered: u32,
        patience: Duration,
        deadline: Instant,
    },
}

impl Liveness {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            beacon: Beacon::None,
            unheard: None,
            first_words: now.checked_add(FIRST_WORDS_TIMEOUT),
        }
    }

    /// Bytes of the peer came. Whoever sends lives, even if its answer waits behind a bulk
    /// transfer.
    pub(super) fn heard(&mut self, now: Instant) {
        self.first_words = None;
        self.unheard = None;
        self.give_time(now);
    }

    /// A message that is no beacon leaves.
    pub(super) fn sent(&mut self, now: Instant) {
        self.unheard.get_or_insert(now);
    }

    /// The time for the answer to a beacon begins anew.
    pub(super) fn give_time(&mut self, now: Instant) {
        if let Beacon::Sent {
            deadline, patience, ..
        } = &mut self.beacon
        {
            *deadline = now + *patience;
        }
    }

    /// The peer must say something within `patience`; a beacon is to be sent to it.
    pub(super) fn asked(&mut self, now: Instant, patience: Duration) {
        self.hurry(now, patience);
        let before = match self.beacon {
            Beacon::Sent { unanswered, .. } => unanswered,
            Beacon::Due | Beacon::None => 0,
        };
        self.beacon = Beacon::Sent {
            unanswered: before.saturating_add(1),
            patience,
            deadline: now + patience,
        };
    }

    /// A beacon is to be sent as soon as the peer has told its version.
    pub(super) fn ask_later(&mut self, now: Instant, patience: Duration) {
        self.hurry(now, patience);
        self.beacon = Beacon::Due;
    }

    /// If the peer never said a word, it must within `patience`.
    pub(super) fn hurry(&mut self, now: Instant, patience: Duration) {
        self.first_words = self.first_words.map(|at| at.min(now + patience));
    }

    /// The peer answered a beacon.
    pub(super) fn answered(&mut self) {
        if let Beacon::Sent { unanswered, .. } = &mut self.beacon {
            *unanswered = unanswered.saturating_sub(1);
            if *unanswered == 0 {
                self.beacon = Beacon::None;
            }
        }
    }

    /// Whether a beacon waited for the peer's version, which it does no longer.
    pub(super) fn take_due(&mut self) -> bool {
        let due = matches!(self.beacon, Beacon::Due);
        if due {
            self.beacon = Beacon::None;
        }
        due
    }

    /// When to ask for a verdict; `answers` says whether the peer answers beacons.
    pub(super) fn poll_timeout(&self, answers: bool) -> Option<Instant> {
        let beacon = match self.beacon {
            Beacon::Sent { deadline, .. } => Some(deadline),
            Beacon::None if answers => self.unheard.map(|at| at + SILENCE),
            Beacon::Due | Beacon::None => None,
        };
        beacon.into_iter().chain(self.first_words).min()
    }

    pub(super) fn verdict(&self, now: Instant, answers: bool) -> Verdict {
        let passed = |at: Instant| at <= now;
        if self.first_words.is_some_and(passed) {
            return Verdict::Gone;
        }
        match (&self.beacon, self.poll_timeout(answers)) {
            (_, Some(at)) if !passed(at) => Verdict::Fine,
            (_, None) => Verdict::Fine,
            (Beacon::Sent { .. }, Some(_)) => Verdict::Gone,
            (Beacon::Due | Beacon::None, Some(_)) => Verdict::Ask,
        }
    }
}
