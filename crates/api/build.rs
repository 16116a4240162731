//! Lists the files of the web app (`web/dist/app`, made by `make web`) for embedding. Without
//! them the list is empty, and the node says how to build the app.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = root.join("../../web/dist");
    // The folder is there even if nothing was built, so that cargo has something to watch.
    println!("cargo::rerun-if-changed={}", dist.display());
    println!("cargo::rerun-if-changed=build.rs");
    let app = dist.join("app");
    let mut files = Vec::new();
    if app.is_dir() {
        collect(&app, &mut files)?;
    }
    files.sort();
    let mut text = String::from("static FILES: &[File] = &[\n");
    for file in files.iter().filter(|file| !compressed(file)) {
        let name = file.strip_prefix(&app).map_err(io::Error::other)?;
        let path = format!("/{}", name.display());
        let mut hasher = DefaultHasher::new();
        fs::read(file)?.hash(&mut hasher);
        let mut gzip = file.clone().into_os_string();
        gzip.push(".gz");
        let gzip = match files.iter().find(|file| ***file == *gzip) {
            Some(gzip) => format!("Some(include_bytes!({gzip:?}))"),
            None => "None".into(),
        };
        writeln!(
            text,
            "    File {{ path: {path:?}, content: include_bytes!({file:?}), gzip: {gzip}, \
             etag: {:?} }},",
            format!("\"{:016x}\"", hasher.finish())
        )
        .map_err(io::Error::other)?;
    }
    text.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("web_files.rs"), text)
}

/// Whether a file is only another one, compressed.
fn compressed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "gz")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
