"""deploy/Containerfile for real where no registry is within reach: its last stage as it stands, on a root file system with what its base has (a
C library, certificate authorities, nobody's shell), and the server in it under the restrictions of compose.yaml. Needs root, `buildah` and `runc`.

What is not shown here: the build stage and the base images themselves, which are other people's.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

import yaml
from outside.site import Site, free_port, until

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
USER = 65532
TOOLS = {"buildah": "buildah", "runc": "runc"}


def libraries(programs):
    """What the programs are linked to, with the loader."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


class Container(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        for name, package in TOOLS.items():
            assert shutil.which(name), f"{name} is not installed (Debian: {package})"
        assert os.geteuid() == 0, "only root can start a container here"
        cls.site = Site().__enter__()
        cls.addClassCleanup(cls.site.__exit__)
        cls.build()

    @classmethod
    def buildah(cls, *arguments):
        room = cls.site.room
        place = ["--root", room / "images", "--runroot", room / "images.run", "--storage-driver", "vfs"]
        done = subprocess.run(["buildah", *place, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stderr}"
        return done.stdout.strip()

    @classmethod
    def build(cls):
        """The image: stages that need a registry are replaced by what they would bring, the rest is the file's own."""
        context = cls.site.room / "context"
        programs, base = context / "programs", context / "base"
        programs.mkdir(parents=True)
        for name, path in (("vault-server", cls.site.server_bin), ("seqvault", cls.site.bin)):
            subprocess.run(["strip", "--strip-debug", "-o", programs / name, path], check=True)
        for library in libraries(list(programs.iterdir())):
            (base / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, base / library[1:])
        for name in ("etc/ssl/certs/ca-certificates.crt", "etc/nsswitch.conf"):
            (base / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/") / name, base / name)
        (base / "etc/passwd").write_text(f"nonroot:x:{USER}:{USER}:nonroot:/home/nonroot:/sbin/nologin\n")
        for name in ("proc", "dev", "sys"):
            (base / name).mkdir()
        text = (DEPLOY / "Containerfile").read_text()
        first, last = re.split(r"^FROM gcr\.io/distroless/cc-debian\d+:nonroot$", text, flags=re.MULTILINE)
        # What was built where, by the stage that is not run.
        assert "FROM docker.io/library/rust:" in first and "cargo build --release --locked" in first and "WORKDIR /seqvault\n" in first
        file = context / "Containerfile"
        file.write_text(f"FROM scratch AS build\nCOPY programs /seqvault/target/release/\nFROM scratch\nCOPY base /\n{last}")
        cls.buildah("bud", "--isolation", "chroot", "--format", "docker", "-t", "seqvault", "-f", file, context)
        cls.image = json.loads(cls.buildah("inspect", "--type", "image", "seqvault"))["Docker"]["config"]
        cls.root = cls.buildah("mount", cls.buildah("from", "seqvault"))

    def spec(self, arguments, environment, vault):
        """A container as `podman run --read-only --cap-drop=all --security-opt no-new-privileges` makes it, in the host's network."""
        user = int(self.image["User"].split(":")[0])
        process = {"terminal": False, "user": {"uid": user, "gid": user}, "args": arguments, "cwd": "/", "noNewPrivileges": True,
                   "env": [*self.image["Env"], *(f"{name}={value}" for name, value in environment.items())],
                   "capabilities": {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}}
        mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
                  {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec", "mode=755"]},
                  {"destination": "/vault", "type": "bind", "source": str(vault), "options": ["rbind", "rw"]}]
        namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
        return {"ociVersion": "1.0.0", "process": process, "root": {"path": self.root, "readonly": True}, "mounts": mounts,
                "linux": {"namespaces": namespaces}}

    def contain(self, name, arguments, environment, vault):
        bundle = self.site.room / name
        bundle.mkdir()
        (bundle / "config.json").write_text(json.dumps(self.spec(arguments, environment, vault)))
        self.runc = ["runc", "--root", self.site.room / "runc"]
        self.addCleanup(subprocess.run, [*self.runc, "delete", "--force", name], capture_output=True, check=False)
        return self.site.start(name, [*self.runc, "run", "--bundle", bundle, name])

    def test_the_image_s_server_works_without_a_shell_root_or_anything_to_write_to_but_its_vault(self):
        site = self.site
        self.assertEqual(self.image["User"], f"{USER}:{USER}")
        self.assertEqual(self.image["Entrypoint"], ["/usr/local/bin/vault-server"])
        self.assertEqual(self.image["StopSignal"], "SIGTERM")
        found = {str(path.relative_to(self.root)) for path in Path(self.root).rglob("*") if path.is_file() and os.access(path, os.X_OK)}
        self.assertEqual({name for name in found if ".so" not in name}, {"usr/local/bin/vault-server", "usr/local/bin/seqvault"})
        site.found("anna")
        vault = Path(site.location)
        for path in (vault, *vault.rglob("*")):
            os.chown(path, USER, USER)
        # As compose.yaml sets them, but for where things are.
        service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["server-1"]
        self.assertEqual((service["read_only"], service["cap_drop"]), (True, ["all"]))
        port, watched = free_port(), "127.0.0.1:9420"
        health = self.image["Healthcheck"]["Test"]
        self.assertEqual(health, ["CMD", "/usr/local/bin/vault-server", "--is-ready", watched])
        metrics = f"127.0.0.1:{free_port()}"
        settings = {"SEQVAULT_SERVER_LISTEN": f"127.0.0.1:{port}", "SEQVAULT_SERVER_METRICS": metrics, "SEQVAULT_SERVER_BEHIND_PROXY": "true",
                    "SEQVAULT": "/vault"}
        server = self.contain("server", self.image["Entrypoint"], settings, vault)
        url = f"http://127.0.0.1:{port}"
        curl = ["curl", "--silent", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}", url + "/readyz"]

        def answers():
            assert server.runs(), server.said()
            return subprocess.run(curl, capture_output=True, text=True, check=False).stdout == "200"

        until(answers, "the server in the container")
        state = json.loads(subprocess.run([*self.runc, "state", "server"], capture_output=True, text=True, check=True).stdout)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{state['pid']}/status").read_text().splitlines() if ":\t" in line)
        self.assertEqual((status["Uid"].split()[0], int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]), (str(USER), 0, 0, "1"))
        mounts = [line.split() for line in Path(f"/proc/{state['pid']}/mounts").read_text().splitlines()]
        self.assertIn("ro", next(mount[3].split(",") for mount in mounts if mount[1] == "/"))
        # The check of the Containerfile, inside, at the port that is this run's.
        inside = [*self.runc, "exec", "server", *(part.replace(watched, metrics) for part in health[1:])]
        checked = subprocess.run(inside, capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        # No shell to be had, which `compose.yaml` and the documents must not count on.
        self.assertNotEqual(subprocess.run([*self.runc, "exec", "server", "/bin/sh", "-c", "true"], capture_output=True, check=False).returncode, 0)
        # It does what it is for, over its one writable folder.
        (site.room / "run").mkdir()
        data = os.urandom(40_000_000)
        (site.room / "run" / "a.bam").write_bytes(data)
        site.ok("lab", "dataset", "create", "run-42", "--title", "A run", at=url)
        site.ok("lab", "put", "run-42", "run", at=url)
        site.ok("lab", "grant", "run-42", "anna", at=url)
        site.ok("anna", "get", "run-42", "--output", "got", at=url)
        self.assertTrue((site.room / "got" / "run" / "a.bam").read_bytes() == data)
        # And ends in good order when it is told to.
        subprocess.run([*self.runc, "kill", "server", self.image["StopSignal"]], check=True)
        self.assertEqual(server.begun.wait(40), 0, server.said())

    def test_the_command_is_in_it_too(self):
        vault = self.site.room / "empty"
        vault.mkdir()
        command = self.contain("command", ["/usr/local/bin/seqvault", "--version"], {}, vault)
        self.assertEqual(command.begun.wait(30), 0, command.said())
        self.assertIn("seqvault", command.said())


if __name__ == "__main__":
    unittest.main()
