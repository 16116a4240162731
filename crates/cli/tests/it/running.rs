use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::baraza;

/// A node that runs until dropped.
pub(crate) struct Node {
    pub(crate) child: Child,
    /// The line it prints when it is ready.
    pub(crate) ready: Value,
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

    fn start_with(dir: &Path, arguments: &[&str]) -> Self {
        let mut child = baraza(dir)
            .args(["run", "--json", "--loopback", "--api", "127.0.0.1:0"])
            .args(["--log-level", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.as_mut().unwrap());
        out.read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        Self { child, ready }
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
