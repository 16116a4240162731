//! The history as people see it, and search.

use baraza_api::types::{Account, Entry, EntryPage, SearchPage};
use baraza_wire::UnixTime;
use baraza_wire::id::parse_account_uri;

use super::{Context, message};
use crate::error::CliError;
use crate::find;
use crate::output::{self, printable, short};

/// Which part of a history.
pub(crate) struct Place {
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) around: Option<String>,
    pub(crate) unread: bool,
}

/// Shows a page of a history.
pub(crate) async fn show(
    context: &Context<'_>,
    who: &str,
    lines: usize,
    place: Place,
) -> Result<(), CliError> {
    let account = find::account(context.client, context.global).await?;
    let conversation = find::conversation(context.client, &account, who).await?;
    let places = [
        ("before", place.before),
        ("after", place.after),
        ("around", place.around),
    ];
    let mut query = format!("limit={}", lines.clamp(1, 1000));
    for (name, wanted) in places {
        if let Some(wanted) = wanted {
            let id = message::find_message(context, &account, &conversation, &wanted).await?;
            let id =
                id.ok_or_else(|| CliError::NotFound(format!("there is no message {wanted}")))?;
            query = format!("{query}&{name}={id}");
        }
    }
    if place.unread {
        query.push_str("&unread=true");
    }
    let path = format!(
        "/accounts/{}/conversations/{}/entries?{query}",
        account.account, conversation.id
    );
    let page: EntryPage = context.client.get(&path).await?;
    if context.json() {
        return output::json(&page);
    }
    for entry in page.entries.iter().rev() {
        if page.first_unread == Some(entry.id) {
            output::line(&format!("---- {} unread ----", page.unread))?;
        }
        line(entry, &account)?;
    }
    Ok(())
}

fn line(entry: &Entry, account: &Account) -> Result<(), CliError> {
    let time = output::date(UnixTime::from_secs(entry.timestamp));
    let author = entry.author.to_hex();
    let author = if entry.author == account.jami_id {
        "you"
    } else {
        short(&author)
    };
    let mut text = if entry.text.is_empty() {
        printable(&entry.body).replace('\n', "\n    ")
    } else {
        format!("* {}", printable(&entry.text))
    };
    if entry.cut {
        text.push_str(" … (the whole is longer)");
    }
    if entry.edited && !entry.deleted {
        text.push_str(" (edited)");
    }
    for reaction in &entry.reaction_counts {
        let emoji = printable(&reaction.emoji);
        text.push_str(&match reaction.count {
            1 => format!(" [{emoji}]"),
            count => format!(" [{emoji} {count}]"),
        });
    }
    let id = entry.id.to_hex();
    let counts = entry.status_counts;
    let told = match (counts.sending, counts.sent, counts.displayed) {
        _ if entry.author != account.jami_id => "",
        (0, 0, 0) => "",
        (0, 0, _) => "read",
        (0, _, _) => "sent",
        _ => "…",
    };
    output::line(&format!(
        "{time}  {}  {author:>8}  {told:>4}  {text}",
        short(&id)
    ))
}

/// What is sought.
pub(crate) struct Wanted {
    pub(crate) text: String,
    pub(crate) within: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) lines: usize,
    pub(crate) next: Option<i64>,
}

/// Seeks, and shows what was found.
pub(crate) async fn search(context: &Context<'_>, wanted: Wanted) -> Result<(), CliError> {
    let client = context.client;
    let account = find::account(client, context.global).await?;
    let mut query = vec![
        format!("limit={}", wanted.lines.clamp(1, 200)),
        url_encoded("text", &wanted.text),
    ];
    if let Some(who) = &wanted.within {
        let conversation = find::conversation(client, &account, who).await?;
        query.push(format!("conversation={}", conversation.id));
    }
    if let Some(who) = &wanted.from {
        let author = parse_account_uri(who.trim())
            .map_err(|error| CliError::Usage(format!("{who}: {error}")))?;
        query.push(format!("author={author}"));
    }
    if let Some(kind) = &wanted.kind {
        query.push(url_encoded("kind", kind));
    }
    for (name, date) in [("after", &wanted.after), ("before", &wanted.before)] {
        if let Some(date) = date {
            query.push(format!("{name}={}", seconds(date)?));
        }
    }
    if let Some(next) = wanted.next {
        query.push(format!("next={next}"));
    }
    let path = format!("/accounts/{}/search?{}", account.account, query.join("&"));
    let page: SearchPage = client.get(&path).await?;
    if context.json() {
        return output::json(&page);
    }
    for found in &page.found {
        let time = output::date(UnixTime::from_secs(found.timestamp));
        let (conversation, id) = (found.conversation.to_hex(), found.id.to_hex());
        let author = found.author.to_hex();
        let author = if found.author == account.jami_id {
            "you"
        } else {
            short(&author)
        };
        let text = printable(&format!("{}{}{}", found.before, found.found, found.after));
        let text = text.replace('\n', " ");
        let (conversation, id) = (short(&conversation), short(&id));
        output::line(&format!(
            "{time}  {conversation}  {id}  {author:>8}  {text}"
        ))?;
    }
    if let Some(next) = page.next {
        eprintln!("There is more: --next {next}");
    }
    if !page.complete {
        eprintln!("Not all messages are prepared for search yet: try again in a moment.");
    }
    Ok(())
}

/// A part of a query.
fn url_encoded(name: &str, value: &str) -> String {
    let letters = value.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    format!("{name}={}", letters.collect::<String>())
}

/// The first second of a day.
fn seconds(date: &str) -> Result<u64, CliError> {
    let wrong = || CliError::Usage(format!("{date}: a day is YYYY-MM-DD, from 1970 on"));
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let mut next = || parts.next().flatten().ok_or_else(wrong);
    let (year, month, day) = (next()?, next()?, next()?);
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return Err(wrong());
    }
    let days_of = |month| match month {
        2 if leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31_u64,
    };
    if day > days_of(month) {
        return Err(wrong());
    }
    let years: u64 = (1970..year)
        .map(|year| if leap(year) { 366 } else { 365 })
        .sum();
    let months: u64 = (1..month).map(days_of).sum();
    let days = years
        .saturating_add(months)
        .saturating_add(day)
        .saturating_sub(1);
    Ok(days.saturating_mul(86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_seconds() {
        assert_eq!(seconds("1970-01-01").ok(), Some(0));
        assert_eq!(seconds("2026-11-29").ok(), Some(1_795_910_400));
        assert_eq!(seconds("2000-03-01").ok(), Some(951_868_800));
        for wrong in [
            "2026-02-29",
            "2026-13-01",
            "29.11.2026",
            "1969-12-31",
            "2026-1",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_text_goes_into_a_query() {
        assert_eq!(url_encoded("text", "a b&é"), "text=a%20b%26%C3%A9");
    }
}
