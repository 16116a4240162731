//! The node's API, from the side that asks.

mod content;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baraza_api::auth::{Token, TokenError};
use baraza_api::error::Problem;
use baraza_api::types::{Account, Progress};
use baraza_api::{ApiAddress, app_link};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::args::Global;
use crate::error::CliError;
use crate::paths;

/// How long the node may take to take a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to answer; making an account on a slow machine takes longest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// A node that runs.
#[derive(Debug)]
pub(crate) struct Client {
    data_dir: PathBuf,
    address: SocketAddr,
    token: Token,
}

impl Client {
    /// The node on the data directory.
    pub(crate) fn new(global: &Global) -> Result<Self, CliError> {
        let data_dir = paths::data_dir(global)?;
        let address = ApiAddress::load(&data_dir)
            .map_err(CliError::file("cannot read the node's address"))?
            .ok_or_else(|| CliError::NoNode(data_dir.clone()))?
            .address;
        let token = Token::load(&data_dir).map_err(|error| match error {
            TokenError::File { ref source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                CliError::NoNode(data_dir.clone())
            }
            other => CliError::Other(other.to_string()),
        })?;
        Ok(Self {
            data_dir,
            address,
            token,
        })
    }

    /// The data directory of the node.
    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The address of the app that signs in with a code.
    pub(crate) fn app_link(&self, code: &str) -> String {
        app_link(self.address, code)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CliError> {
        self.call_once(method, path, body, None).await
    }

    /// Asks for something that is done once, however often it is asked for with the same key.
    pub(crate) async fn call_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&str>,
    ) -> Result<T, CliError> {
        let answer = self.ask_once(method, path, body, "application/json", key);
        let answer = answer.await?;
        let status = answer.status();
        let bytes = collect(answer.into_body()).await?;
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &bytes));
        }
        // An answer without a body reads as `null`, which is `()`.
        let bytes: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(bytes).map_err(no_answer)
    }

    /// Makes an account; `on_step` is told what is being done.
    pub(crate) async fn make_account(
        &self,
        path: &str,
        body: &impl Serialize,
        mut on_step: impl FnMut(&str),
    ) -> Result<Account, CliError> {
        self.lines(path, body, |line| match line {
            Progress::Step(step) => {
                on_step(&step);
                None
            }
            Progress::Account(account) => Some(Ok(account)),
            Progress::Error(detail) => Some(Err(CliError::Refused(Box::new(detail), 422))),
        })
        .await
    }

    /// Asks for something that takes long: `on_line` gets each line of the answer until it
    /// gives a result.
    pub(crate) async fn lines<L: DeserializeOwned, T>(
        &self,
        path: &str,
        body: &impl Serialize,
        mut on_line: impl FnMut(L) -> Option<Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let answer = self
            .ask(Method::POST, path, Some(body), "application/x-ndjson")
            .await?;
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            return Err(refusal(status.as_u16(), &collect(body).await?));
        }
        let mut pending = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(no_answer)?;
            pending.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
            while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = pending.drain(..=end).collect();
                let line = serde_json::from_slice(&line).map_err(no_answer)?;
                if let Some(result) = on_line(line) {
                    return result;
                }
            }
        }
        Err(CliError::NoAnswer("it ended before it was done".into()))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        accept: &str,
    ) -> Result<Response<Incoming>, CliError> {
        self.ask_once(method, path, body, accept, None).await
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        accept: &str,
        key: Option<&str>,
    ) -> Result<Response<Incoming>, CliError> {
        let body = body
            .map(serde_json::to_vec)
            .transpose()
            .map_err(no_answer)?
            .unwrap_or_default();
        let mut request = self
            .request(method, path)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(no_answer)?;
        tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request))
            .await
            .map_err(no_answer)?
    }

    /// A request to the node.
    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, self.address.to_string())
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.token.secret()),
            )
    }

    /// Sends a request over a connection of its own.
    async fn exchange<B>(&self, request: Request<B>) -> Result<Response<Incoming>, CliError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(no_answer)?;
        // Ends when the answer is read, or with the runtime.
        drop(tokio::spawn(connection));
        sender.send_request(request).await.map_err(no_answer)
    }

    async fn connect(&self) -> Result<TcpStream, CliError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address)).await {
            Ok(Ok(stream)) => Ok(stream),
            // A node that was killed leaves its address behind.
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Err(CliError::NoNode(self.data_dir.clone()))
            }
            Ok(Err(error)) => Err(no_answer(error)),
            Err(elapsed) => Err(no_answer(elapsed)),
        }
    }

    /// The events after `since` (or from now on), as they happen.
    pub(crate) async fn events(
        &self,
        since: Option<u64>,
        types: Option<&str>,
    ) -> Result<Events, CliError> {
        let url = format!("ws://{}/api/v1/ws?{}", self.address, wanted(since, types));
        let mut request = url.into_client_request().map_err(no_answer)?;
        let bearer = format!("Bearer {}", self.token.secret());
        request
            .headers_mut()
            .insert("authorization", bearer.parse().map_err(no_answer)?);
        let stream = self.connect().await?;
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Events(socket)),
            Err(tungstenite::Error::Http(answer)) => {
                let status = answer.status().as_u16();
                let body = answer.into_body().unwrap_or_default();
                Err(refusal(status, &body))
            }
            Err(error) => Err(no_answer(error)),
        }
    }
}

/// The query for events.
fn wanted(since: Option<u64>, types: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(since) = since {
        query.append_pair("since", &since.to_string());
    }
    if let Some(types) = types {
        query.append_pair("types", types);
    }
    query.finish()
}

/// Events as they happen.
pub(crate) struct Events(WebSocketStream<TcpStream>);

impl Events {
    /// The next one.
    pub(crate) async fn next(&mut self) -> Result<Value, CliError> {
        while let Some(message) = self.0.next().await {
            match message.map_err(no_answer)? {
                Message::Text(text) => return serde_json::from_str(&text).map_err(no_answer),
                Message::Close(_) => break,
                _ => {}
            }
        }
        Err(CliError::NoAnswer("it shut down".into()))
    }
}

async fn collect(body: Incoming) -> Result<Bytes, CliError> {
    let collected = body.collect().await.map_err(no_answer)?;
    Ok(collected.to_bytes())
}

fn no_answer(error: impl std::fmt::Display) -> CliError {
    CliError::NoAnswer(error.to_string())
}

fn refusal(status: u16, body: &[u8]) -> CliError {
    let detail = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_other| {
        let text = format!("the node answers with status {status}");
        Problem::new(status, "no_answer", text)
    });
    CliError::Refused(Box::new(detail), status)
}
