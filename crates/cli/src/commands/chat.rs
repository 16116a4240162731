use std::collections::VecDeque;
use std::io::IsTerminal as _;

use baraza_api::types::{MessageView, NewMessage, Written};
use baraza_core::event::{Event, EventBody};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::{Context, message};
use crate::error::CliError;
use crate::find;
use crate::output;

/// Messages of one's own remembered, so that they are not shown again.
const OWN: usize = 256;

/// Lines typed go out, messages come in, until the input ends.
pub(crate) async fn run(context: &Context<'_>, who: &str, lines: usize) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let conversation = find::conversation(client, &account, who).await?;
    let types = "message_received,message_delivered,gap";
    // Before the history is read, so that nothing falls between the two.
    let mut events = client.events(None, Some(types)).await?;
    let part = message::Part {
        lines,
        before: None,
        after: None,
        all: false,
    };
    let mut last = None;
    for old in message::read(context, &account, &conversation, &part).await? {
        print(context, &old, &account)?;
        last = Some(old.id);
    }
    let typed_here = std::io::stdin().is_terminal();
    if typed_here && !context.json() {
        eprintln!("Type a line to send it; Ctrl-D ends.");
    }
    let path = format!(
        "/accounts/{}/conversations/{}/messages",
        account.account, conversation.id
    );
    let mut own: VecDeque<_> = VecDeque::new();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            typed = input.next_line() => {
                let Some(body) = typed? else { return Ok(()) };
                if body.trim().is_empty() {
                    continue;
                }
                let new = NewMessage { body, reply_to: None };
                match client.post::<Written>(&path, &new).await {
                    Ok(written) => {
                        own.push_back(written.id);
                        if own.len() > OWN {
                            own.pop_front();
                        }
                    }
                    Err(error @ CliError::Refused(..)) => output::error(&error, context.json()),
                    Err(error) => return Err(error),
                }
            }
            event = events.next() => {
                let event = event?;
                if event.get("event").and_then(Value::as_str) == Some("gap") {
                    eprintln!("Some messages are not shown: see baraza history {who}");
                    continue;
                }
                let Ok(event) = serde_json::from_value::<Event>(event) else { continue };
                let EventBody::MessageReceived { conversation: of, message } = event.body else {
                    continue;
                };
                let shown = Some(message.id) == last;
                // What was typed is on the screen already; what another device of this
                // account sent is not.
                let typed = typed_here && own.contains(&message.id);
                if of != conversation.id || event.account != account.account || shown || typed {
                    continue;
                }
                let message = MessageView::from(message);
                if matches!(message.kind.as_str(), "text/plain" | "member" | message::FILE) {
                    print(context, &message, &account)?;
                }
            }
        }
    }
}

fn print(
    context: &Context<'_>,
    message: &MessageView,
    account: &baraza_api::types::Account,
) -> Result<(), CliError> {
    if context.json() {
        output::json(message)
    } else {
        message::show(message, account)
    }
}
