//! Which file of a dataset a path means. Spec section 3.7: a pure function of the visible manifests.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{FileRef, VaultPath};
use crate::ids::{ManifestId, MemberId};

/// A visible manifest: committed, not removed, not superseded.
///
/// A re-encryption stands in the place of what it supersedes: `entry`, `author` and `author_was_steward` are those of the
/// first `upload-committed` in its line, and `supersedes` lists every manifest of that line before it.
#[derive(Debug)]
pub struct Committed<'a> {
    /// The manifest.
    pub manifest: ManifestId,
    /// The manifests before it in its line of re-encryptions; empty for one that is none.
    pub supersedes: Vec<ManifestId>,
    /// The number of the entry that committed it.
    pub entry: u64,
    /// Who committed it.
    pub author: &'a MemberId,
    /// Whether the author was a steward then.
    pub author_was_steward: bool,
    /// Its files: path and number.
    pub files: Vec<(&'a VaultPath, u32)>,
    /// Numbers that a `path-removed` names.
    pub removed: HashSet<u32>,
    /// What its extras say it takes over.
    pub replaces: &'a [FileRef],
}

/// A file that a path may mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The number of the entry that committed it.
    pub entry: u64,
    /// The visible manifest that lists it.
    pub manifest: ManifestId,
    /// Its number in there.
    pub number: u32,
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// One file.
    File(Candidate),
    /// Several files, none of which rightly takes over from the others: reading is refused. In order of entry.
    Contested(Vec<Candidate>),
}

/// The paths of a dataset and what they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View<'a> {
    paths: BTreeMap<&'a VaultPath, Found>,
}

impl<'a> View<'a> {
    /// The view that visible manifests give, in whatever order they come.
    #[must_use]
    pub fn of(manifests: &[Committed<'a>]) -> Self {
        let judge = Judge::new(manifests);
        let mut all: Vec<Claim<'_, 'a>> = Vec::new();
        for manifest in manifests {
            for (path, number) in manifest.files.iter().filter(|(_, number)| !manifest.removed.contains(number)) {
                let candidate = Candidate { entry: manifest.entry, manifest: manifest.manifest, number: *number };
                all.push((path, candidate, manifest));
            }
        }
        // Of one manifest they come in order: then this is one look at each.
        all.sort_by_key(|(path, ..)| *path);
        let same = all.chunk_by(|a, b| a.0 == b.0);
        Self { paths: same.filter_map(|files| Some((files.first()?.0, judge.decide(files)?))).collect() }
    }

    /// What `path` means, if anything.
    #[must_use]
    pub fn find(&self, path: &VaultPath) -> Option<&Found> {
        self.paths.get(path)
    }

    /// All paths, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a VaultPath, &Found)> {
        self.paths.iter().map(|(path, found)| (*path, found))
    }
}

// A path, which file it is said to be, and by which manifest.
type Claim<'m, 'a> = (&'a VaultPath, Candidate, &'m Committed<'a>);

// Who takes over from whom. A file that is taken over is out; if not exactly one is left, the path is contested.
struct Judge {
    // Every manifest of a line by the visible one at its end, so that `replaces` holds across re-encryptions.
    visible: HashMap<ManifestId, ManifestId>,
    // (who takes over, what is taken over), by visible manifest.
    replaces: HashSet<(ManifestId, FileRef)>,
}

impl Judge {
    fn new(manifests: &[Committed<'_>]) -> Self {
        let line = |m: &Committed<'_>| m.supersedes.iter().map(|old| (*old, m.manifest)).collect::<Vec<_>>();
        let visible: HashMap<_, _> = manifests.iter().flat_map(line).collect();
        let mut judge = Self { visible, replaces: HashSet::new() };
        for manifest in manifests {
            for replaced in manifest.replaces {
                let now = FileRef { manifest: judge.now(replaced.manifest), file: replaced.file };
                judge.replaces.insert((manifest.manifest, now));
            }
        }
        judge
    }

    fn now(&self, manifest: ManifestId) -> ManifestId {
        self.visible.get(&manifest).copied().unwrap_or(manifest)
    }

    fn decide(&self, files: &[Claim<'_, '_>]) -> Option<Found> {
        let taken = |file: &Claim<'_, '_>| files.iter().any(|other| self.takes_over(other, file));
        let mut left: Vec<Candidate> = files.iter().filter(|file| !taken(file)).map(|(_, file, _)| *file).collect();
        left.sort_unstable();
        match left.as_slice() {
            [] => None,
            [one] => Some(Found::File(*one)),
            _ => Some(Found::Contested(left)),
        }
    }

    fn takes_over(&self, later: &Claim<'_, '_>, earlier: &Claim<'_, '_>) -> bool {
        let ((_, later, by), (_, earlier, before)) = (later, earlier);
        let replaced = FileRef { manifest: earlier.manifest, file: earlier.number };
        later.entry > earlier.entry
            && (by.author == before.author || by.author_was_steward)
            && self.replaces.contains(&(later.manifest, replaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        path: VaultPath,
        lab: MemberId,
        other: MemberId,
    }

    fn world() -> World {
        World { path: "a".parse().unwrap(), lab: "lab".parse().unwrap(), other: "other".parse().unwrap() }
    }

    fn id(n: u8) -> ManifestId {
        ManifestId([n; 16])
    }

    fn replaced(n: u8) -> FileRef {
        FileRef { manifest: id(n), file: 1 }
    }

    impl World {
        fn commit<'a>(&'a self, n: u8, author: &'a MemberId, replaces: &'a [FileRef]) -> Committed<'a> {
            Committed {
                manifest: id(n),
                supersedes: Vec::new(),
                entry: u64::from(n),
                author,
                author_was_steward: false,
                files: vec![(&self.path, 1)],
                removed: HashSet::new(),
                replaces,
            }
        }

        fn winner(&self, manifests: &[Committed<'_>]) -> Option<Vec<u8>> {
            let view = View::of(manifests);
            Some(match view.find(&self.path)? {
                Found::File(file) => vec![file.manifest.0[0]],
                Found::Contested(files) => files.iter().map(|file| file.manifest.0[0]).collect(),
            })
        }
    }

    #[test]
    fn a_later_file_does_not_win_by_being_later() {
        let w = world();
        assert_eq!(w.winner(&[w.commit(1, &w.lab, &[]), w.commit(2, &w.lab, &[])]), Some(vec![1, 2]));
    }

    #[test]
    fn a_later_file_wins_by_saying_so_if_its_author_may() {
        let w = world();
        let first = || w.commit(1, &w.lab, &[]);
        let takes = [replaced(1)];
        assert_eq!(w.winner(&[first(), w.commit(2, &w.lab, &takes)]), Some(vec![2]));
        assert_eq!(w.winner(&[first(), w.commit(2, &w.other, &takes)]), Some(vec![1, 2]));
        let steward = Committed { author_was_steward: true, ..w.commit(2, &w.other, &takes) };
        assert_eq!(w.winner(&[first(), steward]), Some(vec![2]));
    }

    #[test]
    fn an_earlier_file_can_not_claim_to_replace_a_later_one() {
        let w = world();
        let takes = [replaced(2)];
        assert_eq!(w.winner(&[w.commit(1, &w.lab, &takes), w.commit(2, &w.lab, &[])]), Some(vec![1, 2]));
        // Nor one of its own entry.
        let twin = Committed { entry: 1, ..w.commit(2, &w.lab, &[]) };
        assert_eq!(w.winner(&[w.commit(1, &w.lab, &takes), twin]), Some(vec![1, 2]));
    }

    #[test]
    fn a_file_alone_is_not_contested() {
        let w = world();
        let one = [w.commit(1, &w.lab, &[])];
        let twice = [w.commit(1, &w.lab, &[]), w.commit(2, &w.lab, &[])];
        assert!(matches!(View::of(&one).find(&w.path), Some(Found::File(_))));
        assert!(matches!(View::of(&twice).find(&w.path), Some(Found::Contested(_))));
    }

    #[test]
    fn a_chain_of_replacements_ends_at_its_last() {
        let w = world();
        let (second, third) = ([replaced(1)], [replaced(2)]);
        let chain = [w.commit(3, &w.lab, &third), w.commit(1, &w.lab, &[]), w.commit(2, &w.lab, &second)];
        assert_eq!(w.winner(&chain), Some(vec![3]));
    }

    #[test]
    fn a_removed_path_is_not_there() {
        let w = world();
        let gone = Committed { removed: HashSet::from([1]), ..w.commit(1, &w.lab, &[]) };
        assert_eq!(w.winner(&[gone]), None);
    }

    #[test]
    fn replacements_hold_across_re_encryptions() {
        let w = world();
        let takes = [replaced(1)];
        // Manifest 9 is a re-encryption of 1, and stands at 1's entry.
        let again = Committed { manifest: id(9), supersedes: vec![id(1)], ..w.commit(1, &w.lab, &[]) };
        assert_eq!(w.winner(&[again, w.commit(2, &w.lab, &takes)]), Some(vec![2]));
    }

    #[test]
    fn another_path_is_another_matter() {
        let w = world();
        let elsewhere: VaultPath = "b".parse().unwrap();
        let second = Committed { files: vec![(&elsewhere, 1)], ..w.commit(2, &w.lab, &[]) };
        let manifests = [w.commit(1, &w.lab, &[]), second];
        let view = View::of(&manifests);
        assert_eq!(view.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    }
}
