//! `baraza relay`: a node that nobody talks with, and that is always there.

mod linking;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use baraza_api::ApiServeError;
use baraza_api::monitor::MonitorServer;
use baraza_core::relay::{Relay, RelayConfig, is_further_device, note_further_device};
use baraza_core::{Command, LocalId, Node};
use baraza_identity::Password;
use baraza_wire::id::parse_account_uri;
use serde::Deserialize;
use serde_json::json;

use crate::args::{Global, RelayOptions};
use crate::error::CliError;
use crate::{output, paths, prompt};

/// The file with settings, in the data directory.
const CONFIG: &str = "relay.json";
/// Longest such file.
const MAX_CONFIG: u64 = 1 << 20;
/// Where health and metrics are if nothing else is said and the port is free.
const MONITOR: &str = "127.0.0.1:8223";
/// The service for systemd.
const UNIT: &str = include_str!("../../../packaging/baraza-relay.service");
const UNIT_NAME: &str = "baraza-relay.service";

/// What `relay.json` may say; options given win.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    name: Option<String>,
    owners: Vec<String>,
    open: bool,
    monitor: Option<SocketAddr>,
    conversation_bytes: Option<u64>,
    total_bytes: Option<u64>,
    conversations: Option<usize>,
}

/// What a relay is to be.
pub(crate) struct Settings {
    name: String,
    monitor: Option<SocketAddr>,
    config: RelayConfig,
}

/// Reads the file with settings, and the options over it.
pub(crate) fn settings(global: &Global, options: &RelayOptions) -> Result<Settings, CliError> {
    let path = match &options.config {
        Some(path) => path.clone(),
        None => paths::data_dir(global)?.join(CONFIG),
    };
    let there = options.config.is_some() || path.is_file();
    let file = match there {
        false => File::default(),
        true => {
            let name = path.display().to_string();
            let mut text = String::new();
            fs::File::open(&path)
                .and_then(|file| file.take(MAX_CONFIG).read_to_string(&mut text))
                .map_err(CliError::file(format!("cannot read {name}")))?;
            serde_json::from_str(&text)
                .map_err(|error| CliError::Usage(format!("{name}: {error}")))?
        }
    };
    let mut owners = BTreeSet::new();
    for owner in file.owners.iter().chain(&options.owner) {
        let id = parse_account_uri(owner.trim())
            .map_err(|error| CliError::Usage(format!("owner {owner}: {error}")))?;
        owners.insert(id);
    }
    let further = is_further_device(&paths::data_dir(global)?);
    let usual = RelayConfig::default();
    let config = RelayConfig {
        owners,
        open: file.open || options.open,
        conversation_bytes: mebibytes(options.conversation_mib)
            .or(file.conversation_bytes)
            .unwrap_or(usual.conversation_bytes),
        total_bytes: mebibytes(options.total_mib)
            .or(file.total_bytes)
            .unwrap_or(usual.total_bytes),
        conversations: options
            .conversations
            .or(file.conversations)
            .unwrap_or(usual.conversations),
        further_device: further,
    };
    let further = options.becomes_further() || further;
    if config.owners.is_empty() && !config.open && !further {
        return Err(nobody_is_served());
    }
    Ok(Settings {
        name: options
            .name
            .clone()
            .or(file.name)
            .unwrap_or_else(|| "Relay".into()),
        monitor: options.monitor.or(file.monitor),
        config,
    })
}

fn mebibytes(number: Option<u64>) -> Option<u64> {
    number.map(|number| number.saturating_mul(1 << 20))
}

/// The account that relays: the one there is, or one that comes here now.
pub(crate) async fn account(
    node: &Node,
    global: &Global,
    options: &RelayOptions,
    settings: &mut Settings,
) -> Result<LocalId, CliError> {
    let accounts = node.accounts();
    let named = global.account.as_deref().unwrap_or_default();
    let mut fitting = accounts
        .iter()
        .filter(|it| it.jami_id.to_hex().starts_with(named) || it.account.to_string() == named);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => return Ok(one.account),
        (Some(_), Some(_)) => {
            return Err(CliError::Usage(
                "there are several accounts: say which with --account".into(),
            ));
        }
        (None, _) if !accounts.is_empty() => {
            return Err(CliError::NotFound(format!("there is no account {named}")));
        }
        (None, _) => {}
    }
    let further = options.becomes_further();
    let note = |is_one| note_further_device(&node.config().data_dir, is_one);
    note(further)?;
    settings.config.further_device = further;
    if further {
        let linked = linking::further_device(node, global, options).await;
        if linked.is_err() {
            note(false)?;
        }
        let account = linked?;
        let name = settings.name.clone();
        let named = node.command(account, Command::RenameDevice { name }).await;
        if let Err(error) = named {
            tracing::warn!(%error, "the device has no name");
        }
        return Ok(account);
    }
    if settings.config.owners.is_empty() && !settings.config.open {
        return Err(nobody_is_served());
    }
    let password = prompt::password(&options.password, "Password of the archive", false)?;
    let password = Some(Password::new(password)).filter(|it| !it.is_empty());
    let made = node.create_account(settings.name.clone(), password, |_| {});
    made.await
        .map_err(|error| CliError::Other(error.to_string()))
}

fn nobody_is_served() -> CliError {
    CliError::Usage(format!(
        "say whose invitations it accepts: --owner JAMI_ID, --open, or owners in {CONFIG}"
    ))
}

impl RelayOptions {
    /// Whether it is to be a further device of an account.
    fn becomes_further(&self) -> bool {
        self.archive.is_some() || self.link || self.link_pin || self.link_pin_file.is_some()
    }
}

/// Serves how the relay is.
pub(crate) async fn monitor(
    relay: &Relay,
    address: Option<SocketAddr>,
) -> Result<MonitorServer, CliError> {
    let failed = |error: ApiServeError| CliError::Other(error.to_string());
    if let Some(address) = address {
        let started = MonitorServer::start(relay.clone(), address).await;
        return started.map_err(failed);
    }
    let usual: SocketAddr = MONITOR
        .parse()
        .unwrap_or_else(|_unparsed| SocketAddr::from(([127, 0, 0, 1], 0)));
    match MonitorServer::start(relay.clone(), usual).await {
        Err(ApiServeError::Listen { .. }) => {
            let any = SocketAddr::new(usual.ip(), 0);
            MonitorServer::start(relay.clone(), any)
                .await
                .map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// Says who the relay is.
pub(crate) async fn greet(
    relay: &Relay,
    monitor: SocketAddr,
    global: &Global,
) -> Result<(), CliError> {
    let (identity, _) = relay
        .state()
        .await
        .map_err(|error| CliError::Other(error.to_string()))?;
    if global.json {
        return output::json(&json!({
            "event": "relay",
            "jami_id": identity.jami_id,
            "monitor": monitor,
            "owners": relay.config().owners,
            "open": relay.config().open,
            "further_device": relay.config().further_device,
        }));
    }
    let whose = match (relay.config().open, relay.config().owners.len()) {
        (true, _) => "everybody".to_owned(),
        (false, count) => format!("{count} owners"),
    };
    let what = match relay.config().further_device {
        true => "It is a further device of this account, and keeps what that is in.".to_owned(),
        false => format!("Invite it to conversations; it accepts invitations of {whose}."),
    };
    output::line(&format!(
        "Relay  {}\n  {what}\n  health http://{monitor}/health, metrics http://{monitor}/metrics",
        identity.jami_id,
    ))
}

impl Settings {
    /// Splits it.
    pub(crate) fn into_parts(self) -> (Option<SocketAddr>, RelayConfig) {
        (self.monitor, self.config)
    }
}

/// Writes the service for systemd: the system's if this is root, else the user's.
pub(crate) fn install_unit(global: &Global) -> Result<(), CliError> {
    let root = rustix::process::geteuid().is_root();
    let directory = match root {
        true => PathBuf::from("/etc/systemd/system"),
        false => user_units()?,
    };
    let program = std::env::current_exe()?;
    let data_dir = match (&global.data_dir, root) {
        (None, true) => PathBuf::from("/var/lib/baraza-relay"),
        _ => paths::data_dir(global)?,
    };
    fs::create_dir_all(&directory)?;
    let path = directory.join(UNIT_NAME);
    let text = unit(&program, &data_dir, root)?;
    fs::write(&path, text).map_err(CliError::file(format!("cannot write {}", path.display())))?;
    let user = if root { "" } else { " --user" };
    if global.json {
        return output::json(&json!({ "unit": path }));
    }
    output::line(&format!(
        "Wrote {}. Say whom it serves in {}, then:\n  systemctl{user} daemon-reload\n  \
         systemctl{user} enable --now {UNIT_NAME}",
        path.display(),
        data_dir.join(CONFIG).display(),
    ))
}

fn user_units() -> Result<PathBuf, CliError> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    variable("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(variable("HOME")?.join(".config")))
        .map(|config| config.join("systemd/user"))
        .ok_or_else(|| CliError::Usage("there is no home to install a unit in".into()))
}

fn unit(program: &Path, data_dir: &Path, root: bool) -> Result<String, CliError> {
    let quoted = |path: &Path| {
        let text = path
            .to_str()
            .filter(|text| !text.contains(['"', '\\', '\n', '%']));
        text.map(|text| format!("\"{text}\""))
            .ok_or_else(|| CliError::Usage(format!("{} cannot be in a unit", path.display())))
    };
    Ok(UNIT
        .replace("@PROGRAM@", &quoted(program)?)
        .replace("@DATA_DIR@", &quoted(data_dir)?)
        .replace(
            "@WANTED_BY@",
            if root {
                "multi-user.target"
            } else {
                "default.target"
            },
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_program_and_directory() {
        let text = unit(Path::new("/usr/bin/baraza"), Path::new("/srv/a b"), true).unwrap();
        assert!(text.contains("ExecStart=\"/usr/bin/baraza\" --data-dir \"/srv/a b\" relay\n"));
        assert!(text.contains("WantedBy=multi-user.target\n"));
        assert!(!text.contains('@'));
        assert!(unit(Path::new("/a\"b"), Path::new("/c"), true).is_err());
    }

    #[test]
    fn options_win_over_the_file_and_somebody_must_be_served() {
        let dir = tempfile::tempdir().unwrap();
        let global = Global {
            data_dir: Some(dir.path().to_owned()),
            json: false,
            account: None,
        };
        let mut options = RelayOptions::default();
        assert!(settings(&global, &options).is_err());
        let file = r#"{"owners": ["3a7c466483eebd323ecddb30bb78a66d66cb697c"],
                       "conversation_bytes": 5, "conversations": 7}"#;
        fs::write(dir.path().join(CONFIG), file).unwrap();
        options.conversation_mib = Some(2);
        let settings = settings(&global, &options).unwrap();
        assert_eq!(settings.config.owners.len(), 1);
        assert_eq!(settings.config.conversation_bytes, 2 << 20);
        assert_eq!(settings.config.conversations, 7);
        fs::write(dir.path().join(CONFIG), r#"{"owner": []}"#).unwrap();
        assert!(super::settings(&global, &options).is_err());
    }
}
