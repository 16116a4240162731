//! A name server for tests that answers as the existing one does, with its quirks
//! (docs/protocol/03-nameserver.md section 7), and whatever else a test wants to hear.

#![expect(
    clippy::expect_used,
    reason = "tests want to know that something is wrong, and no more"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::name::{LookupText, Name};
use crate::record::{Proof, parse_addr};

/// A name as the existing server keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// With `0x`, in mixed case.
    pub addr: String,
    /// The key, as it was received; empty if there is none.
    pub public_key: String,
    /// The signature.
    pub signature: String,
}

/// The existing server's rules, without its network.
#[derive(Debug, Default)]
pub struct Reference {
    /// What is registered.
    pub names: BTreeMap<String, Record>,
    /// What was asked: method and path.
    pub requests: Vec<String>,
    /// What it answers whatever is asked.
    pub instead: Option<(u16, String)>,
}

fn mixed(hex: &str) -> String {
    let mixed = hex.chars().enumerate().map(|(at, c)| match at % 3 {
        0 => c.to_ascii_uppercase(),
        _ => c,
    });
    format!("0x{}", mixed.collect::<String>())
}

impl Reference {
    /// Has a name for an account that nobody signed, as old clients registered them.
    pub fn add_unsigned(&mut self, name: &str, id: &baraza_wire::AccountId) {
        let record = Record {
            addr: mixed(&id.to_hex()),
            ..Record::default()
        };
        self.names.insert(name.to_owned(), record);
    }

    /// How often something was asked whose path begins like this.
    pub fn asked(&self, beginning: &str) -> usize {
        let requests = self.requests.iter();
        requests.filter(|it| it.starts_with(beginning)).count()
    }

    /// Answers a request: status and body.
    pub fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        self.requests.push(format!("{method} {path}"));
        if let Some(instead) = &self.instead {
            return instead.clone();
        }
        let (status, value) = match (method, path.split('/').collect::<Vec<_>>().as_slice()) {
            ("GET", ["", "name", name]) => match self.names.get(*name) {
                None => (404, json!({"error": "name not registered"})),
                Some(record) if record.public_key.is_empty() => {
                    (200, json!({"name": name, "addr": record.addr}))
                }
                Some(record) => (
                    200,
                    json!({"name": name, "addr": record.addr, "publickey": record.public_key,
                        "signature": record.signature}),
                ),
            },
            ("GET", ["", "addr", addr]) => match parse_addr(addr) {
                None => (400, json!({"success": false})),
                Some(id) => match self.name_of(&mixed(&id.to_hex())) {
                    Some(name) => (200, json!({"name": name})),
                    None => (404, json!({"error": "address not registered"})),
                },
            },
            ("POST", ["", "name", name]) => self.register(name, body),
            _ => (404, json!({})),
        };
        (status, value.to_string())
    }

    fn name_of(&self, addr: &str) -> Option<&str> {
        let mut names = self.names.iter();
        let named = names.find(|(_, record)| record.addr == addr);
        named.map(|(name, _)| name.as_str())
    }

    fn register(&mut self, name: &str, body: &[u8]) -> (u16, Value) {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let (addr, owner) = (parse_addr(text("addr")), parse_addr(text("owner")));
        let (Some(id), Some(_)) = (addr, owner) else {
            return (400, json!({"success": false}));
        };
        if Name::new(name).is_err() {
            return (400, json!({"success": false, "error": "invalid name"}));
        }
        let (public_key, signature) = (text("publickey"), text("signature"));
        match (public_key, signature) {
            ("", "") => {}
            ("", _) | (_, "") => return (400, json!({"success": false})),
            // It does not check whose key it is.
            (key, signature) => {
                let proof = Proof::from_base64(key, signature);
                let asked = LookupText::new(name);
                let good = proof.is_ok_and(|proof| {
                    asked.is_ok_and(|asked| {
                        proof.verify(&asked, proof.key().short_id().into()).is_ok()
                    })
                });
                if !good {
                    return (401, json!({"success": false}));
                }
            }
        }
        let addr = mixed(&id.to_hex());
        match (self.names.get(name), self.name_of(&addr)) {
            (Some(known), _) if known.addr == addr => (200, json!({"success": true})),
            (Some(_), _) => (403, json!({"success": false})),
            (None, Some(other)) => (403, json!({"success": false, "name": other, "addr": addr})),
            (None, None) => {
                let record = Record {
                    addr,
                    public_key: public_key.to_owned(),
                    signature: signature.to_owned(),
                };
                self.names.insert(name.to_owned(), record);
                (200, json!({"success": true}))
            }
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// The path.
    pub path: String,
    /// Header fields, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An HTTP server on the loopback interface; it answers one request for each connection, and
/// ends with the process.
pub struct Served {
    /// Where it is.
    pub address: SocketAddr,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Served").field(&self.address).finish()
    }
}

impl Served {
    /// Serves a [`Reference`].
    pub fn reference(reference: &Arc<Mutex<Reference>>) -> Self {
        let reference = Arc::clone(reference);
        Self::with(move |request| {
            let mut reference = reference.lock().unwrap_or_else(PoisonError::into_inner);
            let (status, body) = reference.answer(&request.method, &request.path, &request.body);
            http(status, "", &body)
        })
    }

    /// Answers each request with the bytes that `answer` gives.
    pub fn with(answer: impl FnMut(&Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("loopback");
        let mut answer = answer;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Whoever asks may go away.
                let _ = serve(stream, &mut answer);
            }
        });
        Self { address }
    }

    /// Its address as a name server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// An answer of HTTP. `headers` are whole lines.
pub fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

fn serve(stream: TcpStream, answer: &mut impl FnMut(&Request) -> Vec<u8>) -> std::io::Result<()> {
    let mut input = BufReader::new(stream);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut request = Request::default();
    let mut words = line.split_whitespace().map(str::to_owned);
    request.method = words.next().unwrap_or_default();
    request.path = words.next().unwrap_or_default();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        request.headers.insert(name, value.trim().to_owned());
    }
    let length = request.headers.get("content-length");
    let length: usize = length.and_then(|it| it.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    input.read_exact(&mut request.body)?;
    input.get_mut().write_all(&answer(&request))
}
