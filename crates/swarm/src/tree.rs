//! Trees: a handful of directories of small files (docs/protocol/05-swarm.md section 2.3).
//!
//! Directories are read once and shared by their ids. What is read here satisfies rule G8:
//! plain files and directories only, of harmless unique names, in canonical order.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use gix::ObjectId;
use gix::objs::{Find, Kind};

use crate::objects::NewObjects;
use crate::pack::{PackError, expect};

/// The id of the empty file.
pub const EMPTY: ObjectId = ObjectId::Sha1([
    0xe6, 0x9d, 0xe2, 0x9b, 0xb2, 0xd1, 0xd6, 0x43, 0x4b, 0x8b, 0x29, 0xae, 0x77, 0x5a, 0xd8, 0xc2,
    0xe4, 0x8c, 0x53, 0x91,
]);
/// Names in a path, at most (rule G8).
pub const MAX_DEPTH: usize = 5;
/// Longest name: two ids and a suffix are far below.
const MAX_NAME: usize = 160;
/// Entries of one directory: there is one per member or device.
const MAX_ENTRIES: usize = 20_000;
/// Files that may differ between two trees that are compared.
const MAX_CHANGES: usize = 200_000;
/// Entries of all directories held, before all are forgotten.
const MAX_HELD: usize = 40_000;

/// Why a tree cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The object is missing or cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It breaks rule G8.
    #[error("tree {0}: {1}")]
    Illegal(ObjectId, &'static str),
}

/// A file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A file with its content's id.
    File(ObjectId),
    /// A directory.
    Directory(ObjectId),
}

impl Node {
    fn file(self) -> Option<ObjectId> {
        match self {
            Self::File(id) => Some(id),
            Self::Directory(_) => None,
        }
    }

    fn directory(self) -> Option<ObjectId> {
        match self {
            Self::Directory(id) => Some(id),
            Self::File(_) => None,
        }
    }
}

/// One directory, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    entries: Vec<(Box<str>, Node)>,
}

impl Directory {
    /// Reads a tree object.
    ///
    /// # Errors
    /// If it is not canonical or breaks rule G8.
    pub fn parse(data: &[u8]) -> Result<Self, &'static str> {
        let mut entries: Vec<(Box<str>, Node)> = Vec::new();
        let mut rest = data;
        while !rest.is_empty() {
            if entries.len() >= MAX_ENTRIES {
                return Err("too many entries");
            }
            let zero = rest.iter().position(|byte| *byte == 0);
            let parts = zero.and_then(|zero| rest.split_at_checked(zero));
            let (head, after) = parts.ok_or("not a tree")?;
            let (id, after) = after
                .strip_prefix(b"\0")
                .and_then(|after| after.split_at_checked(20))
                .ok_or("not a tree")?;
            let id = ObjectId::try_from(id).map_err(|_| "not a tree")?;
            let (name, node) = if let Some(name) = head.strip_prefix(b"100644 ") {
                (name, Node::File(id))
            } else if let Some(name) = head.strip_prefix(b"40000 ") {
                (name, Node::Directory(id))
            } else {
                return Err("something else than a plain file or directory");
            };
            let name = std::str::from_utf8(name)
                .ok()
                .filter(|name| is_harmless(name))
                .ok_or("a name that files do not have")?;
            let entry = (Box::from(name), node);
            if entries
                .last()
                .is_some_and(|last| sort_key(last) >= sort_key(&entry))
            {
                return Err("entries out of order");
            }
            entries.push(entry);
            rest = after;
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let twice = entries
            .windows(2)
            .any(|pair| matches!(pair, [first, second] if first.0 == second.0));
        if twice {
            return Err("a name that is there twice");
        }
        Ok(Self { entries })
    }

    /// The tree object.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|entry| sort_key(entry));
        let mut data = Vec::new();
        for (name, node) in entries {
            let (mode, id) = match node {
                Node::File(id) => ("100644 ", id),
                Node::Directory(id) => ("40000 ", id),
            };
            data.extend_from_slice(mode.as_bytes());
            data.extend_from_slice(name.as_bytes());
            data.push(0);
            data.extend_from_slice(id.as_bytes());
        }
        data
    }

    /// The entry of that name.
    pub fn get(&self, name: &str) -> Option<Node> {
        let index = self.position(name).ok()?;
        self.entries.get(index).map(|entry| entry.1)
    }

    /// All entries in the order of their names.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, Node)> {
        self.entries.iter().map(|(name, node)| (&**name, *node))
    }

    /// Whether there is nothing in it; git has no such directories.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets or removes an entry.
    pub fn set(&mut self, name: &str, node: Option<Node>) {
        match (self.position(name), node) {
            (Ok(index), Some(node)) => {
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.1 = node;
                }
            }
            (Ok(index), None) => {
                self.entries.remove(index);
            }
            (Err(index), Some(node)) => self.entries.insert(index, (name.into(), node)),
            (Err(_), None) => {}
        }
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| (*entry.0).cmp(name))
    }
}

/// Git sorts directories as if their names ended in a slash.
fn sort_key(entry: &(Box<str>, Node)) -> Vec<u8> {
    let mut key = entry.0.as_bytes().to_vec();
    if matches!(entry.1, Node::Directory(_)) {
        key.push(b'/');
    }
    key
}

fn is_harmless(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(plain)
        && !matches!(name, "." | "..")
        && !name.eq_ignore_ascii_case(".git")
}

/// A file that differs between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// What it was, if it was there.
    pub old: Option<ObjectId>,
    /// What it is, if it is there.
    pub new: Option<ObjectId>,
}

/// Directories by id, as long as there is room.
#[derive(Debug, Default)]
pub struct Trees {
    held: RefCell<Held>,
}

#[derive(Debug, Default)]
struct Held {
    directories: HashMap<ObjectId, Arc<Directory>>,
    entries: usize,
}

impl Trees {
    /// A directory.
    ///
    /// # Errors
    /// If it cannot be read or breaks rule G8.
    pub fn directory(&self, objects: &dyn Find, id: ObjectId) -> Result<Arc<Directory>, TreeError> {
        if let Some(directory) = self.held.borrow().directories.get(&id) {
            return Ok(Arc::clone(directory));
        }
        let mut buffer = Vec::new();
        let data = expect(objects, &id, Kind::Tree, &mut buffer)?;
        let directory =
            Arc::new(Directory::parse(data.data).map_err(|what| TreeError::Illegal(id, what))?);
        let mut held = self.held.borrow_mut();
        held.entries = held.entries.saturating_add(directory.entries.len());
        if held.entries > MAX_HELD {
            held.directories.clear();
            held.entries = directory.entries.len();
        }
        held.directories.insert(id, Arc::clone(&directory));
        Ok(directory)
    }

    /// The content's id of the file at `path`.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn file(
        &self,
        objects: &dyn Find,
        root: ObjectId,
        path: &str,
    ) -> Result<Option<ObjectId>, TreeError> {
        let mut node = Some(Node::Directory(root));
        for name in path.split('/') {
            let Some(Node::Directory(id)) = node else {
                return Ok(None);
            };
            node = self.directory(objects, id)?.get(name);
        }
        Ok(node.and_then(Node::file))
    }

    /// The names of the files in the directory at `path`; none if it is not there.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn files_in(
        &self,
        objects: &dyn Find,
        root: ObjectId,
        path: &str,
    ) -> Result<Vec<(String, ObjectId)>, TreeError> {
        let mut directory = self.directory(objects, root)?;
        for name in path.split('/') {
            let Some(id) = directory.get(name).and_then(Node::directory) else {
                return Ok(Vec::new());
            };
            directory = self.directory(objects, id)?;
        }
        Ok(directory
            .entries()
            .filter_map(|(name, node)| Some((name.to_owned(), node.file()?)))
            .collect())
    }

    /// The files that differ, in the order of their paths, without guessing renames. Looks only into
    /// directories that differ, and so checks rule G8 for all that is new.
    ///
    /// # Errors
    /// If a directory cannot be read, or too much differs.
    pub fn diff(
        &self,
        objects: &dyn Find,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
    ) -> Result<Vec<Change>, TreeError> {
        let mut changes = Vec::new();
        if old != new {
            self.differ(objects, old, new, "", 1, &mut changes)?;
        }
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    fn differ(
        &self,
        objects: &dyn Find,
        old: Option<ObjectId>,
        new: Option<ObjectId>,
        prefix: &str,
        depth: usize,
        changes: &mut Vec<Change>,
    ) -> Result<(), TreeError> {
        let read = |id: Option<ObjectId>| match id {
            Some(id) => self.directory(objects, id),
            None => Ok(Arc::default()),
        };
        let (before, after) = (read(old)?, read(new)?);
        if new.is_some() && !prefix.is_empty() && after.is_empty() {
            let id = new.unwrap_or(EMPTY);
            return Err(TreeError::Illegal(id, "an empty directory"));
        }
        let somewhere = new.or(old).unwrap_or(EMPTY);
        if depth > MAX_DEPTH {
            return Err(TreeError::Illegal(somewhere, "directories nested too deep"));
        }
        let names: BTreeSet<&str> = before
            .entries()
            .chain(after.entries())
            .map(|(name, _)| name)
            .collect();
        for name in names {
            let (was, is) = (before.get(name), after.get(name));
            if was == is {
                continue;
            }
            let path = if prefix.is_empty() {
                name.to_owned()
            } else {
                format!("{prefix}/{name}")
            };
            let directories = (was.and_then(Node::directory), is.and_then(Node::directory));
            if directories != (None, None) {
                let below = depth.saturating_add(1);
                self.differ(objects, directories.0, directories.1, &path, below, changes)?;
            }
            let files = (was.and_then(Node::file), is.and_then(Node::file));
            if files != (None, None) {
                if changes.len() >= MAX_CHANGES {
                    return Err(TreeError::Illegal(somewhere, "too many changes"));
                }
                changes.push(Change {
                    path,
                    old: files.0,
                    new: files.1,
                });
            }
        }
        Ok(())
    }

    /// Makes a tree that differs from `root` in the given files; its new directories go to
    /// `out`. Returns the id of the new root.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn edit(
        &self,
        out: &NewObjects<'_>,
        root: Option<ObjectId>,
        changes: &BTreeMap<String, Option<ObjectId>>,
    ) -> Result<ObjectId, TreeError> {
        let changes: Vec<(&str, Option<ObjectId>)> = changes
            .iter()
            .map(|(path, id)| (path.as_str(), *id))
            .collect();
        let edited = self.edit_directory(out, root, &changes)?;
        Ok(edited.unwrap_or_else(|| out.add(Kind::Tree, Vec::new())))
    }

    fn edit_directory(
        &self,
        out: &NewObjects<'_>,
        id: Option<ObjectId>,
        changes: &[(&str, Option<ObjectId>)],
    ) -> Result<Option<ObjectId>, TreeError> {
        let mut directory = match id {
            Some(id) => Directory::clone(&*self.directory(out, id)?),
            None => Directory::default(),
        };
        let mut below: BTreeMap<&str, Vec<(&str, Option<ObjectId>)>> = BTreeMap::new();
        for (path, id) in changes {
            match path.split_once('/') {
                None => directory.set(path, id.map(Node::File)),
                Some((name, rest)) => below.entry(name).or_default().push((rest, *id)),
            }
        }
        for (name, changes) in below {
            let inner = directory.get(name).and_then(Node::directory);
            let edited = self.edit_directory(out, inner, &changes)?;
            directory.set(name, edited.map(Node::Directory));
        }
        if directory.is_empty() {
            return Ok(None);
        }
        Ok(Some(out.add(Kind::Tree, directory.encode())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> ObjectId {
        ObjectId::Sha1([byte; 20])
    }

    fn raw(entries: &[(&str, u8)]) -> Vec<u8> {
        let mut data = Vec::new();
        for (head, byte) in entries {
            data.extend_from_slice(head.as_bytes());
            data.push(0);
            data.extend_from_slice(&[*byte; 20]);
        }
        data
    }

    #[test]
    fn only_canonical_harmless_directories_are_read() {
        let good = raw(&[("100644 a", 1), ("100644 a.b", 2), ("40000 ab", 3)]);
        let directory = Directory::parse(&good).unwrap();
        assert_eq!(directory.get("a.b"), Some(Node::File(id(2))));
        assert_eq!(directory.encode(), good);
        for bad in [
            raw(&[("100755 a", 1)]),
            raw(&[("120000 a", 1)]),
            raw(&[("160000 a", 1)]),
            raw(&[("040000 a", 1)]),
            raw(&[("100644 b", 1), ("100644 a", 1)]),
            raw(&[("100644 a", 1), ("100644 a", 1)]),
            raw(&[("100644 a", 1), ("100644 a.b", 1), ("40000 a", 1)]),
            raw(&[("100644 ..", 1)]),
            raw(&[("100644 .GIT", 1)]),
            raw(&[("100644 a/b", 1)]),
            raw(&[("100644 ", 1)]),
            raw(&[("100644 é", 1)]),
            b"100644 a\0short".to_vec(),
            b"rubbish".to_vec(),
        ] {
            assert!(Directory::parse(&bad).is_err(), "{bad:?}");
        }
        assert!(Directory::parse(b"").unwrap().is_empty());
    }

    fn tree(trees: &Trees, out: &NewObjects<'_>, files: &[(&str, u8)]) -> ObjectId {
        let changes = files
            .iter()
            .map(|(path, byte)| ((*path).to_owned(), Some(id(*byte))))
            .collect();
        trees.edit(out, None, &changes).unwrap()
    }

    #[test]
    fn edits_and_differences_fit_each_other() {
        let trees = Trees::default();
        let never = gix::objs::find::Never;
        let out = NewObjects::new(&never);
        let old = tree(
            &trees,
            &out,
            &[("a/x", 1), ("a/y", 2), ("b/c/d", 3), ("e", 4)],
        );
        let changes: BTreeMap<String, Option<ObjectId>> = [
            ("a/x".to_owned(), None),
            ("b/c/d".to_owned(), None),
            ("b/n".to_owned(), Some(id(5))),
            ("e".to_owned(), Some(id(6))),
        ]
        .into();
        let new = trees.edit(&out, Some(old), &changes).unwrap();
        let found = trees.diff(&out, Some(old), Some(new)).unwrap();
        let expected = [
            ("a/x", Some(1), None),
            ("b/c/d", Some(3), None),
            ("b/n", None, Some(5)),
            ("e", Some(4), Some(6)),
        ]
        .map(|(path, old, new)| Change {
            path: path.to_owned(),
            old: old.map(id),
            new: new.map(id),
        });
        assert_eq!(found, expected);
        assert_eq!(trees.file(&out, new, "b/n").unwrap(), Some(id(5)));
        assert_eq!(trees.file(&out, new, "b/c/d").unwrap(), None);
        assert_eq!(trees.file(&out, new, "b").unwrap(), None);
        assert_eq!(
            trees.files_in(&out, new, "a").unwrap(),
            [("y".to_owned(), id(2))]
        );
        assert_eq!(trees.files_in(&out, new, "none").unwrap(), []);
    }

    #[test]
    fn deep_trees_are_refused() {
        let trees = Trees::default();
        let never = gix::objs::find::Never;
        let out = NewObjects::new(&never);
        let fine = tree(&trees, &out, &[("1/2/3/4/5", 1)]);
        assert_eq!(trees.diff(&out, None, Some(fine)).unwrap().len(), 1);
        let deep = tree(&trees, &out, &[("1/2/3/4/5/6", 1)]);
        assert!(matches!(
            trees.diff(&out, None, Some(deep)),
            Err(TreeError::Illegal(..))
        ));
    }
}
