//! Who may ask at all: the `Host`, the `Origin` and the bearer token of a request.
//!
//! A page in a browser can send requests to loopback. `Host` tells when a foreign name was
//! made to point here (DNS rebinding); `Origin` and `Sec-Fetch-Site` tell that another page
//! asks (cross-site requests). Neither can be forged by a page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::access::{About, Access, Grant, Holder, Need, RULES, need};
use crate::auth::Token;
use crate::error::ApiError;

/// A WebSocket from a browser cannot have an `Authorization` header: it names the
/// subprotocol `baraza` and, with the token behind this prefix, a second one.
pub const WS_TOKEN_PREFIX: &str = "baraza.token.";

/// Path that everybody may read: it holds nothing of the user.
pub const OPENAPI_PATH: &str = "/api/openapi.json";

/// Path of the session: whoever has a code or the password signs in there.
pub const SESSION_PATH: &str = "/api/v1/session";

/// How the cookie of a browser that signed in is called, before `_` and eight digits of the
/// node's own: browsers send the cookies of one host to all its ports, where other nodes may be.
pub const SESSION_COOKIE: &str = "baraza_session";

/// A header that our own page sends with everything that changes something, and that a form
/// or picture in another page cannot send.
pub const PAGE_HEADER: &str = "x-baraza";

/// What a request is checked against.
#[derive(Debug)]
pub struct Guard {
    token: Token,
    owner: Arc<Grant>,
    access: Arc<Access>,
    /// Accepted `Host` headers, with the port where it is not the usual one.
    hosts: Vec<String>,
    /// Whether connections are encrypted.
    secure: bool,
    /// Whether the existing client's API is served, which asks for its tokens itself.
    compat: bool,
}

/// What of a request says who asks.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    uri_host: Option<&'a str>,
    headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// Whether it is for a file of the app, which is the same for everybody.
    fn is_for_page(&self) -> bool {
        let api = self.path == "/api" || self.path.starts_with("/api/");
        !api && (self.method == Method::GET || self.method == Method::HEAD)
    }

    /// Whether anybody may ask it.
    fn is_public(&self) -> bool {
        self.is_for_page()
            || self.path == OPENAPI_PATH
            || (self.path == SESSION_PATH && self.method == Method::POST)
    }
}

impl Guard {
    /// For a server at `address`; `names` are accepted in `Host` beside loopback's.
    pub fn new(token: Token, access: Arc<Access>, address: SocketAddr, names: &[String]) -> Self {
        let port = address.port();
        let own = match address {
            SocketAddr::V4(own) => own.ip().to_string(),
            SocketAddr::V6(own) => format!("[{}]", own.ip()),
        };
        let hosts = LOOPBACK
            .into_iter()
            .map(str::to_owned)
            .chain((!address.ip().is_unspecified()).then_some(own))
            .chain(names.iter().map(|name| name.to_ascii_lowercase()))
            .map(|name| format!("{name}:{port}"))
            .collect();
        Self {
            token,
            owner: Grant::owner(),
            access,
            hosts,
            secure: false,
            compat: false,
        }
        .with_usual_port(80)
    }

    /// Where the port is the usual one, it may be left out.
    fn with_usual_port(mut self, usual: u16) -> Self {
        let end = format!(":{usual}");
        let bare = self.hosts.iter().filter_map(|host| host.strip_suffix(&end));
        let bare: Vec<_> = bare.map(str::to_owned).collect();
        self.hosts.extend(bare);
        self
    }

    /// For connections that are encrypted.
    #[must_use]
    pub fn over_tls(mut self) -> Self {
        self.secure = true;
        // What was left out means another port here.
        self.hosts.retain(|host| has_port(host));
        self.with_usual_port(443)
    }

    /// Lets the requests to the existing client's API through to it.
    #[must_use]
    pub fn with_compat(mut self, on: bool) -> Self {
        self.compat = on;
        self
    }

    /// Who asks; nobody for what is public.
    fn check(&self, asked: Asked<'_>) -> Result<Option<Arc<Grant>>, ApiError> {
        self.check_host(asked.uri_host, asked.headers)?;
        self.check_origin(asked)?;
        if asked.is_public() || (self.compat && crate::compat::is_path(asked.path)) {
            return Ok(None);
        }
        if let Some(given) = bearer(asked.headers) {
            if self.token.matches(given) {
                return Ok(Some(Arc::clone(&self.owner)));
            }
            let known = self.access.find(given);
            if let Some(grant) = known.filter(|grant| is_token(grant)) {
                return Ok(Some(grant));
            }
            return Err(ApiError::unauthorized(
                "token_wrong",
                "the API token is wrong, was revoked, or has expired",
            ));
        }
        if let Some(secret) = cookie(asked.headers, self.access.cookie_name()) {
            return self.check_session(asked, secret).map(Some);
        }
        Err(
            ApiError::unauthorized("token_missing", "the request has no API token").hint(
                "send \"Authorization: Bearer TOKEN\"; TOKEN is in the file api-token in the \
                 node's data directory",
            ),
        )
    }

    /// A cookie is sent by the browser, whoever wrote the page: our own page says so.
    fn check_session(&self, asked: Asked<'_>, secret: &str) -> Result<Arc<Grant>, ApiError> {
        let refused = |code, message| ApiError::new(StatusCode::FORBIDDEN, code, message);
        let headers = asked.headers;
        let reads = asked.method == Method::GET || asked.method == Method::HEAD;
        if headers.contains_key(header::UPGRADE) {
            if !headers.contains_key(header::ORIGIN) {
                let text = "a WebSocket with the cookie needs the header Origin";
                return Err(refused("origin_missing", text));
            }
        } else if !reads && headers.get(PAGE_HEADER).is_none_or(|value| value != "1") {
            let text = "a change with the cookie needs the header X-Baraza: 1";
            return Err(refused("page_header_missing", text));
        }
        let known = self.access.find(secret);
        known
            .filter(|grant| matches!(grant.holder(), Holder::Session(_)))
            .ok_or_else(|| {
                ApiError::unauthorized("session_ended", "you are not signed in any more")
                    .hint("sign in again: `baraza open`")
            })
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

    fn check_origin(&self, asked: Asked<'_>) -> Result<(), ApiError> {
        let headers = asked.headers;
        let refused = || {
            ApiError::new(
                StatusCode::FORBIDDEN,
                "origin_refused",
                "requests from other web pages are refused",
            )
        };
        let scheme = if self.secure { "https://" } else { "http://" };
        for origin in headers.get_all(header::ORIGIN) {
            let ours = origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix(scheme))
                .is_some_and(|host| self.knows(host));
            if !ours {
                return Err(refused());
            }
        }
        // A link elsewhere may lead to the app; what the page then does is not cross-site.
        let fetch = |name| headers.get(name).map(HeaderValue::as_bytes);
        let followed = asked.is_for_page() && fetch("sec-fetch-mode") == Some(b"navigate");
        match fetch("sec-fetch-site") {
            Some(b"cross-site" | b"same-site") if !followed => Err(refused()),
            _ => Ok(()),
        }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// Marks a request that came over an encrypted connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Secure;

/// Names of this machine, for itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Whether a request names this machine as it names itself.
fn is_loopback(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host.unwrap_or_default();
    let name = host.rsplit_once(':').filter(|_| has_port(host));
    LOOPBACK.contains(&name.map_or(host, |(name, _)| name))
}

/// Whether a host is given with its port: addresses of IPv6 have colons themselves.
fn has_port(host: &str) -> bool {
    host.rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
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

fn is_token(grant: &Grant) -> bool {
    matches!(grant.holder(), Holder::Token(_))
}

/// The middleware of each route: whether who asks may ask that.
pub(crate) async fn enforce(
    State(state): State<Arc<crate::server::State>>,
    matched: MatchedPath,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = matched.as_str().strip_prefix("/api/v1").unwrap_or("");
    let Some(need) = need(request.method(), path) else {
        return Err(unlisted(path));
    };
    if need == Need::Known && request.extensions().get::<Arc<Grant>>().is_none() {
        return Ok(next.run(request).await);
    }
    let grant = request.extensions().get::<Arc<Grant>>();
    let grant = grant.ok_or_else(|| ApiError::unauthorized("token_missing", "who asks?"))?;
    let mut about = About::default();
    for (name, value) in &params {
        match name {
            "account" => about.account = Some(state.account(value).ok()),
            "conversation" => about.conversation = Some(value.parse().ok()),
            _ => {}
        }
    }
    grant.check(need, about)?;
    Ok(next.run(request).await)
}

/// What is not in the table is not done, whatever the router would do.
pub(crate) fn unlisted(path: &str) -> ApiError {
    let methods: Vec<_> = RULES
        .iter()
        .filter(|rule| rule.1 == path)
        .map(|rule| rule.0)
        .collect();
    if methods.is_empty() {
        tracing::error!(path, "this route is not in the table of what routes need");
    }
    ApiError::wrong_method(&methods)
}

/// The secret of a browser's session.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            let (known, value) = pair.trim().split_once('=')?;
            (known == name).then_some(value)
        })
}

/// The middleware.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let uri_host = request
        .uri()
        .authority()
        .map(axum::http::uri::Authority::as_str);
    let grant = guard.check(Asked {
        method: request.method(),
        path: request.uri().path(),
        uri_host,
        headers: request.headers(),
    })?;
    if let Some(grant) = grant {
        request.extensions_mut().insert(grant);
    }
    if guard.secure {
        request.extensions_mut().insert(Secure);
    }
    let always = guard.secure && !is_loopback(request.headers());
    let mut response = next.run(request).await;
    if always {
        // Not for `localhost`: it would hold for every other server there, too.
        let year = HeaderValue::from_static("max-age=31536000");
        response
            .headers_mut()
            .insert(header::STRICT_TRANSPORT_SECURITY, year);
    }
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
        check_at(&Method::GET, "/api/v1/status", pairs)
    }

    fn check_at(
        method: &Method,
        path: &str,
        pairs: &[(&'static str, &str)],
    ) -> Result<(), &'static str> {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let secret = token.secret().to_owned();
        let access = Access::open(&dir.path().join("node.db")).unwrap();
        let guard = Guard::new(
            token,
            Arc::new(access),
            "127.0.0.1:8123".parse().unwrap(),
            &["box.lan".into()],
        );
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = value.replace("TOKEN", &secret);
            headers.append(*name, HeaderValue::from_str(&value).unwrap());
        }
        guard
            .check(Asked {
                method,
                path,
                uri_host: None,
                headers: &headers,
            })
            .map(drop)
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
    fn over_tls_other_origins_are_ours_and_the_usual_port_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(dir.path(), &mut Rng::from_seed(1)).unwrap();
        let access = Arc::new(Access::open(&dir.path().join("node.db")).unwrap());
        let at = |address: &str| {
            let names = ["box.lan".to_owned()];
            let address = address.parse().unwrap();
            Guard::new(token.clone(), Arc::clone(&access), address, &names).over_tls()
        };
        let guard = at("192.168.1.5:443");
        for (host, known) in [
            ("box.lan", true),
            ("box.lan:443", true),
            ("192.168.1.5", true),
            ("[::1]", true),
            ("box.lan:80", false),
            ("192.168.1.6", false),
        ] {
            assert_eq!(guard.knows(host), known, "{host}");
        }
        assert!(!at("0.0.0.0:80").knows("box.lan"));
        assert!(at("0.0.0.0:80").knows("box.lan:80"));
        assert!(!at("0.0.0.0:8222").knows("0.0.0.0:8222"));
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

    #[test]
    fn files_of_the_app_and_signing_in_need_no_token() {
        const HOST: (&str, &str) = ("host", "127.0.0.1:8123");
        for (method, path, want) in [
            (Method::GET, "/", Ok(())),
            (Method::HEAD, "/assets/app.js", Ok(())),
            (Method::POST, "/", Err("token_missing")),
            (Method::POST, SESSION_PATH, Ok(())),
            (Method::GET, SESSION_PATH, Err("token_missing")),
            (Method::GET, "/api", Err("token_missing")),
            (Method::GET, "/api/", Err("token_missing")),
        ] {
            assert_eq!(check_at(&method, path, &[HOST]), want, "{path}");
        }
        let link = [
            HOST,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
        ];
        assert_eq!(check_at(&Method::GET, "/", &link), Ok(()));
        let fetched = [
            HOST,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "no-cors"),
        ];
        assert_eq!(check_at(&Method::GET, "/", &fetched), Err("origin_refused"));
        let api = check_at(&Method::GET, "/api/v1/status", &link);
        assert_eq!(api, Err("origin_refused"));
    }
}
