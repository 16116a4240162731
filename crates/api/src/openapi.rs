//! The description of the API, served at `/api/openapi.json` and kept in `docs/openapi.json`.

mod examples;

use std::sync::OnceLock;

use axum::http::Method;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, ResponseBuilder};

use crate::access::{Need, need};
use crate::error::PROBLEM;
use crate::guard::SESSION_COOKIE;
use crate::routes::{
    accounts, backups, bundles, contacts, conversations, devices, doctor, events, files, groups,
    jami, linking, names, nearby, network, profiles, restore, safety, session, signs, status,
    tokens, views, webhooks,
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
                       `application/problem+json` (RFC 9457) with `code` and `hint`.",
        license(name = "GPL-3.0-or-later"),
    ),
    paths(
        status::status, status::diagnostics,
        doctor::last, doctor::examine, doctor::report,
        network::show, network::choose, network::forget, nearby::look_around,
        session::show, session::sign_in, session::sign_out, session::code,
        session::set_password, session::list, session::revoke,
        tokens::list, tokens::create, tokens::revoke,
        accounts::list, accounts::create, accounts::import, accounts::show, accounts::change,
        accounts::remove, accounts::export, jami::import_jami,
        linking::link, linking::pin, linking::change_password, linking::enable,
        linking::disable, linking::begin, linking::show, linking::confirm, linking::cancel,
        linking::add_device, linking::show_device, linking::confirm_device,
        linking::cancel_device,
        backups::state, backups::make, restore::upload, restore::restore, backups::set_schedule, backups::end_schedule,
        contacts::list, contacts::add, contacts::show, contacts::remove, contacts::block,
        contacts::unblock, contacts::requests, contacts::accept, contacts::decline,
        contacts::block_asker, nearby::show, nearby::change, safety::peer_devices, safety::verify, safety::unverify,
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
        webhooks::list, webhooks::add, webhooks::remove, webhooks::enable, webhooks::test,
    ),
    components(schemas(
        error::Problem, types::Progress, types::Account, types::Status, types::EventBatch,
        types::keep::BackupProgress, types::keep::RestoreProgress, types::keep::JamiProgress,
    )),
    security(("token" = []), ("session" = [])),
    modifiers(&Token, &Needs, &Refusals, &Keys, &Lists, &Names),
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
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(format!(
            "{SESSION_COOKIE}_NODE"
        ))));
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme("session", cookie);
    }
}

/// Operations say which scope they need.
struct Needs;

impl utoipa::Modify for Needs {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in operations(item) {
                let path = path.strip_prefix("/api/v1").unwrap_or(path);
                let text = match need(&method, path) {
                    None | Some(Need::Known) => continue,
                    Some(Need::Owner) => "For the owner only.".to_owned(),
                    Some(Need::Has(scope) | Need::Filtered(scope)) => {
                        format!("Needs the scope `{scope}`.")
                    }
                };
                let before = operation.description.take();
                let parts = before.into_iter().filter(|text| !text.is_empty());
                let parts: Vec<_> = parts.chain([text]).collect();
                operation.description = Some(parts.join("\n\n"));
            }
        }
    }
}

/// What is no success is a problem, everywhere.
struct Refusals;

impl utoipa::Modify for Refusals {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let problem = || {
            let schema = Ref::from_schema_name("Problem");
            ContentBuilder::new().schema(Some(schema)).build()
        };
        for item in openapi.paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                let responses = &mut operation.responses.responses;
                for (status, response) in responses.iter_mut() {
                    if let (RefOr::T(response), '4' | '5') =
                        (response, status.chars().next().unwrap_or_default())
                    {
                        response.content.clear();
                        response
                            .content
                            .insert(PROBLEM.to_owned(), RefOr::T(problem()));
                    }
                }
                let refusal = ResponseBuilder::new()
                    .description("Refused, or failed")
                    .content(PROBLEM, problem())
                    .build();
                responses.insert("default".to_owned(), RefOr::T(refusal));
            }
        }
    }
}

/// What writes to others takes an `Idempotency-Key`.
struct Keys;

/// The operations that do.
const KEYS: [&str; 4] = [
    "/api/v1/accounts/{account}/conversations",
    "/api/v1/accounts/{account}/conversations/{conversation}/messages",
    "/api/v1/accounts/{account}/conversations/{conversation}/messages/{message}/reactions",
    "/api/v1/accounts/{account}/conversations/{conversation}/files",
];

impl utoipa::Modify for Keys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for path in KEYS {
            let post = openapi
                .paths
                .paths
                .get_mut(path)
                .and_then(|item| item.post.as_mut());
            let key = serde_json::from_value(crate::idempotency::parameter()).ok();
            if let (Some(post), Some(key)) = (post, key) {
                post.parameters.get_or_insert_default().push(key);
            }
        }
    }
}

/// Plain lists come in pages, if that is asked for.
struct Lists;

impl utoipa::Modify for Lists {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for item in openapi.paths.paths.values_mut() {
            let Some(get) = &mut item.get else { continue };
            let Some(RefOr::T(answer)) = get.responses.responses.get_mut("200") else {
                continue;
            };
            let lists = answer.content.values().any(|content| {
                matches!(
                    content,
                    RefOr::T(content) if matches!(content.schema, Some(RefOr::T(Schema::Array(_))))
                )
            });
            if !lists {
                continue;
            }
            let text = ObjectBuilder::new().schema_type(Type::String);
            let text = text.examples(["<?limit=100&after=38363765>; rel=\"next\""]);
            let link = HeaderBuilder::new()
                .schema(Some(text))
                .description(Some(
                    "With `limit`: the next page, if there is one (RFC 8288)",
                ))
                .build();
            answer.headers.insert("Link".to_owned(), link.into());
            for parameter in crate::paging::parameters() {
                if let Ok(parameter) = serde_json::from_value(parameter) {
                    get.parameters.get_or_insert_default().push(parameter);
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let operations = [
        (Method::GET, &mut item.get),
        (Method::POST, &mut item.post),
        (Method::PUT, &mut item.put),
        (Method::PATCH, &mut item.patch),
        (Method::DELETE, &mut item.delete),
    ];
    operations
        .into_iter()
        .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Operations have one name each in the whole description: `accounts_list`.
struct Names;

impl utoipa::Modify for Names {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for item in openapi.paths.paths.values_mut() {
            for (_, operation) in operations(item) {
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
        let mut document = serde_json::to_value(Description::openapi()).unwrap_or_default();
        examples::add(&mut document);
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    })
}

#[cfg(test)]
mod tests {
    /// Every route is described, needs something, and exists; nothing else is in the table.
    #[test]
    fn every_route_that_is_described_needs_something_and_the_other_way_round() {
        let described: serde_json::Value = serde_json::from_str(super::text()).unwrap();
        let mut described: Vec<_> = described["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let path = path.strip_prefix("/api/v1").unwrap();
                let methods = item.as_object().unwrap().keys();
                methods.map(move |method| (method.to_uppercase(), path.to_owned()))
            })
            .collect();
        let table = crate::access::RULES.iter();
        let mut table: Vec<_> = table
            .map(|rule| (rule.0.to_owned(), rule.1.to_owned()))
            .collect();
        described.sort();
        table.sort();
        assert_eq!(described, table);
    }

    /// What is asked and what is answered has an example, everywhere.
    #[test]
    fn every_parameter_request_and_answer_has_an_example() {
        let described: serde_json::Value = serde_json::from_str(super::text()).unwrap();
        let mut missing = Vec::new();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let mut look = |what: &str, thing: &serde_json::Value| {
                    if thing.get("example").is_none() {
                        missing.push(format!("{method} {path}: {what}"));
                    }
                };
                for parameter in operation["parameters"].as_array().into_iter().flatten() {
                    look(parameter["name"].as_str().unwrap(), parameter);
                }
                let body = operation["requestBody"]["content"].as_object();
                for (kind, media) in body.into_iter().flatten() {
                    look(kind, media);
                }
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let content = answer["content"].as_object().into_iter().flatten();
                    for (kind, media) in content.filter(|_| status.starts_with('2')) {
                        look(&format!("{status} {kind}"), media);
                    }
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }

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
