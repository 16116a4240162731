//! Passwords and questions. Passwords are never taken from the command line, which every
//! user of the machine can read.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::Path;

use baraza_api::types::Account;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::args::PasswordOptions;
use crate::error::CliError;

/// Longest password read from a file.
const MAX_PASSWORD: u64 = 64 * 1024;

/// The password, from where the options and the environment say; empty if they say nothing.
pub(crate) fn password(
    options: &PasswordOptions,
    what: &str,
    new: bool,
) -> Result<String, CliError> {
    if let Some(file) = &options.password_file {
        return first_line(file, "password");
    }
    if options.password {
        return ask_password(what, new);
    }
    Ok(std::env::var("BARAZA_PASSWORD").unwrap_or_default())
}

/// The password of an account that is here: asked for, if it has one and nothing else says
/// it.
pub(crate) fn account_password(
    options: &PasswordOptions,
    account: &Account,
) -> Result<String, CliError> {
    let given = password(options, "Password of the account", false)?;
    if given.is_empty() && account.has_password && can_ask() {
        return ask_password("Password of the account", false);
    }
    Ok(given)
}

/// Whether there is a person at a terminal.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// What a person types, shown as it is typed.
pub(crate) fn ask(what: &str, instead: &str) -> Result<String, CliError> {
    if !can_ask() {
        let text = format!("there is no terminal to ask on: use {instead}");
        return Err(CliError::Usage(text));
    }
    eprint!("{what}: ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// The secret in the first line of a file.
pub(crate) fn first_line(file: &Path, what: &str) -> Result<String, CliError> {
    let name = file.display().to_string();
    let mut text = String::new();
    let read = if name == "-" {
        io::stdin().lock().take(MAX_PASSWORD).read_line(&mut text)
    } else {
        fs::File::open(file)
            .and_then(|file| io::BufReader::new(file.take(MAX_PASSWORD)).read_line(&mut text))
    };
    read.map_err(CliError::file(format!("cannot read {name}")))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(CliError::Usage(format!("there is no {what} in {name}")));
    }
    Ok(password.to_owned())
}

/// Asks on the terminal, without showing what is typed; a new one twice.
pub(crate) fn ask_password(what: &str, new: bool) -> Result<String, CliError> {
    let password = read_hidden(&format!("{what}: "))?;
    if password.is_empty() {
        return Err(CliError::Usage("the password is empty".into()));
    }
    if new && read_hidden("Once more: ")? != password {
        return Err(CliError::Usage("these are two different passwords".into()));
    }
    Ok(password)
}

fn read_hidden(prompt: &str) -> Result<String, CliError> {
    let input = io::stdin();
    if !input.is_terminal() {
        let text = "there is no terminal to ask on: use --password-file or BARAZA_PASSWORD";
        return Err(CliError::Usage(text.into()));
    }
    eprint!("{prompt}");
    io::stderr().flush()?;
    let shown = tcgetattr(&input).map_err(io::Error::from)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &hidden).map_err(io::Error::from)?;
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, OptionalActions::Now, &shown).map_err(io::Error::from)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether the person at the terminal types `yes`; an error if there is none.
pub(crate) fn confirm(question: &str) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        let text = "there is no terminal to ask on: say --yes if you are sure";
        return Err(CliError::Usage(text.into()));
    }
    eprint!("{question} Type \"yes\": ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_file_gives_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "pass word \nmore\n").unwrap();
        let options = PasswordOptions {
            password: false,
            password_file: Some(file.clone()),
        };
        assert_eq!(password(&options, "Password", false).unwrap(), "pass word ");
        fs::write(&file, "\n").unwrap();
        assert!(password(&options, "Password", false).is_err());
    }
}
