//! What is typed: a text to send, or a command that begins with `/`. Both faces take the same.

use std::path::PathBuf;

/// A message that a command is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Which {
    /// The one that is selected, or else the newest that fits.
    #[default]
    Newest,
    /// By the number that is shown at it.
    Number(usize),
    /// By the beginning of its ID.
    Id(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Say(String),
    Help(String),
    Quit,
    List,
    Open(String),
    Close,
    History(usize),
    Unread,
    Requests,
    Accept(String),
    Decline(String),
    Contacts,
    Add { id: String, note: String },
    Remove(String),
    Block(String),
    Unblock(String),
    Reply(Which, String),
    React(Which, String),
    Edit(Which, String),
    Delete(Which),
    Why(Which),
    SendFile(PathBuf),
    Files,
    Fetch(Which),
    Save(Which, PathBuf),
    Cancel(Which),
    Group { title: String, members: Vec<String> },
    Invite(String),
    Ban(String),
    Members,
    Title(String),
    Leave,
    Search(String),
    Show(usize),
    Accounts,
    Account(String),
    Create(String),
    Name(String),
    Read,
    Status,
}

/// One command for `/help`: its word, what follows, and what it does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) word: &'static str,
    pub(crate) takes: &'static str,
    pub(crate) does: &'static str,
}

const fn described(word: &'static str, takes: &'static str, does: &'static str) -> Described {
    Described { word, takes, does }
}

/// All commands. N is the number shown at a message; left out, it is the newest that fits.
pub(crate) const COMMANDS: &[Described] = &[
    described(
        "help",
        "[WORD]",
        "tells what commands there are, or what one does",
    ),
    described("list", "", "lists conversations and requests, with numbers"),
    described(
        "open",
        "WHO",
        "opens a conversation: its number in the list, a name or the beginning of an ID",
    ),
    described("close", "", "closes the conversation"),
    described(
        "history",
        "[COUNT]",
        "shows what was said before, further back each time",
    ),
    described("unread", "", "lists the conversations with something new"),
    described("read", "", "tells the others that everything here was read"),
    described("reply", "[N] TEXT", "answers a message"),
    described("react", "[N] EMOJI", "puts an emoji to a message"),
    described("edit", "[N] TEXT", "gives a text of yours another wording"),
    described("delete", "[N]", "takes back a message of yours"),
    described(
        "why",
        "[N]",
        "tells how far a message of yours has got, and why not further",
    ),
    described("file", "PATH", "sends a file"),
    described("files", "", "lists the files of the conversation"),
    described("fetch", "[N]", "fetches a file from whoever has it"),
    described("save", "[N] PATH", "writes a copy of a file that is here"),
    described("cancel", "[N]", "does not fetch a file any further"),
    described(
        "requests",
        "",
        "lists who asks to become a contact or invites to a group",
    ),
    described("accept", "WHO", "accepts a request"),
    described(
        "decline",
        "WHO",
        "declines a request; the asker is not told",
    ),
    described("contacts", "", "lists the contacts"),
    described(
        "add",
        "WHO [NOTE]",
        "adds somebody, by Jami ID or registered name, and asks them",
    ),
    described(
        "remove",
        "WHO",
        "removes a contact and the conversation with it",
    ),
    described(
        "block",
        "WHO",
        "blocks a contact, or who asks: nothing of them arrives any more",
    ),
    described("unblock", "WHO", "unblocks somebody"),
    described(
        "group",
        "\"TITLE\" [WHO...]",
        "makes a group and invites people to it",
    ),
    described("invite", "WHO", "invites somebody to this group"),
    described("members", "", "lists who is in this conversation"),
    described("ban", "WHO", "throws somebody out of this group"),
    described("title", "TEXT", "gives this group another title"),
    described("leave", "", "leaves this conversation and removes it here"),
    described(
        "search",
        "WORDS",
        "seeks texts and names of files in all conversations",
    ),
    described("show", "NUMBER", "goes to what a search found"),
    described("accounts", "", "lists the accounts on this machine"),
    described(
        "account",
        "WHICH",
        "goes over to another account: its number, name or ID",
    ),
    described("create", "NAME", "makes an account"),
    described("name", "NAME", "changes the name that others see of you"),
    described("status", "", "tells how the node and the account are"),
    described("say", "TEXT", "sends a text that begins with /"),
    described("quit", "", "ends"),
];

impl Command {
    /// What a line means; `None` if it is empty.
    pub(crate) fn parse(line: &str) -> Option<Result<Self, String>> {
        if line.trim().is_empty() {
            return None;
        }
        let Some(rest) = line.strip_prefix('/') else {
            return Some(Ok(Self::Say(line.to_owned())));
        };
        if rest.starts_with('/') {
            return Some(Ok(Self::Say(rest.to_owned())));
        }
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        Some(Self::from_words(&word.to_lowercase(), rest.trim()))
    }

    fn from_words(word: &str, rest: &str) -> Result<Self, String> {
        let need = || match rest {
            "" => Err(usage(word)),
            rest => Ok(rest.to_owned()),
        };
        let with_text = || {
            let (which, text) = which(rest);
            match text {
                "" => Err(usage(word)),
                text => Ok((which, text.to_owned())),
            }
        };
        Ok(match word {
            "help" | "h" | "?" => Self::Help(rest.trim_start_matches('/').to_owned()),
            "quit" | "exit" | "q" => Self::Quit,
            "list" | "ls" => Self::List,
            "open" | "o" => Self::Open(need()?),
            "close" => Self::Close,
            "history" => Self::History(match rest {
                "" => 20,
                count => count.parse().map_err(|_| usage(word))?,
            }),
            "unread" => Self::Unread,
            "read" => Self::Read,
            "say" => Self::Say(need()?),
            "reply" | "r" => {
                let (which, text) = with_text()?;
                Self::Reply(which, text)
            }
            "react" => {
                let (which, text) = with_text()?;
                Self::React(which, text)
            }
            "edit" => {
                let (which, text) = with_text()?;
                Self::Edit(which, text)
            }
            "delete" => Self::Delete(only_which(word, rest)?),
            "why" => Self::Why(only_which(word, rest)?),
            "file" => Self::SendFile(need()?.into()),
            "files" => Self::Files,
            "fetch" => Self::Fetch(only_which(word, rest)?),
            "save" => {
                let (which, path) = with_text()?;
                Self::Save(which, path.into())
            }
            "cancel" => Self::Cancel(only_which(word, rest)?),
            "requests" => Self::Requests,
            "accept" => Self::Accept(need()?),
            "decline" => Self::Decline(need()?),
            "contacts" => Self::Contacts,
            "add" => {
                let rest = need()?;
                let (id, note) = rest.split_once(char::is_whitespace).unwrap_or((&rest, ""));
                Self::Add {
                    id: id.to_owned(),
                    note: note.trim().to_owned(),
                }
            }
            "remove" => Self::Remove(need()?),
            "block" => Self::Block(need()?),
            "unblock" => Self::Unblock(need()?),
            "group" => {
                let rest = need()?;
                let (title, members) = match rest.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').ok_or_else(|| usage(word))?,
                    None => rest.split_once(char::is_whitespace).unwrap_or((&rest, "")),
                };
                Self::Group {
                    title: title.to_owned(),
                    members: members.split_whitespace().map(str::to_owned).collect(),
                }
            }
            "invite" => Self::Invite(need()?),
            "members" => Self::Members,
            "ban" => Self::Ban(need()?),
            "title" => Self::Title(need()?),
            "leave" => Self::Leave,
            "search" => Self::Search(need()?),
            "show" => Self::Show(rest.parse().map_err(|_| usage(word))?),
            "accounts" => Self::Accounts,
            "account" => Self::Account(need()?),
            "create" => Self::Create(need()?),
            "name" => Self::Name(need()?),
            "status" => Self::Status,
            other => return Err(format!("there is no command /{other}; /help lists them")),
        })
    }
}

/// What a command takes, in words.
fn usage(word: &str) -> String {
    COMMANDS
        .iter()
        .find(|one| one.word == word)
        .map_or_else(String::new, |one| {
            format!("usage: /{} {}", one.word, one.takes)
        })
}

/// The message named at the beginning, and the rest.
fn which(rest: &str) -> (Which, &str) {
    let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match parse_which(word) {
        Some(which) => (which, after.trim_start()),
        None => (Which::Newest, rest),
    }
}

fn only_which(word: &str, rest: &str) -> Result<Which, String> {
    match rest {
        "" => Ok(Which::Newest),
        rest => parse_which(rest).ok_or_else(|| usage(word)),
    }
}

/// Up to four digits are a number, at least eight hex digits an ID.
fn parse_which(word: &str) -> Option<Which> {
    let word = word.strip_prefix('#').unwrap_or(word);
    let is_id = (8..=40).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id {
        return Some(Which::Id(word.to_ascii_lowercase()));
    }
    let is_number = (1..=6).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| word.parse().ok().map(Which::Number))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        Command::parse(line).unwrap().unwrap()
    }

    #[test]
    fn lines_are_texts_or_commands() {
        assert_eq!(Command::parse("  "), None);
        assert_eq!(parsed("hello /there"), Command::Say("hello /there".into()));
        assert_eq!(parsed("//etc/passwd"), Command::Say("/etc/passwd".into()));
        assert_eq!(
            parsed("/reply 12 yes, that"),
            Command::Reply(Which::Number(12), "yes, that".into())
        );
        assert_eq!(
            parsed("/reply yes"),
            Command::Reply(Which::Newest, "yes".into())
        );
        assert_eq!(
            parsed("/delete ABCDEF0123"),
            Command::Delete(Which::Id("abcdef0123".into()))
        );
        assert_eq!(
            parsed("/group \"The bench\" bob carol"),
            Command::Group {
                title: "The bench".into(),
                members: vec!["bob".into(), "carol".into()]
            }
        );
        assert!(Command::parse("/nonsense").unwrap().is_err());
        let wrong = Command::parse("/open").unwrap().unwrap_err();
        assert_eq!(wrong, "usage: /open WHO");
    }

    #[test]
    fn every_command_of_the_help_is_known() {
        for one in COMMANDS {
            let line = format!("/{} 3 x", one.word);
            let result = Command::parse(&line).unwrap();
            let unknown = result.is_err_and(|error| error.contains("no command"));
            assert!(!unknown, "{}", one.word);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_a_text_a_command_or_says_why_not(line in "/?[a-z]{0,8} ?#?[0-9a-f]{0,9} ?\\PC{0,20}") {
            match Command::parse(&line) {
                None => proptest::prop_assert!(line.trim().is_empty()),
                Some(Ok(Command::Say(text))) => proptest::prop_assert!(line.ends_with(&text) || line.starts_with("/say")),
                Some(Ok(_)) => proptest::prop_assert!(line.starts_with('/')),
                Some(Err(error)) => proptest::prop_assert!(!error.is_empty()),
            }
        }
    }
}
