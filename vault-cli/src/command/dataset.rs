//! `seqvault dataset`: units of sharing. Spec 5.3.

mod amend;
pub(crate) mod delete;
mod facts;
mod grade;

pub(crate) use grade::{level_of as level_asked, not_an_approver};

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use vault_core::epoch::EpochSecret;
use vault_core::ids::{CardId, DatasetId, Digest, EntryHash, MemberId};
use vault_core::json::{self, B64};
use vault_core::ledger::dataset::{DatasetState, Grant, GrantStatus, UploadStatus};
use vault_core::ledger::fold::At;
use vault_core::ledger::statement::{Body, DatasetCreated, Facts, FirstEpoch, Role, Text, UploaderSet};
use vault_policy::{Dataset, Lang};

use super::member::{no_member, read_card, text};
use crate::error::{Failure, Kind, Outcome};
use crate::facts::{Stated, same_in_the_clear};
use crate::gate;
use crate::output;
use crate::random;
use crate::seals::Seals;
use crate::session::{Session, Signer};
use crate::settings::Globals;

/// Create, show and list datasets
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Create a dataset; you become its first steward (creators)
    #[command(
        after_help = "Examples:\n  seqvault dataset create run-42 --title \"Run 42\" --uploader sequencer-3\n  seqvault dataset template > run-42.toml    (fill it in)\n  seqvault dataset create run-42 --facts run-42.toml\n\nId and title are visible to whoever holds the vault's folder: name no patient in them."
    )]
    Create(Create),
    /// Print a commented facts file to fill in
    #[command(
        after_help = "Examples:\n  seqvault dataset template > run-42.toml\n  seqvault dataset template --lang zh > run-42.toml"
    )]
    Template {
        /// Filled in, as an example that the pack cn-sequencing allows with the other two
        #[arg(long)]
        example: bool,
    },
    /// Show the facts of a dataset
    #[command(
        after_help = "Examples:\n  seqvault dataset facts run-42\n  seqvault dataset facts run-42 --sealed run-42.sealed\n\nThe vault holds the hash of the sealed part; its author has it and hands it to those who may read it."
    )]
    Facts(facts::Facts),
    /// Show which levels the standards propose, and why
    #[command(
        after_help = "Examples:\n  seqvault dataset grade run-42\n  seqvault dataset grade --facts run-42.toml\n  seqvault dataset grade run-42 run-43    (the level of both together)"
    )]
    Grade(grade::Grade),
    /// Confirm the level of a dataset (approvers who did not grade it)
    #[command(after_help = "Example:\n  seqvault dataset confirm run-42")]
    Confirm(grade::Confirm),
    /// State new facts or another level; grants that no longer stand are suspended (stewards)
    #[command(
        after_help = "Examples:\n  seqvault dataset amend run-42 --facts run-42.toml --why \"ethics approval renewed\"\n  seqvault dataset amend run-42 --level 4 --why \"regraded\""
    )]
    Amend(amend::Amend),
    /// Delete a dataset for ever: its keys, tables, manifests and packs; its ledger stays (stewards)
    #[command(
        after_help = "Examples:\n  seqvault dataset delete run-42 --reason \"retention is over\" --dry-run\n  seqvault dataset delete run-42 --reason \"retention is over\"\n  seqvault dataset delete run-42 --terms run-42-delete.terms.json    (what was proposed, once it is approved)\n\nThe statement comes first, then what it allows. Run again, it goes on where it stopped. What recipients downloaded stays with them: each attests its destruction with `seqvault attest`."
    )]
    Delete(delete::Delete),
    /// Show a dataset: who may read, epochs, uploads
    #[command(after_help = "Example:\n  seqvault dataset show run-42")]
    Show {
        /// The dataset
        dataset: DatasetId,
    },
    /// List the datasets of the vault
    #[command(after_help = "Example:\n  seqvault dataset list --json")]
    List,
}

#[derive(ClapArgs, Debug)]
struct Create {
    /// Its id, chosen once, visible to whoever holds the folder
    dataset: DatasetId,
    /// A title, visible as well
    #[arg(long, default_value = "")]
    title: String,
    /// Its level of sensitivity, 1 to 5 [default: as the facts ask for; 4 without facts]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=5))]
    level: Option<u64>,
    /// A recovery card besides those of the vault
    #[arg(long, value_name = "CARD")]
    recovery: Vec<PathBuf>,
    /// Facts: a TOML file from `dataset template`. In a vault without rule packs also a .json file, recorded as it is
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Write a copy of the facts' sealed part, for those who may read it
    #[arg(long, value_name = "FILE", requires = "facts")]
    save_sealed: Option<PathBuf>,
    /// A member who may upload; again for several
    #[arg(long, value_name = "MEMBER")]
    uploader: Vec<MemberId>,
}

/// Facts of a dataset, filled in.
pub(super) const EXAMPLE: &str = include_str!("examples/dataset.toml");

/// Runs the verb.
///
/// # Errors
/// If the vault can't be opened or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    // These two need no vault.
    let verb = match args.verb {
        Verb::Template { example: true } => return globals.output().line(EXAMPLE),
        Verb::Template { example: false } => return globals.output().line(&Dataset::template(globals.lang())),
        Verb::Grade(args) => return grade::grade(globals, args).await,
        verb => verb,
    };
    let mut session = Session::open(globals).await?;
    match verb {
        Verb::Template { .. } | Verb::Grade(_) => Ok(()),
        Verb::Create(args) => create(globals, &mut session, args).await,
        Verb::Facts(args) => facts::show(globals, &mut session, args).await,
        Verb::Confirm(args) => grade::confirm(globals, &mut session, args).await,
        Verb::Amend(args) => amend::run(globals, &mut session, args).await,
        Verb::Delete(args) => delete::run(globals, &mut session, args).await,
        Verb::Show { dataset } => show(globals, &mut session, &dataset).await,
        Verb::List => list(globals, &mut session).await,
    }
}

#[derive(Serialize)]
struct Created {
    dataset: DatasetId,
    steward: MemberId,
    level: u64,
    sealed_to: usize,
    uploaders: Vec<MemberId>,
    /// The hash of the sealed part of the facts, if they have one.
    sealed_facts: Option<Digest>,
}

/// The facts of a new dataset as its statement holds them, and its level.
struct First {
    stated: Stated,
    level: u64,
    /// All answers, where they are of the rules' form.
    facts: Option<Dataset>,
}

impl First {
    /// Reads the facts and settles the level; what is low or missing is said.
    fn of(globals: &Globals, session: &Session, args: &Create) -> Outcome<Self> {
        let (lang, out, gated) = (globals.lang(), globals.output(), gate::is_gated(&session.vault));
        let raw = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
        let path = match &args.facts {
            Some(path) if raw(path) && !gated => {
                let stated = Stated { stated: read_facts(path)?, sealed: None };
                return Ok(Self { stated, level: args.level.unwrap_or(DEFAULT_LEVEL), facts: None });
            }
            Some(path) if raw(path) => {
                return Err(Failure::usage(match lang {
                    Lang::En => format!(
                        "{}: this vault decides by rules, which need facts in the form of `seqvault dataset template`",
                        path.display()
                    ),
                    Lang::Zh => {
                        format!("{}：本保险库按规则判定，事实须采用 `seqvault dataset template` 的格式", path.display())
                    }
                }));
            }
            Some(path) => path,
            None => {
                if gated {
                    out.note(match lang {
                        Lang::En => "warning: no facts are stated: the rules in force will block every grant until `seqvault dataset amend` states them",
                        Lang::Zh => "警告：未陈述任何事实：在以 `seqvault dataset amend` 补充之前，生效的规则不允许任何授权",
                    });
                }
                let stated = Stated { stated: Facts::default(), sealed: None };
                return Ok(Self { stated, level: args.level.unwrap_or(DEFAULT_LEVEL), facts: None });
            }
        };
        let facts: Dataset = crate::facts::read(path, lang)?;
        let level = args.level.unwrap_or_else(|| grade::level_of(&facts));
        if let Some(said) = grade::too_low(&facts, level, lang) {
            out.note(&said);
        }
        Ok(Self { stated: crate::facts::split(&facts, lang)?, level, facts: Some(facts) })
    }
}

/// Genomes of persons.
const DEFAULT_LEVEL: u64 = 4;

async fn create(globals: &Globals, session: &mut Session, args: Create) -> Outcome<()> {
    let title = text("--title", &args.title)?;
    let recovery = recovery_cards(session, &args.recovery)?;
    for member in &args.uploader {
        session.vault.member(member).ok_or_else(|| no_member(member))?;
    }
    let at = session.vault.last_seq();
    let me = session.member_of(&globals.card()?)?;
    if !session.vault.has_role(Role::Creator, None, &me, at) {
        return Err(Failure::refused(format!("{me} may not create datasets"))
            .or_in_chinese(format!("{me} 没有创建数据集的权限"))
            .hints(
                format!("an officer gives the role: `seqvault member role {me} creator`"),
                format!("由管理员授予：`seqvault member role {me} creator`"),
            ));
    }
    let first = First::of(globals, session, &args)?;
    let begun = unfinished(session, &me, &args, &first, &title).await?;
    let signer = session.signer(globals)?;
    let mut state = match begun {
        Some(state) => {
            keep_begun(globals, &state, &first, args.save_sealed.as_deref())?;
            state
        }
        None => {
            first.stated.share(globals, session, &signer, &args.dataset, args.save_sealed.as_deref()).await?;
            first_entry(session, &signer, &args, &first, title, recovery).await?
        }
    };
    for member in &args.uploader {
        if !state.uploaders().contains(member) {
            let body = Body::UploaderSet(UploaderSet { member: member.clone(), on: true });
            session.append_always(&signer, &mut state, &body).await?;
        }
    }
    let made = Created {
        dataset: args.dataset,
        steward: me,
        level: first.level,
        sealed_to: state.newest_epoch().map_or(0, |epoch| epoch.seals.len()),
        uploaders: args.uploader,
        sealed_facts: crate::facts::commitment(state.facts()),
    };
    globals.output().result(&made, || {
        format!(
            "dataset {} is created, level {}, steward {}\nits id and title are visible to whoever holds the vault",
            made.dataset, made.level, made.steward
        )
    })
}

/// Saves the sealed part that the dataset's statement commits to, which is not the one of this run: its salt is another. If the answers are
/// others as well, that is said.
fn keep_begun(globals: &Globals, state: &DatasetState, first: &First, copy: Option<&std::path::Path>) -> Outcome<()> {
    let (lang, home) = (globals.lang(), globals.state()?);
    let Some(facts) = &first.facts else { return Ok(()) };
    if let Some(copy) = copy {
        let sealed = crate::facts::sealed_part(state.facts(), None, &home)?.ok_or_else(|| {
            Failure::not_found(match lang {
                Lang::En => "the sealed part of the facts, which an earlier run stated, is not on this machine",
                Lang::Zh => "先前运行所陈述事实的密封部分不在本机",
            })
            .hints(
                "run the same command without --save-sealed; `seqvault dataset facts --open` reads it where it is kept",
                "请不带 --save-sealed 运行同一命令；`seqvault dataset facts --open` 可读取随数据集保存的部分",
            )
        })?;
        crate::facts::write_private(copy, &sealed)?;
    }
    let known = crate::facts::known::<Dataset>(state.id().as_str(), state.facts(), None, &home, lang)?;
    if known.whole && known.facts != *facts {
        output::warn(&match lang {
            Lang::En => format!(
                "warning: an earlier run stated other sealed answers, and those count: `seqvault dataset amend {} --facts FILE` states these",
                state.id()
            ),
            Lang::Zh => format!(
                "警告：先前运行陈述的密封答案与此不同，以先前者为准：可用 `seqvault dataset amend {} --facts FILE` 变更",
                state.id()
            ),
        });
    }
    Ok(())
}

/// The dataset that this command created before it was interrupted: mine, with the same words, an uploader still missing.
async fn unfinished(
    session: &mut Session,
    me: &MemberId,
    args: &Create,
    first: &First,
    title: &Text,
) -> Outcome<Option<DatasetState>> {
    let state = match session.dataset(&args.dataset).await {
        Ok(state) => state,
        Err(failure) if failure.kind == Kind::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    };
    let same = state.creator() == me
        && state.level() == first.level
        && same_in_the_clear(state.facts(), &first.stated.stated)
        && state.title() == title.as_str()
        && !state.is_deleted();
    let missing = args.uploader.iter().any(|member| !state.uploaders().contains(member));
    if same && missing { Ok(Some(state)) } else { Err(taken(&args.dataset)) }
}

fn taken(id: &DatasetId) -> Failure {
    Failure::new(Kind::Conflict, format!("there is a dataset {id} already"))
        .or_in_chinese(format!("已有数据集 {id}"))
        .hints("ids are never used twice: choose another", "标识不得重复使用：请另选一个")
}

/// Draws the first epoch, seals it and creates the dataset.
async fn first_entry(
    session: &mut Session,
    signer: &Signer,
    args: &Create,
    first: &First,
    title: Text,
    recovery: BTreeSet<CardId>,
) -> Outcome<DatasetState> {
    let (me, at) = (&signer.member, session.vault.last_seq());
    let mut holders: BTreeSet<(MemberId, CardId)> =
        session.vault.current_cards(me, at).map(|c| (me.clone(), *c.card.id())).collect();
    holders.extend(recovery.iter().filter_map(|id| session.vault.card(id).map(|c| (c.member.clone(), *id))));
    let secret = EpochSecret::generate(&mut random::system());
    let mut seals = Seals::default();
    seals.add(session, signer, &args.dataset, 1, &secret, &holders)?;
    let body = DatasetCreated {
        epoch: FirstEpoch {
            public: B64(secret.public_key(&session.scope(&args.dataset), 1).as_bytes().to_vec()),
            seals: seals.hashes().collect(),
        },
        facts: first.stated.stated.clone(),
        level: first.level,
        recovery: recovery.into_iter().collect(),
        title,
    };
    if let Err(failure) = seals.write(session).await {
        // A server takes no seals for the first epoch of a dataset that somebody else made meanwhile.
        let lost = failure.kind == Kind::Refused && session.dataset_even_if_deleted(&args.dataset).await.is_ok();
        return Err(if lost { taken(&args.dataset) } else { failure });
    }
    match session.create_dataset(signer, &args.dataset, Body::DatasetCreated(body)).await? {
        Some(state) => Ok(state),
        None => {
            seals.withdraw(session).await;
            Err(taken(&args.dataset))
        }
    }
}

/// The vault's recovery cards that are still current, and those named.
fn recovery_cards(session: &Session, named: &[PathBuf]) -> Outcome<BTreeSet<CardId>> {
    let at = session.vault.last_seq();
    let is_current =
        |id: &CardId| session.vault.card(id).is_some_and(|c| session.vault.is_current_card(id, &c.member, at));
    let mut cards: BTreeSet<CardId> = session.vault.recovery_cards().iter().copied().filter(is_current).collect();
    for path in named {
        let card = read_card(path)?;
        if !is_current(card.id()) {
            return Err(Failure::refused(format!("{}: a recovery card belongs to an enrolled member", path.display()))
                .or_in_chinese(format!("{}：恢复卡须属于已登记的成员", path.display())));
        }
        cards.insert(*card.id());
    }
    Ok(cards)
}

fn read_facts(path: &std::path::Path) -> Outcome<Facts> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| {
        Failure::usage(format!("{}: line {}, column {}: not JSON", path.display(), e.line(), e.column()))
            .or_in_chinese(format!("{}：第 {} 行第 {} 列：不是 JSON", path.display(), e.line(), e.column()))
    })?;
    json::parse_shape(value).map_err(|e| {
        Failure::usage(format!("{}: {e}", path.display())).or_in_chinese(format!("{}：格式不符", path.display())).hints(
            "facts are one JSON object; member names are lower-case letters, digits and _; numbers are integers",
            "事实为一个 JSON 对象；名称由小写字母、数字和 _ 组成；数值为整数",
        )
    })
}

/// What became of a grant, in words.
#[must_use]
pub fn grant_status(grant: &Grant, at: At) -> String {
    match grant.status {
        GrantStatus::Suspended => "suspended".to_owned(),
        GrantStatus::Revoked { seq } => format!("revoked by entry {seq}"),
        GrantStatus::Given => match grant.ends {
            None => "granted".to_owned(),
            Some(ends) if ends <= at.time => format!("ended {}", output::time(ends)),
            Some(ends) => format!("granted until {}", output::time(ends)),
        },
    }
}

#[derive(Serialize)]
struct Shown {
    dataset: DatasetId,
    title: String,
    level: u64,
    created: u64,
    creator: MemberId,
    stewards: Vec<MemberId>,
    approvers: Vec<MemberId>,
    uploaders: Vec<MemberId>,
    grants: BTreeMap<MemberId, ShownGrant>,
    recovery_cards: usize,
    epoch: u64,
    epoch_opened: u64,
    closed: u64,
    stale: bool,
    deleted: bool,
    deletion: Option<ShownDeletion>,
    uploads: Uploads,
    manifests: usize,
    files: u64,
    bytes: u64,
    entries: usize,
    head: Option<EntryHash>,
    confirmed_by: Option<MemberId>,
    /// Grants that stand and that the rules in force do not allow.
    against_rules: Vec<String>,
    withdrawals: Vec<super::withdraw::Shown>,
    attestations: usize,
}

#[derive(Serialize)]
struct ShownDeletion {
    entry: u64,
    time: u64,
    author: MemberId,
    reason: String,
}

#[derive(Serialize)]
struct ShownGrant {
    status: String,
    current: bool,
    cards: usize,
    ends: Option<u64>,
    /// The hash of the agreement that the grantee accepted for it.
    agreement: Option<Digest>,
}

#[derive(Serialize, Default)]
struct Uploads {
    open: usize,
    committed: usize,
    closed: usize,
}

async fn show(globals: &Globals, session: &mut Session, id: &DatasetId) -> Outcome<()> {
    let state = session.dataset_even_if_deleted(id).await?;
    let mut shown = shown(session, &state);
    if !state.is_deleted() {
        shown.against_rules = super::due::against_rules(globals, session, &state).await?;
    }
    globals.output().result(&shown, || shown_text(&shown, globals.lang()))
}

fn shown(session: &Session, state: &DatasetState) -> Shown {
    let (vault, at) = (&session.vault, session.at());
    let mut uploads = Uploads::default();
    for upload in state.uploads().values() {
        match upload.status {
            UploadStatus::Open => uploads.open += 1,
            UploadStatus::Committed { .. } => uploads.committed += 1,
            UploadStatus::Closed => uploads.closed += 1,
        }
    }
    let visible = || state.manifests().values().filter(|m| m.is_visible());
    let grants = state.grants().iter().map(|(member, grant)| {
        let cards = state.newest_epoch().map_or(0, |e| e.seals.keys().filter(|(m, _)| m == member).count());
        let current = state.has_grant(vault, member, at);
        (
            member.clone(),
            ShownGrant {
                status: grant_status(grant, at),
                current,
                cards,
                ends: grant.ends,
                agreement: grant.agreement,
            },
        )
    });
    Shown {
        dataset: state.id().clone(),
        title: state.title().to_owned(),
        level: state.level(),
        created: state.created(),
        creator: state.creator().clone(),
        stewards: vault.members().map(|(id, _)| id).filter(|m| state.is_steward(vault, m, at.vault)).cloned().collect(),
        approvers: vault.members_with(Role::Approver, Some(state.id()), at.vault).cloned().collect(),
        uploaders: state.uploaders().iter().cloned().collect(),
        grants: grants.collect(),
        recovery_cards: state.recovery().len(),
        epoch: state.newest(),
        epoch_opened: state.newest_epoch().map_or(0, |e| e.time),
        closed: state.closed(),
        stale: state.is_stale(vault, at),
        deleted: state.is_deleted(),
        deletion: state.deletion().map(|deletion| ShownDeletion {
            entry: deletion.seq,
            time: deletion.time,
            author: deletion.author.clone(),
            reason: deletion.reason.clone(),
        }),
        uploads,
        manifests: visible().count(),
        files: visible().map(|m| m.signed.files - (m.removed_files.len() as u64).min(m.signed.files)).sum(),
        bytes: visible().map(|m| m.signed.packs.bytes).sum(),
        entries: state.judged().len(),
        head: state.head().map(|h| h.hash),
        confirmed_by: state.confirmed().map(|(member, _)| member.clone()),
        against_rules: Vec::new(),
        withdrawals: super::withdraw::shown(state),
        attestations: state.attested().len(),
    }
}

fn shown_text(s: &Shown, lang: Lang) -> String {
    let names = |members: &[MemberId]| {
        if members.is_empty() {
            "none".to_owned()
        } else {
            members.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    };
    let mut text = format!(
        "{}  {}\n  level {}, created {} by {}\n  stewards: {}\n  uploaders: {}\n  epoch {} of {}{}{}\n  {} files in {} manifests, {} sealed; {} uploads open\n  ledger: {} entries",
        s.dataset,
        s.title,
        s.level,
        output::time(s.created),
        s.creator,
        names(&s.stewards),
        names(&s.uploaders),
        s.epoch,
        output::time(s.epoch_opened),
        if s.closed < s.epoch { ", rotation not finished (`seqvault rotate`)" } else { "" },
        if s.stale && !s.deleted { ", stale: uploads wait for `seqvault rotate`" } else { "" },
        s.files,
        s.manifests,
        output::bytes(s.bytes),
        s.uploads.open,
        s.entries,
    );
    if let Some(deletion) = &s.deletion {
        let (by, when, why) = (&deletion.author, output::time(deletion.time), &deletion.reason);
        text.push_str(&match lang {
            Lang::En => {
                format!("\n  DELETED by {by} at {when}: {why}; what is above and below is what its ledger tells")
            }
            Lang::Zh => format!("\n  已删除：{by}，{when}，理由：{why}；上下所示为其账本所载"),
        });
    }
    for (member, grant) in &s.grants {
        let cards = if grant.cards == 1 { "1 card" } else { &format!("{} cards", grant.cards) };
        let note = if grant.current { cards } else { "can't open what is sealed from now on" };
        text.push_str(&format!("\n  {member}: {} ({note})", grant.status));
    }
    for item in &s.against_rules {
        text.push_str(&match lang {
            Lang::En => format!("\n  against the rules: {item}"),
            Lang::Zh => format!("\n  不符合规则：{item}"),
        });
    }
    for one in &s.withdrawals {
        text.push_str(&format!("\n  {}", super::withdraw::lines(one, lang).replace('\n', "\n  ")));
    }
    output::printable(&text)
}

#[derive(Serialize)]
struct Listed {
    dataset: DatasetId,
    title: String,
    level: u64,
    files: u64,
    bytes: u64,
    epoch: u64,
    stale: bool,
    grants: usize,
    mine: String,
    deleted: bool,
}

async fn list(globals: &Globals, session: &mut Session) -> Outcome<()> {
    let me = globals.card().ok().and_then(|card| session.member_of(&card).ok());
    let mut listed = Vec::new();
    for state in session.datasets().await? {
        let s = shown(session, &state);
        let mine = me.as_ref().and_then(|m| s.grants.get(m)).map_or_else(String::new, |g| g.status.clone());
        let mine = if s.deleted { String::new() } else { mine };
        listed.push(Listed {
            dataset: s.dataset,
            title: s.title,
            level: s.level,
            files: if s.deleted { 0 } else { s.files },
            bytes: if s.deleted { 0 } else { s.bytes },
            epoch: s.epoch,
            stale: s.stale && !s.deleted,
            grants: if s.deleted { 0 } else { s.grants.values().filter(|g| g.current).count() },
            mine,
            deleted: s.deleted,
        });
    }
    globals.output().result(&listed, || {
        let rows: Vec<Vec<String>> = listed
            .iter()
            .map(|d| {
                let epoch = match (d.deleted, d.stale) {
                    (true, _) => "deleted".to_owned(),
                    (false, true) => format!("{} (stale)", d.epoch),
                    (false, false) => d.epoch.to_string(),
                };
                let (files, size, readers) = (d.files.to_string(), output::bytes(d.bytes), d.grants.to_string());
                vec![
                    d.dataset.to_string(),
                    d.level.to_string(),
                    files,
                    size,
                    epoch,
                    readers,
                    d.mine.clone(),
                    d.title.clone(),
                ]
            })
            .collect();
        output::table(&["DATASET", "LEVEL", "FILES", "SEALED", "EPOCH", "READERS", "YOURS", "TITLE"], &rows)
    })?;
    session.is_complete()
}
