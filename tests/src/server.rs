//! Server processes for tests: started on a free port of loopback, killed by their ids, and gone with the process that started them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this is test code in a library: what goes wrong fails the test"
)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::seqvault;

/// A start takes a tenth of a second, on a busy machine much longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the server, says its id, and kills it when the own input ends: when the test asks for it, or is gone.
const KEEPER: &str = r#"trap '' INT TERM HUP
"$@" </dev/null >>"$SERVER_LOG" 2>&1 &
child=$!
echo "$child" >"$SERVER_LOG.id"
read -r _
kill -9 "$child" 2>/dev/null
wait "$child" 2>/dev/null"#;

/// A server of one vault.
#[derive(Debug)]
pub struct Server {
    vault: String,
    more: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    folder: TempDir,
    port: u16,
    keeper: Mutex<Option<Child>>,
    /// What was served when somebody last asked, see [`Server::is_replaced`].
    serves: Mutex<String>,
}

impl Server {
    /// Starts one for the vault at a location, with more options and with nothing but this environment.
    #[must_use]
    pub fn start(vault: &str, more: &[&str], environment: &[(OsString, OsString)]) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let mut server = Self {
            vault: vault.to_owned(),
            more: more.iter().map(|&option| option.to_owned()).collect(),
            environment: environment.to_vec(),
            folder: folder.unwrap(),
            port: 0,
            keeper: Mutex::new(None),
            serves: Mutex::default(),
        };
        server.port = server.launch().unwrap_or_else(|why| panic!("the server of {vault} does not start: {why}"));
        server
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port that it listens at.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process.
    #[must_use]
    pub fn id(&self) -> u32 {
        let id = self.log_path().with_extension("log.id");
        fs::read_to_string(id).unwrap().trim().parse().unwrap()
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// Whether what it serves is something else than when this was last asked, by any name for it.
    pub fn is_replaced(&self, serves: &str) -> bool {
        let mut before = self.serves.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = !before.is_empty() && *before != serves;
        serves.clone_into(&mut before);
        is_other
    }

    /// Kills it where it stands.
    pub fn kill(&self) {
        if let Some(mut keeper) = self.keeper().take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }

    /// Starts it again at the same port, killing it if it runs.
    pub fn restart(&self) {
        self.kill();
        self.launch().unwrap_or_else(|why| panic!("the server of {} does not come back: {why}", self.vault));
    }

    fn keeper(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Starts the process and waits until it listens; its port.
    fn launch(&self) -> Result<u16, String> {
        let file = self.folder.path().join("port");
        let _ = fs::remove_file(&file);
        let listen = format!("127.0.0.1:{}", self.port);
        File::create(self.log_path()).unwrap();
        let mut shell = Command::new("sh");
        shell
            .args(["-c", KEEPER, "sh"])
            .arg(seqvault())
            .args(["serve", "--vault", &self.vault, "--listen", &listen, "--port-file"])
            .arg(&file)
            .args(&self.more)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment.iter().cloned())
            .env("SERVER_LOG", self.log_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        *self.keeper() = Some(shell.spawn().unwrap());
        let begun = Instant::now();
        loop {
            // One address a line.
            let port = |text: String| text.lines().next()?.rsplit(':').next()?.parse().ok();
            if let Some(port) = fs::read_to_string(&file).ok().and_then(port) {
                return Ok(port);
            }
            // Its shell looks at it when it is told to, so until then it is a zombie.
            let has_ended = fs::read_to_string(self.log_path().with_extension("log.id")).is_ok_and(|id| {
                let status = fs::read_to_string(format!("/proc/{}/status", id.trim()));
                status.is_ok_and(|status| status.contains("\nState:\tZ"))
            });
            if has_ended || begun.elapsed() > PATIENCE {
                let log = self.log();
                self.kill();
                return Err(log);
            }
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

type All = Mutex<HashMap<PathBuf, Arc<Server>>>;

fn all() -> &'static All {
    static ALL: OnceLock<All> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

/// The server of the vault that a folder stands for, if it was started.
#[must_use]
pub fn of(folder: &Path) -> Option<Arc<Server>> {
    all().lock().unwrap_or_else(PoisonError::into_inner).get(folder).cloned()
}

/// Keeps a server until [`forget_below`].
pub fn keep(folder: &Path, server: Server) -> Arc<Server> {
    let server = Arc::new(server);
    all().lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned(), Arc::clone(&server));
    server
}

/// Ends the servers of vaults below a folder.
pub fn forget_below(folder: &Path) {
    let gone: Vec<_> = {
        let mut all = all().lock().unwrap_or_else(PoisonError::into_inner);
        all.extract_if(|path, _| path.starts_with(folder)).collect()
    };
    drop(gone);
}
