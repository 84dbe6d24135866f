//! Bodies: bounded by their kind, held in a bounded memory, and what was signed before they have an effect. Spec 7.2, 7.5.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt, stream};
use http_body_util::BodyExt;
use tokio::time::Instant;
use vault_core::hazmat::kdf::sha256;

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

/// What a stream ends with when whoever sends it may not do so any more.
#[derive(Debug, thiserror::Error)]
#[error("the request is not allowed any more")]
pub(super) struct Ended(pub(super) Refused);

/// A body as a stream that fails at its end unless it is `still` allowed. Whoever takes it keeps the last bytes back until it has ended, and
/// until it is what was signed. It has `time` to come; what a store takes to write it is not its sender's fault, and not counted.
pub(super) fn checked(
    body: Body,
    time: Duration,
    still: impl Future<Output = Result<(), Refused>> + Send + 'static,
) -> BoxStream<'static, io::Result<Bytes>> {
    let reading = (body.into_data_stream(), time, still.boxed());
    let stream = stream::try_unfold(reading, |(mut body, left, still)| async move {
        let began = Instant::now();
        let next = tokio::time::timeout(left, body.next()).await;
        let left = left.saturating_sub(began.elapsed());
        match next.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))? {
            Some(Ok(bytes)) => Ok(Some((bytes, (body, left, still)))),
            Some(Err(e)) => Err(io::Error::other(e)),
            None => still.await.map(|()| None).map_err(|refused| io::Error::other(Ended(refused))),
        }
    });
    stream.boxed()
}

pub(super) fn too_slow() -> Refused {
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

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(400);

    /// A body of pieces, each of which comes after a pause; how it ends for who takes another pause before each.
    async fn ends(comes: Duration, taken: Duration) -> io::Result<usize> {
        let pieces = stream::unfold(0, move |n| async move {
            if !comes.is_zero() {
                tokio::time::sleep(comes).await;
            }
            (n < 4).then_some((Ok::<_, io::Error>(Bytes::from_static(b"four")), n + 1))
        });
        let mut body = checked(Body::from_stream(pieces), WAIT, async { Ok(()) });
        let mut length = 0;
        while let Some(piece) = body.next().await {
            length += piece?.len();
            tokio::time::sleep(taken).await;
        }
        Ok(length)
    }

    #[tokio::test]
    async fn only_the_time_that_a_body_takes_to_come_is_counted() {
        assert_eq!(ends(Duration::ZERO, WAIT / 2).await.unwrap(), 16, "the store took twice the time in all");
        let late = ends(WAIT / 2, Duration::ZERO).await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
