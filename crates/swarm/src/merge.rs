//! Three-way merges of trees, file by file (docs/protocol/05-swarm.md sections 5.10 and
//! 5.11).
//!
//! Every file of the result is as on one of the two sides, so the merge is valid for
//! existing peers too. Where existing peers give up, because both sides changed the same
//! file, the file that is gone stays gone (a ban outweighs a renewed certificate), and
//! otherwise the side with the greater commit id wins, which is also the rule for
//! `profile.vcf`.

use std::collections::BTreeSet;
use std::sync::Arc;

use gix::ObjectId;
use gix::objs::Kind;

use crate::objects::NewObjects;
use crate::tree::{Directory, Node, TreeError, Trees};

/// What is merged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides<'a> {
    /// The trees of all merge bases; at least one.
    pub(crate) bases: &'a [ObjectId],
    /// The own tree.
    pub(crate) ours: ObjectId,
    /// The other tree.
    pub(crate) theirs: ObjectId,
    /// Whether ours has the greater commit id.
    pub(crate) ours_wins: bool,
}

/// Merges; new directories go to `out`. Returns the tree.
///
/// # Errors
/// If a directory cannot be read.
pub(crate) fn three_way(
    trees: &Trees,
    out: &NewObjects<'_>,
    sides: &Sides<'_>,
) -> Result<ObjectId, TreeError> {
    let bases: Vec<Option<ObjectId>> = sides.bases.iter().copied().map(Some).collect();
    let merge = Merge {
        trees,
        out,
        ours_wins: sides.ours_wins,
    };
    let merged = merge.directories(&bases, Some(sides.ours), Some(sides.theirs), true)?;
    Ok(merged.unwrap_or_else(|| out.add(Kind::Tree, Vec::new())))
}

struct Merge<'a> {
    trees: &'a Trees,
    out: &'a NewObjects<'a>,
    ours_wins: bool,
}

/// The answer of the three-way rule; `None` if it has none.
fn easy<T: PartialEq + Copy>(
    bases: &[Option<T>],
    ours: Option<T>,
    theirs: Option<T>,
) -> Option<Option<T>> {
    if ours == theirs {
        return Some(ours);
    }
    let (first, rest) = bases.split_first()?;
    if rest.iter().any(|base| base != first) {
        return None;
    }
    if *first == ours {
        Some(theirs)
    } else if *first == theirs {
        Some(ours)
    } else {
        None
    }
}

impl Merge<'_> {
    fn directories(
        &self,
        bases: &[Option<ObjectId>],
        ours: Option<ObjectId>,
        theirs: Option<ObjectId>,
        is_root: bool,
    ) -> Result<Option<ObjectId>, TreeError> {
        if let Some(answer) = easy(bases, ours, theirs) {
            return Ok(answer);
        }
        let read = |id: Option<ObjectId>| match id {
            Some(id) => self.trees.directory(self.out, id),
            None => Ok(Arc::new(Directory::default())),
        };
        let (our_side, their_side) = (read(ours)?, read(theirs)?);
        let mut base_sides = Vec::new();
        for base in bases {
            base_sides.push(read(*base)?);
        }
        let names: BTreeSet<&str> = our_side
            .entries()
            .chain(their_side.entries())
            .map(|(name, _)| name)
            .collect();
        let mut merged = Directory::default();
        for name in names {
            let (ours, theirs) = (our_side.get(name), their_side.get(name));
            let bases: Vec<Option<Node>> = base_sides.iter().map(|base| base.get(name)).collect();
            let node = match easy(&bases, ours, theirs) {
                Some(node) => node,
                None => self.entry(&bases, ours, theirs, is_root && name == "profile.vcf")?,
            };
            merged.set(name, node);
        }
        if merged.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.out.add(Kind::Tree, merged.encode())))
    }

    /// Both sides changed the entry, or the bases disagree about it.
    fn entry(
        &self,
        bases: &[Option<Node>],
        ours: Option<Node>,
        theirs: Option<Node>,
        is_profile: bool,
    ) -> Result<Option<Node>, TreeError> {
        let is_file = |node: Option<Node>| matches!(node, Some(Node::File(_)));
        if !is_file(ours) && !is_file(theirs) {
            let id = |node: Option<Node>| match node {
                Some(Node::Directory(id)) => Some(id),
                _ => None,
            };
            let bases: Vec<Option<ObjectId>> = bases.iter().map(|base| id(*base)).collect();
            let merged = self.directories(&bases, id(ours), id(theirs), false)?;
            return Ok(merged.map(Node::Directory));
        }
        // One side as in some base, the other as in none: that one is newer.
        match (bases.contains(&ours), bases.contains(&theirs)) {
            (true, false) => return Ok(theirs),
            (false, true) => return Ok(ours),
            _ => {}
        }
        Ok(match (ours, theirs) {
            (None, theirs) => theirs.filter(|_| is_profile),
            (ours, None) => ours.filter(|_| is_profile),
            (ours, theirs) => {
                if self.ours_wins {
                    ours
                } else {
                    theirs
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gix::objs::find::Never;
    use proptest::prelude::*;

    use super::*;

    type Files = BTreeMap<String, u8>;

    struct Bench<'a> {
        trees: Trees,
        out: NewObjects<'a>,
    }

    fn with<T>(run: impl FnOnce(&Bench<'_>) -> T) -> T {
        let never = Never;
        run(&Bench {
            trees: Trees::default(),
            out: NewObjects::new(&never),
        })
    }

    impl Bench<'_> {
        fn tree(&self, files: &Files) -> ObjectId {
            let changes = files
                .iter()
                .map(|(path, byte)| (path.clone(), Some(ObjectId::Sha1([*byte; 20]))))
                .collect();
            self.trees.edit(&self.out, None, &changes).unwrap()
        }

        fn files(&self, tree: ObjectId) -> Files {
            let all = self.trees.diff(&self.out, None, Some(tree)).unwrap();
            all.into_iter()
                .map(|change| (change.path, change.new.unwrap().as_bytes()[0]))
                .collect()
        }

        fn merge(&self, bases: &[&Files], ours: &Files, theirs: &Files, ours_wins: bool) -> Files {
            let bases: Vec<ObjectId> = bases.iter().map(|base| self.tree(base)).collect();
            let sides = Sides {
                bases: &bases,
                ours: self.tree(ours),
                theirs: self.tree(theirs),
                ours_wins,
            };
            let merged = three_way(&self.trees, &self.out, &sides).unwrap();
            self.files(merged)
        }
    }

    fn files() -> impl Strategy<Value = Files> {
        let path = proptest::sample::select(vec![
            "admins/a.crt",
            "members/b.crt",
            "members/c.crt",
            "banned/members/b.crt",
            "votes/ban/members/b/a",
            "invited/d",
            "profile.vcf",
        ]);
        proptest::collection::btree_map(path.prop_map(str::to_owned), 1..4_u8, 0..7)
    }

    proptest! {
        #[test]
        fn merging_obeys_its_laws(
            base in files(), second in files(), ours in files(), theirs in files()
        ) {
            with(|bench| {
                let merged = bench.merge(&[&base], &ours, &theirs, true);
                // Swapping the sides changes nothing.
                prop_assert_eq!(&bench.merge(&[&base], &theirs, &ours, false), &merged);
                // One side that did nothing has no say; one's own merge neither.
                prop_assert_eq!(&bench.merge(&[&base], &base, &theirs, true), &theirs);
                prop_assert_eq!(&bench.merge(&[&base], &ours, &base, true), &ours);
                prop_assert_eq!(&bench.merge(&[&base], &ours, &ours, true), &ours);
                // Merging the result again changes nothing.
                prop_assert_eq!(&bench.merge(&[&theirs], &merged, &theirs, true), &merged);
                for bases in [vec![&base], vec![&base, &second]] {
                    let merged = bench.merge(&bases, &ours, &theirs, false);
                    for path in ours.keys().chain(theirs.keys()).chain(merged.keys()) {
                        let (o, t, m) = (ours.get(path), theirs.get(path), merged.get(path));
                        prop_assert!(m == o || m == t, "{path} is as on one side");
                        let b = base.get(path);
                        if o != t && bases.iter().all(|base| base.get(path) == b) {
                            if o == b { prop_assert_eq!(m, t, "theirs is new"); }
                            if t == b { prop_assert_eq!(m, o, "ours is new"); }
                        }
                    }
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn conflicts_have_one_answer() {
        let of = |files: &[(&str, u8)]| -> Files {
            files
                .iter()
                .map(|(path, byte)| ((*path).to_owned(), *byte))
                .collect()
        };
        with(|bench| {
            let base = of(&[("members/b.crt", 1), ("profile.vcf", 1)]);
            let ours = of(&[("members/b.crt", 2), ("profile.vcf", 2)]);
            let theirs = of(&[("profile.vcf", 3), ("banned/members/b.crt", 1)]);
            let merged = bench.merge(&[&base], &ours, &theirs, true);
            assert_eq!(
                merged,
                of(&[("profile.vcf", 2), ("banned/members/b.crt", 1)])
            );
            let merged = bench.merge(&[&base], &ours, &theirs, false);
            assert_eq!(merged, theirs);
        });
    }
}
