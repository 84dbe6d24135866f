//! Facts and rule packs as files: read with every problem by line and field in the reader's language, split for a statement, their
//! sealed part kept on this machine, and a dataset's with the dataset for its stewards.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value as Json;
use vault_core::ids::{DatasetId, Digest};
use vault_core::ledger::statement;
use vault_policy::facts::{Answer, Record, Sealed, Seen, Split, StatedError};
use vault_policy::problem::Problems;
use vault_policy::{Dataset, Grant, Lang, Member, Pack};

use crate::error::{Failure, Outcome};
use crate::random;
use crate::session::{Session, Signer};
use crate::settings::Globals;
use crate::state::{StateFolder, create_private, replace};

/// Longest facts or pack file that is read.
const MAX_FILE: u64 = 1 << 20;

/// The three kinds of facts, alike for what is done here.
pub trait Kind: Sized {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn parse(text: &str) -> Result<Self, Problems>;
    /// Splits for a statement.
    ///
    /// # Errors
    /// If it is too long for one.
    fn split(&self, salt: [u8; 32]) -> Result<Split, StatedError>;
    /// What a statement says in the clear.
    ///
    /// # Errors
    /// If it is not of this kind.
    fn clear(stated: &statement::Facts) -> Result<Self, StatedError>;
    /// The whole.
    ///
    /// # Errors
    /// If the sealed part is not the one that the statement commits to.
    fn whole(stated: &statement::Facts, sealed: &[u8]) -> Result<Self, StatedError>;
    /// The answers.
    fn answers(&self) -> &Record;
}

macro_rules! kinds {
    ($($name:ident),*) => {$(
        impl Kind for $name {
            fn parse(text: &str) -> Result<Self, Problems> {
                Self::parse_toml(text)
            }
            fn split(&self, salt: [u8; 32]) -> Result<Split, StatedError> {
                Self::split(self, salt)
            }
            fn clear(stated: &statement::Facts) -> Result<Self, StatedError> {
                Self::from_statement(stated)
            }
            fn whole(stated: &statement::Facts, sealed: &[u8]) -> Result<Self, StatedError> {
                Self::from_both(stated, sealed)
            }
            fn answers(&self) -> &Record {
                self.record()
            }
        }
    )*};
}

kinds!(Dataset, Member, Grant);

/// Reads a facts file.
///
/// # Errors
/// If it can't be read, or everything that is wrong with it, by line and field.
pub fn read<T: Kind>(path: &Path, lang: Lang) -> Outcome<T> {
    T::parse(&text(path)?).map_err(|problems| bad(path, &problems, lang))
}

/// Reads a rule pack.
///
/// # Errors
/// If it can't be read, or everything that is wrong with it, by line and field.
pub fn read_pack(path: &Path, lang: Lang) -> Outcome<Pack> {
    read_pack_and_text(path, lang).map(|(pack, _)| pack)
}

/// As [`read_pack`], with the text that was read: what is kept of a pack is what was looked at.
///
/// # Errors
/// As [`read_pack`].
pub fn read_pack_and_text(path: &Path, lang: Lang) -> Outcome<(Pack, String)> {
    let text = text(path)?;
    let pack = Pack::parse(&text).map_err(|problems| bad(path, &problems, lang))?;
    Ok((pack, text))
}

/// The packs of a folder that are what their names say: a file HASH.toml holds the pack of that hash. Others are left out, and said; a
/// crash may have left a part of one.
///
/// # Errors
/// If the folder can't be read.
pub fn read_kept_packs(folder: &Path, lang: Lang) -> Outcome<Vec<Pack>> {
    let mut packs = Vec::new();
    for path in toml_files(folder)? {
        let fits = |pack: &Pack| path.file_stem().is_some_and(|stem| stem.to_string_lossy() == pack.hash().to_string());
        match read_pack(&path, lang) {
            Ok(pack) if fits(&pack) => packs.push(pack),
            Ok(_) | Err(_) => crate::output::warn(&match lang {
                Lang::En => format!(
                    "seqvault: {} is not the pack that its name says, and is left out: `seqvault pack set FILE` keeps it anew",
                    path.display()
                ),
                Lang::Zh => format!(
                    "seqvault：{} 与其文件名所示的规则包不符，不予使用：`seqvault pack set FILE` 可重新留存",
                    path.display()
                ),
            }),
        }
    }
    Ok(packs)
}

/// Reads every rule pack of a folder, by name.
///
/// # Errors
/// If the folder or a pack can't be read, or one does not validate: a pack that is left out unseen might be the stricter one.
pub fn read_packs(folder: &Path, lang: Lang) -> Outcome<Vec<Pack>> {
    toml_files(folder)?.iter().map(|path| read_pack(path, lang)).collect()
}

fn toml_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let listed = fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))?;
    let mut paths = Vec::new();
    for entry in listed {
        let path = entry.map_err(|e| Failure::file(folder, &e))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A text file of a bearable length.
///
/// # Errors
/// If it can't be read, is too long, or is not UTF-8.
pub fn text(path: &Path) -> Outcome<String> {
    let file = File::open(path).map_err(|e| Failure::file(path, &e))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Failure::file(path, &e))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Failure::usage(format!("{} is longer than {} KiB", path.display(), MAX_FILE >> 10))
            .or_in_chinese(format!("{} 超过 {} KiB", path.display(), MAX_FILE >> 10)));
    }
    String::from_utf8(bytes).map_err(|_| not_text(path))
}

/// The failure of a file that is not text.
#[must_use]
pub fn not_text(path: &Path) -> Failure {
    Failure::usage(format!("{} is not UTF-8 text", path.display()))
        .or_in_chinese(format!("{} 不是 UTF-8 文字", path.display()))
}

/// A file of bytes that has to be short, and its SHA-256 as statements name documents.
///
/// # Errors
/// If it can't be read.
pub fn document_hash(path: &Path) -> Outcome<Digest> {
    let bytes = fs::read(path).map_err(|e| Failure::file(path, &e))?;
    Ok(Digest(vault_core::hazmat::kdf::sha256(&bytes)))
}

/// Each problem with the file before it, so that an editor finds the place.
fn bad(path: &Path, problems: &Problems, lang: Lang) -> Failure {
    let (colon, hint) = match lang {
        Lang::En => (": ", "correct the file and run the same command again; nothing was done"),
        Lang::Zh => ("：", "请修改文件后重新运行同一命令；尚未执行任何操作"),
    };
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{}{colon}{}", path.display(), problem.say(lang))).collect();
    Failure::usage(lines.join("\n")).hint(hint)
}

/// What can't be stated or read, in the reader's language.
#[must_use]
pub fn stated_failure(what: &str, error: &StatedError, lang: Lang) -> Failure {
    Failure::refused(format!("{what}: {}", error.text().say(lang)))
}

/// Facts that are ready for a statement.
#[derive(Debug, Clone)]
pub struct Stated {
    /// What the statement says.
    pub stated: statement::Facts,
    /// The rest, which is to be kept before anything is signed.
    pub sealed: Option<Sealed>,
}

/// Splits facts. Nothing is written.
///
/// # Errors
/// If they are too long.
pub fn split<T: Kind>(facts: &T, lang: Lang) -> Outcome<Stated> {
    let split = facts.split(random::bytes()).map_err(|e| stated_failure("facts", &e, lang))?;
    Ok(Stated { stated: split.stated, sealed: split.sealed })
}

impl Stated {
    /// Keeps the sealed part on this machine, with a copy where one is wanted, and says where it is. To be called before the statement is
    /// signed: what nobody has could never be shown.
    ///
    /// # Errors
    /// If the state folder or the copy can't be written.
    pub fn keep(&self, home: &StateFolder, copy: Option<&Path>, lang: Lang) -> Outcome<Option<String>> {
        let Some(sealed) = &self.sealed else {
            return match (copy, lang) {
                (None, _) => Ok(None),
                (Some(_), Lang::En) => Err(Failure::usage("--save-sealed: these facts have no sealed part")),
                (Some(_), Lang::Zh) => Err(Failure::usage("--save-sealed：该事实没有密封部分")),
            };
        };
        if let Some(copy) = copy {
            write_private(copy, sealed.bytes())?;
        }
        keep_bytes(home, sealed.bytes())?;
        let kept = place(home, &sealed.digest());
        Ok(Some(match lang {
            Lang::En => format!(
                "the sealed part of the facts is kept in {} and nowhere else: the vault holds its hash. --save-sealed FILE writes a copy",
                kept.display()
            ),
            Lang::Zh => format!(
                "事实的密封部分仅保存于 {}；保险库中只有其散列值。--save-sealed FILE 可另存一份",
                kept.display()
            ),
        }))
    }
}

impl Stated {
    /// As [`Self::keep`], and keeps the sealed part with its dataset, sealed to the vault's stewards; says where it is then.
    ///
    /// # Errors
    /// If the state folder, the copy or the store can't be written.
    pub async fn share(
        &self,
        globals: &Globals,
        session: &mut Session,
        signer: &Signer,
        dataset: &DatasetId,
        copy: Option<&Path>,
    ) -> Outcome<()> {
        let (lang, out) = (globals.lang(), globals.output());
        let told = self.keep(&globals.state()?, copy, lang)?;
        let Some(sealed) = &self.sealed else { return Ok(()) };
        // Where no rules are in force nobody makes a key unasked.
        let may = crate::gate::is_gated(&session.vault) || session.vault.subject_key_generation() > 0;
        if may && crate::stewards::keep_sealed(session, signer, dataset, sealed.bytes()).await? {
            out.note(match lang {
                Lang::En => "the sealed part of the facts is kept with the dataset, sealed to the vault's stewards, and on this machine",
                Lang::Zh => "事实的密封部分已随数据集保存（仅封装给保险库的数据管理者），并保存在本机",
            });
        } else if let Some(told) = told {
            out.note(&told);
        }
        Ok(())
    }
}

/// Writes a file that only the user can read; it must not be there, and what can't be written whole goes again.
///
/// # Errors
/// If it is there, or can't be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Outcome<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written
    };
    write().map_err(|e| {
        let failure = Failure::file(path, &e);
        if e.kind() == std::io::ErrorKind::AlreadyExists {
            Failure { kind: crate::error::Kind::Conflict, ..failure }
        } else {
            failure
        }
    })
}

fn place(state: &StateFolder, hash: &Digest) -> PathBuf {
    state.path().join("facts").join(hash.to_string())
}

/// Keeps the sealed part of facts under its hash.
///
/// # Errors
/// If the state folder can't be written.
pub fn keep_bytes(state: &StateFolder, bytes: &[u8]) -> Outcome<Digest> {
    let hash = Digest(vault_core::hazmat::kdf::sha256(bytes));
    let path = place(state, &hash);
    // A crash may have left a part of it under its name.
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(hash);
    }
    create_private(&state.path().join("facts"))?;
    replace(&path, bytes)?;
    Ok(hash)
}

/// The hash of the sealed part that a statement commits to.
#[must_use]
pub fn commitment(stated: &statement::Facts) -> Option<Digest> {
    stated.0.get("sealed").and_then(Json::as_str).and_then(|hash| hash.parse().ok())
}

/// Whether two statements say the same in the clear; sealed parts differ by their salt whenever facts are split.
#[must_use]
pub fn same_in_the_clear(a: &statement::Facts, b: &statement::Facts) -> bool {
    let clear = |facts: &statement::Facts| {
        let mut facts = facts.0.clone();
        facts.remove("sealed");
        facts
    };
    clear(a) == clear(b)
}

/// The sealed part that a statement commits to: from a file, or as it was kept here; `None` if it is not at hand.
///
/// # Errors
/// If the file can't be read.
pub fn sealed_part(stated: &statement::Facts, file: Option<&Path>, state: &StateFolder) -> Outcome<Option<Vec<u8>>> {
    if let Some(path) = file {
        return fs::read(path).map(Some).map_err(|e| Failure::file(path, &e));
    }
    let Some(hash) = commitment(stated) else { return Ok(None) };
    let path = place(state, &hash);
    match fs::read(&path) {
        Ok(bytes) if vault_core::hazmat::kdf::sha256(&bytes) == hash.0 => Ok(Some(bytes)),
        // A part of it, from a crash, is as good as none: whoever has the whole keeps it again.
        Ok(_) => Ok(None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::file(&path, &e)),
    }
}

/// What is known of stated facts here: all, or what stands in the clear.
#[derive(Debug)]
pub struct Known<T> {
    /// The facts.
    pub facts: T,
    /// Whether the sealed part is among them, or there is none.
    pub whole: bool,
}

/// Stated facts with their sealed part, if that is at hand.
///
/// # Errors
/// If the statement's facts are of another form, or the sealed part is another.
pub fn known<T: Kind>(
    what: &str,
    stated: &statement::Facts,
    file: Option<&Path>,
    state: &StateFolder,
    lang: Lang,
) -> Outcome<Known<T>> {
    let failed = |e: StatedError| match e {
        StatedError::OtherSealed => Failure::integrity(format!("{what}: {}", e.text().say(lang))),
        e => stated_failure(what, &e, lang),
    };
    match sealed_part(stated, file, state)? {
        Some(sealed) => T::whole(stated, &sealed).map(|facts| Known { facts, whole: true }).map_err(failed),
        None => {
            let whole = commitment(stated).is_none();
            T::clear(stated).map(|facts| Known { facts, whole }).map_err(failed)
        }
    }
}

/// A field's answer, for `--json`.
#[derive(Debug, Serialize)]
pub struct Shown {
    answer: String,
    question: String,
    sealed: bool,
}

/// A field whose answer changes. Of a sealed one only that it does: what is said on the way ends up in logs.
#[derive(Debug, Serialize)]
pub struct Changed {
    field: &'static str,
    sealed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl Changed {
    /// As it may be shown.
    #[must_use]
    pub fn of(change: &vault_policy::facts::Change) -> Self {
        let sealed = change.field.seen == Seen::Sealed;
        let show = |answer: &Answer| (!sealed).then(|| answer.show());
        Self { field: change.field.path, sealed, before: show(&change.before), after: show(&change.after) }
    }

    /// In a line.
    #[must_use]
    pub fn say(&self, lang: Lang) -> String {
        match (&self.before, &self.after, lang) {
            (Some(before), Some(after), _) => format!("{}: {before} -> {after}", self.field),
            (.., Lang::En) => format!("{}: (sealed) changed", self.field),
            (.., Lang::Zh) => format!("{}：（密封）有变更", self.field),
        }
    }
}

/// Every field that was answered, by name.
#[must_use]
pub fn shown(record: &Record, lang: Lang) -> BTreeMap<&'static str, Shown> {
    let answered = record.iter().filter(|(_, answer)| **answer != Answer::Unknown);
    answered
        .map(|(field, answer)| {
            let question = field.ask.say(lang).to_owned();
            (field.path, Shown { answer: answer.show(), question, sealed: field.seen == Seen::Sealed })
        })
        .collect()
}

/// The answered fields as lines, in the table's order; rows of records are shown field by field.
#[must_use]
pub fn lines(record: &Record, lang: Lang) -> Vec<String> {
    let mut lines = Vec::new();
    for (field, answer) in record.iter().filter(|(_, answer)| **answer != Answer::Unknown) {
        let mark = match (field.seen, lang) {
            (Seen::ByServer, _) => "",
            (Seen::Sealed, Lang::En) => " [sealed]",
            (Seen::Sealed, Lang::Zh) => " [密封]",
        };
        lines.push(format!("{} = {}{mark}    # {}", field.path, answer.show(), field.ask.say(lang)));
        if let Answer::Value(vault_policy::facts::Value::Rows(rows)) = answer {
            for row in rows {
                let cells: Vec<String> = row
                    .iter()
                    .filter(|(_, answer)| **answer != Answer::Unknown)
                    .map(|(field, answer)| format!("{} = {}", field.path, answer.show()))
                    .collect();
                lines.push(format!("    {}", cells.join(", ")));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_part_is_kept_for_its_owner_and_found_by_the_statement() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let home = StateFolder::find(Some(folder.path())).unwrap();
        let facts = Dataset::parse_toml("[source]\ncollector = \"Example Lab\"\n[subjects]\ncount = 3\n").unwrap();
        let stated = split(&facts, Lang::En).unwrap();
        let told = stated.keep(&home, Some(&folder.path().join("copy")), Lang::En).unwrap().unwrap();
        let hash = commitment(&stated.stated).unwrap();
        let path = place(&home, &hash);
        assert!(told.contains(path.to_str().unwrap()), "{told}");
        for path in [&path, &folder.path().join("copy")] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let found: Known<Dataset> = known("facts", &stated.stated, None, &home, Lang::En).unwrap();
        assert!(found.whole && found.facts == facts);
        // Another's sealed part is no answer, and without one the clear part remains.
        let again = split(&facts, Lang::En).unwrap();
        let other = folder.path().join("other");
        again.keep(&home, Some(&other), Lang::En).unwrap();
        assert_ne!(again.stated, stated.stated, "the salt is new each time");
        assert!(same_in_the_clear(&again.stated, &stated.stated));
        let refused = known::<Dataset>("facts", &stated.stated, Some(&other), &home, Lang::Zh).unwrap_err();
        assert!(refused.message.contains("密封部分"), "{refused}");
        fs::remove_file(path).unwrap();
        let clear: Known<Dataset> = known("facts", &stated.stated, None, &home, Lang::En).unwrap();
        assert!(!clear.whole);
        assert_eq!(clear.facts.record().number("subjects.count"), Some(3));
    }

    #[test]
    fn problems_name_the_file_the_line_and_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.toml");
        fs::write(&path, "[subjects]\ncount = -1\n\n[ethics]\napproved = \"perhaps\"\n").unwrap();
        let failure = read::<Dataset>(&path, Lang::En).unwrap_err();
        let lines: Vec<&str> = failure.message.lines().collect();
        assert_eq!(lines.len(), 2, "{failure}");
        assert!(lines.iter().all(|line| line.starts_with(path.to_str().unwrap())), "{failure}");
        assert!(lines.first().is_some_and(|line| line.contains("line 2, column 9: subjects.count")), "{failure}");
        let zh = read::<Dataset>(&path, Lang::Zh).unwrap_err();
        assert!(zh.message.contains("第 2 行") && zh.message.contains("ethics.approved"), "{zh}");
    }
}
