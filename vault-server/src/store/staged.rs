//! A pack on its way into a folder: written beside its place as it comes, and there at once when it is whole.
//!
//! The file's name until then is the one that `object_store` would use, so that listings pass it over and the doctor clears away what a
//! killed process left. It gets its own name by a hard link, which has one winner as a create has.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path as Key;

use super::folder::{Folder, failed, sync};
use super::links::{Promised, relayed};
use super::{Creation, Store, StoreError, blocking};

/// Bytes that are written at once.
const PIECE: usize = 256 << 10;

/// A file that has no name of an object's yet. Dropped, it is gone: first it is closed, then its name goes, in the order of the fields. A file
/// that is removed while it is open keeps a name on NFS until it is closed, which costs more requests there.
#[derive(Debug)]
struct Staged {
    file: File,
    beside: Beside,
}

/// Where a file lies until it is an object, beside its place. Dropped, it lies there no more.
#[derive(Debug)]
struct Beside {
    path: PathBuf,
    object: PathBuf,
}

impl Staged {
    fn begin(folder: &Folder, key: &str) -> Result<Self, StoreError> {
        folder.check()?;
        let object = folder.path_of(key);
        if let Some(above) = object.parent() {
            fs::create_dir_all(above).map_err(|e| lost(above, e))?;
        }
        // A number of its own: whoever took this file for a leftover and removed it must not have made room for another one.
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(|e| lost(&object, io::Error::other(e.to_string())))?;
        let mut path = object.clone().into_os_string();
        path.push(format!("#{}", u64::from_be_bytes(number)));
        let path = PathBuf::from(path);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { file, beside: Beside { path, object } }),
            Err(e) => Err(lost(&object, e)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|e| failed(&self.beside.object, e))
    }

    /// Gives it its name; false if another object has that.
    fn publish(self) -> Result<bool, StoreError> {
        let Self { file, beside } = self;
        let synced = file.sync_all();
        drop(file);
        synced.map_err(|e| StoreError::from_sync(beside.object.display().to_string(), e))?;
        match fs::hard_link(&beside.path, &beside.object) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(e) => return Err(lost(&beside.object, e)),
        }
        let above = beside.object.parent().map(PathBuf::from);
        drop(beside);
        above.map_or(Ok(()), |above| sync(&above))?;
        Ok(true)
    }
}

/// A failure of the file itself. That a folder or the file is gone on the way is not that there is no such object: it is tried again.
fn lost(path: &Path, source: io::Error) -> StoreError {
    match source.kind() {
        ErrorKind::NotFound => StoreError::Io { path: path.display().to_string(), source },
        _ => failed(path, source),
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // What stays is a leftover that the doctor finds.
        let _ = fs::remove_file(&self.path);
    }
}

impl Store {
    /// Writes a stream of a known length and digest to a folder, if there is no object of the name.
    pub(super) async fn keep(
        &self,
        folder: &Arc<Folder>,
        key: &Key,
        promised: Promised,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Creation, StoreError> {
        let asked = self.seen().ask("put");
        let (read, taken) = relayed(self.path(key), body, promised);
        let (read, staged) = futures_util::join!(read, self.written(folder, key, taken));
        // A body that failed is the caller's failure, whatever became of the file.
        read?;
        let (folder, name) = (Arc::clone(folder), key.to_string());
        let publish = move |staged: Staged| {
            let is_new = staged.publish()?;
            if is_new {
                folder.settle_new(&name)?;
            }
            Ok(is_new)
        };
        let published = match staged {
            Ok(staged) => blocking(self.location(), move || publish(staged)).await,
            Err(e) => Err(e),
        };
        asked.ended(published.is_err().then_some("other"));
        match published {
            Ok(true) => return Ok(Creation::Created),
            Ok(false) => {}
            // On a folder that is gone everything fails for that one reason.
            Err(e) => return Err(self.check().await.err().unwrap_or(e)),
        }
        // Gone again since: somebody swept it.
        let found = self.compare(key, promised).await?.ok_or_else(|| StoreError::Unsteady { path: self.path(key) })?;
        if found == Creation::AlreadySame {
            self.on_folder(key.to_string(), |folder, key| folder.settle_found(key)).await?;
        }
        Ok(found)
    }

    async fn written(
        &self,
        folder: &Arc<Folder>,
        key: &Key,
        mut body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Staged, StoreError> {
        let (folder, name) = (Arc::clone(folder), key.to_string());
        let mut staged = blocking(self.location(), move || Staged::begin(&folder, &name)).await?;
        let mut piece = BytesMut::with_capacity(PIECE);
        loop {
            let next = body.next().await.transpose();
            let chunk = next.map_err(|source| StoreError::Body { path: self.path(key), source })?;
            let ended = chunk.is_none();
            piece.extend_from_slice(&chunk.unwrap_or_default());
            if ended || piece.len() >= PIECE {
                (staged, piece) = blocking(self.location(), move || {
                    staged.write(&piece)?;
                    piece.clear();
                    Ok((staged, piece))
                })
                .await?;
            }
            if ended {
                return Ok(staged);
            }
        }
    }
}
