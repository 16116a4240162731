//! One SIP message.

use std::net::SocketAddr;

use super::SipError;

/// First line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Of a request.
    Request {
        /// Method, in capitals.
        method: String,
        /// To whom.
        uri: String,
    },
    /// Of a response.
    Response {
        /// Status, from 100 to 699.
        status: u16,
        /// For people.
        reason: String,
    },
}

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipMessage {
    /// First line.
    pub start: Start,
    /// Headers in their order, without `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

const VERSION: &str = "SIP/2.0";
const LENGTH: &str = "Content-Length";
/// Names that also have a short form (RFC 3261 section 7.3.3).
const COMPACT: [(&str, &str); 6] = [
    (LENGTH, "l"),
    ("Content-Type", "c"),
    ("Via", "v"),
    ("From", "f"),
    ("To", "t"),
    ("Call-ID", "i"),
];

fn is_header(name: &str, wanted: &str) -> bool {
    name.eq_ignore_ascii_case(wanted)
        || COMPACT
            .iter()
            .any(|(long, short)| *long == wanted && name.eq_ignore_ascii_case(short))
}

impl SipMessage {
    /// First header of that name, given in its long form.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all_headers(name).next()
    }

    fn all_headers<'a, 'b>(&'a self, name: &'b str) -> impl Iterator<Item = &'a str> + use<'a, 'b> {
        self.headers
            .iter()
            .filter(move |(header, _)| is_header(header, name))
            .map(|(_, value)| value.as_str())
    }

    /// Reads start line and headers, and says how long the body is that follows.
    pub(super) fn parse_head(head: &[u8]) -> Result<(Self, usize), SipError> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.lines();
        let start = parse_start(lines.next().unwrap_or_default())?;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if line.is_empty() {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                let (_, value) = headers
                    .last_mut()
                    .ok_or(SipError::Malformed("first header line is indented"))?;
                let more = line.trim();
                if !value.is_empty() && !more.is_empty() {
                    value.push(' ');
                }
                value.push_str(more);
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .ok_or(SipError::Malformed("header without a colon"))?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let length = headers
            .iter()
            .find(|(name, _)| is_header(name, LENGTH))
            .ok_or(SipError::Malformed("no Content-Length"))?;
        let digits = length.1.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || length.1.is_empty() {
            return Err(SipError::Malformed("Content-Length is not a number"));
        }
        let length = length.1.parse().map_err(|_| SipError::TooLong)?;
        headers.retain(|(name, _)| !is_header(name, LENGTH));
        let message = Self {
            start,
            headers,
            body: Vec::new(),
        };
        Ok((message, length))
    }

    /// The bytes to send.
    pub fn write(&self) -> Vec<u8> {
        let mut out = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} {VERSION}\r\n"),
            Start::Response { status, reason } => format!("{VERSION} {status} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        // Padded as the library of existing peers does it.
        out.push_str(&match self.body.len() {
            0 => format!("{LENGTH}:  0\r\n\r\n"),
            len => format!("{LENGTH}: {len:>5}\r\n\r\n"),
        });
        let mut out = out.into_bytes();
        out.extend_from_slice(&self.body);
        out
    }

    /// The response to this request, which came from `source`. `more` are headers to add.
    pub fn response(
        &self,
        status: u16,
        reason: &str,
        source: Option<SocketAddr>,
        more: &[(&str, &str)],
    ) -> Self {
        let mut headers = Vec::new();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        for (at, via) in self.all_headers("Via").enumerate() {
            add(
                "Via",
                match source {
                    Some(source) if at == 0 => received(via, source),
                    _ => via.to_owned(),
                },
            );
        }
        for name in ["Call-ID", "From"] {
            if let Some(value) = self.header(name) {
                add(name, value.to_owned());
            }
        }
        if let Some(to) = self.header("To") {
            let branch = self.header("Via").and_then(branch);
            add(
                "To",
                match branch {
                    Some(branch) if !to.contains(";tag=") => format!("{to};tag={branch}"),
                    _ => to.to_owned(),
                },
            );
        }
        if let Some(value) = self.header("CSeq") {
            add("CSeq", value.to_owned());
        }
        for (name, value) in more {
            add(name, (*value).to_owned());
        }
        Self {
            start: Start::Response {
                status,
                reason: reason.to_owned(),
            },
            headers,
            body: Vec::new(),
        }
    }
}

fn parse_start(line: &str) -> Result<Start, SipError> {
    let bad = SipError::Malformed("start line");
    if let Some(rest) = line.strip_prefix(VERSION) {
        let rest = rest.strip_prefix(' ').ok_or(bad)?;
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status: u16 = status.parse().map_err(|_| bad)?;
        if !(100..700).contains(&status) {
            return Err(bad);
        }
        return Ok(Start::Response {
            status,
            reason: reason.to_owned(),
        });
    }
    let mut words = line.split(' ');
    let (Some(method), Some(uri), Some(VERSION), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad);
    };
    let token = |text: &str| {
        !text.is_empty()
            && text.len() <= 32
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if !token(method) || uri.is_empty() {
        return Err(bad);
    }
    Ok(Start::Request {
        method: method.to_owned(),
        uri: uri.to_owned(),
    })
}

/// Fills in where the request came from, if it asks for that (RFC 3581).
fn received(via: &str, source: SocketAddr) -> String {
    let Some((before, after)) = via.split_once(";rport") else {
        return via.to_owned();
    };
    if after.starts_with('=') {
        return via.to_owned();
    }
    format!(
        "{before};rport={};received={}{after}",
        source.port(),
        source.ip()
    )
}

/// The branch parameter, which names the transaction.
fn branch(via: &str) -> Option<&str> {
    let (_, rest) = via.split_once(";branch=")?;
    rest.split([';', ',']).next()
}
