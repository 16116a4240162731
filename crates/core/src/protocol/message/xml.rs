//! Typing and read receipts: XML that existing peers read with regular expressions, and so
//! do we in effect.

use std::str::FromStr;

use super::{Composing, Displayed};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n";
const READ: &str = "<status><displayed/></status>";

pub(super) fn parse_composing(body: &str) -> Option<Composing> {
    let active = match element(body, "state")? {
        "active" => true,
        "idle" => false,
        _ => return None,
    };
    Some(Composing {
        conversation: id(body, "conversation")?,
        active,
    })
}

pub(super) fn write_composing(composing: &Composing) -> String {
    let state = if composing.active { "active" } else { "idle" };
    let conversation = composing.conversation;
    format!(
        "{HEAD}<isComposing><state>{state}</state><conversation>{conversation}</conversation>\
         </isComposing>"
    )
}

pub(super) fn parse_displayed(body: &str) -> Option<Displayed> {
    if !body.contains(READ) {
        return None;
    }
    Some(Displayed {
        conversation: id(body, "conversation")?,
        message: id(body, "message-id")?,
    })
}

pub(super) fn write_displayed(displayed: &Displayed) -> String {
    let Displayed {
        conversation,
        message,
    } = displayed;
    format!(
        "{HEAD}<imdn><message-id>{message}</message-id>\n\
         <conversation>{conversation}</conversation>\
         <display-notification>{READ}</display-notification>\n</imdn>"
    )
}

/// The text of the first element of that name, without blanks around it.
fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

fn id<T: FromStr>(body: &str, name: &str) -> Option<T> {
    element(body, name)?.parse().ok()
}
