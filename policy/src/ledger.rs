//! The gate over folded ledgers: what a client asks before it grants, what a server asks at the append, and what every reader can ask
//! again, years later. One function for all of them, [`check`]; the rest prepares for it.
//!
//! A vault is *gated* from the entry on at which an officer put a rule pack in force. There, a `granted` counts only with the trace of a
//! decision that allows it, made again here from what stands in the clear in the ledgers: the dataset's facts and level, the
//! member's enrolment, the grant's facts, the reservations that it rests on, the packs in force at the vault entry that it cites, and
//! its time. The fold of a ledger (spec 4.4) knows nothing of packs, so a grant against the rules is not void: a server refuses to
//! append it, and readers find it with [`audit`] and say so.
//!
//! ## Counting
//!
//! Two totals, each in an exposure ledger (spec 5.6) of its own, so that two grants at once can't both pass a limit:
//!
//! | counted | ledger | named by |
//! |---|---|---|
//! | persons that an ultimate recipient was given | [`recipient_ledger`]: SHA-256 of its legal identifier | `granted.reservation` |
//! | persons that a provider exported in a year | [`export_ledger`]: SHA-256 of `export/YEAR/` and the controller's legal identifier | the trace |
//!
//! A grant that is counted has a reservation of its own there, also if it adds nobody, so that its total is the newest. It adds what the
//! dataset's facts count and no unreleased reservation for the dataset did before. Whoever knows that persons were
//! counted already, under another dataset, can add fewer and names the set of subjects by its hash: a steward's signed word.

use std::collections::BTreeSet;

use vault_core::hazmat::kdf::sha256;
use vault_core::ids::{DatasetId, Digest, EntryHash, LedgerId, MemberId};
use vault_core::ledger::dataset::{DatasetState, GrantOrigin, GrantStatus};
use vault_core::ledger::exposure::{Cited, ExposureState, Exposures, Reserved};
use vault_core::ledger::fold::{At, Verdict};
use vault_core::ledger::statement::{
    Body, Entry, Facts, Granted, Info, MemberReservation, Released, Reservation, Role, Said, Statement,
};
use vault_core::ledger::vault::VaultState;

use crate::day::Day;
use crate::facts::{Dataset, Member, StatedError};
use crate::gate::inputs::legal_id;
use crate::gate::{
    Case, Decision, Exposure, Outcome, Pack, Place, Standing, Stated, Trace, TraceError, decide, shipped_by_hash,
};
use crate::lang::{Bilingual, Lang};
use crate::problem::Problems;

/// Why the gate does not let a statement pass, or can't be asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A pack in force is not at hand.
    #[error("rule pack {name} with hash {hash} is in force and not at hand: give its file")]
    NoPack {
        /// Its name.
        name: String,
        /// Its hash.
        hash: Digest,
    },
    /// Nobody is enrolled under this name.
    #[error("{0} is no member")]
    NoMember(MemberId),
    /// Facts that can't be read.
    #[error("the facts of the {of} can't be read: {why}")]
    Facts {
        /// The dataset, the member or the grant.
        of: &'static str,
        /// Why not.
        why: StatedError,
    },
    /// Facts that contradict each other.
    #[error("the facts of the {of} contradict each other: {why}")]
    Contradiction {
        /// The dataset, the member or the grant.
        of: &'static str,
        /// How.
        why: Problems,
    },
    /// A grant without the record of a decision.
    #[error("rule packs are in force and the grant has no record of a decision")]
    NoTrace,
    /// A record that does not stand.
    #[error("the record of the decision does not stand: {0}")]
    Trace(#[from] TraceError),
    /// The rules do not allow it.
    #[error("the rules do not allow it: {}", by(.0, Lang::En))]
    NotAllowed(Box<Decision>),
    /// It ends later than the decision allows.
    #[error("the grant has to end by {0} (seconds since 1970), by the earliest of its ends")]
    Ends(u64),
    /// Fewer approvals than the rules ask for.
    #[error("the rules ask for {needed} approval(s) and the grant names {named}")]
    Approvals {
        /// How many are needed.
        needed: u8,
        /// How many there are.
        named: u64,
    },
    /// A grant that is counted and not reserved.
    #[error("the persons have to be reserved in {0} before")]
    NotReserved(LedgerId),
    /// A reservation that does not serve.
    #[error("the reservation does not serve: {0}")]
    Reservation(&'static str),
    /// Fewer persons than the facts count.
    #[error("the reservation adds {added} person(s), and {needed} of the dataset are not counted yet")]
    TooFew {
        /// How many it adds.
        added: u64,
        /// How many it has to add.
        needed: u64,
    },
    /// More persons than the facts count, for a member to whom nothing was granted.
    #[error("the reservation adds {added} person(s), and the dataset has {most} that are not counted yet")]
    TooMany {
        /// How many it adds.
        added: u64,
        /// How many it may add.
        most: u64,
    },
    /// An export that is counted in somebody else's name.
    #[error("{0} is not enrolled as the dataset's controller, and exports are counted in the controller's name")]
    Provider(MemberId),
    /// A grant that the new facts do not support.
    #[error("under these facts the grant of {0} does not stand: the statement has to suspend it")]
    Suspend(MemberId),
    /// A view of the vault that was old when the statement was made.
    #[error("since the vault entry that it cites, {0} changed: read the vault again")]
    Older(&'static str),
    /// A time before that of what came before.
    #[error("its time is {by} s before that of {of}, which was there before it: one of the two is wrong")]
    Order {
        /// How much before, in seconds.
        by: u64,
        /// Before what.
        of: Earlier,
    },
    /// A reservation that can't be released while a later one stands.
    #[error(
        "entry {0} of the exposure ledger rests on it or may, so its persons stay counted: release that one first, then this one"
    )]
    RestedOn(u64),
    /// An export that was made: a year's total is a sum of acts, and destroying the copy undoes none.
    #[error("it counts persons that were exported, and stays counted in that year whatever becomes of the copies")]
    Exported,
    /// An attestation of destruction that says nothing of what was read after it.
    #[error(
        "its member attested destruction before its grant was over: once it has none (`seqvault revoke` ends it), it attests anew"
    )]
    TooEarly,
    /// Consent that was withdrawn, or a purpose that is over, after the facts were stated.
    #[error("consent was withdrawn since the facts were stated: amend them first")]
    Withdrawn,
    /// A recovery card of another party.
    #[error("{0} is not of the dataset's controller, so a recovery card of theirs would be a share without a decision")]
    Recovery(MemberId),
}

/// What was there before a statement that says an earlier time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Earlier {
    /// An entry of the vault ledger, which it cites.
    Cited(u64),
    /// An entry of its own ledger.
    Entry(u64),
    /// A reservation that it rests on, of this number in its exposure ledger.
    Reservation(u64),
}

impl core::fmt::Display for Earlier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Cited(seq) => write!(f, "vault entry {seq}"),
            Self::Entry(seq) => write!(f, "entry {seq}"),
            Self::Reservation(seq) => write!(f, "the reservation of entry {seq}"),
        }
    }
}

impl Earlier {
    fn zh(self) -> String {
        match self {
            Self::Cited(seq) => format!("保险库第 {seq} 条记录"),
            Self::Entry(seq) => format!("第 {seq} 条记录"),
            Self::Reservation(seq) => format!("人数登记（第 {seq} 条记录）"),
        }
    }
}

impl Refusal {
    /// The reason in both languages.
    #[must_use]
    pub fn text(&self) -> Bilingual {
        let zh = match self {
            Self::NoPack { name, hash } => format!("生效的规则包 {name}（散列值 {hash}）不在手边：请提供其文件"),
            Self::NoMember(member) => format!("{member} 不是成员"),
            Self::Facts { of, why } => format!("无法读取{}的事实：{}", whose(of), why.text().zh),
            Self::Contradiction { of, why } => format!("{}的事实相互矛盾：{}", whose(of), why.say(Lang::Zh)),
            Self::NoTrace => "已有生效的规则包，而授权没有判定记录".to_owned(),
            Self::Trace(why) => format!("判定记录不成立：{}", why.text().zh),
            Self::NotAllowed(decision) => format!("规则不允许：{}", by(decision, Lang::Zh)),
            Self::Ends(at) => format!("授权须在六项期限中最早者（自 1970 年起 {at} 秒）之前结束"),
            Self::Approvals { needed, named } => format!("规则要求 {needed} 人批准，授权只列出 {named} 人"),
            Self::NotReserved(ledger) => format!("须事先在 {ledger} 中登记人数"),
            Self::Reservation(_) => "所引用的人数登记不适用".to_owned(),
            Self::TooFew { added, needed } => format!("登记增加 {added} 人，而数据集中尚有 {needed} 人未计入"),
            Self::TooMany { added, most } => format!("登记增加 {added} 人，而数据集中尚未计入者只有 {most} 人"),
            Self::Provider(member) => format!("{member} 未登记为数据集的控制者，而出境人数以控制者名义累计"),
            Self::Suspend(member) => format!("按新的事实，对 {member} 的授权不再成立，声明须同时中止该授权"),
            Self::Older(what) => format!("所引用的保险库条目之后，{}已变更：请重新读取保险库", changed(what)),
            Self::Order { by, of } => {
                format!("声明的时间比先于它的{}早 {by} 秒：两者之一有误", of.zh())
            }
            Self::RestedOn(seq) => {
                format!("人数登记第 {seq} 条依赖或可能依赖于它，其人数仍须计入：请先撤回该条登记，再撤回本条")
            }
            Self::Exported => "所计入者已经出境：无论副本如何处置，均仍计入当年出境人数".to_owned(),
            Self::TooEarly => {
                "成员声明销毁时其授权尚未终止：授权终止后（以 `seqvault revoke` 终止），由该成员重新声明".to_owned()
            }
            Self::Withdrawn => "陈述事实之后同意已被撤回：请先变更事实".to_owned(),
            Self::Recovery(member) => format!("{member} 不属于数据集的控制者，将其卡片用于恢复即为未经判定的提供"),
        };
        Bilingual::made(self.to_string(), zh)
    }
}

fn whose(of: &str) -> &'static str {
    match of {
        "dataset" => "数据集",
        "member" => "成员",
        _ => "授权",
    }
}

fn changed(what: &str) -> &'static str {
    match what {
        "the rule packs" => "规则包",
        "the member" => "成员信息",
        _ => "批准人",
    }
}

/// The rules that stand in the way, in a line.
fn by(decision: &Decision, lang: Lang) -> String {
    let rules: Vec<_> = decision.missing().map(|fired| format!("{} ({})", fired.rule, fired.text.say(lang))).collect();
    rules.join("; ")
}

/// The packs in force after a vault entry. Empty: the vault is not gated there.
///
/// # Errors
/// If one is neither in this program nor among `more`.
pub fn in_force<'a>(vault: &VaultState, at: u64, more: &'a [Pack]) -> Result<Vec<&'a Pack>, Refusal> {
    let find = |(name, hash): (&str, Digest)| {
        let own = more.iter().find(|pack| pack.hash() == hash);
        let found = own.or_else(|| shipped_by_hash(&hash)).filter(|pack| pack.name() == name);
        found.ok_or_else(|| Refusal::NoPack { name: name.to_owned(), hash })
    };
    vault.packs_at(at).map(find).collect()
}

/// Whether rule packs are in force after a vault entry.
#[must_use]
pub fn is_gated(vault: &VaultState, at: u64) -> bool {
    vault.packs_at(at).next().is_some()
}

/// The exposure ledger of whoever is behind a member, if its facts say who that is.
#[must_use]
pub fn recipient_ledger(member: &Member) -> Option<Digest> {
    member.record().text("ultimate.id").map(|id| Digest(sha256(legal_id(id).as_bytes())))
}

/// The exposure ledger of what a dataset's controller exports in the year of a time, as the packs count days; `None` while the
/// controller is unknown.
#[must_use]
pub fn export_ledger(dataset: &Dataset, time: u64, packs: &[&Pack]) -> Option<Digest> {
    let offset = packs.iter().map(|pack| pack.utc_offset_minutes()).max()?;
    let (year, controller) = (Day::of(time, offset)?.civil().0, dataset.record().text("parties.controller")?);
    Some(Digest(sha256(format!("export/{year:04}/{}", legal_id(controller)).as_bytes())))
}

/// A grant that is proposed, or stands.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The vault's state.
    pub vault: &'a VaultState,
    /// The exposure ledgers of the recipient and of the provider's year, where there are such ledgers, and those that the dataset cites.
    pub exposures: &'a Exposures,
    /// The dataset's state.
    pub dataset: &'a DatasetState,
    /// When, and at which vault entry.
    pub at: At,
    /// The member.
    pub member: &'a MemberId,
    /// The grant's facts, as they are stated.
    pub facts: &'a Facts,
}

/// From when a question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// At the append: by what exposure ledgers hold now.
    Now,
    /// Years later, perhaps: what was released since counted then.
    Again,
}

impl Asked {
    const fn is_now(self) -> bool {
        matches!(self, Self::Now)
    }
}

/// How far a statement's time may be from the clock of whoever lets it be appended, in seconds (spec 7.2 has the same for requests).
pub const SKEW: u64 = 300;

/// What a grant rests on in exposure ledgers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted<'a> {
    /// The reservation for the ultimate recipient.
    pub recipient: Option<&'a Reservation>,
    /// That for the provider's year.
    pub export: Option<&'a Reservation>,
}

/// Which reservations a grant needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToReserve {
    /// For the ultimate recipient.
    pub recipient: Option<Need>,
    /// For the provider's year.
    pub export: Option<Need>,
}

/// A reservation that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// The exposure ledger.
    pub ledger: Digest,
    /// How many persons it adds at least.
    pub added: u64,
    /// The total that it leads to now.
    pub total: u64,
}

/// Facts read once, with what they are asked under.
struct Read {
    dataset: Stated<Dataset>,
    member: Stated<Member>,
    level: u8,
    confirmed: bool,
}

impl Read {
    fn of(ask: &Ask<'_>) -> Result<Self, Refusal> {
        let confirmed = ask.dataset.confirmed().is_some();
        Self::under(ask, ask.dataset.facts(), ask.dataset.level(), confirmed)
    }

    fn under(ask: &Ask<'_>, facts: &Facts, level: u64, confirmed: bool) -> Result<Self, Refusal> {
        let member = ask.vault.member(ask.member).and_then(|member| member.info_at(ask.at.vault));
        let info = member.ok_or_else(|| Refusal::NoMember(ask.member.clone()))?;
        Ok(Self {
            dataset: Stated::dataset(facts).map_err(|why| Refusal::Facts { of: "dataset", why })?,
            member: Stated::member(info).map_err(|why| Refusal::Facts { of: "member", why })?,
            level: u8::try_from(level).unwrap_or(u8::MAX),
            confirmed,
        })
    }

    fn case<'a>(
        &'a self,
        ask: &Ask<'a>,
        grant: &'a Stated<crate::facts::Grant>,
        counted: Counted<'a>,
        exposure: Exposure,
    ) -> Case<'a> {
        Case {
            place: Place {
                dataset: ask.dataset.id(),
                member: ask.member,
                reservation: counted.recipient,
                export: counted.export,
            },
            dataset: &self.dataset,
            member: &self.member,
            grant,
            level: self.level,
            grade_confirmed: self.confirmed,
            exposure,
            now: ask.at.time,
        }
    }

    /// The two ledgers.
    fn ledgers(&self, time: u64, packs: &[&Pack]) -> [Option<Digest>; 2] {
        [recipient_ledger(self.member.facts()), export_ledger(self.dataset.facts(), time, packs)]
    }

    fn persons(&self) -> Option<u64> {
        self.dataset.facts().record().number("subjects.count")
    }

    fn need(&self, ask: &Ask<'_>, ledger: Option<Digest>) -> Option<Need> {
        let (ledger, persons) = (ledger?, self.persons()?);
        let state = ask.exposures.of(&ledger);
        let before = state.map_or(0, |state| counted_before(state, ask.dataset.id(), u64::MAX, Asked::Now));
        let added = persons.saturating_sub(before);
        Some(Need { ledger, added, total: state.map_or(0, ExposureState::total).saturating_add(added) })
    }
}

/// The ledgers in which a grant may have to be counted: whoever asks about it reads them first.
///
/// # Errors
/// If facts can't be read or a pack is not at hand.
pub fn ledgers_of(
    vault: &VaultState,
    dataset: &DatasetState,
    at: At,
    member: &MemberId,
    more: &[Pack],
) -> Result<Vec<Digest>, Refusal> {
    let none = (Exposures::default(), Facts::default());
    let ask = Ask { vault, exposures: &none.0, dataset, at, member, facts: &none.1 };
    let packs = in_force(vault, at.vault, more)?;
    Ok(Read::of(&ask)?.ledgers(at.time, &packs).into_iter().flatten().collect())
}

/// The exposure ledgers that the gate looks at when it is asked about an entry of a dataset, besides those that the entry cites: that which the
/// record of its decision names.
#[must_use]
pub fn traced_by(stored: &[u8]) -> Option<Digest> {
    let Body::Granted(body) = statement_of(stored)?.body else { return None };
    match Trace::parse(body.trace.as_ref()?).ok()?.export()?.ledger {
        LedgerId::Exposure(recipient) => Some(recipient),
        _ => None,
    }
}

/// The exposure ledgers in which the grants of a dataset are counted: whoever asks whether they stand reads them first.
#[must_use]
pub fn counted_in(dataset: &DatasetState) -> BTreeSet<Digest> {
    let counted = dataset.grants().values().flat_map(|grant| &grant.counted);
    let recipient = |counted: &Reservation| match counted.ledger {
        LedgerId::Exposure(recipient) => Some(recipient),
        _ => None,
    };
    counted.filter_map(recipient).collect()
}

/// What would be decided if the grant were made now: totals are those that its reservations would lead to. The decision's trace is not
/// yet one that a grant can be signed with, unless nothing is counted.
///
/// # Errors
/// If facts can't be read.
pub fn foresee(ask: &Ask<'_>, packs: &[&Pack]) -> Result<(Decision, ToReserve), Refusal> {
    let (read, grant) = (Read::of(ask)?, grant_of(ask.facts)?);
    let first = decide(&read.case(ask, &grant, Counted::default(), Exposure::default()), packs);
    let [recipient, export] = read.ledgers(ask.at.time, packs);
    let to = ToReserve {
        recipient: first.counted.then(|| read.need(ask, recipient)).flatten(),
        export: first.exported.then(|| read.need(ask, export)).flatten(),
    };
    Ok((foresee_as(ask, packs, to)?, to))
}

/// As [`foresee`], with reservations that add other numbers of persons: fewer, where it is known who was counted before.
///
/// # Errors
/// If facts can't be read.
pub fn foresee_as(ask: &Ask<'_>, packs: &[&Pack], to: ToReserve) -> Result<Decision, Refusal> {
    let (read, grant) = (Read::of(ask)?, grant_of(ask.facts)?);
    let total = |need: Option<Need>| need.map(|need| need.total);
    let exposure = Exposure { recipient: total(to.recipient), exported_this_year: total(to.export) };
    Ok(decide(&read.case(ask, &grant, Counted::default(), exposure), packs))
}

impl Need {
    /// The same with another number of persons.
    #[must_use]
    pub const fn adding(self, added: u64) -> Self {
        let total = self.total.saturating_sub(self.added).saturating_add(added);
        Self { added, total, ..self }
    }
}

impl ToReserve {
    /// Both with other numbers of persons.
    #[must_use]
    pub fn adding(self, added: impl Fn(&Need) -> u64) -> Self {
        let other = |need: Option<Need>| need.map(|need| need.adding(added(&need)));
        Self { recipient: other(self.recipient), export: other(self.export) }
    }
}

/// The decision that a grant with these reservations is signed with. Whether it allows is the caller's to ask.
///
/// # Errors
/// If facts can't be read, or a reservation is missing or does not serve.
pub fn decide_reserved(ask: &Ask<'_>, counted: Counted<'_>, packs: &[&Pack]) -> Result<Decision, Refusal> {
    let (read, grant) = (Read::of(ask)?, grant_of(ask.facts)?);
    reserved(ask, &read, &grant, counted, packs, Asked::Now)
}

fn reserved(
    ask: &Ask<'_>,
    read: &Read,
    grant: &Stated<crate::facts::Grant>,
    counted: Counted<'_>,
    packs: &[&Pack],
    asked: Asked,
) -> Result<Decision, Refusal> {
    let [recipient, export] = read.ledgers(ask.at.time, packs);
    let total = |ledger: Option<Digest>, cited: Option<&Reservation>| match cited {
        None => Ok(None),
        Some(cited) => serves(ask, read, ledger, cited, asked).map(|reserved| Some(reserved.total)),
    };
    let exposure = Exposure {
        recipient: total(recipient, counted.recipient)?,
        exported_this_year: total(export, counted.export)?,
    };
    let decision = decide(&read.case(ask, grant, counted, exposure), packs);
    for (is_counted, ledger, cited) in
        [(decision.counted, recipient, counted.recipient), (decision.exported, export, counted.export)]
    {
        // Where the ledger is unknown the totals are, and the rules that ask for them block.
        if let (true, Some(ledger), None) = (is_counted, ledger, cited) {
            return Err(Refusal::NotReserved(LedgerId::Exposure(ledger)));
        }
    }
    Ok(decision)
}

/// The reservation, if it is in that ledger, for this dataset and member, and adds enough.
fn serves<'a>(
    ask: &Ask<'a>,
    read: &Read,
    ledger: Option<Digest>,
    cited: &Reservation,
    asked: Asked,
) -> Result<&'a Reserved, Refusal> {
    if ledger.map(LedgerId::Exposure).as_ref() != Some(&cited.ledger) {
        return Err(Refusal::Reservation("it is in another ledger than the facts say"));
    }
    let (Cited::Reserved(reserved), Some(state)) =
        (ask.exposures.cited(cited), ledger.and_then(|l| ask.exposures.of(&l)))
    else {
        return Err(Refusal::Reservation("it is not there"));
    };
    if reserved.dataset != *ask.dataset.id() || reserved.member != *ask.member {
        return Err(Refusal::Reservation("it is for another dataset or member"));
    }
    if asked.is_now() && reserved.released.is_some() {
        return Err(Refusal::Reservation("it was released"));
    }
    enough(state, reserved, read.persons(), asked)?;
    Ok(reserved)
}

/// Whether a reservation adds all that the facts count and none before it did.
fn enough(state: &ExposureState, reserved: &Reserved, persons: Option<u64>, asked: Asked) -> Result<(), Refusal> {
    let needed = persons.unwrap_or(0).saturating_sub(counted_before(state, &reserved.dataset, reserved.seq, asked));
    // Fewer are a steward's signed word for a set of subjects that were counted already.
    if reserved.added >= needed || reserved.subjects.is_some() {
        return Ok(());
    }
    Err(Refusal::TooFew { added: reserved.added, needed })
}

/// Persons of a dataset that reservations before a number count: of those that are released by now none, at the append.
fn counted_before(state: &ExposureState, dataset: &DatasetId, seq: u64, asked: Asked) -> u64 {
    let stands =
        |one: &Reserved| if asked.is_now() { one.seq < seq && one.released.is_none() } else { one.stands_at(seq) };
    let counts = |one: &&Reserved| one.dataset == *dataset && stands(one);
    state.reserved().values().filter(counts).fold(0, |sum, one| sum.saturating_add(one.added))
}

fn grant_of(facts: &Facts) -> Result<Stated<crate::facts::Grant>, Refusal> {
    let unreadable = |why| Refusal::Facts { of: "grant", why };
    let grant = Stated::grant(facts).map_err(unreadable)?;
    grant.facts().check().map_err(|why| Refusal::Contradiction { of: "grant", why })?;
    Ok(grant)
}

/// Whether a statement may be appended now: as [`check`], and it rests on the newest packs, member and approvers, and what was released
/// meanwhile counts no more. Whoever appends asks this, and compares the statement's time with a clock of its own ([`is_timed`]).
///
/// # Errors
/// Why not.
pub fn check_now(
    vault: &VaultState,
    exposures: &Exposures,
    before: &DatasetState,
    statement: &Statement,
    more: &[Pack],
) -> Result<(), Refusal> {
    check_fresh(vault, Some(before), statement)?;
    check_as(vault, exposures, before, statement, more, Asked::Now)
}

/// Whether a statement that the gate looks at rests on the newest of what it rests on. A statement says itself which vault entry it saw:
/// without this, an old decision could be had by citing an old entry.
///
/// # Errors
/// If something that it rests on has changed since the vault entry that it cites.
pub fn check_fresh(vault: &VaultState, before: Option<&DatasetState>, statement: &Statement) -> Result<(), Refusal> {
    if is_timed(vault, statement) { not_older(vault, before, statement, vault.last_seq()) } else { Ok(()) }
}

/// Whether the gate judges a statement by the time that it says: whoever appends it then compares that with a clock of its own, to
/// [`SKEW`] seconds.
#[must_use]
pub fn is_timed(vault: &VaultState, statement: &Statement) -> bool {
    is_looked_at(&statement.body) && is_gated(vault, vault.last_seq())
}

const fn is_looked_at(body: &Body) -> bool {
    matches!(
        body,
        Body::Granted(_)
            | Body::FactsAmended(_)
            | Body::RecoverySet(_)
            | Body::DatasetCreated(_)
            | Body::ReservationCancelled(_)
            | Body::Reserved(_)
            | Body::Released(_)
    )
}

/// Whether packs, the member's enrolment and the approvers are at `newest` what they are at the entry that the statement cites.
fn not_older(
    vault: &VaultState,
    before: Option<&DatasetState>,
    statement: &Statement,
    newest: u64,
) -> Result<(), Refusal> {
    let cited = statement.vault_head.map_or(0, |head| head.seq);
    if !vault.packs_at(cited).eq(vault.packs_at(newest)) {
        return Err(Refusal::Older("the rule packs"));
    }
    let info = |member: &MemberId, at: u64| vault.member(member).and_then(|known| known.info_at(at).map(Info::digest));
    let member = match &statement.body {
        Body::Granted(body) => Some(&body.terms.member),
        Body::Reserved(body) => Some(&body.member),
        _ => None,
    };
    if member.is_some_and(|member| info(member, cited) != info(member, newest)) {
        return Err(Refusal::Older("the member"));
    }
    if let (Body::Granted(body), Some(before)) = (&statement.body, before) {
        let approves = |member: &MemberId| vault.has_role(Role::Approver, Some(before.id()), member, newest);
        if !body.approval.iter().flat_map(|approval| before.approvers(approval)).all(approves) {
            return Err(Refusal::Older("an approver"));
        }
    }
    Ok(())
}

/// Whether the gate lets a statement of a dataset's ledger pass, asked in the state before it, by what the statement says of its time.
/// Every statement passes in a vault without packs, and what seals no key and states no facts passes everywhere.
///
/// # Errors
/// Why it does not pass.
pub fn check(
    vault: &VaultState,
    exposures: &Exposures,
    before: &DatasetState,
    statement: &Statement,
    more: &[Pack],
) -> Result<(), Refusal> {
    check_as(vault, exposures, before, statement, more, Asked::Again)
}

fn check_as(
    vault: &VaultState,
    exposures: &Exposures,
    before: &DatasetState,
    statement: &Statement,
    more: &[Pack],
    asked: Asked,
) -> Result<(), Refusal> {
    let at = At { time: statement.time, vault: statement.vault_head.map_or(0, |head| head.seq) };
    if !is_gated(vault, at.vault) {
        return Ok(());
    }
    // A pack that is not at hand stops what rests on it, and never a revocation or a rotation.
    let packs = || in_force(vault, at.vault, more);
    match &statement.body {
        Body::Granted(body) => granted(vault, exposures, before, at, body, &packs()?, asked),
        Body::ReservationCancelled(body) if before.is_traced(&body.reservation) => {
            Err(Refusal::Reservation("a grant rests on it"))
        }
        Body::FactsAmended(body) => {
            facts_fit(&body.facts)?;
            let mut standing = before.grants().iter().filter(|(member, grant)| {
                let stands = grant.status == GrantStatus::Given && grant.ends.is_none_or(|ends| ends > at.time);
                stands && grant.origin == GrantOrigin::Granted && !body.suspends.contains(member)
            });
            let Some(first) = standing.next() else { return Ok(()) };
            let packs = packs()?;
            for (member, grant) in core::iter::once(first).chain(standing) {
                let ask = Ask { vault, exposures, dataset: before, at, member, facts: &grant.facts };
                let Ok(read) = Read::under(&ask, &body.facts, body.level, false) else {
                    return Err(Refusal::Suspend(member.clone()));
                };
                let held = held(grant, member, &body.reservations, read.ledgers(at.time, &packs));
                let decided = grant_of(ask.facts)
                    .and_then(|facts| standing_decision(&ask, &read, &facts, held.counted(), &packs, asked));
                if !decided.is_ok_and(|decision| needs(&decision, grant).is_none()) {
                    return Err(Refusal::Suspend(member.clone()));
                }
            }
            Ok(())
        }
        Body::RecoverySet(body) => {
            let added = body.cards.iter().filter(|card| !before.recovery().contains(card));
            recovery_fits(vault, at, before.facts(), added)
        }
        _ => Ok(()),
    }
}

/// Whether the gate lets a dataset be created so.
///
/// # Errors
/// Why not.
pub fn check_creation(vault: &VaultState, statement: &Statement) -> Result<(), Refusal> {
    let at = At { time: statement.time, vault: statement.vault_head.map_or(0, |head| head.seq) };
    match &statement.body {
        Body::DatasetCreated(body) if is_gated(vault, at.vault) => {
            facts_fit(&body.facts)?;
            recovery_fits(vault, at, &body.facts, body.recovery.iter())
        }
        _ => Ok(()),
    }
}

/// Whether the gate lets somebody be enrolled, or enrolled otherwise, with these facts: `before` is the vault's state before the statement.
///
/// # Errors
/// If the facts are not a member's, or contradict each other.
pub fn check_member(before: &VaultState, statement: &Statement) -> Result<(), Refusal> {
    let info = match &statement.body {
        Body::MemberEnrolled(body) => &body.info,
        Body::MemberAmended(body) => &body.info,
        _ => return Ok(()),
    };
    if !is_gated(before, before.last_seq()) || info.facts.0.is_empty() {
        return Ok(());
    }
    let member = Stated::member(info).map_err(|why| Refusal::Facts { of: "member", why })?;
    member.facts().check().map_err(|why| Refusal::Contradiction { of: "member", why })
}

/// Whether an entry of an exposure ledger may be appended: a reservation is in the ledger that the facts say, and adds all that has to be
/// counted; a release is of a reservation that may be released ([`may_release`]), and without approvals its dataset's ledger has cancelled it.
///
/// `dataset` is the state of the dataset that the statement, or the reservation that it releases, names.
///
/// # Errors
/// Why not.
pub fn check_exposure(
    vault: &VaultState,
    before: &ExposureState,
    dataset: &DatasetState,
    statement: &Statement,
    more: &[Pack],
) -> Result<(), Refusal> {
    let at = At { time: statement.time, vault: statement.vault_head.map_or(0, |head| head.seq) };
    match &statement.body {
        Body::Reserved(body) if is_gated(vault, at.vault) => {
            let packs = in_force(vault, at.vault, more)?;
            let none = (Exposures::default(), Facts::default());
            let ask = Ask { vault, exposures: &none.0, dataset, at, member: &body.member, facts: &none.1 };
            let read = Read::of(&ask)?;
            if !read.ledgers(at.time, &packs).contains(&Some(*before.recipient())) {
                return Err(Refusal::Reservation("it is in another ledger than the facts say"));
            }
            let counted = counted_before(before, dataset.id(), u64::MAX, Asked::Now);
            let needed = read.persons().unwrap_or(0).saturating_sub(counted);
            if body.added < needed && body.subjects.is_none() {
                return Err(Refusal::TooFew { added: body.added, needed });
            }
            // Who has a grant may be about to be given more persons: they are counted before the facts state them.
            let grows = dataset.has_grant(vault, &body.member, at);
            if body.added > needed && !grows {
                return Err(Refusal::TooMany { added: body.added, most: needed });
            }
            let [_, export] = read.ledgers(at.time, &packs);
            if export == Some(*before.recipient()) && !exports_for(vault, at, &statement.author, dataset.facts()) {
                return Err(Refusal::Provider(statement.author.clone()));
            }
            Ok(())
        }
        Body::Released(body) => released_by(before, dataset, None, body),
        _ => Ok(()),
    }
}

fn is_approved(body: &Released) -> bool {
    matches!(&body.approval, Some(approval) if !approval.approvals.is_empty())
}

/// Why the persons of a reservation may be counted no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground<'a> {
    /// Nothing was granted on it.
    Unused,
    /// Its member attested in this entry of the dataset's ledger that all was destroyed.
    Destroyed(&'a EntryHash),
}

/// Whether a reservation may be released: whoever means to propose, approve or make a release asks this, as the gate does. With
/// [`Ground::Unused`] the dataset's ledger still has to cancel it.
///
/// An attestation has to stand behind the end of its member's last grant: `revoked`, suspended, the dataset deleted, or its time over by what the
/// attestation says. Nothing that the member was counted for can stand behind it then.
///
/// # Errors
/// If somebody may still be counted by it, or what is said of it does not hold.
pub fn may_release(
    exposure: &ExposureState,
    dataset: &DatasetState,
    reserved: &EntryHash,
    ground: Ground<'_>,
) -> Result<(), Refusal> {
    releasable(exposure, dataset, None, reserved, ground)
}

/// As [`may_release`]. `then` is the dataset's state in which the attestation is the last entry, for whoever has it.
fn releasable(
    exposure: &ExposureState,
    dataset: &DatasetState,
    then: Option<&DatasetState>,
    hash: &EntryHash,
    ground: Ground<'_>,
) -> Result<(), Refusal> {
    let reserved = exposure.reserved().get(hash).ok_or(Refusal::Reservation("there is none to release"))?;
    let named = Reservation { hash: *hash, ledger: LedgerId::Exposure(*exposure.recipient()), seq: reserved.seq };
    match ground {
        Ground::Unused if is_used(dataset, &named) => return Err(Refusal::Reservation("a grant rests on it")),
        Ground::Unused => {}
        Ground::Destroyed(entry) => {
            if is_exported(dataset, &reserved.member, &named) {
                return Err(Refusal::Exported);
            }
            attested_after(dataset, then, &reserved.member, entry)?;
            if then.is_some_and(|then| is_used(dataset, &named) && !is_used(then, &named)) {
                return Err(Refusal::TooEarly);
            }
        }
    }
    match rests_on(exposure, hash).map(|one| one.seq).max() {
        Some(newest) => Err(Refusal::RestedOn(newest)),
        None => Ok(()),
    }
}

/// The reservations that may rest on one that adds persons, or did when it was released: those behind it that may add fewer because it counts
/// them, of the same dataset whoever they are for, and of another one if their author knew who was counted. Which do, ledgers don't tell.
pub fn rests_on<'a>(exposure: &'a ExposureState, reserved: &EntryHash) -> impl Iterator<Item = &'a Reserved> {
    let reserved = exposure.reserved().get(reserved).filter(|one| one.added > 0);
    let at = reserved.and_then(|one| one.released).unwrap_or(exposure.judged().len() as u64);
    let rests = move |one: &&Reserved| {
        let is_behind =
            |before: &Reserved| one.seq > before.seq && (one.dataset == before.dataset || one.subjects.is_some());
        one.stands_at(at) && reserved.is_some_and(is_behind)
    };
    exposure.reserved().values().filter(rests)
}

fn is_used(dataset: &DatasetState, named: &Reservation) -> bool {
    dataset.is_traced(named) || dataset.cited_reservations().any(|cited| cited == *named)
}

/// Whether a reservation counts what was exported: a grant's trace names it, or new facts cite it beside one that a trace names, or for a
/// grant whose recipient is counted elsewhere.
fn is_exported(dataset: &DatasetState, member: &MemberId, named: &Reservation) -> bool {
    let counted = || dataset.grants().values().flat_map(|grant| &grant.counted);
    let beside = || counted().any(|one| one.ledger == named.ledger && dataset.is_traced(one));
    let elsewhere = || {
        dataset.grants().get(member).is_some_and(|grant| {
            let recipient = grant.reservation.as_ref().map(|one| &one.ledger);
            grant.counted.contains(named) && recipient != Some(&named.ledger)
        })
    };
    dataset.is_traced(named) || (is_used(dataset, named) && (beside() || elsewhere()))
}

/// Whether a member attested destruction when its last grant was over.
fn attested_after(
    dataset: &DatasetState,
    then: Option<&DatasetState>,
    member: &MemberId,
    entry: &EntryHash,
) -> Result<(), Refusal> {
    let none = Refusal::Reservation("its member has not attested destruction");
    let state = then.unwrap_or(dataset);
    let attested = state.attested().iter().find(|one| one.entry == *entry && one.member == *member);
    let (Some(attested), Some(grant)) = (attested, state.grants().get(member)) else { return Err(none) };
    if !attested.granted && grant.seq < attested.seq { Ok(()) } else { Err(Refusal::TooEarly) }
}

/// Whether what a release cites stands in the dataset's ledger and bears it: the cancellation before it was used or, with approvals, the
/// member's word that all was destroyed.
fn released_by(
    before: &ExposureState,
    dataset: &DatasetState,
    then: Option<&DatasetState>,
    body: &Released,
) -> Result<(), Refusal> {
    let hash = &body.terms.reserved;
    let reserved = before.reserved().get(hash).ok_or(Refusal::Reservation("there is none to release"))?;
    let (cites, ledger) = (&body.cites, LedgerId::Exposure(*before.recipient()));
    let entry = usize::try_from(cites.seq).ok().and_then(|seq| dataset.judged().get(seq));
    let is_there = cites.ledger == dataset.ledger()
        && entry.is_some_and(|entry| entry.hash == cites.hash && entry.verdict == Verdict::Applied);
    if is_approved(body) {
        if !is_there {
            return Err(Refusal::Reservation("its member has not attested destruction"));
        }
        return releasable(before, dataset, then, hash, Ground::Destroyed(&cites.hash));
    }
    if !is_there || !dataset.is_settled(&Reservation { hash: *hash, ledger, seq: reserved.seq }) {
        return Err(Refusal::Reservation("its dataset has not cancelled it"));
    }
    releasable(before, dataset, None, hash, Ground::Unused)
}

/// The releases of an exposure ledger: number, the dataset that each is about, and what it says. Readers of that dataset's ledger check them
/// (spec 5.6), with [`check_release`].
#[must_use]
pub fn releases<B: AsRef<[u8]>>(state: &ExposureState, entries: &[B]) -> Vec<(u64, DatasetId, Released)> {
    let applied = state.judged().iter().zip(entries).zip(0u64..);
    let releases =
        applied.filter(|((judged, _), _)| judged.verdict == Verdict::Applied).filter_map(|((_, stored), seq)| {
            let Body::Released(body) = statement_of(stored.as_ref())?.body else { return None };
            let dataset = state.reserved().get(&body.terms.reserved)?.dataset.clone();
            Some((seq, dataset, body))
        });
    releases.collect()
}

/// Whether a release that stands could be made when it was: of a reservation that was cancelled before it was used, or whose member had attested
/// destruction when its grant was over, with none behind it that rested on it. `entries` are those of the dataset's ledger, of which `dataset` is
/// the state; the end of a grant is looked up in the state that the attestation was made in, so what was granted later says nothing.
///
/// # Errors
/// If it could not: then persons are counted no more who should be.
pub fn check_release<B: AsRef<[u8]>>(
    vault: &VaultState,
    exposures: &Exposures,
    state: &ExposureState,
    dataset: &DatasetState,
    entries: &[B],
    body: &Released,
) -> Result<(), Refusal> {
    let until = usize::try_from(body.cites.seq).ok().and_then(|seq| entries.get(..=seq));
    let then = until.and_then(|until| DatasetState::fold(vault, exposures, dataset.id(), until).ok());
    let then = then.filter(|then| then.head().is_some_and(|head| head.hash == body.cites.hash));
    released_by(state, dataset, then.as_ref(), body)
}

/// Whether something was withdrawn since the dataset's facts were said.
fn is_withdrawn(dataset: &DatasetState) -> bool {
    dataset.withdrawals().last().is_some_and(|last| last.seq > dataset.facts_seq())
}

fn granted(
    vault: &VaultState,
    exposures: &Exposures,
    before: &DatasetState,
    at: At,
    body: &Granted,
    packs: &[&Pack],
    asked: Asked,
) -> Result<(), Refusal> {
    if is_withdrawn(before) {
        return Err(Refusal::Withdrawn);
    }
    let trace = Trace::parse(body.trace.as_ref().ok_or(Refusal::NoTrace)?)?;
    let export = trace.export();
    if export.as_ref().is_some_and(|export| before.is_settled(export) || before.is_traced(export)) {
        return Err(Refusal::Reservation("it is used or cancelled already"));
    }
    let counted = Counted { recipient: body.reservation.as_ref(), export: export.as_ref() };
    let ask = Ask { vault, exposures, dataset: before, at, member: &body.terms.member, facts: &body.terms.facts };
    let (read, grant) = (Read::of(&ask)?, grant_of(ask.facts)?);
    let decision = reserved(&ask, &read, &grant, counted, packs, asked)?;
    trace.is_of(&decision)?;
    if decision.outcome != Outcome::Allow {
        return Err(Refusal::NotAllowed(Box::new(decision)));
    }
    if let Some(last) = decision.expires.filter(|last| body.terms.ends.is_none_or(|ends| ends > *last)) {
        return Err(Refusal::Ends(last));
    }
    let named = body.approval.as_ref().map_or(0, |approval| before.approvers(approval).count() as u64);
    if named < u64::from(decision.approvals) {
        return Err(Refusal::Approvals { needed: decision.approvals, named });
    }
    Ok(())
}

/// The reservations that a grant has, or gets by new facts.
struct Held {
    recipient: Option<Reservation>,
    export: Option<Reservation>,
}

impl Held {
    const fn counted(&self) -> Counted<'_> {
        Counted { recipient: self.recipient.as_ref(), export: self.export.as_ref() }
    }
}

fn held(
    grant: &vault_core::ledger::dataset::Grant,
    member: &MemberId,
    new: &[MemberReservation],
    [recipient, export]: [Option<Digest>; 2],
) -> Held {
    let newest = |ledger: Option<Digest>| {
        let ledger = LedgerId::Exposure(ledger?);
        let of_member = new.iter().rev().filter(|one| one.member == *member).map(|one| &one.reservation);
        of_member.chain(grant.counted.iter().rev()).find(|one| one.ledger == ledger).cloned()
    };
    // An export that was counted in an earlier year stands in that year's ledger.
    let of_another_year = || {
        let here: Vec<_> = [recipient, export].into_iter().flatten().map(LedgerId::Exposure).collect();
        grant.counted.iter().rev().find(|one| !here.contains(&one.ledger)).cloned()
    };
    Held { recipient: newest(recipient), export: newest(export).or_else(of_another_year) }
}

/// What a grant that stands needs by a decision: nothing, to rest, or to end. A grant with fewer approvals than the rules ask for, or with a
/// later end than they allow, has to be given anew.
fn needs(decision: &Decision, grant: &vault_core::ledger::dataset::Grant) -> Option<Standing> {
    let too_few = grant.approvals < u64::from(decision.approvals);
    let too_long = decision.expires.is_some_and(|last| grant.ends.is_none_or(|ends| ends > last));
    decision.standing().or((too_few || too_long).then_some(Standing::Suspend))
}

fn standing_decision(
    ask: &Ask<'_>,
    read: &Read,
    grant: &Stated<crate::facts::Grant>,
    counted: Counted<'_>,
    packs: &[&Pack],
    asked: Asked,
) -> Result<Decision, Refusal> {
    let [recipient, export] = read.ledgers(ask.at.time, packs);
    let Some(earlier) = counted.export.filter(|cited| Some(&cited.ledger) != export.map(LedgerId::Exposure).as_ref())
    else {
        return reserved(ask, read, grant, counted, packs, asked);
    };
    // Its export was counted in an earlier year. Who was added since is exported in this one.
    let LedgerId::Exposure(then) = &earlier.ledger else {
        return Err(Refusal::Reservation("it is in no exposure ledger"));
    };
    let (Cited::Reserved(exported), Some(state)) = (ask.exposures.cited(earlier), ask.exposures.of(then)) else {
        return Err(Refusal::Reservation("it is not there"));
    };
    let is_whole = exported.subjects.is_some()
        || counted_before(state, ask.dataset.id(), u64::MAX, asked) >= read.persons().unwrap_or(0);
    if let (false, Some(export)) = (is_whole, export) {
        return Err(Refusal::NotReserved(LedgerId::Exposure(export)));
    }
    let total = match counted.recipient {
        None => None,
        Some(cited) => Some(serves(ask, read, recipient, cited, asked)?.total),
    };
    let exposure = Exposure { recipient: total, exported_this_year: Some(exported.total) };
    let decision = decide(&read.case(ask, grant, counted, exposure), packs);
    match (decision.counted && counted.recipient.is_none(), recipient) {
        (true, Some(ledger)) => Err(Refusal::NotReserved(LedgerId::Exposure(ledger))),
        _ => Ok(decision),
    }
}

fn facts_fit(facts: &Facts) -> Result<(), Refusal> {
    let dataset = Stated::dataset(facts).map_err(|why| Refusal::Facts { of: "dataset", why })?;
    dataset.facts().check().map_err(|why| Refusal::Contradiction { of: "dataset", why })
}

/// Whether a member may count what a dataset's controller exports: facts are whatever a steward states, so nobody else's total can be raised
/// by naming them as controller. Officers write the enrolments and need none, but the fold takes reservations from stewards alone: it is an
/// officer who is a steward of the dataset.
#[must_use]
pub fn exports_for(vault: &VaultState, at: At, author: &MemberId, facts: &Facts) -> bool {
    let controller = Stated::dataset(facts).ok().and_then(|dataset| controller_of(&dataset));
    vault.is_officer(author, at.vault) || (controller.is_some() && legal_of(vault, at, author) == controller)
}

fn controller_of(dataset: &Stated<Dataset>) -> Option<String> {
    dataset.facts().record().text("parties.controller").map(legal_id)
}

/// The legal identifier that a member is enrolled with.
fn legal_of(vault: &VaultState, at: At, member: &MemberId) -> Option<String> {
    let info = vault.member(member).and_then(|member| member.info_at(at.vault))?;
    Stated::member(info).ok()?.facts().record().text("legal.id").map(legal_id)
}

/// A recovery card gets the key without a grant: so it is the vault's own, or one of the dataset's controller.
fn recovery_fits<'a>(
    vault: &VaultState,
    at: At,
    facts: &Facts,
    cards: impl Iterator<Item = &'a vault_core::ids::CardId>,
) -> Result<(), Refusal> {
    // Cards can be taken out whatever the facts are.
    let mut cards = cards.filter(|card| !vault.recovery_cards().contains(card)).peekable();
    if cards.peek().is_none() {
        return Ok(());
    }
    let dataset = Stated::dataset(facts).map_err(|why| Refusal::Facts { of: "dataset", why })?;
    let controller = controller_of(&dataset);
    for card in cards {
        let Some(record) = vault.card(card) else { continue };
        let legal = legal_of(vault, at, &record.member);
        if legal.is_none() || legal != controller {
            return Err(Refusal::Recovery(record.member.clone()));
        }
    }
    Ok(())
}

/// A grant that stands, and what the rules say of it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand {
    /// The member.
    pub member: MemberId,
    /// What is decided now; or why nothing can be.
    pub decision: Result<Box<Decision>, Refusal>,
    /// What the grant needs: nothing, to rest, or to end.
    pub needs: Option<Standing>,
}

/// Asks the rules about every grant that stands, now. Empty in a vault without packs.
///
/// # Errors
/// If a pack is not at hand.
pub fn standing(
    vault: &VaultState,
    exposures: &Exposures,
    dataset: &DatasetState,
    at: At,
    more: &[Pack],
) -> Result<Vec<Stand>, Refusal> {
    if !is_gated(vault, at.vault) {
        return Ok(Vec::new());
    }
    let packs = in_force(vault, at.vault, more)?;
    let given = dataset
        .grants()
        .iter()
        .filter(|(member, grant)| grant.origin == GrantOrigin::Granted && dataset.has_grant(vault, member, at));
    Ok(given
        .map(|(member, grant)| {
            let ask = Ask { vault, exposures, dataset, at, member, facts: &grant.facts };
            let decided = Read::of(&ask).and_then(|read| {
                let held = held(grant, member, &[], read.ledgers(at.time, &packs));
                standing_decision(&ask, &read, &grant_of(&grant.facts)?, held.counted(), &packs, Asked::Again)
            });
            let needs = match &decided {
                Ok(decision) => needs(decision, grant),
                Err(_) => Some(Standing::Suspend),
            };
            Stand { member: member.clone(), decision: decided.map(Box::new), needs }
        })
        .collect())
}

/// An entry of a dataset's ledger that the gate would not have let pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its number.
    pub seq: u64,
    /// Its kind.
    pub kind: &'static str,
    /// Whom it concerns.
    pub member: Option<MemberId>,
    /// Why.
    pub refusal: Refusal,
}

/// Asks the gate again about every entry of a dataset's ledger that counts, each in the state before it and under the packs of its time.
/// A ledger that creates no dataset has none.
#[must_use]
pub fn audit<B: AsRef<[u8]>>(
    vault: &VaultState,
    exposures: &Exposures,
    id: &DatasetId,
    entries: &[B],
    more: &[Pack],
) -> Vec<Finding> {
    let (mut findings, mut newest) = (Vec::new(), None);
    let Some((first, rest)) = entries.split_first() else { return findings };
    let Ok(mut state) = DatasetState::fold(vault, exposures, id, core::slice::from_ref(first)) else { return findings };
    let mut ask = |before: Option<&DatasetState>, seq: u64, stored: &[u8]| {
        let Some(statement) = statement_of(stored) else { return };
        // A wrong time is found beside what the rules say, never instead: one entry far ahead would else hide what is wrong with each
        // later one.
        let rules = match before {
            Some(before) => check(vault, exposures, before, &statement, more),
            None => check_creation(vault, &statement),
        };
        let refusals = made_then(vault, exposures, before, &statement, newest).into_iter().chain(rules.err());
        if newest.is_none_or(|(_, time)| time < statement.time) {
            newest = Some((seq, statement.time));
        }
        let member = match &statement.body {
            Body::Granted(body) => Some(&body.terms.member),
            _ => None,
        };
        let kind = statement.body.kind();
        findings.extend(refusals.map(|refusal| Finding { seq, kind, member: member.cloned(), refusal }));
    };
    ask(None, 0, first.as_ref());
    for (seq, stored) in (1u64..).zip(rest) {
        let stored = stored.as_ref();
        let concerns = statement_of(stored).is_some_and(|one| is_looked_at(&one.body));
        let before = concerns.then(|| state.clone());
        state.extend(vault, exposures, &[stored]);
        let counts = state.judged().last().is_some_and(|last| last.verdict == Verdict::Applied);
        if let Some(before) = before.filter(|_| counts && state.stop().is_none()) {
            ask(Some(&before), seq, stored);
        }
        if state.stop().is_some() {
            break;
        }
    }
    findings
}

/// Whether a statement can have been made when it says: not before what was there when it was made, and not so late that its author must have
/// known a newer vault: what contradicts that. `newest` is the latest time that an earlier entry says, of those that the gate looks at.
fn made_then(
    vault: &VaultState,
    exposures: &Exposures,
    before: Option<&DatasetState>,
    statement: &Statement,
    newest: Option<(u64, u64)>,
) -> Vec<Refusal> {
    let cited = statement.vault_head.map_or(0, |head| head.seq);
    let known = vault.newest_before(statement.time.saturating_sub(SKEW)).max(cited);
    if !is_gated(vault, known) {
        return Vec::new();
    }
    let rested_on = rested_on(exposures, &statement.body);
    let there = vault.time_of(cited).map(|time| (Earlier::Cited(cited), time)).into_iter();
    let there = there.chain(newest.map(|(seq, time)| (Earlier::Entry(seq), time))).chain(rested_on);
    let latest = there.max_by_key(|(_, time)| *time).filter(|(_, t)| statement.time.saturating_add(SKEW) < *t);
    let order = latest.map(|(of, time)| Refusal::Order { by: time.saturating_sub(statement.time), of });
    order.into_iter().chain(not_older(vault, before, statement, known).err()).collect()
}

/// The reservations that a statement rests on, with their times.
fn rested_on(exposures: &Exposures, body: &Body) -> Vec<(Earlier, u64)> {
    let export = |body: &Granted| body.trace.as_ref().and_then(|trace| Trace::parse(trace).ok()?.export());
    let cited: Vec<Reservation> = match body {
        Body::Granted(body) => body.reservation.iter().cloned().chain(export(body)).collect(),
        Body::FactsAmended(body) => body.reservations.iter().map(|one| one.reservation.clone()).collect(),
        _ => Vec::new(),
    };
    let time = |cited: &Reservation| match exposures.cited(cited) {
        Cited::Reserved(reserved) => Some((Earlier::Reservation(cited.seq), reserved.time)),
        _ => None,
    };
    cited.iter().filter_map(time).collect()
}

fn statement_of(stored: &[u8]) -> Option<Statement> {
    match Entry::parse(stored).ok()?.said {
        Said::Known(statement) => Some(*statement),
        Said::Unknown { .. } => None,
    }
}
