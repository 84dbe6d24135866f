//! `--is-ready`: one question to a running server, for a container that has no other program to ask it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Outcome, StartError};

/// More than the server itself waits for its store.
const PATIENCE: Duration = Duration::from_secs(6);
/// More than any answer to this question.
const LONGEST: u64 = 8192;

/// Asks for `/readyz`.
pub(super) async fn ask(address: SocketAddr) -> Result<Outcome, StartError> {
    let refused = |why: String| StartError::NotReady { address, why };
    let answer = tokio::time::timeout(PATIENCE, answer(address)).await;
    let answer = answer.map_err(|_| refused("no answer in time".to_owned()))?.map_err(|e| refused(e.to_string()))?;
    let first = answer.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) == Some("200") {
        Ok(Outcome::Said("ready".to_owned()))
    } else {
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        Err(refused(format!("{first} {body}").trim().to_owned()))
    }
}

async fn answer(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
