use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{Path, State as Shared};
use baraza_core::{Command, LocalId, Reply};

use super::{accounts, contacts, conversations, unexpected};
use crate::error::ApiError;
use crate::server::State;
use crate::types::{AccountStatus, Diagnostics, Status};

/// How the node and its accounts are.
#[utoipa::path(get, path = "/api/v1/status", tag = "diagnostics",
    responses((status = 200, body = Status)))]
pub(crate) async fn status(Shared(state): Shared<Arc<State>>) -> Result<Json<Status>, ApiError> {
    let mut accounts = Vec::new();
    for summary in state.node.accounts() {
        let id = summary.account;
        let account = accounts::identity_or_failed(&state, summary).await?;
        let running = account.device_id.is_some();
        accounts.push(if running {
            AccountStatus {
                account,
                running,
                diagnostics: account_diagnostics(&state, id).await?,
                requests: contacts::pending(&state, id).await?.len(),
                conversations: conversations::conversations(&state, id).await?.len(),
            }
        } else {
            AccountStatus {
                account,
                running,
                diagnostics: Diagnostics::default(),
                requests: 0,
                conversations: 0,
            }
        });
    }
    let addresses = state.node.dht_addresses().into_iter();
    let counters = &state.counters;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime: state.started.elapsed().as_secs(),
        dht_addresses: addresses.map(|address| address.to_string()).collect(),
        dht: state.node.dht_stats().await.map(Into::into),
        bootstrap: state.node.bootstrap(),
        cursor: state.node.cursor(),
        memory: resident_memory(),
        api_requests: counters.requests.load(Ordering::Relaxed),
        api_refused: counters.refused.load(Ordering::Relaxed),
        api_streams: counters.streams.load(Ordering::Relaxed),
        accounts,
    }))
}

/// What an account is doing.
#[utoipa::path(get, path = "/api/v1/accounts/{account}/diagnostics", tag = "diagnostics",
    params(("account" = String, Path, description = "Local name or Jami ID")),
    responses((status = 200, body = Diagnostics)))]
pub(crate) async fn diagnostics(
    Shared(state): Shared<Arc<State>>,
    Path(account): Path<String>,
) -> Result<Json<Diagnostics>, ApiError> {
    let account = state.account(&account)?;
    account_diagnostics(&state, account).await.map(Json)
}

async fn account_diagnostics(state: &State, account: LocalId) -> Result<Diagnostics, ApiError> {
    match state.ask(account, Command::Diagnostics).await? {
        Reply::Diagnostics(diagnostics) => Ok(diagnostics.into()),
        other => Err(unexpected(other)),
    }
}

/// Resident memory in bytes; 0 where it cannot be told.
fn resident_memory() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib.saturating_mul(1024))
}
