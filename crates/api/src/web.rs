//! The web app: the files that `make web` made, embedded in the program.
//!
//! They hold nothing of the user, so they need no token: the app asks for that itself. It gets
//! a policy that lets it load and ask nothing but this node.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use crate::error::ApiError;

/// A file of the app.
struct File {
    /// Its path in a URL.
    path: &'static str,
    content: &'static [u8],
    /// The same compressed, if that is shorter.
    gzip: Option<&'static [u8]>,
    etag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// What the app may do: nothing but run its own files and ask this node.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; \
    manifest-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; \
    trusted-types svelte-trusted-html baraza";

/// Of the page that is shown instead of an app that was not built: it has a style of its own.
const BARE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'";

/// Shown at `/` if the app was not built.
const NOT_BUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta name=viewport content=\"width=device-width\"><title>Baraza</title>\
<style>body{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;\
color:#2b2622;background:#faf6ef}code{background:#efe6d8;padding:.1em .3em;border-radius:.2em}\
@media(prefers-color-scheme:dark){body{color:#ece5db;background:#1b1a20}code{background:#322f3a}}\
</style><h1>The node runs, without the app</h1><p>This build of Baraza holds no web app. \
<code>make web</code> builds it (with Node.js 18 or newer), and <code>make run</code> does that \
and starts the node.</p><p>Everything works in the terminal, too: <code>baraza --help</code>.</p>";

/// Whether a path is one of the app's and not of the API.
fn ours(path: &str) -> bool {
    path != "/api" && !path.starts_with("/api/")
}

/// Answers what no route of the API answers.
pub(crate) async fn serve(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = uri.path();
    let reads = method == Method::GET || method == Method::HEAD;
    if ours(path) && reads {
        #[cfg(debug_assertions)]
        if let Some(response) = development::file(path) {
            return Ok(response);
        }
        if let Some(response) = answer(FILES, path, &headers) {
            return Ok(response);
        }
    }
    Err(
        ApiError::not_found("no_such_route", "there is nothing at this path")
            .hint("/api/openapi.json describes what there is"),
    )
}

fn answer(files: &[File], path: &str, headers: &HeaderMap) -> Option<Response> {
    if path == "/" && files.is_empty() {
        let mut response = (StatusCode::OK, NOT_BUILT).into_response();
        let head = response.headers_mut();
        head.insert(header::CONTENT_TYPE, kind("/index.html"));
        head.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(BARE_POLICY),
        );
        return Some(response);
    }
    let wanted = if path == "/" { "/index.html" } else { path };
    let file = files.iter().find(|file| file.path == wanted)?;
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|tags| contains(tags, file.etag));
    let gzip = file.gzip.filter(|_| {
        let accepted = headers.get(header::ACCEPT_ENCODING);
        accepted.is_some_and(|accepted| contains(accepted, "gzip"))
    });
    let (status, body) = if known {
        (StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        (
            StatusCode::OK,
            Bytes::from_static(gzip.unwrap_or(file.content)),
        )
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let head = response.headers_mut();
    dress(head, file.path);
    head.insert(header::ETAG, HeaderValue::from_static(file.etag));
    if gzip.is_some() && !known {
        head.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

/// Whether a header that holds a list has a word in it.
fn contains(list: &HeaderValue, word: &str) -> bool {
    list.to_str().is_ok_and(|list| {
        list.split(',')
            .map(|one| one.trim().trim_start_matches("W/"))
            .any(|one| one.split(';').next() == Some(word) && !one.ends_with(";q=0"))
    })
}

/// The headers that all files get.
fn dress(head: &mut HeaderMap, path: &str) {
    // Names in there hold a hash of the content.
    let cache = if path.starts_with("/assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    head.insert(header::CONTENT_TYPE, kind(path));
    for (name, value) in [
        (header::CACHE_CONTROL, cache),
        (header::VARY, "Accept-Encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(self), microphone=(self), geolocation=()",
        ),
    ] {
        head.insert(name, HeaderValue::from_static(value));
    }
}

fn kind(path: &str) -> HeaderValue {
    HeaderValue::from_static(match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("wav") => "audio/wav",
        _ => "application/octet-stream",
    })
}

/// With `BARAZA_WEB_DIR`, a debug build serves the app from a folder, so that working on the
/// app needs no new build of the node.
#[cfg(debug_assertions)]
mod development {
    use std::fs;
    use std::path::Path;

    use super::{Body, Response, dress};

    pub(super) fn file(path: &str) -> Option<Response> {
        let root = std::env::var_os("BARAZA_WEB_DIR")?;
        let wanted = if path == "/" { "/index.html" } else { path };
        let mut names = wanted.trim_start_matches('/').split('/');
        // Only names that the folder lists: no way leads out of it.
        let found = names.try_fold(Path::new(&root).to_owned(), |folder, name| {
            let mut entries = fs::read_dir(folder).ok()?.flatten();
            entries
                .find(|entry| entry.file_name() == name)
                .map(|entry| entry.path())
        })?;
        let mut response = Response::new(Body::from(fs::read(found).ok()?));
        dress(response.headers_mut(), wanted);
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &[File] = &[
        File {
            path: "/assets/app-1.js",
            content: b"let a = 1",
            gzip: Some(b"packed"),
            etag: "\"1\"",
        },
        File {
            path: "/index.html",
            content: b"<p>",
            gzip: None,
            etag: "\"2\"",
        },
    ];

    fn get(path: &str, headers: &[(header::HeaderName, &'static str)]) -> Option<Response> {
        let headers = headers.iter().cloned();
        let headers = headers
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect();
        answer(BUILT, path, &headers)
    }

    fn field(response: &Response, name: header::HeaderName) -> &str {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn page_is_checked_for_news_and_hashed_files_are_kept() {
        let page = get("/", &[]).unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(
            field(&page, header::CONTENT_TYPE),
            "text/html; charset=utf-8"
        );
        assert_eq!(field(&page, header::CACHE_CONTROL), "no-cache");
        let script = get("/assets/app-1.js", &[]).unwrap();
        assert!(field(&script, header::CACHE_CONTROL).contains("immutable"));
        assert_eq!(field(&script, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        let known = get("/", &[(header::IF_NONE_MATCH, "\"9\", W/\"2\"")]).unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn compressed_only_for_who_can_read_it() {
        let packed = [(header::ACCEPT_ENCODING, "br, gzip;q=0.5")];
        let packed = get("/assets/app-1.js", &packed).unwrap();
        assert_eq!(field(&packed, header::CONTENT_ENCODING), "gzip");
        for refused in ["identity", "gzip;q=0", "br"] {
            let plain = [(header::ACCEPT_ENCODING, refused)];
            let plain = get("/assets/app-1.js", &plain).unwrap();
            assert_eq!(field(&plain, header::CONTENT_ENCODING), "");
        }
    }

    #[test]
    fn nothing_else_is_served_and_nothing_foreign_may_run() {
        for path in [
            "/index",
            "/assets/",
            "/../api-token",
            "/assets/../index.html",
        ] {
            assert!(get(path, &[]).is_none(), "{path}");
        }
        let page = get("/", &[]).unwrap();
        let policy = field(&page, header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!ours("/api/v2/x") && !ours("/api") && ours("/") && ours("/apiary"));
    }

    #[test]
    fn without_an_app_the_page_says_how_to_build_it() {
        let page = answer(&[], "/", &HeaderMap::new()).unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert!(NOT_BUILT.contains("<code>make web</code>"));
        assert!(answer(&[], "/index.html", &HeaderMap::new()).is_none());
    }
}
