//! Which server, and whom to ask it for: what people type, paste and scan.

use std::fmt;
use std::str::FromStr;

use baraza_wire::AccountId;
use thiserror::Error;
use url::{Host, Url};

use crate::name::{LookupText, NameError};

/// The server of an account whose setting is empty, as existing clients have it.
pub const DEFAULT_SERVER: &str = "https://ns.jami.net";
/// Longest address of a server, in bytes.
const MAX_URL: usize = 512;

/// Why a text is no address of a name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServerUrlError {
    /// Not an address at all.
    #[error("that is no address of a server: expected something like names.example.com")]
    NoAddress,
    /// Another scheme than http and https.
    #[error("name servers are asked by https, or by http if the address says so")]
    Scheme,
    /// A user's name or password in it.
    #[error("the address of a name server has no user name or password")]
    Credentials,
    /// A question or a fragment in it.
    #[error("the address of a name server has no ? and no #")]
    Query,
    /// Too long.
    #[error("the address of the server is longer than {MAX_URL} bytes")]
    TooLong,
}

/// The address of a name server: https, or http if that was asked for; `host[:port][/prefix]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl {
    url: Url,
    /// As it is written, without a slash at the end.
    text: String,
}

impl ServerUrl {
    /// Reads an address as people write it; without a scheme it is https.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, ServerUrlError> {
        let text = text.trim();
        if text.len() > MAX_URL {
            return Err(ServerUrlError::TooLong);
        }
        let unusual = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.is_empty() || text.contains(unusual) {
            return Err(ServerUrlError::NoAddress);
        }
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("https://{text}"))
        };
        let url = url.map_err(|_| ServerUrlError::NoAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ServerUrlError::Scheme);
        }
        if url.host().is_none() {
            return Err(ServerUrlError::NoAddress);
        }
        if text.contains('@') {
            return Err(ServerUrlError::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ServerUrlError::Query);
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        // With the slash at the end or without, it is the same server.
        let url = Url::parse(&text).map_err(|_| ServerUrlError::NoAddress)?;
        Ok(Self { url, text })
    }

    /// The public server of existing clients.
    ///
    /// # Errors
    /// Never, as its address is a good one.
    pub fn public() -> Result<Self, ServerUrlError> {
        Self::parse(DEFAULT_SERVER)
    }

    /// As it is written, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host alone, as in `alice@example.com`; with the port if it has an unusual one, and
    /// whole if it is not asked by https.
    pub fn short(&self) -> &str {
        self.text.strip_prefix("https://").unwrap_or(&self.text)
    }

    /// Whether what is said with it can be read and changed on the way.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it is asked without leaving this machine.
    pub fn is_on_this_machine(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// The address of something on the server. `path` begins with a slash, and is encoded.
    pub(crate) fn join(&self, path: &str) -> Result<Url, ServerUrlError> {
        Url::parse(&format!("{}{path}", self.text)).map_err(|_| ServerUrlError::NoAddress)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        Self::parse(text)
    }
}

/// Why a text names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// No name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// No server behind the `@`.
    #[error(transparent)]
    Server(#[from] ServerUrlError),
    /// The code of a conversation.
    #[error("this is the code of a conversation, not of a person: ask a member to invite you")]
    Conversation,
    /// The code of a device that is being linked.
    #[error("this is the code of a device that waits to be linked: use it with device add")]
    Device,
}

/// Who is meant by a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Who has this Jami ID.
    Id(AccountId),
    /// Who has this name.
    Name {
        /// The name.
        name: LookupText,
        /// At which server; at the account's own one if `None`.
        server: Option<ServerUrl>,
    },
}

impl Query {
    /// Reads what somebody typed, pasted or scanned: a Jami ID, a name, `name@server`, all of
    /// these with `jami:` or `ring:` in front, as codes have it.
    ///
    /// # Errors
    /// Why it names nobody.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let text = text.trim();
        let mut bare = text;
        for scheme in ["jami:", "ring:"] {
            if let Some(rest) = strip_scheme(text, scheme) {
                bare = rest.strip_prefix("//").unwrap_or(rest);
                // As a browser leaves it.
                bare = bare.strip_suffix('/').unwrap_or(bare);
            }
        }
        if strip_scheme(text, "swarm:").is_some() {
            return Err(QueryError::Conversation);
        }
        if strip_scheme(text, "jami-auth:").is_some() {
            return Err(QueryError::Device);
        }
        let (name, server) = match bare.split_once('@') {
            Some((name, server)) => (name, Some(server)),
            None => (bare, None),
        };
        // Old clients write a server that means nothing behind an ID.
        if let Ok(id) = name.parse() {
            return Ok(Self::Id(id));
        }
        if name.contains(':') {
            return Err(NameError::Separator(':').into());
        }
        if matches!(name, "." | "..") {
            return Err(NameError::Separator('.').into());
        }
        let name = LookupText::new(name)?;
        let server = server.map(ServerUrl::parse).transpose()?;
        Ok(Self::Name { name, server })
    }
}

/// What is behind a scheme, which may be written in capital letters.
fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "f2c815f5554bcc22689ce84d45aefdda1bce9146";

    fn server(text: &str) -> Result<String, ServerUrlError> {
        ServerUrl::parse(text).map(|url| url.to_string())
    }

    #[test]
    fn servers_are_asked_by_https_unless_somebody_says_otherwise() {
        assert_eq!(server("example.com").unwrap(), "https://example.com");
        assert_eq!(server("EXAMPLE.com/").unwrap(), "https://example.com");
        assert_eq!(
            server(" example.com:8080/names/ ").unwrap(),
            "https://example.com:8080/names"
        );
        assert_eq!(server("http://10.0.0.1:80").unwrap(), "http://10.0.0.1");
        assert_eq!(
            server("https://[fd77::1]:3000").unwrap(),
            "https://[fd77::1]:3000"
        );
        // What looks like another host is shown as what it is.
        assert_eq!(
            server("ex\u{430}mple.com").unwrap(),
            "https://xn--exmple-4nf.com"
        );
        assert!(ServerUrl::parse("http://a").unwrap().is_plain());
        assert_eq!(ServerUrl::public().unwrap().as_str(), DEFAULT_SERVER);
        assert_eq!(ServerUrl::parse("a.b/c").unwrap().short(), "a.b/c");
        assert_eq!(ServerUrl::parse("http://a").unwrap().short(), "http://a");
    }

    #[test]
    fn other_addresses_are_refused_with_a_reason() {
        use ServerUrlError as E;
        for (text, error) in [
            ("", E::NoAddress),
            ("exa mple.com", E::NoAddress),
            ("https://", E::NoAddress),
            ("a\\b", E::NoAddress),
            ("ftp://example.com", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("https://user:pass@example.com", E::Credentials),
            ("bob@example.com", E::Credentials),
            ("https://@example.com", E::Credentials),
            ("example.com?x=1", E::Query),
            ("example.com/#x", E::Query),
            (&"a".repeat(600), E::TooLong),
        ] {
            assert_eq!(ServerUrl::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn people_are_named_by_id_name_and_code() {
        let id = Query::Id(ID.parse().unwrap());
        for text in [
            ID.to_owned(),
            ID.to_uppercase(),
            format!(" jami:{ID}\n"),
            format!("JAMI:{ID}"),
            format!("jami://{ID}/"),
            format!("ring:{ID}@ring.dht"),
        ] {
            assert_eq!(Query::parse(&text).unwrap(), id, "{text}");
        }
        let name = |text: &str| match Query::parse(text).unwrap() {
            Query::Name { name, server } => (
                name.to_string(),
                server.map(|server| server.to_string()).unwrap_or_default(),
            ),
            other => panic!("{other:?}"),
        };
        assert_eq!(name("Alice"), ("alice".into(), String::new()));
        assert_eq!(name("jami:alice"), ("alice".into(), String::new()));
        assert_eq!(
            name("alice@example.com"),
            ("alice".into(), "https://example.com".into())
        );
        assert_eq!(
            name("bob@http://10.0.0.1:3000/x"),
            ("bob".into(), "http://10.0.0.1:3000/x".into())
        );
        assert_eq!(Query::parse("swarm:abc"), Err(QueryError::Conversation));
        assert_eq!(Query::parse("jami-auth://x/1"), Err(QueryError::Device));
        for bad in [
            "",
            "a b",
            "@example.com",
            "alice@",
            "alice@bob@example.com",
            "a/b",
            "jami:jami:alice",
            "..",
        ] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_is_understood_again(text in ".{0,60}") {
            if let Ok(url) = ServerUrl::parse(&text) {
                prop_assert_eq!(&ServerUrl::parse(url.as_str()).unwrap(), &url);
                let joined = url.join("/name/x").unwrap();
                prop_assert!(joined.path().ends_with("/name/x"));
                prop_assert_eq!(joined.host_str(), url.url.host_str());
            }
            let _any = Query::parse(&text);
        }

        #[test]
        fn a_name_at_a_server_keeps_both(name in "[a-z0-9_-]{3,32}", host in "[a-z]{1,9}\\.org") {
            let query = Query::parse(&format!("{name}@{host}")).unwrap();
            let server = Some(ServerUrl::parse(&host).unwrap());
            let name = LookupText::new(&name).unwrap();
            prop_assert_eq!(query, Query::Name { name, server });
        }
    }
}
