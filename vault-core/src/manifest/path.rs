//! Paths of files in a vault: UTF-8, relative, `/` between components. Spec section 3.5.

use core::cmp::Ordering;
use core::fmt;

/// Longest path in bytes.
const MAX_PATH: usize = 4096;
/// Longest component in bytes.
const MAX_COMPONENT: usize = 255;

/// A path that a vault does not store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It has no bytes.
    #[error("the path is empty")]
    Empty,
    /// It has more than 4,096 bytes.
    #[error("the path is longer than 4096 bytes")]
    TooLong,
    /// It begins with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// It ends with `/`, or has two in a row.
    #[error("the path has an empty component")]
    EmptyComponent,
    /// A component has more than 255 bytes.
    #[error("a component of the path is longer than 255 bytes")]
    LongComponent,
    /// A component is `.` or `..`.
    #[error("the path has a component '.' or '..'")]
    Dots,
    /// It holds a control character.
    #[error("the path holds a control character")]
    Control,
    /// It holds a backslash.
    #[error("the path holds a backslash")]
    Backslash,
}

/// A path that follows the rules. Ordered bytewise.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VaultPath(String);

impl VaultPath {
    /// Takes a path as the lab has it; nothing is normalised.
    ///
    /// # Errors
    /// If a rule of section 3.5 is broken.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        check(path)?;
        Ok(Self(path.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, from the outermost folder to the file's name.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether `other` lies below this path.
    #[must_use]
    pub fn is_folder_of(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with('/'))
    }

    // The order in which a folder's content follows it directly: as if '/' came before every other byte.
    pub(super) fn cmp_components(&self, other: &Self) -> Ordering {
        self.components().cmp(other.components())
    }
}

fn check(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    if path.starts_with('/') {
        return Err(PathError::Absolute);
    }
    path.split('/').try_for_each(check_component)
}

fn check_component(component: &str) -> Result<(), PathError> {
    match component {
        "" => return Err(PathError::EmptyComponent),
        "." | ".." => return Err(PathError::Dots),
        _ => {}
    }
    if component.len() > MAX_COMPONENT {
        return Err(PathError::LongComponent);
    }
    if component.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(PathError::Control);
    }
    if component.contains('\\') { Err(PathError::Backslash) } else { Ok(()) }
}

impl fmt::Display for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for VaultPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultPath({:?})", self.0)
    }
}

impl core::str::FromStr for VaultPath {
    type Err = PathError;
    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_and_odd_names_are_stored_as_they_are() {
        let long = "x".repeat(255);
        for good in ["a", "run 7/reads_R1.fastq.gz", ".hidden", "...", "a:b", "日本/Å", "A\u{30a}", &long, "a/b/c/d"]
        {
            assert_eq!(VaultPath::parse(good).unwrap().as_str(), good);
        }
        assert!(VaultPath::parse(&format!("{}ab", "a/".repeat(2047))).is_ok(), "4096 bytes");
    }

    #[test]
    fn a_path_says_what_it_is() {
        let path = VaultPath::parse("run/a.bam").unwrap();
        assert_eq!((path.file_name(), path.to_string()), ("a.bam", "run/a.bam".to_owned()));
        assert_eq!(format!("{path:?}"), "VaultPath(\"run/a.bam\")");
    }

    #[test]
    fn each_broken_rule_has_its_error() {
        let (long, deep) = ("x".repeat(256), "a/".repeat(2048));
        for (bad, error) in [
            ("", PathError::Empty),
            ("/a", PathError::Absolute),
            ("/", PathError::Absolute),
            ("a/", PathError::EmptyComponent),
            ("a//b", PathError::EmptyComponent),
            (".", PathError::Dots),
            ("a/../b", PathError::Dots),
            ("a/./b", PathError::Dots),
            ("a\nb", PathError::Control),
            ("a\0", PathError::Control),
            ("a\u{7f}", PathError::Control),
            ("a\\b", PathError::Backslash),
            (&long, PathError::LongComponent),
            (&format!("{deep}a"), PathError::TooLong),
        ] {
            assert_eq!(VaultPath::parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn a_folder_holds_what_is_below_it_only() {
        let path = |text: &str| VaultPath::parse(text).unwrap();
        assert!(path("a").is_folder_of(&path("a/b")));
        assert!(path("a").is_folder_of(&path("a/b/c")));
        assert!(!path("a").is_folder_of(&path("a")));
        assert!(!path("a").is_folder_of(&path("ab/c")));
        assert!(path("a").cmp_components(&path("a/b")).is_lt());
        assert!(path("a/b").cmp_components(&path("a-b")).is_lt());
    }
}
