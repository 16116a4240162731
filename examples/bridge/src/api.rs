//! The node's API, asked over one connection for each request.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// Longer than the longest poll.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long it is waited before something is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Why something was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may be tried again, with the same key.
    Later(String),
    /// It may be done, or not.
    Unknown(String),
    /// It will never be.
    Refused(String),
}

/// The node's API.
#[derive(Clone)]
pub(crate) struct Api {
    address: String,
    token: String,
}

impl Api {
    pub(crate) fn new(address: String, token: String) -> Self {
        Self { address, token }
    }

    /// Asks until there is an answer: the node may be away for a while.
    pub(crate) fn patiently(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Value, String> {
        loop {
            match self.ask(method, path, body, key) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Later(why)) => {
                    eprintln!("baraza-bridge: {why}; trying again");
                    std::thread::sleep(AGAIN);
                }
                Err(Failure::Unknown(why) | Failure::Refused(why)) => {
                    return Err(format!("{method} {path}: {why}"));
                }
            }
        }
    }

    /// Asks once.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Value, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let key = key.map_or(String::new(), |key| format!("Idempotency-Key: {key}\r\n"));
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n{key}\
             Connection: close\r\n\r\n{body}",
            self.address,
            self.token,
            body.len(),
        );
        // Without a whole answer nobody knows, and the key lets us ask again.
        let answer = self
            .exchange(&request)
            .map_err(|error| Failure::Later(format!("the node does not answer ({error})")))?;
        let cut = || Failure::Later("the answer is cut short".into());
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let wanted = name.eq_ignore_ascii_case("content-length");
            wanted.then(|| value.trim().parse::<usize>().ok())?
        });
        if length.is_some_and(|length| body.len() < length) {
            return Err(cut());
        }
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse::<u16>().ok());
        let json: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let code = json["code"].as_str().unwrap_or("");
        let why = || json["detail"].as_str().unwrap_or("it failed").to_owned();
        match (status, code) {
            (Some(200..300), _) => Ok(json),
            (_, "request_under_way") | (Some(429 | 503), _) => Err(Failure::Later(why())),
            (_, "outcome_unknown") => Err(Failure::Unknown(why())),
            // It may be done: asked again, the node says that it does not know.
            (Some(500..600) | None, _) => Err(Failure::Later(why())),
            _ => Err(Failure::Refused(why())),
        }
    }

    fn exchange(&self, request: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}
