//! One store of two: names that begin with `epochs/` lie in another place than the rest, from which deletion is final.

use core::fmt;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Key;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// The first part of names that lie in the second place.
pub(crate) const EPOCHS: &str = "epochs";

/// Two stores that look like one.
#[derive(Debug)]
pub(crate) struct Split {
    pub(crate) main: Arc<dyn ObjectStore>,
    pub(crate) epochs: Arc<dyn ObjectStore>,
}

impl Split {
    fn of(&self, key: &Key) -> &Arc<dyn ObjectStore> {
        if is_of_epochs(key) { &self.epochs } else { &self.main }
    }

    /// The stores in which a prefix can have something: both for the root alone.
    fn under(&self, prefix: Option<&Key>) -> Vec<Arc<dyn ObjectStore>> {
        match prefix.filter(|prefix| prefix.parts().next().is_some()) {
            Some(prefix) => vec![Arc::clone(self.of(prefix))],
            None => vec![Arc::clone(&self.main), Arc::clone(&self.epochs)],
        }
    }
}

/// Whether a name belongs to the second place.
pub(crate) fn is_of_epochs(key: &Key) -> bool {
    key.parts().next().is_some_and(|first| first.as_ref() == EPOCHS)
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {EPOCHS}/ in {}", self.main, self.epochs)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Split {
    async fn put_opts(&self, key: &Key, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.of(key).put_opts(key, payload, options).await
    }

    async fn put_multipart_opts(&self, key: &Key, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.of(key).put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Key, options: GetOptions) -> Result<GetResult> {
        self.of(key).get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Key>>) -> BoxStream<'static, Result<Key>> {
        let (main, epochs) = (Arc::clone(&self.main), Arc::clone(&self.epochs));
        let sorted = async move {
            let keys: Vec<Key> = keys.try_collect().await?;
            let (second, first): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(is_of_epochs);
            let doomed = |keys: Vec<Key>| stream::iter(keys.into_iter().map(Ok)).boxed();
            // The keys first: without them the rest is noise.
            Ok::<_, object_store::Error>(epochs.delete_stream(doomed(second)).chain(main.delete_stream(doomed(first))))
        };
        stream::once(sorted).try_flatten().boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, Result<ObjectMeta>> {
        let found: Vec<_> = self.under(prefix).into_iter().map(|store| store.list(prefix)).collect();
        stream::iter(found).flatten().boxed()
    }

    fn list_with_offset(&self, prefix: Option<&Key>, offset: &Key) -> BoxStream<'static, Result<ObjectMeta>> {
        let stores = self.under(prefix).into_iter();
        let found: Vec<_> = stores.map(|store| store.list_with_offset(prefix, offset)).collect();
        stream::iter(found).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> Result<ListResult> {
        let mut all = ListResult { common_prefixes: Vec::new(), objects: Vec::new(), extensions: Default::default() };
        for store in self.under(prefix) {
            let found = store.list_with_delimiter(prefix).await?;
            all.common_prefixes.extend(found.common_prefixes);
            all.objects.extend(found.objects);
        }
        all.common_prefixes.sort_unstable();
        all.common_prefixes.dedup();
        Ok(all)
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> Result<()> {
        if is_of_epochs(from) == is_of_epochs(to) {
            return self.of(from).copy_opts(from, to, options).await;
        }
        Err(object_store::Error::NotSupported { source: "a copy from one bucket to another".into() })
    }
}
