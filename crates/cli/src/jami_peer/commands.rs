//! What each command does.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use baraza_core::command::{Contact, GroupMode, Identity};
use baraza_core::event::{EventBody, LocalId, RegistrationState};
use baraza_core::link_device::{LinkState, LinkStatus};
use baraza_core::view::{Entry, PageAt};
use baraza_core::{Command, Node, NodeError, ProfileChange, Reply};
use baraza_identity::Password;
use baraza_wire::{AccountId, ConversationId};
use serde_json::{Map, Value, json};
use tokio::sync::{broadcast, watch};

use crate::arguments::Arguments;
use crate::output::flat;

/// Details of an account, by the daemon's names.
const SEND_COMPOSING: &str = "Account.sendComposing";
const SEND_RECEIPTS: &str = "Account.sendReadReceipt";
/// How often something waited for is looked up even if no event tells of it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a reply waits for the events before it.
const TELL_TIMEOUT: Duration = Duration::from_secs(2);

/// The peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) name: String,
    pub(crate) bootstrap: String,
    pub(crate) name_server: String,
    pub(crate) ip: String,
    /// Cursor of the last event that was written out.
    pub(crate) seen: watch::Receiver<u64>,
}

impl Peer {
    /// Waits until all events up to now are written out.
    pub(crate) async fn events_told(&self) {
        let newest = self.node.cursor();
        let mut seen = self.seen.clone();
        let told = seen.wait_for(|cursor| *cursor >= newest);
        if tokio::time::timeout(TELL_TIMEOUT, told).await.is_err() {
            tracing::warn!(newest, "events are late");
        }
    }

    pub(crate) async fn run(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let command = with.required("cmd")?;
        match command.as_str() {
            "accounts" => {
                with.end()?;
                let ids = self.node.accounts().into_iter();
                Ok(ids.map(|account| json!(account.account)).collect())
            }
            "add_member" => {
                let account = self.account(&mut with)?;
                let command = Command::AddMember {
                    conversation: conversation(&mut with)?,
                    member: with.id("jami_id")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "create_account" => self.create_account(with).await,
            "create_group" => {
                let account = self.account(&mut with)?;
                let command = Command::CreateGroup {
                    mode: group_mode(&mut with)?,
                    profile: ProfileChange {
                        title: Some(with.text("title")?).filter(|title| !title.is_empty()),
                        ..ProfileChange::default()
                    },
                    members: with.ids("members")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "edit_message" => {
                let account = self.account(&mut with)?;
                let command = Command::EditMessage {
                    conversation: conversation(&mut with)?,
                    message: with.id("message")?,
                    body: with.text("body")?,
                };
                let _answers_when_written = with.seconds("wait", 10.0)?;
                with.end()?;
                self.ask(account, command).await
            }
            "leave" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::Leave { conversation }).await?;
                Ok(json!(true))
            }
            "look_around" => {
                let account = self.account(&mut with)?;
                let on = with.flag("on")?;
                with.end()?;
                self.node.look_around(on)?;
                self.node.show_nearby(account, on)?;
                Ok(Value::Null)
            }
            "nearby" => {
                let account = self.account(&mut with)?;
                with.end()?;
                let people = self.node.nearby(account)?.people.into_iter();
                let people = people.map(|one| (one.id.to_hex(), Value::from(one.name)));
                Ok(Value::Object(people.collect()))
            }
            "react" => {
                let account = self.account(&mut with)?;
                let command = Command::React {
                    conversation: conversation(&mut with)?,
                    message: with.id("message")?,
                    emoji: with.required("emoji")?,
                };
                let _answers_when_written = with.seconds("wait", 10.0)?;
                with.end()?;
                self.ask(account, command).await
            }
            "remove_member" => {
                let account = self.account(&mut with)?;
                let command = Command::BanMember {
                    conversation: conversation(&mut with)?,
                    member: with.id("jami_id")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "set_active" => {
                let account = self.account(&mut with)?;
                let active = with.flag("active")?;
                with.end()?;
                self.node.set_enabled(account, active).await?;
                Ok(Value::Null)
            }
            "set_conversation_info" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                let mut infos = with.texts("infos")?;
                let command = Command::UpdateProfile {
                    conversation,
                    profile: ProfileChange {
                        title: infos.remove("title"),
                        description: infos.remove("description"),
                        avatar: infos.remove("avatar"),
                        host_account: infos.remove("rdvAccount"),
                        host_device: infos.remove("rdvDevice"),
                    },
                };
                if let Some(other) = infos.keys().next() {
                    bail!("no information {other}");
                }
                with.end()?;
                self.ask(account, command).await
            }
            "conversation_info" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::ConversationInfo { conversation })
                    .await
            }
            "accept_file" => self.accept_file(with).await,
            "accept_request" => self.accept_request(with).await,
            "cancel_file" => self.cancel_file(with).await,
            "add_contact" => {
                let account = self.account(&mut with)?;
                let contact = with.id("jami_id")?;
                with.end()?;
                self.ask(account, Command::AddContact { contact }).await
            }
            "view" => {
                let account = self.account(&mut with)?;
                let command = Command::View {
                    conversation: conversation(&mut with)?,
                    at: PageAt::Newest,
                    count: with.count("count")?.max(1),
                };
                with.end()?;
                self.ask(account, command).await
            }
            "delivery" => {
                let account = self.account(&mut with)?;
                let command = Command::DeliveryStatus {
                    conversation: conversation(&mut with)?,
                    message: with.optional_id("message")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "composing" => {
                let account = self.account(&mut with)?;
                let command = Command::SetComposing {
                    conversation: conversation(&mut with)?,
                    active: with.flag_or("on", true)?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "displayed" => {
                let account = self.account(&mut with)?;
                let command = Command::MarkRead {
                    conversation: conversation(&mut with)?,
                    message: with.id("message")?,
                };
                with.end()?;
                self.ask(account, command).await?;
                Ok(json!(true))
            }
            "set_details" => {
                let account = self.account(&mut with)?;
                let mut details = with.texts("details")?;
                let mut switch = |name: &str| details.remove(name).map(|value| value == "true");
                let command = Command::ChangeSettings {
                    typing: switch(SEND_COMPOSING),
                    receipts: switch(SEND_RECEIPTS),
                };
                if let Some(other) = details.keys().next() {
                    bail!("no detail {other}");
                }
                with.end()?;
                self.ask(account, command).await?;
                Ok(Value::Null)
            }
            "contacts" => self.simple(with, Command::Contacts).await,
            "conversations" => self.simple(with, Command::Conversations).await,
            "count_messages" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::CountMessages { conversation })
                    .await
            }
            "decline_request" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::DeclineRequest { conversation })
                    .await
            }
            "change_password" => self.change_password(with).await,
            "details" => self.details(with).await,
            "devices" => {
                let account = self.account(&mut with)?;
                with.end()?;
                match self.node.command(account, Command::Devices).await? {
                    Reply::Devices(devices) => Ok(devices
                        .into_iter()
                        .filter(|device| !device.revoked)
                        .map(|device| (device.id.to_hex(), json!(device.name)))
                        .collect::<Map<String, Value>>()
                        .into()),
                    other => bail!("no devices: {other:?}"),
                }
            }
            "revoke_device" => {
                let account = self.account(&mut with)?;
                let device = with.id("device")?;
                let password = Some(Password::new(with.text("password")?));
                let _answers_at_once = with.seconds("timeout", 60.0)?;
                with.end()?;
                let password = password.filter(|password| !password.is_empty());
                match self.node.revoke_device(account, password, device).await {
                    Ok(()) => Ok(json!(0)),
                    Err(
                        NodeError::Archive(_)
                        | NodeError::WrongPassword
                        | NodeError::PasswordNeeded,
                    ) => Ok(json!(1)),
                    Err(NodeError::NoSuchDevice) => Ok(json!(2)),
                    Err(error) => Err(error.into()),
                }
            }
            "export_archive" => self.export_archive(with).await,
            "history" => {
                let account = self.account(&mut with)?;
                let command = Command::History {
                    conversation: conversation(&mut with)?,
                    from: with.optional_id("start")?,
                    count: with.count("count")?,
                };
                let _answers_at_once = with.seconds("timeout", 60.0)?;
                with.end()?;
                self.ask(account, command).await
            }
            "identity" => {
                let account = self.account(&mut with)?;
                with.end()?;
                Ok(self.identity_json(&self.identity(account).await?))
            }
            "link_here" => self.link_here(with).await,
            "cancel_link" => self.cancel_link(with).await,
            "link_answer" => {
                let password = Password::new(with.text("password")?);
                with.end()?;
                self.node.confirm_new_link(password).await?;
                Ok(Value::Null)
            }
            "link_device" => self.link_device(with).await,
            "link_pin" => self.link_pin(with).await,
            "lookup_address" => self.lookup_address(with).await,
            "lookup_name" => self.lookup_name(with).await,
            "members" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::Members { conversation }).await
            }
            "register_name" => self.register_name(with).await,
            "remove_account" => {
                let account = self.account(&mut with)?;
                with.end()?;
                self.node.remove_account(account).await?;
                Ok(Value::Null)
            }
            "remove_contact" => {
                let account = self.account(&mut with)?;
                let command = Command::RemoveContact {
                    contact: with.id("jami_id")?,
                    ban: with.flag("ban")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "repository" => {
                let account = self.account(&mut with)?;
                let conversation = conversation(&mut with)?;
                with.end()?;
                self.ask(account, Command::Repository { conversation })
                    .await
            }
            "preferences" => self.preferences(with).await,
            "set_preferences" => self.set_preferences(with).await,
            "rename_device" => self.rename_device(with).await,
            "requests" => self.simple(with, Command::Requests).await,
            "profile_of" => self.profile_of(with).await,
            "set_profile" => self.set_profile(with).await,
            "send_file" => self.send_file(with).await,
            "send_message" => self.send_message(with).await,
            "send_request" => {
                let account = self.account(&mut with)?;
                let command = Command::SendRequest {
                    to: with.id("to")?,
                    text: with.text("text")?,
                };
                with.end()?;
                self.ask(account, command).await
            }
            "wait_registered" => {
                let account = self.account(&mut with)?;
                let timeout = with.seconds("timeout", 60.0)?;
                let _ignored = with.count("since")?;
                with.end()?;
                self.registered(account, timeout).await?;
                Ok(Value::Null)
            }
            other => bail!("no command {other}"),
        }
    }

    /// The account named, or the first one.
    pub(crate) fn account(&self, with: &mut Arguments) -> anyhow::Result<LocalId> {
        match with.optional_id("account")? {
            Some(account) => Ok(account),
            None => {
                let first = self.node.accounts().into_iter().next();
                first.map(|first| first.account).context("no account")
            }
        }
    }

    async fn ask(&self, account: LocalId, command: Command) -> anyhow::Result<Value> {
        result(self.node.command(account, command).await?)
    }

    /// A command that takes nothing but the account.
    async fn simple(&self, mut with: Arguments, command: Command) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        with.end()?;
        self.ask(account, command).await
    }

    async fn identity(&self, account: LocalId) -> anyhow::Result<Identity> {
        match self.node.command(account, Command::Identity).await? {
            Reply::Identity(identity) => Ok(identity),
            other => bail!("not an identity: {other:?}"),
        }
    }

    fn identity_json(&self, identity: &Identity) -> Value {
        json!({
            "account": identity.account,
            "jami_id": identity.jami_id,
            "device_id": identity.device_id,
            "display_name": identity.display_name,
            "registered_name": identity.registered_name,
            "state": identity.state,
            "ip": self.ip,
        })
    }

    async fn create_account(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let begun = Instant::now();
        let mut name = with.text("display_name")?;
        let password = password(&mut with, "password")?;
        let archive = with.text("archive")?;
        let pin = with.text("pin")?;
        let wait = with.seconds("wait", 60.0)?;
        let bootstrap = with.text("bootstrap")?;
        if !bootstrap.is_empty() && bootstrap != self.bootstrap {
            bail!("all accounts bootstrap from {:?}", self.bootstrap);
        }
        let mut name_server = with.text("name_server")?;
        if name_server.is_empty() {
            name_server.clone_from(&self.name_server);
        }
        for accepted in ["device_name", "public_in"] {
            let _unused = match accepted {
                "public_in" => with.flag(accepted).map(|_| String::new())?,
                text => with.text(text)?,
            };
        }
        with.end()?;
        let progress = |_| {};
        let account = if !pin.is_empty() {
            let found = self
                .node
                .find_by_pin(pin.parse()?, password.clone())
                .await?;
            self.node
                .add_device(found, password, name, progress)
                .await?
        } else if archive.is_empty() {
            if name.is_empty() {
                name.clone_from(&self.name);
            }
            self.node.create_account(name, password, progress).await?
        } else {
            let bytes = std::fs::read(&archive).with_context(|| archive.clone())?;
            self.node
                .import_archive(bytes, password, name, progress)
                .await?
        };
        self.use_name_server(account, &name_server).await?;
        if wait.is_zero() {
            return Ok(json!({ "account": account }));
        }
        let identity = self.registered(account, wait).await?;
        let mut result = self.identity_json(&identity);
        result["seconds"] = json!(begun.elapsed().as_secs_f64());
        Ok(result)
    }

    /// Waits until the account is registered and its device announced.
    async fn registered(&self, account: LocalId, wait: Duration) -> anyhow::Result<Identity> {
        let deadline = Instant::now() + wait;
        let mut events = self.node.subscribe();
        loop {
            let identity = self.identity(account).await?;
            match identity.state {
                RegistrationState::Registered if identity.announced => return Ok(identity),
                RegistrationState::ErrorGeneric => bail!("the registration failed"),
                state if Instant::now() >= deadline => {
                    let seconds = wait.as_secs_f64();
                    bail!(
                        "{}, announced: {} after {seconds} s",
                        state.as_str(),
                        identity.announced
                    );
                }
                _ => {}
            }
            next_of(&mut events, deadline, |body| {
                matches!(
                    body,
                    EventBody::RegistrationStateChanged { .. } | EventBody::DeviceAnnounced
                )
            })
            .await;
        }
    }

    async fn accept_request(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let conversation = conversation(&mut with)?;
        let timeout = with.seconds("timeout", 60.0)?;
        with.end()?;
        let deadline = Instant::now() + timeout;
        let mut events = self.node.subscribe();
        self.ask(account, Command::AcceptRequest { conversation })
            .await?;
        while !timeout.is_zero() {
            match self.node.command(account, Command::Conversations).await? {
                Reply::Conversations(list) if list.iter().any(|c| c.id == conversation) => break,
                _ if Instant::now() >= deadline => {
                    bail!("not ready after {} s", timeout.as_secs_f64())
                }
                _ => {}
            }
            next_of(&mut events, deadline, |body| {
                matches!(body, EventBody::ConversationReady { .. })
            })
            .await;
        }
        Ok(Value::Null)
    }

    async fn send_message(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let command = Command::SendMessage {
            conversation: conversation(&mut with)?,
            body: with.required("body")?,
            reply_to: with.optional_id("reply_to")?,
        };
        let wait = with.seconds("wait", 10.0)?;
        with.end()?;
        let node = self.node.clone();
        let mut sending = Box::pin(async move { node.command(account, command).await });
        if wait.is_zero() {
            // Polled once it is in the account's queue, and the order is kept.
            let sent = tokio::select! {
                biased;
                sent = &mut sending => Some(sent),
                () = std::future::ready(()) => None,
            };
            match sent {
                Some(sent) => drop(sent?),
                None => drop(tokio::spawn(sending)),
            }
            return Ok(json!(""));
        }
        result(
            tokio::time::timeout(wait, sending)
                .await
                .context("not written in time")??,
        )
    }

    /// Shows a token, or waits for a state.
    async fn link_here(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let state = with.text("state")?;
        let timeout = with.seconds("timeout", 60.0)?;
        with.end()?;
        let mut status = match self.node.new_link().filter(|_| !state.is_empty()) {
            Some(status) => status,
            None => self.node.link_here(String::new())?,
        };
        let wanted = match state.as_str() {
            "" => json!("TOKEN_AVAILABLE"),
            state => json!(state),
        };
        let there = status.wait_for(|status| json!(status.state) == wanted || status.is_done());
        let status = tokio::time::timeout(timeout, there).await??.clone();
        Ok(serde_json::to_value(status)?)
    }

    /// Brings the account to a device that shows a token, and confirms.
    async fn link_device(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let token = with.id("token")?;
        let timeout = with.seconds("timeout", 60.0)?;
        with.end()?;
        self.ask(account, Command::LinkDevice { token }).await?;
        let mut status = self.node.link_status(account)?;
        let waits = |status: &Option<LinkStatus>| {
            status
                .as_ref()
                .is_some_and(|it| it.is_done() || it.state == LinkState::Authenticating)
        };
        tokio::time::timeout(timeout, status.wait_for(waits)).await??;
        let asked = self.node.command(account, Command::ConfirmLink).await;
        let done = |status: &Option<LinkStatus>| status.as_ref().is_some_and(LinkStatus::is_done);
        if asked.is_ok() {
            tokio::time::timeout(timeout, status.wait_for(done)).await??;
        }
        Ok(serde_json::to_value(status.borrow().clone())?)
    }

    async fn link_pin(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let password = password(&mut with, "password")?;
        let _ends_by_itself = with.seconds("timeout", 120.0)?;
        with.end()?;
        let offer = self.node.export_pin(account, password).await?;
        Ok(json!(offer.pin.to_lower_case()))
    }

    async fn change_password(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let (old, new) = (password(&mut with, "old")?, password(&mut with, "new")?);
        with.end()?;
        match self.node.change_password(account, old, new).await {
            Ok(()) => Ok(json!(true)),
            Err(NodeError::WrongPassword | NodeError::PasswordNeeded) => Ok(json!(false)),
            Err(error) => Err(error.into()),
        }
    }

    /// Settings as a daemon names them, those that there are.
    async fn details(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        with.end()?;
        let identity = self.identity(account).await?;
        let has_password = self.node.has_password(account).await?;
        let mut details = self.ask(account, Command::Settings).await?;
        let of_node = json!({
            "Account.username": identity.jami_id,
            "Account.displayName": identity.display_name,
            "Account.deviceID": identity.device_id,
            "Account.registrationStatus": identity.state,
            "Account.deviceAnnounced": identity.announced.to_string(),
            "Account.archiveHasPassword": has_password.to_string(),
        });
        if let (Value::Object(all), Value::Object(more)) = (&mut details, of_node) {
            all.extend(more);
        }
        Ok(details)
    }

    async fn export_archive(&self, mut with: Arguments) -> anyhow::Result<Value> {
        let account = self.account(&mut with)?;
        let path = with.required("path")?;
        let password = password(&mut with, "password")?;
        with.end()?;
        // As the daemon does it: the password opens the archive and encrypts the new one.
        let archive = self
            .node
            .export_archive(account, password.clone(), password)
            .await?;
        std::fs::write(&path, archive).with_context(|| path.clone())?;
        Ok(json!(true))
    }
}

/// Waits for an event that may change something, for the deadline, or for a while.
pub(crate) async fn next_of(
    events: &mut broadcast::Receiver<std::sync::Arc<baraza_core::Event>>,
    deadline: Instant,
    relevant: impl Fn(&EventBody) -> bool,
) {
    let until = deadline.min(Instant::now() + LOOK_EVERY);
    let _looked_anyway = tokio::time::timeout_at(until.into(), async {
        while let Ok(event) = events.recv().await {
            if relevant(&event.body) {
                return;
            }
        }
    })
    .await;
}

/// The mode of a new group; that of existing peers if it is left out.
fn group_mode(with: &mut Arguments) -> anyhow::Result<GroupMode> {
    match with.count("mode")? {
        1 => Ok(GroupMode::AdminInvitesOnly),
        0 | 2 => Ok(GroupMode::InvitesOnly),
        3 => Ok(GroupMode::Public),
        other => bail!("no group has the mode {other}"),
    }
}

/// A password; none if it is empty.
pub(crate) fn password(with: &mut Arguments, name: &str) -> anyhow::Result<Option<Password>> {
    Ok(Some(Password::new(with.text(name)?)).filter(|password| !password.is_empty()))
}

pub(crate) fn conversation(with: &mut Arguments) -> anyhow::Result<ConversationId> {
    with.id("conversation")
}

/// A reply in the shape the harness gives for a daemon.
fn result(reply: Reply) -> anyhow::Result<Value> {
    Ok(match reply {
        Reply::Done => Value::Null,
        Reply::Conversation(id) => json!(id),
        Reply::Message(id) => json!(id),
        Reply::Requests(requests) => requests
            .iter()
            .map(|request| {
                json!({
                    "from": request.from,
                    "id": request.conversation,
                    "received": request.received.secs().to_string(),
                })
            })
            .collect(),
        Reply::Contacts(contacts) => contacts.iter().map(contact).collect(),
        Reply::Conversations(list) => list.iter().map(|one| json!(one.id)).collect(),
        Reply::View(page) => page.entries.iter().map(entry).collect(),
        Reply::Info(info) => json!(info),
        Reply::Settings(settings) => json!({
            SEND_COMPOSING: settings.typing.to_string(),
            SEND_RECEIPTS: settings.receipts.to_string(),
        }),
        Reply::Members(members) => members
            .iter()
            .map(|member| {
                json!({
                    "uri": member.uri,
                    "role": member.role.as_str(),
                    "lastDisplayed": member.read.map(|id| id.to_hex()).unwrap_or_default(),
                })
            })
            .collect(),
        Reply::Delivery(devices) => json!(devices),
        Reply::History(messages) => messages.iter().map(flat).collect(),
        // As the daemon counts: without the newest.
        Reply::Count(count) => json!(count.saturating_sub(1)),
        Reply::Path(path) => json!(path),
        other => bail!("not a reply the harness knows: {other:?}"),
    })
}

/// An entry of the history as the harness folds it for a daemon.
fn entry(entry: &Entry) -> Value {
    let reactions: Map<String, Value> = entry
        .reaction_counts
        .iter()
        .map(|(emoji, count)| (emoji.clone(), json!(count)))
        .collect();
    json!({
        "id": entry.id,
        "author": entry.author,
        "type": entry.commit_type,
        "body": entry.body,
        "edited": entry.edited,
        "deleted": entry.deleted,
        "reply_to": entry.reply_to.map(|id| id.to_hex()).unwrap_or_default(),
        "reactions": reactions,
    })
}

fn contact(contact: &Contact) -> Value {
    let id: AccountId = contact.id;
    let mut map = Map::new();
    map.insert("id".into(), json!(id));
    map.insert("added".into(), json!(contact.added.secs().to_string()));
    if contact.banned {
        map.insert("banned".into(), json!("true"));
    } else {
        map.insert("confirmed".into(), json!(contact.confirmed.to_string()));
    }
    let conversation = contact.conversation.map(|id| id.to_hex());
    map.insert(
        "conversationId".into(),
        json!(conversation.unwrap_or_default()),
    );
    map.insert("registered_name".into(), json!(contact.registered_name));
    map.insert("presence".into(), json!(contact.presence));
    map.insert("unreachable".into(), json!(contact.unreachable));
    Value::Object(map)
}
