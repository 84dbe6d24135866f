//! Where the vaults of the tests lie and how people reach them, by `SEQVAULT_TEST_ON`:
//!
//! - `folder`, the default: a folder, in the same process;
//! - `s3`: a prefix of a bucket, in the same process;
//! - `server`: the same, and everybody but who makes the vault goes through a server;
//! - `server-folder`: a folder behind a server.
//!
//! Tests look into the vault's folder and tamper with it whatever the place: what lies in a bucket has a mirror, see [`crate::mirror`].

use std::sync::OnceLock;

/// A place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A folder.
    Folder,
    /// A bucket.
    S3,
    /// A bucket behind a server.
    Server,
    /// A folder behind a server.
    ServerFolder,
}

impl Place {
    /// Its name, as `SEQVAULT_TEST_ON` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::S3 => "s3",
            Self::Server => "server",
            Self::ServerFolder => "server-folder",
        }
    }

    /// Objects lie in a bucket.
    #[must_use]
    pub const fn is_bucket(self) -> bool {
        matches!(self, Self::S3 | Self::Server)
    }

    /// People go through a server.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Server | Self::ServerFolder)
    }
}

/// The place of this run.
///
/// # Panics
/// If the environment names another one: a run that silently tested a folder would show nothing.
#[must_use]
#[allow(clippy::panic, reason = "a test run can't go on without knowing where")]
pub fn place() -> Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    *PLACE.get_or_init(|| match std::env::var("SEQVAULT_TEST_ON").as_deref() {
        Err(_) | Ok("" | "folder") => Place::Folder,
        Ok("s3") => Place::S3,
        Ok("server") => Place::Server,
        Ok("server-folder") => Place::ServerFolder,
        Ok(other) => panic!("SEQVAULT_TEST_ON={other}: folder, s3, server or server-folder"),
    })
}

/// Ends a test that means something in one kind of place only, and says so.
///
/// `left_out!(Place::is_bucket, "why")` ends it where `is_bucket` holds. The suite knows which tests have one, and how many.
#[macro_export]
macro_rules! left_out {
    ($of:expr, $why:literal) => {
        let (place, of): (_, fn($crate::place::Place) -> bool) = ($crate::place::place(), $of);
        if of(place) {
            eprintln!("LEFT OUT on {}: {}: {}", place.name(), std::thread::current().name().unwrap_or("?"), $why);
            return;
        }
    };
}
