//! A vault in a folder or a bucket: the service runs in this process.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use vault_core::ids::{DatasetId, LedgerId, UploadId};
use vault_core::layout::ObjectName;
use vault_policy::{Lang, Pack};
use vault_server::store::{self, ProbeError, S3Location, Store};
use vault_server::vault::{
    self, AppendError, InitError, LedgerError, OpenError, PutError, RemoveError, StateError, Vault,
};

use super::{Append, Client, Derived, Removed};
use crate::clock;
use crate::error::{Failure, Kind, Outcome, zh};
use crate::transfer::{PackStore, StoreError};

/// What a bucket with versions means.
pub const VERSIONS: &str = "the bucket keeps old versions of what a rotation deletes: who may read them and kept an epoch's key opens what that key sealed. Let epochs/ lie in a bucket without versions (epochs=BUCKET in the address), or let a lifecycle rule remove noncurrent versions";

/// A vault in a folder or a bucket.
#[derive(Debug)]
pub struct Local {
    vault: Vault,
    location: String,
}

/// Opens the vault in a folder, or in a bucket at an `s3://` address.
///
/// # Errors
/// If there is none, or of another version.
pub async fn open(location: &str) -> Outcome<Local> {
    let store = match bucket(location)? {
        Some(address) => Store::open_s3(&address).await.map_err(storage)?,
        None => {
            let path = Path::new(location);
            Store::open_folder(path).await.map_err(|e| no_folder(path, e))?
        }
    };
    let location = named(&store);
    let vault = Vault::open(store).await.map_err(opening)?;
    Ok(Local { vault, location })
}

/// Makes a vault in a folder that is empty or does not exist, or in an empty bucket, or an empty folder of a bucket.
///
/// # Errors
/// If the place is in use, can't be written, or does not keep the promises that a vault rests on.
pub async fn init(location: &str, genesis: Bytes) -> Outcome<Local> {
    let store = match bucket(location)? {
        Some(address) => Store::open_s3(&address).await.map_err(storage)?,
        None => Store::create_folder(location).await.map_err(storage)?,
    };
    let location = named(&store);
    let vault = Vault::init(store, genesis).await.map_err(|e| match e {
        InitError::Store(e) => storage(e),
        InitError::Probe(e) => probing(e),
        InitError::Open(e) => opening(e),
        InitError::AlreadyAVault { ref location } => Failure::new(Kind::Conflict, e.to_string())
            .or_in_chinese(format!("{location}：已有保险库"))
            .hints("name another place, or use the vault that is there", "请指明其他位置，或使用已有的保险库"),
        InitError::NotEmpty { ref location, ref what } => Failure::usage(e.to_string())
            .or_in_chinese(format!("{location}：不为空（有 {what}）；保险库须单独占用一处"))
            .hints("name a place that is empty", "请指明空的位置"),
        other => Failure::new(Kind::Storage, other.to_string()),
    })?;
    Ok(Local { vault, location })
}

/// The address of a bucket, if it is none of a folder.
fn bucket(location: &str) -> Outcome<Option<S3Location>> {
    match location.split_once("://") {
        Some(("s3", _)) => location.parse().map(Some).map_err(|e: store::LocationError| {
            Failure::usage(e.to_string()).or_in_chinese(format!("{location}：不是有效的存储桶地址"))
        }),
        Some((scheme, _)) => {
            Err(Failure::usage(format!("{location}: a vault is in a folder or at s3://, not at {scheme}://"))
                .or_in_chinese(format!("{location}：保险库在目录中或 s3:// 处，不在 {scheme}:// 处")))
        }
        None => Ok(None),
    }
}

/// The same place has one name, however it was typed.
fn named(store: &Store) -> String {
    match store.as_folder() {
        Some(path) => std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()).to_string_lossy().into_owned(),
        None => store.location(),
    }
}

/// What is wrong with a store that can't hold a vault.
fn probing(error: ProbeError) -> Failure {
    let text = error.to_string();
    match error {
        ProbeError::Store(e) => storage(e),
        _ => Failure::new(Kind::Storage, text).hint(
            "no vault may be kept there: two people could be told that they wrote the same entry. docs/operations.md names stores that keep the promise",
        ),
    }
}

const NAME_IT: &str = "name the vault with --vault or SEQVAULT; `seqvault init` makes one";
const NAME_IT_ZH: &str = "请以 --vault 或 SEQVAULT 指明保险库；`seqvault init` 可新建";

fn no_folder(path: &Path, error: store::StoreError) -> Failure {
    if error.is_not_found() {
        Failure::not_found(format!("{}: there is no such folder", path.display()))
            .or_in_chinese(format!("{}：没有此目录", path.display()))
            .hints(NAME_IT, NAME_IT_ZH)
    } else if path.is_file() {
        Failure::not_found(format!("{}: it is a file, and a vault is a folder", path.display()))
            .or_in_chinese(format!("{}：是文件，而保险库是目录", path.display()))
            .hints(NAME_IT, NAME_IT_ZH)
    } else {
        storage(error)
    }
}

fn opening(error: OpenError) -> Failure {
    let text = error.to_string();
    match error {
        OpenError::Store(e) => storage(e),
        OpenError::NotAVault { location } => {
            Failure::not_found(text).or_in_chinese(format!("{location}：该处不是保险库")).hints(NAME_IT, NAME_IT_ZH)
        }
        OpenError::UnknownFormat { location, found } => {
            Failure::new(Kind::Other, text).or_in_chinese(format!("{location}：保险库的格式未知：{found:?}")).hints(
                "install the version of seqvault that wrote it, or a newer one",
                "请安装写入它的 seqvault 版本或较新版本",
            )
        }
        OpenError::Unfinished { location } => {
            Failure::new(Kind::Storage, text).or_in_chinese(format!("{location}：保险库的建立未完成；请重新 init"))
        }
        OpenError::Genesis { location, source } => {
            Failure::integrity(text).or_in_chinese(format!("{location}：{}", zh::genesis(&source))).hints(
                "its first entry was changed, or a newer version of seqvault made it: ask the officer who invited you",
                "其第 0 条被更改，或由较新版本的 seqvault 建立：请询问邀请您的管理员",
            )
        }
        _ => Failure::new(Kind::Storage, text),
    }
}

fn storage(error: store::StoreError) -> Failure {
    let (text, zh) = (error.to_string(), zh::store(&error));
    let of = |kind| Failure::new(kind, text).or_in_chinese(zh);
    if let store::StoreError::NotOpened { source: store::OpenS3Error::Location(_), .. } = error {
        return of(Kind::Usage);
    }
    if let Some(hint) = error.hint() {
        return match zh::store_hint(&error) {
            Some(zh) => of(Kind::Storage).hints(hint, zh),
            None => of(Kind::Storage).hint(hint),
        };
    }
    match error {
        store::StoreError::NotFound { .. } => {
            of(Kind::NotFound).hints("the store lost it, or somebody deleted it", "存储已将其丢失，或有人将其删除")
        }
        store::StoreError::TooLong { .. } | store::StoreError::TooShort { .. } => of(Kind::Integrity),
        store::StoreError::Full { .. } => of(Kind::Storage).hints(
            "free some space and run the same command again: it goes on where it stopped",
            "请腾出空间后重新运行同一命令：将从中断处继续",
        ),
        store::StoreError::Gone { .. } => {
            of(Kind::Storage).hints("mount it again, then run the same command again", "请重新挂载，再运行同一命令")
        }
        store::StoreError::Denied { .. } | store::StoreError::ReadOnly { .. } => {
            of(Kind::Storage).hints("check the folder's owner, mode and mount", "请检查目录的属主、权限和挂载方式")
        }
        _ => of(Kind::Storage),
    }
}

fn ledger(error: LedgerError) -> Failure {
    let text = error.to_string();
    match error {
        LedgerError::Store(e) => storage(e),
        LedgerError::Gap { ledger, missing, found } => Failure::integrity(text)
            .or_in_chinese(format!("账本 {ledger}：缺少第 {missing} 条，而有第 {found} 条"))
            .hints(
                "an entry was deleted: ask an officer, and keep the folder as it is",
                "有条目被删除：请询问管理员，并保持目录原状",
            ),
        _ => Failure::integrity(text).or_in_chinese("账本无法读取"),
    }
}

fn state(error: StateError) -> Failure {
    let text = error.to_string();
    match error {
        StateError::Ledger(e) => ledger(e),
        StateError::Genesis(e) => Failure::integrity(text).or_in_chinese(zh::genesis(&e)),
        StateError::Creation { dataset, source } => {
            Failure::integrity(text).or_in_chinese(format!("数据集 {dataset}：{}", zh::creation(&source)))
        }
        _ => Failure::integrity(text).or_in_chinese("账本无法读取"),
    }
}

const DECIDE: &str = "`seqvault decide` explains what the rules in force ask for";
const DECIDE_ZH: &str = "`seqvault decide` 说明生效的规则有何要求";

fn append(error: AppendError) -> Failure {
    let text = error.to_string();
    match error {
        AppendError::State(e) => state(e),
        AppendError::TooLong => Failure::usage(text).or_in_chinese("条目超过 16 MiB"),
        AppendError::NotNext { ref ledger, seq, next } => Failure::new(Kind::Conflict, text)
            .or_in_chinese(format!("账本 {ledger} 的下一条为第 {next} 条，而不是第 {seq} 条")),
        AppendError::Void { ref ledger, seq, reason } => {
            Failure::refused(text).or_in_chinese(format!("账本 {ledger} 第 {seq} 条不会生效：{}", zh::reason(reason)))
        }
        AppendError::Stopped(ref stop) => Failure::refused(text).or_in_chinese(zh::stop(stop)),
        AppendError::Gate { ref ledger, seq, ref refusal } => {
            let why = refusal.text();
            Failure::refused(text)
                .or_in_chinese(format!("账本 {ledger} 第 {seq} 条被拒绝：{}", why.say(Lang::Zh)))
                .hints(DECIDE, DECIDE_ZH)
        }
        AppendError::Missing { ref name } => {
            Failure::refused(text).or_in_chinese(format!("{name}：条目指明该对象，而它不存在"))
        }
        AppendError::Differs { ref name } => {
            Failure::refused(text).or_in_chinese(format!("{name}：对象与条目所指的不同"))
        }
        _ => Failure::refused(text),
    }
}

fn remove(error: RemoveError) -> Failure {
    let text = error.to_string();
    match error {
        RemoveError::State(e) => state(e),
        RemoveError::UnknownUpload { dataset, upload } => {
            Failure::refused(text).or_in_chinese(format!("数据集 {dataset} 从未有上传 {upload}"))
        }
        RemoveError::OpenUpload { dataset, upload } => {
            Failure::refused(text).or_in_chinese(format!("数据集 {dataset} 的上传 {upload} 尚未结束，须先关闭"))
        }
        RemoveError::CommittedUpload { dataset, upload } => {
            Failure::refused(text).or_in_chinese(format!("数据集 {dataset} 的上传 {upload} 已提交"))
        }
        RemoveError::NotDeleted { dataset } => {
            Failure::refused(text).or_in_chinese(format!("数据集 {dataset} 未被删除"))
        }
        _ => Failure::integrity(text),
    }
}

fn object(error: store::StoreError) -> StoreError {
    match error {
        store::StoreError::NotFound { .. } => StoreError::NotFound,
        store::StoreError::TooLong { .. } | store::StoreError::TooShort { .. } => StoreError::Length,
        store::StoreError::Archived { .. } => StoreError::Archived(error.hint().unwrap_or_default()),
        other if other.is_transient() => StoreError::Transient(Box::new(other)),
        other => StoreError::Failed(Box::new(other)),
    }
}

impl Local {
    /// The same with rule packs besides those inside this program, for what is appended.
    #[must_use]
    pub fn with_packs(self, packs: Vec<Pack>) -> Self {
        Self { vault: self.vault.with_packs(packs), ..self }
    }

    /// What is amiss with the bucket itself: it may have lost a promise with an upgrade, or keep what rotations delete. Who may only
    /// read it is not told: both are found by writing.
    async fn examine_bucket(&self) -> Outcome<Vec<String>> {
        let store = self.vault.store();
        if !store.is_bucket() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        match store::probe_all(store).await {
            Ok(()) => {}
            Err(ProbeError::Store(e)) if e.is_denied() => return Ok(found),
            Err(ProbeError::Store(e)) => return Err(storage(e)),
            Err(broken) => found.push(format!("{broken}; write nothing more to this vault before that is mended")),
        }
        if store.keeps_epochs().await.map_err(storage)? {
            found.push(VERSIONS.to_owned());
        }
        Ok(found)
    }
}

#[async_trait]
impl PackStore for Local {
    async fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        self.vault.put(name, bytes).await.map(drop).map_err(|e| match e {
            PutError::Store(e) => object(e),
            PutError::Taken { .. } => StoreError::Differs,
            other => StoreError::Failed(Box::new(other)),
        })
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.vault.get_range(name, range).await.map_err(object)
    }

    async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        self.vault.get_at_most(name, max).await.map_err(object)
    }

    async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.vault.size(name).await.map_err(object)
    }
}

#[async_trait]
impl Client for Local {
    fn location(&self) -> &str {
        &self.location
    }

    async fn ledgers(&self) -> Outcome<Vec<LedgerId>> {
        self.vault.ledger_names().await.map_err(storage)
    }

    async fn entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.vault.entries(id, from).await.map_err(ledger)
    }

    async fn first(&self, id: &LedgerId) -> Outcome<Option<Bytes>> {
        self.vault.entry(id, 0).await.map_err(storage)
    }

    async fn single_entries(&self, id: &LedgerId, from: u64) -> Outcome<Vec<Bytes>> {
        self.vault.single_entries(id, from).await.map_err(ledger)
    }

    async fn append(&self, id: &LedgerId, seq: u64, entry: Bytes) -> Outcome<Append> {
        match self.vault.append(id, seq, entry).await.map_err(append)? {
            vault::Append::Appended => Ok(Append::Done),
            vault::Append::Taken { .. } => Ok(Append::Taken),
        }
    }

    async fn delete_epochs(&self, dataset: &DatasetId, below: u64) -> Outcome<Removed> {
        self.vault.delete_epochs(dataset, below).await.map_err(remove)
    }

    async fn sweep(&self, dataset: &DatasetId, upload: &UploadId) -> Outcome<Removed> {
        self.vault.sweep(dataset, upload).await.map_err(remove)
    }

    async fn delete_hidden(&self, dataset: &DatasetId) -> Outcome<Removed> {
        self.vault.delete_hidden(dataset).await.map_err(remove)
    }

    async fn delete_dataset(&self, dataset: &DatasetId) -> Outcome<Removed> {
        self.vault.delete_dataset(dataset).await.map_err(remove)
    }

    async fn objects_of(&self, dataset: &DatasetId) -> Outcome<Option<u64>> {
        self.vault.objects_of(dataset).await.map(Some).map_err(storage)
    }

    async fn withdraw(&self, name: &ObjectName) -> Outcome<Removed> {
        self.vault.withdraw(name).await.map_err(remove)
    }

    async fn keeps_epochs(&self) -> Outcome<bool> {
        self.vault.store().keeps_epochs().await.map_err(storage)
    }

    async fn doctor(&self, repair: bool) -> Outcome<Derived> {
        let examined = self.vault.examine(clock::now(), repair).await.map_err(remove)?;
        let mut findings = examined.findings;
        findings.extend(self.examine_bucket().await?);
        Ok(Derived { findings, repaired: examined.repaired, damaged: examined.damaged })
    }
}
