//! A PostgreSQL server for tests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "for tests"
)]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio_postgres::NoTls;

/// A PostgreSQL server of a test, reached by a socket in its directory, or also by TLS.
#[derive(Debug)]
pub struct Cluster {
    directory: tempfile::TempDir,
    server: Child,
    /// Where it listens for TLS.
    port: Option<u16>,
    databases: AtomicU32,
}

/// Where Debian has the newest PostgreSQL's programs. `None` only where tests may do without.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file())
        .collect();
    versions.sort();
    let found = versions.pop();
    let required = std::env::var_os("BARAZA_REQUIRE_PEERS").is_some();
    assert!(found.is_some() || !required, "PostgreSQL is not installed");
    found
}

/// PostgreSQL does not run as root: then as the user that Debian makes for it.
fn user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let all = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = all.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> = line.unwrap().split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

fn program(path: &Path) -> Command {
    let mut command = Command::new(path);
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

impl Cluster {
    /// Starts one with nothing in it; `None` where there is no PostgreSQL and tests may do
    /// without.
    pub fn start() -> Option<Self> {
        Self::start_at(None, |_| {})
    }

    /// As [`Self::start`], and by TCP it takes none but TLS connections to `localhost`, with
    /// this certificate and key (PEM).
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Option<Self> {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = port.local_addr().unwrap().port();
        Self::start_at(Some(port), |data| {
            let (own_certificate, own_key) = (data.join("server.crt"), data.join("server.key"));
            std::fs::copy(certificate, own_certificate).unwrap();
            std::fs::copy(key, &own_key).unwrap();
            let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&own_key, owner_only).unwrap();
            if let Some((uid, gid)) = user() {
                std::os::unix::fs::chown(&own_key, Some(uid), Some(gid)).unwrap();
            }
            let rules = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
            std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        })
    }

    fn start_at(port: Option<u16>, configure: impl FnOnce(&Path)) -> Option<Self> {
        let programs = programs()?;
        let directory = tempfile::Builder::new()
            .prefix("names-pg")
            .tempdir()
            .unwrap();
        if let Some((uid, gid)) = user() {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let made = program(&programs.join("initdb"))
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=baraza",
                "--encoding=UTF8",
            ])
            .arg("-D")
            .arg(directory.path().join("data"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        configure(&directory.path().join("data"));
        let server = Self::launch(&programs, directory.path(), port);
        Some(Self {
            directory,
            server,
            port,
            databases: AtomicU32::new(0),
        })
    }

    fn launch(programs: &Path, directory: &Path, port: Option<u16>) -> Child {
        let mut command = program(&programs.join("postgres"));
        command
            .arg("-D")
            .arg(directory.join("data"))
            .arg("-k")
            .arg(directory)
            .args(["-c", "max_connections=200"]);
        match port {
            None => command.args(["-c", "listen_addresses="]),
            Some(port) => command
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "ssl=on", "-p"])
                .arg(port.to_string()),
        };
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn url(&self, database: &str) -> String {
        let socket = self.directory.path().display();
        let port = self.port.unwrap_or(5432);
        format!("host={socket} port={port} user=baraza dbname={database}")
    }

    /// The address of a database by TCP, without a word on TLS.
    ///
    /// # Panics
    /// If it has none: see [`Self::start_with_tls`].
    pub fn by_tcp(&self, database: &str) -> String {
        let port = self.port.unwrap();
        let (_, name) = database.split_once("dbname=").unwrap();
        format!("postgres://baraza@localhost:{port}/{name}")
    }

    /// A connection as soon as the server takes some.
    async fn admin(&self) -> tokio_postgres::Client {
        let begun = tokio::time::Instant::now();
        loop {
            match tokio_postgres::connect(&self.url("postgres"), NoTls).await {
                Ok((client, connection)) => {
                    tokio::spawn(connection);
                    return client;
                }
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A new database: its address.
    pub async fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("names{number}");
        let sql = format!("CREATE DATABASE {name}");
        self.admin().await.batch_execute(&sql).await.unwrap();
        self.url(&name)
    }

    /// kill -9 of the server, whose processes follow it.
    pub async fn kill_and_start(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
        self.server = Self::launch(&programs().unwrap(), self.directory.path(), self.port);
        // It does not start before the processes of the last one are gone.
        let begun = tokio::time::Instant::now();
        while tokio_postgres::connect(&self.url("postgres"), NoTls)
            .await
            .is_err()
        {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it does not start"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.server.try_wait().unwrap().is_some() {
                self.server = Self::launch(&programs().unwrap(), self.directory.path(), self.port);
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.server);
        // At once, and without leaving anything in shared memory.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
        let _ = self.server.wait();
    }
}
