"""Every kind of request of page 7, by a signer and a client that share no line with the server or with seqvault's own client.

OUTSIDE_STORE=s3 puts the vault into SeaweedFS, where packs have links; without it, it lies in a folder.
"""

import datetime
import hashlib
import os
import time
import unittest
import urllib.request
from urllib.parse import urlsplit

from http_message_signatures import HTTPMessageSigner
from outside.client import Client, send
from outside.remote import RemoteWorld
from outside.signer import COMPONENTS, Key
from outside.site import Site, until
from tests_of_reader.writer import DatasetWriter

STORE = os.environ.get("OUTSIDE_STORE", "folder")
DATASET = "from-outside"
CONTENTS = {"a/one.txt": b"written from outside\n", "b.bin": bytes(range(256)) * 300, "empty": b""}


def setUpModule():
    global SITE, URL, VAULT, LAB, ANNA, SERVER
    SITE = Site().__enter__()
    unittest.addModuleCleanup(SITE.__exit__)
    if STORE == "s3":
        SITE.weed()
    VAULT = SITE.found("anna", "uma")
    SITE.person("nobody")
    SERVER, URL = SITE.serve()
    LAB, ANNA = (Client(URL, VAULT, SITE.key(who)) for who in ("lab", "anna"))


def future():
    return int(time.time()) + 86_400


class Served(unittest.TestCase):
    def refused(self, answer, problem, status):
        self.assertEqual((answer.problem, answer.status), (problem, status), answer)
        return answer.json()

    def done(self, answer, status=200):
        self.assertEqual(answer.status, status, answer)
        self.assertRegex(answer.headers["seqvault-request-id"], "^[0-9a-f]+$")
        return answer


class Unsigned(Served):
    """What needs no signature."""

    def test_what_answers_says_who_it_is(self):
        said = self.done(LAB.unsigned("/v1/vault")).json()
        self.assertEqual(said.keys(), {"vault", "api", "server", "time", "links", "upload_objects"})
        self.assertEqual((said["vault"], said["api"], said["links"]), (VAULT, [1], STORE == "s3"))
        self.assertEqual(said["upload_objects"], 131_072)
        self.assertLess(abs(said["time"] - time.time()), 5)

    def test_it_describes_and_reports_itself(self):
        document = LAB.unsigned("/v1/openapi.json").json()
        self.assertTrue(document["openapi"].startswith("3."))
        for path in ("/healthz", "/readyz"):
            self.assertEqual(LAB.unsigned(path).status, 200)

    def test_everything_else_needs_a_signature(self):
        for method, target in [("GET", "/v1/ledgers"), ("GET", "/v1/ledgers/vault/entries"), ("DELETE", "/v1/objects/seqvault-format")]:
            self.refused(LAB.unsigned(target, method), "unsigned", 401)


class Story(Served):
    """A dataset's life, written by the second implementation through the server and read by the real client, in one go: each step
    needs the one before."""

    def test_a_dataset_is_made_filled_read_granted_and_revoked(self):
        world = RemoteWorld(URL, VAULT, "lab", SITE.room / "lab.id",
                            {"anna": (SITE.room / "anna.card").read_text().strip().encode()})
        client, ledger = world.client, f"/v1/ledgers/dataset/{DATASET}"

        # Turns, then the first entries.
        turn = self.done(client.post("/v1/ledgers/vault/turn")).json()
        self.assertEqual(turn["next"], len(world.ledgers["vault"]))
        dataset = DatasetWriter(world, DATASET, recovery=False)
        self.assertIn(f"dataset/{DATASET}", self.done(client.get("/v1/ledgers")).json()["ledgers"])
        turn = self.done(client.post(f"{ledger}/turn")).json()
        self.assertEqual(turn["next"], 1)
        self.assertLessEqual(turn["milliseconds"], 2000)

        # An upload, committed and read by the real client of another member.
        upload = dataset.open_upload(ends=future())
        man = dataset.prepare("lab", upload, CONTENTS)
        stray = f"/v1/objects/packs/{DATASET}/{upload}/{'ab' * 16}"
        self.done(client.put(stray, b"stray"), 201)
        self.refused(client.ask("DELETE", stray), "conflict", 409)      # while nobody can tell what it is for
        stored = dataset.world.sign("lab", "upload-committed", {"epoch": 1, "manifests": [man], "upload": upload}, dataset.ledger)
        dataset.committed[man["manifest"]] = 1
        world.store(dataset.ledger, stored)
        dataset.grant("anna")
        SITE.ok("anna", "get", DATASET, "--output", "got", at=URL)
        for path, data in CONTENTS.items():
            self.assertEqual((SITE.room / "got" / path).read_bytes(), data)

        # The same append again is the same success; another entry at its number, a gap, and one that the fold would void are not.
        number = len(world.ledgers[dataset.ledger]) - 2
        self.done(client.put(f"{ledger}/entries/{number}", stored), 201)
        self.refused(client.put(f"{ledger}/entries/{number - 1}", stored), "taken", 409)
        said = self.refused(client.put(f"{ledger}/entries/{number + 9}", stored), "not-next", 409)
        self.assertEqual(said["next"], number + 2)
        nothing = world.sign("lab", "revoked", {"member": "uma", "reason": "she has no grant"}, dataset.ledger)
        self.assertTrue(self.refused(client.put(f"{ledger}/entries/{number + 2}", nothing), "void", 422)["reason"])

        # Entries: all of them, from a number on, without bundles.
        entries = world.ledgers[dataset.ledger]
        self.assertEqual(self.done(client.get(f"{ledger}/entries")).entries(), entries)
        self.assertEqual(self.done(client.get(f"{ledger}/entries?from=2&single=true")).entries(), entries[2:])
        self.assertEqual(self.done(client.get(f"{ledger}/entries?from={len(entries)}")).entries(), [])

        self.objects(client, upload, man, dataset)
        self.links(client, upload, dataset)
        self.deletions(client, world, dataset, man)

    def objects(self, client, upload, man, dataset):
        name, data = dataset.last_packs[0]
        pack = f"/v1/objects/packs/{DATASET}/{upload}/{name}"
        got = self.done(client.get(pack))
        self.assertEqual((got.body, got.type), (data, "application/octet-stream"))
        looked = self.done(client.ask("HEAD", pack))
        self.assertEqual((looked.body, looked.headers["content-length"]), (b"", str(len(data))))
        part = self.done(client.ask("GET", pack, headers={"Range": "bytes=10-19"}), 206)
        self.assertEqual((part.body, part.headers["content-range"]), (data[10:20], f"bytes 10-19/{len(data)}"))
        beyond = client.ask("GET", pack, headers={"Range": f"bytes=0-{len(data)}"})
        self.assertEqual(self.refused(beyond, "range", 416)["size"], len(data))
        self.refused(client.ask("GET", pack, headers={"Range": "bytes=5-"}), "malformed", 400)
        self.refused(client.get(pack[:-1] + ("0" if pack[-1] != "0" else "1")), "not-found", 404)
        self.refused(client.get("/v1/objects/not/an/object"), "malformed", 400)
        # Made again with the same bytes it is there; with others it is not taken.
        manifest = f"/v1/objects/manifests/{DATASET}/{man['manifest']}"
        stored = self.done(client.get(manifest)).body
        another = dataset.open_upload(ends=future())
        self.done(client.put(manifest, stored), 201)
        self.refused(client.put(manifest, stored[:-1] + b"?"), "differs", 409)
        self.refused(client.ask("DELETE", manifest), "conflict", 409)
        # A pack that no list names is withdrawn, one of a committed manifest is not.
        stray = f"/v1/objects/packs/{DATASET}/{upload}/{'ab' * 16}"
        self.assertEqual(self.done(client.ask("DELETE", stray)).json()["objects"], 1)
        self.refused(client.get(stray), "not-found", 404)
        self.refused(client.ask("DELETE", pack), "conflict", 409)
        # Whoever has a grant reads and does not write.
        anna = ANNA
        self.assertEqual(self.done(anna.get(pack)).body, data)
        self.refused(anna.put(f"/v1/objects/packs/{DATASET}/{another}/{name}", data), "not-allowed", 403)
        self.refused(Client(URL, VAULT, SITE.key("uma")).get(pack), "not-allowed", 403)

    def links(self, client, upload, dataset):
        name, data = dataset.last_packs[0]
        wanted = {"get": [f"packs/{DATASET}/{upload}/{name}"], "put": []}
        answer = client.post("/v1/links", wanted)
        if STORE != "s3":
            self.refused(answer, "no-links", 409)
            return
        filled = dataset.open_upload(ends=future())
        wanted["put"] = [{"name": f"packs/{DATASET}/{filled}/{'cd' * 16}", "length": 6}]
        get, put = self.done(client.post("/v1/links", wanted)).json()["links"]
        self.assertEqual((get["method"], put["method"]), ("GET", "PUT"))
        self.assertLessEqual(get["expires"], time.time() + 305)
        self.assertEqual({name.lower(): value for name, value in put["headers"].items()}["if-none-match"], "*")
        with urllib.request.urlopen(urllib.request.Request(get["url"], headers=get["headers"])) as answer:
            self.assertEqual(answer.read(), data)
        for expected in (200, 412):
            request = urllib.request.Request(put["url"], data=b"linked", headers=put["headers"], method="PUT")
            try:
                status = urllib.request.urlopen(request).status
            except urllib.error.HTTPError as error:
                status = error.code
            self.assertEqual(status, expected)
        self.assertEqual(self.done(client.get("/v1/objects/" + put["name"])).body, b"linked")
        self.refused(client.post("/v1/links", {"get": [f"manifests/{DATASET}/{'0' * 32}"], "put": []}), "not-allowed", 403)

    def deletions(self, client, world, dataset, man):
        base = f"/v1/datasets/{DATASET}"
        # An upload that was closed.
        upload = dataset.open_upload(ends=future())
        world.put("packs", DATASET, upload, "ef" * 16, data=b"given up")
        self.refused(client.post(f"{base}/sweep", {"upload": upload}), "conflict", 409)
        dataset.add("lab", "upload-closed", {"reason": "a test", "upload": upload})
        self.assertEqual(self.done(client.post(f"{base}/sweep", {"upload": upload})).json(), {"objects": 1, "kept": False})

        # A revocation: from the next request on, whatever came before.
        secret = next(seal for seal in self.seals(world, "anna"))
        self.done(ANNA.get(secret))
        self.refused(client.post(f"{base}/delete-epochs", {"below": 2}), "conflict", 409)
        dataset.add("lab", "revoked", {"member": "anna", "reason": "over"})
        self.refused(ANNA.get(secret), "not-allowed", 403)
        self.refused(ANNA.get(f"/v1/objects/manifests/{DATASET}/{man['manifest']}"), "not-allowed", 403)
        dataset.open_epoch(["lab"])
        dataset.close_epoch()
        self.refused(client.get(secret), "not-allowed", 403)
        self.refused(ANNA.get(secret), "not-found", 404)
        gone = self.done(client.post(f"{base}/delete-epochs", {"below": 2})).json()
        self.assertGreaterEqual(gone["objects"], 3)
        self.refused(ANNA.post(f"{base}/delete-epochs", {"below": 2}), "not-allowed", 403)
        self.assertEqual(SITE.run("anna", "get", DATASET, "--output", "again", at=URL).returncode, 4)
        # Those who stay read on, with the real client and keys from the new table.
        SITE.ok("lab", "get", DATASET, "--output", "kept", at=URL)
        self.assertEqual((SITE.room / "kept" / "b.bin").read_bytes(), CONTENTS["b.bin"])

        # What was removed from view.
        self.assertEqual(self.done(client.post(f"{base}/delete-hidden", {})).json()["objects"], 0)
        dataset.add("lab", "manifest-removed", {"manifest": man["manifest"], "reason": "over"})
        self.assertGreaterEqual(self.done(client.post(f"{base}/delete-hidden", {})).json()["objects"], 1)
        self.assertEqual(SITE.ok("lab", "ls", DATASET, at=URL), "")
        self.refused(client.post("/v1/datasets/no-such/delete-hidden", {}), "not-found", 404)

        found = self.done(client.post("/v1/doctor", {"repair": True})).json()
        self.assertEqual((found.keys(), found["damaged"]), ({"findings", "repaired", "damaged"}, False))
        self.refused(ANNA.post("/v1/doctor", {"repair": False}), "not-allowed", 403)
        SITE.ok("lab", "verify", "--data")

    def seals(self, world, member):
        """Where the sealed epoch secrets of a member lie, by the statements."""
        from seqvault_reader.encoding import parse_json
        from seqvault_reader.ledger import STATEMENT_TYPE, open_envelope
        for stored in world.ledgers["dataset/" + DATASET]:
            said = parse_json(open_envelope(stored, STATEMENT_TYPE).payload)
            for seal in said["body"].get("seals", []):
                if seal["member"] == member:
                    yield f"/v1/objects/epochs/{DATASET}/{seal['epoch']:010}/grants/{member}/{seal['card']}-{seal['sha256']}"


class Changed(Served):
    """Requests that are not what was signed, or not signed as 7.2 wants."""

    def changed(self, method="POST", target="/v1/ledgers/vault/turn", body=b"", headers=None, to=None, **signature):
        """Signs one request and sends what `to` makes of it."""
        made, body = LAB.prepared(method, target, body, headers, **signature)
        request = {"method": method, "target": target, "headers": made, "body": body}
        (to or (lambda _: None))(request)
        return send(URL, **request)

    def test_unchanged_it_is_answered(self):
        self.done(self.changed())

    def test_a_changed_body_is_refused(self):
        def other(request):
            request["body"] = b'{"repair":true }'
        answer = self.changed(target="/v1/doctor", body=b'{"repair":false}', to=other)
        self.refused(answer, "digest", 400)

    def test_a_changed_body_with_its_own_digest_is_refused(self):
        from outside.signer import content_digest

        def other(request):
            request["body"] = b'{"repair":true }'
            request["headers"]["Content-Digest"] = content_digest(request["body"])
        answer = self.changed(target="/v1/doctor", body=b'{"repair":false}', to=other)
        self.refused(answer, "bad-signature", 401)

    def test_a_changed_target_is_refused(self):
        entries = "/v1/ledgers/vault/entries"
        for target in (f"{entries}?from=1", f"{entries}?", "/v1/ledgers", "/v1/ledgers/dataset/x/entries"):
            with self.subTest(target):
                answer = self.changed("GET", f"{entries}?from=0", None, to=lambda request, to=target: request.update(target=to))
                self.refused(answer, "bad-signature", 401)
        answer = self.changed("HEAD", "/v1/objects/seqvault-format", None, to=lambda request: request.update(method="GET"))
        self.refused(answer, "bad-signature", 401)

    def test_another_name_or_another_vault_is_refused(self):
        port = urlsplit(URL).port

        def host(request):
            request["headers"]["Host"] = f"localhost:{port}"
        self.refused(self.changed(to=host), "bad-signature", 401)
        said = self.refused(self.changed(vault="00" * 32), "other-vault", 421)
        self.assertEqual(said["vault"], VAULT)

    def test_an_old_or_an_early_date_is_refused_with_the_servers_time(self):
        for seconds in (-400, 400):
            created = datetime.datetime.now() + datetime.timedelta(seconds=seconds)
            said = self.refused(self.changed(created=created), "clock", 401)
            self.assertLess(abs(said["time"] - time.time()), 5)
        for seconds in (-200, 200):
            self.done(self.changed(created=datetime.datetime.now() + datetime.timedelta(seconds=seconds)))

    def test_a_repeated_request_is_refused(self):
        headers, body = LAB.prepared("POST", "/v1/ledgers/vault/turn")
        self.done(send(URL, "POST", "/v1/ledgers/vault/turn", headers, body))
        self.refused(send(URL, "POST", "/v1/ledgers/vault/turn", headers, body), "replayed", 401)
        # So is another request with that nonce.
        self.done(LAB.get("/v1/ledgers", nonce="07" * 16))
        self.refused(LAB.get("/v1/ledgers/vault/entries", nonce="07" * 16), "replayed", 401)

    def test_other_signers_are_refused(self):
        self.refused(Client(URL, VAULT, SITE.key("nobody")).get("/v1/ledgers"), "unknown-card", 401)
        # Anna in the lab's name.
        posing = Key(LAB.key.card, ANNA.key.private)
        self.refused(Client(URL, VAULT, posing).get("/v1/ledgers"), "bad-signature", 401)

    def test_a_signature_of_another_form_is_no_signature(self):
        other = [
            {"covered_component_ids": COMPONENTS[:-1]},
            {"covered_component_ids": (*COMPONENTS[1:], COMPONENTS[0])},
            {"covered_component_ids": (*COMPONENTS, "host")},
            {"label": "sig1"},
            {"tag": "seqvault-2"},
            {"tag": None},
            {"include_alg": False},
            {"nonce": "AB" * 16},
            {"nonce": "ab" * 15},
            # The library's own order of parameters.
            {"signer": HTTPMessageSigner},
        ]
        for change in other:
            with self.subTest(change):
                headers = {"Host": urlsplit(URL).netloc}
                self.refused(LAB.ask("GET", "/v1/ledgers", headers=headers, **change), "unsigned", 401)

    def test_a_body_without_its_digest_or_its_length_is_refused(self):
        def without(name):
            return lambda request: request["headers"].pop(name)
        self.refused(self.changed(to=without("Content-Digest")), "unsigned", 401)
        self.refused(self.changed(to=without("Content-Length")), "length", 411)
        self.refused(self.changed(to=without("Signature")), "unsigned", 401)
        self.refused(self.changed(to=without("Seqvault-Vault")), "unsigned", 401)

    def test_paths_and_queries_have_one_spelling(self):
        for target in ("/v1/ledgers/vault%2Fentries", "/v1//ledgers", "/v1/ledgers/../ledgers"):
            self.refused(LAB.get(target), "malformed", 400)
        for query in ("from=00", "from=01", "from=-1", "from=1&from=1", "to=3", "single=yes"):
            self.refused(LAB.get(f"/v1/ledgers/vault/entries?{query}"), "malformed", 400)
        self.refused(LAB.get("/v1/nothing"), "no-such-resource", 404)
        self.refused(LAB.ask("DELETE", "/v1/ledgers"), "method", 405)
        self.refused(LAB.post("/v1/doctor", {"repair": False, "more": 1}), "malformed", 400)


class Ends(Served):
    """What a server does when it is told to go."""

    def test_it_ends_in_good_order(self):
        import signal
        process, url = SITE.serve(name="second")
        self.done(Client(url, VAULT, SITE.key("lab")).get("/v1/ledgers"))
        self.assertEqual(process.end(signal.SIGTERM), 0, process.said())
        self.assertTrue(until(lambda: not process.runs(), "its end"))


if __name__ == "__main__":
    unittest.main()
