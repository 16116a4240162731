use baraza_core::event::EventBody;
use serde_json::Value;

use super::Context;
use crate::error::CliError;
use crate::output::{self, printable, short};

pub(crate) async fn run(
    context: &Context<'_>,
    since: Option<u64>,
    types: Option<&str>,
    count: Option<usize>,
) -> Result<(), CliError> {
    let mut events = context.client.events(since, types).await?;
    let mut shown = 0;
    while count.is_none_or(|count| shown < count) {
        let event = events.next().await?;
        if context.json() {
            output::json(&event)?;
        } else {
            output::line(&describe(&event))?;
        }
        shown += 1;
    }
    Ok(())
}

/// An event on a line.
fn describe(event: &Value) -> String {
    let cursor = event.get("cursor").and_then(Value::as_u64).unwrap_or(0);
    // Not as a whole: `account` is somebody else's in some events, who did something.
    let time = event
        .get("time")
        .and_then(|time| serde_json::from_value(time.clone()).ok());
    let body = serde_json::from_value::<EventBody>(event.clone());
    let (Some(time), Ok(body)) = (time, body) else {
        // A gap, or an event of a newer node.
        let kind = event.get("event").and_then(Value::as_str).unwrap_or("?");
        let detail = event.get("detail").and_then(Value::as_str).unwrap_or("");
        return printable(&format!("{cursor}  {kind} {detail}"));
    };
    let what = match &body {
        EventBody::AccountAdded { jami_id } => format!("account {jami_id} is here"),
        EventBody::AccountRemoved => "the account was removed".into(),
        EventBody::RegistrationStateChanged { state, detail } => {
            format!("{} {detail}", state.as_str())
        }
        EventBody::DeviceAnnounced => "others can find this device".into(),
        EventBody::RequestReceived {
            from,
            name,
            mode: 0,
            ..
        } => format!("{from} asks to become a contact, and says to be \"{name}\""),
        EventBody::RequestReceived { from, name, .. } => {
            format!("{from} invites to a group, and says it is \"{name}\"")
        }
        EventBody::RequestRemoved { conversation } => {
            format!("the request for {} is answered", hex(conversation))
        }
        EventBody::ContactAdded { contact, confirmed } => {
            let has = if *confirmed { "accepted" } else { "added" };
            format!("contact {contact} {has}")
        }
        EventBody::ContactRemoved { contact, banned } => {
            let has = if *banned { "blocked" } else { "removed" };
            format!("contact {contact} {has}")
        }
        EventBody::ConversationReady { conversation } => {
            format!("conversation {conversation} is ready")
        }
        EventBody::ConversationRemoved { conversation } => {
            format!("conversation {conversation} was removed")
        }
        EventBody::MemberEvent {
            conversation,
            member,
            change,
        } => format!(
            "{} {} in {}",
            hex(member),
            change.as_str(),
            hex(conversation)
        ),
        EventBody::MessageReceived {
            conversation,
            message,
        } => {
            let text = match message.kind.as_str() {
                "text/plain" => message.body().replace('\n', "\n    "),
                other => format!("({other})"),
            };
            format!("[{}] {}: {text}", hex(conversation), hex(&message.author))
        }
        EventBody::ConversationDiverged {
            conversation,
            refusal,
        } => format!(
            "{} has diverged: commit {} breaks the rule {} ({}); who built on it cannot be \
             followed any more",
            hex(conversation),
            refusal.message,
            refusal.rule,
            refusal.detail
        ),
        EventBody::MessageRead {
            message, account, ..
        } => format!("{} has read up to {}", hex(account), hex(message)),
        EventBody::ComposingChanged {
            conversation,
            account,
            active,
        } => {
            let does = if *active { "types" } else { "stopped typing" };
            format!("{} {does} in {}", hex(account), hex(conversation))
        }
        EventBody::DeviceRevoked { account, device } => {
            format!("device {} of {} was revoked", hex(device), hex(account))
        }
        EventBody::MessageDelivered {
            message, account, ..
        } => format!("{} has message {}", hex(account), hex(message)),
        EventBody::PresenceChanged { contact, presence } => {
            format!("{} is {presence:?}", hex(contact)).to_lowercase()
        }
        EventBody::SyncError {
            conversation,
            rule,
            detail,
            ..
        } => format!("refused in {}: {rule}: {detail}", hex(conversation)),
        other => format!("{other:?}"),
    };
    let time = output::clock(time);
    printable(&format!("{cursor}  {time}  {what}"))
}

fn hex(id: &impl ToString) -> String {
    short(&id.to_string()).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_somebody_else_are_told_in_words() {
        let event = json!({
            "cursor": 7, "local_account": "0000000000000001", "time": 5000,
            "event": "message_read", "conversation": "aa".repeat(20),
            "message": "bb".repeat(20), "account": "cc".repeat(20),
        });
        let told = describe(&event);
        assert!(told.ends_with("cccccccc has read up to bbbbbbbb"), "{told}");
    }
}
