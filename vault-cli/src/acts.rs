//! Acts that need second signatures, by hand: where each is proposed and approved, how many approvals it needs, from whom. Spec 5.1.
//!
//! | act | ledger | proposed by | approved by |
//! |---|---|---|---|
//! | `granted`, `dataset-deleted` | the dataset's | a steward | its approvers |
//! | `card-added`, `recovered` | the vault's | an officer | other officers |
//! | `released` | the exposure ledger | who reserved, an officer | officers |

use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_core::ids::{Digest, EntryHash, LedgerId, MemberId};
use vault_core::ledger::approval::{Proposal, Proposals};
use vault_core::ledger::dataset::DatasetState;
use vault_core::ledger::exposure::ExposureState;
use vault_core::ledger::statement::{Approval, Body, Info, Proposed, Role};
use vault_policy::Lang;

use crate::command::suspend::names;
use crate::error::{Failure, Kind, Outcome};
use crate::gate;
use crate::output;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;
use crate::terms::{self, Terms, TermsFile};

const DAY: u64 = 86_400;

/// The ledger of an act, as it was read.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// The vault's.
    Vault,
    /// A dataset's.
    Dataset(&'a DatasetState),
    /// An exposure ledger.
    Exposure(&'a ExposureState),
}

impl<'a> Place<'a> {
    /// The ledger's id.
    #[must_use]
    pub fn ledger(self) -> LedgerId {
        match self {
            Self::Vault => LedgerId::Vault,
            Self::Dataset(dataset) => dataset.ledger(),
            Self::Exposure(exposure) => LedgerId::Exposure(*exposure.recipient()),
        }
    }

    /// The acts that wait there, or did.
    #[must_use]
    pub const fn proposals(self, session: &'a Session) -> &'a Proposals {
        match self {
            Self::Vault => session.vault.proposals(),
            Self::Dataset(dataset) => dataset.proposals(),
            Self::Exposure(exposure) => exposure.proposals(),
        }
    }

    /// The hash of the facts that a proposal rests on.
    fn facts(self) -> Option<Digest> {
        if let Self::Dataset(dataset) = self { Some(dataset.facts().digest()) } else { None }
    }

    /// Where the facts and the level were stated that a proposal rests on.
    const fn stated(self) -> Option<u64> {
        if let Self::Dataset(dataset) = self { Some(dataset.facts_seq()) } else { None }
    }

    /// Who may approve there.
    #[must_use]
    pub fn approvers(self, session: &Session) -> Vec<MemberId> {
        let (vault, at) = (&session.vault, session.vault.last_seq());
        match self {
            Self::Dataset(dataset) => vault.members_with(Role::Approver, Some(dataset.id()), at).cloned().collect(),
            Self::Vault | Self::Exposure(_) => vault.members_with(Role::Officer, None, at).cloned().collect(),
        }
    }

    /// The approvals that the genesis asks for. The rules of a pack may ask for more of a grant; and persons who were given something are
    /// taken out of a count by no one person alone, whatever the genesis says.
    #[must_use]
    pub fn genesis(self, session: &Session, act: &str) -> u64 {
        let counts = session.vault.approvals();
        match (act, self) {
            (terms::GRANTED, Self::Dataset(dataset)) => gate::genesis_approvals(&session.vault, dataset),
            (terms::DATASET_DELETED, _) => counts.dataset_deleted,
            (terms::RECOVERED, _) => counts.recovered,
            (terms::RELEASED, _) => counts.released.max(1),
            _ => counts.card_added,
        }
    }

    /// Whom an act is for, who therefore can't approve it.
    #[must_use]
    pub fn beneficiary(self, terms: &'a Terms) -> Option<&'a MemberId> {
        match (terms, self) {
            (Terms::Released(released), Self::Exposure(exposure)) => {
                exposure.reserved().get(&released.reserved).map(|reserved| &reserved.member)
            }
            (terms, _) => terms.member(),
        }
    }

    /// Whether the hashes that a proposal names are the present ones; the beneficiary's is left out where nobody knows who it is.
    #[must_use]
    pub fn still_holds(self, session: &Session, proposal: &Proposal, beneficiary: Option<&MemberId>) -> bool {
        // A level that was changed since needs other approvals.
        let is_newer = if let Self::Dataset(dataset) = self { proposal.seq > dataset.facts_seq() } else { true };
        is_newer
            && proposal.body.facts == self.facts()
            && proposal.body.pack == session.vault.pack_at(session.vault.last_seq())
            && beneficiary.is_none_or(|member| proposal.body.member == info(session, member))
    }

    /// The statement that proposes these terms now.
    fn proposed(self, session: &Session, file: &TermsFile, ends: u64) -> Body {
        Body::Proposed(Proposed {
            act: file.terms.act().to_owned(),
            ends,
            facts: self.facts(),
            member: self.beneficiary(&file.terms).and_then(|member| info(session, member)),
            pack: session.vault.pack_at(session.vault.last_seq()),
            terms: file.digest(),
        })
    }

    /// The proposal that is named, or the newest for these terms.
    ///
    /// # Errors
    /// If there is none, or it is for other terms.
    pub fn find(
        self,
        session: &'a Session,
        file: &TermsFile,
        path: &Path,
        named: Option<&str>,
        lang: Lang,
    ) -> Outcome<(EntryHash, &'a Proposal)> {
        let proposals = self.proposals(session);
        if let Some(text) = named {
            let (hash, proposal) = terms::find(proposals.iter(), text, &self.ledger())?;
            file.check(path, &hash, proposal, lang)?;
            return Ok((hash, proposal));
        }
        let now = session.at().time;
        let fits = |proposal: &&Proposal| proposal.body.act == file.terms.act() && proposal.body.terms == file.digest();
        let of = proposals.iter().filter(|(_, proposal)| fits(proposal));
        let best = of.max_by_key(|(_, proposal)| (!proposal.used && proposal.body.ends > now, proposal.body.ends));
        best.map(|(hash, proposal)| (*hash, proposal)).ok_or_else(|| {
            Failure::not_found(match lang {
                Lang::En => format!("{}: {} has no proposal for these terms", path.display(), self.ledger()),
                Lang::Zh => format!("{}：{} 没有与这些条款对应的提案", path.display(), self.ledger()),
            })
            .hints("`seqvault waiting` lists those that wait", "`seqvault waiting` 列出待批准的提案")
        })
    }

    /// Whether a proposal can still be approved and carried out.
    ///
    /// # Errors
    /// Why not.
    pub fn current(
        self,
        session: &Session,
        hash: &EntryHash,
        proposal: &Proposal,
        beneficiary: Option<&MemberId>,
        lang: Lang,
    ) -> Outcome<()> {
        let said = if proposal.used {
            ("was carried out already", "已执行")
        } else if proposal.body.ends <= session.at().time {
            ("has ended", "已过期")
        } else if !self.still_holds(session, proposal, beneficiary) {
            (
                "does not hold any more: the dataset's facts or level, the member's facts or the packs in force changed since",
                "已失效：此后数据集事实或级别、成员事实或生效的规则包有变更",
            )
        } else {
            return Ok(());
        };
        Err(Failure::refused(match lang {
            Lang::En => format!("proposal {hash} {}", said.0),
            Lang::Zh => format!("提案 {hash} {}", said.1),
        })
        .hint(match lang {
            Lang::En => "propose it anew",
            Lang::Zh => "请重新提案",
        }))
    }

    /// The approvals that count for an act of `me`, of the proposal with these terms.
    ///
    /// # Errors
    /// If there is no such proposal, or it can't be carried out any more.
    pub fn approvals(
        self,
        session: &Session,
        file: &TermsFile,
        path: &Path,
        named: Option<&str>,
        me: &MemberId,
        lang: Lang,
    ) -> Outcome<Approvals> {
        let beneficiary = self.beneficiary(&file.terms);
        let (hash, proposal) = self.find(session, file, path, named, lang)?;
        self.current(session, &hash, proposal, beneficiary, lang)?;
        let approvers = self.approvers(session);
        let concerned: Vec<MemberId> =
            [Some(&proposal.author), Some(me), beneficiary].into_iter().flatten().cloned().collect();
        let counts = |member: &MemberId| approvers.contains(member) && !concerned.contains(member);
        let given: Vec<(&EntryHash, &MemberId)> =
            proposal.approvals.iter().filter(|(_, member)| counts(member)).collect();
        let by: Vec<MemberId> = given.iter().map(|(_, member)| (*member).clone()).collect();
        let could = approvers.iter().filter(|member| !concerned.contains(member) && !by.contains(member)).cloned();
        Ok(Approvals {
            could: could.collect(),
            approval: Approval { approvals: given.into_iter().map(|(entry, _)| *entry).collect(), proposal: hash },
            by,
        })
    }
}

fn info(session: &Session, member: &MemberId) -> Option<Digest> {
    session.vault.member(member)?.info_at(session.vault.last_seq()).map(Info::digest)
}

/// The approvals that a proposal has.
#[derive(Debug)]
pub struct Approvals {
    /// As the act names them.
    pub approval: Approval,
    by: Vec<MemberId>,
    /// Who could still give one.
    could: Vec<MemberId>,
}

impl Approvals {
    /// Who approved.
    #[must_use]
    pub fn members(&self) -> Vec<MemberId> {
        self.by.clone()
    }

    /// Whether they are enough.
    ///
    /// # Errors
    /// If they are not, with who may still give one.
    pub fn suffice(&self, needed: u64, lang: Lang) -> Outcome<()> {
        let (given, by, could) = (self.by.len(), names(&self.by), names(&self.could));
        if given as u64 >= needed {
            return Ok(());
        }
        Err(Failure::refused(match lang {
            Lang::En => format!("{given} of {needed} approvals are there ({by}); may still approve: {could}"),
            Lang::Zh => format!("须 {needed} 人批准，已有 {given} 人（{by}）；尚可批准者：{could}"),
        })
        .hint(match lang {
            Lang::En => "they run `seqvault approve --terms FILE`",
            Lang::Zh => "由其运行 `seqvault approve --terms FILE`",
        }))
    }
}

/// How an act that may need approvals is carried out, alike for every such verb.
#[derive(clap::Args, Debug, Clone)]
pub struct Carried {
    /// Carry out what was proposed: the terms file of `propose`
    #[arg(long, value_name = "FILE")]
    pub terms: Option<PathBuf>,
    /// The proposal's hash, or the beginning of it, if there are several for the same terms
    #[arg(long, value_name = "HASH", requires = "terms")]
    pub proposal: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

impl Carried {
    /// The terms file that is named, with its path.
    ///
    /// # Errors
    /// If it can't be read, or is of another vault.
    pub fn read(&self, session: &Session, lang: Lang) -> Outcome<Option<(TermsFile, &Path)>> {
        let read = |path: &'_ PathBuf| TermsFile::read(path, session.vault.id(), lang);
        self.terms.as_ref().map(|path| read(path).map(|file| (file, path.as_path()))).transpose()
    }
}

/// How a proposal is made.
#[derive(clap::Args, Debug, Clone)]
pub struct How {
    /// Days after which the proposal ends
    #[arg(long, default_value_t = 14, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=366))]
    pub valid: u64,
    /// Where the terms file goes [default: named after what is proposed, .terms.json]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

impl How {
    /// Where the terms go.
    ///
    /// # Errors
    /// If something is there already.
    pub fn path(&self, default: &str) -> Outcome<PathBuf> {
        let path = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{default}.terms.json")));
        if path.exists() {
            return Err(Failure::new(Kind::Conflict, format!("{} is there already", path.display()))
                .or_in_chinese(format!("{} 已存在", path.display()))
                .hints("name another with --out", "请以 --out 指定其他文件"));
        }
        Ok(path)
    }
}

/// What was proposed.
#[derive(Debug, Serialize)]
pub struct Waits {
    act: &'static str,
    ledger: LedgerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<vault_core::ids::DatasetId>,
    member: Option<MemberId>,
    proposal: EntryHash,
    ends: u64,
    approvals: u64,
    may_approve: Vec<MemberId>,
    terms: PathBuf,
}

/// The state of the ledger of an act, to be appended to.
#[derive(Debug)]
pub enum Owned<'a> {
    /// The vault's, which the session holds.
    Vault,
    /// A dataset's.
    Dataset(&'a mut DatasetState),
    /// An exposure ledger.
    Exposure(ExposureState),
}

impl Owned<'_> {
    /// To ask about it.
    #[must_use]
    pub fn place(&self) -> Place<'_> {
        match self {
            Self::Vault => Place::Vault,
            Self::Dataset(dataset) => Place::Dataset(dataset),
            Self::Exposure(exposure) => Place::Exposure(exposure),
        }
    }

    /// Appends a statement that `make` makes of the state, anew each time that somebody else was first.
    ///
    /// # Errors
    /// If it would not count, the ledger is too busy, or the store fails.
    pub async fn append(
        &mut self,
        session: &mut Session,
        signer: &Signer,
        make: impl Fn(Place<'_>, &Session) -> Outcome<Body>,
    ) -> Outcome<(u64, EntryHash)> {
        for _ in 0..ATTEMPTS {
            let body = make(self.place(), session)?;
            match self {
                Self::Vault => {
                    let seq = session.append_vault(signer, &body).await?;
                    let lost = || {
                        Failure::integrity("the vault ledger is shorter than what was just written")
                            .or_in_chinese("保险库账本短于刚写入的内容")
                    };
                    return session.vault.entry_hash(seq).map(|hash| (seq, hash)).ok_or_else(lost);
                }
                Self::Dataset(dataset) => {
                    if let Landed::Yes { seq, hash } = session.append(signer, dataset, body).await? {
                        return Ok((seq, hash));
                    }
                }
                Self::Exposure(exposure) => {
                    let recipient = *exposure.recipient();
                    if let Some(placed) = session.append_exposure(signer, recipient, body).await? {
                        return Ok((placed.seq, placed.hash));
                    }
                }
            }
        }
        Err(crate::session::busy(self.place().ledger()))
    }
}

/// Proposes terms: asks for the passphrase, writes the file and appends the proposal.
///
/// # Errors
/// If the proposal would not count, the file is there, or the store fails.
pub async fn propose(
    globals: &Globals,
    session: &mut Session,
    mut owned: Owned<'_>,
    file: &TermsFile,
    how: &How,
    path: PathBuf,
    needed: u64,
) -> Outcome<()> {
    let (lang, out) = (globals.lang(), globals.output());
    let me = session.member_of(&globals.card()?)?;
    let beneficiary = owned.place().beneficiary(&file.terms).cloned();
    let mut may_approve = owned.place().approvers(session);
    may_approve.retain(|member| *member != me && Some(member) != beneficiary.as_ref());
    if (may_approve.len() as u64) < needed {
        out.note(&too_few(&owned.place().ledger(), needed, may_approve.len(), lang));
    }
    let signer = session.signer(globals)?;
    // First, so that nothing is proposed whose terms nobody has.
    file.write(&path)?;
    let ends = session.at().time.saturating_add(how.valid.saturating_mul(DAY));
    let (first, stated) = (owned.place().proposed(session, file, ends), owned.place().stated());
    // The terms were made, and shown, of what stood then.
    let again = |at: Place<'_>, session: &Session| {
        if at.proposed(session, file, ends) == first && at.stated() == stated {
            return Ok(first.clone());
        }
        Err(Failure::new(
            Kind::Conflict,
            match lang {
                Lang::En => "the dataset's facts or level, the member's facts or the packs in force changed meanwhile",
                Lang::Zh => "其间数据集事实或级别、成员事实或生效的规则包有变更",
            },
        )
        .hint(match lang {
            Lang::En => "propose it anew",
            Lang::Zh => "请重新提案",
        }))
    };
    let (_, proposal) = match owned.append(session, &signer, again).await {
        Ok(landed) => landed,
        // It may have landed: then it waits, and this file alone says for what.
        Err(failure) if failure.kind == Kind::Storage => {
            let terms = path.display();
            return Err(failure.hint(match lang {
                Lang::En => format!(
                    "it may have been proposed all the same: `seqvault waiting` shows it. {terms} stays; delete it if nothing waits"
                ),
                Lang::Zh => format!("提案可能已写入：请以 `seqvault waiting` 查看。{terms} 予以保留；若无待批提案可删除"),
            }));
        }
        Err(failure) => {
            let _ = std::fs::remove_file(&path);
            return Err(failure);
        }
    };
    let ledger = owned.place().ledger();
    let waits = Waits {
        act: file.terms.act(),
        dataset: if let LedgerId::Dataset(dataset) = &ledger { Some(dataset.clone()) } else { None },
        ledger,
        member: beneficiary,
        proposal,
        ends,
        approvals: needed,
        may_approve,
        terms: path,
    };
    out.result(&waits, || {
        let (who, terms, until) = (names(&waits.may_approve), waits.terms.display(), output::time(waits.ends));
        match lang {
            Lang::En => format!(
                "proposed until {until}: {}\n{} approval(s) are needed; may approve: {who}\nsend them {terms}, on a way of your own: the vault holds its hash only",
                waits.proposal, waits.approvals
            ),
            Lang::Zh => format!(
                "已提案，有效期至 {until}：{}\n须 {} 人批准；可批准者：{who}\n请自行将 {terms} 交给批准人：保险库中只有其散列值",
                waits.proposal, waits.approvals
            ),
        }
    })
}

fn too_few(ledger: &LedgerId, needed: u64, there: usize, lang: Lang) -> String {
    let role = match ledger {
        LedgerId::Dataset(dataset) => format!("seqvault member role MEMBER approver --dataset {dataset}"),
        LedgerId::Vault | LedgerId::Exposure(_) => "seqvault member role MEMBER officer".to_owned(),
    };
    match lang {
        Lang::En => format!(
            "warning: {needed} approval(s) are needed and {there} approver(s) could give one: an officer names more with `{role}`"
        ),
        Lang::Zh => format!("警告：须 {needed} 人批准，而可批准者只有 {there} 人：管理员可用 `{role}` 增加"),
    }
}

/// The approval of an act that may need some: what the terms file's proposal has, or none where none is needed.
///
/// # Errors
/// If approvals are missing; then it is said how it is proposed.
#[allow(clippy::too_many_arguments, reason = "of what, where, by whom, how many: each is another thing")]
pub fn approval(
    session: &Session,
    place: Place<'_>,
    file: Option<(&TermsFile, &Path)>,
    named: Option<&str>,
    me: &MemberId,
    needed: u64,
    (act, propose): (&str, &str),
    lang: Lang,
) -> Outcome<Option<Approvals>> {
    let Some((file, path)) = file else {
        return if needed == 0 { Ok(None) } else { Err(unapproved(&place.ledger(), act, propose, needed, lang)) };
    };
    file.is_of(path, act, &place.ledger(), lang)?;
    let found = place.approvals(session, file, path, named, me, lang)?;
    found.suffice(needed, lang)?;
    Ok(Some(found))
}

fn unapproved(ledger: &LedgerId, act: &str, propose: &str, needed: u64, lang: Lang) -> Failure {
    Failure::refused(match lang {
        Lang::En => format!("{needed} approval(s) are needed for `{act}` in {ledger}, and there are none"),
        Lang::Zh => format!("在 {ledger} 中执行 `{act}` 须 {needed} 人批准，目前没有"),
    })
    .hint(match lang {
        Lang::En => {
            format!(
                "propose it: `seqvault propose {propose}`; once it is approved, run the same command with --terms FILE"
            )
        }
        Lang::Zh => format!("请先提案：`seqvault propose {propose}`；批准后以 --terms FILE 再次运行同一命令"),
    })
}
