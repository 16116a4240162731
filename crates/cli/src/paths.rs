//! Where things are.

use std::path::PathBuf;

use crate::args::Global;
use crate::error::CliError;

/// The data directory: the one given, or `$XDG_DATA_HOME/baraza`, or `~/.local/share/baraza`.
pub(crate) fn data_dir(global: &Global) -> Result<PathBuf, CliError> {
    if let Some(dir) = &global.data_dir {
        return Ok(std::path::absolute(dir)?);
    }
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|data| data.join("baraza"))
        .ok_or_else(|| CliError::Usage("there is no home: give --data-dir".into()))
}
