//! Second devices of members: linked in the middle of everything, and revoked again.

use anyhow::Result;
use baraza_core::Command;
use baraza_wire::AccountId;

use super::Stage;
use super::person::{Asked, Person, Place};
use crate::crowd;
use crate::node_host::Disk;

impl Stage {
    /// Adds the second device of a member, which is nowhere yet.
    pub(super) fn add_second(&mut self, owner: usize) -> Result<()> {
        let line = super::home(self.world.rng());
        let host = self.world.add_host(line);
        let number = self.people.len();
        let keys = crowd::second_device(owner)?;
        let mut person = Person::new(number, host, Place::Unlinked, keys);
        person.name = format!("member {owner}'s second device");
        person.owner = Some(owner);
        let node = self.world.net_mut().node_mut(host);
        node.name.clone_from(&person.name);
        self.owners.insert(host, number);
        self.people.push(person);
        Ok(())
    }

    /// Somebody sets up a second device: it has the account, and everything else to learn
    /// from the first.
    pub(super) fn link(&mut self) -> Result<()> {
        let second = self.people.iter().position(|person| {
            let owner = person.owner.map(|owner| self.people[owner].place);
            person.place == Place::Unlinked && owner == Some(Place::Member)
        });
        if let Some(index) = second {
            self.people[index].place = Place::Invited;
            self.people[index].disk = Some(Disk::new()?);
            self.start(index)?;
            self.note("devices linked", index, "");
        }
        Ok(())
    }

    /// Somebody revokes the second device from the first.
    pub(super) fn revoke(&mut self) -> Result<()> {
        let second = self.people.iter().position(|person| {
            let owner = person.owner.filter(|owner| self.is_up(*owner));
            owner.is_some() && matches!(person.place, Place::Invited | Place::Member)
        });
        let Some((index, owner)) =
            second.and_then(|index| Some((index, self.people[index].owner?)))
        else {
            return Ok(());
        };
        let now = self.world.now_at(self.people[owner].host).unix;
        let identity = &self.people[index].keys.identity;
        let mut archive = crowd::archive(owner)?;
        let list = archive.revoke(identity.chain().leaf(), now, &mut self.rng)?;
        let command = Command::TakeRevocations {
            list: list.der().to_vec(),
        };
        self.note("devices revoked", index, "");
        // Whether it is done is not known if the first device crashes now.
        self.people[index].place = Place::Gone;
        self.ask(owner, Asked::Revoke, command);
        Ok(())
    }

    /// An account is not in the group any more, on none of its devices.
    pub(super) fn account_gone(&mut self, account: AccountId) {
        let devices = self.people.iter_mut().filter(|p| p.account() == account);
        for person in devices.filter(|person| person.place != Place::Unlinked) {
            person.place = Place::Gone;
        }
    }
}
