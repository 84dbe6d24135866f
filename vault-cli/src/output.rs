//! The only place that writes to the terminal: results on standard output, everything else on standard error.

use crate::client::Removed;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub use vault_server::text::{bytes, time};

use vault_policy::Lang;

use crate::error::{Failure, Kind, Outcome};
use crate::progress;

/// How to print.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Results as JSON, one object a command.
    pub json: bool,
    /// No progress and no notes.
    pub quiet: bool,
}

impl Output {
    /// Prints a result: `text` for people, or `value` with `--json`.
    ///
    /// # Errors
    /// If standard output can't be written to.
    pub fn result<T: Serialize>(&self, value: &T, text: impl FnOnce() -> String) -> Outcome<()> {
        let line = if self.json {
            serde_json::to_string(value).map_err(|e| Failure::new(Kind::Other, e.to_string()))?
        } else {
            text()
        };
        self.line(&line)
    }

    /// Prints a line on standard output; nothing if it is empty.
    ///
    /// # Errors
    /// If standard output can't be written to.
    pub fn line(&self, text: &str) -> Outcome<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let done = out
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
        done.and_then(|()| out.flush()).map_err(|e| standard_output(&e))
    }

    /// Says something on standard error, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            warn(text);
        }
    }

    /// Whether progress may be drawn in place.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }
}

/// Says something on standard error, whatever the options.
pub fn warn(text: &str) {
    // Nothing is left to be told to whom if standard error is gone.
    let _ = progress::beside(|| writeln!(io::stderr().lock(), "{}", printable(text)));
}

/// Asks on standard error, whatever the options; the answer follows on the same line.
///
/// # Errors
/// If standard error is gone.
pub fn ask(question: &str) -> io::Result<()> {
    let mut error = io::stderr().lock();
    write!(error, "{}", printable(question))?;
    error.flush()
}

/// Standard output for a file's bytes.
#[must_use]
pub fn bytes_out() -> impl Write + Send + 'static {
    io::stdout()
}

/// What became of standard output: a closed pipe is no failure worth words.
#[must_use]
pub fn standard_output(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::new(Kind::Other, String::new())
    } else {
        Failure::new(Kind::Storage, format!("standard output: {error}"))
    }
}

/// Reports a failure and returns its exit code.
#[must_use]
pub fn report(failure: &Failure, json: bool, lang: Lang) -> u8 {
    progress::end();
    if failure.message.is_empty() {
        return failure.kind as u8;
    }
    if json {
        let value = serde_json::json!({
            "error": { "kind": failure.kind.name(), "message": failure.say(lang), "hint": failure.say_hint(lang) }
        });
        let _ = writeln!(io::stderr().lock(), "{value}");
    } else {
        warn(&format!("seqvault: {}", failure.say(lang)));
        if let Some(hint) = failure.say_hint(lang) {
            warn(&format!("  {hint}"));
        }
    }
    failure.kind as u8
}

/// So many of something that takes an s.
#[must_use]
pub fn count<N: Copy + core::fmt::Display + PartialEq + From<u8>>(n: N, one: &str) -> String {
    format!("{n} {one}{}", if n == N::from(1) { "" } else { "s" })
}

/// Text from elsewhere, made safe for a terminal: control characters are shown, not sent.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| -> Box<dyn Iterator<Item = char>> {
            if is_hidden(c) && c != '\n' { Box::new(c.escape_default()) } else { Box::new(core::iter::once(c)) }
        })
        .collect()
}

/// Characters that a terminal acts upon or does not show: controls, and those that reorder, join or hide text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// What became of deleted objects: erased, as far as the store says, or only out of sight.
#[must_use]
pub fn deleted(removed: Removed) -> String {
    let objects = if removed.objects == 1 { "1 object".to_owned() } else { format!("{} objects", removed.objects) };
    if removed.kept && removed.objects > 0 {
        return format!("{objects} gone from sight, and kept by the bucket as old versions");
    }
    format!("{objects} deleted")
}

/// What remains of deleted objects in a bucket that keeps versions.
#[must_use]
pub fn versions_kept(objects: u64, lang: Lang) -> String {
    if lang == Lang::Zh {
        return format!(
            "存储桶保留旧版本：{objects} 个对象不再可见，但未清除。在存储桶的生命周期规则移除非当前版本之前，可读取旧版本者仍可取得"
        );
    }
    let what = if objects == 1 { "1 object is".to_owned() } else { format!("{objects} objects are") };
    format!(
        "the bucket keeps old versions: {what} gone from sight and not erased. Whoever may read old versions there can still get them, until the bucket's lifecycle rule removes noncurrent versions"
    )
}

/// A table with columns padded to their widest cell.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(printable(cell).chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = String>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut out = line(&mut head.iter().map(|h| (*h).to_owned()));
    for row in rows {
        out.push('\n');
        out.push_str(&line(&mut row.iter().map(|c| printable(c).replace('\n', "\\n"))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(time(1_795_290_000), "2026-11-21T19:40:00Z");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("abc\u{202e}cba"), "abc\\u{202e}cba");
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500_000), "1.5 MB");
    }
}
