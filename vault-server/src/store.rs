//! The store: objects written once, in a folder or in anything that `object_store` reaches. Spec sections 6.1 and 6.2.
//!
//! What is acknowledged here is durable and whole: a create that returned, whoever made it, survives a power cut.
//! What objects mean, and when one may be deleted, is the business of [`crate::vault`].

mod error;
mod folder;
mod links;
mod pause;
mod probe;
mod s3;
mod seen;
pub mod spare;
mod staged;

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
use pause::Pause;
use s3::{Bucket, Ways};
use seen::Watched;

pub use error::StoreError;
pub use links::{Link, ObjectStream};
pub(crate) use probe::SCRATCH;
pub use probe::{ProbeError, Probing, probe, probe_all};
pub use s3::{
    Answer, CredentialsError, Endpoint, Environment, LocationError, OpenS3Error, Place as S3Place, ProfileError,
    S3Location,
};
pub use seen::Seen;

/// How often a create that lost to nothing readable is tried again.
const CREATE_ATTEMPTS: u32 = 8;

/// How often a create or a read that got no answer is tried; the layer below has tried each of them several times.
const SILENT_ATTEMPTS: u32 = 3;

/// A place for objects. Cheap to clone; clones share the connection.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    place: Place,
    seen: Seen,
}

/// What kind of place it is: a folder needs care that a bucket does not.
#[derive(Debug, Clone)]
enum Place {
    Folder(Arc<Folder>),
    S3(Arc<Bucket>),
    /// Any other object store, by what messages call it.
    Other(Arc<str>),
}

/// How much was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Objects. Those that were gone already may be counted where the store is a bucket, which does not say.
    pub objects: u64,
    /// Whether the store keeps old versions of them: then they are gone from sight and not erased.
    pub kept: bool,
}

impl core::ops::AddAssign for Removed {
    fn add_assign(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.kept = self.kept || other.kept;
    }
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
    /// What the store calls this version of it, where it does.
    pub e_tag: Option<String>,
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

    /// Opens what a location names: a bucket at an `s3://` address, or else a folder.
    ///
    /// # Errors
    /// As [`Self::open_s3`] and [`Self::open_folder`].
    pub async fn open(location: &str) -> Result<Self, StoreError> {
        if !location.starts_with("s3://") {
            return Self::open_folder(location).await;
        }
        match location.parse() {
            Ok(address) => Self::open_s3(&address).await,
            Err(e) => Err(StoreError::NotOpened { location: location.to_owned(), source: OpenS3Error::Location(e) }),
        }
    }

    /// Opens a bucket that exists, as this process's environment says. The bucket is not asked for anything yet.
    ///
    /// # Errors
    /// If the address, the environment or a profile can't be used, or there are no credentials.
    pub async fn open_s3(location: &S3Location) -> Result<Self, StoreError> {
        Self::open_s3_in(location, &Environment::of_process()).await
    }

    /// As [`Self::open_s3`], in an environment of the caller's.
    ///
    /// # Errors
    /// As [`Self::open_s3`].
    pub async fn open_s3_in(location: &S3Location, environment: &Environment) -> Result<Self, StoreError> {
        match Bucket::open(location, environment).await {
            Ok(bucket) => Ok(Self::watched(bucket.objects(), Place::S3(Arc::new(bucket)))),
            Err(source) => Err(StoreError::NotOpened { location: location.to_string(), source }),
        }
    }

    /// Whether it is a bucket, or two.
    #[must_use]
    pub fn is_bucket(&self) -> bool {
        matches!(&self.place, Place::S3(_))
    }

    /// The store over each endpoint alone, once for each bucket: what the probe races over.
    #[must_use]
    pub fn ways(&self) -> Vec<Vec<Self>> {
        let Place::S3(bucket) = &self.place else { return vec![vec![self.clone()]] };
        let alone = |ways: &Ways| {
            let one = |way: Ways| Self { objects: Arc::new(way), place: self.place.clone(), seen: self.seen.clone() };
            ways.each().into_iter().map(one).collect()
        };
        std::iter::once(&bucket.main).chain(&bucket.epochs).map(alone).collect()
    }

    /// Uses any object store. It must be durable by itself and its conditional create must have one winner, which
    /// [`probe()`] checks. `location` is what messages call it.
    #[must_use]
    pub fn over(objects: Arc<dyn ObjectStore>, location: &str) -> Self {
        Self::watched(objects, Place::Other(location.into()))
    }

    /// What it was asked and how that went.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    fn watched(objects: Arc<dyn ObjectStore>, place: Place) -> Self {
        let seen = Seen::default();
        Self { objects: Watched::new(objects, &seen), place, seen }
    }

    /// What messages call this store: a path or an address.
    #[must_use]
    pub fn location(&self) -> String {
        match &self.place {
            Place::Folder(folder) => folder.root().display().to_string(),
            Place::S3(bucket) => bucket.location.place(),
            Place::Other(location) => location.to_string(),
        }
    }

    /// The folder, if this store is one.
    #[must_use]
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder.root()),
            Place::S3(_) | Place::Other(_) => None,
        }
    }

    /// Writes an object if there is none of that name. Safe to repeat: a retry finds its own success.
    ///
    /// # Errors
    /// If the store fails; then the object may exist, but nothing may rely on it before a repeated call succeeds.
    pub async fn create(&self, name: &ObjectName, bytes: Bytes) -> Result<Creation, StoreError> {
        let key = key_of(name);
        self.check().await?;
        let (mut pause, mut silent) = (Pause::default(), 0);
        for _ in 0..CREATE_ATTEMPTS {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.objects.put_opts(&key, bytes.clone().into(), options).await {
                Ok(_) => {
                    self.on_folder(key.to_string(), |folder, key| folder.settle_new(key)).await?;
                    return Ok(Creation::Created);
                }
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(e) => {
                    let fault = self.fault(&key, e).await;
                    silent += 1;
                    if !fault.is_transient() || silent >= SILENT_ATTEMPTS {
                        return Err(fault);
                    }
                    // It may have been done and only the acknowledgement lost: then the next try finds it.
                    self.seen.again("put", "failed");
                    pause.wait().await;
                    continue;
                }
            }
            match self.holds(&key, &bytes).await? {
                Some(true) => {
                    self.settle(name).await?;
                    return Ok(Creation::AlreadySame);
                }
                Some(false) => return Ok(Creation::Conflict),
                // A bucket answers 409 while two creates overlap, and either may fail: only another try can tell.
                None => {
                    self.seen.again("put", "overlap");
                    pause.wait().await;
                }
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
        let mut pause = Pause::default();
        for _ in 1..SILENT_ATTEMPTS {
            match self.read_range(&key, range.clone()).await {
                Err(e) if e.is_transient() => {
                    self.seen.again("get", "failed");
                    pause.wait().await;
                }
                other => return other,
            }
        }
        self.read_range(&key, range).await
    }

    /// An object's size in bytes, if it exists.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn size(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.size_of(&key_of(name)).await
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

    /// Shows the objects under a prefix one by one, in no order, for as long as `look` wants more. Nothing of them is held, however many there are.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn visit(&self, prefix: &str, mut look: impl FnMut(&Listed) -> bool) -> Result<(), StoreError> {
        let prefix = Key::from(prefix);
        let mut found = self.objects.list(Some(&prefix));
        let mut any = false;
        while let Some(meta) = found.next().await {
            let meta = match meta {
                Ok(meta) => meta,
                Err(e) => return Err(self.fault(&prefix, e).await),
            };
            any = true;
            if listed(&meta).is_some_and(|object| !look(&object)) {
                return Ok(());
            }
        }
        // Nothing there is also what a folder that was unmounted looks like.
        if any { Ok(()) } else { self.check().await }
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
        // SeaweedFS shows a folder that it made and that is empty by now as an object of the folder's own name and no bytes.
        let objects = found.objects.iter().filter(|meta| meta.location != prefix);
        Ok((folders, objects.filter_map(|meta| last(&meta.location)).collect()))
    }

    /// Some object, whatever it is called, that does not lie in a folder of this name. Folders are looked into one by one, since a listing of
    /// everything may be long; where so many hold none, the last of them is taken for one.
    pub(crate) async fn first_beside(&self, folder: &str) -> Result<Option<String>, StoreError> {
        const LOOKS: u32 = 256;
        let mut folders = vec![String::new()];
        let mut looks = 0;
        while let Some(next) = folders.pop() {
            looks += 1;
            if looks > LOOKS {
                return Ok(Some(next));
            }
            let (below, objects) = self.children(&next).await?;
            let under = |name: &String| if next.is_empty() { name.clone() } else { format!("{next}/{name}") };
            if let Some(object) = objects.first() {
                return Ok(Some(under(object)));
            }
            folders.extend(below.iter().map(under).filter(|path| path != folder));
        }
        Ok(None)
    }

    /// Deletes objects; those that do not exist are passed over. When it returns they stay deleted.
    ///
    /// # Errors
    /// If the store fails; then some may be deleted, and a repeated call deletes the rest.
    pub async fn delete(&self, names: &[ObjectName]) -> Result<Removed, StoreError> {
        let keys: Vec<Key> = names.iter().map(key_of).collect();
        let kept = self.keeps_versions(&keys).await?;
        Ok(Removed { objects: self.delete_keys(keys).await?, kept })
    }

    /// Deletes the objects under a prefix that `doomed` picks, and returns how many there were. The rest, and whatever has
    /// no name of a vault's, stays.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub async fn delete_prefix(
        &self,
        prefix: &str,
        doomed: impl Fn(&ObjectName) -> bool,
    ) -> Result<Removed, StoreError> {
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

    /// Temporary files that killed writers left in a folder, older than `age`, relative to it; a bucket has none.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub async fn leftovers(&self, age: Duration) -> Result<Vec<PathBuf>, StoreError> {
        match &self.place {
            Place::Folder(folder) => {
                let folder = Arc::clone(folder);
                blocking(self.location(), move || folder.leftovers(age)).await
            }
            Place::S3(_) | Place::Other(_) => Ok(Vec::new()),
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
            Place::S3(_) | Place::Other(_) => Ok(()),
        }
    }

    fn over_folder(path: &Path) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let objects = LocalFileSystem::new_with_prefix(folder.root())
            .map_err(|e| StoreError::from_backend(path.display().to_string(), e))?
            .with_fsync(true);
        Ok(Self::watched(Arc::new(objects), Place::Folder(Arc::new(folder))))
    }

    async fn size_of(&self, key: &Key) -> Result<Option<u64>, StoreError> {
        match self.objects.head(key).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(e) => absent(self.fault(key, e).await),
        }
    }

    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let stream = self.stream_key(key, Some(range)).await?;
        let length = usize::try_from(stream.range.end.saturating_sub(stream.range.start)).unwrap_or_default();
        let mut bytes = spare::room(length);
        let mut chunks = stream.bytes;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            if bytes.is_empty() && chunk.len() == length {
                return Ok(chunk);
            }
            bytes.extend_from_slice(&chunk);
        }
        // A store may end an answer early that said how long it would be.
        if bytes.len() < length {
            let size = stream.range.start + bytes.len() as u64;
            return Err(StoreError::TooShort { path: self.path(key), size, end: stream.range.end });
        }
        Ok(bytes.freeze())
    }

    /// Whether deleting one of these leaves an older version behind. Only an object that is there can tell.
    async fn keeps_versions(&self, keys: &[Key]) -> Result<bool, StoreError> {
        if !self.is_bucket() {
            return Ok(false);
        }
        let (second, first): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| s3::is_of_epochs(key));
        for key in [first.first(), second.first()].into_iter().flatten() {
            match self.objects.head(key).await {
                // Objects from before versions were kept, or from after, have the version "null" and leave none.
                Ok(meta) if meta.version.as_deref().is_some_and(|version| version != "null") => return Ok(true),
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(e) => return Err(self.fault(key, e).await),
            }
        }
        Ok(false)
    }

    async fn read(&self, key: &Key, max: u64) -> Result<Bytes, StoreError> {
        let mut pause = Pause::default();
        for _ in 1..SILENT_ATTEMPTS {
            match self.read_once(key, max).await {
                Err(e) if e.is_transient() => {
                    self.seen.again("get", "failed");
                    pause.wait().await;
                }
                other => return other,
            }
        }
        self.read_once(key, max).await
    }

    async fn read_once(&self, key: &Key, max: u64) -> Result<Bytes, StoreError> {
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
            Place::S3(_) | Place::Other(_) => Ok(()),
        }
    }

    /// A key as messages show it.
    fn path(&self, key: &Key) -> String {
        match &self.place {
            Place::Folder(folder) => folder.path_of(key.as_ref()).display().to_string(),
            Place::S3(bucket) => format!("s3://{}/{key}", bucket.place_of(key)),
            Place::Other(location) => format!("{location}/{key}"),
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
    Some(Listed { name, size: meta.size, modified: meta.last_modified.timestamp(), e_tag: meta.e_tag.clone() })
}

fn absent<T>(error: StoreError) -> Result<Option<T>, StoreError> {
    if error.is_not_found() { Ok(None) } else { Err(error) }
}
