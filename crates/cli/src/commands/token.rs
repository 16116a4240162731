//! Tokens of programs.

use baraza_api::types::{MadeToken, NewToken, TokenInfo, TokenScope};
use hyper::Method;
use serde_json::json;

use super::Context;
use crate::args::{TokenAction, TokenPower};
use crate::error::CliError;
use crate::{find, output};

pub(crate) async fn run(context: &Context<'_>, action: TokenAction) -> Result<(), CliError> {
    let client = context.client;
    match action {
        TokenAction::Create {
            label,
            scope,
            bound,
            within,
            days,
            never_expires,
        } => {
            let mut new = NewToken {
                label,
                scopes: scope.into_iter().map(power).collect(),
                expires_in: days.map(|days| days.saturating_mul(24 * 3600)),
                never_expires,
                ..NewToken::default()
            };
            if bound || !within.is_empty() {
                let account = find::account(client, context.global).await?;
                for who in &within {
                    let conversation = find::conversation(client, &account, who).await?;
                    new.conversations.push(conversation.id.to_string());
                }
                new.accounts.push(account.account.to_string());
            }
            let made: MadeToken = client.post("/tokens", &new).await?;
            if context.json() {
                return output::json(&made);
            }
            eprintln!("The token, which is shown only this once; keep it as a password:");
            output::line(&made.token)
        }
        TokenAction::List => {
            let tokens: Vec<TokenInfo> = client.get("/tokens").await?;
            if context.json() {
                return output::json(&tokens);
            }
            for token in tokens {
                let day = |time: Option<_>, none: &str| {
                    time.map_or_else(|| none.to_owned(), output::date)
                };
                output::line(&format!(
                    "{}  {}…  {}  until {}, used {}  {}",
                    token.id,
                    token.prefix,
                    token.scopes.join(","),
                    day(token.expires, "revoked"),
                    day(token.used, "never"),
                    output::printable(&token.label)
                ))?;
            }
            Ok(())
        }
        TokenAction::Revoke { token } => {
            let tokens: Vec<TokenInfo> = client.get("/tokens").await?;
            let mut found = tokens.iter().filter(|one| one.id.starts_with(&token));
            let (Some(one), None) = (found.next(), found.next()) else {
                return Err(CliError::NotFound(
                    "there is no such token, or several".into(),
                ));
            };
            let path = format!("/tokens/{}", one.id);
            let () = client.call(Method::DELETE, &path, None::<&()>).await?;
            match context.json() {
                true => output::json(&json!({ "revoked": one.id })),
                false => output::line(&format!("revoked {}", one.id)),
            }
        }
    }
}

fn power(power: TokenPower) -> TokenScope {
    match power {
        TokenPower::Read => TokenScope::Read,
        TokenPower::Send => TokenScope::Send,
        TokenPower::Admin => TokenScope::Admin,
    }
}
