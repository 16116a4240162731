use baraza_api::types::{
    Conversation, GroupProfile, Member, NewConversation, NewGroup, NewMember, Rejoin,
};
use baraza_wire::id::parse_account_uri;
use hyper::Method;

use super::{Context, bundle, profile};
use crate::args::ConversationAction;
use crate::error::CliError;
use crate::{find, output};

pub(crate) async fn run(context: &Context<'_>, action: ConversationAction) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let base = format!("/accounts/{}/conversations", account.account);
    match action {
        ConversationAction::List => {
            let list: Vec<Conversation> = client.get(&base).await?;
            if context.json() {
                return output::json(&list);
            }
            for one in &list {
                let others: Vec<String> = one
                    .members
                    .iter()
                    .filter(|member| **member != account.jami_id)
                    .map(ToString::to_string)
                    .collect();
                let (id, length) = (one.id, one.length);
                let what = if one.mode == 0 {
                    format!("with {}", others.join(", "))
                } else {
                    let path = format!("{base}/{id}/profile");
                    let profile: GroupProfile = client.get(&path).await?;
                    let title = output::printable(&profile.title.unwrap_or_default());
                    format!("group of {} \"{title}\"", one.members.len())
                };
                let unread = match one.unread {
                    0 => String::new(),
                    count => format!("  ({count} unread)"),
                };
                output::line(&format!("{id}  {length:>6}  {what}{unread}"))?;
                for refusal in &one.diverged {
                    let (rule, commit) = (output::printable(&refusal.rule), refusal.message);
                    let who = refusal.author.or(refusal.source_account);
                    let who = who.map_or_else(|| "somebody".to_owned(), |id| id.to_string());
                    output::line(&format!(
                        "    diverged: commit {commit} of {who} breaks the rule {rule}"
                    ))?;
                }
            }
            Ok(())
        }
        ConversationAction::Members { who } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}/members", conversation.id);
            let members: Vec<Member> = client.get(&path).await?;
            if context.json() {
                return output::json(&members);
            }
            for member in &members {
                let you = if member.id == account.jami_id {
                    "  (you)"
                } else {
                    ""
                };
                output::line(&format!("{}  {}{you}", member.id, member.role.as_str()))?;
            }
            Ok(())
        }
        ConversationAction::Set { who, preferences } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}/preferences", conversation.id);
            let mut changes = std::collections::BTreeMap::new();
            for text in preferences {
                let Some((name, value)) = text.split_once('=') else {
                    let text = format!("{text}: a preference is set as name=value");
                    return Err(CliError::Usage(text));
                };
                changes.insert(name.to_owned(), value.to_owned());
            }
            if !changes.is_empty() {
                let () = client.call(Method::PATCH, &path, Some(&changes)).await?;
            }
            let now: std::collections::BTreeMap<String, String> = client.get(&path).await?;
            if context.json() {
                return output::json(&now);
            }
            for (name, value) in &now {
                output::line(&format!("{name}={}", output::printable(value)))?;
            }
            Ok(())
        }
        ConversationAction::Create {
            title,
            mode,
            members,
        } => {
            let new = NewGroup {
                mode,
                profile: GroupProfile {
                    title: Some(title).filter(|title| !title.is_empty()),
                    ..GroupProfile::default()
                },
                members,
            };
            let made: NewConversation = client.post(&base, &new).await?;
            if context.json() {
                return output::json(&made);
            }
            output::line(&made.conversation.to_hex())
        }
        ConversationAction::Invite { who, member } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}/members", conversation.id);
            client.post(&path, &NewMember { id: member }).await
        }
        ConversationAction::Ban { who, member } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let member = parse_account_uri(member.trim())
                .map_err(|error| CliError::Usage(format!("{member}: {error}")))?;
            let path = format!("{base}/{}/members/{member}", conversation.id);
            client.call(Method::DELETE, &path, None::<&()>).await
        }
        ConversationAction::Profile {
            who,
            title,
            description,
            picture,
            no_picture,
            host,
            host_device,
        } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}/profile", conversation.id);
            let avatar = profile::picture(picture.as_deref(), no_picture)?;
            let changes = [&title, &description, &host, &avatar];
            if changes.iter().any(|change| change.is_some()) {
                let change = GroupProfile {
                    title,
                    description,
                    host_account: host,
                    host_device,
                    avatar,
                };
                return client.call(Method::PATCH, &path, Some(&change)).await;
            }
            let profile: GroupProfile = client.get(&path).await?;
            if context.json() {
                return output::json(&profile);
            }
            let text = |text: Option<String>| output::printable(&text.unwrap_or_default());
            output::line(&format!("title        {}", text(profile.title)))?;
            output::line(&format!("description  {}", text(profile.description)))?;
            if let (Some(host), Some(device)) = (profile.host_account, profile.host_device) {
                let (host, device) = (output::printable(&host), output::printable(&device));
                output::line(&format!("host         {host}, device {device}"))?;
            }
            let picture = profile.avatar.map_or("none", |_| "yes");
            output::line(&format!("picture      {picture}"))
        }
        ConversationAction::Rejoin { who, from } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}/rejoin", conversation.id);
            client.post(&path, &Rejoin { from }).await
        }
        ConversationAction::Leave { who } => {
            let conversation = find::conversation(client, &account, &who).await?;
            let path = format!("{base}/{}", conversation.id);
            client.call(Method::DELETE, &path, None::<&()>).await
        }
        ConversationAction::Export { who, file, since } => {
            let conversation = find::conversation(client, &account, &who).await?;
            bundle::export(context, &base, &conversation, &file, since).await
        }
        ConversationAction::Import { file } => bundle::import(context, &base, &file).await,
        // Needs no node: done elsewhere.
        ConversationAction::Verify { .. } => Ok(()),
    }
}
