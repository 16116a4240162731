//! How the states of two devices of one account become one
//! (docs/protocol/06-messages-files.md section 5.3).
//!
//! What comes out does not depend on which device heard of what first, nor on how often:
//! each rule takes the larger of two by some order. Peers of 2023 cut times to seconds,
//! which [`contact_heard`], [`span_heard`] and [`request_heard`] make good for.

use std::collections::BTreeMap;
use std::time::Duration;

use baraza_store::{ContactRow, RequestRow};
use baraza_wire::{CommitId, UnixTime};

use crate::protocol::sync::{SyncContact, SyncConversation};

/// Two records of one contact.
pub(super) fn contact(ours: &ContactRow, theirs: &ContactRow) -> ContactRow {
    // Of an addition and a removal at the same time the removal counts.
    let rank = |row: &ContactRow| {
        let last = row.added.max(row.removed);
        let removed = !row.is_active();
        let removal = (removed && row.banned, row.removed, row.added);
        (last, removed, removal, row.conversation)
    };
    let mut winner = match rank(theirs) > rank(ours) {
        true => theirs.clone(),
        false => ours.clone(),
    };
    let both = ours.is_active() && theirs.is_active() && ours.added == theirs.added;
    winner.confirmed |= both && (ours.confirmed || theirs.confirmed);
    winner.confirmed &= winner.is_active();
    winner.banned &= !winner.is_active();
    winner
}

/// What a device said of a contact, as a record to be merged with ours.
pub(super) fn contact_heard(
    ours: Option<&ContactRow>,
    contact: baraza_wire::AccountId,
    theirs: &SyncContact,
) -> ContactRow {
    let (added, removed) = match ours.filter(|_| !theirs.exact) {
        Some(ours) => refine((ours.added, ours.removed), (theirs.added, theirs.removed)),
        None => (theirs.added, theirs.removed),
    };
    ContactRow {
        contact,
        added,
        removed,
        confirmed: theirs.confirmed,
        banned: theirs.banned,
        conversation: theirs.conversation,
    }
}

/// When a conversation was made or accepted, and when it was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) created: UnixTime,
    pub(super) removed: UnixTime,
}

impl Span {
    /// Whether it is there.
    pub(super) fn is_active(&self) -> bool {
        self.created > self.removed
    }

    /// Both together.
    pub(super) fn merge(self, other: Self) -> Self {
        Self {
            created: self.created.max(other.created),
            removed: self.removed.max(other.removed),
        }
    }
}

/// What a device said of a conversation.
pub(super) fn span_heard(ours: Option<Span>, theirs: &SyncConversation) -> Span {
    let (created, removed) = match ours.filter(|_| !theirs.exact) {
        Some(ours) => refine(
            (ours.created, ours.removed),
            (theirs.created, theirs.removed),
        ),
        None => (theirs.created, theirs.removed),
    };
    // One that is erased was removed, whatever else is said.
    Span {
        created,
        removed: removed.max(theirs.erased),
    }
}

/// Times cut to seconds that may be ours: then they are ours. But what was removed stays so.
fn refine(ours: (UnixTime, UnixTime), theirs: (UnixTime, UnixTime)) -> (UnixTime, UnixTime) {
    let same = |ours: UnixTime, theirs: UnixTime| match ours.secs() == theirs.secs() {
        true => ours,
        false => theirs,
    };
    let added = same(ours.0, theirs.0);
    let removed = same(ours.1, theirs.1);
    let news = ours.1.secs() != theirs.1.secs();
    if news && theirs.1 >= theirs.0 && theirs.1.millis() > 0 {
        return (added, removed.max(added));
    }
    (added, removed)
}

/// What a device said of a request. That it was declined in a second, as devices of 2023 say,
/// is our own word if it may be; else all that was sent in that second is meant.
pub(super) fn request_heard(
    ours: Option<&RequestRow>,
    theirs: RequestRow,
    exact: bool,
) -> RequestRow {
    let cut = theirs.declined;
    if exact || cut.millis() == 0 {
        return theirs;
    }
    let ours = ours.map(|ours| ours.declined);
    let declined = match ours.filter(|ours| ours.secs() == cut.secs()) {
        Some(ours) => ours,
        None => cut.saturating_add(Duration::from_millis(999)),
    };
    RequestRow { declined, ..theirs }
}

/// Two records of one request. A declined one is pending again only if it was sent anew.
pub(super) fn request(ours: &RequestRow, theirs: &RequestRow) -> RequestRow {
    let first = (ours.received, &ours.name, ours.sender, ours.mode)
        <= (theirs.received, &theirs.name, theirs.sender, theirs.mode);
    let mut merged = if first { ours.clone() } else { theirs.clone() };
    merged.issued = ours.issued.max(theirs.issued);
    merged.declined = ours.declined.max(theirs.declined);
    merged
}

/// Two sets of preferences with the time of the last change, in seconds.
pub(super) fn preferences(
    ours: (u64, BTreeMap<String, String>),
    theirs: (u64, BTreeMap<String, String>),
) -> (u64, BTreeMap<String, String>) {
    ours.max(theirs)
}

/// Two marks with their time, in seconds.
pub(super) fn mark(
    ours: Option<(CommitId, u64)>,
    theirs: Option<(CommitId, u64)>,
) -> Option<(CommitId, u64)> {
    let rank = |mark: &Option<(CommitId, u64)>| mark.map(|(commit, time)| (time, commit));
    match rank(&theirs) > rank(&ours) {
        true => theirs,
        false => ours,
    }
}

#[cfg(test)]
mod tests {
    use baraza_wire::{AccountId, ConversationId};
    use proptest::prelude::*;

    use super::*;

    /// Few different times, so that they often are equal.
    fn time() -> impl Strategy<Value = UnixTime> {
        (0_u64..6).prop_map(|n| UnixTime::from_millis(n * 400))
    }

    prop_compose! {
        fn any_contact()(
            added in time(),
            removed in time(),
            confirmed in any::<bool>(),
            banned in any::<bool>(),
            chat in prop::option::of(0_u8..2),
        ) -> ContactRow {
            let active = added > removed;
            ContactRow {
                contact: AccountId::default(),
                added,
                removed,
                confirmed: confirmed && active,
                banned: banned && !active,
                conversation: chat.map(|n| ConversationId::new([n; 20])),
            }
        }
    }

    prop_compose! {
        fn any_request()(
            received in time(),
            declined in time(),
            issued in time(),
            mode in 0_u8..2,
            name in "[ab]",
        ) -> RequestRow {
            RequestRow {
                conversation: ConversationId::default(),
                sender: AccountId::default(),
                mode,
                name,
                received,
                declined,
                issued,
            }
        }
    }

    prop_compose! {
        fn any_span()(created in time(), removed in time()) -> Span {
            Span { created, removed }
        }
    }

    fn any_mark() -> impl Strategy<Value = Option<(CommitId, u64)>> {
        prop::option::of((0_u8..3, 0_u64..3))
            .prop_map(|mark| mark.map(|(id, time)| (CommitId::new([id; 20]), time)))
    }

    /// The result is the same in each order, and after any repetition.
    fn is_join<T: PartialEq + std::fmt::Debug>(
        merge: impl Fn(&T, &T) -> T,
        [a, b, c]: &[T; 3],
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(&merge(a, a), a);
        prop_assert_eq!(merge(a, b), merge(b, a));
        prop_assert_eq!(merge(&merge(a, b), c), merge(a, &merge(b, c)));
        let both = merge(a, b);
        prop_assert_eq!(&merge(&both, a), &both);
        Ok(())
    }

    proptest! {
        #[test]
        fn contacts_merge_in_any_order(rows in prop::array::uniform3(any_contact())) {
            is_join(contact, &rows)?;
        }

        #[test]
        fn requests_merge_in_any_order(rows in prop::array::uniform3(any_request())) {
            is_join(request, &rows)?;
        }

        #[test]
        fn spans_merge_in_any_order(spans in prop::array::uniform3(any_span())) {
            is_join(|a: &Span, b: &Span| a.merge(*b), &spans)?;
        }

        #[test]
        fn marks_merge_in_any_order(marks in prop::array::uniform3(any_mark())) {
            is_join(|a, b| mark(*a, *b), &marks)?;
        }

        #[test]
        fn what_was_cut_to_seconds_changes_nothing(ours in any_contact()) {
            let cut = SyncContact {
                added: UnixTime::from_secs(ours.added.secs()),
                removed: UnixTime::from_secs(ours.removed.secs()),
                confirmed: ours.confirmed,
                banned: ours.banned,
                conversation: ours.conversation,
                exact: false,
            };
            let heard = contact_heard(Some(&ours), ours.contact, &cut);
            prop_assert_eq!(contact(&ours, &heard), ours);
        }
    }

    #[test]
    fn a_request_declined_in_the_second_it_was_sent_in_is_declined() {
        let sent = RequestRow {
            conversation: ConversationId::default(),
            sender: AccountId::default(),
            mode: 0,
            name: String::new(),
            received: UnixTime::from_millis(5450),
            declined: UnixTime::default(),
            issued: UnixTime::from_millis(5400),
        };
        let theirs = RequestRow {
            declined: UnixTime::from_secs(5),
            issued: UnixTime::default(),
            ..sent.clone()
        };
        let hear = |ours: &RequestRow, exact| {
            let heard = request_heard(Some(ours), theirs.clone(), exact);
            request(ours, &heard)
        };
        let declined = hear(&sent, false);
        assert!(!declined.is_pending());
        assert_eq!(hear(&declined, false), declined, "told once more");
        // Sent anew: what was said before does not decline it again.
        let anew = RequestRow {
            issued: UnixTime::from_millis(6100),
            ..declined
        };
        assert!(hear(&anew, false).is_pending());
        // Who knows milliseconds means them.
        assert!(hear(&sent, true).is_pending());
    }

    #[test]
    fn a_removal_in_the_second_of_the_addition_counts() {
        let ours = ContactRow {
            contact: AccountId::default(),
            added: UnixTime::from_millis(5500),
            removed: UnixTime::default(),
            confirmed: true,
            banned: false,
            conversation: None,
        };
        let theirs = SyncContact {
            added: UnixTime::from_secs(5),
            removed: UnixTime::from_secs(5),
            ..SyncContact::default()
        };
        let heard = contact_heard(Some(&ours), ours.contact, &theirs);
        assert!(!contact(&ours, &heard).is_active());
    }

    #[test]
    fn a_declined_request_comes_back_only_if_it_was_sent_anew() {
        let at = UnixTime::from_secs;
        let pending = |received, issued| RequestRow {
            conversation: ConversationId::default(),
            sender: AccountId::default(),
            mode: 0,
            name: String::new(),
            received: at(received),
            declined: at(0),
            issued: at(issued),
        };
        let mut declined = pending(10, 9);
        declined.declined = at(11);
        // The other device heard of it later, but it is the same one.
        assert!(!request(&declined, &pending(20, 9)).is_pending());
        assert!(!request(&declined, &pending(20, 0)).is_pending());
        assert!(request(&declined, &pending(20, 12)).is_pending());
    }
}
