//! Who was heard of in the local network lately.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use baraza_wire::AccountId;
use serde::{Deserialize, Serialize};

use crate::protocol::nearby::NearbyAccount;

/// Who was not heard of for so long is not near any more: three of its announcements are lost.
pub const LIFETIME: Duration = Duration::from_secs(75);
/// Most people that are kept; who comes when there are more is left out.
pub const MAX_PEOPLE: usize = 256;

/// Somebody in the local network, as they say: nothing proves it before they answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The account.
    pub id: AccountId,
    /// The name that it shows; may be empty.
    pub name: String,
}

/// The people in the local network.
#[derive(Debug, Default)]
pub struct People {
    heard: BTreeMap<AccountId, (String, Instant)>,
    left_out: u64,
}

impl People {
    /// Somebody is there.
    pub fn hear(&mut self, now: Instant, account: NearbyAccount) {
        if self.heard.len() >= MAX_PEOPLE && !self.heard.contains_key(&account.id) {
            self.forget(now);
            if self.heard.len() >= MAX_PEOPLE {
                self.left_out = self.left_out.saturating_add(1);
                return;
            }
        }
        self.heard.insert(account.id, (account.name, now));
    }

    /// Who is there, by name.
    pub fn list(&mut self, now: Instant) -> Vec<Person> {
        self.forget(now);
        let mut people: Vec<Person> = self
            .heard
            .iter()
            .map(|(id, (name, _))| Person {
                id: *id,
                name: name.clone(),
            })
            .collect();
        people.sort_by_cached_key(|person| (person.name.to_lowercase(), person.id));
        people
    }

    /// How many were left out.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    fn forget(&mut self, now: Instant) {
        self.heard
            .retain(|_, (_, at)| now.saturating_duration_since(*at) < LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u16, name: &str) -> NearbyAccount {
        let mut id = [0; 20];
        id[..2].copy_from_slice(&number.to_be_bytes());
        NearbyAccount {
            id: AccountId::new(id),
            name: name.to_owned(),
        }
    }

    #[test]
    fn people_come_by_name_and_go_when_they_are_silent() {
        let now = Instant::now();
        let mut people = People::default();
        people.hear(now, account(1, "zuri"));
        people.hear(now, account(2, "Bakari"));
        let names = |people: &mut People, at| -> Vec<String> {
            let list = people.list(at).into_iter();
            list.map(|person| person.name).collect()
        };
        assert_eq!(names(&mut people, now), ["Bakari", "zuri"]);
        // Who says another name has that one.
        let later = now + LIFETIME / 2;
        people.hear(later, account(1, "Amina"));
        assert_eq!(names(&mut people, later), ["Amina", "Bakari"]);
        assert_eq!(names(&mut people, now + LIFETIME), ["Amina"]);
        assert_eq!(names(&mut people, later + LIFETIME), [""; 0]);
    }

    #[test]
    fn a_crowd_of_strangers_does_not_grow_without_end() {
        let now = Instant::now();
        let mut people = People::default();
        for number in 0..1000 {
            people.hear(now, account(number, "x"));
        }
        assert_eq!(people.list(now).len(), MAX_PEOPLE);
        assert_eq!(people.left_out(), 1000 - 256);
        // Who is there already is still heard, and others when there is room again.
        people.hear(now, account(0, "y"));
        assert_eq!(people.list(now).last().unwrap().name, "y");
        people.hear(now + LIFETIME, account(999, "z"));
        assert_eq!(people.list(now + LIFETIME).len(), 1);
    }
}
