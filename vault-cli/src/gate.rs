//! The gate as commands use it: the packs at hand and in force, decisions on what a session has read, and what they need of exposure ledgers.
//!
//! What decides is `vault-policy`; nothing here makes a rule.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value as Json;
use vault_core::ids::{DatasetId, Digest, LedgerId, MemberId};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::Exposures;
use vault_core::ledger::fold::{At, Verdict};
use vault_core::ledger::statement::{
    Body, Entry, Facts, Released, ReleasedTerms, Reservation, ReservationCancelled, Reserved, Said,
};
use vault_core::ledger::vault::VaultState;
use vault_policy::day::Day;
use vault_policy::facts::{Answer as FactAnswer, Value, words};
use vault_policy::gate::{Effect, shipped};
use vault_policy::ledger::{self, Ask, Counted, Need, Refusal, ToReserve};
use vault_policy::problem::Problems;
use vault_policy::{Decision, Grant, Lang, Outcome as Verdict3, Pack};

use crate::error::{Failure, Kind, Outcome};
use crate::facts;
use crate::marks;
use crate::output;
use crate::session::{ATTEMPTS, Session, Signer};
use crate::settings::Globals;
use crate::state::{StateFolder, create_private, replace};

/// The rule packs that this command can decide by: those inside the program, those given with `--packs`, those kept on this machine.
#[derive(Debug)]
pub struct Packs(Vec<Pack>);

impl Packs {
    /// Reads them.
    ///
    /// # Errors
    /// If one can't be read, or does not validate.
    pub fn at_hand(globals: &Globals) -> Outcome<Self> {
        let mut packs = shipped().to_vec();
        for pack in Self::own(globals)? {
            if packs.iter().all(|known| known.hash() != pack.hash()) {
                packs.push(pack);
            }
        }
        Ok(Self(packs))
    }

    /// Those that are not inside the program.
    ///
    /// # Errors
    /// If one can't be read, or does not validate.
    pub fn own(globals: &Globals) -> Outcome<Vec<Pack>> {
        let mut packs = globals.own_packs()?;
        // Without a home nothing was kept.
        if let Ok(home) = globals.state() {
            let kept = home.path().join(KEPT);
            if kept.is_dir() {
                packs.extend(facts::read_kept_packs(&kept, globals.lang())?);
            }
        }
        Ok(packs)
    }

    /// Each.
    pub fn iter(&self) -> core::slice::Iter<'_, Pack> {
        self.0.iter()
    }

    /// Those of a name, or the one whose hash begins so.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Pack> {
        let is_hash = name.len() >= 16;
        self.0.iter().filter(move |pack| pack.name() == name || (is_hash && pack.hash().to_string().starts_with(name)))
    }

    /// The one with a hash.
    #[must_use]
    pub fn by_hash(&self, hash: &Digest) -> Option<&Pack> {
        self.0.iter().find(|pack| pack.hash() == *hash)
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Pack] {
        &self.0
    }
}

/// The folder of packs that were set from this machine.
const KEPT: &str = "packs";

/// Keeps the text of a pack of one's own, as it was read, so that this machine can decide by it without being told where it is.
///
/// # Errors
/// If the state folder can't be written.
pub fn keep_pack(home: &StateFolder, pack: &Pack, text: &str) -> Outcome<()> {
    let folder = home.path().join(KEPT);
    create_private(&folder)?;
    replace(&folder.join(format!("{}.toml", pack.hash())), text.as_bytes())
}

/// The packs in force now, by name and hash.
#[must_use]
pub fn in_force(vault: &VaultState) -> Vec<(String, Digest)> {
    vault.packs_at(vault.last_seq()).map(|(name, hash)| (name.to_owned(), hash)).collect()
}

/// Whether grants need an allowing decision.
#[must_use]
pub fn is_gated(vault: &VaultState) -> bool {
    vault.packs_at(vault.last_seq()).next().is_some()
}

/// Since when a pack is in force.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Since {
    /// The vault entry.
    pub entry: u64,
    /// Its time.
    pub time: u64,
}

/// The packs in force, by name and hash, and since when.
///
/// # Errors
/// If the vault ledger can't be read.
pub async fn set_since(session: &Session) -> Outcome<Vec<(String, Digest, Since)>> {
    let entries = session.client.entries(&LedgerId::Vault, 0).await?;
    let mut since = Vec::new();
    for (name, hash) in in_force(&session.vault) {
        let mut found = None;
        for ((entry, stored), judged) in (0u64..).zip(&entries).zip(session.vault.judged()) {
            if judged.verdict != Verdict::Applied {
                continue;
            }
            let Ok(Said::Known(statement)) = Entry::parse(stored).map(|entry| entry.said) else { continue };
            let Body::PackSet(body) = &statement.body else { continue };
            if body.name.as_str() == name {
                found = (body.on && body.hash == hash).then_some(Since { entry, time: statement.time });
            }
        }
        if let Some(found) = found {
            since.push((name, hash, found));
        }
    }
    Ok(since)
}

/// What a grant is for, as options say it.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct UseArgs {
    /// Facts of the grant: a TOML file from `grant --template`
    #[arg(long, value_name = "FILE")]
    pub facts: Option<PathBuf>,
    /// Its scenario: research, clinical_care, device_review, regulation or quality_control
    #[arg(long, value_name = "WORD")]
    pub scenario: Option<String>,
    /// What it is for, in words; without rules in force recorded as it is, and visible to whoever holds the vault
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,
    /// The project, as approvals name it
    #[arg(long, value_name = "TEXT")]
    pub project: Option<String>,
    /// The day at whose beginning (UTC) the grant ends at the latest: YYYY-MM-DD
    #[arg(long, value_name = "DATE", value_parser = day)]
    pub until: Option<u64>,
}

impl UseArgs {
    /// Whether nothing is said of the use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.facts.is_none() && self.scenario.is_none() && self.purpose.is_none() && self.project.is_none()
    }

    /// The facts of the file with what other options set; without a file nothing else is known.
    ///
    /// # Errors
    /// If the file does not read, an option's word is not known, or together they contradict.
    pub fn read(&self, lang: Lang) -> Outcome<Grant> {
        let grant = self.facts.as_deref().map_or_else(|| Ok(Grant::unknown()), |path| facts::read(path, lang))?;
        let mut answers: Vec<(&'static str, FactAnswer)> = Vec::new();
        if let Some(word) = &self.scenario {
            let known = words::find(words::SCENARIOS, word).ok_or_else(|| unknown_scenario(word, lang))?;
            answers.push(("use.scenario", Value::Word(known).into()));
        }
        for (path, text) in [("use.purpose", &self.purpose), ("use.project", &self.project)] {
            if let Some(text) = text {
                answers.push((path, Value::Text(text.clone()).into()));
            }
        }
        let failed = |problems: Problems| Failure::usage(problems.say(lang));
        let grant = grant.with(answers).map_err(failed)?;
        grant.check().map_err(failed)?;
        Ok(grant)
    }
}

fn unknown_scenario(word: &str, lang: Lang) -> Failure {
    let known: Vec<String> =
        words::SCENARIOS.iter().map(|known| format!("{} ({})", known.code, known.text.say(lang))).collect();
    Failure::usage(match lang {
        Lang::En => format!("--scenario {word}: no such scenario; one of {}", known.join(", ")),
        Lang::Zh => format!("--scenario {word}：没有这个场景；可选：{}", known.join("、")),
    })
}

/// Reads YYYY-MM-DD as the beginning of that day in UTC.
///
/// # Errors
/// If there is no such day.
pub fn day(text: &str) -> Result<u64, String> {
    let day = Day::parse(text).ok_or_else(|| format!("{text}: not a date of the form YYYY-MM-DD"))?;
    Ok(day.over(0).saturating_sub(86_400))
}

/// What is there of reservations for a grant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placed {
    /// In the ultimate recipient's exposure ledger.
    pub reservation: Option<Reservation>,
    /// In the provider's, of the year.
    pub export: Option<Reservation>,
}

impl Placed {
    /// As the gate takes them.
    #[must_use]
    pub const fn counted(&self) -> Counted<'_> {
        Counted { recipient: self.reservation.as_ref(), export: self.export.as_ref() }
    }

    /// What has to be reserved, with the totals of what is: whoever comes later counts on top of it, and their persons are not this grant's.
    fn as_reserved(&self, to: ToReserve, exposures: &Exposures) -> ToReserve {
        let of = |need: Option<Need>, placed: &Option<Reservation>| {
            let total = |need: &Need| exposures.of(&need.ledger)?.total_at(&placed.as_ref()?.hash);
            need.map(|need| Need { total: total(&need).unwrap_or(need.total), ..need })
        };
        ToReserve { recipient: of(to.recipient, &self.reservation), export: of(to.export, &self.export) }
    }

    fn each(&self) -> impl Iterator<Item = &Reservation> {
        self.reservation.iter().chain(&self.export)
    }
}

/// A decision with what a grant needs besides.
#[derive(Debug)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// How many approvals: by the rules or the genesis, whichever asks for more.
    pub approvals: u64,
    /// What has to be reserved first.
    pub reserve: ToReserve,
    /// Whether it does not allow, and would if everybody was counted before: only the marks of persons can tell, and they are sealed.
    pub marks_may_help: bool,
}

impl Answer {
    /// The decision for `--json`.
    #[must_use]
    pub fn to_json(&self, lang: Lang) -> Json {
        let mut json = self.decision.to_json(lang);
        if let Some(members) = json.as_object_mut() {
            members.insert("approvals".to_owned(), Json::from(self.approvals));
            members.insert("reserve".to_owned(), Json::Array(self.needs().map(|(export, need)| {
                serde_json::json!({"added": need.added, "export": export, "ledger": need.ledger.to_string(), "total": need.total})
            }).collect()));
        }
        json
    }

    fn needs(&self) -> impl Iterator<Item = (bool, &Need)> {
        let of = |export: bool| move |need| (export, need);
        self.reserve.recipient.iter().map(of(false)).chain(self.reserve.export.iter().map(of(true)))
    }

    /// The decision in words.
    #[must_use]
    pub fn explain(&self, lang: Lang) -> String {
        let mut text = self.decision.explain(lang);
        for (export, item) in self.needs() {
            let whose = match (export, lang) {
                (false, Lang::En) => "to be counted for the ultimate recipient",
                (false, Lang::Zh) => "须计入最终接收方累计人数",
                (true, Lang::En) => "to be counted as exported this year",
                (true, Lang::Zh) => "须计入本年度出境人数",
            };
            text.push_str(&match lang {
                Lang::En => format!("\n{whose}: {} persons, {} with those before", item.added, item.total),
                Lang::Zh => format!("\n{whose}：{} 人，累计 {} 人", item.added, item.total),
            });
        }
        if self.marks_may_help {
            text.push_str(match lang {
                Lang::En => "\nwho was counted before under another dataset is not looked at without a passphrase: `grant` and `propose` do",
                Lang::Zh => "\n未解锁身份时不查看是否已在其他数据集中计入；`grant` 和 `propose` 会查看",
            });
        }
        text
    }

    /// Only what stands in the way, in words: each rule with what is missing or has to be known.
    #[must_use]
    pub fn missing(&self, lang: Lang) -> String {
        let mut lines = vec![self.decision.outcome.say(lang).to_owned()];
        let (because, evidence, unknown) = match lang {
            Lang::En => ("because", "missing", "has to be known"),
            Lang::Zh => ("依据", "所缺证据", "须先查明"),
        };
        for fired in self.decision.missing() {
            lines.push(format!("{} {}: {}", fired.effect.say(lang), fired.rule, fired.text.say(lang)));
            let cites: Vec<String> =
                fired.cites.iter().map(|cite| format!("{} ({})", cite.place, cite.certainty)).collect();
            if !cites.is_empty() {
                lines.push(format!("    {}", cites.join("; ")));
            }
            lines.extend(
                fired.facts.iter().map(|(input, answer)| format!("    {because}: {input} = {}", answer.show())),
            );
            lines.extend(
                fired.unknown.iter().map(|input| format!("    {unknown}: {input} ({})", input.ask().say(lang))),
            );
            if let Some(text) = fired.evidence.as_ref().filter(|_| fired.effect == Effect::Blocked) {
                lines.push(format!("    {evidence}: {}", text.say(lang)));
            }
        }
        lines.join("\n")
    }

    /// The failure of whoever wanted to act on it; `None` if it allows.
    #[must_use]
    pub fn refusal(&self, dataset: &DatasetId, member: &MemberId, lang: Lang) -> Option<Failure> {
        let stopped = self.decision.missing().count();
        let said = match (self.decision.outcome, lang) {
            (Verdict3::Allow, _) => return None,
            (Verdict3::Blocked, Lang::En) => {
                format!("blocked: {dataset} may not be granted to {member} until what is missing is given")
            }
            (Verdict3::Deny, Lang::En) => format!("denied: {dataset} may not be granted to {member}"),
            (Verdict3::Blocked, Lang::Zh) => format!("暂不允许：补齐所缺事项之前，不得将 {dataset} 授权给 {member}"),
            (Verdict3::Deny, Lang::Zh) => format!("拒绝：不得将 {dataset} 授权给 {member}"),
        };
        Some(Failure::refused(said).hint(match lang {
            Lang::En => format!("{stopped} rule(s) stand in the way; `seqvault decide {dataset} {member}` names each with its facts and evidence"),
            Lang::Zh => format!("共有 {stopped} 条规则不允许；`seqvault decide {dataset} {member}` 逐条列明事实和所缺证据"),
        }))
    }
}

/// What the gate refuses, in the reader's language.
#[must_use]
pub fn refused(refusal: &Refusal, lang: Lang) -> Failure {
    let kind = if matches!(refusal, Refusal::NoMember(_)) { Kind::NotFound } else { Kind::Refused };
    let failure = Failure::new(kind, refusal.text().say(lang).to_owned());
    match (refusal, lang) {
        (Refusal::NoPack { .. }, Lang::En) => {
            failure.hint("name the folder of its file with --packs DIR or SEQVAULT_PACKS")
        }
        (Refusal::NoPack { .. }, Lang::Zh) => failure.hint("以 --packs DIR 或 SEQVAULT_PACKS 指定其文件所在目录"),
        _ => failure,
    }
}

/// Approvals that the genesis asks for on a grant of a dataset.
#[must_use]
pub fn genesis_approvals(vault: &VaultState, dataset: &DatasetState) -> u64 {
    let place = usize::try_from(dataset.level()).ok().and_then(|level| level.checked_sub(1));
    place.and_then(|place| vault.approvals().granted.get(place)).copied().unwrap_or(0)
}

/// What decisions rest on besides the dataset and the member, read once.
struct Look<'a> {
    exposures: Exposures,
    at: At,
    in_force: Vec<&'a Pack>,
}

impl<'a> Look<'a> {
    /// Reads what a decision about a grant rests on: the ledger of the recipient's owner and that of the provider's year.
    async fn take(
        session: &mut Session,
        packs: &'a Packs,
        dataset: &DatasetState,
        member: &MemberId,
        lang: Lang,
    ) -> Outcome<Self> {
        let mut read = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            let exposures = session.exposures_to_decide(&read).await?;
            let at = session.at();
            let in_force =
                ledger::in_force(&session.vault, at.vault, packs.as_slice()).map_err(|e| refused(&e, lang))?;
            // Facts that can't be read name no ledger, and nothing is decided on them.
            let needed = ledger::ledgers_of(&session.vault, dataset, at, member, packs.as_slice()).unwrap_or_default();
            // The vault ledger was read behind them, and may say by now that it is somebody else's.
            if needed.iter().all(|ledger| read.contains(ledger)) {
                return Ok(Self { exposures, at, in_force });
            }
            read.extend(needed);
        }
        Err(busy(member))
    }

    const fn ask<'b>(
        &'b self,
        session: &'b Session,
        dataset: &'b DatasetState,
        member: &'b MemberId,
        facts: &'b Facts,
    ) -> Ask<'b> {
        Ask { vault: &session.vault, exposures: &self.exposures, dataset, at: self.at, member, facts }
    }

    fn foresee(&self, session: &Session, ask: &Ask<'_>, lang: Lang) -> Outcome<Answer> {
        let (decision, reserve) = ledger::foresee(ask, &self.in_force).map_err(|e| refused(&e, lang))?;
        let approvals = genesis_approvals(&session.vault, ask.dataset).max(u64::from(decision.approvals));
        // Without a passphrase nobody can tell whom a recipient was given before: then it may be nobody new.
        let nobody_new = || ledger::foresee_as(ask, &self.in_force, reserve.adding(|_| 0));
        let marks_may_help = decision.outcome != Verdict3::Allow
            && reserve != ToReserve::default()
            && session.vault.subject_key_generation() > 0
            && facts::commitment(ask.dataset.facts()).is_some()
            && nobody_new().is_ok_and(|decision| decision.outcome == Verdict3::Allow);
        Ok(Answer { decision, approvals, reserve, marks_may_help })
    }
}

/// What would be decided now, with totals as they would become.
///
/// # Errors
/// If facts can't be read, a pack in force is not at hand, or the store fails.
pub async fn foresee(
    session: &mut Session,
    packs: &Packs,
    dataset: &DatasetState,
    member: &MemberId,
    facts: &Facts,
    lang: Lang,
) -> Outcome<Answer> {
    let look = Look::take(session, packs, dataset, member, lang).await?;
    look.foresee(session, &look.ask(session, dataset, member, facts), lang)
}

/// As [`foresee`], where the marks of persons tell who was counted before, and with the totals of what is reserved already; with the hash of the
/// dataset's marks, if it has any.
#[allow(clippy::too_many_arguments, reason = "who, what, for whom, by what: each is another thing")]
async fn foresee_marked(
    session: &mut Session,
    signer: &Signer,
    packs: &Packs,
    dataset: &DatasetState,
    member: &MemberId,
    facts: &Facts,
    placed: &Placed,
    lang: Lang,
) -> Outcome<(Answer, Option<Digest>)> {
    let look = Look::take(session, packs, dataset, member, lang).await?;
    let ask = look.ask(session, dataset, member, facts);
    let answer = look.foresee(session, &ask, lang)?;
    let marks = marks::of(session, signer, dataset, &answer.reserve, &look.exposures, lang).await?;
    let of = |need: &Need| match &marks {
        Some(marks) => marks.still_to_count(look.exposures.of(&need.ledger), dataset.id(), need),
        None => need.added,
    };
    let reserve = placed.as_reserved(answer.reserve.adding(of), &look.exposures);
    let decision = ledger::foresee_as(&ask, &look.in_force, reserve).map_err(|e| refused(&e, lang))?;
    let marks_may_help = marks.is_none() && answer.marks_may_help;
    Ok((Answer { decision, reserve, marks_may_help, ..answer }, marks.map(|marks| marks.digest())))
}

/// Reserves what a grant is counted for, as far as it is not yet, and decides again each time that somebody else was first; then decides
/// as the grant is signed, at the vault's head as the session has it afterwards.
///
/// # Errors
/// If it is not allowed any more, or the store fails. What was reserved stays in `placed`, to be used again or cancelled.
#[allow(clippy::too_many_arguments, reason = "who, what, for whom, by what: each is another thing")]
pub async fn settle(
    session: &mut Session,
    signer: &Signer,
    packs: &Packs,
    dataset: &DatasetState,
    member: &MemberId,
    facts: &Facts,
    placed: &mut Placed,
    lang: Lang,
) -> Outcome<Decision> {
    for _ in 0..ATTEMPTS {
        let (answer, subjects) = foresee_marked(session, signer, packs, dataset, member, facts, placed, lang).await?;
        if let Some(failure) = answer.refusal(dataset.id(), member, lang) {
            return Err(failure);
        }
        let (need, place) = match (answer.reserve.recipient, answer.reserve.export) {
            (Some(need), _) if placed.reservation.is_none() => (need, &mut placed.reservation),
            (_, Some(need)) if placed.export.is_none() => (need, &mut placed.export),
            _ => return decide_placed(session, packs, dataset, member, facts, placed, lang).await,
        };
        let body = Reserved {
            added: need.added,
            dataset: dataset.id().clone(),
            member: member.clone(),
            subjects,
            total: need.total,
        };
        let decided_at = session.vault.head();
        *place = match session.append_exposure(signer, need.ledger, Body::Reserved(body)).await {
            // What the rules ask for may have changed since it was decided: then it is decided again.
            Err(failure) if failure.kind == Kind::Refused && session.has_gone_on(decided_at).await? => None,
            reserved => reserved?,
        };
    }
    Err(busy(member))
}

/// The failure of whoever lost the next place of a member's exposure ledger too often.
pub fn busy(member: &MemberId) -> Failure {
    crate::session::outrun(format_args!("the exposure ledger of {member}"), format_args!("{member} 的累计人数账本"))
}

async fn decide_placed(
    session: &mut Session,
    packs: &Packs,
    dataset: &DatasetState,
    member: &MemberId,
    facts: &Facts,
    placed: &Placed,
    lang: Lang,
) -> Outcome<Decision> {
    let look = Look::take(session, packs, dataset, member, lang).await?;
    let ask = look.ask(session, dataset, member, facts);
    let decision = ledger::decide_reserved(&ask, placed.counted(), &look.in_force).map_err(|e| refused(&e, lang))?;
    let approvals = genesis_approvals(&session.vault, dataset).max(u64::from(decision.approvals));
    let answer = Answer { decision, approvals, reserve: ToReserve::default(), marks_may_help: false };
    match answer.refusal(dataset.id(), member, lang) {
        Some(failure) => Err(failure),
        None => Ok(answer.decision),
    }
}

/// Takes back what was reserved for a grant that did not come to be; what can't be taken back is said.
pub async fn cancel(session: &mut Session, signer: &Signer, dataset: &mut DatasetState, placed: &Placed) {
    for reservation in placed.each() {
        if let Err(failure) = take_back(session, signer, dataset, reservation, None).await {
            let (ledger, seq, id) = (&reservation.ledger, reservation.seq, dataset.id());
            let why = failure.say(session.lang);
            output::warn(&match session.lang {
                Lang::En => format!(
                    "seqvault: persons stay counted in {ledger}, entry {seq}, although nothing was granted: {why}; `seqvault subjects release {id}` takes them back"
                ),
                Lang::Zh => format!(
                    "seqvault：虽未授权，{ledger} 第 {seq} 条登记的人数仍计入：{why}；`seqvault subjects release {id}` 可撤回"
                ),
            });
        }
    }
}

/// Takes back a reservation that nothing rests on: cancels it in its dataset's ledger, unless that is done, and then the count follows.
///
/// # Errors
/// If something rests on it, or the store fails.
pub async fn take_back(
    session: &mut Session,
    signer: &Signer,
    dataset: &mut DatasetState,
    reservation: &Reservation,
    cancelled: Option<Reservation>,
) -> Outcome<()> {
    let cites = match cancelled {
        Some(cites) => cites,
        None => {
            let body = Body::ReservationCancelled(ReservationCancelled { reservation: reservation.clone() });
            let (seq, hash) = session.append_always(signer, dataset, &body).await?;
            Reservation { hash, ledger: dataset.ledger(), seq }
        }
    };
    let LedgerId::Exposure(recipient) = &reservation.ledger else { return Ok(()) };
    let body = Body::Released(Released { approval: None, cites, terms: ReleasedTerms { reserved: reservation.hash } });
    for _ in 0..ATTEMPTS {
        if session.append_exposure(signer, *recipient, body.clone()).await?.is_some() {
            return Ok(());
        }
    }
    Err(crate::session::busy(&reservation.ledger))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_the_calendar() {
        assert_eq!(day("1970-01-01"), Ok(0));
        assert_eq!(day("2026-11-21").map(output::time), Ok("2026-11-21T00:00:00Z".to_owned()));
        for bad in ["2026-02-30", "2026-13-01", "26-01-01", "2026-1-1", "tomorrow", ""] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn options_set_fields_and_contradictions_are_found() {
        let asked =
            UseArgs { scenario: Some("research".to_owned()), project: Some("P-7".to_owned()), ..UseArgs::default() };
        let grant = asked.read(Lang::En).unwrap();
        assert_eq!(grant.record().text("use.scenario"), Some("research"));
        assert_eq!(grant.record().text("use.project"), Some("P-7"));
        let wrong = UseArgs { scenario: Some("resarch".to_owned()), ..UseArgs::default() };
        assert!(wrong.read(Lang::En).unwrap_err().message.contains("clinical_care"));
        assert!(wrong.read(Lang::Zh).unwrap_err().message.contains("没有这个场景"));
    }
}
