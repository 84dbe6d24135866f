"""deploy/ for real, as far as one machine goes: the servers with the settings of compose.yaml, SeaweedFS, Caddy with the Caddyfile; server.toml;
the systemd unit. What is not shown here: the images, their networks, and systemd itself.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

import yaml
from outside.site import Site, free_port, program, until, weed_ports

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
# More than a second of work through a proxy and two programs without optimisation.
FILES = {f"run/{number}.bam": os.urandom(24_000_000) for number in range(6)}


def tool(name, package):
    """A program that this check can't do without."""
    found = shutil.which(name)
    if not found:
        raise SystemExit(f"{name} is not installed (Debian: {package})")
    return found


def compose():
    """compose.yaml with its variables replaced by what example.env has."""
    values = dict(line.split("=", 1) for line in (DEPLOY / "example.env").read_text().splitlines() if line and not line.startswith("#"))
    text = re.sub(r"\$\{(\w+)[^}]*\}", lambda name: values[name[1]], (DEPLOY / "compose.yaml").read_text())
    return yaml.safe_load(text), values


class Proxied(unittest.TestCase):
    """Two servers behind Caddy."""

    def setUp(self):
        self.site = Site().__enter__()
        self.addCleanup(self.site.__exit__)
        self.site.weed()
        self.site.found("anna")
        self.port = free_port()
        self.name = f"localhost:{self.port}"
        self.ports = [free_port(), free_port()]
        self.servers = [self.serve(number) for number in range(2)]
        self.caddy()
        self.url = f"https://{self.name}"
        self.site.more["SEQVAULT_CA"] = str(until(self.authority, "Caddy's certificate"))
        until(lambda: self.site.run("lab", "verify", at=self.url).returncode == 0, "the proxy to answer")

    def serve(self, number):
        """A server with the environment of compose.yaml; only addresses, name and store are this machine's."""
        settings = dict(compose()[0]["services"][f"server-{number + 1}"]["environment"])
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            settings[name] = self.site.more[name]
        settings["SEQVAULT"] = self.site.location
        settings["SEQVAULT_SERVER_NAME"] = self.name
        settings["SEQVAULT_SERVER_METRICS"] = f"127.0.0.1:{free_port()}"
        settings["SEQVAULT_SERVER_LISTEN"] = re.sub("^.*$", f"127.0.0.1:{self.ports[number]}", settings["SEQVAULT_SERVER_LISTEN"])
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.site.room)} | settings
        process = self.site.start(f"server-{number + 1}", [self.site.server_bin], environment)
        # The check of the Containerfile.
        ready = [self.site.server_bin, "--is-ready", settings["SEQVAULT_SERVER_METRICS"]]
        until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, f"server {number + 1}: {process.said()}")
        return process

    def caddy(self):
        """The Caddyfile as it stands; around it what a machine that is not a container needs."""
        around = self.site.room / "Caddyfile"
        around.write_text(f"{{\n\tskip_install_trust\n\tadmin off\n\thttp_port {free_port()}\n\thttps_port {self.port}\n}}\n"
                          f"import {DEPLOY / 'Caddyfile'}\n")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.site.room), "XDG_DATA_HOME": str(self.site.room / "data"),
                       "XDG_CONFIG_HOME": str(self.site.room / "config"), "SITE": "localhost",
                       "SERVERS": " ".join(f"127.0.0.1:{port}" for port in self.ports)}
        command = [tool("caddy", "caddy"), "validate", "--adapter", "caddyfile", "--config"]
        # In a container nothing but SITE is set.
        bare = {name: value for name, value in environment.items() if name != "SERVERS"}
        for path, env in [(DEPLOY / "Caddyfile", bare), (around, environment)]:
            done = subprocess.run([*command, str(path)], env=env, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        adapted = subprocess.run([command[0], "adapt", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")],
                                 env=bare, capture_output=True, text=True, check=True).stdout
        self.assertEqual(set(re.findall(r'"dial":"([^"]+)"', adapted)), {"server-1:8420", "server-2:8420"})
        self.proxy = self.site.start("caddy", [command[0], "run", "--adapter", "caddyfile", "--config", str(around)], environment)

    def authority(self):
        assert self.proxy.runs(), self.proxy.said()
        root = self.site.room / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        return root if root.exists() else None

    def at_work(self):
        """The server that has answered most."""
        return max(self.servers, key=lambda server: server.said().count("\n"))

    def test_a_server_that_is_killed_under_a_transfer_is_made_up_for_by_the_other(self):
        site, url = self.site, self.url
        for path, data in FILES.items():
            (site.room / path).parent.mkdir(exist_ok=True)
            (site.room / path).write_bytes(data)
        site.ok("lab", "dataset", "create", "run-42", "--title", "A run", at=url)
        before = self.at_work().said().count("PUT")
        uploads = []
        upload = threading.Thread(target=lambda: uploads.append(site.run("lab", "put", "run-42", "run", at=url)))
        upload.start()
        victim = self.at_work()
        # Some packs are through, not all: then it dies where it stands.
        until(lambda: victim.said().count("PUT") > before + 4, "some packs", 30)
        victim.end(signal.SIGKILL)
        self.assertTrue(upload.is_alive(), "it was killed too late to show anything")
        upload.join()
        self.assertEqual(uploads[0].returncode, 0, uploads[0].stderr)
        site.ok("lab", "grant", "run-42", "anna", at=url)
        site.ok("anna", "get", "run-42", "--output", "got", at=url)
        for path, data in FILES.items():
            self.assertTrue((site.room / "got" / path).read_bytes() == data, path)
        site.ok("lab", "verify", "--data", at=url)
        # The proxy shows no numbers; health it does.
        curl = ["curl", "--silent", "--noproxy", "*", "--cacert", site.more["SEQVAULT_CA"], "--output", "/dev/null", "--write-out", "%{http_code}"]
        for path, status in [("/metrics", "404"), ("/readyz", "200"), ("/v1/vault", "200")]:
            self.assertEqual(subprocess.run([*curl, url + path], capture_output=True, text=True, check=True).stdout, status, path)
        # A revocation through the one that is left.
        site.ok("lab", "revoke", "run-42", "anna", "--reason", "over", at=url)
        self.assertEqual(site.run("anna", "get", "run-42", "--output", "again", at=url).returncode, 4)


class Files(unittest.TestCase):
    """What needs no store."""

    def setUp(self):
        self.site = Site().__enter__()
        self.addCleanup(self.site.__exit__)

    def test_server_toml_is_what_a_server_reads(self):
        site = self.site
        site.found()
        certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                       "/CN=vault.example.org", "-addext", "subjectAltName=DNS:vault.example.org", "-keyout", site.room / "tls.key", "-out",
                       site.room / "tls.pem"]
        subprocess.run(certificate, capture_output=True, check=True)
        (site.room / "tls.key").chmod(0o600)
        # The file says where things lie on another machine; flags go before it.
        command = [site.server_bin, "--config", str(DEPLOY / "server.toml"), "--vault", site.location, "--tls-cert", str(site.room / "tls.pem"),
                   "--tls-key", str(site.room / "tls.key"), "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]
        done = subprocess.run([*command, "--check"], env=site.environment(), capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        printed = subprocess.run([site.server_bin, "--config", str(DEPLOY / "server.toml"), "--print-config"], env=site.environment(),
                                 capture_output=True, text=True, check=False)
        self.assertEqual(printed.returncode, 0, printed.stderr)
        for line in (DEPLOY / "server.toml").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertIn(line.split(" = ")[0], printed.stdout)

    def test_what_operations_md_watches_is_there_from_the_start(self):
        site, port = self.site, free_port()
        site.found()
        _, url = site.serve("--metrics", f"127.0.0.1:{port}")
        # Histograms have their series when there was a request.
        subprocess.run(["curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null", url + "/v1/vault"], check=True)
        shown = subprocess.run(["curl", "--silent", "--fail", "--noproxy", "*", f"http://127.0.0.1:{port}/metrics"], capture_output=True,
                               text=True, check=True).stdout
        text = (DEPLOY.parent / "docs" / "operations.md").read_text()
        for name in set(re.findall(r"\b(?:seqvault|process)_[a-z_]+", text)):
            self.assertIn(name, shown)
        # An alert on one event needs the series before it.
        for name, label, values in re.findall(r'(seqvault_\w+_total)\{(\w+)=~?"([^"]+)"\}', text):
            for value in values.split("|"):
                self.assertIn(f'{name}{{{label}="{value}"}} 0', shown)

    def test_compose_names_settings_that_exist_and_files_that_are_there(self):
        said, values = compose()
        help_text = subprocess.run([self.site.server_bin, "--help"], capture_output=True, text=True, check=True).stdout
        for name in ("server-1", "server-2"):
            for setting in said["services"][name]["environment"]:
                self.assertTrue(setting.startswith("AWS_") or f"[env: {setting}=" in help_text, setting)
            self.assertEqual(said["services"][name]["stop_grace_period"], "40s")
        json.loads(said["configs"]["s3"]["content"])
        for volume in said["services"]["proxy"]["volumes"]:
            if volume.startswith("./"):
                self.assertTrue((DEPLOY / volume.split(":")[0]).exists(), volume)
        self.assertTrue((DEPLOY.parent / said["services"]["server-1"]["build"]["dockerfile"]).exists())
        self.assertEqual(values.keys(), {"SITE", "S3_KEY", "S3_SECRET"})

    def test_the_store_of_compose_takes_a_vault_by_the_steps_at_its_head(self):
        site, said = self.site, compose()[0]
        steps = (DEPLOY / "compose.yaml").read_text()
        made = re.search('echo "(s3.bucket.create -name (\\w+))" [|] weed shell', steps)
        configured, options = said["configs"]["s3"]["content"], said["services"]["store"]["command"]
        settings = said["services"]["server-1"]["environment"]
        (site.room / "s3.json").write_text(configured)
        (site.room / "data").mkdir()
        s3, master, volume, filer = weed_ports(4)
        here = {"/data": str(site.room / "data"), "8333": str(s3), "/etc/seaweedfs/s3.json": str(site.room / "s3.json")}
        for there, local in here.items():
            options = [option.replace("=" + there, "=" + local) for option in options]
        # A machine that is not a container has other things at the usual ports.
        options += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                    "-s3.port.iceberg=0", "-s3.port.lance=0"]
        store = site.start("store", [program("SEQVAULT_WEED"), *options])
        health = said["services"]["store"]["healthcheck"]["test"][1].split()[-1].replace("8333", str(s3))
        curl = ["curl", "--silent", "--fail", "--noproxy", "*", "--output", "/dev/null", health]
        until(lambda: subprocess.run(curl, check=False).returncode == 0, f"the store: {store.said()[-500:]}")
        shell = [program("SEQVAULT_WEED"), "shell", f"-master=127.0.0.1:{master}", f"-filer=127.0.0.1:{filer}"]
        created = subprocess.run(shell, input=made[1] + "\n", capture_output=True, text=True, timeout=60, check=True).stdout
        self.assertIn(f"created bucket {made[2]}", created)
        site.more = {name: settings[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        site.location = settings["SEQVAULT"].replace("store:8333", f"127.0.0.1:{s3}")
        site.person("lab")
        until(lambda: site.run("lab", "init").returncode == 0, "a vault", 20)
        _, url = site.serve()
        site.ok("lab", "verify", at=url)

    def test_the_unit_is_one_that_systemd_takes(self):
        analyze = tool("systemd-analyze", "systemd")
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder) / "vault-server.service"
            text = (DEPLOY / "vault-server.service").read_text()
            self.assertIn("/usr/local/bin/vault-server", text)
            unit.write_text(text.replace("/usr/local/bin/vault-server", program("VAULT_SERVER_BIN")))
            done = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
            said = [line for line in done.stderr.splitlines() if unit.name in line]
            self.assertEqual((done.returncode, said), (0, []), done.stderr)
            shown = subprocess.run([analyze, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, check=False)
            exposure = float(re.search(r"exposure level for vault-server.service: ([0-9.]+)", shown.stdout)[1])
            self.assertLess(exposure, 2.5, shown.stdout)


if __name__ == "__main__":
    unittest.main()
