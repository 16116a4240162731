//! The description of the server, served at `/openapi.json` and kept in
//! `docs/openapi-names.json`.

use std::sync::OnceLock;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::OpenApi;

use super::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Baraza names",
        description = "A directory of names for Jami IDs. The routes under /name and /addr are \
                       those of the existing name servers. A refusal is `{\"error\"}`, of a \
                       registration `{\"success\": false, \"error\"}`.",
        license(name = "GPL-3.0-or-later"),
    ),
    paths(
        routes::by_name,
        routes::public_key,
        routes::signature,
        routes::owner,
        routes::by_addr,
        routes::register,
        routes::checkpoint,
        routes::health,
        routes::ready,
    ),
    components(schemas(
        routes::Found,
        routes::Named,
        routes::Addressed,
        routes::Registered,
        routes::Refused,
        routes::RegisterRequest,
        routes::CheckpointAnswer,
    ))
)]
struct Description;

/// The description as JSON.
pub fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Description::openapi().to_pretty_json().unwrap_or_default();
        text.push('\n');
        text
    })
}

pub(super) async fn serve() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::OK, kind, text()).into_response()
}

#[cfg(test)]
mod tests {
    /// To write it anew: `BLESS=1 cargo test -q --workspace --lib openapi`.
    #[test]
    fn committed_description_is_the_one_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi-names.json");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, super::text()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(
            committed == super::text(),
            "docs/openapi-names.json is old: write it anew with BLESS=1"
        );
    }
}
