use baraza_api::types::{Conversation, Member};

use super::Context;
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
                output::line(&format!("{id}  {length:>6}  with {}", others.join(", ")))?;
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
        // Needs no node: done elsewhere.
        ConversationAction::Verify { .. } => Ok(()),
    }
}
