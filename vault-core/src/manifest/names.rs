//! Whether a set of paths can be written to a file system without two of them meeting. Spec section 3.5.
//!
//! Which rules a file system has is the caller's to find out; links and existing files are the caller's to refuse.

use unicode_normalization::UnicodeNormalization;

use super::VaultPath;

// Ends a component in a key.
const END: char = '\0';

/// What a file system does with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameRules {
    /// Names that differ only by case are one.
    pub ignores_case: bool,
    /// Names that differ only by Unicode form (composed or not) are one, and invisible characters may not count.
    pub ignores_form: bool,
    /// Windows' names and characters are reserved.
    pub windows: bool,
}

impl NameRules {
    /// Every byte counts: the usual file systems of Linux.
    pub const EXACT: Self = Self { ignores_case: false, ignores_form: false, windows: false };
    /// What is safe everywhere.
    pub const PORTABLE: Self = Self { ignores_case: true, ignores_form: true, windows: true };
}

/// A set of paths that can't be written as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Two paths, or two of their folders, are one on this file system.
    #[error("'{0}' and '{1}' would meet on this file system: they differ only by case or Unicode form")]
    Meet(VaultPath, VaultPath),
    /// The same path twice.
    #[error("'{0}' is there twice")]
    Twice(VaultPath),
    /// A file lies where the other path needs a folder.
    #[error("'{0}' is a file, and a folder of '{1}'")]
    FileAndFolder(VaultPath, VaultPath),
    /// Windows reserves the name.
    #[error("'{path}' has a component that Windows reserves: '{component}'")]
    Reserved {
        /// The path.
        path: VaultPath,
        /// Which component of it.
        component: String,
    },
}

/// Checks that all `paths` can lie below one folder of a file system with these rules.
///
/// # Errors
/// The first pair that meets, or the first name that is reserved.
pub fn check_names<'a>(paths: impl IntoIterator<Item = &'a VaultPath>, rules: NameRules) -> Result<(), NameError> {
    let mut keyed = Vec::new();
    for path in paths {
        check_reserved(path, rules)?;
        keyed.push((key(path, rules), path));
    }
    // Stable: of two that meet, the first is named first.
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    keyed.windows(2).try_for_each(|pair| match pair {
        [a, b] => check_neighbours(a, b),
        _ => Ok(()),
    })
}

// All folded components, each with a byte behind it that sorts before every other and that no path has: a folder comes directly before
// what is in it.
fn key(path: &VaultPath, rules: NameRules) -> String {
    let mut key = String::with_capacity(path.as_str().len() + 1);
    for component in path.components() {
        fold(component, rules, &mut key);
        key.push(END);
    }
    key
}

// In sorted order, paths that share a folded folder are neighbours: comparing each with the next finds every meeting.
fn check_neighbours(a: &(String, &VaultPath), b: &(String, &VaultPath)) -> Result<(), NameError> {
    if a.0 == b.0 {
        return Err(met(a.1, b.1));
    }
    let shared = a.0.split_terminator(END).zip(b.0.split_terminator(END)).take_while(|(x, y)| x == y).count();
    if !a.1.components().take(shared).eq(b.1.components().take(shared)) {
        return Err(NameError::Meet(a.1.clone(), b.1.clone()));
    }
    if shared == a.1.components().count() {
        return Err(NameError::FileAndFolder(a.1.clone(), b.1.clone()));
    }
    Ok(())
}

fn met(a: &VaultPath, b: &VaultPath) -> NameError {
    if a == b { NameError::Twice(a.clone()) } else { NameError::Meet(a.clone(), b.clone()) }
}

// Two names with one fold may be one name on the file system; a fold that joins too many refuses too much, never too little.
fn fold(component: &str, rules: NameRules, key: &mut String) {
    // What is ASCII has one form, and its fold is its lower case.
    if component.is_ascii() {
        if rules.ignores_case {
            key.extend(component.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            key.push_str(component);
        }
        return;
    }
    let mut name = component.to_owned();
    if rules.ignores_form {
        name = name.chars().filter(|c| !is_ignorable(*c)).nfd().collect();
    }
    if rules.ignores_case {
        // Upper, then lower: brings together what has several lower cases (ς and σ, ſ and s, ß and ss).
        name = name.to_uppercase().to_lowercase();
    }
    if rules.ignores_form {
        name = name.nfd().collect();
    }
    key.push_str(&name);
}

// Characters that HFS+ leaves out when it compares names.
fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

fn check_reserved(path: &VaultPath, rules: NameRules) -> Result<(), NameError> {
    if !rules.windows {
        return Ok(());
    }
    match path.components().find(|component| is_reserved_by_windows(component)) {
        Some(component) => Err(NameError::Reserved { path: path.clone(), component: component.to_owned() }),
        None => Ok(()),
    }
}

fn is_reserved_by_windows(component: &str) -> bool {
    component.ends_with(['.', ' '])
        || component.contains(['<', '>', ':', '"', '|', '?', '*'])
        || is_device(component.split('.').next().unwrap_or_default().trim_end_matches(' '))
}

// A device's name is reserved with any extension: NUL.fastq is NUL.
fn is_device(stem: &str) -> bool {
    let stem = stem.to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    port.is_some_and(|port| {
        matches!(port, "¹" | "²" | "³") || port.len() == 1 && port.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], rules: NameRules) -> Result<(), NameError> {
        let paths: Vec<VaultPath> = paths.iter().map(|path| VaultPath::parse(path).unwrap()).collect();
        check_names(&paths, rules)
    }

    fn meets(paths: &[&str], rules: NameRules) -> bool {
        matches!(check(paths, rules), Err(NameError::Meet(..)))
    }

    #[test]
    fn case_matters_only_where_it_is_ignored() {
        assert!(meets(&["a/Reads.bam", "a/reads.bam"], NameRules::PORTABLE));
        assert_eq!(check(&["a/Reads.bam", "a/reads.bam"], NameRules::EXACT), Ok(()));
        assert!(meets(&["straße", "STRASSE"], NameRules::PORTABLE));
        assert!(meets(&["όσος", "ΌΣΟΣ"], NameRules::PORTABLE));
    }

    #[test]
    fn unicode_forms_meet() {
        let rules = NameRules { ignores_case: false, ..NameRules::PORTABLE };
        assert!(meets(&["\u{e5}", "a\u{30a}"], rules));
        assert!(meets(&["\u{212b}", "\u{c5}"], rules));
        assert!(meets(&["ab", "a\u{200d}b"], rules));
        assert_eq!(check(&["\u{e5}", "a\u{30a}"], NameRules::EXACT), Ok(()));
        // Both at once: capital composed against small decomposed.
        assert!(meets(&["\u{c5}", "a\u{30a}"], NameRules::PORTABLE));
    }

    #[test]
    fn a_name_of_ascii_meets_one_that_is_not() {
        // The Kelvin sign is a K, the long s an s.
        assert!(meets(&["k", "\u{212a}"], NameRules::PORTABLE));
        assert!(meets(&["CLASS", "cla\u{17f}s"], NameRules::PORTABLE));
        assert!(meets(&["K/a", "k\u{200d}/b"], NameRules::PORTABLE));
    }

    #[test]
    fn a_file_is_a_folder_of_another_whatever_sorts_between_them() {
        let between = ["a", "a b", "a-b", "a.b", "a/c", "a0"];
        for rules in [NameRules::EXACT, NameRules::PORTABLE] {
            assert!(matches!(check(&between, rules), Err(NameError::FileAndFolder(..))));
            assert_eq!(check(&between[1..], rules), Ok(()));
        }
    }

    #[test]
    fn folders_that_meet_are_found_too() {
        assert!(meets(&["Run/a", "run/b"], NameRules::PORTABLE));
        assert!(meets(&["x/Run/a", "x/run-0/q", "x/run/b", "x/s"], NameRules::PORTABLE));
        assert_eq!(check(&["Run/a", "Run/b", "run2/a"], NameRules::PORTABLE), Ok(()));
    }

    #[test]
    fn a_file_is_no_folder_of_another() {
        for rules in [NameRules::EXACT, NameRules::PORTABLE] {
            assert!(matches!(check(&["a", "a-b", "a/b"], rules), Err(NameError::FileAndFolder(..))));
            assert!(matches!(check(&["a", "a"], rules), Err(NameError::Twice(_))));
        }
        assert!(meets(&["A", "a/b"], NameRules::PORTABLE));
    }

    #[test]
    fn windows_reserves_devices_characters_and_ends() {
        for bad in [
            "nul",
            "NUL.txt",
            "con",
            "x/aux.c/y",
            "COM1",
            "lpt9.log",
            "com¹",
            "CONIN$",
            "a.",
            "a ",
            "b/a. /c",
            "a:b",
            "a?",
            "a*",
            "a|b",
            "\"",
            "<",
            "nul .txt",
        ] {
            assert!(matches!(check(&[bad], NameRules::PORTABLE), Err(NameError::Reserved { .. })), "{bad}");
            assert_eq!(check(&[bad], NameRules::EXACT), Ok(()), "{bad}");
        }
        for good in ["null", "console", "com", "com10", "lpt", ".a", "a.b", "x.nul"] {
            assert_eq!(check(&[good], NameRules::PORTABLE), Ok(()), "{good}");
        }
    }
}
