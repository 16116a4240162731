//! Accounts, contacts and conversations by what a person types: an id or its beginning.

use baraza_api::types::{Account, Contact, ContactRequest, Conversation};
use baraza_wire::id::parse_account_uri;

use crate::args::Global;
use crate::client::Client;
use crate::error::CliError;
use crate::output::short;

/// Shorter beginnings of ids are refused: too easily somebody else's.
const MIN_PREFIX: usize = 4;

/// The account a command is about.
pub(crate) async fn account(client: &Client, global: &Global) -> Result<Account, CliError> {
    let mut accounts: Vec<Account> = client.get("/accounts").await?;
    let Some(named) = &global.account else {
        return match accounts.len() {
            0 => Err(CliError::NotFound(
                "there is no account yet; make one with: baraza account create".into(),
            )),
            1 => Ok(accounts.remove(0)),
            count => Err(CliError::Usage(format!(
                "there are {count} accounts: say which with --account"
            ))),
        };
    };
    let wanted = named.trim_start_matches("jami:").to_ascii_lowercase();
    pick(accounts, "account", named, |account| {
        let (local, jami) = (account.account.to_string(), account.jami_id.to_hex());
        begins(&local, &wanted) || begins(&jami, &wanted)
    })
}

/// The conversation `who` means: with a contact, or by its own id.
pub(crate) async fn conversation(
    client: &Client,
    account: &Account,
    who: &str,
) -> Result<Conversation, CliError> {
    let path = format!("/accounts/{}/conversations", account.account);
    let list: Vec<Conversation> = client.get(&path).await?;
    let wanted = wanted(who);
    // A contact names the one conversation in use, even if there were others before.
    if let Ok(contact) = contact(client, account, who).await {
        return list
            .into_iter()
            .find(|one| Some(one.id) == contact.conversation)
            .ok_or_else(|| {
                CliError::NotFound(format!(
                    "the conversation with {} is not here yet",
                    short(&contact.id.to_hex())
                ))
            });
    }
    pick(list, "conversation", who, |one| {
        begins(&one.id.to_hex(), &wanted)
            || one
                .members
                .iter()
                .filter(|member| one.mode == 0 && **member != account.jami_id)
                .any(|member| begins(&member.to_hex(), &wanted))
    })
}

/// The contact `who` means.
/// A device of the account, named by its id or the beginning of it.
pub(crate) fn device(
    list: Vec<baraza_api::types::Device>,
    who: &str,
) -> Result<baraza_api::types::Device, CliError> {
    let wanted = wanted(who);
    pick(list, "device", who, |device| {
        begins(&device.id.to_hex(), &wanted)
    })
}

pub(crate) async fn contact(
    client: &Client,
    account: &Account,
    who: &str,
) -> Result<Contact, CliError> {
    let path = format!("/accounts/{}/contacts", account.account);
    let list: Vec<Contact> = client.get(&path).await?;
    let wanted = wanted(who);
    // A whole registered name is one contact's; what somebody shows may be anybody's.
    if let Some(at) = list
        .iter()
        .position(|contact| !wanted.is_empty() && contact.registered_name == wanted)
    {
        let mut list = list;
        return Ok(list.swap_remove(at));
    }
    pick(list, "contact", who, |contact| {
        begins(&contact.id.to_hex(), &wanted)
    })
}

/// The request `who` means: of somebody, or for a conversation.
pub(crate) async fn request(
    client: &Client,
    account: &Account,
    who: &str,
) -> Result<ContactRequest, CliError> {
    let path = format!("/accounts/{}/requests", account.account);
    let list: Vec<ContactRequest> = client.get(&path).await?;
    let wanted = wanted(who);
    pick(list, "request", who, |request| {
        begins(&request.from.to_hex(), &wanted) || begins(&request.conversation.to_hex(), &wanted)
    })
}

fn wanted(who: &str) -> String {
    parse_account_uri(who.trim()).map_or_else(
        |_not_whole| who.trim().to_ascii_lowercase(),
        |id| id.to_hex(),
    )
}

fn begins(id: &str, wanted: &str) -> bool {
    wanted.len() >= MIN_PREFIX && id.starts_with(wanted)
}

fn pick<T>(
    list: Vec<T>,
    kind: &str,
    named: &str,
    fits: impl Fn(&T) -> bool,
) -> Result<T, CliError> {
    let mut found: Vec<T> = list.into_iter().filter(fits).collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 if named.len() < MIN_PREFIX => Err(CliError::Usage(format!(
            "give at least {MIN_PREFIX} digits of an ID"
        ))),
        0 => Err(CliError::NotFound(format!("there is no {kind} {named}"))),
        count => Err(CliError::Usage(format!(
            "{count} of the {kind}s begin with {named}: give more of the ID"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_ids_find_one_or_say_why_not() {
        let ids = || vec!["abcdef01", "abcd2345", "ffff0000"];
        let by = |wanted: &str| pick(ids(), "contact", wanted, |id| begins(id, wanted));
        assert_eq!(by("ffff").unwrap(), "ffff0000");
        assert_eq!(by("abcde").unwrap(), "abcdef01");
        assert!(matches!(by("abcd"), Err(CliError::Usage(_))));
        assert!(matches!(by("abc"), Err(CliError::Usage(_))));
        assert!(matches!(by("1234"), Err(CliError::NotFound(_))));
    }
}
