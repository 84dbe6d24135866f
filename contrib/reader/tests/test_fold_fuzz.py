"""Signed rubbish: bodies with members replaced are void or applied, and never an error of the reader (4.4)."""

import copy
import random
import tempfile
import unittest

from seqvault_reader import shapes
from seqvault_reader.bucket import Bucket, fold_ledger, fold_vault
from seqvault_reader.encoding import b64
from tests.test_fold_vault import HASH, recovered
from tests.writer import INFO, START, DatasetWriter, Key, Member, World, fake_man, proposal, role

ODD = [None, True, 0, -1, 1, 2, 2**53 - 1, "", "lab", "uni", "zoo", "ds", HASH, HASH[:32], "AA==", "vault", "dataset/ds", [], [[]], {},
       [1], ["lab"], ["lab", "uni"], {"a": 1}, "\u0000", "granted", START, START * 2]


def places(value):
    """Every (container, key) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


class Fuzz(unittest.TestCase):
    def bodies(self, w, d):
        """(ledger, kind, a body of the right shape) of every kind."""
        new, at = Member("new"), {"hash": HASH, "ledger": "vault", "seq": 0}
        approval = {"approvals": [HASH], "proposal": HASH}
        seals = d.seals("lab", ["uni"], 1)
        opening = d.opening("lab", ["lab"])
        reset = {k: opening[k] for k in ("epoch", "public", "reason", "seals")} | {"unreadable": []}
        upload = {"upload": HASH[:32]}
        vault = {"genesis": w.genesis_body, "member-enrolled": new.enrolment(), "member-amended": {"info": INFO, "member": "uni"},
                 "card-added": {"approval": approval, "terms": {"card": b64(Key().card), "member": "uni"}},
                 "card-retired": {"card": w.people["clinic"].key.id, "member": "clinic", "reason": ""},
                 "member-retired": {"member": "clinic", "reason": ""}, "role-set": role("uni", "steward", "ds"),
                 "officer-recovered": {"member": "uni"}, "pack-set": {"hash": HASH, "name": "x", "on": True},
                 "server-set": {"log_key": None, "name": "", "on": True, "witness_keys": []},
                 "format-raised": {"format": 1}, "seen": {"list": HASH}, "recovered": recovered("dataset/ds", 5, HASH), "subject-key-set": {"generation": 1, "seals": []},
                 "proposed": proposal("recovered", {}), "approved": {"proposal": HASH}}
        dataset = {"dataset-created": d.creation("lab"), "granted": d.granting("lab", "uni"), "card-sealed": {"member": "uni", "seals": seals},
                   "facts-amended": {"facts": {}, "level": 1, "reservations": [{"member": "uni", "reservation": at}], "suspends": ["uni"], "why": ""},
                   "grade-confirmed": {"facts": HASH, "level": 1}, "uploader-set": {"member": "uni", "on": True},
                   "recovery-set": {"cards": [], "seals": []}, "agreement-accepted": {"agreement": HASH, "grant": HASH},
                   "suspended": {"members": ["uni"], "reason": ""}, "consent-withdrawn": {"members": [], "reason": "", "subjects": None},
                   "revoked": {"member": "uni", "reason": ""}, "destruction-attested": {"document": None, "member": "lab", "scope": ""},
                   "reservation-cancelled": {"reservation": at}, "anchored": {}, "dataset-deleted": {"approval": approval, "terms": {"reason": ""}},
                   "epoch-opened": opening, "epoch-closed": {"count": 0, "epoch": 1, "table": None, "void": []}, "epoch-reset": reset,
                   "upload-opened": upload | {"ends": START * 2}, "upload-extended": upload | {"ends": START * 2 + 1},
                   "upload-committed": upload | {"epoch": 1, "manifests": [fake_man()]}, "upload-closed": upload | {"reason": ""},
                   "manifest-removed": {"manifest": HASH[:32], "reason": ""}, "path-removed": {"files": [1], "manifest": HASH[:32], "reason": ""},
                   "proposed": proposal("granted", {}), "approved": {"proposal": HASH}}
        exposure = {"reserved": {"added": 1, "dataset": "ds", "member": "uni", "subjects": None, "total": 1},
                    "released": {"approval": None, "cites": at, "terms": {"reserved": HASH}},
                    "proposed": proposal("released", {}), "approved": {"proposal": HASH}}
        self.assertEqual([set(x) for x in (vault, dataset, exposure)], [set(x) for x in (shapes.VAULT, shapes.DATASET, shapes.EXPOSURE)])
        for ledger, kinds in (("vault", vault), (d.ledger, dataset), ("exposure/" + HASH, exposure)):
            yield from ((ledger, kind, body) for kind, body in kinds.items())

    def test_every_kind_has_a_handler_that_never_fails(self):
        rng = random.Random(1)
        with tempfile.TemporaryDirectory() as folder:
            w = World(folder)
            d = DatasetWriter(w)
            w.add("lab", "role-set", role("lab", "steward", "ds"))
            bodies = list(self.bodies(w, d))
            for round_ in range(12):
                rng.shuffle(bodies)
                for ledger, kind, body in bodies:
                    body = copy.deepcopy(body)
                    for container, key in rng.sample(list(places(body)), min(len(list(places(body))), round_ % 3)):
                        container[key] = rng.choice(ODD)
                    w.add(rng.choice(["lab", "lab", "uni", "spare"]), kind, body, ledger)
            vault = fold_vault(Bucket(folder))
            for ledger in ("vault", d.ledger, "exposure/" + HASH):
                fold = vault if ledger == "vault" else fold_ledger(Bucket(folder), vault, ledger)
                self.assertTrue(fold.stopped is None or fold.stopped["reason"] == "needs a newer version")
                self.assertEqual({v.outcome for v in fold.verdicts}, {"applied", "void"})
