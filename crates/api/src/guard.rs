//! Who may ask at all: the `Host`, the `Origin` and the bearer token of a request.
//!
//! A page in a browser can send requests to loopback. `Host` tells when a foreign name was
//! made to point here (DNS rebinding); `Origin` and `Sec-Fetch-Site` tell that another page
//! asks (cross-site requests). Neither can be forged by a page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::auth::Token;
use crate::error::ApiError;

/// A WebSocket from a browser cannot have an `Authorization` header: it names the
/// subprotocol `baraza` and, with the token behind this prefix, a second one.
pub const WS_TOKEN_PREFIX: &str = "baraza.token.";

/// Path that everybody may read: it holds nothing of the user.
pub const OPENAPI_PATH: &str = "/api/openapi.json";

/// What a request is checked against.
#[derive(Debug)]
pub struct Guard {
    token: Token,
    /// Accepted `Host` headers, with the port where it is not 80.
    hosts: Vec<String>,
}

impl Guard {
    /// For a server at `address`; `names` are accepted in `Host` beside loopback's.
    pub fn new(token: Token, address: SocketAddr, names: &[String]) -> Self {
        let port = address.port();
        let hosts = ["localhost", "127.0.0.1", "[::1]"]
            .into_iter()
            .map(str::to_owned)
            .chain(names.iter().map(|name| name.to_ascii_lowercase()))
            .flat_map(|name| {
                let with_port = format!("{name}:{port}");
                let bare = (port == 80).then_some(name);
                [Some(with_port), bare].into_iter().flatten()
            })
            .collect();
        Self { token, hosts }
    }

    fn check(
        &self,
        path: &str,
        uri_host: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        self.check_host(uri_host, headers)?;
        self.check_origin(headers)?;
        if path == OPENAPI_PATH {
            return Ok(());
        }
        let given = bearer(headers).ok_or_else(|| {
            unauthorized("token_missing", "the request has no API token").hint(
                "send \"Authorization: Bearer TOKEN\"; TOKEN is in the file api-token in the \
                 node's data directory",
            )
        })?;
        if self.token.matches(given) {
            Ok(())
        } else {
            Err(unauthorized("token_wrong", "the API token is wrong"))
        }
    }

    fn check_host(&self, uri_host: Option<&str>, headers: &HeaderMap) -> Result<(), ApiError> {
        let wrong = || {
            ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "host_refused",
                "the request names another host",
            )
        };
        let mut named = headers.get_all(header::HOST).iter();
        let host = named.next().ok_or_else(wrong)?;
        let host = host.to_str().map_err(|_not_text| wrong())?;
        if named.next().is_some()
            || uri_host.is_some_and(|uri| !uri.eq_ignore_ascii_case(host))
            || !self.knows(host)
        {
            return Err(wrong());
        }
        Ok(())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let refused = || {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "origin_refused",
                "requests from other web pages are refused",
            )
        };
        for origin in headers.get_all(header::ORIGIN) {
            let ours = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("http://"))
                .is_some_and(|host| self.knows(host));
            if !ours {
                return Err(refused());
            }
        }
        match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
            Some(b"cross-site" | b"same-site") => Err(refused()),
            _ => Ok(()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host))
    }
}

fn unauthorized(code: &'static str, message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, code, message)
}

/// The token of a request: in `Authorization`, or in `Sec-WebSocket-Protocol`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(WS_TOKEN_PREFIX))
}

/// The middleware.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let uri_host = request
        .uri()
        .authority()
        .map(axum::http::uri::Authority::as_str);
    guard.check(request.uri().path(), uri_host, request.headers())?;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use baraza_wire::Rng;

    use super::*;

    fn check(pairs: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let secret = token.secret().to_owned();
        let guard = Guard::new(
            token,
            "127.0.0.1:8123".parse().unwrap(),
            &["box.lan".into()],
        );
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = value.replace("TOKEN", &secret);
            headers.append(*name, HeaderValue::from_str(&value).unwrap());
        }
        guard
            .check("/api/v1/status", None, &headers)
            .map_err(|error| error.code())
    }

    const AUTH: (&str, &str) = ("authorization", "Bearer TOKEN");

    #[test]
    fn own_hosts_with_the_token_pass() {
        for host in [
            "127.0.0.1:8123",
            "localhost:8123",
            "LOCALHOST:8123",
            "[::1]:8123",
            "box.lan:8123",
        ] {
            assert_eq!(check(&[("host", host), AUTH]), Ok(()), "{host}");
        }
    }

    #[test]
    fn foreign_hosts_are_refused() {
        for host in [
            "evil.example:8123",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:8123.evil.example",
            "",
            "127.0.0.1:8123 ",
        ] {
            let wrong = check(&[("host", host), AUTH]);
            assert_eq!(wrong, Err("host_refused"), "{host:?}");
        }
        assert_eq!(check(&[AUTH]), Err("host_refused"));
        let twice = check(&[("host", "localhost:8123"), ("host", "localhost:8123"), AUTH]);
        assert_eq!(twice, Err("host_refused"));
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:8123");
        for (origin, want) in [
            ("http://127.0.0.1:8123", Ok(())),
            ("http://localhost:8123", Ok(())),
            ("https://127.0.0.1:8123", Err("origin_refused")),
            ("http://127.0.0.1:8124", Err("origin_refused")),
            ("http://evil.example", Err("origin_refused")),
            ("null", Err("origin_refused")),
        ] {
            assert_eq!(check(&[HOST, AUTH, ("origin", origin)]), want, "{origin}");
        }
        for (site, want) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("cross-site", Err("origin_refused")),
            ("same-site", Err("origin_refused")),
        ] {
            assert_eq!(
                check(&[HOST, AUTH, ("sec-fetch-site", site)]),
                want,
                "{site}"
            );
        }
    }

    #[test]
    fn no_token_and_a_wrong_one_are_told_apart() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:8123");
        assert_eq!(check(&[HOST]), Err("token_missing"));
        assert_eq!(
            check(&[HOST, ("authorization", "Basic TOKEN")]),
            Err("token_missing")
        );
        assert_eq!(
            check(&[HOST, ("authorization", "Bearer x")]),
            Err("token_wrong")
        );
        assert_eq!(
            check(&[HOST, ("authorization", "Bearer TOKENx")]),
            Err("token_wrong")
        );
    }

    #[test]
    fn a_browser_may_send_the_token_as_a_subprotocol() {
        let protocols = ("sec-websocket-protocol", "baraza, baraza.token.TOKEN");
        assert_eq!(check(&[("host", "127.0.0.1:8123"), protocols]), Ok(()));
    }
}
