//! `baraza open`: the app in a browser, signed in.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use baraza_api::types::LoginCode;
use hyper::Method;
use serde_json::json;
use tokio::process::Command;

use super::Context;
use crate::error::CliError;
use crate::output;

/// Name of the page that leads to the app, in the data directory.
const PAGE: &str = "open-app.html";
/// How long the browser may take to read that page.
const PAGE_LIFETIME: Duration = Duration::from_secs(20);

pub(crate) async fn run(context: &Context<'_>, print: bool) -> Result<(), CliError> {
    let client = context.client;
    let code: LoginCode = client
        .call(Method::POST, "/session/code", None::<&()>)
        .await?;
    let link = client.app_link(&code.code);
    if context.json() {
        return output::json(&json!({ "app": link, "expires_in": code.expires_in }));
    }
    output::line(&link)?;
    if print {
        return Ok(());
    }
    // Arguments of programs can be read by every user of the machine, so the browser gets a
    // file that only we may read, and which leads on.
    let page = client.data_dir().join(PAGE);
    let written = write(&page, &link);
    let opened = match written {
        Ok(()) => start(&page).await,
        Err(error) => Err(error),
    };
    if opened.is_ok() {
        output::line("It signs in once, within five minutes, in case no window opens.")?;
        tokio::time::sleep(PAGE_LIFETIME).await;
    } else {
        output::line("No browser could be started: open this address in yours.")?;
    }
    let _gone_already = std::fs::remove_file(&page);
    Ok(())
}

fn write(page: &Path, link: &str) -> std::io::Result<()> {
    let _not_there = std::fs::remove_file(page);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(page)?;
    let text = format!(
        "<!doctype html><meta charset=utf-8><title>Baraza</title>\
         <meta http-equiv=refresh content=\"0;url={link}\"><a href=\"{link}\">Baraza</a>\n"
    );
    std::io::Write::write_all(&mut file, text.as_bytes())
}

async fn start(page: &Path) -> std::io::Result<()> {
    let ended = Command::new("xdg-open")
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await?;
    match ended.success() {
        true => Ok(()),
        false => Err(std::io::Error::other("xdg-open failed")),
    }
}
