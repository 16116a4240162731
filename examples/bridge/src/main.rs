//! A bridge between a conversation and a directory of files: a skeleton for one to another
//! network.
//!
//! ```text
//! baraza token create Bridge --scope read --scope send --bound --in WHO > token
//! baraza-bridge --token-file token --conversation ID --directory DIR
//! ```
//!
//! Each text of others becomes a file in `DIR/in`, named by its place in the node's log. Each
//! file that is moved to `DIR/out` becomes a text; its name is the `Idempotency-Key`, so that it
//! has to be a new one each time. It then goes to `DIR/sent`; to `DIR/refused` if the node does
//! not take it, and to `DIR/unknown` if nobody knows whether it did. The cursor of the last
//! event that was dealt with is in `DIR/cursor`. Whenever bridge or node stop, each text gets to
//! the other side once.

mod api;
mod directory;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::api::{Api, Failure};
use crate::directory::Directory;

/// How often the directory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("baraza-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What it is told on the command line.
struct Arguments {
    address: String,
    token: String,
    conversation: String,
    directory: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let (mut url, mut token, mut conversation, mut directory) = (None, None, None, None);
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given
            .next()
            .ok_or_else(|| format!("{name}: a value is missing"))?;
        match name.as_str() {
            "--url" => url = Some(value),
            "--token-file" => token = Some(value),
            "--conversation" => conversation = Some(value),
            "--directory" => directory = Some(value),
            _ => return Err(format!("there is no {name}")),
        }
    }
    let url = url.unwrap_or_else(|| "http://127.0.0.1:8222".into());
    let address = url
        .strip_prefix("http://")
        .ok_or("--url begins with http://")?;
    let file = token.ok_or("--token-file is missing")?;
    let token = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    Ok(Arguments {
        address: address.trim_end_matches('/').to_owned(),
        token: token.trim().to_owned(),
        conversation: conversation.ok_or("--conversation is missing")?,
        directory: directory.ok_or("--directory is missing")?.into(),
    })
}

fn run() -> Result<(), String> {
    let arguments = arguments()?;
    let api = Api::new(arguments.address, arguments.token);
    let directory = Directory::open(arguments.directory).map_err(|error| error.to_string())?;
    // The token is for one account: the one that it may see.
    let accounts = api.patiently("GET", "/accounts", None, None)?;
    let account = accounts.get(0).ok_or("the token is for no account")?;
    let word = |name: &str| account.get(name).and_then(|value| value.as_str());
    let (Some(name), Some(me)) = (word("account"), word("jami_id")) else {
        return Err("the node speaks of accounts in another way".into());
    };
    let conversation = arguments.conversation;
    let chat = format!("/accounts/{name}/conversations/{conversation}");
    // A first look: from now on.
    let mut cursor = match directory.cursor()? {
        Some(cursor) => cursor,
        None => api.patiently("GET", "/events", None, None)?["next"]
            .as_u64()
            .unwrap_or(0),
    };
    println!("ready");
    let (sender, outgoing) = (api.clone(), directory.clone());
    let messages = format!("{chat}/messages");
    std::thread::spawn(move || {
        loop {
            if let Err(error) = send_all(&sender, &outgoing, &messages) {
                eprintln!("baraza-bridge: {error}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
    loop {
        let path = format!(
            "/events?since={cursor}&wait=60&types=message_received&conversation={conversation}"
        );
        let page = api.patiently("GET", &path, None, None)?;
        for event in page["events"].as_array().into_iter().flatten() {
            take(&directory, event, me).map_err(|error| error.to_string())?;
        }
        let next = page["next"].as_u64().unwrap_or(cursor);
        if next != cursor {
            cursor = next;
            directory
                .set_cursor(cursor)
                .map_err(|error| error.to_string())?;
        }
    }
}

/// Writes down what somebody else said. Twice is as good as once: the file is the same.
fn take(directory: &Directory, event: &serde_json::Value, me: &str) -> std::io::Result<()> {
    let message = &event["message"];
    let (Some(cursor), Some(author)) = (event["cursor"].as_u64(), message["author"].as_str())
    else {
        // A gap: events were lost, as nobody asked for too long. A real bridge would read
        // the history here.
        eprintln!("baraza-bridge: {event}");
        return Ok(());
    };
    let text = message["body"].as_str().unwrap_or("");
    let change = ["edit", "react-to"]
        .iter()
        .any(|name| message.get(name).is_some());
    if author == me || change || message["type"] != "text/plain" || text.is_empty() {
        return Ok(());
    }
    directory.receive(&format!("{cursor:020}.txt"), text)
}

/// Sends what is there to be sent, the oldest name first.
fn send_all(api: &Api, directory: &Directory, path: &str) -> std::io::Result<()> {
    for (name, text) in directory.outgoing()? {
        let body = serde_json::json!({ "body": text });
        match api.ask("POST", path, Some(&body), Some(&name)) {
            Ok(_) => directory.moved(&name, "sent")?,
            Err(Failure::Later(why)) => {
                eprintln!("baraza-bridge: {name} waits: {why}");
                return Ok(());
            }
            Err(Failure::Unknown(why)) => {
                eprintln!("baraza-bridge: {name}: {why}");
                directory.moved(&name, "unknown")?;
            }
            Err(Failure::Refused(why)) => {
                eprintln!("baraza-bridge: {name} is refused: {why}");
                directory.moved(&name, "refused")?;
            }
        }
    }
    Ok(())
}
