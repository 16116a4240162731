//! Copies of a group with one commit too many: one that a member must not write.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use baraza_identity::{Certificate, DeviceIdentity};
use baraza_swarm::Repository;
use baraza_swarm::commit::{Draft, merge_message};
use baraza_swarm::objects::NewObjects;
use baraza_swarm::tree::Trees;
use baraza_swarm::upload_pack::Served;
use baraza_wire::{AccountId, CommitId, DeviceId, UnixTime};
use gix::ObjectId;
use gix::objs::Kind;

/// A kind of forgery, as in `swarm-bad.tar.gz` (docs/protocol/05-swarm.md section 5.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgery {
    /// No signature.
    Unsigned,
    /// In the name of another device.
    SignedByOtherDevice,
    /// Under a device id that has no certificate.
    WrongDeviceName,
    /// A text that makes its author an admin.
    SelfPromotion,
    /// A text with a file beside it.
    StrayFile,
    /// A second beginning, in which the author is the admin.
    SecondRoot,
    /// Takes out another member.
    RemoveOther,
    /// Bans the admin.
    BanWithoutVote,
    /// A vote of somebody who has none.
    VoteByMember,
    /// A profile by somebody who may not change it.
    ProfileByMember,
    /// Of no type.
    EmptyType,
    /// Not JSON.
    NotJson,
    /// A merge with a file that neither side has.
    MergeAddsFile,
    /// A merge that brings back a member who left on one of the sides.
    MergeResurrectsMember,
    /// With a device that says it is the admin's.
    ForgedDevice,
    /// With a device of somebody who is no member.
    AuthorNotMember,
    /// A text with a file that is no text.
    BinaryFile,
    /// An edit of what somebody else wrote.
    EditOtherAuthor,
}

/// All kinds.
pub const FORGERIES: [Forgery; 18] = [
    Forgery::Unsigned,
    Forgery::SignedByOtherDevice,
    Forgery::WrongDeviceName,
    Forgery::SelfPromotion,
    Forgery::StrayFile,
    Forgery::SecondRoot,
    Forgery::RemoveOther,
    Forgery::BanWithoutVote,
    Forgery::VoteByMember,
    Forgery::ProfileByMember,
    Forgery::EmptyType,
    Forgery::NotJson,
    Forgery::MergeAddsFile,
    Forgery::MergeResurrectsMember,
    Forgery::ForgedDevice,
    Forgery::AuthorNotMember,
    Forgery::BinaryFile,
    Forgery::EditOtherAuthor,
];

const TEXT: &str = r#"{"body":"forged","type":"text/plain"}"#;

/// Who forges.
#[derive(Debug, Clone)]
pub struct Forger {
    /// A member.
    pub member: DeviceIdentity,
    /// Another device of the member.
    pub second: DeviceIdentity,
    /// A device of somebody who is no member.
    pub stranger: DeviceIdentity,
}

/// The certificate of a device, with another account as the issuer.
fn under_another_name(device: &DeviceIdentity, issuer: &AccountId) -> Result<String> {
    let (own, other) = (device.account_id().to_hex(), issuer.to_hex());
    let mut der = device.chain().leaf().der().to_vec();
    let at = der
        .windows(own.len())
        .position(|part| part == own.as_bytes());
    let at = at.context("no issuer")?;
    der[at..at + other.len()].copy_from_slice(other.as_bytes());
    Ok(Certificate::from_der(&der)?.to_pem())
}

/// Adds a forged commit to a repository, as its head.
pub(super) fn forge(
    directory: &Path,
    forgery: &Forgery,
    forger: &Forger,
    now: UnixTime,
) -> Result<Repository> {
    let repository = Repository::open(directory)?;
    let author = &forger.member;
    let head = repository.head();
    let tree = ObjectId::Sha1(repository.tree());
    let admin = repository.creator();
    let (account, own) = (author.account_id(), author.device_id());
    let devices = repository.devices()?;
    let other: DeviceId = devices
        .iter()
        .find(|(_, owner)| *owner == admin)
        .map(|(device, _)| *device)
        .context("no admin")?;
    let victim: AccountId = devices
        .iter()
        .map(|(_, owner)| *owner)
        .find(|owner| *owner != admin && *owner != account)
        .context("nobody else")?;
    let member = |uri: AccountId| format!("members/{uri}.crt");
    let commit = repository.with_view(|view| -> Result<CommitId> {
        let objects = NewObjects::new(view.objects());
        let trees = Trees::default();
        let file = |path: String| trees.file(view.objects(), tree, &path);
        let empty = objects.add(Kind::Blob, Vec::new());
        let junk = objects.add(Kind::Blob, b"junk".to_vec());
        let mut changes: BTreeMap<String, Option<ObjectId>> = BTreeMap::new();
        let mut message = TEXT.to_owned();
        let about = |action: &str, uri: AccountId| {
            format!(r#"{{"action":"{action}","type":"member","uri":"{uri}"}}"#)
        };
        let (mut device, mut parents, mut key) = (own, vec![head], author.key());
        match forgery {
            Forgery::Unsigned => {}
            Forgery::SignedByOtherDevice => device = other,
            Forgery::WrongDeviceName => device = DeviceId::new([0x42; 32]),
            Forgery::SelfPromotion => {
                let certificate = file(member(account))?;
                changes.insert(format!("admins/{account}.crt"), certificate);
            }
            Forgery::ForgedDevice | Forgery::AuthorNotMember => {
                let stranger = matches!(forgery, Forgery::AuthorNotMember);
                let (speaks, pem) = match stranger {
                    true => (&forger.stranger, forger.stranger.chain().leaf().to_pem()),
                    false => (&forger.second, under_another_name(&forger.second, &admin)?),
                };
                (device, key) = (speaks.device_id(), speaks.key());
                let file = objects.add(Kind::Blob, pem.into_bytes());
                changes.insert(format!("devices/{device}.crt"), Some(file));
            }
            Forgery::BinaryFile => {
                let binary = objects.add(Kind::Blob, (0..=255).collect());
                changes.insert("attachments/binary".into(), Some(binary));
            }
            // The first commit is the admin's.
            Forgery::EditOtherAuthor => {
                message = format!(
                    r#"{{"body":"forged","edit":"{}","type":"text/plain"}}"#,
                    repository.id()
                );
            }
            Forgery::StrayFile => _ = changes.insert("readme.txt".into(), Some(junk)),
            Forgery::RemoveOther => {
                changes.insert(member(victim), None);
                message = about("remove", victim);
            }
            Forgery::BanWithoutVote => {
                let certificate = file(member(victim))?;
                changes.insert(member(victim), None);
                changes.insert(format!("banned/members/{victim}.crt"), certificate);
                message = about("ban", victim);
            }
            Forgery::VoteByMember => {
                let vote = format!("votes/ban/members/{victim}/{account}");
                changes.insert(vote, Some(empty));
                message = format!(r#"{{"type":"vote","uri":"{victim}"}}"#);
            }
            Forgery::ProfileByMember => {
                changes.insert("profile.vcf".into(), Some(junk));
                message = r#"{"type":"application/update-profile"}"#.to_owned();
            }
            Forgery::EmptyType => message = r#"{"body":"forged"}"#.to_owned(),
            Forgery::NotJson => message = "forged".to_owned(),
            Forgery::MergeResurrectsMember => {
                // One side goes on, on the other the author leaves.
                let gone = BTreeMap::from([
                    (member(account), None),
                    (format!("devices/{own}.crt"), None),
                ]);
                let left = trees.edit(&objects, Some(tree), &gone)?;
                let leave = about("remove", account);
                parents.clear();
                for (tree, message) in [(tree, TEXT), (left, leave.as_str())] {
                    let draft = Draft {
                        tree,
                        parents: &[head],
                        name: "forger",
                        device: own,
                        time: now.secs(),
                        message: message.as_bytes(),
                    };
                    let id = objects.add(Kind::Commit, draft.sign(author.key())?);
                    parents.push(CommitId::from_slice(id.as_bytes()).context("an id")?);
                }
                message = merge_message(&parents[1]);
            }
            Forgery::SecondRoot | Forgery::MergeAddsFile => {
                let root = matches!(forgery, Forgery::SecondRoot);
                let certificate = file(member(account))?;
                let admins = format!("admins/{account}.crt");
                let below = match root {
                    true => [(admins.clone(), certificate)].into(),
                    false => BTreeMap::new(),
                };
                let side = trees.edit(&objects, (!root).then_some(tree), &below)?;
                let text = match root {
                    true => r#"{"mode":2,"type":"initial"}"#,
                    false => TEXT,
                };
                let draft = Draft {
                    tree: side,
                    parents: if root { &[] } else { &parents },
                    name: "forger",
                    device: own,
                    time: now.secs(),
                    message: text.as_bytes(),
                };
                let object = draft.sign(author.key())?;
                let id = objects.add(Kind::Commit, object);
                let id = CommitId::from_slice(id.as_bytes()).context("an id")?;
                parents.push(id);
                message = merge_message(&id);
                match root {
                    true => _ = changes.insert(admins, certificate),
                    false => _ = changes.insert("readme.txt".into(), Some(junk)),
                }
            }
        }
        let tree = trees.edit(&objects, Some(tree), &changes)?;
        let draft = Draft {
            tree,
            parents: &parents,
            name: "forger",
            device,
            time: now.secs(),
            message: message.as_bytes(),
        };
        let object = match forgery {
            Forgery::Unsigned => draft.unsigned(),
            _ => draft.sign(key)?,
        };
        let id = objects.add(Kind::Commit, object);
        objects.store_pack(&directory.join(".git"))?;
        CommitId::from_slice(id.as_bytes()).context("an id")
    });
    let commit = commit.context("no view")??;
    drop(repository);
    let main = directory.join(".git/refs/heads/main");
    std::fs::write(main, format!("{commit}\n"))?;
    Ok(Repository::open(directory)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crowd::{self, Group};
    use crate::node_host::Disk;

    #[test]
    fn every_forgery_breaks_a_rule_of_its_own() {
        let group = Group::of(4).unwrap();
        let forger = crowd::forger(3).unwrap();
        let mut refusals = Vec::new();
        for forgery in FORGERIES {
            let disk = Disk::new().unwrap();
            group.copy_to(disk.path()).unwrap();
            let directory = disk.path().join(group.id.to_hex());
            let now = crate::world::UNIX_START;
            drop(forge(&directory, &forgery, &forger, now).unwrap());
            let verified = baraza_swarm::verify(&directory);
            let refused = verified.expect_err(&format!("{forgery:?}"));
            refusals.push(format!("{forgery:?}: {refused}"));
        }
        let rules: std::collections::BTreeSet<&str> = refusals
            .iter()
            .filter_map(|text| text.split_once(": ").map(|(_, text)| text))
            .collect();
        assert!(rules.len() >= 12, "{refusals:#?}");
    }
}
