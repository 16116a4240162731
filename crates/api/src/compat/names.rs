//! Registered names. A token is needed here, too: else every page that finds the port could
//! ask in the user's name (B1 #8).

use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use baraza_core::{Command, Reply};
use baraza_names::client::Query;
use baraza_wire::AccountId;
use serde_json::json;

use super::{Answer, Caller, Refusal, ok, unexpected};

/// How long a name server may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks something up; with the texts for: no name, nobody, too slow, failed.
pub(super) async fn look_up(
    caller: &Caller,
    query: Query,
    texts: [&str; 4],
) -> Result<(AccountId, String), Refusal> {
    let [invalid, nobody, slow, failed] = texts;
    let command = Command::LookUpName {
        query,
        fresh: false,
    };
    let asked = caller.state.ask(caller.account, command);
    let error = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Reply::Name(found))) => return Ok((found.id, found.name)),
        Ok(Ok(other)) => return Err(unexpected(other)),
        Ok(Err(error)) => error,
        Err(_elapsed) => return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, slow)),
    };
    Err(match error.status() {
        StatusCode::NOT_FOUND => Refusal::not_found(nobody),
        StatusCode::UNPROCESSABLE_ENTITY => Refusal::bad_request(invalid),
        _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, failed),
    })
}

/// What somebody typed, as a question.
pub(super) fn read(text: &str, invalid: &str) -> Result<Query, Refusal> {
    Query::parse(text).map_err(|_no_name| Refusal::bad_request(invalid))
}

/// `GET /api/ns/name/{name}`.
pub(crate) async fn by_name(caller: Caller, Path(name): Path<String>) -> Answer {
    caller.needs("ns:read")?;
    let texts = [
        "Invalid username",
        "No such username found",
        "Registered name lookup timed out",
        "Registered name lookup failed",
    ];
    let query = read(&name, "Invalid username")?;
    let (id, found) = look_up(&caller, query, texts).await?;
    ok(&json!({
        "accountId": caller.account.to_string(), "query": name, "state": 0,
        "address": id.to_hex(), "name": found,
    }))
}

/// `GET /api/ns/address/{address}`.
pub(crate) async fn by_address(caller: Caller, Path(address): Path<String>) -> Answer {
    caller.needs("ns:read")?;
    let texts = [
        "Invalid address",
        "No such address found",
        "Address lookup timed out",
        "Address lookup failed",
    ];
    let id: AccountId = address
        .parse()
        .map_err(|_not_an_id| Refusal::bad_request("Invalid address"))?;
    let (_, found) = look_up(&caller, Query::Id(id), texts).await?;
    ok(&json!({
        "accountId": caller.account.to_string(), "query": address, "state": 0,
        "address": id.to_hex(), "name": found,
    }))
}

/// `GET /api/ns/jams/{name}`: no account here is of such a server.
pub(crate) async fn jams(caller: Caller, Path(_): Path<String>) -> Answer {
    caller.needs("ns:read")?;
    Err(Refusal::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "No account available for JAMS lookup",
    ))
}
