//! Commands of clients, and the questions among them.

use std::collections::BTreeMap;

use baraza_store::{MessageRow, StoreError};
use baraza_swarm::{Repository, RepositoryError};
use baraza_wire::{AccountId, CommitId, ConversationId, DeviceId};

use crate::account::channels::ChannelKind;
use crate::account::conversation::Conversation;
use crate::account::{Account, CommandFailure, RequestId};
use crate::command::{
    self, Command, CommandError, Contact, Diagnostics, Identity, MAX_PAGE, Member, Reply, Request,
    Role,
};
use crate::event::Presence;
use crate::event::{EventBody, Message};

type Result<T> = std::result::Result<T, CommandFailure>;

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn repository(error: RepositoryError) -> CommandFailure {
    CommandError::Repository(error.to_string()).into()
}

impl Account {
    /// Does a command. `None`: its reply comes later.
    pub(super) fn command(
        &mut self,
        request: RequestId,
        command: Command,
    ) -> Result<Option<Reply>> {
        let command = match command {
            Command::SendMessage {
                conversation,
                body,
                reply_to,
            } => {
                self.queue_text(request, conversation, body, reply_to)?;
                return Ok(None);
            }
            Command::React {
                conversation,
                message,
                emoji,
            } => {
                self.queue_reaction(request, conversation, message, emoji)?;
                return Ok(None);
            }
            Command::EditMessage {
                conversation,
                message,
                body,
            } => {
                self.flush()?;
                self.queue_edit(request, conversation, message, body)?;
                return Ok(None);
            }
            Command::SendFile {
                conversation,
                source,
                name,
                reply_to,
            } => {
                self.send_file(request, conversation, source, &name, reply_to)?;
                return Ok(None);
            }
            Command::DeleteFile {
                conversation,
                message,
            } => {
                self.flush()?;
                self.delete_file(request, conversation, message)?;
                return Ok(None);
            }
            Command::ImportBundle { bundle } => {
                self.flush()?;
                self.import_bundle(request, &bundle)?;
                return Ok(None);
            }
            Command::LookUpName { query, fresh } => {
                return self.look_up_name(request, query, fresh);
            }
            Command::RegisterName { name, registration } => {
                self.register_name(request, name, &registration)?;
                return Ok(None);
            }
            command => command,
        };
        // What was written before is there for what is asked now.
        while self.has_queued() {
            self.commit_queued()?;
        }
        self.flush()?;
        let reply = match command {
            Command::Identity => Reply::Identity(self.identity()?),
            Command::SetDisplayName { name } => self.set_profile(Some(name), None)?,
            Command::Profile { of } => self.shown_profile(of)?,
            Command::SetProfile { name, picture } => self.set_profile(name, picture)?,
            Command::SendRequest { to, text: _ } => Reply::Conversation(self.send_request(to)?),
            Command::Requests => Reply::Requests(self.pending_requests()),
            Command::AcceptRequest { conversation } => {
                self.accept_request(conversation)?;
                Reply::Done
            }
            Command::DeclineRequest { conversation } => {
                self.decline_request(conversation)?;
                Reply::Done
            }
            Command::NameSettings => Reply::NameSettings(self.name_settings()),
            Command::ChangeNameSettings {
                server,
                only_signed,
            } => Reply::NameSettings(self.change_name_settings(server, only_signed)?),
            Command::Contacts => Reply::Contacts(self.contact_list()?),
            Command::AddContact { contact } => {
                self.add_contact_command(contact)?;
                Reply::Done
            }
            Command::RemoveContact { contact, ban } => {
                self.remove_contact(contact, ban)?;
                Reply::Done
            }
            Command::CreateGroup {
                mode,
                profile,
                members,
            } => Reply::Conversation(self.create_group(mode, profile, &members)?),
            Command::AddMember {
                conversation,
                member,
            } => {
                self.add_member(conversation, member)?;
                Reply::Done
            }
            Command::BanMember {
                conversation,
                member,
            } => {
                self.ban_member(conversation, member)?;
                Reply::Done
            }
            Command::Leave { conversation } => {
                self.leave(conversation)?;
                Reply::Done
            }
            Command::UpdateProfile {
                conversation,
                profile,
            } => {
                self.update_profile(conversation, profile)?;
                Reply::Done
            }
            Command::Conversations => Reply::Conversations(self.conversation_list()?),
            Command::ConversationInfo { conversation } => self.info(&conversation)?,
            Command::Rejoin { conversation, from } => {
                self.rejoin(conversation, from)?;
                Reply::Done
            }
            Command::View {
                conversation,
                at,
                count,
            } => Reply::View(self.view_page(&conversation, &at, count)?),
            Command::Search(search) => Reply::Found(self.search(&search)?),
            Command::Settings => Reply::Settings(self.core.settings),
            Command::ChangeSettings { typing, receipts } => {
                Reply::Settings(self.change_settings(typing, receipts)?)
            }
            Command::SetComposing {
                conversation,
                active,
            } => {
                self.set_composing(conversation, active)?;
                Reply::Done
            }
            Command::Members { conversation } => Reply::Members(self.members(&conversation)?),
            Command::History {
                conversation,
                from,
                count,
            } => Reply::History(self.history(&conversation, from, count)?),
            Command::CountMessages { conversation } => {
                Reply::Count(self.conversation(&conversation)?.index.length())
            }
            Command::Repository { conversation } => {
                let repository = self.repository(&conversation)?;
                Reply::Path(repository.directory().to_owned())
            }
            Command::PauseFetching {
                conversation,
                paused,
            } => {
                self.pause_fetching(conversation, paused)?;
                Reply::Done
            }
            Command::Snapshot { conversation, into } => {
                self.snapshot(&conversation, &into)?;
                Reply::Done
            }
            Command::MarkRead {
                conversation,
                message,
            } => {
                self.mark_read(conversation, message)?;
                Reply::Done
            }
            Command::Devices => Reply::Devices(self.own_device_list()),
            Command::PeerDevices { of } => Reply::PeerDevices(self.peer_devices(&of)?),
            Command::SetVerified { of, verified } => {
                Reply::PeerDevices(self.set_verified(&of, verified)?)
            }
            Command::RenameDevice { name } => {
                self.rename_device(name)?;
                Reply::Done
            }
            Command::TakeRevocations { list } => {
                self.revoke_command(&list)?;
                Reply::Done
            }
            Command::Preferences { conversation } => {
                Reply::Preferences(self.preferences(&conversation)?)
            }
            Command::SetPreferences {
                conversation,
                changes,
            } => {
                self.set_preferences(conversation, changes)?;
                Reply::Done
            }
            Command::DeliveryStatus {
                conversation,
                message,
            } => Reply::Delivery(self.delivery(&conversation, message)?),
            Command::LinkDevice { token } => {
                self.link_device(&token)?;
                Reply::Done
            }
            Command::ConfirmLink => {
                self.confirm_link()?;
                Reply::Done
            }
            Command::CancelLink => {
                self.cancel_link()?;
                Reply::Done
            }
            Command::Diagnostics => Reply::Diagnostics(self.diagnostics()),
            Command::Files { conversation } => self.file_list(&conversation)?,
            Command::File {
                conversation,
                message,
            } => self.file(conversation, &message)?,
            Command::AcceptFile {
                conversation,
                message,
            } => {
                self.accept_file(conversation, message)?;
                Reply::Done
            }
            Command::CancelFile {
                conversation,
                message,
            } => {
                self.cancel_file(conversation, message)?;
                Reply::Done
            }
            Command::AutoAccept => self.auto_accept(),
            Command::SetAutoAccept { limit } => self.set_auto_accept(limit)?,
            Command::SendMessage { .. }
            | Command::React { .. }
            | Command::EditMessage { .. }
            | Command::SendFile { .. }
            | Command::DeleteFile { .. }
            | Command::LookUpName { .. }
            | Command::RegisterName { .. }
            | Command::ImportBundle { .. } => {
                return Ok(None);
            }
        };
        Ok(Some(reply))
    }

    /// A conversation that can be used.
    pub(super) fn conversation(&self, id: &ConversationId) -> Result<&Conversation> {
        self.conversations
            .get(id)
            .filter(|conversation| conversation.is_ready())
            .ok_or_else(|| CommandError::NoSuchConversation.into())
    }

    fn repository(&self, id: &ConversationId) -> Result<&Repository> {
        self.conversation(id)?
            .ready()
            .ok_or_else(|| CommandError::NoSuchConversation.into())
    }

    fn identity(&self) -> Result<Identity> {
        Ok(Identity {
            account: self.core.config.local_id,
            jami_id: self.core.account,
            device_id: self.core.device,
            display_name: self.core.config.display_name.clone(),
            registered_name: self.names.own().to_owned(),
            state: self.registration.state,
            announced: self.registration.announced,
            backed_up: self.backed_up()?,
        })
    }

    fn pending_requests(&self) -> Vec<Request> {
        let mut requests: Vec<Request> = self
            .requests
            .values()
            .filter(|row| row.is_pending())
            .map(|row| Request {
                from: row.sender,
                conversation: row.conversation,
                mode: row.mode,
                name: row.name.clone(),
                received: row.received,
            })
            .collect();
        requests.sort_by_key(|request| (request.received, request.conversation));
        requests
    }

    fn contact_list(&self) -> Result<Vec<Contact>> {
        let mut names = self.shown_names()?;
        let list = self
            .contacts
            .values()
            .filter(|row| row.is_active() || row.is_banned())
            .map(|row| Contact {
                id: row.contact,
                name: self.name_of(&row.contact),
                registered_name: names.remove(&row.contact).unwrap_or_default(),
                added: row.added,
                confirmed: row.confirmed,
                banned: row.is_banned(),
                conversation: row.conversation,
                presence: self.presence(&row.contact),
                unreachable: self.unreachable(&row.contact),
            });
        Ok(list.collect())
    }

    /// Why a contact that is on the network is not connected, for people.
    fn unreachable(&self, account: &AccountId) -> Option<String> {
        if self.presence(account) != Presence::Available {
            return None;
        }
        let devices = self.devices.values();
        let devices = devices.filter(|device| device.row.owner == *account);
        let mut present = devices.filter(|device| !device.present.is_empty());
        present.find_map(|device| device.failed.as_ref().map(ToString::to_string))
    }

    fn conversation_list(&self) -> Result<Vec<command::Conversation>> {
        let mut list = Vec::new();
        for conversation in self.conversations.values() {
            let Some(repository) = conversation.ready() else {
                continue;
            };
            let members = repository.members().map_err(self::repository)?;
            let id = conversation.row.id;
            list.push(command::Conversation {
                id: conversation.row.id,
                mode: conversation.row.mode,
                members: members.into_iter().map(|member| member.uri).collect(),
                length: conversation.index.length(),
                last: conversation.index.newest(&self.core.store)?,
                read: conversation.row.read,
                refusals: conversation
                    .refusals
                    .iter()
                    .map(|row| self.refusal(row))
                    .collect(),
                unread: conversation.view.unread,
                first_unread: self.first_unread(conversation)?,
                newest: self.newest_entry(&id)?.map(Box::new),
            });
        }
        Ok(list)
    }

    fn info(&self, id: &ConversationId) -> Result<Reply> {
        let conversation = self.conversation(id)?;
        let mut info = BTreeMap::from([("mode".into(), conversation.row.mode.to_string())]);
        let profile = self.repository(id)?.profile().map_err(repository)?;
        for line in String::from_utf8_lossy(&profile.unwrap_or_default()).lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let key = match key {
                "FN" => "title",
                "DESCRIPTION" => "description",
                "RDV_ACCOUNT" => "rdvAccount",
                "RDV_DEVICE" => "rdvDevice",
                key if key.starts_with("PHOTO") => "avatar",
                _ => continue,
            };
            info.insert(key.into(), value.into());
        }
        Ok(Reply::Info(info))
    }

    pub(super) fn members(&self, id: &ConversationId) -> Result<Vec<Member>> {
        let conversation = self.conversation(id)?;
        let own = self.core.account;
        let members = self.repository(id)?.members().map_err(repository)?;
        let members = members.into_iter().map(|member| Member {
            uri: member.uri,
            read: if member.uri == own {
                conversation.row.read
            } else {
                conversation
                    .signs
                    .read(&member.uri)
                    .map(|read| read.message)
            },
            role: match member.role {
                baraza_swarm::Role::Admin => Role::Admin,
                baraza_swarm::Role::Member => Role::Member,
                baraza_swarm::Role::Invited => Role::Invited,
                baraza_swarm::Role::Banned => Role::Banned,
                baraza_swarm::Role::Left => Role::Left,
            },
        });
        Ok(members.collect())
    }

    pub(super) fn history(
        &self,
        id: &ConversationId,
        from: Option<CommitId>,
        count: usize,
    ) -> Result<Vec<Message>> {
        let conversation = self.conversation(id)?;
        let store = &self.core.store;
        let newest = match from {
            Some(from) => conversation.index.position(store, &from)?,
            None => conversation.index.length().checked_sub(1),
        };
        let Some(newest) = newest else {
            return match from {
                Some(_) => Err(CommandError::NoSuchMessage.into()),
                None => Ok(Vec::new()),
            };
        };
        let count = if count == 0 {
            MAX_PAGE
        } else {
            count.min(MAX_PAGE)
        };
        // One more, for the parent of the last.
        let rows = store.messages_down(conversation.row.number, newest, count.saturating_add(1))?;
        let before = rows.iter().skip(1).map(|row| Some(row.id));
        let before: Vec<Option<CommitId>> = before.chain([None]).collect();
        let messages = rows.into_iter().zip(before).take(count);
        Ok(messages.map(|(row, before)| message(row, before)).collect())
    }

    fn mark_read(&mut self, id: ConversationId, commit: CommitId) -> Result<()> {
        let conversation = self.conversation(&id)?;
        let before = conversation.row.read;
        let position = conversation.index.position(&self.core.store, &commit)?;
        let position = position.ok_or(CommandError::NoSuchMessage)?;
        let before = match before {
            Some(before) => conversation.index.position(&self.core.store, &before)?,
            None => None,
        };
        if before == Some(position) {
            return Ok(());
        }
        self.set_read(id, commit)?;
        if before.is_none_or(|before| before < position) {
            self.tell_read(id, commit)?;
        }
        Ok(())
    }

    /// Another device of ours has read up to a message.
    pub(super) fn read_elsewhere(
        &mut self,
        id: ConversationId,
        commit: CommitId,
    ) -> std::result::Result<(), StoreError> {
        let Some(conversation) = self.conversations.get(&id) else {
            return Ok(());
        };
        let store = &self.core.store;
        let position = conversation.index.position(store, &commit)?;
        let before = match conversation.row.read {
            Some(before) => conversation.index.position(store, &before)?,
            None => None,
        };
        if position > before {
            self.set_read(id, commit)?;
        }
        Ok(())
    }

    fn set_read(
        &mut self,
        id: ConversationId,
        commit: CommitId,
    ) -> std::result::Result<(), StoreError> {
        // Later than the last mark, also if the clock was set back.
        let before = self.sync.read.get(&id).map_or(0, |(_, time)| *time);
        let time = self.core.now.unix.secs().max(before.saturating_add(1));
        self.put_mark(id, (commit, time))
    }

    /// Notes up to where was read, here or on another device of the account.
    pub(super) fn show_read(
        &mut self,
        id: ConversationId,
        commit: CommitId,
    ) -> std::result::Result<(), StoreError> {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.row.read = Some(commit);
            conversation.touch();
            // If it is not here yet, when it comes.
            let position = conversation.index.position(&self.core.store, &commit)?;
            if let Some(position) = position {
                conversation.read_below(&mut self.core, position.saturating_add(1))?;
            }
        }
        let account = self.core.account;
        self.core.emit(EventBody::MessageRead {
            conversation: id,
            message: commit,
            account,
        });
        Ok(())
    }

    fn diagnostics(&self) -> Diagnostics {
        let links: Vec<(AccountId, DeviceId)> = self
            .links
            .values()
            .map(|peer| (peer.account, peer.device))
            .collect();
        let name = |kind: &ChannelKind| match kind {
            ChannelKind::Msg(_) => "msg".to_owned(),
            ChannelKind::Sip(_) => "sip".to_owned(),
            ChannelKind::Fetch { conversation, .. } => format!("fetch {conversation}"),
            ChannelKind::Serve { conversation, .. } => format!("serve {conversation}"),
            ChannelKind::Sync(_) => "sync".to_owned(),
            ChannelKind::FetchFile((_, message)) => format!("fetch file {message}"),
            ChannelKind::ServeFile(_) => "serve file".to_owned(),
            ChannelKind::Swarm { conversation, .. } => format!("swarm {conversation}"),
            ChannelKind::SendProfile(_) | ChannelKind::TakeProfile(_) => "profile".to_owned(),
        };
        let fetching = |kind: &ChannelKind| match kind {
            ChannelKind::Fetch { fetch, .. } => !fetch.is_idle(),
            _ => false,
        };
        let clones = self.conversations.values();
        let clones = clones.filter(|conversation| !conversation.is_ready());
        Diagnostics {
            links,
            channels: self
                .channels
                .values()
                .filter(|channel| channel.open)
                .map(|channel| format!("{} {}", channel.device.short(), name(&channel.kind)))
                .collect(),
            fetches: self
                .channels
                .values()
                .filter(|channel| fetching(&channel.kind))
                .count(),
            clones: clones.count(),
            owed: self
                .devices
                .keys()
                .filter(|device| self.is_owed(device))
                .count(),
        }
    }
}

/// A row of the index as clients see it.
fn message(row: MessageRow, before: Option<CommitId>) -> Message {
    Message {
        id: row.id,
        author: row.author,
        kind: row.kind,
        timestamp: row.time,
        parents: row.parents,
        linearized_parent: before,
        fields: serde_json::from_str(&row.fields).unwrap_or_default(),
    }
}
