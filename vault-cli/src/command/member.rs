//! `seqvault member`: who is who, with which cards and roles. Spec 5.2.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use serde::Serialize;
use vault_core::card::{self, Card};
use vault_core::ids::{CardId, DatasetId, MemberId};
use vault_core::json::B64;
use vault_core::ledger::dataset::{DatasetState, GrantStatus};
use vault_core::ledger::statement::{
    Approval, Body, CardAdded, CardAddedTerms, CardRetired, Empty, Facts, Info, Jurisdiction, MemberAmended,
    MemberEnrolled, MemberRetired, OfficerRecovered, OrganisationKind, Role, RoleSet, Text, UploaderSet,
};
use vault_core::ledger::vault::{Member, VaultState};
use vault_policy::{Lang, Member as MemberFacts};

use super::join::Invitation;
use crate::acts::{self, Carried, Place};
use crate::client::remote;
use crate::error::{Failure, Kind, Outcome, zh};
use crate::facts;
use crate::output;
use crate::session::{Session, Signer};
use crate::settings::Globals;
use crate::terms::{CARD_ADDED, Terms};

/// Largest card file that is read.
const MAX_CARD_FILE: u64 = 64 << 10;

/// Enrol, list, show and retire members, their cards and roles
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Enrol somebody by their card (officers)
    #[command(
        after_help = "Example:\n  seqvault member add anna --card anna.card --organisation \"Example Hospital\" --kind hospital --jurisdiction CN --invitation anna.invite"
    )]
    Add(Add),
    /// State new facts of a member, or another organisation (officers)
    #[command(
        after_help = "Examples:\n  seqvault member amend anna --facts anna.toml\n  seqvault member amend anna --organisation \"Example Hospital\"\n\nWhat is not given stays as it is. Grants that the rules no longer allow then are named by `seqvault due`."
    )]
    Amend(Amend),
    /// Print a commented facts file to fill in
    #[command(
        after_help = "Examples:\n  seqvault member template > anna.toml\n  seqvault member template --lang zh > anna.toml"
    )]
    Template {
        /// Filled in, as an example that the pack cn-sequencing allows with the other two
        #[arg(long)]
        example: bool,
    },
    /// Print an invitation for a member: for another machine, after a restore, for a recovery card's keeper
    #[command(
        after_help = "Example:\n  seqvault member invite anna --invitation anna.invite\n\nIt vouches for the vault as this machine sees it now, and carries no secret."
    )]
    Invite {
        /// The member
        member: MemberId,
        #[command(flatten)]
        into: Into,
    },
    /// List members
    #[command(after_help = "Example:\n  seqvault member list --json")]
    List,
    /// Show a member's cards, roles and grants
    #[command(after_help = "Example:\n  seqvault member show anna")]
    Show {
        /// The member
        member: MemberId,
    },
    /// Add a further card to a member: a device, a colleague
    #[command(
        after_help = "Examples:\n  seqvault member add-key anna --card anna-desktop.card\n  seqvault member add-key anna --terms anna-card.terms.json    (what was proposed, once it is approved)\n\nA member adds cards of its own. For an officer the genesis may ask for approvals: `seqvault propose member add-key`."
    )]
    AddKey(AddKey),
    /// Replace a member's card by a new one: add the new, retire the old
    #[command(
        after_help = "Example:\n  seqvault member replace-key anna --old 3f5c..e1 --card anna-new.card --reason \"laptop lost\""
    )]
    ReplaceKey(ReplaceKey),
    /// Retire a member or one of its cards; it never becomes current again
    #[command(after_help = "Example:\n  seqvault member retire anna --reason \"left the hospital\"")]
    Retire(Retire),
    /// Give or take a role: officer, auditor, creator; with --dataset steward, approver, uploader
    #[command(
        after_help = "Example:\n  seqvault member role sequencer-3 uploader --dataset run-42\n\nIf every officer is lost, the keeper of a recovery card of the vault appoints one: `member role ID officer` with that card's identity."
    )]
    Role(RoleArgs),
}

/// Where an invitation goes, and where it leads.
#[derive(ClapArgs, Debug, Clone)]
pub struct Into {
    /// Write the invitation to a file, besides printing it
    #[arg(long, value_name = "FILE")]
    invitation: Option<PathBuf>,
    /// Where they reach the vault, if not where this command does: a server's address, say
    #[arg(long, value_name = "LOCATION")]
    location: Option<String>,
}

/// What an officer says of a member.
#[derive(ClapArgs, Debug, Clone)]
pub struct InfoArgs {
    /// The organisation's name
    #[arg(long, default_value = "unnamed organisation")]
    organisation: String,
    /// What kind of organisation it is
    #[arg(long, default_value = "other")]
    kind: Kinds,
    /// Its country: two capital letters (ISO 3166-1); ZZ if unknown
    #[arg(long, default_value = "ZZ")]
    jurisdiction: String,
}

/// Facts of a member, from a file.
#[derive(ClapArgs, Debug, Clone, Default)]
struct FactsArgs {
    /// Facts: a TOML file from `member template`; kind and country may stand there
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Write a copy of the facts' sealed part, for those who may read it
    #[arg(long, value_name = "FILE", requires = "facts")]
    save_sealed: Option<PathBuf>,
}

#[derive(ClapArgs, Debug)]
struct Amend {
    /// The member
    member: MemberId,
    /// The organisation's name
    #[arg(long)]
    organisation: Option<String>,
    /// What kind of organisation it is
    #[arg(long)]
    kind: Option<Kinds>,
    /// Its country: two capital letters (ISO 3166-1); ZZ if unknown
    #[arg(long)]
    jurisdiction: Option<String>,
    #[command(flatten)]
    facts: FactsArgs,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Kinds {
    Enterprise,
    Hospital,
    Other,
    Regulator,
    Research,
    Team,
}

impl VaultRole {
    const fn role(self) -> Role {
        match self {
            Self::Officer => Role::Officer,
            Self::Auditor => Role::Auditor,
            Self::Creator => Role::Creator,
        }
    }
}

impl InfoArgs {
    /// As a statement holds it.
    ///
    /// # Errors
    /// If the name or the country code is not one.
    pub fn info(&self) -> Outcome<Info> {
        Ok(Info {
            facts: Facts::default(),
            jurisdiction: jurisdiction(&self.jurisdiction)?,
            kind: self.kind.kind(),
            organisation: text("--organisation", &self.organisation)?,
        })
    }
}

impl Kinds {
    const fn kind(self) -> OrganisationKind {
        match self {
            Self::Enterprise => OrganisationKind::Enterprise,
            Self::Hospital => OrganisationKind::Hospital,
            Self::Other => OrganisationKind::Other,
            Self::Regulator => OrganisationKind::Regulator,
            Self::Research => OrganisationKind::Research,
            Self::Team => OrganisationKind::Team,
        }
    }
}

fn jurisdiction(code: &str) -> Outcome<Jurisdiction> {
    Jurisdiction::parse(code).ok_or_else(|| {
        Failure::usage(format!("--jurisdiction {code}: use two capital letters, such as CN or DE"))
            .or_in_chinese(format!("--jurisdiction {code}：须为两个大写字母，例如 CN 或 DE"))
    })
}

/// What nobody said on the command line, the facts may say: kind and country stand beside them in the statement and must be the same.
fn fill(info: &mut Info, facts: &MemberFacts, kind_given: bool, jurisdiction_given: bool) -> Outcome<()> {
    let record = facts.record();
    if let Some(code) = record.text("legal.jurisdiction").filter(|_| !jurisdiction_given) {
        info.jurisdiction = jurisdiction(code)?;
    }
    if let Some(word) = record.text("legal.kind").filter(|_| !kind_given) {
        let kinds = Kinds::value_variants();
        let of = |kind: &&Kinds| kind.to_possible_value().is_some_and(|value| value.get_name() == word);
        info.kind = kinds.iter().find(of).copied().unwrap_or(Kinds::Other).kind();
    }
    Ok(())
}

/// Facts of a member that were read and split.
struct ReadFacts {
    facts: MemberFacts,
    stated: facts::Stated,
}

impl FactsArgs {
    /// Reads the facts into what is said of a member; `None` if none are given.
    fn read(
        &self,
        globals: &Globals,
        info: &mut Info,
        kind_given: bool,
        jurisdiction_given: bool,
    ) -> Outcome<Option<ReadFacts>> {
        let Some(path) = &self.facts else { return Ok(None) };
        let lang = globals.lang();
        let read: MemberFacts = facts::read(path, lang)?;
        fill(info, &read, kind_given, jurisdiction_given)?;
        let stated = facts::split(&read, lang)?;
        info.facts = stated.stated.clone();
        // As every reader will take it.
        MemberFacts::from_info(info)
            .map_err(|e| Failure::usage(format!("{}: {}", path.display(), e.text().say(lang))))?;
        Ok(Some(ReadFacts { facts: read, stated }))
    }

    /// Keeps the sealed part, with the copy that was asked for, and says where it is.
    fn keep(&self, globals: &Globals, read: Option<&ReadFacts>) -> Outcome<()> {
        let Some(read) = read else { return Ok(()) };
        if let Some(told) = read.stated.keep(&globals.state()?, self.save_sealed.as_deref(), globals.lang())? {
            globals.output().note(&told);
        }
        Ok(())
    }
}

#[derive(ClapArgs, Debug)]
struct Add {
    /// Its id in the vault, chosen once
    member: MemberId,
    /// Its card file, as `identity card` prints it; again for several
    #[arg(long, required = true, value_name = "CARD")]
    card: Vec<PathBuf>,
    #[command(flatten)]
    info: InfoArgs,
    #[command(flatten)]
    facts: FactsArgs,
    /// Also give it a role in the vault
    #[arg(long, value_enum)]
    role: Vec<VaultRole>,
    #[command(flatten)]
    into: Into,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum VaultRole {
    Officer,
    Auditor,
    Creator,
}

#[derive(ClapArgs, Debug)]
struct AddKey {
    /// The member
    member: MemberId,
    /// The new card
    #[arg(long, value_name = "CARD", required_unless_present = "terms", conflicts_with = "terms")]
    card: Option<PathBuf>,
    #[command(flatten)]
    how: Carried,
}

#[derive(ClapArgs, Debug)]
struct ReplaceKey {
    /// The member
    member: MemberId,
    /// The card to retire: its id, or the beginning of it
    #[arg(long, value_name = "CARD-ID")]
    old: String,
    /// The new card
    #[arg(long, value_name = "CARD")]
    card: PathBuf,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(ClapArgs, Debug)]
struct Retire {
    /// The member
    member: MemberId,
    /// Only this card: its id, or the beginning of it
    #[arg(long, value_name = "CARD-ID")]
    card: Option<String>,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(ClapArgs, Debug)]
struct RoleArgs {
    /// The member
    member: MemberId,
    /// The role
    role: AnyRole,
    /// The dataset of the role (steward, approver, uploader)
    #[arg(long)]
    dataset: Option<DatasetId>,
    /// Take the role away
    #[arg(long)]
    remove: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum AnyRole {
    Officer,
    Auditor,
    Creator,
    Steward,
    Approver,
    Uploader,
}

/// Facts of a member, filled in.
pub(super) const EXAMPLE: &str = include_str!("examples/member.toml");

/// Runs the verb.
///
/// # Errors
/// If the vault can't be opened or the statement would not count.
pub async fn run(globals: &Globals, args: Args) -> Outcome<()> {
    if let Verb::Template { example } = args.verb {
        let text = if example { EXAMPLE.to_owned() } else { MemberFacts::template(globals.lang()) };
        return globals.output().line(&text);
    }
    let mut session = Session::open(globals).await?;
    match args.verb {
        Verb::Template { .. } => Ok(()),
        Verb::Add(args) => add(globals, &mut session, args).await,
        Verb::Amend(args) => amend(globals, &mut session, args).await,
        Verb::Invite { member, into } => invite(globals, &session, member, &into),
        Verb::List => list(globals, &session),
        Verb::Show { member } => show(globals, &mut session, &member).await,
        Verb::AddKey(args) => add_key(globals, &mut session, &args).await,
        Verb::ReplaceKey(args) => replace_key(globals, &mut session, args).await,
        Verb::Retire(args) => retire(globals, &mut session, args).await,
        Verb::Role(args) => role(globals, &mut session, args).await,
    }
}

#[derive(Serialize)]
struct Added {
    member: MemberId,
    cards: Vec<CardId>,
    fingerprints: Vec<String>,
    entry: u64,
    invitation: String,
}

async fn add(globals: &Globals, session: &mut Session, args: Add) -> Outcome<()> {
    let cards = args.card.iter().map(|path| read_card(path)).collect::<Outcome<Vec<_>>>()?;
    for (card, path) in cards.iter().zip(&args.card) {
        if card.suite() != session.vault.suite() {
            return Err(Failure::usage(format!(
                "{}: a card of suite {}, and the vault is of suite {}",
                path.display(),
                card.suite().id(),
                session.vault.suite().id()
            ))
            .or_in_chinese(format!(
                "{}：卡片的算法套件为 {}，保险库的为 {}",
                path.display(),
                card.suite().id(),
                session.vault.suite().id()
            ))
            .hints(
                format!(
                    "they can make another identity: `seqvault identity new --suite {}`",
                    session.vault.suite().id()
                ),
                format!("其可另建身份：`seqvault identity new --suite {}`", session.vault.suite().id()),
            ));
        }
    }
    let mut info = args.info.info()?;
    let given = |word: &str, default: &str| word != default;
    let jurisdiction_given = given(&args.info.jurisdiction, "ZZ");
    let kind_given = !matches!(args.info.kind, Kinds::Other);
    let read = args.facts.read(globals, &mut info, kind_given, jurisdiction_given)?;
    let signer = session.signer(globals)?;
    args.facts.keep(globals, read.as_ref())?;
    let seq = match unfinished(&session.vault, &args.member, &cards, &info, &args.role) {
        Some(seq) => seq,
        None => {
            let cards = cards.iter().map(|c| B64(c.stored().to_vec())).collect();
            let body = MemberEnrolled { cards, info, member: args.member.clone() };
            session.append_vault(&signer, &Body::MemberEnrolled(body)).await?
        }
    };
    for role in args.role {
        let role = role.role();
        if !session.vault.has_role(role, None, &args.member, session.vault.last_seq()) {
            let body = RoleSet { dataset: None, member: args.member.clone(), on: true, role };
            session.append_vault(&signer, &Body::RoleSet(body)).await?;
        }
    }
    let invitation = invitation(session, &args.member, &args.into)?;
    let added = Added {
        member: args.member,
        cards: cards.iter().map(|c| *c.id()).collect(),
        fingerprints: cards.iter().map(Card::fingerprint).collect(),
        entry: seq,
        invitation,
    };
    globals.output().result(&added, || {
        let prints = added.fingerprints.join("\n  ");
        let hand_over = match &args.into.invitation {
            Some(path) => format!("its invitation is in {}", path.display()),
            None => format!("its invitation, to be handed over on an authentic channel:\n{}", added.invitation),
        };
        format!(
            "{} is enrolled with\n  {prints}\ncompare this with them before anything is granted; {hand_over}",
            added.member
        )
    })
}

/// The enrolment that this command made before it was interrupted: the same cards and description, a role still missing.
fn unfinished(vault: &VaultState, id: &MemberId, cards: &[Card], info: &Info, roles: &[VaultRole]) -> Option<u64> {
    let (member, at) = (vault.member(id)?, vault.last_seq());
    let missing = roles.iter().any(|role| !vault.has_role(role.role(), None, id, at));
    let theirs: BTreeSet<&CardId> = vault.current_cards(id, at).map(|record| record.card.id()).collect();
    let same =
        member.info().is_some_and(|there| is_same(there, info)) && theirs == cards.iter().map(Card::id).collect();
    (missing && same && vault.is_current_member(id, at)).then_some(member.enrolled)
}

/// Whether two descriptions say the same; the sealed part of facts has another hash each time that it is made.
fn is_same(a: &Info, b: &Info) -> bool {
    facts::same_in_the_clear(&a.facts, &b.facts)
        && (a.jurisdiction.as_str(), a.kind, a.organisation.as_str())
            == (b.jurisdiction.as_str(), b.kind, b.organisation.as_str())
}

#[derive(Serialize)]
struct Amended {
    member: MemberId,
    entry: u64,
    /// What changed in the facts, field by field.
    changes: Vec<facts::Changed>,
}

async fn amend(globals: &Globals, session: &mut Session, args: Amend) -> Outcome<()> {
    let (lang, home) = (globals.lang(), globals.state()?);
    let member = session.vault.member(&args.member).ok_or_else(|| no_member(&args.member))?;
    let before = member.info().cloned().ok_or_else(|| no_member(&args.member))?;
    let mut info = before.clone();
    if let Some(organisation) = &args.organisation {
        info.organisation = text("--organisation", organisation)?;
    }
    if let Some(kind) = args.kind {
        info.kind = kind.kind();
    }
    if let Some(code) = &args.jurisdiction {
        info.jurisdiction = jurisdiction(code)?;
    }
    let read = args.facts.read(globals, &mut info, args.kind.is_some(), args.jurisdiction.is_some())?;
    if is_same(&before, &info) && read.as_ref().is_none_or(|read| read.stated.sealed.is_none()) {
        return Err(Failure::new(
            Kind::Conflict,
            match lang {
                Lang::En => format!("nothing of {} would change", args.member),
                Lang::Zh => format!("{} 没有任何变更", args.member),
            },
        ));
    }
    MemberFacts::from_info(&info).map_err(|e| facts::stated_failure(args.member.as_str(), &e, lang))?;
    let changes =
        read.as_ref().map(|read| changes(&args.member, &before, &read.facts, &home, lang)).unwrap_or_default();
    for change in &changes {
        globals.output().note(&change.say(lang));
    }
    let signer = session.signer(globals)?;
    args.facts.keep(globals, read.as_ref())?;
    let body = MemberAmended { info, member: args.member.clone() };
    let entry = session.append_vault(&signer, &Body::MemberAmended(body)).await?;
    let done = Amended { member: args.member, entry, changes };
    globals.output().result(&done, || match lang {
        Lang::En => format!("{} is amended; `seqvault due` names grants that the rules no longer allow", done.member),
        Lang::Zh => format!("{} 已变更；`seqvault due` 列出规则不再允许的授权", done.member),
    })
}

/// What changes in the facts, as far as those before are at hand.
fn changes(
    member: &MemberId,
    before: &Info,
    after: &MemberFacts,
    home: &crate::state::StateFolder,
    lang: Lang,
) -> Vec<facts::Changed> {
    // What was stated in another form before is no obstacle to stating it well now.
    let was = facts::known::<MemberFacts>(member.as_str(), &before.facts, None, home, lang)
        .map_or_else(|_| MemberFacts::unknown(), |known| known.facts);
    let Ok(amendment) = after.amends(&was, "-") else { return Vec::new() };
    amendment.changes.iter().map(facts::Changed::of).collect()
}

/// An invitation to the vault as it is now, which is the enrolment or later.
fn invitation(session: &Session, member: &MemberId, into: &Into) -> Outcome<String> {
    let head = session
        .vault
        .head()
        .ok_or_else(|| Failure::integrity("the vault ledger is empty").or_in_chinese("保险库账本为空"))?;
    let invitation = Invitation {
        hash: head.hash,
        location: into.location(session.client.location())?,
        member: member.clone(),
        seq: head.seq,
        vault: *session.vault.id(),
    }
    .emit()?;
    if let Some(path) = &into.invitation {
        std::fs::write(path, format!("{invitation}\n")).map_err(|e| Failure::file(path, &e))?;
    }
    Ok(invitation)
}

#[derive(Serialize)]
struct Invited {
    member: MemberId,
    invitation: String,
}

fn invite(globals: &Globals, session: &Session, member: MemberId, into: &Into) -> Outcome<()> {
    if session.vault.member(&member).is_none() {
        return Err(no_member(&member));
    }
    if session.vault.current_cards(&member, session.vault.last_seq()).next().is_none() {
        return Err(Failure::refused(format!("{member} is retired, or has no current card: nobody could use it"))
            .or_in_chinese(format!("{member} 已停用或没有可用的卡片：邀请无人可用")));
    }
    let invitation = invitation(session, &member, into)?;
    let invited = Invited { member, invitation };
    globals.output().result(&invited, || invited.invitation.clone())
}

impl Into {
    /// Where the invitation leads: as others have to write it.
    fn location(&self, here: &str) -> Outcome<String> {
        match self.location.as_deref() {
            Some(there) if remote::is_address(there) => remote::canonical(there),
            there => Ok(absolute(there.unwrap_or(here))),
        }
    }
}

/// A location that means the same from another folder.
fn absolute(location: &str) -> String {
    std::fs::canonicalize(location).map_or_else(|_| location.to_owned(), |p| p.to_string_lossy().into_owned())
}

#[derive(Serialize)]
struct Listed {
    member: MemberId,
    organisation: String,
    jurisdiction: String,
    kind: OrganisationKind,
    current: bool,
    cards: usize,
    roles: Vec<String>,
}

fn list(globals: &Globals, session: &Session) -> Outcome<()> {
    let vault = &session.vault;
    let members: Vec<Listed> = vault.members().filter_map(|(id, member)| listed(vault, id, member)).collect();
    globals.output().result(&members, || {
        let rows: Vec<Vec<String>> = members
            .iter()
            .map(|m| {
                let status = if m.current { "current" } else { "retired" };
                let cards = m.cards.to_string();
                let roles = m.roles.join(", ");
                vec![
                    m.member.to_string(),
                    status.to_owned(),
                    cards,
                    m.jurisdiction.clone(),
                    m.organisation.clone(),
                    roles,
                ]
            })
            .collect();
        output::table(&["MEMBER", "STATUS", "CARDS", "COUNTRY", "ORGANISATION", "ROLES"], &rows)
    })
}

fn listed(vault: &VaultState, id: &MemberId, member: &Member) -> Option<Listed> {
    let info = member.info()?;
    Some(Listed {
        member: id.clone(),
        organisation: info.organisation.as_str().to_owned(),
        jurisdiction: info.jurisdiction.as_str().to_owned(),
        kind: info.kind,
        current: member.retired.is_none(),
        cards: vault.current_cards(id, vault.last_seq()).count(),
        roles: roles(vault, id),
    })
}

fn roles(vault: &VaultState, id: &MemberId) -> Vec<String> {
    vault
        .roles_of(id)
        .map(|(role, dataset)| match dataset {
            Some(dataset) => format!("{} of {dataset}", role.name()),
            None => role.name().to_owned(),
        })
        .collect()
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    cards_shown: Vec<ShownCard>,
    grants: Vec<ShownGrant>,
    facts: std::collections::BTreeMap<&'static str, facts::Shown>,
}

#[derive(Serialize)]
struct ShownCard {
    id: CardId,
    fingerprint: String,
    label: String,
    current: bool,
}

#[derive(Serialize)]
struct ShownGrant {
    dataset: DatasetId,
    status: String,
    ends: Option<u64>,
}

async fn show(globals: &Globals, session: &mut Session, id: &MemberId) -> Outcome<()> {
    let member = session.vault.member(id).ok_or_else(|| no_member(id))?;
    let listed = listed(&session.vault, id, member).ok_or_else(|| no_member(id))?;
    let known = member.info().and_then(|info| {
        let home = globals.state().ok()?;
        // Facts of another form are shown by `log`; a member without any is shown without.
        facts::known::<MemberFacts>(id.as_str(), &info.facts, None, &home, globals.lang()).ok()
    });
    let record = known.as_ref().map(|known| known.facts.record());
    let cards_shown = session
        .vault
        .cards_of(id)
        .map(|record| ShownCard {
            id: *record.card.id(),
            fingerprint: record.card.fingerprint(),
            label: record.card.label().to_owned(),
            current: record.retired.is_none(),
        })
        .collect();
    let mut grants = Vec::new();
    for state in session.datasets().await? {
        let dataset = state.id().clone();
        if let Some(grant) = state.grants().get(id) {
            grants.push(ShownGrant {
                dataset,
                status: super::dataset::grant_status(grant, session.at()),
                ends: grant.ends,
            });
        }
    }
    let facts = record.map(|record| facts::shown(record, globals.lang())).unwrap_or_default();
    let shown = Shown { listed, cards_shown, grants, facts };
    globals.output().result(&shown, || {
        let m = &shown.listed;
        let mut text = format!(
            "{} ({}, {})\n  {}\n  roles: {}",
            m.member,
            m.organisation,
            m.jurisdiction,
            if m.current { "current" } else { "retired" },
            if m.roles.is_empty() { "none".to_owned() } else { m.roles.join(", ") }
        );
        for card in &shown.cards_shown {
            let status = if card.current { "" } else { " (retired)" };
            text.push_str(&format!("\n  card {}  {}{status}\n       {}", card.fingerprint, card.label, card.id));
        }
        for grant in &shown.grants {
            text.push_str(&format!("\n  {}: {}", grant.dataset, grant.status));
        }
        for line in record.map(|record| facts::lines(record, globals.lang())).unwrap_or_default() {
            text.push_str(&format!("\n  {line}"));
        }
        output::printable(&text)
    })?;
    session.is_complete()
}

#[derive(Serialize)]
struct Done {
    member: MemberId,
    entry: u64,
    datasets: Vec<DatasetId>,
}

#[derive(Serialize)]
struct KeyAdded {
    member: MemberId,
    /// `null` if nothing was done.
    entry: Option<u64>,
    fingerprint: String,
    /// How many approvals it takes.
    approvals: u64,
}

async fn add_key(globals: &Globals, session: &mut Session, args: &AddKey) -> Outcome<()> {
    let lang = globals.lang();
    let file = args.how.read(session, lang)?;
    let card = match (&file, &args.card) {
        (Some((file, path)), _) => match &file.terms {
            Terms::CardAdded(terms) if terms.member == args.member => {
                Card::parse(&terms.card.0).map_err(|e| not_a_card(path, &e))?
            }
            _ => {
                return Err(Failure::usage(format!("{}: no terms of a card for {}", path.display(), args.member))
                    .or_in_chinese(format!("{}：不是为 {} 添加卡片的条款", path.display(), args.member)));
            }
        },
        (None, Some(path)) => read_card(path)?,
        (None, None) => return Err(Failure::usage("name a card with --card").or_in_chinese("请以 --card 指明卡片")),
    };
    let me = session.member_of(&globals.card()?)?;
    let needed = card_approvals(session, &me, &args.member);
    let print = card.fingerprint();
    if args.how.dry_run {
        let signer = session.signer(globals)?;
        session.would_accept_in_vault(&signer, &card_added(&args.member, &card, None))?;
        let done = KeyAdded { member: args.member.clone(), entry: None, fingerprint: print, approvals: needed };
        return globals.output().result(&done, || would_add(&done, lang));
    }
    let of = file.as_ref().map(|(file, path)| (file, *path));
    let propose = format!("member add-key {} --card CARD", args.member);
    let (named, act) = (args.how.proposal.as_deref(), (CARD_ADDED, propose.as_str()));
    let approvals = acts::approval(session, Place::Vault, of, named, &me, needed, act, lang)?;
    let signer = session.signer(globals)?;
    let entry = add_card(session, &signer, &args.member, &card, approvals.map(|found| found.approval)).await?;
    let done = KeyAdded { member: args.member.clone(), entry: Some(entry), fingerprint: print, approvals: needed };
    globals.output().result(&done, || match lang {
        Lang::En => format!(
            "{0} has the card {1} as well; a steward seals datasets to it with `seqvault grant DATASET {0}`",
            done.member, done.fingerprint
        ),
        Lang::Zh => format!(
            "{0} 已增加卡片 {1}；由数据管理者以 `seqvault grant DATASET {0}` 向其封装数据集",
            done.member, done.fingerprint
        ),
    })
}

fn would_add(done: &KeyAdded, lang: Lang) -> String {
    let KeyAdded { member, fingerprint, approvals, .. } = done;
    match (approvals, lang) {
        (0, Lang::En) => format!("{member} would have the card {fingerprint} as well; nothing was done"),
        (0, Lang::Zh) => format!("{member} 将增加卡片 {fingerprint}；未执行任何操作"),
        (n, Lang::En) => {
            format!("{member} would have the card {fingerprint} as well; nothing was done; {n} approval(s) are needed")
        }
        (n, Lang::Zh) => format!("{member} 将增加卡片 {fingerprint}；未执行任何操作；须 {n} 人批准"),
    }
}

/// How many approvals a card takes: none of the member itself, and of an officer those that the genesis asks for.
fn card_approvals(session: &Session, me: &MemberId, member: &MemberId) -> u64 {
    if me == member { 0 } else { Place::Vault.genesis(session, CARD_ADDED) }
}

async fn add_card(
    session: &mut Session,
    signer: &Signer,
    member: &MemberId,
    card: &Card,
    approval: Option<Approval>,
) -> Outcome<u64> {
    session.append_vault(signer, &card_added(member, card, approval)).await
}

fn card_added(member: &MemberId, card: &Card, approval: Option<Approval>) -> Body {
    let terms = CardAddedTerms { card: B64(card.stored().to_vec()), member: member.clone() };
    Body::CardAdded(CardAdded { approval, terms })
}

async fn replace_key(globals: &Globals, session: &mut Session, args: ReplaceKey) -> Outcome<()> {
    let card = read_card(&args.card)?;
    let is_new = !session.vault.is_current_card(card.id(), &args.member, session.vault.last_seq());
    let old = find_card(&session.vault, &args.member, &args.old, is_new)?;
    let reason = text("--reason", &args.reason)?;
    let me = session.member_of(&globals.card()?)?;
    if is_new && card_approvals(session, &me, &args.member) > 0 {
        let member = &args.member;
        return Err(Failure::refused(format!("approvals are needed to add a card in the name of {member}"))
            .or_in_chinese(format!("以 {member} 的名义添加卡片须经批准"))
            .hints(
                format!("`seqvault propose member add-key {member} --card CARD`, `approve`, `seqvault member add-key {member} --terms FILE`; then run the same command again: it retires the old card"),
                format!("`seqvault propose member add-key {member} --card CARD`、`approve`、`seqvault member add-key {member} --terms FILE`；再运行同一命令以停用旧卡片"),
            ));
    }
    let signer = session.signer(globals)?;
    if is_new {
        add_card(session, &signer, &args.member, &card, None).await?;
    }
    let entry = match session.vault.card(&old).and_then(|record| record.retired) {
        // By this command, before it was interrupted.
        Some(entry) => entry,
        None => {
            let body = CardRetired { card: old, member: args.member.clone(), reason };
            session.append_vault(&signer, &Body::CardRetired(body)).await?
        }
    };
    let datasets = anchor_everywhere(session, &signer, &args.member).await?;
    let done = Done { member: args.member, entry, datasets };
    globals
        .output()
        .result(&done, || format!("{} now uses {}{}", done.member, card.fingerprint(), to_rotate(&done.datasets)))?;
    session.is_complete()
}

async fn retire(globals: &Globals, session: &mut Session, args: Retire) -> Outcome<()> {
    let reason = text("--reason", &args.reason)?;
    let member = session.vault.member(&args.member).ok_or_else(|| no_member(&args.member))?;
    let (retired, body) = match &args.card {
        Some(card) => {
            let card = find_card(&session.vault, &args.member, card, false)?;
            let retired = session.vault.card(&card).and_then(|record| record.retired);
            (retired, Body::CardRetired(CardRetired { card, member: args.member.clone(), reason }))
        }
        None => (member.retired, Body::MemberRetired(MemberRetired { member: args.member.clone(), reason })),
    };
    let signer = session.signer(globals)?;
    // What was retired already, perhaps by this command before it was interrupted, may still have to be made known to datasets.
    let entry = match retired {
        Some(entry) => entry,
        None => session.append_vault(&signer, &body).await?,
    };
    let datasets = match anchor_everywhere(session, &signer, &args.member).await {
        // Who retired itself is no member any more, and a server answers it nothing: an officer's `doctor --repair` tells the datasets.
        Err(failure) if failure.kind == Kind::Refused && args.member == signer.member => Vec::new(),
        other => other?,
    };
    let done = Done { member: args.member, entry, datasets };
    globals.output().result(&done, || format!("{} is retired{}", done.member, to_rotate(&done.datasets)))?;
    session.is_complete()
}

fn to_rotate(datasets: &[DatasetId]) -> String {
    if datasets.is_empty() {
        return String::new();
    }
    let names: Vec<String> = datasets.iter().map(ToString::to_string).collect();
    format!(
        "\nits keys still open what is stored, and new uploads wait, until a steward rotates: {}  (`seqvault rotate DATASET`)",
        names.join(", ")
    )
}

async fn role(globals: &Globals, session: &mut Session, args: RoleArgs) -> Outcome<()> {
    if session.vault.member(&args.member).is_none() {
        return Err(no_member(&args.member));
    }
    let role = match args.role {
        AnyRole::Officer => Role::Officer,
        AnyRole::Auditor => Role::Auditor,
        AnyRole::Creator => Role::Creator,
        AnyRole::Steward => Role::Steward,
        AnyRole::Approver => Role::Approver,
        AnyRole::Uploader => {
            let dataset = args.dataset.ok_or_else(|| {
                Failure::usage("uploaders are named for a dataset: add --dataset")
                    .or_in_chinese("上传者须就数据集指定：请加上 --dataset")
            })?;
            return uploader(globals, session, &dataset, args.member, !args.remove).await;
        }
    };
    if role.is_of_dataset() != args.dataset.is_some() {
        let (need, need_zh) = if role.is_of_dataset() {
            ("is for a dataset: add --dataset", "须就数据集授予：请加上 --dataset")
        } else {
            ("is for the whole vault: leave --dataset out", "就整个保险库授予：请去掉 --dataset")
        };
        return Err(Failure::usage(format!("the role {} {need}", role.name()))
            .or_in_chinese(format!("角色 {} {need_zh}", role.name())));
    }
    if let Some(dataset) = &args.dataset {
        session.dataset(dataset).await?;
    }
    let signer = session.signer(globals)?;
    let body = if role == Role::Officer && !args.remove && is_recovery(session, &signer) {
        Body::OfficerRecovered(OfficerRecovered { member: args.member.clone() })
    } else {
        Body::RoleSet(RoleSet { dataset: args.dataset.clone(), member: args.member.clone(), on: !args.remove, role })
    };
    let entry = session.append_vault(&signer, &body).await?;
    let mut datasets = Vec::new();
    if let Some(dataset) = args.dataset {
        let mut state = session.dataset(&dataset).await?;
        anchor(session, &signer, &mut state).await?;
        datasets.push(dataset);
    }
    let done = Done { member: args.member, entry, datasets };
    let verb = if args.remove { "is no longer" } else { "is now" };
    globals.output().result(&done, || format!("{} {verb} {}", done.member, role.name()))
}

/// Whether somebody who is no officer signs with a recovery card of the vault, which may appoint one all the same.
fn is_recovery(session: &Session, signer: &Signer) -> bool {
    let vault = &session.vault;
    vault.recovery_cards().contains(&signer.card) && !vault.is_officer(&signer.member, vault.last_seq())
}

async fn uploader(
    globals: &Globals,
    session: &mut Session,
    dataset: &DatasetId,
    member: MemberId,
    on: bool,
) -> Outcome<()> {
    let mut state = session.dataset(dataset).await?;
    let signer = session.signer(globals)?;
    let body = Body::UploaderSet(UploaderSet { member: member.clone(), on });
    let (entry, _) = session.append_always(&signer, &mut state, &body).await?;
    let done = Done { member, entry, datasets: vec![dataset.clone()] };
    let verb = if on { "may upload to" } else { "may no longer upload to" };
    globals.output().result(&done, || format!("{} {verb} {dataset}", done.member))
}

/// Makes every dataset that a member has to do with cite the newest vault entry, so that a retirement counts there.
async fn anchor_everywhere(session: &mut Session, signer: &Signer, member: &MemberId) -> Outcome<Vec<DatasetId>> {
    let mut concerned = Vec::new();
    for mut state in session.datasets().await? {
        if concerns(&state, &session.vault, member) {
            anchor(session, signer, &mut state).await?;
            if state.is_stale(&session.vault, session.at()) && !state.is_deleted() {
                concerned.push(state.id().clone());
            }
        }
    }
    Ok(concerned)
}

fn concerns(state: &DatasetState, vault: &VaultState, member: &MemberId) -> bool {
    let grant = state.grants().get(member).is_some_and(|g| g.status == GrantStatus::Given);
    let sealed = state.newest_epoch().is_some_and(|e| e.seals.keys().any(|(m, _)| m == member));
    grant
        || sealed
        || state.uploaders().contains(member)
        || state.creator() == member
        || vault.members_with(Role::Steward, Some(state.id()), vault.last_seq()).any(|m| m == member)
}

async fn anchor(session: &mut Session, signer: &Signer, state: &mut DatasetState) -> Outcome<()> {
    if session.vault.last_seq() <= state.cited() {
        return Ok(());
    }
    // Only a current member can; somebody who just retired themselves leaves it to others.
    if !session.vault.is_current_card(&signer.card, &signer.member, session.vault.last_seq()) {
        output::warn(
            "note: you retired yourself; an officer's `seqvault doctor --repair` makes it count in each dataset",
        );
        return Ok(());
    }
    match session.append_always(signer, state, &Body::Anchored(Empty {})).await {
        // Somebody else's statement cited it in the meantime.
        Err(failure) if failure.kind == Kind::Refused && session.vault.last_seq() <= state.cited() => Ok(()),
        other => other.map(drop),
    }
}

/// Appends `anchored` to every dataset that has not cited the newest vault entry; how many.
///
/// # Errors
/// If a dataset can't be read or written.
pub async fn anchor_all(session: &mut Session, signer: &Signer) -> Outcome<usize> {
    let mut count = 0;
    for mut state in session.datasets().await? {
        if session.vault.last_seq() > state.cited() {
            anchor(session, signer, &mut state).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// A card of a member by its id or the beginning of it, in hex, or its fingerprint.
fn find_card(vault: &VaultState, member: &MemberId, text: &str, current: bool) -> Outcome<CardId> {
    let matches: Vec<CardId> = vault
        .cards_of(member)
        .filter(|r| r.retired.is_none() || !current)
        .map(|r| *r.card.id())
        .filter(|id| id.to_string().starts_with(text) || card::fingerprint(id).starts_with(text))
        .collect();
    match matches.as_slice() {
        [one] if text.len() >= 4 => Ok(*one),
        [_] => {
            Err(Failure::usage("name at least four characters of the card").or_in_chinese("请至少写明卡片的四个字符"))
        }
        [] => Err(Failure::not_found(format!("{member} has no {}card {text}", if current { "current " } else { "" }))
            .or_in_chinese(format!("{member} 没有{}卡片 {text}", if current { "可用的" } else { "" }))
            .hints(
                format!("`seqvault member show {member}` lists them"),
                format!("`seqvault member show {member}` 列出其卡片"),
            )),
        _ => Err(Failure::usage(format!("several cards of {member} begin with {text}"))
            .or_in_chinese(format!("{member} 有多张卡片以 {text} 开头"))),
    }
}

/// Reads a card file.
///
/// # Errors
/// If it can't be read or is not a valid card.
pub fn read_card(path: &Path) -> Outcome<Card> {
    let length = std::fs::metadata(path).map_err(|e| Failure::file(path, &e))?.len();
    if length > MAX_CARD_FILE {
        return Err(Failure::usage(format!("{} is too long for a card ({length} bytes)", path.display()))
            .or_in_chinese(format!("{} 过长，不是卡片（{length} 字节）", path.display())));
    }
    let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
    Card::parse(bytes.trim_ascii()).map_err(|e| not_a_card(path, &e))
}

/// What is read is no card.
pub(super) fn not_a_card(path: &Path, error: &card::CardError) -> Failure {
    Failure::integrity(format!("{} is not a valid card: {error}", path.display()))
        .or_in_chinese(format!("{} 不是有效的卡片", path.display()))
        .hints(
            "ask for it again; `seqvault identity card` prints it",
            "请对方重新提供：`seqvault identity card` 可打印卡片",
        )
}

/// Text of an option, as statements hold it.
///
/// # Errors
/// If it is too long or has control characters.
pub fn text(option: &str, value: &str) -> Outcome<Text> {
    Text::parse(value)
        .map_err(|e| Failure::usage(format!("{option}: {e}")).or_in_chinese(format!("{option}：{}", zh::text(e))))
}

/// There is no such member.
#[must_use]
pub fn no_member(id: &MemberId) -> Failure {
    Failure::not_found(format!("{id} is not enrolled in this vault"))
        .or_in_chinese(format!("{id} 不是本保险库的成员"))
        .hints("`seqvault member list` shows who is", "`seqvault member list` 列出全部成员")
}
