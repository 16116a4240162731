//! What the commands do, over the API of a node that runs.

mod account;
pub(crate) mod backup;
mod bundle;
mod chat;
mod contact;
mod conversation;
mod device;
mod doctor;
mod files;
mod jami;
pub(crate) mod linking;
pub(crate) mod manual;
mod message;
mod name;
mod network;
mod open;
mod profile;
mod request;
mod session;
mod signs;
mod status;
mod token;
pub(crate) mod verify;
mod view;
mod watch;

use crate::args::{Action, Global, MessageAction};
use crate::client::Client;
use crate::error::CliError;
use crate::tui;

/// Runs a command that asks a node.
pub(crate) async fn run(global: &Global, action: Action) -> Result<(), CliError> {
    if let Action::Tui { plain } = action {
        return tui::run(global, plain).await;
    }
    let client = Client::new(global)?;
    let context = Context {
        client: &client,
        global,
    };
    match action {
        Action::Account { action } => account::run(&context, action).await,
        Action::Backup { options, action } => backup::run(&context, options, action).await,
        Action::Chat { who, lines } => chat::run(&context, &who, lines).await,
        Action::Contact { action } => contact::run(&context, action).await,
        Action::Conversation { action } => conversation::run(&context, action).await,
        Action::Device { action } => device::run(&context, action).await,
        Action::Message {
            action: MessageAction::Status { who, message },
        } => message::status(&context, &who, message).await,
        Action::React {
            who,
            message,
            emoji,
        } => message::react(&context, &who, &message, emoji).await,
        Action::Edit { who, message, text } => message::edit(&context, &who, &message, text).await,
        Action::Delete { who, message } => {
            message::edit(&context, &who, &message, String::new()).await
        }
        Action::History {
            who,
            lines,
            before,
            after,
            all,
        } => {
            let part = message::Part {
                lines,
                before,
                after,
                all,
            };
            message::history(&context, &who, part).await
        }
        Action::SendFile {
            who,
            file,
            name,
            reply_to,
        } => files::send(&context, &who, &file, name, reply_to).await,
        Action::Files { who } => files::list(&context, &who).await,
        Action::Fetch { who, file, wait } => files::save(&context, &who, &file, None, wait).await,
        Action::Save {
            who,
            file,
            to,
            wait,
        } => files::save(&context, &who, &file, Some(to), wait).await,
        Action::Cancel { who, file } => files::cancel(&context, &who, &file).await,
        Action::Profile {
            who,
            name,
            picture,
            no_picture,
            save_picture,
        } => {
            let change = profile::Change {
                name,
                picture,
                no_picture,
            };
            profile::run(&context, who, change, save_picture.as_deref()).await
        }
        Action::Name { action } => name::run(&context, action).await,
        Action::Request { action } => request::run(&context, action).await,
        Action::Read { who, message } => signs::read(&context, &who, message).await,
        Action::Send {
            who,
            text,
            reply_to,
            wait,
        } => message::send(&context, &who, text, reply_to, wait).await,
        Action::View {
            who,
            lines,
            before,
            after,
            around,
            unread,
        } => {
            let place = view::Place {
                before,
                after,
                around,
                unread,
            };
            view::show(&context, &who, lines, place).await
        }
        Action::Search {
            text,
            within,
            from,
            kind,
            after,
            before,
            lines,
            next,
        } => {
            let wanted = view::Wanted {
                text,
                within,
                from,
                kind,
                after,
                before,
                lines,
                next,
            };
            view::search(&context, wanted).await
        }
        Action::Open { print } => open::run(&context, print).await,
        Action::Session { action } => session::run(&context, action).await,
        Action::Token { action } => token::run(&context, action).await,
        Action::Network { action } => network::run(&context, action).await,
        Action::Doctor { checks, report } => doctor::run(&context, checks, report).await,
        Action::Status => status::run(&context).await,
        Action::Watch {
            since,
            types,
            count,
        } => watch::run(&context, since, types.as_deref(), count).await,
        Action::Why { message, within } => message::why(&context, message, within).await,
        // These need no node.
        Action::Completions { .. }
        | Action::Dht(_)
        | Action::Man { .. }
        | Action::Relay { .. }
        | Action::Restore { .. }
        | Action::Names { .. }
        | Action::Tui { .. }
        | Action::Run(_) => Ok(()),
    }
}

/// What every command has.
pub(crate) struct Context<'a> {
    pub(crate) client: &'a Client,
    pub(crate) global: &'a Global,
}

impl Context<'_> {
    pub(crate) fn json(&self) -> bool {
        self.global.json
    }
}
