//! `seqvault subjects`: the key that stewards share to count persons once, and sets of marks made with it. Spec 2.7.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use vault_core::context::Scope;
use vault_core::ids::{DatasetId, Digest, MemberId};
use vault_policy::Lang;
use vault_policy::facts::subjects::Marks;
use zeroize::Zeroizing;

use crate::error::{Failure, Outcome};
use crate::session::Session;
use crate::settings::Globals;
use crate::stewards::{self, Keys};

/// The longest file of identifiers: some half a million of them.
const MAX_IDS: usize = 16 << 20;

/// Count persons once over datasets, without showing who they are (stewards)
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Seal the subject key to all stewards and creators there are now
    #[command(
        after_help = "Examples:\n  seqvault subjects share\n  seqvault subjects share --new\n\nThe first dataset that is created under rules makes a key by itself. Share it again when a steward or a card is added. --new makes another key, once\nsomebody who had it has left: marks made before can't be compared with those made after, so sets are marked again."
    )]
    Share {
        /// Another key than the present one
        #[arg(long)]
        new: bool,
    },
    /// Make the set of marks of a dataset's persons and keep it with the dataset
    #[command(
        after_help = "Example:\n  seqvault subjects mark run-42 --ids identity-numbers.txt\n\nThe file has one identifier a line; it stays on this machine. A mark is a keyed hash: who lacks the stewards' key can't try numbers against it.\nThe two lines that are printed belong into the dataset's facts (`dataset amend`)."
    )]
    Mark {
        /// The dataset
        dataset: DatasetId,
        /// Identifiers, one a line; - for standard input
        #[arg(long, value_name = "FILE")]
        ids: PathBuf,
        /// What kind of identifiers they are; the same person has to be given by the same kind everywhere
        #[arg(long, default_value = "cn-id")]
        scheme: String,
    },
}

#[derive(Serialize)]
struct SharedKey {
    generation: u64,
    new: bool,
    members: Vec<MemberId>,
}

#[derive(Serialize)]
struct Marked {
    dataset: DatasetId,
    marked: u64,
    marks: Digest,
}

/// Runs the verb.
///
/// # Errors
/// If the signer may not, the key is not sealed to its card, or the store fails.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    match args.verb {
        Verb::Share { new } => share(globals, new).await,
        Verb::Mark { dataset, ids, scheme } => mark(globals, dataset, &ids, &scheme).await,
    }
}

async fn share(globals: &Globals, new: bool) -> Outcome<()> {
    let mut session = Session::open(globals).await?;
    let signer = session.signer(globals)?;
    let shared = stewards::share(&mut session, &signer, new).await?;
    let done =
        SharedKey { generation: shared.generation, new: shared.fresh, members: shared.members.into_iter().collect() };
    globals.output().result(&done, || {
        let members: Vec<&str> = done.members.iter().map(MemberId::as_str).collect();
        match (globals.lang(), done.new) {
            (Lang::En, true) => {
                format!("a new subject key, generation {}, is sealed to {}", done.generation, members.join(", "))
            }
            (Lang::En, false) => {
                format!("the subject key, generation {}, is sealed to {}", done.generation, members.join(", "))
            }
            (Lang::Zh, true) => format!("已将新的主体密钥（第 {} 代）封装给 {}", done.generation, members.join("、")),
            (Lang::Zh, false) => format!("已将主体密钥（第 {} 代）封装给 {}", done.generation, members.join("、")),
        }
    })
}

async fn mark(globals: &Globals, dataset: DatasetId, ids: &Path, scheme: &str) -> Outcome<()> {
    let lang = globals.lang();
    if scheme.trim().is_empty() {
        return Err(Failure::usage("--scheme is empty"));
    }
    let mut session = Session::open(globals).await?;
    let state = session.dataset(&dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if !state.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {dataset}: only its stewards mark its persons")));
    }
    let text = identifiers(ids)?;
    let signer = session.signer(globals)?;
    let keys = Keys::ensure(&mut session, &signer).await?;
    let vault = Scope { suite: session.vault.suite(), vault: Some(*session.vault.id()), dataset: None };
    let key = keys.newest()?.1.mark_key(&vault);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marks = Marks::derive(&key, scheme, lines);
    if marks.is_empty() {
        return Err(Failure::usage(format!("{} names nobody", ids.display())));
    }
    let hash = keys.keep(&session, &dataset, &marks.emit()).await?;
    let done = Marked { dataset, marked: marks.len(), marks: hash };
    globals.output().result(&done, || match lang {
        Lang::En => format!(
            "{} person(s) are marked; state it with `dataset amend`:\n[subjects]\nmarked = {}\nmarks = \"{}\"",
            done.marked, done.marked, done.marks
        ),
        Lang::Zh => format!(
            "已标记 {} 人；请用 `dataset amend` 写入事实：\n[subjects]\nmarked = {}\nmarks = \"{}\"",
            done.marked, done.marked, done.marks
        ),
    })
}

/// The identifiers, in memory that is cleared and does not grow.
fn identifiers(path: &Path) -> Outcome<Zeroizing<String>> {
    let failed = |e: std::io::Error| Failure::file(path, &e);
    let mut from: Box<dyn Read> =
        if path == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    let mut bytes = Zeroizing::new(vec![0; MAX_IDS + 1]);
    let mut length = 0;
    while let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) {
        match from.read(room).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    if length > MAX_IDS {
        return Err(Failure::usage(format!("{} is longer than {} MiB", path.display(), MAX_IDS >> 20)));
    }
    let text = bytes.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok());
    text.map(|text| Zeroizing::new(text.to_owned()))
        .ok_or_else(|| Failure::usage(format!("{} is not UTF-8 text", path.display())))
}
