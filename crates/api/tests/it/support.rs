use std::net::SocketAddr;

use baraza_api::auth::Token;
use baraza_api::{ApiConfig, ApiServer, Patience};
use baraza_core::{Node, NodeConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The JSON in an answer.
pub(crate) fn json_of(answer: &str) -> serde_json::Value {
    let body = answer.split_once("\r\n\r\n").map_or("", |parts| parts.1);
    serde_json::from_str(body).unwrap_or_default()
}

pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) node: Node,
    pub(crate) api: ApiServer,
    token: String,
    patience: Patience,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Patience::default()).await
    }

    /// One whose deliveries to webhooks are so patient.
    pub(crate) async fn start_with(patience: Patience) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), patience).await
    }

    /// The same node, started again.
    pub(crate) async fn restart(self) -> Self {
        self.api.shutdown().await;
        self.node.shutdown().await;
        drop(self.node);
        Self::start_in(self.dir, self.patience).await
    }

    async fn start_in(dir: tempfile::TempDir, patience: Patience) -> Self {
        let mut config = NodeConfig::new(dir.path());
        config.loopback = true;
        let node = Node::open(config).await.unwrap();
        let api = ApiServer::start(
            node.clone(),
            ApiConfig {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                elsewhere: None,
                hosts: Vec::new(),
                compat: true,
                data_dir: dir.path().to_owned(),
                patience: patience.clone(),
            },
        )
        .await
        .unwrap();
        let token = Token::load(dir.path()).unwrap().secret().to_owned();
        Self {
            dir,
            node,
            api,
            token,
            patience,
        }
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Sends `request` with HOST and TOKEN filled in; gives the status and the whole answer.
    pub(crate) async fn raw(&self, request: &str) -> (u16, String) {
        let request = request
            .replace("HOST", &self.api.address().to_string())
            .replace("TOKEN", &self.token);
        let mut stream = TcpStream::connect(self.api.address()).await.unwrap();
        // The server may have answered and closed before all is sent.
        let _refused = stream.write_all(request.as_bytes()).await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), answer)
    }

    /// As [`Self::raw`], but nothing more is sent, whatever the request says.
    pub(crate) async fn raw_cut(&self, request: &str) -> (u16, String) {
        let request = request
            .replace("HOST", &self.api.address().to_string())
            .replace("TOKEN", &self.token);
        let mut stream = TcpStream::connect(self.api.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        (status.unwrap_or(0), answer)
    }

    /// A request with these headers (each with its end of line) and a JSON body.
    pub(crate) async fn with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> (u16, String) {
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nhost: HOST\r\n{headers}\
             content-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        ))
        .await
    }

    /// A request with all that it needs.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> (u16, serde_json::Value) {
        let length = body.len();
        let (status, answer) = self
            .raw(&format!(
                "{method} {path} HTTP/1.1\r\nhost: HOST\r\nauthorization: Bearer TOKEN\r\n\
                 content-type: application/json\r\ncontent-length: {length}\r\n\
                 connection: close\r\n\r\n{body}"
            ))
            .await;
        (status, json_of(&answer))
    }
}
