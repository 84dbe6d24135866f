//! `seqvault subjects`: the key that stewards share to count persons once, sets of marks made with it, and persons who are counted for
//! nothing. Spec 2.7 and 5.6.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use vault_core::context::Scope;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId, MemberId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::{ExposureState, Exposures};
use vault_core::ledger::fold::Verdict;
use vault_core::ledger::statement::{Body, Entry, Released, ReleasedTerms, Reservation, Said};
use vault_policy::Lang;
use vault_policy::facts::subjects::Marks;
use vault_policy::ledger::{Ground, may_release, rests_on};
use zeroize::Zeroizing;

use crate::acts::{self, Carried, Owned, Place};
use crate::error::{Failure, Outcome};
use crate::facts;
use crate::gate::{self, Placed};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::stewards::{self, Keys};
use crate::terms::{RELEASED, Terms, TermsFile};

/// The longest file of identifiers: some half a million of them.
const MAX_IDS: usize = 16 << 20;
/// How long a grant may be between its count and its statement, in seconds, before it is taken for dead.
const AT_WORK: u64 = 3_600;

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
    /// Take back persons that are counted for a grant that never was, or whose data a recipient attests to have destroyed
    #[command(
        after_help = "Examples:\n  seqvault subjects release run-42 --dry-run\n  seqvault subjects release run-42\n  seqvault subjects release run-42 --terms run-42-anna-release.terms.json\n\nPersons are counted before a grant is made. A command that dies between leaves them counted; `seqvault due` lists them after an hour, and this takes back those\nthat you counted and nothing rests on. With --terms it carries out what `propose subjects release` proposed and officers approved."
    )]
    Release(Release),
}

#[derive(ClapArgs, Debug)]
struct Release {
    /// The dataset
    dataset: DatasetId,
    /// Also those of the last hour: of a grant that is under way, that grant fails
    #[arg(long, conflicts_with = "terms")]
    recent: bool,
    /// Also those that others counted (officers)
    #[arg(long, conflicts_with = "terms")]
    others: bool,
    #[command(flatten)]
    how: Carried,
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
        Verb::Release(args) => match &args.how.terms {
            Some(path) => released(globals, &args, path).await,
            None => release(globals, &args).await,
        },
    }
}

/// A reservation whose persons are counted and were given to nobody.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Unused {
    /// In the exposure ledger.
    pub(crate) ledger: LedgerId,
    pub(crate) entry: u64,
    hash: EntryHash,
    /// Who counted them.
    pub(crate) author: MemberId,
    /// For whom.
    pub(crate) member: MemberId,
    pub(crate) added: u64,
    pub(crate) time: u64,
    /// Whether its dataset's ledger has cancelled it already, and only the count is left to follow.
    cancelled: bool,
}

impl Unused {
    /// Those of a dataset, of each ledger the newest first. One on which a grant rests that was counted behind it is in use.
    pub(crate) fn of(exposures: &Exposures, dataset: &DatasetState) -> Vec<Self> {
        let mut found = Vec::new();
        for state in exposures.iter() {
            let ledger = LedgerId::Exposure(*state.recipient());
            let mut standing: Vec<_> = state
                .reserved()
                .iter()
                .filter(|(_, one)| one.dataset == *dataset.id() && one.released.is_none())
                .collect();
            standing.sort_by_key(|(_, one)| core::cmp::Reverse(one.seq));
            let mut is_rested_on = false;
            for (hash, one) in standing {
                let named = Reservation { hash: *hash, ledger: ledger.clone(), seq: one.seq };
                let is_used = dataset.is_traced(&named) || dataset.cited_reservations().any(|cited| cited == named);
                is_rested_on |= is_used;
                // Those of other datasets may count fewer because of it as well.
                let of_others = || rests_on(state, hash).any(|other| other.dataset != *dataset.id());
                if is_used || (is_rested_on && one.added > 0) || of_others() {
                    continue;
                }
                found.push(Self {
                    ledger: ledger.clone(),
                    entry: one.seq,
                    hash: *hash,
                    author: one.author.clone(),
                    member: one.member.clone(),
                    added: one.added,
                    time: one.time,
                    cancelled: dataset.is_settled(&named),
                });
            }
        }
        found
    }

    /// Whether the command that counted them can't be at work any more.
    pub(crate) const fn is_old(&self, now: u64) -> bool {
        now.saturating_sub(self.time) > AT_WORK
    }

    fn reservation(&self) -> Reservation {
        Reservation { hash: self.hash, ledger: self.ledger.clone(), seq: self.entry }
    }
}

/// What is said where a store failed with persons counted: whether the grant came to be, nobody here knows.
pub(super) fn stay_counted(dataset: &DatasetId, placed: &Placed, lang: Lang) {
    for reservation in placed.reservation.iter().chain(&placed.export) {
        let (ledger, seq) = (&reservation.ledger, reservation.seq);
        output::warn(&match lang {
            Lang::En => format!(
                "seqvault: persons stay counted in {ledger}, entry {seq}: run the same command again, which counts nobody twice, or take them back with `seqvault subjects release {dataset}`"
            ),
            Lang::Zh => format!(
                "seqvault：{ledger} 第 {seq} 条登记的人数仍计入：可再次运行同一命令（不会重复计数），或以 `seqvault subjects release {dataset}` 撤回"
            ),
        });
    }
}

#[derive(Serialize)]
struct TakenBack {
    dataset: DatasetId,
    /// What was, or would be, taken back.
    released: Vec<Unused>,
    persons: u64,
    dry_run: bool,
}

async fn release(globals: &Globals, args: &Release) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    let mut session = Session::open(globals).await?;
    let mut state = session.dataset(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if args.others && !session.vault.is_officer(&me, session.vault.last_seq()) {
        return Err(Failure::refused(format!("{me} is no officer: only officers take back what others counted"))
            .or_in_chinese(format!("{me} 不是管理员：只有管理员可以撤回他人的人数登记")));
    }
    let exposures = session.exposures().await?;
    let now = session.at().time;
    let mut taken = Vec::new();
    let mut blocked: BTreeSet<LedgerId> = BTreeSet::new();
    for one in Unused::of(&exposures, &state) {
        let is_mine = one.author == me || args.others;
        let fits = is_mine && (args.recent || one.is_old(now));
        if !fits || blocked.contains(&one.ledger) {
            // What was counted behind it may count fewer because of it.
            blocked.insert(one.ledger.clone());
            out.note(&left(&one, is_mine, fits, lang));
        } else {
            taken.push(one);
        }
    }
    let done = |released: Vec<Unused>, dry_run| TakenBack {
        dataset: args.dataset.clone(),
        persons: released.iter().map(|one| one.added).sum(),
        released,
        dry_run,
    };
    if args.how.dry_run || taken.is_empty() {
        let done = done(taken, args.how.dry_run);
        return out.result(&done, || text_of(&done, lang));
    }
    let signer = session.signer(globals)?;
    for one in &taken {
        let reservation = one.reservation();
        let cancellation = match one.cancelled {
            true => Some(cancellation(&session, &state, &reservation).await?),
            false => None,
        };
        gate::take_back(&mut session, &signer, &mut state, &reservation, cancellation).await.map_err(|failure| {
            failure.at_both(
                format_args!("entry {} of {} is not taken back", one.entry, one.ledger),
                format_args!("{} 第 {} 条未撤回", one.ledger, one.entry),
            )
        })?;
    }
    let done = done(taken, false);
    out.result(&done, || text_of(&done, lang))
}

fn left(one: &Unused, is_mine: bool, fits: bool, lang: Lang) -> String {
    let (entry, ledger, added, author) = (one.entry, &one.ledger, one.added, &one.author);
    let (en, zh) = match (is_mine, fits) {
        (false, _) => (
            "counted by somebody else: they release it, or an officer with --others",
            "由他人登记：由其撤回，或由管理员加 --others 撤回",
        ),
        (true, false) => (
            "of the last hour, perhaps of a grant under way: --recent takes it back too",
            "人数登记未满一小时，可能属于正在进行的授权：加 --recent 一并撤回",
        ),
        (true, true) => ("a later one that stays may rest on it", "其后保留的人数登记可能以其为据"),
    };
    match lang {
        Lang::En => format!("left: {added} person(s) in {ledger}, entry {entry}, by {author}: {en}"),
        Lang::Zh => format!("保留：{ledger} 第 {entry} 条，{added} 人，登记人 {author}：{zh}"),
    }
}

fn text_of(done: &TakenBack, lang: Lang) -> String {
    let (n, persons, dataset) = (done.released.len(), done.persons, &done.dataset);
    match (lang, done.dry_run) {
        (Lang::En, _) if n == 0 => format!("{dataset}: nobody is counted for nothing that you can take back"),
        (Lang::Zh, _) if n == 0 => format!("{dataset}：没有可由您撤回的无效计数"),
        (Lang::En, true) => {
            format!("{dataset}: {n} reservation(s), {persons} person(s), would be taken back; nothing was done")
        }
        (Lang::Zh, true) => format!("{dataset}：将撤回 {n} 条人数登记，{persons} 人；未执行任何操作"),
        (Lang::En, false) => {
            format!("{dataset}: {n} reservation(s) are taken back; {persons} person(s) are counted no more")
        }
        (Lang::Zh, false) => format!("{dataset}：已撤回 {n} 条人数登记，{persons} 人不再计入"),
    }
}

/// Where the dataset's ledger cancelled a reservation.
async fn cancellation(session: &Session, dataset: &DatasetState, of: &Reservation) -> Outcome<Reservation> {
    let entries = session.client.entries(&dataset.ledger(), 0).await?;
    let found = (0u64..).zip(entries.iter().zip(dataset.judged())).find(|(_, (stored, judged))| {
        judged.verdict == Verdict::Applied
            && matches!(Entry::parse(stored).map(|entry| entry.said), Ok(Said::Known(statement))
                if matches!(&statement.body, Body::ReservationCancelled(body) if body.reservation == *of))
    });
    let gone = || {
        Failure::integrity(format!("the entry of {} that cancels a reservation is gone", dataset.ledger()))
            .or_in_chinese(format!("{} 中取消人数登记的条目已不在", dataset.ledger()))
    };
    found.map(|(seq, (_, judged))| Reservation { hash: judged.hash, ledger: dataset.ledger(), seq }).ok_or_else(gone)
}

/// The reservation of a member who attests destruction, with its ledger: what a release with approvals is of.
///
/// # Errors
/// If there is none, there are several and none is named, the member still has a grant or attested nothing, or the caller may not.
pub(super) async fn attested(
    globals: &Globals,
    session: &mut Session,
    dataset: &DatasetState,
    member: &MemberId,
    named: Option<&str>,
) -> Outcome<(ExposureState, ReleasedTerms)> {
    let (id, me) = (dataset.id(), session.member_of(&globals.card()?)?);
    let entry = cites(dataset, member)?.hash;
    let exposures = session.exposures().await?;
    let named = named.unwrap_or_default();
    let standing = |state: &'_ ExposureState| {
        let fits = state.reserved().iter().filter(|(hash, one)| {
            one.dataset == *id && one.member == *member && one.released.is_none() && hash.to_string().starts_with(named)
        });
        fits.map(|(hash, one)| (*hash, one.author.clone(), one.added)).collect::<Vec<_>>()
    };
    let mut found: Vec<_> = exposures
        .iter()
        .flat_map(|state| standing(state).into_iter().map(move |(hash, author, added)| (state, hash, author, added)))
        .collect();
    let mut refusal = None;
    found.retain(|(state, hash, ..)| match may_release(state, dataset, hash, Ground::Destroyed(&entry)) {
        Ok(()) => true,
        Err(why) => {
            refusal = Some(gate::refused(&why, globals.lang()));
            false
        }
    });
    match found.as_slice() {
        [] => Err(refusal.unwrap_or_else(|| {
            Failure::not_found(format!("nobody of {id} is counted for {member}"))
                .or_in_chinese(format!("没有 {id} 的人员计入 {member}"))
        })),
        [(state, hash, author, _)] => {
            if *author != me && !session.vault.is_officer(&me, session.vault.last_seq()) {
                return Err(Failure::refused(format!("{me} neither counted them nor is an officer"))
                    .or_in_chinese(format!("{me} 既非登记人，也非管理员")));
            }
            Ok(((*state).clone(), ReleasedTerms { reserved: *hash }))
        }
        several => {
            let list = |lang: Lang| {
                let one = |(state, hash, _, added): &(&ExposureState, EntryHash, MemberId, u64)| match lang {
                    Lang::En => format!("{hash} ({added} persons in exposure/{})", state.recipient()),
                    Lang::Zh => format!("{hash}（{added} 人，exposure/{}）", state.recipient()),
                };
                let between = if lang == Lang::En { "; " } else { "；" };
                several.iter().map(one).collect::<Vec<_>>().join(between)
            };
            Err(Failure::usage(format!("{member} has several reservations; name one with --reservation"))
                .or_in_chinese(format!("{member} 有多条人数登记；请以 --reservation 指明一条"))
                .hints(list(Lang::En), list(Lang::Zh)))
        }
    }
}

/// What an officer approves who lets persons be counted no more: which entry says so, when, of what; said only if it bears the release.
///
/// # Errors
/// If the member still has a grant, has attested nothing, or the reservation may not be released.
pub(super) async fn ground(
    session: &mut Session,
    exposure: &ExposureState,
    terms: &ReleasedTerms,
    lang: Lang,
) -> Outcome<String> {
    let ledger = LedgerId::Exposure(*exposure.recipient());
    let gone = || {
        Failure::not_found(format!("{ledger} has no such reservation"))
            .or_in_chinese(format!("{ledger} 没有该条人数登记"))
    };
    let reserved = exposure.reserved().get(&terms.reserved).filter(|one| one.released.is_none()).ok_or_else(gone)?;
    let dataset = session.dataset_even_if_deleted(&reserved.dataset).await?;
    let cited = cites(&dataset, &reserved.member)?;
    may_release(exposure, &dataset, &terms.reserved, Ground::Destroyed(&cited.hash))
        .map_err(|e| gate::refused(&e, lang))?;
    let attested = dataset.attested().iter().find(|one| one.entry == cited.hash).ok_or_else(gone)?;
    let document = attested.document.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    let (added, id, member) = (reserved.added, dataset.id(), &reserved.member);
    let (seq, time, by, scope) = (attested.seq, output::time(attested.time), &attested.author, &attested.scope);
    Ok(match lang {
        Lang::En => format!(
            "to be counted no more: {added} person(s) of {id}, given to {member}, who has no grant on it now\n  entry {seq} of {id}, {time}, by {by}: attests to have destroyed: {scope}\n  document: {document}\n  it is their word alone: whether it covers all that they had, you judge"
        ),
        Lang::Zh => format!(
            "拟不再计入：{id} 的 {added} 人，曾提供给 {member}，其现无授权\n  {id} 第 {seq} 条，{time}，由 {by} 声明已销毁：{scope}\n  文件：{document}\n  此仅为其自身声明：是否涵盖其全部所得，由您判断"
        ),
    })
}

/// The entry by which a member without a grant attests that it destroyed its copies.
fn cites(dataset: &DatasetState, member: &MemberId) -> Outcome<Reservation> {
    let id = dataset.id();
    if super::grant::is_given(dataset, member) {
        return Err(Failure::refused(format!("{member} has a grant on {id}: who can read it stays counted"))
            .or_in_chinese(format!("{member} 在 {id} 上有授权：可读取者须继续计入"))
            .hints(
                format!("`seqvault revoke {id} {member}` ends it"),
                format!("`seqvault revoke {id} {member}` 可终止授权"),
            ));
    }
    let attestation = dataset.attested().iter().rev().find(|one| one.member == *member);
    let attestation = attestation.ok_or_else(|| {
        Failure::refused(format!("{member} has not attested to have destroyed what it had of {id}"))
            .or_in_chinese(format!("{member} 尚未声明已销毁其持有的 {id} 副本"))
            .hints(
                format!("they run `seqvault attest {id} --scope …`"),
                format!("由其运行 `seqvault attest {id} --scope …`"),
            )
    })?;
    Ok(Reservation { hash: attestation.entry, ledger: dataset.ledger(), seq: attestation.seq })
}

#[derive(Serialize)]
struct CountedNoMore {
    dataset: DatasetId,
    member: MemberId,
    ledger: LedgerId,
    persons: u64,
    entry: u64,
    approved_by: Vec<MemberId>,
}

/// Carries out a release that officers approved.
async fn released(globals: &Globals, args: &Release, path: &Path) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    let mut session = Session::open(globals).await?;
    let file = TermsFile::read(path, session.vault.id(), lang)?;
    let (Terms::Released(terms), LedgerId::Exposure(recipient)) = (&file.terms, &file.ledger) else {
        return Err(Failure::usage(format!("{}: no terms of `propose subjects release`", path.display()))
            .or_in_chinese(format!("{}：不是 `propose subjects release` 的条款", path.display())));
    };
    let dataset = session.dataset_even_if_deleted(&args.dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    let exposures = session.exposures().await?;
    let gone = || {
        Failure::not_found(format!("{} has no such reservation of {}", file.ledger, args.dataset))
            .or_in_chinese(format!("{} 没有 {} 的该条人数登记", file.ledger, args.dataset))
    };
    let exposure = exposures.of(recipient).ok_or_else(gone)?;
    let reserved = exposure.reserved().get(&terms.reserved).filter(|one| one.dataset == args.dataset);
    let reserved = reserved.ok_or_else(gone)?.clone();
    let cites = cites(&dataset, &reserved.member)?;
    let place = Place::Exposure(exposure);
    let needed = place.genesis(&session, RELEASED);
    let of = Some((&file, path));
    let act = (RELEASED, "subjects release");
    let approvals = acts::approval(&session, place, of, args.how.proposal.as_deref(), &me, needed, act, lang)?;
    let approved_by = approvals.as_ref().map(acts::Approvals::members).unwrap_or_default();
    let mut done = CountedNoMore {
        dataset: args.dataset.clone(),
        member: reserved.member,
        ledger: file.ledger.clone(),
        persons: reserved.added,
        entry: 0,
        approved_by,
    };
    if args.how.dry_run {
        return out.result(&done, || match lang {
            Lang::En => format!("{} person(s) would be counted no more; nothing was done", done.persons),
            Lang::Zh => format!("{} 人将不再计入；未执行任何操作", done.persons),
        });
    }
    let signer = session.signer(globals)?;
    let body = Released { approval: approvals.map(|found| found.approval), cites, terms: terms.clone() };
    let mut owned = Owned::Exposure(exposure.clone());
    done.entry = owned.append(&mut session, &signer, |_, _| Ok(Body::Released(body.clone()))).await?.0;
    out.result(&done, || match lang {
        Lang::En => format!(
            "{} person(s) of {} are counted no more for whoever is behind {}",
            done.persons, done.dataset, done.member
        ),
        Lang::Zh => format!("{} 的 {} 人不再计入 {} 的最终接收方", done.dataset, done.persons, done.member),
    })
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
        return Err(Failure::usage("--scheme is empty").or_in_chinese("--scheme 为空"));
    }
    let mut session = Session::open(globals).await?;
    let state = session.dataset(&dataset).await?;
    let me = session.member_of(&globals.card()?)?;
    if !state.is_steward(&session.vault, &me, session.at().vault) {
        return Err(Failure::refused(format!("{me} is no steward of {dataset}: only its stewards mark its persons"))
            .or_in_chinese(format!("{me} 不是 {dataset} 的数据管理者：只有其数据管理者可以标记人员")));
    }
    let text = identifiers(ids)?;
    let signer = session.signer(globals)?;
    let keys = Keys::ensure(&mut session, &signer).await?;
    let vault = Scope { suite: session.vault.suite(), vault: Some(*session.vault.id()), dataset: None };
    let key = keys.newest()?.1.mark_key(&vault);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marks = Marks::derive(&key, scheme, lines);
    if marks.is_empty() {
        return Err(Failure::usage(format!("{} names nobody", ids.display()))
            .or_in_chinese(format!("{} 中没有任何人", ids.display())));
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
        return Err(Failure::usage(format!("{} is longer than {} MiB", path.display(), MAX_IDS >> 20))
            .or_in_chinese(format!("{} 超过 {} MiB", path.display(), MAX_IDS >> 20)));
    }
    let text = bytes.get(..length).and_then(|bytes| core::str::from_utf8(bytes).ok());
    text.map(|text| Zeroizing::new(text.to_owned())).ok_or_else(|| facts::not_text(path))
}
