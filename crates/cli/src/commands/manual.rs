//! What is made from the definitions of the arguments: pages of the manual, and what makes
//! shells complete. Neither needs a node.

use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Args;
use crate::error::CliError;

/// Prints what makes a shell complete our arguments.
pub(crate) fn completions(shell: Shell) {
    clap_complete::generate(
        shell,
        &mut Args::command(),
        "baraza",
        &mut std::io::stdout(),
    );
}

/// Writes a page for each command: `baraza.1`, `baraza-account.1`, `baraza-account-create.1` …
pub(crate) fn write(out: &Path) -> Result<(), CliError> {
    let failed = || CliError::file(format!("cannot write to {}", out.display()));
    fs::create_dir_all(out).map_err(failed())?;
    for (name, page) in pages() {
        fs::write(out.join(name), page).map_err(failed())?;
    }
    Ok(())
}

/// The name and the text of each page.
fn pages() -> Vec<(String, Vec<u8>)> {
    // `help` would be a page for each command once more.
    let mut root = Args::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, &mut pages);
    pages
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) {
    let man = Man::new(command.clone())
        .source(concat!("Baraza ", env!("CARGO_PKG_VERSION")))
        .manual("Baraza");
    let mut page = Vec::new();
    // Into memory, which takes everything.
    if man.render(&mut page).is_ok() {
        pages.push((man.get_filename(), page));
    }
    for inner in command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
    {
        add(inner, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &Command, path: &str, look: &mut impl FnMut(&Command, &str)) {
        let path = format!("{path} {}", command.get_name());
        look(command, path.trim());
        for inner in command.get_subcommands() {
            each(inner, &path, look);
        }
    }

    #[test]
    fn every_command_and_argument_says_what_it_is() {
        let mut root = Args::command().disable_help_subcommand(true);
        root.build();
        let mut count = 0;
        each(&root, "", &mut |command, path| {
            count += 1;
            assert!(command.get_about().is_some(), "{path} says nothing");
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string);
                let name = argument.get_id();
                let help = help.unwrap_or_else(|| panic!("{path} {name} says nothing"));
                assert!(help.len() > 5, "{path} {name}: {help}");
                assert!(!help.ends_with('.'), "{path} {name}: {help}");
            }
        });
        assert!(count > 60, "{count}");
    }

    #[test]
    fn every_command_has_a_page_that_names_its_arguments() {
        let pages = pages();
        let mut root = Args::command().disable_help_subcommand(true);
        root.build();
        let mut found = 0;
        each(&root, "", &mut |command, path| {
            let name = format!("{}.1", path.replace(' ', "-"));
            let (_, page) = pages
                .iter()
                .find(|(file, _)| *file == name)
                .unwrap_or_else(|| panic!("no {name}"));
            found += 1;
            let page = String::from_utf8(page.clone()).unwrap();
            assert!(page.contains(".SH NAME"), "{name}");
            for argument in command.get_arguments().filter(|one| !one.is_hide_set()) {
                if let Some(long) = argument.get_long() {
                    let long = long.replace('-', "\\-");
                    assert!(page.contains(&long), "{name} lacks {long}:\n{page}");
                }
            }
        });
        assert_eq!(found, pages.len());
    }
}
