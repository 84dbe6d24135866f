"""A store that is no home for a vault, as a negative control of the probe: s3s-fs 0.14.1, a real S3 server that knows `If-None-Match` and
lets two writers win one create. SEQVAULT_S3S_FS names the program; without it this fails, for a control that was not there shows nothing.
"""

import json
import secrets
import shutil
import subprocess
import unittest
from pathlib import Path

from outside.site import Site, free_port, program, until

REASON = "writers that raced to create one object were told that they won"
VERSION = "0.14.1"


class Refused(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        s3s = program("SEQVAULT_S3S_FS")
        said = subprocess.run([s3s, "--version"], capture_output=True, text=True, check=True).stdout
        # Another version may have been mended, and would be no control.
        assert VERSION in said, f"{s3s} is {said!r}, not {VERSION}"
        cls.site = Site().__enter__()
        cls.addClassCleanup(cls.site.__exit__)
        cls.site.person("lab")
        key, secret, port = secrets.token_hex(8), secrets.token_hex(16), free_port()
        cls.bucket = cls.site.room / "s3s" / "bucket"
        cls.bucket.mkdir(parents=True)
        server = cls.site.start("s3s-fs", [s3s, "--host", "127.0.0.1", "--port", str(port), "--access-key", key, "--secret-key", secret,
                                           str(cls.bucket.parent)])
        cls.site.more = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        cls.endpoint = f"http://127.0.0.1:{port}"

        def answers():
            assert server.runs(), server.said()
            return cls.curl("--output", "/dev/null", cls.endpoint).returncode == 0

        until(answers, "s3s-fs")
        cls.location = f"s3://bucket/main?endpoint={cls.endpoint}&region=us-east-1"

    @classmethod
    def curl(cls, *arguments):
        user = f"{cls.site.more['AWS_ACCESS_KEY_ID']}:{cls.site.more['AWS_SECRET_ACCESS_KEY']}"
        return subprocess.run(["curl", "--silent", "--fail", "--max-time", "5", "--noproxy", "*", "--aws-sigv4", "aws:amz:us-east-1:s3",
                               "--user", user, "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *arguments], capture_output=True, text=True, check=False)

    def objects(self):
        """What the bucket shows: s3s-fs keeps each object as a file of its name."""
        return sorted(str(path.relative_to(self.bucket)) for path in self.bucket.rglob("*") if path.is_file())

    def is_refused(self, code, said, why):
        self.assertEqual((code, said.count(REASON)), (8, 1), said)
        self.assertIn(why, said)

    def test_it_keeps_what_it_is_given(self):
        # Otherwise it would be refused for another reason than the one that this is about.
        (self.bucket / "object").write_bytes(b"as it is")
        self.assertEqual(self.curl(f"{self.endpoint}/bucket/object").stdout, "as it is")
        (self.bucket / "object").unlink()

    def test_init_refuses_it_and_leaves_nothing(self):
        # Three times: two writers that race need not meet in each round.
        for _ in range(3):
            done = self.site.run("lab", "init", self.location)
            self.is_refused(done.returncode, done.stderr, "no vault may be kept there")
            self.assertEqual((done.stdout, self.objects()), ("", []))
        # Neither is there a memory of a vault that never was.
        remembered = [path for path in (self.site.room / "lab.state").rglob("*") if path.is_file()]
        self.assertEqual(remembered, [])

    def test_serve_and_doctor_refuse_a_vault_that_was_brought_there(self):
        made = str(self.site.room / "elsewhere")
        self.site.ok("lab", "init", made)
        shutil.copytree(made, self.bucket / "main", dirs_exist_ok=True)
        before = self.objects()
        try:
            ports = self.site.room / "port"
            for command in ([self.site.server_bin], [self.site.bin, "serve"]):
                done = subprocess.run([*command, "--vault", self.location, "--listen", "127.0.0.1:0", "--port-file", str(ports)],
                                      env=self.site.environment(), cwd=self.site.room, capture_output=True, text=True, timeout=60)
                self.is_refused(done.returncode, done.stderr, "no server may run on such a store")
                self.assertFalse(ports.exists(), "it listened")
            done = self.site.run("lab", "--json", "doctor", at=self.location)
            # A doctor reports; what it finds is no failure of its own unless something signed is missing.
            said = json.loads(done.stdout)
            self.assertFalse(said["sound"])
            found = [text for text in said["findings"] if REASON in text]
            self.assertTrue(found and "write nothing more to this vault" in found[0], said)
            # Who only reads is not asked to write a probe.
            self.site.ok("lab", "verify", at=self.location)
            self.assertEqual(self.objects(), before)
        finally:
            shutil.rmtree(Path(self.bucket / "main"))


if __name__ == "__main__":
    unittest.main()
