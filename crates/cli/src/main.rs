//! `baraza`: the personal node, and what one does with it from a terminal.

mod args;
mod client;
mod commands;
mod dht;
mod error;
mod find;
mod names;
mod output;
mod paths;
mod prompt;
mod relay;
mod run;
mod tui;

use std::process::ExitCode;

use clap::Parser;

use args::{Action, Args};
use error::CliError;

fn main() -> ExitCode {
    let args = Args::parse();
    let json = args.global.json;
    match act(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error, json);
            ExitCode::from(error.exit_code())
        }
    }
}

fn act(args: Args) -> Result<(), CliError> {
    let global = args.global;
    let action = args.action.unwrap_or_else(Action::default_run);
    match action {
        Action::Run(options) => runtime(true)?.block_on(run::run(&global, options, None)),
        Action::Relay { relay, .. } if relay.install_unit => relay::install_unit(&global),
        Action::Relay {
            run: options,
            relay,
        } => runtime(true)?.block_on(run::run(&global, options, Some(relay))),
        Action::Dht(options) => runtime(true)?
            .block_on(dht::run(options))
            .map_err(|error| CliError::Other(format!("{error:#}"))),
        Action::Names { options, action } => {
            runtime(true)?.block_on(names::run(&global, *options, action))
        }
        Action::Completions { shell } => {
            commands::manual::completions(shell);
            Ok(())
        }
        Action::Man { out } => commands::manual::write(&out),
        Action::Conversation {
            action: args::ConversationAction::Verify { dir },
        } => commands::verify::verify(&dir, &global),
        Action::Restore { file, password } => commands::backup::restore(&file, &password, &global),
        Action::Backup {
            action: Some(args::BackupAction::Verify { file, password }),
            ..
        } => commands::backup::verify(&file, &password, &global),
        Action::Backup {
            options,
            action: None,
        } if commands::backup::is_stopped(&global)? => {
            commands::backup::make_stopped(&options, &global)
        }
        other => runtime(false)?.block_on(async {
            tokio::select! {
                done = commands::run(&global, other) => done,
                interrupted = tokio::signal::ctrl_c() => match interrupted {
                    Ok(()) => Err(CliError::Interrupted),
                    Err(error) => Err(error.into()),
                },
            }
        }),
    }
}

/// Two workers for a node, none for a client.
fn runtime(node: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = if node {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()
}
