//! Passphrases: typed at a terminal, read from a file descriptor or from a named environment variable.
//!
//! UTF-8 as typed, without normalisation (spec section 2.2).

use core::fmt;
use std::fs::File;
#[cfg(unix)]
use std::io::Write as _;
use std::io::{self, Read};

use zeroize::Zeroizing;

/// Longest passphrase, in bytes.
pub const MAX: usize = 4096;

/// A passphrase that could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// It is empty.
    #[error("a passphrase must not be empty")]
    Empty,
    /// It is longer than [`MAX`].
    #[error("a passphrase has at most {MAX} bytes")]
    TooLong,
    /// It is not UTF-8.
    #[error("a passphrase must be UTF-8")]
    NotUtf8,
    /// The two entries of a new passphrase differ.
    #[error("the two passphrases differ")]
    Differ,
    /// The named environment variable is not set.
    #[error("the environment variable {0:?} is not set")]
    NoVariable(String),
    /// There is no terminal, or the descriptor can't be read.
    #[error("the passphrase can't be read: {0}")]
    Io(#[from] io::Error),
}

/// A passphrase; zeroized on drop, never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes over a text.
    ///
    /// # Errors
    /// If it is empty or too long.
    pub fn new(text: String) -> Result<Self, PassphraseError> {
        let text = Zeroizing::new(text);
        match text.len() {
            0 => Err(PassphraseError::Empty),
            1..=MAX => Ok(Self(text)),
            _ => Err(PassphraseError::TooLong),
        }
    }

    /// Asks at the terminal, without echo.
    ///
    /// # Errors
    /// If there is no terminal, or nothing was typed.
    pub fn prompt(question: &str) -> Result<Self, PassphraseError> {
        typed(question)
    }

    /// Asks twice for a new passphrase.
    ///
    /// # Errors
    /// As [`Self::prompt`]; if the two differ.
    pub fn prompt_new(question: &str, again: &str) -> Result<Self, PassphraseError> {
        let first = Self::prompt(question)?;
        let second = Self::prompt(again)?;
        if *first.0 == *second.0 { Ok(first) } else { Err(PassphraseError::Differ) }
    }

    /// Reads the first line of a file descriptor; its line end is not part of the passphrase.
    ///
    /// 0 is standard input. Others are opened through `/dev/fd`. No more than that line is consumed.
    ///
    /// # Errors
    /// If the descriptor is not open for reading, or its line is no passphrase.
    pub fn from_fd(fd: u32) -> Result<Self, PassphraseError> {
        if fd == 0 { Self::from_line(standard_input()?) } else { Self::from_line(File::open(format!("/dev/fd/{fd}"))?) }
    }

    /// Takes the value of an environment variable.
    ///
    /// The variable stays in the environment, where other processes of the same user can read it: a file
    /// descriptor is the better way.
    ///
    /// # Errors
    /// If it is not set, or its value is no passphrase.
    pub fn from_env(name: &str) -> Result<Self, PassphraseError> {
        let value = std::env::var_os(name).ok_or_else(|| PassphraseError::NoVariable(name.to_owned()))?;
        Self::new(value.into_string().map_err(|value| {
            drop(Zeroizing::new(value.into_encoded_bytes()));
            PassphraseError::NotUtf8
        })?)
    }

    /// The bytes that Argon2id hashes.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    // A byte at a time, so that nothing after the line is taken from a pipe that somebody else goes on to read.
    fn from_line(mut from: impl Read) -> Result<Self, PassphraseError> {
        let mut line = Zeroizing::new(Vec::with_capacity(MAX + 2));
        let mut byte = Zeroizing::new([0]);
        while read_one(&mut from, &mut byte)? && *byte != *b"\n" {
            if line.len() > MAX {
                return Err(PassphraseError::TooLong);
            }
            line.extend_from_slice(byte.as_slice());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = core::str::from_utf8(&line).map_err(|_| PassphraseError::NotUtf8)?;
        Self::new(text.to_owned())
    }
}

// A signal whose handler lets the process go on is no end of the input.
fn read_one(from: &mut impl Read, byte: &mut [u8; 1]) -> io::Result<bool> {
    loop {
        match from.read(byte) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return Ok(read? == 1),
        }
    }
}

/// A line of the terminal, with the echo off and the terminal's own line editing on.
///
/// By the terminal itself and not by a crate that collects the letters in a text that grows: each time it grows, what was typed so far
/// stays in freed memory.
#[cfg(unix)]
fn typed(question: &str) -> Result<Passphrase, PassphraseError> {
    let tty = File::options().read(true).write(true).open("/dev/tty")?;
    let hidden = Hidden::begin(&tty)?;
    (&tty).write_all(question.as_bytes())?;
    let line = Passphrase::from_line(&tty);
    drop(hidden);
    (&tty).write_all(b"\n")?;
    line
}

#[cfg(not(unix))]
fn typed(question: &str) -> Result<Passphrase, PassphraseError> {
    Passphrase::new(rpassword::prompt_password(question)?)
}

/// A terminal that shows nothing of what is typed, until this is dropped.
#[cfg(unix)]
struct Hidden<'a> {
    tty: &'a File,
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl<'a> Hidden<'a> {
    fn begin(tty: &'a File) -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let before = tcgetattr(tty)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        hidden.local_modes.insert(LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(tty, OptionalActions::Now, &hidden)?;
        Ok(Self { tty, before })
    }
}

#[cfg(unix)]
impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // A terminal that is gone has no echo to give back.
        let _ = tcsetattr(self.tty, OptionalActions::Now, &self.before);
    }
}

/// Not `Stdin` itself: its buffer lives as long as the process, and would keep the passphrase.
#[cfg(unix)]
fn standard_input() -> io::Result<impl Read> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn standard_input() -> io::Result<impl Read> {
    Ok(io::stdin().lock())
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Result<String, PassphraseError> {
        Passphrase::from_line(bytes).map(|p| p.0.to_string())
    }

    #[test]
    fn a_line_ends_at_its_first_line_end_or_at_the_end_of_input() {
        assert_eq!(line(b"a b\nrest").unwrap(), "a b");
        assert_eq!(line(b"a b\r\n").unwrap(), "a b");
        assert_eq!(line("zw\u{f6}lf ".as_bytes()).unwrap(), "zw\u{f6}lf ");
    }

    #[test]
    fn only_the_line_is_consumed() {
        let mut from = &b"one\ntwo\n"[..];
        assert_eq!(&*Passphrase::from_line(&mut from).unwrap().0, "one");
        assert_eq!(from, b"two\n");
    }

    #[test]
    fn empty_long_and_malformed_lines_are_refused() {
        assert!(matches!(line(b""), Err(PassphraseError::Empty)));
        assert!(matches!(line(b"\nx"), Err(PassphraseError::Empty)));
        assert!(matches!(line(&[0xff]), Err(PassphraseError::NotUtf8)));
        assert!(line(&[b'x'; MAX]).is_ok());
        assert!(matches!(line(&[b'x'; MAX + 1]), Err(PassphraseError::TooLong)));
        assert!(matches!(line(&[b'x'; 3 * MAX]), Err(PassphraseError::TooLong)));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = Passphrase::from_env("SEQVAULT_NO_SUCH_VARIABLE").unwrap_err();
        assert!(error.to_string().contains("SEQVAULT_NO_SUCH_VARIABLE"));
    }

    #[test]
    fn a_passphrase_prints_nothing() {
        assert_eq!(format!("{:?}", Passphrase::new("hunter2".to_owned()).unwrap()), "Passphrase(..)");
    }
}
