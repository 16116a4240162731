//! The description of the API, served at `/api/openapi.json` and kept in `docs/openapi.json`.

use std::sync::OnceLock;

use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};

use crate::guard::SESSION_COOKIE;
use crate::routes::{
    accounts, backups, bundles, contacts, conversations, devices, events, files, groups, jami,
    linking, names, profiles, session, signs, status, views,
};
use crate::{error, types};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baraza",
        description = "The API of a personal node, on loopback. Every request but the one for \
                       this description and the one that signs in needs the token in the file \
                       `api-token` of the node's data directory (`Authorization: Bearer \
                       TOKEN`), or the cookie of a browser that signed in; with the cookie, \
                       what changes something needs the header `X-Baraza: 1`, too. A refusal is \
                       `{\"error\": {\"code\", \"message\", \"hint\"}}`.",
        license(name = "GPL-3.0-or-later"),
    ),
    paths(
        status::status, status::diagnostics,
        session::show, session::sign_in, session::sign_out, session::code,
        session::set_password, session::list, session::revoke,
        accounts::list, accounts::create, accounts::import, accounts::show, accounts::change,
        accounts::remove, accounts::export, jami::import_jami,
        linking::link, linking::pin, linking::change_password, linking::enable,
        linking::disable, linking::begin, linking::show, linking::confirm, linking::cancel,
        linking::add_device, linking::show_device, linking::confirm_device,
        linking::cancel_device,
        backups::state, backups::make, backups::set_schedule, backups::end_schedule,
        contacts::list, contacts::add, contacts::show, contacts::remove, contacts::block,
        contacts::unblock, contacts::requests, contacts::accept, contacts::decline,
        contacts::block_asker,
        names::find, names::of, names::register, names::server, names::change_server,
        bundles::export, bundles::import,
        conversations::list, conversations::show, conversations::members,
        conversations::history, conversations::send, conversations::message,
        conversations::delivery, conversations::mark_read,
        groups::create, groups::leave, groups::profile, groups::change_profile, groups::invite,
        groups::ban, groups::react, groups::edit,
        profiles::own, profiles::change, profiles::show,
        files::list, files::send, files::show, files::download, files::accept, files::cancel,
        files::delete, files::auto_accept, files::set_auto_accept,
        views::entries, views::search,
        signs::rejoin, signs::typing, signs::settings, signs::change_settings,
        devices::list, devices::rename, devices::revoke, devices::preferences,
        devices::change_preferences,
        events::poll, events::socket,
    ),
    components(schemas(
        error::ErrorBody, types::Progress, types::Account, types::Status, types::EventBatch,
        types::keep::BackupProgress, types::keep::JamiProgress,
    )),
    security(("token" = []), ("session" = [])),
    modifiers(&Token, &Names),
)]
struct Description;

struct Token;

impl utoipa::Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("token", scheme);
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE)));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("session", cookie);
    }
}

/// Operations have one name each in the whole description: `accounts_list`.
struct Names;

impl utoipa::Modify for Names {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for item in openapi.paths.paths.values_mut() {
            let operations = [
                &mut item.get,
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            for operation in operations.into_iter().flatten() {
                let tag = operation.tags.iter().flatten().next();
                if let (Some(tag), Some(name)) = (tag, &operation.operation_id) {
                    operation.operation_id = Some(format!("{tag}_{name}"));
                }
            }
        }
    }
}

/// The description as JSON.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    /// To write it anew: `BLESS=1 cargo test -p baraza-api openapi`.
    #[test]
    fn committed_description_is_the_one_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, super::text()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == super::text(),
            "docs/openapi.json is old: write it anew with BLESS=1 cargo test -p baraza-api"
        );
    }
}
