//! The store: objects written once, in a folder or in anything that `object_store` reaches. Spec sections 6.1 and 6.2.
//!
//! What is acknowledged here is durable and whole: a create that returned, whoever made it, survives a power cut.
//! What objects mean, and when one may be deleted, is the business of [`crate::vault`].

mod error;
mod folder;
mod probe;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use vault_core::layout::ObjectName;

use folder::Folder;

pub use error::StoreError;
pub(crate) use probe::SCRATCH;
pub use probe::{ProbeError, Probing, probe};

/// How often a create that lost to nothing readable is tried again.
const CREATE_ATTEMPTS: u32 = 8;

/// A place for objects. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    place: Place,
}

/// What kind of place it is: a folder needs care that a bucket does not.
#[derive(Debug, Clone)]
enum Place {
    Folder(Arc<Folder>),
    Bucket(Arc<str>),
}

/// What became of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Creation {
    /// The object is new.
    Created,
    /// The object was there with the same bytes: as good as created, and as durable.
    AlreadySame,
    /// The object is there with other bytes.
    Conflict,
}

/// An object as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: ObjectName,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written by the store's clock, seconds since 1970.
    pub modified: i64,
}

impl Store {
    /// Opens a folder that exists.
    ///
    /// # Errors
    /// If there is no such folder or it can't be read.
    pub async fn open_folder(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        blocking(path.display().to_string(), move || Self::over_folder(&path)).await
    }

    /// Makes a folder, and those above it that are missing, and opens it. An existing folder is only opened.
    ///
    /// # Errors
    /// If it can't be made or read.
    pub async fn create_folder(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        blocking(path.display().to_string(), move || {
            Folder::create(&path)?;
            Self::over_folder(&path)
        })
        .await
    }

    /// Uses any object store. It must be durable by itself and its conditional create must have one winner, which
    /// [`probe()`] checks. `location` is what messages call it.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self { objects, place: Place::Bucket(location.into()) }
    }

    /// What messages call this store: a path or an address.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.root().display().to_string(),
            Place::Bucket(location) => location.to_string(),
        }
    }

    /// The folder, if this store is one.
    #[must_use]
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder.root()),
            Place::Bucket(_) => None,
        }
    }

    /// Writes an object if there is none of that name. Safe to repeat: a retry finds its own success.
    ///
    /// # Errors
    /// If the store fails; then the object may exist, but nothing may rely on it before a repeated call succeeds.
    pub async fn create(&self, name: &ObjectName, bytes: Bytes) -> Result<Creation, StoreError> {
        let key = key_of(name);
        self.check().await?;
        for attempt in 0..CREATE_ATTEMPTS {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.objects.put_opts(&key, bytes.clone().into(), options).await {
                Ok(_) => {
                    self.on_folder(key.to_string(), |folder, key| folder.settle_new(key)).await?;
                    return Ok(Creation::Created);
                }
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(e) => return Err(self.fault(&key, e).await),
            }
            match self.holds(&key, &bytes).await? {
                Some(true) => {
                    self.settle(name).await?;
                    return Ok(Creation::AlreadySame);
                }
                Some(false) => return Ok(Creation::Conflict),
                // A bucket answers 409 while two creates overlap, and either may fail: only another try can tell.
                None => tokio::time::sleep(Duration::from_millis(10 << attempt)).await,
            }
        }
        Err(StoreError::Unsteady { path: self.path(&key) })
    }

    /// Reads an object of at most `max` bytes.
    ///
    /// # Errors
    /// If it does not exist, is longer, or the store fails.
    pub async fn get(&self, name: &ObjectName, max: u64) -> Result<Bytes, StoreError> {
        self.read(&key_of(name), max).await
    }

    /// Reads exactly the bytes of a range.
    ///
    /// # Errors
    /// If the object does not exist or ends before the range does, or the store fails.
    pub async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let key = key_of(name);
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        // The size first: stores differ in what they answer to a range beyond the end.
        let size = self.size(name).await?.ok_or_else(|| StoreError::NotFound { path: self.path(&key) })?;
        if size < range.end {
            return Err(StoreError::TooShort { path: self.path(&key), size, end: range.end });
        }
        match self.objects.get_range(&key, range).await {
            Ok(bytes) => Ok(bytes),
            Err(e) => Err(self.fault(&key, e).await),
        }
    }

    /// An object's size in bytes, if it exists.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        let key = key_of(name);
        match self.objects.head(&key).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(e) => absent(self.fault(&key, e).await),
        }
    }

    /// Every object under a prefix of [`vault_core::layout`], by name. What has no name of a vault's is passed over:
    /// it means nothing.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let prefix = Key::from(prefix);
        let found = self.objects.list(Some(&prefix));
        self.collect(&prefix, found).await
    }

    /// As [`Self::list`], for paths that sort after `offset`'s. A bucket does not even look at the others.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn list_after(&self, prefix: &str, offset: &ObjectName) -> Result<Vec<Listed>, StoreError> {
        let prefix = Key::from(prefix);
        let found = self.objects.list_with_offset(Some(&prefix), &key_of(offset));
        self.collect(&prefix, found).await
    }

    /// The names directly under a prefix that have something below them, sorted.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn folders(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (folders, _) = self.children(prefix).await?;
        Ok(folders)
    }

    /// Folders and objects directly under a prefix, whatever they are called.
    pub(crate) async fn children(&self, prefix: &str) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let prefix = Key::from(prefix);
        let found = match self.objects.list_with_delimiter(Some(&prefix)).await {
            Ok(found) => found,
            Err(e) => return Err(self.fault(&prefix, e).await),
        };
        if found.common_prefixes.is_empty() && found.objects.is_empty() {
            self.check().await?;
        }
        let last = |key: &Key| key.filename().map(str::to_owned);
        let mut folders: Vec<String> = found.common_prefixes.iter().filter_map(last).collect();
        folders.sort_unstable();
        Ok((folders, found.objects.iter().filter_map(|meta| last(&meta.location)).collect()))
    }

    /// Deletes objects; those that do not exist are passed over. When it returns they stay deleted.
    ///
    /// # Errors
    /// If the store fails; then some may be deleted, and a repeated call deletes the rest.
    pub async fn delete(&self, names: &[ObjectName]) -> Result<u64, StoreError> {
        self.delete_keys(names.iter().map(key_of).collect()).await
    }

    /// Deletes the objects under a prefix that `doomed` picks, and returns how many there were. The rest, and whatever has
    /// no name of a vault's, stays.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_prefix(&self, prefix: &str, doomed: impl Fn(&ObjectName) -> bool) -> Result<u64, StoreError> {
        let names: Vec<ObjectName> =
            self.list(prefix).await?.into_iter().map(|o| o.name).filter(|n| doomed(n)).collect();
        self.delete(&names).await
    }

    /// Makes sure that an object which was found, perhaps written by another process a moment ago, is durable.
    ///
    /// # Errors
    /// If it does not exist or can't be synced.
    pub async fn settle(&self, name: &ObjectName) -> Result<(), StoreError> {
        self.on_folder(name.to_string(), |folder, key| folder.settle_found(key)).await
    }

    /// Makes sure that the names directly under a prefix are durable; their bytes were before they got their names.
    ///
    /// # Errors
    /// If the folder can't be synced.
    pub async fn settle_names(&self, prefix: &str) -> Result<(), StoreError> {
        self.on_folder(prefix.trim_end_matches('/').to_owned(), |folder, key| folder.settle_names(key)).await
    }

    /// Temporary files that killed writers left in a folder, older than `age`; a bucket has none.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub async fn leftovers(&self, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(self.location(), move || folder.leftovers(age)).await
            }
            Place::Bucket(_) => Ok(Vec::new()),
        }
    }

    /// Removes what [`Self::leftovers`] found.
    ///
    /// # Errors
    /// If a file can't be removed.
    pub async fn remove_leftovers(&self, paths: Vec<PathBuf>) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(self.location(), move || folder.remove(&paths)).await
            }
            Place::Bucket(_) => Ok(()),
        }
    }

    fn over_folder(path: &Path) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let objects = LocalFileSystem::new_with_prefix(folder.root())
            .map_err(|e| StoreError::from_backend(path.display().to_string(), e))?
            .with_fsync(true);
        Ok(Self { objects: Arc::new(objects), place: Place::Folder(Arc::new(folder)) })
    }

    async fn read(&self, key: &Key, max: u64) -> Result<Bytes, StoreError> {
        let result = match self.objects.get_opts(key, GetOptions::default()).await {
            Ok(result) => result,
            Err(e) => return Err(self.fault(key, e).await),
        };
        let size = result.meta.size;
        if size > max {
            return Err(StoreError::TooLong { path: self.path(key), size, max });
        }
        match result.bytes().await {
            Ok(bytes) => Ok(bytes),
            Err(e) => Err(self.fault(key, e).await),
        }
    }

    /// Whether the object is exactly these bytes; `None` if there is none.
    async fn holds(&self, key: &Key, bytes: &Bytes) -> Result<Option<bool>, StoreError> {
        match self.read(key, bytes.len() as u64).await {
            Ok(found) => Ok(Some(found == bytes)),
            Err(StoreError::TooLong { .. }) => Ok(Some(false)),
            Err(e) => absent(e),
        }
    }

    async fn collect(
        &self,
        prefix: &Key,
        found: stream::BoxStream<'static, object_store::Result<ObjectMeta>>,
    ) -> Result<Vec<Listed>, StoreError> {
        let found: Vec<Listed> = match found.try_filter_map(async |meta| Ok(listed(&meta))).try_collect().await {
            Ok(found) => found,
            Err(e) => return Err(self.fault(prefix, e).await),
        };
        // Nothing there is also what a folder that was unmounted looks like.
        if found.is_empty() {
            self.check().await?;
        }
        // Folders list in no order.
        let mut found = found;
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    async fn delete_keys(&self, keys: Vec<Key>) -> Result<u64, StoreError> {
        self.check().await?;
        let mut deleted = 0;
        let mut results = self.objects.delete_stream(stream::iter(keys.clone().into_iter().map(Ok)).boxed());
        while let Some(result) = results.next().await {
            match result {
                Ok(_) => deleted += 1,
                Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(self.fault(&Key::ROOT, e).await),
            }
        }
        if let Place::Folder(folder) = &self.place {
            let folder = Arc::clone(folder);
            blocking(self.location(), move || folder.settle_removed(keys.iter().map(AsRef::as_ref))).await?;
        }
        Ok(deleted)
    }

    /// Refuses a folder that is no longer the one that was opened.
    async fn check(&self) -> Result<(), StoreError> {
        self.on_folder(String::new(), |folder, _| folder.check()).await
    }

    /// Sorts a failure; on a folder that is gone, everything fails for that one reason.
    async fn fault(&self, key: &Key, source: object_store::Error) -> StoreError {
        match self.check().await {
            Err(gone) => gone,
            Ok(()) => StoreError::from_backend(self.path(key), source),
        }
    }

    /// Does file work off the runtime's threads; does nothing where the store is a bucket.
    async fn on_folder(
        &self,
        key: String,
        work: impl FnOnce(&Folder, &str) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(self.location(), move || work(&folder, &key)).await
            }
            Place::Bucket(_) => Ok(()),
        }
    }

    /// A key as messages show it.
    fn path(&self, key: &Key) -> String {
        match &self.place {
            Place::Folder(folder) => folder.path_of(key.as_ref()).display().to_string(),
            Place::Bucket(location) => format!("{location}/{key}"),
        }
    }
}

async fn blocking<T: Send + 'static>(
    path: String,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(StoreError::Stopped { path }))
}

fn key_of(name: &ObjectName) -> Key {
    Key::from(name.to_string())
}

fn listed(meta: &ObjectMeta) -> Option<Listed> {
    let name = meta.location.as_ref().parse().ok()?;
    Some(Listed { name, size: meta.size, modified: meta.last_modified.timestamp() })
}

fn absent<T>(error: StoreError) -> Result<Option<T>, StoreError> {
    if error.is_not_found() { Ok(None) } else { Err(error) }
}
