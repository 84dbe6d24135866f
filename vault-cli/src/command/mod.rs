//! The verbs, one a file. A verb is `pub struct Args` and `pub async fn run(globals: &Globals, args: Args) -> Outcome<()>`.
//!
//! To add one: its file, a `mod` line, a variant, an arm. Its help's first line is the doc comment of its `Args`.

pub mod agreement;
pub mod approve;
pub mod attest;
pub mod cat;
pub mod dataset;
pub mod decide;
pub mod demo;
pub mod doctor;
pub mod due;
pub mod get;
pub mod grant;
pub mod identity;
pub mod init;
pub mod join;
pub mod log;
pub mod ls;
pub mod member;
pub mod open;
pub mod pack;
pub mod propose;
pub mod put;
pub mod recover;
pub mod revoke;
pub mod rm;
pub mod rotate;
pub mod seal;
pub mod serve;
pub mod subjects;
pub mod suspend;
pub mod verify;
pub mod waiting;
pub mod withdraw;
pub mod zh;

use crate::error::Outcome;
use crate::settings::Globals;

/// What to do.
#[derive(clap::Subcommand, Debug)]
#[non_exhaustive]
pub enum Command {
    #[allow(missing_docs, reason = "a verb's words stand beside its arguments: here they would replace them in --help")]
    Identity(identity::Args),
    #[allow(missing_docs, reason = "as above")]
    Seal(seal::Args),
    #[allow(missing_docs, reason = "as above")]
    Open(open::Args),
    #[allow(missing_docs, reason = "as above")]
    Init(init::Args),
    #[allow(missing_docs, reason = "as above")]
    Join(join::Args),
    #[allow(missing_docs, reason = "as above")]
    Member(member::Args),
    #[allow(missing_docs, reason = "as above")]
    Dataset(dataset::Args),
    #[allow(missing_docs, reason = "as above")]
    Pack(pack::Args),
    #[allow(missing_docs, reason = "as above")]
    Put(put::Args),
    #[allow(missing_docs, reason = "as above")]
    Ls(ls::Args),
    #[allow(missing_docs, reason = "as above")]
    Get(get::Args),
    #[allow(missing_docs, reason = "as above")]
    Cat(cat::Args),
    #[allow(missing_docs, reason = "as above")]
    Rm(rm::Args),
    #[allow(missing_docs, reason = "as above")]
    Decide(decide::Args),
    #[allow(missing_docs, reason = "as above")]
    Propose(propose::Args),
    #[allow(missing_docs, reason = "as above")]
    Approve(approve::Args),
    #[allow(missing_docs, reason = "as above")]
    Waiting(waiting::Args),
    #[allow(missing_docs, reason = "as above")]
    Grant(grant::Args),
    #[allow(missing_docs, reason = "as above")]
    Revoke(revoke::Args),
    #[allow(missing_docs, reason = "as above")]
    Rotate(rotate::Args),
    #[allow(missing_docs, reason = "as above")]
    Recover(recover::Args),
    #[allow(missing_docs, reason = "as above")]
    Suspend(suspend::Args),
    #[allow(missing_docs, reason = "as above")]
    Withdraw(withdraw::Args),
    #[allow(missing_docs, reason = "as above")]
    Subjects(subjects::Args),
    #[allow(missing_docs, reason = "as above")]
    Due(due::Args),
    #[allow(missing_docs, reason = "as above")]
    Agreement(agreement::Args),
    #[allow(missing_docs, reason = "as above")]
    Attest(attest::Args),
    #[allow(missing_docs, reason = "as above")]
    Log(log::Args),
    #[allow(missing_docs, reason = "as above")]
    Verify(verify::Args),
    #[allow(missing_docs, reason = "as above")]
    Demo(demo::Args),
    #[allow(missing_docs, reason = "as above")]
    Doctor(doctor::Args),
    #[allow(missing_docs, reason = "as above")]
    Serve(serve::Args),
}

impl Command {
    /// Whether the verb itself sees to being told to stop.
    #[must_use]
    pub const fn catches_signals(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    /// What to do when it was stopped on the way, where anything of it stays: in English and Chinese.
    #[must_use]
    pub const fn when_interrupted(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Put(_) => Some((
                "what was stored is kept: run the same command again to go on",
                "已存储的部分予以保留：重新运行同一命令即可继续",
            )),
            Self::Get(_) => Some((
                "what was fetched is kept: run the same command again to go on",
                "已取得的部分予以保留：重新运行同一命令即可继续",
            )),
            Self::Revoke(_) => Some((
                "it may be half done: run the same command again to finish it",
                "可能只完成一半：重新运行同一命令即可完成",
            )),
            Self::Init(_)
            | Self::Join(_)
            | Self::Member(_)
            | Self::Pack(_)
            | Self::Dataset(_)
            | Self::Grant(_)
            | Self::Rotate(_)
            | Self::Subjects(_)
            | Self::Rm(_)
            | Self::Doctor(_) => Some((
                "part of it may be done: run the same command again to finish it",
                "可能已完成一部分：重新运行同一命令即可完成",
            )),
            _ => None,
        }
    }

    /// Runs the verb.
    ///
    /// # Errors
    /// What the verb returns.
    pub async fn run(self, globals: &Globals) -> Outcome<()> {
        match self {
            Self::Identity(args) => identity::run(globals, args).await,
            Self::Seal(args) => seal::run(globals, args).await,
            Self::Open(args) => open::run(globals, args).await,
            Self::Init(args) => init::run(globals, args).await,
            Self::Join(args) => join::run(globals, args).await,
            Self::Member(args) => member::run(globals, args).await,
            Self::Dataset(args) => dataset::run(globals, args).await,
            Self::Pack(args) => pack::run(globals, args).await,
            Self::Put(args) => put::run(globals, args).await,
            Self::Ls(args) => ls::run(globals, args).await,
            Self::Get(args) => get::run(globals, args).await,
            Self::Cat(args) => cat::run(globals, args).await,
            Self::Rm(args) => rm::run(globals, args).await,
            Self::Decide(args) => decide::run(globals, args).await,
            Self::Propose(args) => propose::run(globals, args).await,
            Self::Approve(args) => approve::run(globals, args).await,
            Self::Waiting(args) => waiting::run(globals, args).await,
            Self::Grant(args) => grant::run(globals, args).await,
            Self::Revoke(args) => revoke::run(globals, args).await,
            Self::Rotate(args) => rotate::run(globals, args).await,
            Self::Recover(args) => recover::run(globals, args).await,
            Self::Withdraw(args) => withdraw::run(globals, args).await,
            Self::Subjects(args) => subjects::run(globals, args).await,
            Self::Due(args) => due::run(globals, args).await,
            Self::Suspend(args) => suspend::run(globals, args).await,
            Self::Agreement(args) => agreement::run(globals, args).await,
            Self::Attest(args) => attest::run(globals, args).await,
            Self::Log(args) => log::run(globals, args).await,
            Self::Verify(args) => verify::run(globals, args).await,
            Self::Demo(args) => demo::run(globals, args).await,
            Self::Doctor(args) => doctor::run(globals, args).await,
            Self::Serve(args) => serve::run(globals, args).await,
        }
    }
}

/// An error and what caused it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Transparent errors say the same again.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
