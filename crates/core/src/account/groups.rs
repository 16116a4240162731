//! Groups: who is invited, thrown out, or leaves, and the profile
//! (docs/protocol/05-swarm.md sections 4 and 7).
//!
//! An invitation is sent to every device of the invited account that is met, until the
//! account has joined or is not invited any more: nobody says that one has arrived.

use std::collections::BTreeSet;
use std::time::Duration;

use baraza_link::ChannelId;
use baraza_store::{ConversationState, StoreError};
use baraza_swarm::{Author, Mode, Profile, Repository, RepositoryError, Role};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId, UnixTime};

use crate::account::channels::ChannelKind;
use crate::account::conversation::Conversation;
use crate::account::timers::Timer;
use crate::account::{Account, CommandFailure};
use crate::command::{
    CommandError, GroupMode, MAX_DESCRIPTION, MAX_NAME, MAX_PICTURE, ProfileChange,
};
use crate::event::EventBody;
use crate::protocol::message::{Invite, Message};

/// A conversation that was left is served for so long after one device has fetched that:
/// the others may be about to.
const SERVED_AFTER: Duration = Duration::from_secs(60);
/// And so long if none does.
const SERVED_LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most members of a group.
const MAX_MEMBERS: usize = 1000;

impl Account {
    /// The command to make a group.
    pub(super) fn create_group(
        &mut self,
        mode: GroupMode,
        profile: ProfileChange,
        members: &[AccountId],
    ) -> Result<ConversationId, CommandFailure> {
        let mode = match mode {
            GroupMode::AdminInvitesOnly => Mode::AdminInvitesOnly,
            GroupMode::InvitesOnly => Mode::InvitesOnly,
            GroupMode::Public => Mode::Public,
        };
        check_profile(&profile)?;
        if members.len() >= MAX_MEMBERS {
            return Err(too_many_members().into());
        }
        for member in members {
            self.may_invite(member)?;
        }
        let parent = self.core.conversations_directory();
        std::fs::create_dir_all(&parent)
            .map_err(|error| CommandError::Repository(error.to_string()))?;
        let (author, now) = (self.core.author(), self.core.now.unix);
        let repository = Repository::create_group(&parent, author, mode, now).map_err(failed)?;
        let first: ConversationId = repository.id();
        let id = self.add_conversation(repository, None, &[first.into()])?;
        self.core
            .emit(EventBody::ConversationReady { conversation: id });
        if profile != ProfileChange::default() {
            self.update_profile(id, profile)?;
        }
        for member in members {
            self.add_member(id, *member)?;
        }
        Ok(id)
    }

    fn may_invite(&self, member: &AccountId) -> Result<(), CommandFailure> {
        if *member == self.core.account {
            return Err(CommandError::Oneself.into());
        }
        if self.is_banned(member) {
            return Err(CommandError::Blocked.into());
        }
        Ok(())
    }

    /// The command to invite somebody, again if need be; a banned one is taken back.
    pub(super) fn add_member(
        &mut self,
        id: ConversationId,
        member: AccountId,
    ) -> Result<(), CommandFailure> {
        self.may_invite(&member)?;
        let repository = self.group(&id)?;
        let role = repository.role(&member).map_err(failed)?;
        if repository.members().map_err(failed)?.len() >= MAX_MEMBERS {
            return Err(too_many_members().into());
        }
        match role {
            Some(Role::Admin | Role::Member) => {
                let text = "the account is a member already".to_owned();
                return Err(CommandError::NotAllowed(text).into());
            }
            Some(Role::Banned) => {
                self.write(id, |repository, author, now| {
                    repository.unban(author, member, now)
                })?;
                // One that was a member is one again, and needs no invitation.
                if self.group(&id)?.role(&member).map_err(failed)? == Some(Role::Invited) {
                    self.owe_invitation(id, member)?;
                }
            }
            Some(Role::Invited | Role::Left) | None => {
                // Before the commit, so that no crash in between makes an invitation that
                // nobody sends; one without its commit is dropped at the next start.
                self.owe_invitation(id, member)?;
                self.write(id, |repository, author, now| {
                    let commit = repository.add_member(author, member, now)?;
                    Ok(commit.into_iter().collect())
                })?;
            }
        }
        Ok(self.send_invitations(member)?)
    }

    /// The command to throw somebody out: a vote, where there are several admins.
    pub(super) fn ban_member(
        &mut self,
        id: ConversationId,
        member: AccountId,
    ) -> Result<(), CommandFailure> {
        self.group(&id)?;
        self.write(id, |repository, author, now| {
            repository.ban(author, member, now)
        })
    }

    /// The command to change title, description or picture.
    pub(super) fn update_profile(
        &mut self,
        id: ConversationId,
        change: ProfileChange,
    ) -> Result<(), CommandFailure> {
        check_profile(&change)?;
        let repository = self.group(&id)?;
        if repository.role(&self.core.account).map_err(failed)? != Some(Role::Admin) {
            let text = "only admins change the profile".to_owned();
            return Err(CommandError::NotAllowed(text).into());
        }
        let old = repository.profile().map_err(failed)?.unwrap_or_default();
        let mut profile = Profile::parse(&old);
        let set = |field: &mut Option<String>, value: Option<String>| {
            if let Some(value) = value {
                *field = Some(value).filter(|value| !value.is_empty());
            }
        };
        set(&mut profile.title, change.title);
        set(&mut profile.description, change.description);
        set(&mut profile.avatar, change.avatar);
        set(&mut profile.host_account, change.host_account);
        set(&mut profile.host_device, change.host_device);
        let card = profile
            .to_vcard()
            .map_err(|error| CommandError::Invalid(error.to_string()))?;
        self.write(id, |repository, author, now| {
            let commit = repository.update_profile(author, card.as_bytes(), now)?;
            Ok(vec![commit])
        })
    }

    /// The command to leave a conversation. The others have to learn of it, so that it is
    /// served until one of them has.
    pub(super) fn leave(&mut self, id: ConversationId) -> Result<(), CommandFailure> {
        let conversation = self.conversations.get(&id);
        let conversation = conversation.filter(|conversation| !conversation.is_left());
        let conversation = conversation.ok_or(CommandError::NoSuchConversation)?;
        let Some(repository) = conversation.ready() else {
            return Ok(self.remove_conversation(&id)?);
        };
        if repository.mode() == Mode::OneToOne {
            let contact = self
                .contacts
                .values()
                .find(|row| row.is_active() && row.conversation == Some(id))
                .map(|row| row.contact);
            return match contact {
                Some(contact) => self.remove_contact(contact, false),
                None => Ok(self.remove_conversation(&id)?),
            };
        }
        let own = self.core.account;
        let present = |role| matches!(role, Role::Admin | Role::Member | Role::Invited);
        let members = repository.members().map_err(failed)?;
        let others = members.iter().any(|m| m.uri != own && present(m.role));
        let joined = members
            .iter()
            .any(|m| m.uri == own && matches!(m.role, Role::Admin | Role::Member));
        if !others || !joined {
            return Ok(self.remove_conversation(&id)?);
        }
        let device = self.core.device;
        let devices = repository.devices().map_err(failed)?;
        let introduced = devices.iter().any(|(known, _)| *known == device);
        self.write(id, |repository, author, now| {
            let mut commits = Vec::new();
            if !introduced {
                // A device that is new to the others cannot take its leave from them.
                commits.extend(repository.commit_batch(author, &[introduction()], now)?);
            }
            commits.push(repository.leave(author, now)?);
            Ok(commits)
        })?;
        let now = self.core.now.unix;
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.row.state = ConversationState::Removed;
            conversation.row.removed = now.max(UnixTime::from_millis(1));
            conversation.touch();
        }
        self.note_removed(&id, now)?;
        self.core
            .emit(EventBody::ConversationRemoved { conversation: id });
        self.serve_left(id);
        Ok(())
    }

    /// Sets when a conversation that was left is erased.
    pub(super) fn serve_left(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get(&id) else {
            return;
        };
        let own = self.core.account;
        let known = |owed: Result<Option<CommitId>, StoreError>| matches!(owed, Ok(None));
        let fetched = conversation
            .peers
            .values()
            .filter(|peer| peer.known.owner != own)
            .any(|peer| known(peer.known.owed(&conversation.index, &self.core.store)));
        let age = self
            .core
            .now
            .unix
            .saturating_since(conversation.row.removed);
        let pause = if conversation.repository.is_none() {
            Duration::ZERO
        } else if fetched {
            SERVED_AFTER
        } else {
            SERVED_LONGEST.saturating_sub(age)
        };
        let later = self.core.after(pause);
        self.core.timers.sooner(Timer::Erase(id), later);
    }

    /// Writes something to a conversation, and tells the others.
    fn write(
        &mut self,
        id: ConversationId,
        write: impl FnOnce(
            &mut Repository,
            Author<'_>,
            UnixTime,
        ) -> Result<Vec<CommitId>, RepositoryError>,
    ) -> Result<(), CommandFailure> {
        let conversation = self
            .conversations
            .get_mut(&id)
            .filter(|conversation| conversation.is_ready())
            .ok_or(CommandError::NoSuchConversation)?;
        let repository = conversation
            .repository
            .as_mut()
            .ok_or(CommandError::NoSuchConversation)?;
        let commits = write(repository, self.core.author(), self.core.now.unix).map_err(failed)?;
        conversation.add_fresh(&mut self.core, &commits, true)?;
        if conversation.diverged {
            conversation.merge_rest(&mut self.core)?;
        }
        self.members_changed(id)?;
        Ok(self.notify_all(id, None)?)
    }

    /// The repository of a group in which we are.
    fn group(&self, id: &ConversationId) -> Result<&Repository, CommandFailure> {
        let conversation = self.conversation(id)?;
        let repository = conversation
            .ready()
            .ok_or(CommandError::NoSuchConversation)?;
        let role = repository.role(&self.core.account).map_err(failed)?;
        if !matches!(role, Some(Role::Admin | Role::Member)) {
            return Err(CommandError::NotMember.into());
        }
        if repository.mode() == Mode::OneToOne {
            let text = "a conversation of two has no other members, and no profile".to_owned();
            return Err(CommandError::NotAllowed(text).into());
        }
        Ok(repository)
    }

    /// Members may have come or gone: hears of those who came, and has nothing more to do
    /// here with those who went.
    pub(super) fn members_changed(&mut self, id: ConversationId) -> Result<(), StoreError> {
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        let Some(repository) = &conversation.repository else {
            return Ok(());
        };
        let role = |account: &AccountId| repository.role(account).ok().flatten();
        let settled: Vec<AccountId> = conversation
            .invitations
            .keys()
            .copied()
            .filter(|target| role(target) != Some(Role::Invited))
            .collect();
        let gone: BTreeSet<AccountId> = conversation
            .peers
            .values()
            .map(|peer| peer.known.owner)
            .filter(|owner| !repository.is_authorised(owner).unwrap_or(true))
            .collect();
        let number = conversation.row.number;
        for target in settled {
            self.core.store.begin()?;
            self.core.store.remove_invitation(number, &target)?;
            conversation.invitations.remove(&target);
        }
        let devices: Vec<DeviceId> = conversation
            .peers
            .iter()
            .filter(|(_, peer)| gone.contains(&peer.known.owner))
            .map(|(device, _)| *device)
            .collect();
        for device in devices {
            conversation.peers.remove(&device);
            self.core.timers.clear(Timer::Notice(id, device));
            self.core.timers.clear(Timer::Fetch(id, device));
            self.core.store.begin()?;
            self.core.store.remove_delivery(number, &device)?;
        }
        let channels: Vec<ChannelId> = self
            .channels
            .iter()
            .filter(|(_, channel)| match &channel.kind {
                ChannelKind::Fetch { conversation, .. }
                | ChannelKind::Serve { conversation, .. }
                | ChannelKind::Swarm { conversation, .. } => {
                    *conversation == id && gone.contains(&channel.account)
                }
                _ => false,
            })
            .map(|(channel, _)| *channel)
            .collect();
        for channel in channels {
            self.close_channel(channel)?;
        }
        self.forget_signs(&id);
        self.update_routing(id)?;
        self.watch_members(&id);
        self.meet_devices(&id);
        Ok(())
    }

    /// After the start: invitations that are settled, and conversations that were left.
    pub(super) fn check_members(&mut self) -> Result<(), StoreError> {
        let all: Vec<ConversationId> = self.conversations.keys().copied().collect();
        for id in all {
            self.members_changed(id)?;
            let conversation = self.conversations.get(&id);
            if conversation.is_some_and(Conversation::is_left) {
                self.serve_left(id);
            }
        }
        Ok(())
    }

    /// Notes that somebody is to be invited, durably.
    fn owe_invitation(&mut self, id: ConversationId, target: AccountId) -> Result<(), StoreError> {
        let now = self.core.now.unix;
        let Some(conversation) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        conversation.invitations.insert(target, now);
        let number = conversation.row.number;
        self.core.store.begin()?;
        self.core.store.put_invitation(number, &target, now)?;
        self.watch(target);
        self.flush()
    }

    /// Whether somebody was invited by us and has not joined.
    pub(super) fn is_invited(&self, account: &AccountId) -> bool {
        self.conversations
            .values()
            .any(|conversation| conversation.invites(account))
    }

    /// Sends an account what it is invited to, on all its devices.
    fn send_invitations(&mut self, target: AccountId) -> Result<(), StoreError> {
        self.welcome(&target)?;
        for device in self.devices_of(&target) {
            let linked = self.devices.get(&device).is_some_and(|device| device.link);
            if linked {
                self.invite(device)?;
            } else {
                self.want(device);
            }
        }
        Ok(())
    }

    /// Sends a device the invitations of its account: at once, or over the DHT if there is
    /// no channel.
    pub(super) fn invite(&mut self, device: DeviceId) -> Result<(), StoreError> {
        for message in self.invitations(&device) {
            self.send_instant(device, &message)?;
        }
        Ok(())
    }

    /// The invitations of a device's account.
    pub(super) fn invitations(&self, device: &DeviceId) -> Vec<Message> {
        let Some(owner) = self.devices.get(device).map(|device| device.row.owner) else {
            return Vec::new();
        };
        self.conversations
            .values()
            .filter(|conversation| conversation.invites(&owner))
            .filter_map(|conversation| invitation(conversation, Some(&owner)))
            .collect()
    }
}

/// The invitation to a conversation; to whom matters for its time.
pub(super) fn invitation(
    conversation: &Conversation,
    target: Option<&AccountId>,
) -> Option<Message> {
    let repository = conversation.ready()?;
    let issued = target.and_then(|target| conversation.invitations.get(target));
    let mut metadata: std::collections::BTreeMap<String, String> =
        [("mode".to_owned(), conversation.row.mode.to_string())].into();
    let card = repository.profile().ok().flatten().unwrap_or_default();
    let profile = Profile::parse(&card);
    for (key, value) in [
        ("title", profile.title),
        ("description", profile.description),
        ("avatar", profile.avatar),
    ] {
        if let Some(value) = value {
            metadata.insert(key.to_owned(), value);
        }
    }
    Some(Message::Invite(Invite {
        conversation: conversation.row.id,
        metadata,
        received: Some(issued.copied().unwrap_or(conversation.row.created)),
    }))
}

/// A commit that says nothing, but with which a device makes itself known: clients show
/// none of a kind that they do not know.
fn introduction() -> baraza_swarm::Message {
    baraza_swarm::Message::Other {
        kind: "application/x-device-introduction".to_owned(),
        fields: serde_json::Map::new(),
    }
}

fn too_many_members() -> CommandError {
    CommandError::NotAllowed(format!("a group has at most {MAX_MEMBERS} members"))
}

fn check_profile(change: &ProfileChange) -> Result<(), CommandError> {
    let one_line = |text: &str| !text.contains(['\r', '\n']);
    let fits = |value: &Option<String>, most: usize| {
        value
            .as_deref()
            .is_none_or(|value| value.len() <= most && one_line(value))
    };
    if !fits(&change.title, MAX_NAME) {
        let text = format!("a title is one line of at most {MAX_NAME} bytes");
        return Err(CommandError::Invalid(text));
    }
    if !fits(&change.description, MAX_DESCRIPTION) {
        let text = format!("a description is one line of at most {MAX_DESCRIPTION} bytes");
        return Err(CommandError::Invalid(text));
    }
    let id = |value: &Option<String>, good: fn(&str) -> bool| {
        value
            .as_deref()
            .is_none_or(|value| value.is_empty() || good(value))
    };
    let account = id(&change.host_account, |value| {
        value.parse::<AccountId>().is_ok()
    });
    let device = id(&change.host_device, |value| {
        value.parse::<DeviceId>().is_ok()
    });
    if !account || !device {
        let text = "a host is the Jami ID of an account and the ID of a device";
        return Err(CommandError::Invalid(text.into()));
    }
    if !fits(&change.avatar, MAX_PICTURE) {
        let text = format!("a picture is base64 of at most {MAX_PICTURE} bytes");
        return Err(CommandError::Invalid(text));
    }
    Ok(())
}

fn failed(error: RepositoryError) -> CommandFailure {
    match error {
        RepositoryError::NotAllowed(why) | RepositoryError::Pointless(why) => {
            CommandError::NotAllowed(why.to_owned()).into()
        }
        error => CommandError::Repository(error.to_string()).into(),
    }
}
