//! TOML text with places: where a byte is, which tables and values there are, and the errors of the syntax itself.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Fault, Problem};

/// A value with its place.
pub(crate) type Item<'a> = Spanned<DeValue<'a>>;

/// A text that people wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) text: &'a str,
}

impl<'a> Source<'a> {
    /// Reads the text as TOML: what could be read, and every error of syntax.
    pub(crate) fn read(self) -> (DeTable<'a>, Vec<Problem>) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let problems = errors
            .iter()
            .map(|error| {
                let at = error.span().map_or(self.text.len(), |span| span.start);
                self.problem(at, "", Fault::Syntax { said: error.message().to_owned() })
            })
            .collect();
        (table.into_inner(), problems)
    }

    /// A problem at a byte.
    pub(crate) fn problem(self, at: usize, field: &str, fault: Fault) -> Problem {
        let (line, column) = self.place(at);
        Problem { line, column, field: field.to_owned(), fault }
    }

    /// Line and column of a byte, both from 1; columns count characters.
    fn place(self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before.get(line_start..).unwrap_or_default().chars().count() + 1)
    }

    /// Where byte `offset` of a string's content stands, if the string is written without escapes; else where the string begins.
    pub(crate) fn inside(self, span: &Range<usize>, content: &str, offset: usize) -> usize {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        raw.find(content).map_or(span.start, |begins| span.start + begins + offset)
    }

    /// The text of a span.
    pub(crate) fn raw(self, span: &Range<usize>) -> &'a str {
        self.text.get(span.clone()).unwrap_or_default()
    }
}

/// The nearest of some words, if it is near enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, of: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = word.chars().count().max(3) / 3;
    let ranked = of.into_iter().map(|candidate| (distance(word, candidate), candidate));
    ranked.filter(|(distance, _)| *distance <= far.max(1)).min().map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let (mut left, mut diagonal) = (i + 1, i);
        for (to, above) in b.iter().zip(row.iter_mut().skip(1)) {
            let best = (diagonal + usize::from(from != *to)).min(left + 1).min(*above + 1);
            diagonal = *above;
            *above = best;
            left = best;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(nearest("consnet", ["consent", "ethics"]), Some("consent"));
        assert_eq!(nearest("zebra", ["consent", "ethics"]), None);
    }

    #[test]
    fn columns_count_characters() {
        let source = Source { text: "a = 1\n同意 = x" };
        assert_eq!(source.place(6), (2, 1));
        assert_eq!(source.place(source.text.find('x').unwrap()), (2, 6));
    }
}
