//! `seqvault pack`: rule packs that ship, that were given, that are in force.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use vault_core::ids::Digest;
use vault_core::ledger::statement::{Body, PackSet};
use vault_policy::gate::{Cite, Standing};
use vault_policy::{Lang, Pack};

use super::member::text;
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::gate::{self, Packs};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;

/// List, show, check and set rule packs
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// List the packs at hand, and which are in force
    #[command(
        after_help = "Example:\n  seqvault pack list\n\nWithout a vault (no --vault, no SEQVAULT) it lists what ships."
    )]
    List,
    /// Show a pack's rules with their citations, marks and days of effect
    #[command(
        after_help = "Examples:\n  seqvault pack show cn-sequencing\n  seqvault pack show cn-sequencing --lang zh\n\nMarks: S stated in the founding documents; L read in the law; M from memory or a secondary source, to be confirmed before anybody relies on it; U nobody says."
    )]
    Show {
        /// Its name, its hash or the beginning of it, or a file
        pack: String,
    },
    /// Check a pack of your own
    #[command(after_help = "Example:\n  seqvault pack check house-rules.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Put a pack in force: from then on grants need facts and an allowing decision (officers)
    #[command(
        after_help = "Examples:\n  seqvault pack set cn-sequencing\n  seqvault pack set house-rules.toml\n\nName, version, hash and days of effect are shown before a passphrase is asked for; where several packs at hand have the name, name the hash. A pack of your own is set by its hash: whoever decides by it needs its file (--packs DIR)."
    )]
    Set {
        /// Its name, its hash or the beginning of it, or a file
        pack: String,
    },
    /// Take a pack out of force (officers)
    #[command(after_help = "Example:\n  seqvault pack unset house-rules")]
    Unset {
        /// Its name
        pack: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// If there is no such pack, it does not validate, or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    match args.verb {
        Verb::List => list(globals).await,
        Verb::Show { pack } => show(globals, &pack),
        Verb::Check { file } => check(globals, &file),
        Verb::Set { pack } => set(globals, &pack).await,
        Verb::Unset { pack } => unset(globals, &pack).await,
    }
}

#[derive(Serialize)]
struct Listed {
    name: String,
    version: Option<String>,
    title: Option<String>,
    hash: Digest,
    rules: Option<usize>,
    /// Whether this program holds it, or it was given with --packs.
    at_hand: bool,
    /// The vault entry since which it is in force, with its time; `null` if it is not.
    since: Option<gate::Since>,
}

async fn list(globals: &Globals) -> Outcome<()> {
    let (lang, packs) = (globals.lang(), Packs::at_hand(globals)?);
    let mut in_force = Vec::new();
    if globals.location().is_ok() {
        let session = Session::open(globals).await?;
        in_force = gate::set_since(&session).await?;
    }
    let mut listed: Vec<Listed> = packs
        .iter()
        .map(|pack| Listed {
            name: pack.name().to_owned(),
            version: Some(pack.version().to_owned()),
            title: Some(pack.title().say(lang).to_owned()),
            hash: pack.hash(),
            rules: Some(pack.rules().len()),
            at_hand: true,
            since: in_force.iter().find(|(_, hash, _)| *hash == pack.hash()).map(|(_, _, since)| *since),
        })
        .collect();
    for (name, hash, since) in in_force {
        if !listed.iter().any(|item| item.hash == hash) {
            let since = Some(since);
            listed.push(Listed { name, version: None, title: None, hash, rules: None, at_hand: false, since });
        }
    }
    globals.output().result(&listed, || {
        let rows: Vec<Vec<String>> = listed
            .iter()
            .map(|item| {
                let state = match (&item.since, item.at_hand, lang) {
                    (Some(since), true, Lang::En) => format!("in force since {}", output::time(since.time)),
                    (Some(since), true, Lang::Zh) => format!("自 {} 起生效", output::time(since.time)),
                    (Some(since), false, Lang::En) => {
                        format!("in force since {}, not at hand: --packs DIR", output::time(since.time))
                    }
                    (Some(since), false, Lang::Zh) => {
                        format!("自 {} 起生效，但不在本机：--packs DIR", output::time(since.time))
                    }
                    (None, _, Lang::En) => "not in force".to_owned(),
                    (None, _, Lang::Zh) => "未生效".to_owned(),
                };
                let hash: String = item.hash.to_string().chars().take(16).collect();
                let version = item.version.clone().unwrap_or_default();
                vec![item.name.clone(), version, hash, state, item.title.clone().unwrap_or_default()]
            })
            .collect();
        output::table(&["PACK", "VERSION", "HASH", "STATE", "TITLE"], &rows)
    })
}

#[derive(Serialize)]
struct Shown {
    name: String,
    version: String,
    title: String,
    hash: Digest,
    rules: Vec<ShownRule>,
}

#[derive(Serialize)]
struct ShownRule {
    id: String,
    row: String,
    regime: String,
    outcome: &'static str,
    from: String,
    to: Option<String>,
    approvals: u8,
    standing: &'static str,
    text: String,
    evidence: Option<String>,
    cites: Vec<String>,
}

fn show(globals: &Globals, name: &str) -> Outcome<()> {
    let lang = globals.lang();
    let packs = Packs::at_hand(globals)?;
    let found = find(&packs, name, lang)?;
    shown(globals, &found.pack)
}

fn check(globals: &Globals, file: &Path) -> Outcome<()> {
    let pack = facts::read_pack(file, globals.lang())?;
    globals.output().note(match globals.lang() {
        Lang::En => "the pack validates",
        Lang::Zh => "规则包有效",
    });
    shown(globals, &pack)
}

fn shown(globals: &Globals, pack: &Pack) -> Outcome<()> {
    let lang = globals.lang();
    let rules = pack.rules().iter().map(|rule| ShownRule {
        id: rule.id.clone(),
        row: rule.row.clone(),
        regime: pack.regime_of(rule).map_or_else(String::new, |regime| regime.title.say(lang).to_owned()),
        outcome: rule.outcome.name(),
        from: rule.from.to_string(),
        to: rule.to.map(|day| day.to_string()),
        approvals: rule.approvals,
        standing: match rule.standing {
            Standing::Suspend => "suspend",
            Standing::Revoke => "revoke",
        },
        text: rule.text.say(lang).to_owned(),
        evidence: rule.evidence.as_ref().map(|evidence| evidence.say(lang).to_owned()),
        cites: rule.cites.iter().map(cite).collect(),
    });
    let shown = Shown {
        name: pack.name().to_owned(),
        version: pack.version().to_owned(),
        title: pack.title().say(lang).to_owned(),
        hash: pack.hash(),
        rules: rules.collect(),
    };
    globals.output().result(&shown, || output::printable(&text_of(&shown, lang)))
}

fn cite(cite: &Cite) -> String {
    format!("{} ({})", cite.place, cite.certainty)
}

fn text_of(shown: &Shown, lang: Lang) -> String {
    let mut lines = vec![format!("{} {}  {}\n  {}", shown.name, shown.version, shown.title, shown.hash)];
    let (since, until, evidence, approvals) = match lang {
        Lang::En => ("from", "to", "lifted by", "approvals"),
        Lang::Zh => ("自", "至", "所需证据", "批准数"),
    };
    for rule in &shown.rules {
        let to = rule.to.as_ref().map_or_else(String::new, |to| format!(" {until} {to}"));
        lines.push(format!("{} [{}] {}: {}", rule.id, rule.row, rule.outcome, rule.text));
        lines.push(format!("    {since} {}{to}; {}", rule.from, rule.cites.join("; ")));
        if let Some(text) = &rule.evidence {
            lines.push(format!("    {evidence}: {text}"));
        }
        if rule.approvals > 0 {
            lines.push(format!("    {approvals}: {}", rule.approvals));
        }
    }
    lines.join("\n")
}

/// A pack that was asked for, and its text where it came from a file.
pub(super) struct Found {
    pub(super) pack: Pack,
    pub(super) text: Option<String>,
}

impl Found {
    /// What is about to be put in force, whatever the options: an officer signs its hash alone.
    pub(super) fn tell(&self, lang: Lang) {
        let pack = &self.pack;
        let (name, version, title) = (pack.name(), pack.version(), pack.title().say(lang));
        let (hash, rules) = (pack.hash(), pack.rules().len());
        let from = pack.rules().iter().map(|rule| rule.from).max().map_or_else(String::new, |day| day.to_string());
        output::warn(&match lang {
            Lang::En => format!(
                "to be put in force: {name} {version}  {title}\n  hash {hash}\n  {rules} rules, the last of them in effect from {from}; grants need its decision from the statement on"
            ),
            Lang::Zh => format!(
                "拟启用：{name} {version}  {title}\n  散列值 {hash}\n  {rules} 条规则，最晚一条自 {from} 起生效；自声明起授权须经其判定"
            ),
        });
    }
}

/// A pack by its name or its hash among those at hand, or the one in a file.
///
/// # Errors
/// If there is none, or several of that name say different things.
pub(super) fn find(packs: &Packs, name: &str, lang: Lang) -> Outcome<Found> {
    let found: Vec<&Pack> = packs.named(name).collect();
    match found.as_slice() {
        [] => {}
        [pack] => return Ok(Found { pack: (*pack).clone(), text: None }),
        several => {
            let list: Vec<String> =
                several.iter().map(|pack| format!("{} ({})", pack.hash(), pack.version())).collect();
            return Err(Failure::new(
                crate::error::Kind::Conflict,
                match lang {
                    Lang::En => format!("several packs at hand are called {name}"),
                    Lang::Zh => format!("现有多个名为 {name} 的规则包"),
                },
            )
            .hint(match lang {
                Lang::En => format!("name one by its hash: {}", list.join(", ")),
                Lang::Zh => format!("请以散列值指定：{}", list.join("、")),
            }));
        }
    }
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") || path.exists() {
        let (pack, text) = facts::read_pack_and_text(path, lang)?;
        return Ok(Found { pack, text: Some(text) });
    }
    let names: Vec<&str> = packs.iter().map(Pack::name).collect();
    let failure = Failure::not_found(match lang {
        Lang::En => format!("no rule pack {name}"),
        Lang::Zh => format!("没有规则包 {name}"),
    });
    Err(failure.hint(match lang {
        Lang::En => format!("at hand: {}; or name a file that ends in .toml", names.join(", ")),
        Lang::Zh => format!("现有：{}；或指定以 .toml 结尾的文件", names.join("、")),
    }))
}

#[derive(Serialize)]
struct Done {
    name: String,
    hash: Digest,
    on: bool,
    entry: u64,
}

async fn set(globals: &Globals, name: &str) -> Outcome<()> {
    let lang = globals.lang();
    let packs = Packs::at_hand(globals)?;
    let found = find(&packs, name, lang)?;
    let pack = &found.pack;
    let mut session = Session::open(globals).await?;
    check_officer(globals, &session)?;
    let before = gate::in_force(&session.vault);
    if before.iter().any(|(known, hash)| known == pack.name() && *hash == pack.hash()) {
        return Err(Failure::new(
            crate::error::Kind::Conflict,
            match lang {
                Lang::En => format!("{} is in force already", pack.name()),
                Lang::Zh => format!("{} 已经生效", pack.name()),
            },
        ));
    }
    found.tell(lang);
    globals.unlock()?;
    if let (None, Some(text)) = (packs.by_hash(&pack.hash()), &found.text) {
        gate::keep_pack(&globals.state()?, pack, text)?;
        globals.output().note(&match lang {
            Lang::En => "this pack is not inside the program: whoever grants or verifies needs its file (--packs DIR); a copy is kept on this machine".to_owned(),
            Lang::Zh => "该规则包不在程序内：授权和核验者都需要其文件（--packs DIR）；本机已留存一份".to_owned(),
        });
    }
    let done = pack_set(globals, &mut session, pack.name(), pack.hash(), true).await?;
    globals.output().result(&done, || match lang {
        Lang::En => format!(
            "{} is in force: grants need facts and a decision that allows them\nstanding grants are not touched: `seqvault due` names those that the rules do not allow",
            done.name
        ),
        Lang::Zh => format!("{} 已生效：授权须有事实和允许的判定\n现有授权不受影响：`seqvault due` 列出规则不允许的授权", done.name),
    })
}

async fn unset(globals: &Globals, name: &str) -> Outcome<()> {
    let lang = globals.lang();
    let mut session = Session::open(globals).await?;
    check_officer(globals, &session)?;
    let in_force = gate::in_force(&session.vault);
    let Some((_, hash)) = in_force.iter().find(|(known, _)| known == name) else {
        let names: Vec<&str> = in_force.iter().map(|(known, _)| known.as_str()).collect();
        return Err(Failure::not_found(match lang {
            Lang::En => format!("{name} is not in force; in force: {}", names.join(", ")),
            Lang::Zh => format!("{name} 未生效；生效的规则包：{}", names.join("、")),
        }));
    };
    let done = pack_set(globals, &mut session, name, *hash, false).await?;
    let left = gate::in_force(&session.vault).len();
    globals.output().result(&done, || match (left, lang) {
        (0, Lang::En) => {
            format!("{name} is no longer in force, and no other pack is: nothing is checked before a key is sealed")
        }
        (0, Lang::Zh) => format!("{name} 已停用，且无其他规则包生效：封装密钥前不作任何检查"),
        (_, Lang::En) => format!("{name} is no longer in force"),
        (_, Lang::Zh) => format!("{name} 已停用"),
    })
}

fn check_officer(globals: &Globals, session: &Session) -> Outcome<()> {
    let me = session.member_of(&globals.card()?)?;
    if session.vault.is_officer(&me, session.vault.last_seq()) {
        return Ok(());
    }
    Err(Failure::refused(format!("{me} is no officer: only officers put rule packs in force or take them out"))
        .or_in_chinese(format!("{me} 不是管理员：只有管理员可以启用或停用规则包")))
}

async fn pack_set(globals: &Globals, session: &mut Session, name: &str, hash: Digest, on: bool) -> Outcome<Done> {
    let signer = session.signer(globals)?;
    let body = Body::PackSet(PackSet { hash, name: text("the pack's name", name)?, on });
    let entry = session.append_vault(&signer, &body).await?;
    Ok(Done { name: name.to_owned(), hash, on, entry })
}
