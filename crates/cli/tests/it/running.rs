use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::support::baraza;

/// A node that runs until dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    /// The line it prints when it is ready.
    pub(crate) ready: Value,
    out: BufReader<ChildStdout>,
}

impl Node {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_with(dir, &["--no-bootstrap"])
    }

    /// A node that begins at another one.
    pub(crate) fn start_at(dir: &Path, other: &Self) -> Self {
        let address = other.ready["dht"][0].as_str().unwrap();
        Self::start_with(dir, &["--bootstrap", address])
    }

    /// A relay that begins at another node.
    pub(crate) fn relay_at(dir: &Path, other: &Self, arguments: &[&str]) -> Self {
        let address = other.ready["dht"][0].as_str().unwrap();
        let usual = ["relay", "--monitor", "127.0.0.1:0", "--bootstrap", address];
        Self::start_as(dir, &[&usual[..], arguments].concat())
    }

    pub(crate) fn start_with(dir: &Path, arguments: &[&str]) -> Self {
        Self::start_as(dir, &[&["run"], arguments].concat())
    }

    fn start_as(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = baraza(dir)
            .args(arguments)
            .args(["--json", "--loopback", "--api", "127.0.0.1:0"])
            .args(["--log-level", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut node = Self {
            child,
            ready: Value::Null,
            out,
        };
        node.ready = node.line();
        assert_eq!(node.ready["event"], "ready");
        node
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no line: {line:?}"))
    }

    /// Sends a request as it stands, with API filled in; gives the whole answer.
    pub(crate) fn raw(&self, request: &str) -> String {
        let address = self.ready["api"].as_str().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .write_all(request.replace("API", address).as_bytes())
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it with SIGTERM; gives its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }
}
