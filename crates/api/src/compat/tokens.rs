//! Tokens: made with another one, and never stronger.

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use baraza_store::TokenRow;
use baraza_wire::UnixTime;
use serde_json::{Value, json};

use super::{Answer, Caller, Object, Refusal, done, json_answer, needs, ok};
use crate::access::{Scope, TOKEN_LIFETIME, Wanted, now, words};

/// Scopes that there are, beside ours.
const SCOPES: [&str; 24] = [
    "account",
    "account:read",
    "calls",
    "calls:read",
    "contacts",
    "contacts:read",
    "contacts:write",
    "conversations",
    "conversations:read",
    "conversations:write",
    "events",
    "events:read",
    "files",
    "files:read",
    "files:write",
    "files:local",
    "ns",
    "ns:read",
    "tokens",
    "tokens:read",
    "tokens:write",
    "accounts",
    "calls:write",
    "accounts:read",
];
/// What an empty list stands for, as far as the maker has it.
const USUAL: [&str; 7] = [
    "account:read",
    "calls:read",
    "contacts",
    "conversations",
    "events:read",
    "files",
    "ns:read",
];

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`.
pub(super) fn iso(time: UnixTime) -> String {
    let days = time.secs().div_euclid(86_400);
    let (year, month, day) = date(days);
    let second = time.secs().rem_euclid(86_400);
    let millis = time.millis().rem_euclid(1000);
    let (hour, minute) = (
        second.div_euclid(3600),
        second.div_euclid(60).rem_euclid(60),
    );
    let second = second.rem_euclid(60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The day of so many days after 1970-01-01: years are counted from March on, in eras of
/// 400 years, so that leap days come last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let leap = of_era.div_euclid(1460);
    let century = of_era.div_euclid(36_524);
    let last = of_era.div_euclid(146_096);
    let years = of_era
        .saturating_sub(leap)
        .saturating_add(century)
        .saturating_sub(last)
        .div_euclid(365);
    let before = years
        .saturating_mul(365)
        .saturating_add(years.div_euclid(4))
        .saturating_sub(years.div_euclid(100));
    let of_year = of_era.saturating_sub(before);
    let from_march = of_year.saturating_mul(5).saturating_add(2).div_euclid(153);
    let passed = from_march
        .saturating_mul(153)
        .saturating_add(2)
        .div_euclid(5);
    let day = of_year.saturating_sub(passed).saturating_add(1);
    let month = match from_march {
        0..=9 => from_march.saturating_add(3),
        _ => from_march.saturating_sub(9),
    };
    let year = era.saturating_mul(400).saturating_add(years);
    (year.saturating_add(u64::from(month <= 2)), month, day)
}

fn info(row: &TokenRow) -> Value {
    let accounts: Vec<String> = words(&row.accounts);
    let mut info = json!({
        "id": row.id,
        "prefix": row.prefix,
        "accountId": accounts.first().map_or("", String::as_str),
        "name": row.label,
        "scopes": words::<String>(&row.scopes),
        "createdAt": iso(row.created),
    });
    for (key, time) in [("expiresAt", row.expires), ("lastUsedAt", row.used)] {
        if let (Some(time), Some(info)) = (time, info.as_object_mut()) {
            info.insert(key.to_owned(), json!(iso(time)));
        }
    }
    info
}

/// `GET /api/tokens`.
pub(crate) async fn list(caller: Caller) -> Answer {
    caller.needs("tokens:read")?;
    let rows = caller.state.access.tokens(&caller.grant).await?;
    let account = caller.account.to_string();
    let of_account = rows.iter().filter(|row| {
        let bound: Vec<String> = words(&row.accounts);
        bound.contains(&account)
    });
    ok(&Value::Array(of_account.map(info).collect()))
}

/// `POST /api/tokens`.
pub(crate) async fn create(caller: Caller, body: Object) -> Answer {
    caller.needs("tokens:write")?;
    let label = match body.text("name").trim() {
        "" => body.text("label").trim(),
        name => name,
    };
    if label.is_empty() {
        return Err(Refusal::bad_request("Missing or invalid token name"));
    }
    let expires = match body.0.get("expiresIn") {
        None => TOKEN_LIFETIME,
        Some(seconds) => match seconds.as_u64().filter(|seconds| *seconds > 0) {
            Some(seconds) => Duration::from_secs(seconds),
            None => return Err(Refusal::bad_request("Invalid expiresIn")),
        },
    };
    let unknown = || Refusal::bad_request("Unknown scope");
    let names: Vec<&str> = match body.0.get("scopes") {
        None => Vec::new(),
        Some(Value::Array(names)) => {
            let names: Option<Vec<_>> = names.iter().map(Value::as_str).collect();
            names.ok_or_else(unknown)?
        }
        Some(_) => return Err(unknown()),
    };
    let mut wanted = Wanted {
        label: label.to_owned(),
        accounts: vec![caller.account],
        expires: Some(now().saturating_add(expires)),
        ..Wanted::default()
    };
    if names.is_empty() {
        let usual = USUAL.iter().filter(|name| caller.grant.has_fine(name));
        wanted.fine = usual.map(|name| (*name).to_owned()).collect();
    }
    for name in names {
        match Scope::from_name(name) {
            Some(scope) => wanted.scopes.push(scope),
            None if SCOPES.contains(&name) => wanted.fine.push(name.to_owned()),
            None => return Err(unknown()),
        }
    }
    let (token, row) = caller
        .state
        .access
        .make_token(&caller.grant, wanted)
        .await?;
    let made = json!({ "token": token, "info": info(&row) });
    Ok(json_answer(StatusCode::CREATED, &made))
}

/// `DELETE /api/tokens/{id}`.
pub(crate) async fn revoke(caller: Caller, Path(id): Path<String>) -> Answer {
    needs(&caller.grant, "tokens:write")?;
    match caller.state.access.revoke_token(&caller.grant, &id).await? {
        true => done(),
        false => Err(Refusal::not_found("Token not found")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_iso_8601() {
        for (millis, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_774_550_000_000, "2026-03-26T18:33:20.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(iso(UnixTime::from_millis(millis)), want);
        }
    }
}
