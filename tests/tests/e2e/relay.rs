//! A name for several servers: passes connections on to whichever is behind it now, as a reverse proxy does, and counts what goes up.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::thread;

/// The relay; it ends with the test's process.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    port: u16,
    behind: Arc<AtomicU16>,
    up: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Self {
            port: listener.local_addr().unwrap().port(),
            behind: Arc::new(port.into()),
            up: Arc::default(),
            is_over: Arc::default(),
        };
        let of = relay.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if of.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", of.behind.load(Ordering::SeqCst))) else { continue };
                let (up, none) = (Arc::clone(&of.up), Arc::default());
                let pair =
                    [(client.try_clone(), server.try_clone(), up), (server.try_clone(), client.try_clone(), none)];
                for (from, to, count) in pair {
                    let (Ok(from), Ok(to)) = (from, to) else { continue };
                    thread::spawn(move || pass(from, to, &count));
                }
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// New connections go to another server.
    pub(crate) fn turn_to(&self, port: u16) {
        self.behind.store(port, Ordering::SeqCst);
    }

    /// Bytes that clients have sent.
    pub(crate) fn up(&self) -> u64 {
        self.up.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // The thread holds one as well, and ends at the next connection.
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut part = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut part) {
        if to.write_all(&part[..n]).is_err() {
            break;
        }
        count.fetch_add(n as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown(Shutdown::Write);
    // A server that died takes the connection with it, in both directions.
    let _ = from.shutdown(Shutdown::Read);
}
