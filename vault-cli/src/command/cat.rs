//! `seqvault cat`: stream a file, or a range of it, to standard output; only the packs that it touches are read. Spec 3.3.

use core::ops::Range;
use std::sync::Arc;

use clap::Args as ClapArgs;
use vault_core::ids::DatasetId;

use crate::error::{Failure, Outcome};
use crate::fetch;
use crate::keyring::{self, Keyring};
use crate::session::Session;
use crate::settings::Globals;
use crate::transfer::{FetchOptions, PackStore, read_range};

/// Write a file, or a range of its bytes, to standard output
#[derive(ClapArgs, Debug)]
#[command(after_help = "Examples:
  seqvault cat run-42 run-42/sample.bam | samtools flagstat -
  seqvault cat run-42 run-42/sample.bam --range 0-65535 | samtools view -H -

A range is checked against what was signed before a byte of it is written.")]
pub struct Args {
    /// The dataset
    dataset: DatasetId,
    /// The file's path
    path: String,
    /// Bytes FIRST-LAST, both included, counted from 0; FIRST- for all from there, -N for the last N
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    range: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// If there is no such file, or anything of it is not what was signed.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    let path = keyring::path(&args.path)?;
    let asked = args.range.as_deref().map(Asked::parse).transpose()?;
    let mut session = Session::open(globals).await?;
    let mut dataset = session.dataset(&args.dataset).await?;
    let signer = session.signer(globals)?;
    let (keyring, opened) = Keyring::open_all(&mut session, &signer, &mut dataset).await?;
    let candidate = {
        let view = keyring::view(&dataset, &opened);
        let found = view.find(&path).ok_or_else(|| {
            let missing = Failure::not_found(format!("{} has no file {path}", args.dataset));
            keyring.or_left_out(missing.hint("`seqvault ls` shows what there is"))
        })?;
        super::get::one(&path, found)?
    };
    let (body, file) = fetch::take(&session.scope(dataset.id()), dataset.id(), opened, &path, candidate)?;
    let range = match asked {
        Some(asked) => asked.within(file.size)?,
        None => 0..file.size,
    };
    let store: Arc<dyn PackStore> = Arc::clone(&session.client) as Arc<_>;
    read_range(store, FetchOptions::default(), &body, file, range, crate::output::bytes_out())
        .await
        .map_err(fetch::cat_failed)?;
    // A manifest that can't be read may hold a later version of this file, or somebody else's claim to its path.
    keyring.is_complete()
}

/// A range as HTTP writes it (RFC 9110, section 14.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

impl Asked {
    fn parse(text: &str) -> Outcome<Self> {
        let bad = || Failure::usage(format!("--range {text}: use FIRST-LAST, FIRST- or -N, in bytes"));
        let (first, last) = text.split_once('-').ok_or_else(bad)?;
        let number = |s: &str| s.parse::<u64>().map_err(|_| bad());
        match (first.is_empty(), last.is_empty()) {
            (true, true) => Err(bad()),
            (true, false) => number(last).map(Self::Last),
            (false, true) => number(first).map(Self::From),
            (false, false) => {
                let (first, last) = (number(first)?, number(last)?);
                if first <= last { Ok(Self::FromTo(first, last)) } else { Err(bad()) }
            }
        }
    }

    fn within(self, size: u64) -> Outcome<Range<u64>> {
        let range = match self {
            Self::FromTo(first, last) => first..last.saturating_add(1).min(size),
            Self::From(first) => first..size,
            Self::Last(n) => size.saturating_sub(n)..size,
        };
        if range.start > size || (range.start == size && size > 0) {
            return Err(Failure::usage(format!("--range begins at byte {}, and the file has {size}", range.start)));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_as_in_http() {
        let range = |text: &str, size| Asked::parse(text).unwrap().within(size).unwrap();
        assert_eq!(range("0-9", 100), 0..10);
        assert_eq!(range("90-200", 100), 90..100);
        assert_eq!(range("5-", 100), 5..100);
        assert_eq!(range("-7", 100), 93..100);
        assert_eq!(range("-700", 100), 0..100);
        assert!(Asked::parse("100-").unwrap().within(100).is_err());
        for bad in ["", "-", "a-b", "9-1", "1", "1-2-3"] {
            assert!(Asked::parse(bad).is_err(), "{bad}");
        }
    }
}
