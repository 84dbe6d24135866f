"""Real processes to test against: identities, a vault, servers, a store. Everything is started on loopback and ended by its id.

The environment names the programs: SEQVAULT_BIN and VAULT_SERVER_BIN; SEQVAULT_WEED a `weed` 4.48 where a bucket is wanted.
"""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .signer import Key

PASSPHRASE = "from outside, not a secret"
PATIENCE = 60


def program(name):
    """The program that an environment variable names. Without it nothing is tested, so that is an error."""
    path = os.environ.get(name)
    if not path or not os.access(path, os.X_OK):
        raise SystemExit(f"{name} must name a program that can be run; it is {path!r}")
    return str(Path(path).resolve())


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def weed_ports(count):
    """Ports for SeaweedFS, free together with those of gRPC 10,000 above, and below those that systems give to outgoing connections."""
    found = []
    while len(found) < count:
        port = 11_000 + secrets.randbelow(10_000)
        with socket.socket() as http, socket.socket() as grpc:
            try:
                http.bind(("127.0.0.1", port))
                grpc.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def until(condition, what, seconds=PATIENCE):
    """Waits for something that is not None or False, and returns it."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


class Process:
    """A process with its log. Whatever it started ends with it."""

    def __init__(self, command, log, environment=None, folder=None):
        self.log = Path(log)
        with self.log.open("ab") as log:
            self.begun = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
                                          cwd=folder, start_new_session=True)

    def said(self):
        return self.log.read_text(errors="replace")

    def runs(self):
        return self.begun.poll() is None

    def end(self, how=signal.SIGKILL):
        """Its exit code."""
        if self.runs():
            os.killpg(self.begun.pid, how)
        return self.begun.wait(PATIENCE)


class Site:
    """A folder of its own with people, a vault and what serves it. Use it with `with`."""

    def __init__(self):
        memory = Path("/dev/shm")
        self.room = Path(tempfile.mkdtemp(prefix="outside-", dir=memory if memory.is_dir() else None))
        self.bin, self.server_bin = program("SEQVAULT_BIN"), program("VAULT_SERVER_BIN")
        self.processes, self.more = [], {}
        self.location = str(self.room / "vault")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.end()
        shutil.rmtree(self.room, ignore_errors=True)

    # --- people

    def environment(self, who=None):
        """Nothing of the caller's, so that no setting of theirs is tested."""
        made = {"PATH": os.environ["PATH"], "HOME": str(self.room / "home"), "LANG": "C.UTF-8", "OUTSIDE": PASSPHRASE, **self.more}
        if who:
            made |= {"SEQVAULT_IDENTITY": str(self.room / f"{who}.id"), "SEQVAULT_STATE": str(self.room / f"{who}.state")}
        return made

    def run(self, who, *arguments, at=None):
        """Runs the real client as somebody; what came of it."""
        command = [self.bin, "--quiet", "--passphrase-env", "OUTSIDE", *arguments]
        environment = self.environment(who) | {"SEQVAULT": at or self.location}
        return subprocess.run(command, cwd=self.room, env=environment, capture_output=True, text=True, timeout=120)

    def ok(self, who, *arguments, at=None):
        done = self.run(who, *arguments, at=at)
        assert done.returncode == 0, f"{who}: seqvault {' '.join(arguments)}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def person(self, who):
        """A new identity, made by `seqvault identity new`; its card is in WHO.card."""
        self.ok(who, "identity", "new", f"{who}.id", "--label", who, "--suite", "1", "--kdf-memory", "8", "--kdf-passes", "1")
        (self.room / f"{who}.card").write_text(self.ok(who, "identity", "card"))

    def key(self, who):
        return Key.load(self.room / f"{who}.id", PASSPHRASE)

    def found(self, *members):
        """Makes the vault with `lab` as officer and creator, and adds members; its id."""
        for who in ("lab", *members):
            self.person(who)
        self.ok("lab", "init", self.location, "--member", "lab", "--organisation", "Lab", "--jurisdiction", "CN")
        for who in members:
            self.add(who)
        return json.loads(self.ok("lab", "verify", "--json"))["vault"]

    def add(self, who):
        self.ok("lab", "member", "add", who, "--card", f"{who}.card", "--invitation", f"{who}.invite")
        self.ok(who, "join", (self.room / f"{who}.invite").read_text().strip())

    # --- processes

    def start(self, name, command, environment=None):
        process = Process(command, self.room / f"{name}.log", environment or self.environment(), self.room)
        self.processes.append(process)
        return process

    def serve(self, *options, name="server", port=0):
        """A server of the vault on loopback: its process and its address."""
        ports = self.room / f"{name}-{secrets.token_hex(4)}.port"
        process = self.start(name, [self.server_bin, "--vault", self.location, "--listen", f"127.0.0.1:{port}",
                                    "--port-file", str(ports), *options])

        def listens():
            assert process.runs(), f"the server ended: {process.said()}"
            text = ports.read_text() if ports.exists() else ""
            return text.splitlines()[0] if text.endswith("\n") else None

        return process, "http://" + until(listens, "a server to listen")

    def weed(self, bucket="vault"):
        """SeaweedFS with one bucket, and the vault's place in it."""
        weed = program("SEQVAULT_WEED")
        key, secret = secrets.token_hex(8), secrets.token_hex(16)
        identity = {"name": "vault", "credentials": [{"accessKey": key, "secretKey": secret}],
                    "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
        (self.room / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (self.room / "weed").mkdir()
        s3, master, volume, filer = weed_ports(4)
        store = self.start("weed", [
            weed, "-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", f"-dir={self.room / 'weed'}",
            f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
            f"-s3.config={self.room / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false",
            "-master.volumeSizeLimitMB=256", "-volume.max=300", "-volume.preStopSeconds=1"])
        self.more = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        endpoint = f"http://127.0.0.1:{s3}"

        def puts():
            assert store.runs(), f"SeaweedFS ended: {store.said()[-2000:]}"
            curl = ["curl", "--silent", "--fail", "--max-time", "5", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3",
                    "--user", f"{key}:{secret}", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-X", "PUT"]
            subprocess.run([*curl, f"{endpoint}/{bucket}"], capture_output=True, check=False)
            return subprocess.run([*curl, "--data-binary", "x", f"{endpoint}/{bucket}/ready"], capture_output=True, check=False).returncode == 0

        until(puts, "SeaweedFS")
        self.location = f"s3://{bucket}/main?endpoint={endpoint}&region=us-east-1"
        return store
