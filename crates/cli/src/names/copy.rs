//! Checking a directory, and bringing it from one place to another.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read as _, Seek as _};
use std::path::Path;

use baraza_names::audit::{Checkpoint, SignerKey, Tally};
use baraza_names::directory::Record;
use baraza_names::dump::{self, DumpEntry};
use baraza_names::store::{Outcome, Store};
use baraza_names::transfer::{self, TransferError};
use baraza_wire::{UnixTime, hex};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Place, now};
use crate::args::Global;
use crate::error::CliError;
use crate::output;

/// Records that are taken over at once.
const PAGE: usize = 1000;
/// Names that were not taken over and are shown.
const SHOWN: usize = 20;
/// How an exported file begins.
const HEADER: &[u8] = b"{\"baraza_names\":";

/// A checkpoint as `GET /audit/checkpoint` gives it.
#[derive(Deserialize)]
struct Kept {
    seq: u64,
    hash: String,
    time: u64,
    key: String,
    signature: String,
}

fn kept(path: &Path) -> Result<Checkpoint, CliError> {
    let name = path.display();
    let text = fs::read(path).map_err(CliError::file(format!("cannot read {name}")))?;
    let wrong = || CliError::Usage(format!("{name} is no checkpoint"));
    let kept: Kept = serde_json::from_slice(&text).map_err(|_| wrong())?;
    Ok(Checkpoint {
        seq: kept.seq,
        hash: hex::decode_array(&kept.hash).ok_or_else(wrong)?,
        time: UnixTime::from_secs(kept.time.min(u64::MAX / 1000)),
        key: SignerKey::parse(&kept.key).ok_or_else(wrong)?,
        signature: hex::decode(&kept.signature).ok_or_else(wrong)?,
    })
}

pub(super) async fn verify(
    global: &Global,
    place: &Place,
    file: Option<&Path>,
    checkpoint: Option<&Path>,
    signatures: bool,
) -> Result<(), CliError> {
    let kept = checkpoint.map(kept).transpose()?;
    if kept.as_ref().is_some_and(|kept| kept.verify().is_err()) {
        return Err(CliError::BadNames(
            "the signature of the checkpoint is wrong".into(),
        ));
    }
    let wanted = kept.as_ref();
    let bad = |error: &dyn std::fmt::Display| CliError::BadNames(error.to_string());
    let (head, tally, checkpoints, unsigned, contained) = match file {
        Some(path) => {
            let mut input = input(path)?;
            let report = transfer::verify(&mut input, signatures, wanted)
                .await
                .map_err(|error| match error {
                    TransferError::Io(source) => CliError::file(path.display().to_string())(source),
                    other => bad(&other),
                })?;
            (
                report.head,
                report.tally,
                report.checkpoints,
                report.unsigned,
                report.contained,
            )
        }
        None => {
            let store = place.open_existing().await?;
            let report = baraza_names::verify::store(store.as_ref(), signatures)
                .await
                .map_err(|error| bad(&error))?;
            let contained = match wanted {
                None => true,
                Some(kept) => {
                    let found = store.entries(kept.seq.saturating_sub(1), 1).await;
                    let found = found.map_err(place.failed())?;
                    found
                        .first()
                        .is_some_and(|entry| entry.seq == kept.seq && entry.hash == kept.hash)
                }
            };
            (
                report.head,
                report.tally,
                report.checkpoints,
                report.unsigned,
                contained,
            )
        }
    };
    if !contained {
        return Err(CliError::BadNames(
            "the log is not the one that the checkpoint was signed for".into(),
        ));
    }
    let Tally {
        registered,
        imported,
        moved,
        reserved,
        suspended,
    } = tally;
    if global.json {
        return output::json(&json!({
            "names": head.names, "entries": head.seq, "hash": hex::encode(&head.hash),
            "checkpoints": checkpoints, "registered": registered, "imported": imported,
            "moved": moved, "reserved": reserved, "suspended": suspended, "unsigned": unsigned,
            "signatures_checked": signatures,
        }));
    }
    output::line(&format!(
        "The log is whole: {} entries, {checkpoints} checkpoints, {} names ({registered} \
         registered, {imported} imported).\n{}\nIts end is {}",
        head.seq,
        head.names,
        match (moved, suspended) {
            (0, 0) => "No name ever changed hands.".to_owned(),
            _ => format!(
                "No name changed hands but by acts in the log: {moved} moved, {suspended} \
                 suspended or restored."
            ),
        },
        hex::encode(&head.hash)
    ))?;
    if unsigned > 0 {
        output::line(&format!(
            "{unsigned} names have no signature of their account (imported or moved)."
        ))?;
    }
    Ok(())
}

fn input(path: &Path) -> Result<BufReader<File>, CliError> {
    File::open(path)
        .map(BufReader::new)
        .map_err(CliError::file(format!("cannot read {}", path.display())))
}

fn failed_file(path: &Path) -> impl Fn(TransferError) -> CliError {
    let name = path.display().to_string();
    move |error| CliError::Other(format!("{name}: {error}"))
}

pub(super) async fn export(global: &Global, place: &Place, path: &Path) -> Result<(), CliError> {
    let store = place.open_existing().await?;
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let file =
        File::create(&new).map_err(CliError::file(format!("cannot write {}", path.display())))?;
    let mut out = BufWriter::new(file);
    let entries = transfer::export(store.as_ref(), &mut out)
        .await
        .map_err(failed_file(path))?;
    let file = out
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match global.json {
        true => output::json(&json!({ "entries": entries })),
        false => output::line(&format!("Wrote {entries} entries to {}.", path.display())),
    }
}

pub(super) async fn import(
    global: &Global,
    place: &Place,
    path: &Path,
    unsigned: bool,
) -> Result<(), CliError> {
    let mut file =
        File::open(path).map_err(CliError::file(format!("cannot read {}", path.display())))?;
    let mut begin = Vec::new();
    (&mut file).take(64).read_to_end(&mut begin)?;
    file.rewind()?;
    if !begin.starts_with(HEADER) {
        return take_over(global, place, file, path, unsigned).await;
    }
    transfer::verify(&mut BufReader::new(&file), true, None)
        .await
        .map_err(failed_file(path))?;
    file.rewind()?;
    let store = place.open().await?;
    let report = transfer::restore(&mut BufReader::new(&file), store.as_ref())
        .await
        .map_err(failed_file(path))?;
    match global.json {
        true => output::json(&json!({ "entries": report.head.seq, "names": report.head.names })),
        false => output::line(&format!(
            "Put back {} entries, {} names.",
            report.head.seq, report.head.names
        )),
    }
}

/// What became of the names of a dump.
#[derive(Default)]
struct Taken {
    imported: u64,
    same: u64,
    refused: u64,
    shown: Vec<String>,
}

impl Taken {
    fn refuse(&mut self, name: &str, why: &str) {
        self.refused = self.refused.saturating_add(1);
        if self.shown.len() < SHOWN {
            self.shown
                .push(output::printable(&format!("{name}: {why}")));
        }
    }

    async fn store(
        &mut self,
        store: &dyn Store,
        records: Vec<Record>,
    ) -> Result<(), baraza_names::store::StoreError> {
        let names: Vec<_> = records.iter().map(|record| record.name.clone()).collect();
        let outcomes = store.import(records, now()).await?;
        for (name, outcome) in names.iter().zip(outcomes) {
            match outcome {
                Outcome::Registered => self.imported = self.imported.saturating_add(1),
                Outcome::Same => self.same = self.same.saturating_add(1),
                Outcome::NameTaken => self.refuse(name.as_str(), "somebody else has it here"),
                Outcome::Reserved => self.refuse(name.as_str(), "it is reserved here"),
                Outcome::IdHasName(other) => {
                    self.refuse(name.as_str(), &format!("its ID has the name {other} here"));
                }
                Outcome::Alike(other) => {
                    self.refuse(name.as_str(), &format!("it looks like {other}"));
                }
            }
        }
        Ok(())
    }
}

/// Takes over a dump of the existing server.
async fn take_over(
    global: &Global,
    place: &Place,
    file: File,
    path: &Path,
    unsigned: bool,
) -> Result<(), CliError> {
    let store = place.open().await?;
    let (entries, mut queue) = mpsc::channel::<DumpEntry>(PAGE);
    let reading = tokio::task::spawn_blocking(move || {
        dump::read(BufReader::new(file), &mut |entry| {
            let sent = entries.blocking_send(entry);
            sent.map_err(|_| "interrupted".to_owned())
        })
    });
    let mut taken = Taken::default();
    let mut page = Vec::with_capacity(PAGE);
    while let Some(entry) = queue.recv().await {
        match entry.record(unsigned) {
            Ok(record) => page.push(record),
            Err(why) => taken.refuse(entry.name.as_deref().unwrap_or("?"), &why),
        }
        if page.len() >= PAGE {
            let records = std::mem::take(&mut page);
            taken
                .store(store.as_ref(), records)
                .await
                .map_err(place.failed())?;
        }
    }
    taken
        .store(store.as_ref(), page)
        .await
        .map_err(place.failed())?;
    reading
        .await
        .map_err(|error| CliError::Other(error.to_string()))?
        .map_err(|error| CliError::Other(format!("{}: {error}", path.display())))?;
    if global.json {
        return output::json(&json!({
            "imported": taken.imported, "same": taken.same, "refused": taken.refused,
            "first_refused": taken.shown,
        }));
    }
    output::line(&format!(
        "{} names imported, {} were here already, {} not taken over{}",
        taken.imported,
        taken.same,
        taken.refused,
        if taken.refused == 0 { "." } else { ":" }
    ))?;
    for line in &taken.shown {
        output::line(&format!("  {line}"))?;
    }
    Ok(())
}
