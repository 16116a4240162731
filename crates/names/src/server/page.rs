//! A page to look a name up, for people: no script, nothing from elsewhere, readable by
//! screen readers and in either direction of writing.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use baraza_wire::AccountId;
use serde::Deserialize;

use super::State;
use super::routes::failed;
use crate::name::Name;
use crate::record::parse_addr;
use crate::store::{HeldState, StoreError};

const STYLE: &str = include_str!("page/style.css");
/// Longest text that is looked at.
const MAX_TEXT: usize = 255;

/// What somebody typed.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    q: Option<String>,
}

/// The words of the page in one language.
struct Words {
    language: &'static str,
    direction: &'static str,
    title: &'static str,
    label: &'static str,
    button: &'static str,
    name: &'static str,
    id: &'static str,
    nobody: &'static str,
    invalid: &'static str,
    add: &'static str,
}

const ENGLISH: Words = Words {
    language: "en",
    direction: "ltr",
    title: "Find a name",
    label: "Name or Jami ID",
    button: "Look up",
    name: "Name",
    id: "Jami ID",
    nobody: "Nobody has this name here.",
    invalid: "A name has 3 to 32 letters a to z, digits, - and _.",
    add: "Add as a contact",
};

const PERSIAN: Words = Words {
    language: "fa",
    direction: "rtl",
    title: "یافتن یک نام",
    label: "نام یا شناسهٔ جامی",
    button: "جستجو",
    name: "نام",
    id: "شناسهٔ جامی",
    nobody: "هیچ‌کس این نام را در اینجا ندارد.",
    invalid: "نام از ۳ تا ۳۲ حرف a تا z، رقم، - و _ تشکیل می‌شود.",
    add: "افزودن به مخاطبان",
};

/// The first language of the browser that the page is in.
fn words(headers: &HeaderMap) -> &'static Words {
    let wanted = headers
        .get(header::ACCEPT_LANGUAGE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    for tag in wanted.split(',').map(str::trim) {
        let language = tag.split(['-', ';']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("fa") {
            return &PERSIAN;
        }
        if language.eq_ignore_ascii_case("en") {
            return &ENGLISH;
        }
    }
    &ENGLISH
}

enum Seen {
    Nothing,
    Invalid,
    Nobody,
    Found(Name, AccountId),
}

async fn look(state: &State, text: &str) -> Result<Seen, StoreError> {
    if text.is_empty() {
        return Ok(Seen::Nothing);
    }
    if text.len() > MAX_TEXT {
        return Ok(Seen::Invalid);
    }
    if let Some(id) = parse_addr(text.strip_prefix("jami:").unwrap_or(text)) {
        let name = state.store.by_id(id).await?;
        return Ok(name.map_or(Seen::Nobody, |name| Seen::Found(name, id)));
    }
    let Ok(name) = Name::from_typed(text) else {
        return Ok(Seen::Invalid);
    };
    let held = state.store.by_name(&name).await?;
    Ok(match held {
        Some(held) if held.state == HeldState::Active => match held.record {
            Some(record) => Seen::Found(name, record.addr),
            None => Seen::Nobody,
        },
        _ => Seen::Nobody,
    })
}

/// The page, with what was found if something was asked.
pub(super) async fn page(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    query: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let words = words(&headers);
    let asked = query.ok().and_then(|query| query.0.q).unwrap_or_default();
    let asked = asked.trim();
    let found = match look(&state, asked).await {
        Ok(found) => found,
        Err(error) => return failed(&state, &error),
    };
    let (status, result) = match found {
        Seen::Nothing => (StatusCode::OK, String::new()),
        Seen::Invalid => (StatusCode::BAD_REQUEST, format!("<p>{}</p>", words.invalid)),
        Seen::Nobody => (StatusCode::NOT_FOUND, format!("<p>{}</p>", words.nobody)),
        Seen::Found(name, id) => (
            StatusCode::OK,
            format!(
                "<dl><dt>{}</dt><dd><bdi>{name}</bdi></dd><dt>{}</dt>\
                 <dd><code dir=\"ltr\">{id}</code></dd></dl>\
                 <p><a href=\"jami:{id}\">{}</a></p>",
                words.name, words.id, words.add
            ),
        ),
    };
    let shown: String = asked.chars().take(MAX_TEXT).collect();
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"{language}\" dir=\"{direction}\">\n<head>\n\
         <meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n</head>\n<body>\n\
         <main>\n<h1>{title}</h1>\n<form method=\"get\" role=\"search\">\n\
         <label for=\"q\">{label}</label>\n\
         <input id=\"q\" name=\"q\" dir=\"auto\" value=\"{shown}\" maxlength=\"{MAX_TEXT}\" \
         autocomplete=\"off\" autocapitalize=\"none\" spellcheck=\"false\" required>\n\
         <button>{button}</button>\n</form>\n\
         <div role=\"status\" aria-live=\"polite\">{result}</div>\n</main>\n</body>\n</html>\n",
        language = words.language,
        direction = words.direction,
        title = words.title,
        label = words.label,
        button = words.button,
        shown = escape(&shown),
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept-language"),
    ];
    (status, headers, body).into_response()
}

/// How the page looks.
pub(super) async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=86400"),
    ];
    (headers, STYLE).into_response()
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
