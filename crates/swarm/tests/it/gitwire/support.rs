//! Repositories, stores and two machines talking to each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use baraza_swarm::fetch::{Fetch, FetchLimits, FetchOutcome, FetchOutput, Local};
use baraza_swarm::pack::PackLimits;
use baraza_swarm::upload_pack::{Served, ServerOutput, UploadPack};
use baraza_wire::{CommitId, ConversationId, DeviceId};
use gix::ObjectId;
use gix::objs::{Data, Exists, Find, Kind};

pub(crate) const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");

/// Unpacks one of the archived repositories; the repository is in the single directory.
pub(crate) fn archive(name: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(format!("{VECTORS}{name}")).unwrap();
    tar::Archive::new(flate2::read::GzDecoder::new(file))
        .unpack(directory.path())
        .unwrap();
    let repository = find_git(directory.path()).expect("a .git directory in the archive");
    (directory, repository)
}

fn find_git(directory: &Path) -> Option<PathBuf> {
    if directory.join(".git").is_dir() {
        return Some(directory.to_owned());
    }
    let mut entries: Vec<_> = std::fs::read_dir(directory).ok()?.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::path);
    entries.iter().find_map(|entry| find_git(&entry.path()))
}

/// Runs git where no configuration of the machine counts.
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "alice"),
            ("GIT_AUTHOR_EMAIL", "alice@example.org"),
            ("GIT_COMMITTER_NAME", "alice"),
            ("GIT_COMMITTER_EMAIL", "alice@example.org"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Objects in memory.
#[derive(Default, Clone)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<ObjectId, (Kind, Vec<u8>)>,
    pub(crate) head: Option<CommitId>,
}

impl Store {
    pub(crate) fn put(&mut self, kind: Kind, data: impl Into<Vec<u8>>) -> ObjectId {
        let data = data.into();
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, kind, &data).unwrap();
        self.objects.insert(id, (kind, data));
        id
    }

    pub(crate) fn tree(&mut self, entries: &[(&str, &str, ObjectId)]) -> ObjectId {
        let mut data = Vec::new();
        for (mode, name, id) in entries {
            data.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            data.extend_from_slice(id.as_slice());
        }
        self.put(Kind::Tree, data)
    }

    pub(crate) fn commit(
        &mut self,
        tree: ObjectId,
        parents: &[ObjectId],
        time: u64,
        text: &str,
    ) -> ObjectId {
        let mut data = format!("tree {tree}\n");
        for parent in parents {
            data += &format!("parent {parent}\n");
        }
        data += &format!("author a <a> {time} +0000\ncommitter a <a> {time} +0000\n\n{text}");
        let id = self.put(Kind::Commit, data);
        self.head = Some(commit_id(&id));
        id
    }

    /// `count` commits in a row on one small tree.
    pub(crate) fn line(count: usize) -> (Self, Vec<ObjectId>) {
        let mut store = Self::default();
        let blob = store.put(Kind::Blob, "certificate");
        let directory = store.tree(&[("100644", "a.crt", blob)]);
        let tree = store.tree(&[("40000", "devices", directory)]);
        let mut commits: Vec<ObjectId> = Vec::new();
        for n in 0..count {
            let parents: Vec<_> = commits.last().copied().into_iter().collect();
            commits.push(store.commit(tree, &parents, 1000 + n as u64, &format!("{{\"n\":{n}}}")));
        }
        (store, commits)
    }
}

impl Find for Store {
    fn try_find<'a>(
        &self,
        id: &gix::oid,
        buffer: &'a mut Vec<u8>,
    ) -> Result<Option<Data<'a>>, gix::Error> {
        Ok(self.objects.get(id).map(|(kind, data)| {
            buffer.clear();
            buffer.extend_from_slice(data);
            Data {
                kind: *kind,
                object_hash: gix::hash::Kind::Sha1,
                data: buffer,
            }
        }))
    }
}

impl Exists for Store {
    fn exists(&self, id: &gix::oid) -> bool {
        self.objects.contains_key(id)
    }
}

impl Served for Store {
    fn head(&self) -> Option<CommitId> {
        self.head
    }
    fn objects(&self) -> &dyn Find {
        self
    }
}

impl Local for Store {
    fn contains(&self, id: &CommitId) -> bool {
        self.objects.contains_key(&object_id(id))
    }
    fn haves(&self, _: &DeviceId, max: usize) -> Vec<CommitId> {
        let mut commits: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, (kind, _))| *kind == Kind::Commit)
            .map(|(id, (_, data))| {
                let commit = gix::objs::CommitRef::from_bytes(data, gix::hash::Kind::Sha1).unwrap();
                (
                    std::cmp::Reverse(commit.time().unwrap().seconds),
                    commit_id(id),
                )
            })
            .collect();
        commits.sort();
        commits.into_iter().map(|(_, id)| id).take(max).collect()
    }
}

/// A repository on disk.
pub(crate) struct Disk {
    pub(crate) repository: gix::Repository,
    pub(crate) head: Option<CommitId>,
}

impl Disk {
    pub(crate) fn open(path: &Path) -> Self {
        let repository = gix::open_opts(path, gix::open::Options::isolated()).unwrap();
        let head = repository.head_id().ok().map(|id| commit_id(&id));
        Self { repository, head }
    }
}

impl Served for Disk {
    fn head(&self) -> Option<CommitId> {
        self.head
    }
    fn objects(&self) -> &dyn Find {
        &self.repository
    }
}

impl Local for Disk {
    fn contains(&self, id: &CommitId) -> bool {
        self.repository.has_object(object_id(id))
    }
    fn haves(&self, _: &DeviceId, max: usize) -> Vec<CommitId> {
        let Some(head) = self.head else {
            return Vec::new();
        };
        self.repository
            .rev_walk([object_id(&head)])
            .sorting(gix::revision::walk::Sorting::ByCommitTime(
                gix::traverse::commit::simple::CommitTimeOrder::NewestFirst,
            ))
            .all()
            .unwrap()
            .take(max)
            .map(|info| commit_id(&info.unwrap().id))
            .collect()
    }
}

pub(crate) fn commit_id(id: &gix::oid) -> CommitId {
    CommitId::from_slice(id.as_bytes()).unwrap()
}

pub(crate) fn object_id(id: &CommitId) -> ObjectId {
    ObjectId::Sha1(*id.as_bytes())
}

pub(crate) fn fetch() -> Fetch {
    let limits = FetchLimits::default();
    Fetch::new(
        ConversationId::new([7; 20]),
        DeviceId::new([9; 32]),
        std::env::temp_dir(),
        limits,
    )
}

/// What happened in one fetch.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) outcome: Result<FetchOutcome, baraza_swarm::fetch::FetchError>,
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) received: Vec<Vec<u8>>,
    pub(crate) server: Vec<ServerOutput>,
}

/// Runs one fetch between machines; `cut` chops every write into pieces for the receiver.
pub(crate) fn talk(
    client: &mut Fetch,
    local: &dyn Local,
    server: &mut UploadPack,
    served: &dyn Served,
    mut cut: impl FnMut(usize) -> usize,
) -> Talk {
    let now = Instant::now();
    let mut talk = Talk {
        outcome: Err(baraza_swarm::fetch::FetchError::Idle),
        sent: Vec::new(),
        received: Vec::new(),
        server: Vec::new(),
    };
    client.start(now).unwrap();
    let mut over = false;
    loop {
        let mut quiet = true;
        while let Some(output) = client.poll_output() {
            quiet = false;
            match output {
                FetchOutput::Write(bytes) => {
                    for piece in pieces(&bytes, &mut cut) {
                        server.receive(piece, served);
                    }
                    talk.sent.push(bytes.to_vec());
                }
                FetchOutput::Done(outcome) => {
                    talk.outcome = Ok(outcome);
                    over = true;
                }
                FetchOutput::Failed(error) => {
                    talk.outcome = Err(error);
                    over = true;
                }
            }
        }
        while let Some(output) = server.poll_output(served) {
            quiet = false;
            match output {
                ServerOutput::Write(bytes) => {
                    assert!(bytes.len() <= 65_535);
                    for piece in pieces(&bytes, &mut cut) {
                        client.receive(now + Duration::from_secs(1), piece, local);
                    }
                    talk.received.push(bytes.to_vec());
                }
                ServerOutput::Close(reason) => {
                    client.handle_close();
                    talk.server.push(ServerOutput::Close(reason));
                }
                ServerOutput::Pause => {}
                output => talk.server.push(output),
            }
        }
        if quiet {
            assert!(over || !client.is_idle());
            return talk;
        }
    }
}

fn pieces<'a>(bytes: &'a [u8], cut: &mut impl FnMut(usize) -> usize) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
        pieces.push(piece);
        rest = later;
    }
    pieces
}

pub(crate) fn server() -> UploadPack {
    UploadPack::new(PackLimits::default())
}
