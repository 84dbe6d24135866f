//! `seqvault dataset delete`: the end of a dataset. The statement first, then everything that it held; its ledger stays for ever. Spec 5.3.

use std::io::{BufRead, IsTerminal};

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, EntryHash, LedgerId, MemberId};
use vault_core::layout::ObjectName;
use vault_core::ledger::dataset::{DatasetState, UploadStatus};
use vault_core::ledger::statement::{Body, DatasetDeleted, DatasetDeletedTerms, Entry, Said, Set, Text};
use vault_policy::Lang;

use super::super::member::text;
use super::super::subjects::Unused;
use super::super::suspend::names;
use crate::acts::{self, Carried, Place};
use crate::client::failed;
use crate::error::{Failure, Kind, Outcome, zh};
use crate::facts;
use crate::interrupt;
use crate::output;
use crate::session::{ATTEMPTS, Landed, Session, Signer};
use crate::settings::Globals;
use crate::stewards::Keys;
use crate::terms::{DATASET_DELETED, Terms};

/// What is deleted.
#[derive(ClapArgs, Debug)]
pub(super) struct Delete {
    /// The dataset
    dataset: DatasetId,
    /// Why; recorded, and visible to whoever holds the vault
    #[arg(long, conflicts_with = "terms")]
    reason: Option<String>,
    #[command(flatten)]
    how: Carried,
    /// The dataset's id once more, where nobody is at a terminal to type it
    #[arg(long, value_name = "DATASET")]
    confirm: Option<DatasetId>,
    /// Do not keep the sealed part of the facts on this machine before it goes
    #[arg(long)]
    without_sealed: bool,
}

/// What a dataset holds, as its ledger tells.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Doomed {
    files: u64,
    manifests: usize,
    bytes: u64,
    open_uploads: usize,
    /// Whether answers of its facts are sealed: what the vault holds of them goes too.
    sealed_facts: bool,
    /// Who can read it now.
    readers: Vec<MemberId>,
}

#[derive(Serialize)]
struct Done {
    dataset: DatasetId,
    #[serde(flatten)]
    doomed: Doomed,
    /// The statement that deleted it; `null` if nothing was done.
    entry: Option<u64>,
    deleted_by: Option<MemberId>,
    time: Option<u64>,
    reason: String,
    approved_by: Vec<MemberId>,
    objects: u64,
    versions_kept: bool,
    remains: Vec<String>,
}

impl Doomed {
    pub(crate) fn of(session: &Session, state: &DatasetState) -> Self {
        let visible = || state.manifests().values().filter(|manifest| manifest.is_visible());
        let open = state.uploads().values().filter(|upload| upload.status == UploadStatus::Open);
        Self {
            files: visible().map(|m| m.signed.files.saturating_sub(m.removed_files.len() as u64)).sum(),
            manifests: visible().count(),
            bytes: visible().map(|manifest| manifest.signed.packs.bytes).sum(),
            open_uploads: open.count(),
            sealed_facts: facts::commitment(state.facts()).is_some(),
            readers: state.granted(&session.vault, session.at()).cloned().collect(),
        }
    }

    pub(crate) fn text(&self, lang: Lang) -> String {
        let (files, bytes, readers) = (self.files, output::bytes(self.bytes), names(&self.readers));
        let (manifests, uploads) = (self.manifests, self.open_uploads);
        let sealed = match (self.sealed_facts, lang) {
            (false, _) => "",
            (true, Lang::En) => {
                "\n  the sealed answers of its facts as stewards keep them, and its sets of marks; whoever deletes it keeps a copy of those answers, unless told not to"
            }
            (true, Lang::Zh) => {
                "\n  数据管理者随数据集保存的事实密封部分及主体标记；除另有指示外，删除人保留该密封部分的副本"
            }
        };
        match lang {
            Lang::En => format!(
                "  {files} files in {manifests} manifests, {bytes} sealed, with every key to them; {uploads} uploads open{sealed}\n  readers now: {readers}; what they downloaded stays with them"
            ),
            Lang::Zh => format!(
                "  {manifests} 个清单中的 {files} 个文件，密文 {bytes}，连同其全部密钥；未完成的上传 {uploads} 个{sealed}\n  现有读取者：{readers}；其已下载的内容仍在其手中"
            ),
        }
    }
}

/// Why a dataset is deleted.
///
/// # Errors
/// If nothing is said.
pub(crate) fn reason(said: &str) -> Outcome<Text> {
    let reason = text("--reason", said)?;
    if reason.as_str().trim().is_empty() {
        return Err(Failure::usage("--reason: say why").or_in_chinese("--reason：请写明理由"));
    }
    Ok(reason)
}

/// Only stewards delete.
///
/// # Errors
/// If the caller is none.
pub(crate) fn check_steward(globals: &Globals, session: &Session, state: &DatasetState) -> Outcome<MemberId> {
    let me = session.member_of(&globals.card()?)?;
    if state.is_steward(&session.vault, &me, session.at().vault) {
        return Ok(me);
    }
    Err(Failure::refused(format!("{me} is no steward of {}: only stewards delete it", state.id()))
        .or_in_chinese(format!("{me} 不是 {} 的数据管理者：只有数据管理者可以删除", state.id())))
}

/// Says what goes, whatever the options, and which persons would stay counted for nothing.
///
/// # Errors
/// If exposure ledgers can't be read.
pub(crate) async fn tell(globals: &Globals, session: &mut Session, state: &DatasetState) -> Outcome<()> {
    let (lang, id) = (globals.lang(), state.id());
    let what = Doomed::of(session, state).text(lang);
    output::warn(&match lang {
        Lang::En => format!("to be deleted for ever: dataset {id}\n{what}"),
        Lang::Zh => format!("将永久删除数据集 {id}\n{what}"),
    });
    let exposures = session.exposures().await?;
    let unused: u64 = Unused::of(&exposures, state).iter().map(|one| one.added).sum();
    if unused > 0 {
        output::warn(&match lang {
            Lang::En => format!(
                "warning: {unused} person(s) are counted for grants that never were; `seqvault subjects release {id}` takes them back, and can't any more once the dataset is deleted"
            ),
            Lang::Zh => format!(
                "警告：有 {unused} 人因未成立的授权仍计入累计人数；`seqvault subjects release {id}` 可撤回，删除数据集之后不再可能"
            ),
        });
    }
    Ok(())
}

pub(super) async fn run(globals: &Globals, session: &mut Session, args: Delete) -> Outcome<()> {
    let lang = globals.lang();
    let mut state = session.dataset_even_if_deleted(&args.dataset).await?;
    if state.is_deleted() {
        return finish(globals, session, &state, args.how.dry_run).await;
    }
    let me = check_steward(globals, session, &state)?;
    let file = args.how.read(session, lang)?;
    let terms = match (&file, &args.reason) {
        (Some((file, path)), _) => {
            file.is_of(path, DATASET_DELETED, &LedgerId::Dataset(args.dataset.clone()), lang)?;
            match &file.terms {
                Terms::DatasetDeleted(terms) => terms.clone(),
                _ => {
                    return Err(Failure::usage(format!("{}: no terms of a deletion", path.display()))
                        .or_in_chinese(format!("{}：不是删除的条款", path.display())));
                }
            }
        }
        (None, Some(said)) => DatasetDeletedTerms { reason: reason(said)? },
        (None, None) => return Err(Failure::usage("--reason: say why").or_in_chinese("--reason：请写明理由")),
    };
    tell(globals, session, &state).await?;
    let needed = Place::Dataset(&state).genesis(session, DATASET_DELETED);
    let doomed = Doomed::of(session, &state);
    if args.how.dry_run {
        let done = Done::nothing(&state, doomed, terms.reason.as_str());
        return globals.output().result(&done, || match (lang, needed) {
            (Lang::En, 0) => "nothing was done".to_owned(),
            (Lang::En, n) => {
                format!("nothing was done; {n} approval(s) are needed (`seqvault propose dataset delete`)")
            }
            (Lang::Zh, 0) => "未执行任何操作".to_owned(),
            (Lang::Zh, n) => format!("未执行任何操作；须 {n} 人批准（`seqvault propose dataset delete`）"),
        });
    }
    let of = file.as_ref().map(|(file, path)| (file, *path));
    let propose = format!("dataset delete {} --reason …", args.dataset);
    let named = args.how.proposal.as_deref();
    let act = (DATASET_DELETED, propose.as_str());
    let approved = acts::approval(session, Place::Dataset(&state), of, named, &me, needed, act, lang)?;
    if let Some(found) = &approved {
        check_approved(&state, &found.approval.approvals, lang)?;
    }
    confirm(&args.dataset, args.confirm.as_ref(), lang)?;
    let signer = session.signer(globals)?;
    if !args.without_sealed {
        keep_sealed(globals, session, &signer, &state).await?;
    }
    let approved_by = approved.as_ref().map(acts::Approvals::members).unwrap_or_default();
    let body = Body::DatasetDeleted(DatasetDeleted { approval: approved.map(|found| found.approval), terms });
    let entry = append(session, &signer, &mut state, body, &doomed, lang).await?;
    globals.output().note(&match lang {
        Lang::En => format!("entry {entry} deletes it; now what it held is deleted, the keys first"),
        Lang::Zh => format!("第 {entry} 条已声明删除；现删除其内容，密钥在先"),
    });
    let mut done = Done::nothing(&state, doomed, "");
    done.approved_by = approved_by;
    carry_out(globals, session, &state, done).await
}

/// Says it, unless what would be deleted is no longer what was shown and confirmed.
async fn append(
    session: &mut Session,
    signer: &Signer,
    state: &mut DatasetState,
    body: Body,
    shown: &Doomed,
    lang: Lang,
) -> Outcome<u64> {
    for _ in 0..ATTEMPTS {
        if let Landed::Yes { seq, .. } = session.append(signer, state, body.clone()).await? {
            return Ok(seq);
        }
        let now = Doomed::of(session, state);
        if now != *shown {
            return Err(Failure::new(
                Kind::Conflict,
                match lang {
                    Lang::En => {
                        format!("{} changed meanwhile, and was not deleted. Now it is:\n{}", state.id(), now.text(lang))
                    }
                    Lang::Zh => format!("{} 其间有变更，未予删除。现为：\n{}", state.id(), now.text(lang)),
                },
            )
            .again());
        }
    }
    Err(crate::session::busy(state.id()))
}

/// Whether all that would be deleted was there when the last of the approvers looked.
fn check_approved(state: &DatasetState, approvals: &Set<EntryHash>, lang: Lang) -> Outcome<()> {
    let newest =
        (0u64..).zip(state.judged()).filter(|(_, one)| approvals.contains(&one.hash)).map(|(seq, _)| seq).max();
    let since = |seq: u64| newest.is_some_and(|newest| seq > newest);
    let later: Vec<String> = state
        .manifests()
        .iter()
        .filter(|(_, manifest)| manifest.is_visible() && since(manifest.seq))
        .map(|(id, manifest)| {
            let (files, author, seq) = (manifest.signed.files, &manifest.author, manifest.seq);
            match lang {
                Lang::En => format!("{id} ({files} files, by {author}, entry {seq})"),
                Lang::Zh => format!("{id}（{files} 个文件，{author} 提交，第 {seq} 条）"),
            }
        })
        .collect();
    if later.is_empty() {
        return Ok(());
    }
    let later = later.join("; ");
    Err(Failure::refused(match lang {
        Lang::En => format!("since it was approved, this was committed to {}: {later}", state.id()),
        Lang::Zh => format!("批准之后，{} 又提交了：{later}", state.id()),
    })
    .hint(match lang {
        Lang::En => "who approved has not seen it: propose the deletion anew",
        Lang::Zh => "批准人未见此内容：请重新提案",
    }))
}

/// Keeps on this machine what the store has of the sealed answers of the facts, those from before too: statements that stay rest on them.
async fn keep_sealed(globals: &Globals, session: &Session, signer: &Signer, state: &DatasetState) -> Outcome<()> {
    let (lang, home) = (globals.lang(), globals.state()?);
    let entries = session.client.entries(&state.ledger(), 0).await?;
    let stated = entries.iter().filter_map(|stored| match Entry::parse(stored).ok()?.said {
        Said::Known(statement) => match statement.body {
            Body::DatasetCreated(body) => Some(body.facts),
            Body::FactsAmended(body) => Some(body.facts),
            _ => None,
        },
        _ => None,
    });
    let mut keys = None;
    let mut kept = 0_u64;
    for facts in stated {
        let Some(hash) = facts::commitment(&facts) else { continue };
        let name = ObjectName::Kept { dataset: state.id().clone(), hash };
        let there = session.client.size(&name).await.map_err(failed(&name))?.is_some();
        if facts::sealed_part(&facts, None, &home)?.is_some() || !there {
            continue;
        }
        if keys.is_none() {
            keys = Some(Keys::open(session, signer).await?);
        }
        let read = match &keys {
            Some(keys) => keys.read(session, state.id(), &hash).await?,
            None => None,
        };
        let Some(sealed) = read else {
            return Err(Failure::refused(match lang {
                Lang::En => format!("the sealed answers {hash} of the facts would go, and this card can't open them to keep them"),
                Lang::Zh => format!("事实的密封部分 {hash} 将随之删除，而本卡片无法打开以留存"),
            })
            .hint(match lang {
                Lang::En => "another steward shares the key (`seqvault subjects share`) or deletes it; or let them go with --without-sealed",
                Lang::Zh => "请由其他数据管理者共享密钥（`seqvault subjects share`）或由其删除；或以 --without-sealed 放弃",
            }));
        };
        facts::keep_bytes(&home, &sealed)?;
        kept += 1;
    }
    if kept > 0 {
        let folder = home.path().join("facts");
        globals.output().note(&match lang {
            Lang::En => format!("{kept} sealed part(s) of its facts are kept in {} before they go", folder.display()),
            Lang::Zh => format!("事实的密封部分（{kept} 份）已先保存于 {}", folder.display()),
        });
    }
    Ok(())
}

/// What a statement deleted already, by this command before it was interrupted, or by another steward.
async fn finish(globals: &Globals, session: &mut Session, state: &DatasetState, dry_run: bool) -> Outcome<()> {
    let lang = globals.lang();
    let me = session.member_of(&globals.card()?)?;
    let at = session.at().vault;
    if !state.is_steward(&session.vault, &me, at) && !session.vault.is_officer(&me, at) {
        return Err(crate::session::deleted(state)
            .unwrap_or_else(|| Failure::refused("the dataset is deleted").or_in_chinese("数据集已删除")));
    }
    if let Some(failure) = crate::session::deleted(state) {
        globals.output().note(&match lang {
            Lang::En => format!("{}; looking for what is left to delete", failure.say(lang)),
            Lang::Zh => format!("{}；查找尚未删除的内容", failure.say(lang)),
        });
    }
    let done = Done::nothing(state, Doomed::of(session, state), "");
    if dry_run {
        return globals.output().result(&done, || match lang {
            Lang::En => "nothing was done".to_owned(),
            Lang::Zh => "未执行任何操作".to_owned(),
        });
    }
    carry_out(globals, session, state, done).await
}

/// Deletes what the dataset held.
async fn carry_out(globals: &Globals, session: &Session, state: &DatasetState, mut done: Done) -> Outcome<()> {
    let (lang, id) = (globals.lang(), state.id());
    let removed = session.client.delete_dataset(id).await.map_err(|failure| {
        let hint = match lang {
            Lang::En => {
                format!("run `seqvault dataset delete {id}` again: it goes on; so does `seqvault doctor --repair`")
            }
            Lang::Zh => format!("再次运行 `seqvault dataset delete {id}` 即可继续；`seqvault doctor --repair` 亦可"),
        };
        let place = match lang {
            Lang::En => "the dataset is deleted, and not all that it held is gone",
            Lang::Zh => "数据集已声明删除，但其内容未全部删除",
        };
        failure.at(place).hint(hint)
    })?;
    if let Some(deletion) = state.deletion() {
        done.entry = Some(deletion.seq);
        done.deleted_by = Some(deletion.author.clone());
        done.time = Some(deletion.time);
        done.reason.clone_from(&deletion.reason);
    }
    (done.objects, done.versions_kept) = (removed.objects, removed.kept);
    done.remains = remains(&done, lang);
    globals.output().result(&done, || {
        let mut said = match lang {
            Lang::En => format!("dataset {id} is deleted: {}", output::deleted(removed)),
            Lang::Zh => format!("数据集 {id} 已删除：{} 个对象", removed.objects),
        };
        for item in &done.remains {
            said.push_str(&match lang {
                Lang::En => format!("\n  remains: {item}"),
                Lang::Zh => format!("\n  仍保留：{item}"),
            });
        }
        output::printable(&said)
    })
}

fn remains(done: &Done, lang: Lang) -> Vec<String> {
    let id = &done.dataset;
    let mut remains = match lang {
        Lang::En => vec![
            format!("its ledger: who shared what with whom, for ever (`seqvault log {id}`)"),
            format!(
                "what recipients downloaded, until each attests its destruction (`seqvault attest {id} --scope …`)"
            ),
            "snapshots, backups and copies of the vault from before".to_owned(),
        ],
        Lang::Zh => vec![
            format!("其账本：何人与何人共享过何物，永久保留（`seqvault log {id}`）"),
            format!("接收方已下载的内容，直至其声明销毁（`seqvault attest {id} --scope …`）"),
            "保险库此前的快照、备份和副本".to_owned(),
        ],
    };
    if done.versions_kept {
        remains.push(output::versions_kept(done.objects, lang));
    }
    remains
}

impl Done {
    fn nothing(state: &DatasetState, doomed: Doomed, reason: &str) -> Self {
        Self {
            dataset: state.id().clone(),
            doomed,
            entry: None,
            deleted_by: None,
            time: None,
            reason: reason.to_owned(),
            approved_by: Vec::new(),
            objects: 0,
            versions_kept: false,
            remains: Vec::new(),
        }
    }
}

/// Whoever deletes types the id: at a terminal, or on the command line.
fn confirm(dataset: &DatasetId, given: Option<&DatasetId>, lang: Lang) -> Outcome<()> {
    let other = || {
        Failure::usage(match lang {
            Lang::En => format!("that is not {dataset}: nothing was done"),
            Lang::Zh => format!("与 {dataset} 不符：未执行任何操作"),
        })
    };
    if let Some(given) = given {
        return if given == dataset { Ok(()) } else { Err(other()) };
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(match lang {
            Lang::En => format!("nobody is at a terminal to confirm it: add --confirm {dataset}"),
            Lang::Zh => format!("无终端可供确认：请加上 --confirm {dataset}"),
        }));
    }
    let question = match lang {
        Lang::En => format!("It can't be undone. Type the dataset's id to delete it ({dataset}): "),
        Lang::Zh => format!("此操作不可撤销。请输入数据集标识以确认删除（{dataset}）："),
    };
    let asked = interrupt::at_prompt(|| {
        let mut line = String::new();
        output::ask(&question)?;
        std::io::stdin().lock().read_line(&mut line)?;
        Ok::<String, std::io::Error>(line)
    });
    let line = asked.map_err(|e| {
        Failure::new(Kind::Other, format!("the terminal can't be read: {e}"))
            .or_in_chinese(format!("无法读取终端：{}", zh::io(&e)))
    })?;
    if line.trim() == dataset.as_str() { Ok(()) } else { Err(other()) }
}
