"""End to end through the command line, on vaults that the tests' own writer wrote (2.4 to 3.8, 5.5)."""

import contextlib
import io
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from seqvault_reader.__main__ import main
from seqvault_reader.bodies import GROUP, PACK, leaf_hash

from tests import writer
from tests.test_fold_vault import HASH
from tests.writer import PASSPHRASE, DatasetWriter, Key, World, role, sealed_file

FILES = {"run/a.txt": b"hello", "run/empty": b"", "run/big.bam": os.urandom(200_000), "go.sh": b"#!/bin/sh\n"}


class OpenTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        env = mock.patch.dict(os.environ, {"PASS": PASSPHRASE})
        env.start()
        self.addCleanup(env.stop)

    def make(self, suite=1):
        self.w = World(self.folder + f"/vault{suite}", suite)
        self.d = DatasetWriter(self.w)

    def run_main(self, *argv):
        out, err = io.BytesIO(), io.StringIO()
        text = io.TextIOWrapper(out, write_through=True)
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(err):
            code = main([str(a) for a in argv])
        return code, out.getvalue(), err.getvalue()

    def as_member(self, verb, member, *argv):
        key = member if isinstance(member, Key) else self.w.member(member).key
        return self.run_main(verb, self.w.folder, "ds", *argv, "--identity", key.save(self.folder), "--passphrase-env", "PASS")

    def cat(self, member, path, *argv):
        return self.as_member("cat", member, path, *argv)

    def check_cat(self, member, path, data, *argv):
        self.assertEqual(self.cat(member, path, *argv), (0, data, ""))

    def refuse_cat(self, wanted, member, path, *argv):
        code, out, err = self.cat(member, path, *argv)
        self.assertEqual((code, out), (1, b""))
        self.assertIn(wanted, err)

    def ls(self, member):
        code, out, err = self.as_member("ls", member, "--json")
        return code, [(f["path"], f["size"], f["contested"]) for f in json.loads(out)["files"]], err


class Reading(OpenTest):
    def test_holders_of_either_suite_read_every_file(self):
        for suite in (1, 2):
            self.make(suite)
            self.d.upload(FILES)
            self.d.grant("uni")
            for member in ("lab", "uni", "spare"):
                code, files, _ = self.ls(member)
                self.assertEqual((code, files), (0, [(p, len(FILES[p]), False) for p in sorted(FILES)]))
                for path, data in FILES.items():
                    self.check_cat(member, path, data)
            self.refuse_cat("no seal of epoch 1", "clinic", "go.sh")
            self.refuse_cat("no seal of epoch 1", Key(suite), "go.sh")
            self.refuse_cat("no file", "lab", "run")

    def test_an_uploader_without_a_grant_reads_nothing(self):
        self.make()
        self.d.add("lab", "uploader-set", {"member": "clinic", "on": True})
        self.d.upload(FILES, author="clinic")
        self.check_cat("lab", "go.sh", FILES["go.sh"])
        self.refuse_cat("no seal", "clinic", "go.sh")

    def test_keys_are_found_in_the_table_after_a_rotation(self):
        for suite in (1, 2):
            self.make(suite)
            self.d.grant("uni")
            self.d.grant("clinic")
            self.d.upload({"old": b"1"})
            self.d.upload({"older": b"0"})
            self.d.open_epoch(["lab", "clinic"], revokes=["uni"])
            self.d.upload({"new": b"2"})
            for member in ("lab", "clinic"):
                self.check_cat(member, "old", b"1")         # its header, until the epoch is closed
            self.d.close_epoch()
            shutil.rmtree(Path(self.w.folder, "epochs/ds/0000000001"))
            for path, data in (("old", b"1"), ("older", b"0"), ("new", b"2")):
                self.check_cat("clinic", path, data)
                self.check_cat("spare", path, data)
            self.refuse_cat("no seal of epoch", "uni", "old")
            self.assertEqual(self.run_main("verify", self.w.folder)[0], 0)

    def test_a_table_with_other_records_does_not_open(self):
        self.make()
        self.d.upload({"a": b"1"})
        self.d.upload({"b": b"2"})
        self.d.open_epoch(["lab"])
        closing = self.d.closing()
        self.d.add("lab", "epoch-closed", closing | {"count": 1, "void": [sorted(self.d.committed)[0]]})
        self.d.closed = 2
        self.assertIn("another length", self.cat("lab", "a")[2])

    def test_a_void_manifest_is_listed_as_unopened(self):
        self.make()
        man, *_ = self.d.upload({"a": b"1"})
        self.d.open_epoch(["lab"])
        self.d.close_epoch(void=[man["manifest"]])
        code, files, err = self.ls("lab")
        self.assertEqual((code, files), (1, []))
        self.assertIn("is void", err)

    def test_a_stream_of_several_packs_is_read_by_whole_packs(self):
        self.make()
        large = os.urandom(1000) * (PACK // 1000)
        man, *_ = self.d.upload({"large": large, "small": b"x" * 70_000}, digests=False)
        self.assertEqual(man["packs"]["count"], 2)
        self.check_cat("lab", "large", large)
        self.check_cat("lab", "small", b"x" * 70_000)
        self.assertEqual(self.run_main("verify", self.w.folder, "--scrub")[0], 0)

    def test_a_pack_is_read_by_groups(self):
        self.make()
        files = {"first": os.urandom(GROUP), "second": os.urandom(GROUP // 2)}
        man, upload, _ = self.d.upload(files)
        groups = writer.groups(self.d.last_packs)
        self.w.put("packs", "ds", upload, man["manifest"] + ".groups", data=groups)
        self.check_cat("lab", "second", files["second"], "--groups")
        self.assertEqual(self.run_main("verify", self.w.folder, "--scrub")[0], 0)
        name, pack = self.d.last_packs[0]
        self.w.put("packs", "ds", upload, name, data=b"?" + pack[1:])
        self.check_cat("lab", "second", files["second"], "--groups")            # it touches the second group alone
        self.refuse_cat("a group with another value", "lab", "first", "--groups")
        self.refuse_cat("another hash", "lab", "second")
        self.w.put("packs", "ds", upload, man["manifest"] + ".groups", data=groups[:-1] + b"?")
        self.refuse_cat("do not merge", "lab", "second", "--groups")
        code, out, _ = self.run_main("verify", self.w.folder, "--scrub")
        self.assertEqual((code, b"ERROR" in out), (1, True))
        self.w.put("packs", "ds", upload, name, data=pack)
        code, out, _ = self.run_main("verify", self.w.folder, "--scrub")
        self.assertEqual((code, b"note: " in out), (0, True))      # groups are derived


class Tampering(OpenTest):
    """Whoever holds the bucket changes an object: no byte comes out."""

    def setUp(self):
        super().setUp()
        self.make()
        self.man, self.upload, _ = self.d.upload({"f": b"secret" * 1000})

    def objects(self, pattern):
        return sorted(Path(self.w.folder).glob(pattern))

    def test_changed_and_missing_objects_are_refused(self):
        for pattern in ("packs/ds/*/????????????????????????????????", "packs/ds/*/*.list", "manifests/ds/*", "epochs/ds/*/headers/*",
                        "epochs/ds/*/grants/lab/*"):
            path, = self.objects(pattern)
            good = path.read_bytes()
            for changed in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], good + b"\0", b""):
                path.write_bytes(changed)
                self.assertEqual(self.cat("lab", "f")[:2], (1, b""), pattern)
            path.unlink()
            self.assertEqual(self.cat("lab", "f")[:2], (1, b""), pattern)
            path.write_bytes(good)
        self.check_cat("lab", "f", b"secret" * 1000)

    def refuse_signed(self, wanted, **change):
        """A manifest that its author signs with other values than it holds."""
        upload = self.d.open_upload()
        man = self.d.prepare("lab", upload, {"g": b"x"})
        for name, value in change.items():
            man[name] = man[name] | value if isinstance(value, dict) else value
        self.d.commit("lab", upload, man)
        self.refuse_cat(wanted, "lab", "g")
        self.d.add("lab", "manifest-removed", {"manifest": man["manifest"], "reason": ""})

    def test_a_manifest_must_agree_with_its_statement(self):
        self.refuse_signed("another root", root=HASH)
        self.refuse_signed("another file count", files=2)
        self.refuse_signed("another pack list", packs={"list": HASH})
        self.refuse_signed("another stream length", packs={"bytes": 5})
        self.refuse_signed("of another stream", packs={"count": 2})
        self.refuse_signed("not the signed one", length=5)
        self.refuse_signed("not the signed one", blake3=HASH)
        self.refuse_signed("headers", header=HASH)      # no object of that name

    def test_another_uploader_cannot_commit_my_objects(self):
        """The author is bound into every context."""
        self.d.add("lab", "uploader-set", {"member": "uni", "on": True})
        upload = self.d.open_upload("uni")
        man = self.d.prepare("lab", upload, {"g": b"x"})
        self.d.commit("uni", upload, man)
        self.refuse_cat("no file g", "lab", "g")

    def test_a_seal_of_another_secret_is_refused(self):
        d = self.d
        true = d.secrets[1]
        d.secrets[1] = os.urandom(32)
        d.grant("uni")
        d.secrets[1] = true
        self.refuse_cat("no seal of epoch 1", "uni", "f")
        d.grant("uni")
        self.check_cat("uni", "f", b"secret" * 1000)

    def test_output_appears_only_when_all_was_checked(self):
        out = Path(self.folder, "out")
        self.assertEqual(self.cat("lab", "f", "-o", out), (0, b"", ""))
        self.assertEqual(out.read_bytes(), b"secret" * 1000)
        out.unlink()
        path, = self.objects("packs/ds/*/????????????????????????????????")
        path.write_bytes(b"?" * path.stat().st_size)
        self.assertEqual(self.cat("lab", "f", "-o", out)[0], 1)
        self.assertFalse(out.exists() or Path(str(out) + ".part").exists())


class Views(OpenTest):
    def setUp(self):
        super().setUp()
        self.make()
        self.d.add("lab", "uploader-set", {"member": "uni", "on": True})
        self.d.add("lab", "uploader-set", {"member": "clinic", "on": True})

    def replaces(self, man, number=1):
        return [{"file": number, "manifest": man["manifest"]}]

    def test_a_path_is_taken_over_by_its_author_or_a_steward_only(self):
        first, *_ = self.d.upload({"p": b"1"}, author="uni")
        second, *_ = self.d.upload({"p": b"2"}, author="uni", replaces=self.replaces(first))
        self.check_cat("lab", "p", b"2")
        third, *_ = self.d.upload({"p": b"3"}, replaces=self.replaces(second))      # a steward, not naming the first
        self.check_cat("lab", "p", b"3")
        self.d.upload({"p": b"4"}, author="clinic", replaces=self.replaces(third))
        self.refuse_cat("is contested", "lab", "p")
        self.assertEqual([(p, c) for p, _, c in self.ls("lab")[1]], [("p", True), ("p", True)])

    def test_without_replaces_a_path_is_contested_until_one_is_removed(self):
        first, *_ = self.d.upload({"p": b"1", "q": b"q"})
        second, *_ = self.d.upload({"p": b"2"})
        self.refuse_cat("entry 4", "lab", "p")
        self.check_cat("lab", "q", b"q")
        self.d.add("lab", "path-removed", {"files": [1], "manifest": first["manifest"], "reason": ""})
        self.check_cat("lab", "p", b"2")
        self.d.add("lab", "manifest-removed", {"manifest": second["manifest"], "reason": ""})
        self.refuse_cat("no file", "lab", "p")
        self.check_cat("lab", "q", b"q")

    def test_manifests_of_one_entry_do_not_replace_each_other(self):
        upload = self.d.open_upload()
        first = self.d.prepare("lab", upload, {"p": b"1"})
        self.d.commit("lab", upload, first, self.d.prepare("lab", upload, {"p": b"2"}, replaces=self.replaces(first)))
        self.refuse_cat("is contested", "lab", "p")

    def reencrypt(self, man, entry, keep, removed=(), change=()):
        salt, numbers = self.d.last_salt, {f.path: f.number for f in self.d.last_files}
        leaves = [{"leaf": leaf_hash(salt, f).hex(), "number": f.number} for f in self.d.last_files if f.path in removed]
        origin = {"entry": entry, "leaves": man["files"], "manifest": man["manifest"], "removed": leaves} | dict(change)
        return self.d.upload(keep, salt=salt, numbers=numbers, origin=origin, removed=leaves, supersedes=man["manifest"])

    def test_a_reencryption_keeps_the_labs_root(self):
        man, _, entry = self.d.upload({"a": b"1", "b": b"2", "c": b"3"}, author="uni")
        again, _, second = self.reencrypt(man, entry, {"a": b"1", "c": b"3"}, removed=["b"])
        self.assertEqual(again["root"], man["root"])
        self.check_cat("lab", "c", b"3")
        self.refuse_cat("no file", "lab", "b")
        numbers = {f.path: f.number for f in self.d.last_files}
        self.assertEqual(numbers, {"a": 1, "c": 3})

    def test_a_reencryption_stands_in_the_place_of_its_first_manifest(self):
        first, _, entry = self.d.upload({"p": b"1", "q": b"q"}, author="uni")
        salt, files = self.d.last_salt, self.d.last_files
        self.d.upload({"p": b"2"}, author="uni", replaces=self.replaces(first))
        self.d.last_salt, self.d.last_files = salt, files
        again, *_ = self.reencrypt(first, entry, {"p": b"1", "q": b"q"})        # later, and by a steward
        self.check_cat("lab", "p", b"2")
        self.d.upload({"p": b"3"}, author="clinic")
        self.refuse_cat("entry 6", "lab", "p")
        self.d.add("lab", "path-removed", {"files": [2], "manifest": first["manifest"], "reason": ""})
        self.refuse_cat("no file", "lab", "q")

    def test_an_uploaders_reencrypted_manifest_takes_over_no_more_than_it_did(self):
        first, *_ = self.d.upload({"p": b"1"}, author="clinic")
        second, _, entry = self.d.upload({"p": b"2"}, author="uni", replaces=self.replaces(first))
        self.reencrypt(second, entry, {"p": b"2"})
        self.refuse_cat("is contested", "lab", "p")

    def test_replaces_ascend(self):
        one, two = self.replaces({"manifest": "cd" * 16}), self.replaces({"manifest": "ab" * 16}, 9)
        for wrong in (one + two, one + one):
            man, *_ = self.d.upload({"p": b"1"}, replaces=wrong)
            self.refuse_cat("a set out of order", "lab", "p")
            self.d.add("lab", "manifest-removed", {"manifest": man["manifest"], "reason": ""})
        self.d.upload({"p": b"1"}, replaces=two + one)
        self.check_cat("lab", "p", b"1")

    def test_an_origin_is_checked(self):
        for change in ({"entry": HASH}, {"leaves": 4}, {"manifest": "ab" * 16}):
            man, _, entry = self.d.upload({"a": b"1", "b": b"2", "c": b"3"})
            self.reencrypt(man, entry, {"a": b"1", "b": b"2", "c": b"3"}, change=change)
            self.assertRegex(self.cat("lab", "a")[2], "an origin that is not|another number of leaves")
            for m in list(self.d.committed):
                self.d.add("lab", "manifest-removed", {"manifest": m, "reason": ""})

    def test_a_reencryption_without_an_origin_is_refused(self):
        man, _, entry = self.d.upload({"a": b"1"})
        self.d.upload({"a": b"1"}, salt=self.d.last_salt, supersedes=man["manifest"])
        self.refuse_cat("an origin without", "lab", "a")


class Verify(OpenTest):
    def test_one_line_a_ledger(self):
        self.make()
        self.w.add("uni", "role-set", role("uni", "officer"))
        code, out, _ = self.run_main("verify", self.w.folder, "--vault-id", self.w.vault_id)
        lines = out.decode().splitlines()
        self.assertEqual(code, 0)
        self.assertEqual(lines, ["vault " + self.w.vault_id, "vault: 3 entries, void 2 (not an officer)", "dataset/ds: 1 entries"])
        self.assertEqual(self.run_main("verify", self.w.folder, "--vault-id", HASH)[0], 1)

    def test_json_names_voids_forks_and_state(self):
        self.make()
        self.d.upload({"a": b"1"})
        self.w.add("lab", "uploader-set", {"member": "uni", "on": True}, "dataset/ds", prev=HASH)
        code, out, _ = self.run_main("verify", self.w.folder, "--json")
        report = json.loads(out)
        dataset = report["ledgers"][1]
        self.assertEqual((code, report["ok"], dataset["entries"]), (1, False, 4))
        self.assertEqual((dataset["stopped"]["seq"], dataset["stopped"]["reason"]), (3, "fork"))
        self.assertEqual(dataset["state"]["grants"], {"lab": None})
        self.assertEqual(list(dataset["state"]["manifests"].values()), ["visible"])
        self.assertEqual(report["ledgers"][0]["state"]["officers"], ["lab"])

    def test_gaps_and_wrong_citations_are_errors(self):
        self.make()
        self.w.put("ledger", "dataset/ds", f"{5:010}", data=b"later")
        code, out, _ = self.run_main("verify", self.w.folder)
        self.assertEqual(code, 1)
        self.assertIn(b"an entry is missing", out)

    def test_a_wrong_citation_is_an_error(self):
        self.make()
        self.w.add("lab", "role-set", role("uni", "steward", "ds"))
        ledger = "exposure/" + HASH
        reserved = self.w.add("uni", "reserved", {"added": 1, "dataset": "ds", "member": "uni", "subjects": None, "total": 1}, ledger)
        cites = {"hash": HASH, "ledger": "dataset/ds", "seq": 0}
        self.w.add("uni", "released", {"approval": None, "cites": cites, "terms": {"reserved": reserved}}, ledger)
        code, out, _ = self.run_main("verify", self.w.folder)
        self.assertEqual(code, 1)
        self.assertIn(b"cites no valid entry", out)


class SealedFiles(OpenTest):
    def test_a_sealed_file_is_opened(self):
        for suite in (1, 2):
            key, plain = Key(suite), os.urandom(100_000)
            sealed, out = Path(self.folder, "in.sealed"), Path(self.folder, "out")
            sealed.write_bytes(sealed_file(suite, [key, Key(suite)], plain))
            arguments = ("open", sealed, "--identity", key.save(self.folder), "--passphrase-env", "PASS", "-o", out)
            self.assertEqual(self.run_main(*arguments), (0, b"", ""))
            self.assertEqual(out.read_bytes(), plain)
            out.unlink()
            with mock.patch.dict(os.environ, {"PASS": "wrong"}):
                code, _, err = self.run_main(*arguments)
                self.assertEqual(code, 1)
                self.assertIn("does not open", err)
            sealed.write_bytes(sealed.read_bytes()[:-1])
            self.assertEqual(self.run_main(*arguments)[0], 1)
            self.assertFalse(out.exists())
