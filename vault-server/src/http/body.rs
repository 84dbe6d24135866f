//! Bodies: bounded by their kind, held in a bounded memory, and what was signed before they have an effect. Spec 7.2, 7.5.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use tokio::time::Instant;
use vault_core::hazmat::kdf::{Sha256, sha256};

use super::problem::Refused;
use super::service::Place;
use crate::wire::problem::Type;

/// Longest body of JSON.
pub(super) const MAX_JSON: u64 = 64 << 10;
/// Bytes that are hashed at once without leaving the runtime's threads: about a millisecond.
const QUICK: usize = 256 << 10;

/// A body that is what was signed, and its place in memory.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    _room: (Place, Place),
}

/// Reads a body of the length and digest that were signed into room that was taken for it.
pub(super) async fn whole(
    room: (Place, Place),
    body: Body,
    length: u64,
    digest: [u8; 32],
    time: Duration,
) -> Result<Whole, Refused> {
    let bytes = tokio::time::timeout(time, read(body, length)).await.map_err(|_| too_slow())??;
    if hash(&bytes).await? == digest { Ok(Whole { bytes, _room: room }) } else { Err(changed()) }
}

/// What a stream ends with when its bytes are not those that were signed.
#[derive(Debug, thiserror::Error)]
#[error("the body is not what was signed")]
pub(super) struct Changed;

/// What a stream ends with when whoever sends it may not do so any more.
#[derive(Debug, thiserror::Error)]
#[error("the request is not allowed any more")]
pub(super) struct Ended(pub(super) Refused);

/// A body as a stream that fails at its end unless it is what was signed and is `still` allowed. Whoever takes it keeps the last bytes back
/// until it has ended.
pub(super) fn checked(
    body: Body,
    digest: [u8; 32],
    time: Duration,
    still: impl Future<Output = Result<(), Refused>> + Send + 'static,
) -> BoxStream<'static, io::Result<Bytes>> {
    let ends = Instant::now() + time;
    let reading = (body.into_data_stream(), Sha256::new(), still.boxed());
    let stream = stream::try_unfold(reading, move |(mut body, mut hash, still)| async move {
        let next = tokio::time::timeout_at(ends, body.next()).await;
        match next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
            Some(Ok(bytes)) => {
                hash.update(&bytes);
                Ok(Some((bytes, (body, hash, still))))
            }
            Some(Err(e)) => Err(io::Error::other(e)),
            None if hash.finish() != digest => Err(io::Error::other(Changed)),
            None => still.await.map(|()| None).map_err(|refused| io::Error::other(Ended(refused))),
        }
    });
    stream.boxed()
}

fn too_slow() -> Refused {
    Refused::malformed("the body came too slowly")
}

pub(super) fn changed() -> Refused {
    Refused::new(Type::Digest, "the body is not what was signed")
}

async fn read(mut body: Body, length: u64) -> Result<Bytes, Refused> {
    let length = usize::try_from(length).map_err(|_| Refused::malformed("the body is too long"))?;
    // Room as it fills: a length alone is only a claim.
    let mut bytes = BytesMut::with_capacity(length.min(QUICK));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Refused::malformed(format!("the body broke off: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.is_empty() && data.len() == length {
            return Ok(data);
        }
        bytes.extend_from_slice(&data);
        if bytes.len() > length {
            break;
        }
    }
    if bytes.len() == length {
        Ok(bytes.freeze())
    } else {
        Err(Refused::malformed("the body has another length than its header says"))
    }
}

async fn hash(bytes: &Bytes) -> Result<[u8; 32], Refused> {
    if bytes.len() <= QUICK {
        return Ok(sha256(bytes));
    }
    let bytes = bytes.clone();
    let hashed = tokio::task::spawn_blocking(move || sha256(&bytes)).await;
    hashed.map_err(|_| Refused::new(Type::Stopping, "the server is going down"))
}
