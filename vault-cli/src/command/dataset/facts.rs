//! `seqvault dataset facts`: what is stated of a dataset, and its sealed part where that is at hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use vault_core::ids::{DatasetId, Digest};
use vault_core::ledger::dataset::DatasetState;
use vault_policy::{Dataset, Lang};

use crate::error::{Failure, Outcome};
use crate::facts::{self, Known};
use crate::output;
use crate::session::Session;
use crate::settings::Globals;
use crate::stewards::Keys;

/// What is shown.
#[derive(ClapArgs, Debug)]
pub(super) struct Facts {
    /// The dataset
    dataset: DatasetId,
    /// The sealed part, as its author handed it over; it is kept here from then on
    #[arg(long, value_name = "FILE")]
    sealed: Option<PathBuf>,
    /// Opens the sealed part that is kept with the dataset (stewards); asks for the passphrase
    #[arg(long, conflicts_with = "sealed")]
    open: bool,
}

#[derive(Serialize)]
struct Shown {
    dataset: DatasetId,
    level: u64,
    facts: BTreeMap<&'static str, facts::Shown>,
    /// The hash of the sealed part, if there is one.
    sealed: Option<Digest>,
    /// Whether the sealed part is shown as well, or there is none.
    whole: bool,
    unknown: Vec<&'static str>,
}

/// The facts with the sealed part that stewards keep.
async fn opened(globals: &Globals, session: &mut Session, state: &DatasetState) -> Outcome<Known<Dataset>> {
    let signer = session.signer(globals)?;
    let keys = Keys::open(session, &signer).await?;
    keys.newest()?;
    let facts = crate::marks::whole_facts(session, &keys, state, globals.lang()).await?;
    let facts = facts.ok_or_else(|| {
        Failure::not_found(format!("the sealed part of the facts of {} is not kept where this card opens it", state.id()))
            .or_in_chinese(format!("{} 的事实的密封部分未保存在本卡片可打开之处", state.id()))
            .hints(
                "its author has it: `dataset facts --sealed FILE`; or another steward shares the key: `seqvault subjects share`",
                "其作者持有：`dataset facts --sealed FILE`；或由其他数据管理者共享密钥：`seqvault subjects share`",
            )
    })?;
    Ok(Known { facts, whole: true })
}

pub(super) async fn show(globals: &Globals, session: &mut Session, args: Facts) -> Outcome<()> {
    let (lang, home) = (globals.lang(), globals.state()?);
    let state = session.dataset_even_if_deleted(&args.dataset).await?;
    let sealed = facts::commitment(state.facts());
    if args.sealed.is_some() && sealed.is_none() {
        return Err(Failure::usage(format!("--sealed: the facts of {} have no sealed part", args.dataset))
            .or_in_chinese(format!("--sealed：{} 的事实没有密封部分", args.dataset)));
    }
    let known: Known<Dataset> =
        facts::known(args.dataset.as_str(), state.facts(), args.sealed.as_deref(), &home, lang)?;
    let known = if args.open && !known.whole { opened(globals, session, &state).await? } else { known };
    if let Some(path) = &args.sealed {
        let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
        facts::keep_bytes(&home, &bytes)?;
    }
    let record = known.facts.record();
    let shown = Shown {
        dataset: args.dataset,
        level: state.level(),
        facts: facts::shown(record, lang),
        sealed,
        whole: known.whole,
        unknown: record
            .open_questions()
            .filter(|field| known.whole || field.seen == vault_policy::facts::Seen::ByServer)
            .map(|field| field.path)
            .collect(),
    };
    globals.output().result(&shown, || {
        let mut lines = facts::lines(record, lang);
        lines.push(match lang {
            Lang::En => format!("level {}; {} fields are unknown", shown.level, shown.unknown.len()),
            Lang::Zh => format!("级别 {}；{} 个字段未知", shown.level, shown.unknown.len()),
        });
        if let Some(hash) = shown.sealed.filter(|_| !shown.whole) {
            lines.push(match lang {
                Lang::En => format!("a sealed part with hash {hash} is not at hand: its author has it (--sealed FILE)"),
                Lang::Zh => format!("散列值为 {hash} 的密封部分不在本机，由其作者保存（--sealed FILE）"),
            });
        }
        output::printable(&lines.join("\n"))
    })
}
