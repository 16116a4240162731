//! The account, and calls, of which there are none.

use axum::extract::Path;
use baraza_core::{Command, Reply};
use serde_json::json;

use super::{Answer, Caller, Refusal, ok, unexpected};

/// `GET /api/info`.
pub(crate) async fn info() -> Answer {
    ok(&json!({
        "api": "jami-http",
        "compat": "qt-2026-08",
        "features": ["paging", "message-id", "upload"],
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

/// `GET /api/account`. Of the details only those are there that are no secrets.
pub(crate) async fn show(caller: Caller) -> Answer {
    caller.needs("account:read")?;
    let identity = match caller.ask(Command::Identity).await? {
        Reply::Identity(identity) => identity,
        other => return Err(unexpected(other)),
    };
    let devices = match caller.ask(Command::Devices).await? {
        Reply::Devices(devices) => devices,
        other => return Err(unexpected(other)),
    };
    let enabled = caller
        .state
        .node
        .accounts()
        .iter()
        .any(|account| account.account == caller.account && account.enabled);
    let text = |yes: bool| if yes { "true" } else { "false" };
    let devices: serde_json::Map<_, _> = devices
        .into_iter()
        .map(|device| (device.id.to_hex(), json!(device.name)))
        .collect();
    ok(&json!({
        "id": caller.account.to_string(),
        "details": {
            "Account.alias": identity.display_name,
            "Account.displayName": identity.display_name,
            "Account.enable": text(enabled),
            "Account.type": "RING",
            "Account.username": identity.jami_id.to_hex(),
            "Account.password": "",
            "Account.archivePassword": "",
            "TURN.password": "",
            "TLS.password": "",
            "Account.proxyPushToken": "",
        },
        "volatileDetails": {
            "Account.active": text(enabled),
            "Account.deviceAnnounced": text(identity.announced),
            "Account.registeredName": identity.registered_name,
            "Account.deviceID": identity.device_id.to_hex(),
        },
        "defaultModerators": [],
        "devices": devices,
    }))
}

/// `GET /api/calls`: there are none.
pub(crate) async fn calls(caller: Caller) -> Answer {
    caller.needs("calls:read")?;
    ok(&json!([]))
}

/// `GET /api/calls/{id}`.
pub(crate) async fn call(caller: Caller, Path(_): Path<String>) -> Answer {
    caller.needs("calls:read")?;
    Err(Refusal::not_found("Call not found"))
}
