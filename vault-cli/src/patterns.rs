//! Which files of a dataset a command means: exact paths, folders, or patterns with `*`, `?`, `[..]` and `**`.

use globset::{GlobBuilder, GlobMatcher};
use vault_core::manifest::VaultPath;

use crate::error::{Failure, Outcome};

/// Patterns of a command line; none means everything.
#[derive(Debug)]
pub struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// If one is not a pattern.
    pub fn parse(texts: &[String]) -> Outcome<Self> {
        texts.iter().map(|text| Pattern::parse(text)).collect::<Outcome<_>>().map(Self)
    }

    /// Whether a path is meant.
    #[must_use]
    pub fn fit(&self, path: &VaultPath) -> bool {
        self.0.is_empty() || self.0.iter().any(|p| p.fits(path))
    }

    /// Checks that every pattern fits one of the paths: a misspelt name must not pass in silence.
    ///
    /// # Errors
    /// If one fits none.
    pub fn all_fit<'a>(&self, paths: impl Iterator<Item = &'a VaultPath> + Clone) -> Outcome<()> {
        match self.0.iter().find(|p| !paths.clone().any(|path| p.fits(path))) {
            Some(pattern) => Err(Failure::not_found(format!("no file of the dataset fits {:?}", pattern.text))
                .hint("`seqvault ls DATASET` shows what there is")),
            None => Ok(()),
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Outcome<Self> {
        let text = text.trim_end_matches('/');
        let glob = GlobBuilder::new(text)
            .literal_separator(text.contains('/'))
            .backslash_escape(true)
            .build()
            .map_err(|e| Failure::usage(format!("{text:?} is not a pattern: {}", e.kind())))?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// A pattern without `/` is for the last component; a name that is a folder means all in it.
    fn fits(&self, path: &VaultPath) -> bool {
        let whole = path.as_str();
        let last = if self.text.contains('/') { None } else { Some(path.file_name()) };
        whole == self.text
            || whole.strip_prefix(self.text.as_str()).is_some_and(|rest| rest.starts_with('/'))
            || self.matcher.is_match(whole)
            || last.is_some_and(|name| self.matcher.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        Patterns::parse(&[pattern.to_owned()]).unwrap().fit(&VaultPath::parse(path).unwrap())
    }

    #[test]
    fn a_pattern_means_paths_folders_or_names() {
        assert!(fits("run/a.fq", "run/a.fq"));
        assert!(fits("run", "run/deep/a.fq"));
        assert!(fits("run/", "run/deep/a.fq"));
        assert!(fits("*.fq", "run/deep/a.fq"));
        assert!(fits("run/*.fq", "run/a.fq"));
        assert!(fits("run/**/*.fq", "run/x/y/a.fq"));
        assert!(!fits("run/*.fq", "run/deep/a.fq"));
        assert!(!fits("ru", "run/a.fq"));
        assert!(!fits("b.fq", "run/a.fq"));
    }

    #[test]
    fn a_pattern_that_fits_nothing_is_said() {
        let path = VaultPath::parse("a").unwrap();
        let patterns = Patterns::parse(&["a".to_owned(), "b".to_owned()]).unwrap();
        assert!(patterns.all_fit([&path].into_iter()).is_err());
    }
}
