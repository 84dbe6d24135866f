"""The vault ledger: genesis, voids, forks, every kind of 5.2 (4.1 to 4.5, 5.2)."""

import tempfile
import unittest

from seqvault_reader.bucket import Bucket, Gap, fold_vault
from seqvault_reader.encoding import b64, emit_json, parse_json, sha256_hex
from seqvault_reader.ledger import entry_hashes
from seqvault_reader.vault import NoVault

from tests.writer import INFO, START, Key, Member, World, proposal, role

HASH = "ab" * 32


class FoldTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def world(self, **options):
        return World(self.folder, **options)

    def vault(self, world):
        return fold_vault(Bucket(world.folder), world.vault_id)

    def outcome(self, fold, n=-1):
        verdict = fold.verdicts[n]
        return verdict.outcome if verdict.outcome == "applied" else f"{verdict.outcome}: {verdict.reason}"

    def expect(self, world, wanted, who, kind, body, **options):
        """Appends to the vault ledger and checks the outcome; `wanted` is "applied" or part of the reason."""
        world.add(who, kind, body, **options)
        fold = self.vault(world)
        self.assertIsNone(fold.stopped)
        self.assertIn(wanted, self.outcome(fold), f"{kind} by {who}")
        return fold


class Genesis(FoldTest):
    def test_a_vault_of_either_suite_folds(self):
        for suite in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                fold = self.vault(World(folder, suite))
                self.assertEqual([v.outcome for v in fold.verdicts], ["applied", "applied"])
                self.assertTrue(fold.is_officer("lab", 1) and fold.has_role("lab", "creator", 1))
                self.assertFalse(fold.has_role("lab", "creator", 0))

    def test_another_vault_id_is_no_vault(self):
        self.world()
        self.assertRaises(NoVault, fold_vault, Bucket(self.folder), "00" * 32)
        self.assertRaises(NoVault, fold_vault, Bucket(self.folder + "/nowhere"))

    def test_a_genesis_that_is_not_valid_is_no_vault(self):
        lab = Member("lab")
        foreign, shared = Member("lab", 2).enrolment(), lab.enrolment() | {"member": "other"}
        algorithms = dict(aead="AES-256-GCM", body="FLOE-65568", hash="SHA-256", kdf="HKDF-SHA256", kem="X-Wing",
                          signature="Ed25519", tree_hash="BLAKE3")
        cases = [{"suite": 2}, {"suite": 3}, {"head_age": 3599}, {"recovery": [HASH]}, {"members": []}, {"algorithms": algorithms},
                 {"members": [lab.enrolment()]},            # the author's card is another
                 {"members": [foreign]}, {"x": 1},
                 {"approvals": {"card_added": 9, "dataset_deleted": 0, "granted": [0] * 5, "recovered": 0, "released": 0}},
                 {"approvals": {"card_added": 0, "dataset_deleted": 0, "granted": [0] * 4, "recovered": 0, "released": 0}}]
        for case in cases:
            with tempfile.TemporaryDirectory() as folder:
                world = World(folder, genesis=case)
                self.assertRaises(NoVault, fold_vault, Bucket(folder), world.vault_id)
        with tempfile.TemporaryDirectory() as folder:
            world = World(folder)
            world.genesis_body["members"] += [shared, shared]
            world.ledgers, world.vault_id = {}, ""
            world.add("lab", "genesis", world.genesis_body, prev="", vault="")
            self.assertRaises(NoVault, fold_vault, Bucket(folder))

    def test_a_genesis_signed_by_another_key_is_no_vault(self):
        world = self.world()
        world.ledgers, world.vault_id, stranger = {}, "", Key()
        world.add("lab", "genesis", world.genesis_body, key=stranger, card=world.people["lab"].key.id,
                  keyid=world.people["lab"].key.id, prev="", vault="")
        self.assertRaises(NoVault, fold_vault, Bucket(self.folder))

    def test_a_second_genesis_is_void(self):
        world = self.world()
        self.expect(world, "genesis is entry 0", "lab", "genesis", world.genesis_body)
        self.expect(world, "malformed", "lab", "genesis", world.genesis_body, prev="", vault="")


class Envelopes(FoldTest):
    def void(self, wanted, stored):
        world = self.world()
        world.store("vault", stored(world))
        world.add("lab", "role-set", role("uni", "auditor"))        # the void keeps its place and its hash
        fold = self.vault(world)
        self.assertIsNone(fold.stopped)
        self.assertIn(wanted, self.outcome(fold, 2))
        self.assertEqual(self.outcome(fold, 3), "applied")

    def signed(self, **override):
        body = override.pop("body", role("uni", "creator"))
        return lambda world: world.sign("lab", "role-set", body, **override)

    def test_bytes_that_do_not_parse_are_void(self):
        good = self.signed()
        for change in (lambda b: b"garbage", lambda b: b"", lambda b: b + b"\n", lambda b: b.replace(b'","', b'", "', 1),
                       lambda b: b.replace(b"statement+json", b"card+json"), lambda b: b"{}", lambda b: b"\xff" * 100,
                       lambda b: b'{"payload":"' + b"A" * (17 << 20) + b'"}'):
            self.void("malformed", lambda world, change=change: change(good(world)))

    def test_signatures_are_exactly_one(self):
        def with_signatures(count):
            def stored(world):
                envelope = parse_json(self.signed()(world), ("payloadType",))
                return emit_json(envelope | {"signatures": envelope["signatures"] * count})
            return stored
        self.void("malformed", with_signatures(0))
        self.void("malformed", with_signatures(2))

    def test_statements_of_another_shape_are_void(self):
        for override in ({"author": "Lab"}, {"author": "-lab"}, {"seq": -1}, {"time": -1}, {"time": 2**53 - 1, "x": 1}, {"critical": 1},
                         {"vault_head": {"hash": HASH, "seq": 0}}, {"ledger": "dataset/"}, {"ledger": "other"}, {"prev": ""}, {"prev": "AB" * 32},
                         {"body": []}, {"keyid": "cd" * 32}, {"card": HASH}, {"critical": False}, {"body": {}}, {"format": "1"},
                         {"body": role("uni", "king")}, {"body": role("uni", "creator") | {"x": None}}):
            self.void("malformed", self.signed(**override))

    def test_entries_of_another_place_are_void(self):
        for override in ({"seq": 7}, {"vault": "00" * 32}, {"ledger": "dataset/ds", "vault_head": {"hash": HASH, "seq": 0}}):
            self.void("misplaced", self.signed(**override))

    def test_unknown_authors_and_bad_signatures_are_void(self):
        stranger = Key()
        self.void("unknown author", self.signed(author="nobody"))
        self.void("unknown author", self.signed(key=stranger))
        self.void("unknown author", lambda w: w.sign("lab", "role-set", role("uni", "creator"), key=w.people["uni"].key))
        self.void("bad signature", lambda w: w.sign("lab", "role-set", role("uni", "creator"), key=stranger,
                                                    card=w.people["lab"].key.id, keyid=w.people["lab"].key.id))

    def test_unknown_kinds_and_formats_are_void_before_the_format_is_raised(self):
        for override in ({"kind": "novelty"}, {"format": 2}, {"kind": "granted"}):
            self.void("unknown kind", lambda w, o=override: w.sign("lab", o.get("kind", "role-set"), {}, **{k: v for k, v in o.items() if k != "kind"}))

    def test_a_wrong_prev_is_a_fork_only_if_the_entry_is_otherwise_valid(self):
        self.void("not an officer", lambda w: w.sign("uni", "role-set", role("uni", "creator"), prev=HASH))


    def test_an_entry_hash_stands_for_all_entries_before_it(self):
        """An entry replaced under a void one is seen, though the void one's own `prev` is not checked."""
        world = self.world()
        replaced = world.sign("lab", "role-set", role("uni", "auditor"))
        world.add("lab", "role-set", role("uni", "officer"))
        world.store("vault", b"rubbish")
        world.add("lab", "role-set", role("clinic", "officer"))
        self.assertEqual(self.outcome(self.vault(world)), "applied")
        world.put("ledger", "vault", f"{2:010}", data=replaced)
        self.assertEqual(self.vault(world).stopped["seq"], 4)

    def test_an_entry_hash_is_over_the_hash_before_and_the_stored_bytes(self):
        first = entry_hashes([b"a", b"b"])
        self.assertEqual(first, [sha256_hex(b"a"), sha256_hex(bytes.fromhex(first[0]) + b"b")])
        self.assertEqual(entry_hashes([b"a"], HASH), [sha256_hex(bytes.fromhex(HASH) + b"a")])


class Formats(FoldTest):
    def test_after_the_format_is_raised_a_critical_kind_stops_and_another_is_skipped(self):
        world = self.world()
        self.expect(world, "above", "lab", "format-raised", {"format": 1})
        self.expect(world, "applied", "lab", "format-raised", {"format": 2})
        self.expect(world, "above", "lab", "format-raised", {"format": 2})
        self.expect(world, "unknown kind", "lab", "novelty", {})            # new kinds come with a new format
        self.expect(world, "unknown kind", "lab", "seen", {"list": HASH}, format=3)
        world.add("lab", "novelty", {}, critical=False, format=2)
        self.expect(world, "applied", "lab", "role-set", role("uni", "creator"))
        self.assertEqual(self.vault(world).verdicts[-2].outcome, "skipped")
        self.expect(world, "unknown author", "nobody", "novelty", {}, key=Key(), format=2)
        world.add("lab", "seen", {"list": HASH}, format=2)
        self.assertEqual(self.vault(world).stopped["reason"], "needs a newer version")


class Gaps(FoldTest):
    def test_a_missing_number_below_a_later_one_is_an_error(self):
        world = self.world()
        world.put("ledger", "vault", f"{3:010}", data=b"later")
        self.assertRaises(Gap, self.vault, world)

    def test_bundles_are_compared_and_otherwise_ignored(self):
        world = self.world()
        for i in range(15):
            world.add("lab", "role-set", role("uni", "creator", on=bool(i % 2)))
        entries = world.ledgers["vault"]
        bundle = b"".join(len(e).to_bytes(4, "big") + e for e in entries[:16])
        world.put("ledger", "vault", "bundle-16-0000000000", data=bundle)
        bucket = Bucket(self.folder)
        self.assertEqual(list(bucket.bundle_errors("vault")), [])
        world.put("ledger", "vault", "bundle-16-0000000000", data=bundle[:-1])
        self.assertEqual(len(list(bucket.bundle_errors("vault"))), 1)
        self.assertEqual(len(self.vault(world).verdicts), 17)


class Members(FoldTest):
    def test_enrolment_asks_for_an_officer_a_new_id_and_new_cards_of_the_suite(self):
        world = self.world()
        hospital = Member("hospital")
        self.expect(world, "not an officer", "uni", "member-enrolled", hospital.enrolment())
        self.expect(world, "applied", "lab", "member-enrolled", hospital.enrolment())
        again = hospital.enrolment() | {"member": "hospital-2"}
        self.expect(world, "seen before", "lab", "member-enrolled", again)
        self.expect(world, "used before", "lab", "member-enrolled", Member("hospital").enrolment())
        self.expect(world, "another suite", "lab", "member-enrolled", Member("m", 2).enrolment())
        self.expect(world, "malformed", "lab", "member-enrolled", Member("m").enrolment() | {"cards": []})
        self.expect(world, "malformed", "lab", "member-enrolled", Member("m").enrolment() | {"cards": [b64(Key().card[:-1])]})
        twice = Member("m").enrolment()
        self.expect(world, "seen before", "lab", "member-enrolled", twice | {"cards": twice["cards"] * 2})
        for info in (INFO | {"jurisdiction": "cn"}, INFO | {"kind": "zoo"}, INFO | {"organisation": "a\nb"}, INFO | {"facts": []},
                     INFO | {"facts": {"a": "x" * 262_144}}, INFO | {"organisation": "x" * 1025}):
            self.expect(world, "malformed", "lab", "member-enrolled", Member("m").enrolment() | {"info": info})

    def test_a_retired_member_is_never_current_again(self):
        world = self.world()
        self.expect(world, "neither that member nor an officer", "uni", "member-retired", {"member": "clinic", "reason": ""})
        fold = self.expect(world, "applied", "lab", "member-retired", {"member": "clinic", "reason": "left"})
        n = len(fold.verdicts) - 1
        self.assertTrue(fold.is_member("clinic", n - 1) and not fold.is_member("clinic", n))
        self.expect(world, "unknown author", "clinic", "member-retired", {"member": "clinic", "reason": ""})
        self.expect(world, "not a current member", "lab", "member-retired", {"member": "clinic", "reason": ""})
        self.expect(world, "used before", "lab", "member-enrolled", Member("clinic").enrolment())
        self.expect(world, "not a current member", "lab", "role-set", role("clinic", "creator"))
        self.expect(world, "applied", "lab", "role-set", role("clinic", "creator", on=False))
        self.expect(world, "applied", "lab", "member-amended", {"info": INFO, "member": "clinic"})
        self.expect(world, "unknown member", "lab", "member-amended", {"info": INFO, "member": "zoo"})

    def test_the_last_officer_stays(self):
        world = self.world()
        self.expect(world, "last officer", "lab", "member-retired", {"member": "lab", "reason": ""})
        self.expect(world, "last officer", "lab", "role-set", role("lab", "officer", on=False))
        self.expect(world, "applied", "lab", "role-set", role("clinic", "officer"))
        self.expect(world, "applied", "clinic", "role-set", role("lab", "officer", on=False))
        self.expect(world, "last officer", "clinic", "role-set", role("clinic", "officer", on=False))
        self.expect(world, "not an officer", "lab", "role-set", role("uni", "creator"))

    def test_roles_have_their_scope(self):
        world = self.world()
        self.expect(world, "another scope", "lab", "role-set", role("uni", "steward"))
        self.expect(world, "another scope", "lab", "role-set", role("uni", "officer", "ds"))
        self.expect(world, "applied", "lab", "role-set", role("uni", "approver", "ds"))
        self.expect(world, "unknown member", "lab", "role-set", role("zoo", "approver", "ds", on=False))

    def test_cards_are_added_by_their_member_and_retired(self):
        world = self.world()
        uni, new = world.people["uni"], Key()
        body = {"approval": None, "terms": {"card": b64(new.card), "member": "uni"}}
        self.expect(world, "neither that member nor an officer", "clinic", "card-added", body)
        self.expect(world, "applied", "uni", "card-added", body)
        self.expect(world, "seen before", "uni", "card-added", body)
        self.expect(world, "neither", "clinic", "card-retired", {"card": new.id, "member": "uni", "reason": ""})
        self.expect(world, "not a current card", "lab", "card-retired", {"card": new.id, "member": "clinic", "reason": ""})
        self.expect(world, "applied", "uni", "card-retired", {"card": uni.key.id, "member": "uni", "reason": "lost"}, key=new)
        self.expect(world, "unknown author", "uni", "card-retired", {"card": new.id, "member": "uni", "reason": ""})
        self.expect(world, "not a current card", "lab", "card-retired", {"card": uni.key.id, "member": "uni", "reason": ""})
        self.expect(world, "seen before", "uni", "card-added", {"approval": None, "terms": {"card": b64(uni.key.card), "member": "uni"}}, key=new)

    def test_a_member_has_at_most_64_current_cards(self):
        world, many = self.world(), Member("many", cards=64)
        body = {"approval": None, "terms": {"card": b64(Key().card), "member": "many"}}
        self.expect(world, "applied", "lab", "member-enrolled", many.enrolment())
        self.expect(world, "64 current", "lab", "card-added", body)
        self.expect(world, "applied", "lab", "card-retired", {"card": many.key.id, "member": "many", "reason": ""})
        self.expect(world, "applied", "lab", "card-added", body)

    def test_a_recovery_card_makes_an_officer(self):
        world = self.world()
        self.expect(world, "recovery card", "lab", "officer-recovered", {"member": "uni"})
        self.expect(world, "not a current member", "spare", "officer-recovered", {"member": "zoo"})
        fold = self.expect(world, "applied", "spare", "officer-recovered", {"member": "uni"})
        self.assertTrue(fold.is_officer("uni", len(fold.verdicts) - 1))

    def test_other_officer_statements(self):
        world, key = self.world(), b64(bytes(32))
        server = {"log_key": key, "name": "s", "on": True, "witness_keys": [key]}
        for kind, body in (("pack-set", {"hash": HASH, "name": "cn", "on": True}), ("server-set", server), ("seen", {"list": HASH})):
            self.expect(world, "not an officer", "uni", kind, body)
            self.expect(world, "applied", "lab", kind, body)
        self.expect(world, "malformed", "lab", "server-set", server | {"log_key": b64(bytes(31))})
        subject = {"generation": 1, "seals": []}
        self.expect(world, "neither a steward", "uni", "subject-key-set", subject)
        self.expect(world, "applied", "lab", "role-set", role("uni", "steward", "ds"))
        self.expect(world, "applied", "uni", "subject-key-set", subject)
        self.expect(world, "next generation", "lab", "subject-key-set", subject)
        self.expect(world, "applied", "lab", "subject-key-set", subject | {"generation": 2})


class Approvals(FoldTest):
    """The act is `card-added` by an officer for another member, with two approvals."""

    def setUp(self):
        super().setUp()
        self.w = self.world(approvals={"card_added": 2}, names=("lab", "clinic", "uni", "board"))
        for name in ("clinic", "uni", "board"):
            self.w.add("lab", "role-set", role(name, "officer"))
        self.terms = {"card": b64(Key().card), "member": "uni"}

    def propose(self, who="lab", **override):
        member = {"member": sha256_hex(emit_json(INFO))}
        return self.w.add(who, "proposed", proposal("card-added", self.terms, **(member | override)))

    def approve(self, p, *names):
        return sorted(self.w.add(name, "approved", {"proposal": p}) for name in names)

    def act(self, wanted, proposal, approvals, who="lab", terms=None, **override):
        body = {"approval": {"approvals": sorted(approvals), "proposal": proposal}, "terms": terms or self.terms}
        self.expect(self.w, wanted, who, "card-added", body, **override)

    def test_two_approvals_let_it_through_once(self):
        p = self.propose()
        approvals = self.approve(p, "clinic", "board")
        self.act("too few", p, approvals[:1])
        self.act("malformed", p, approvals[:1] * 2)
        self.act("applied", p, approvals)
        self.act("seen before", p, approvals)
        other = {"card": b64(Key().card), "member": "uni"}
        self.act("used", p, approvals, terms=other)
        self.expect(self.w, "no approval", "lab", "card-added", {"approval": None, "terms": other})
        self.expect(self.w, "applied", "uni", "card-added", {"approval": None, "terms": other})

    def test_an_act_that_needs_none_may_name_some(self):
        p = self.propose()
        self.act("something else", p, [HASH], who="uni")
        self.act("somebody concerned", p, self.approve(p, "uni"), who="uni")
        one = self.approve(p, "clinic")
        self.act("unknown proposal", HASH, one, who="uni")
        self.act("applied", p, one, who="uni")
        self.expect(self.w, "used", "uni", "card-added", {"approval": {"approvals": one, "proposal": p}, "terms": {"card": b64(Key().card), "member": "uni"}})

    def test_the_terms_are_those_proposed(self):
        p = self.propose()
        approvals = self.approve(p, "clinic", "board")
        self.act("other terms", p, approvals, terms={"card": b64(Key().card), "member": "uni"})
        self.act("unknown proposal", HASH, approvals)
        self.act("something else", p, [approvals[0], HASH])

    def test_nobody_concerned_approves(self):
        p = self.propose(who="board")
        self.expect(self.w, "proposal's author", "board", "approved", {"proposal": p})
        approvals = self.approve(p, "lab", "clinic")
        self.act("somebody concerned", p, approvals)               # lab acts
        self.act("somebody concerned", p, self.approve(p, "uni") + approvals, who="board")     # uni benefits
        self.act("applied", p, approvals, who="board")

    def test_an_approver_keeps_the_role(self):
        p = self.propose()
        approvals = self.approve(p, "clinic", "board")
        self.w.add("lab", "role-set", role("board", "officer", on=False))
        self.act("without the role", p, approvals)
        self.expect(self.w, "not an approver", "board", "approved", {"proposal": p})

    def test_proposals_end_and_are_approved_once_a_member(self):
        p = self.propose(ends=START + 100)
        self.expect(self.w, "applied", "clinic", "approved", {"proposal": p})
        self.expect(self.w, "approved already", "clinic", "approved", {"proposal": p})
        approvals = self.approve(p, "board")
        self.act("has ended", p, approvals, time=START + 100)
        self.expect(self.w, "has ended", "board", "approved", {"proposal": p}, time=START + 100)
        self.expect(self.w, "unknown proposal", "board", "approved", {"proposal": HASH})
        self.expect(self.w, "ended already", "lab", "proposed", proposal("card-added", self.terms, ends=START))
        self.expect(self.w, "asks for approval", "lab", "proposed", proposal("role-set", self.terms))

    def test_member_packs_and_facts_still_hold(self):
        cases = [({"member": HASH}, "member has changed"), ({"member": None}, "member has changed"),
                 ({"facts": HASH}, "facts have changed"), ({"pack": HASH}, "packs have changed"), ({}, "applied")]
        for override, wanted in cases:
            self.terms = {"card": b64(Key().card), "member": "uni"}
            p = self.propose(**override)
            self.act(wanted, p, self.approve(p, "clinic", "board"))

    def test_packs_are_hashed_by_name(self):
        def packs(*terms):
            return sha256_hex(emit_json({"act": "pack-set", "terms": list(terms)}))
        self.w.add("lab", "pack-set", {"hash": HASH, "name": "eu", "on": True})
        self.w.add("lab", "pack-set", {"hash": "cd" * 32, "name": "cn", "on": True})
        p = self.propose(pack=packs(["cn", "cd" * 32], ["eu", HASH]))
        approvals = self.approve(p, "clinic", "board")
        self.w.add("lab", "pack-set", {"hash": HASH, "name": "cn", "on": True})
        self.act("packs have changed", p, approvals)
        self.w.add("lab", "pack-set", {"hash": "cd" * 32, "name": "cn", "on": True})
        self.act("applied", p, approvals)
        self.terms = {"card": b64(Key().card), "member": "uni"}
        p = self.propose(pack=packs(["eu", HASH]))
        approvals = self.approve(p, "clinic", "board")
        self.act("packs have changed", p, approvals)
        self.w.add("lab", "pack-set", {"hash": HASH, "name": "cn", "on": False})
        self.act("applied", p, approvals)


def recovered(ledger, seq, entry_hash, action="void"):
    return {"approval": None, "terms": {"action": action, "hash": entry_hash, "ledger": ledger, "seq": seq}}


class VaultForks(FoldTest):
    def fork(self, world):
        return world.add("lab", "role-set", role("uni", "officer"), prev=HASH), len(world.ledgers["vault"]) - 1

    def test_a_fork_stops_the_reader(self):
        world = self.world()
        _, seq = self.fork(world)
        world.add("lab", "role-set", role("clinic", "officer"))
        fold = self.vault(world)
        self.assertEqual((fold.stopped["seq"], fold.stopped["reason"]), (seq, "fork"))
        self.assertFalse(fold.is_officer("clinic", 99) or fold.is_officer("uni", 99) or fold.has_entry(seq, fold.hashes[seq]))

    def test_a_later_recovered_of_the_state_before_settles_it(self):
        world = self.world()
        entry, seq = self.fork(world)
        world.add("lab", "role-set", role("clinic", "officer"))
        world.add("lab", "recovered", recovered("vault", seq, entry))
        fold = self.vault(world)
        self.assertIsNone(fold.stopped)
        self.assertEqual(self.outcome(fold, seq), "void: fork, settled")
        self.assertEqual(fold.verdicts[seq].kind, "role-set")
        self.assertFalse(fold.is_officer("uni", seq + 2))
        self.assertTrue(fold.is_officer("clinic", seq + 2))

    def test_only_the_right_recovered_settles_it(self):
        for who, body, override in (("uni", {}, {}), ("lab", {"hash": HASH}, {}), ("lab", {"seq": 0}, {}), ("lab", {"action": "cut"}, {}),
                                    ("lab", {"ledger": "dataset/ds"}, {}), ("lab", {}, {"prev": HASH}), ("lab", {}, {"seq": 0})):
            with tempfile.TemporaryDirectory() as folder:
                world = World(folder)
                entry, seq = self.fork(world)
                terms = recovered("vault", seq, entry)["terms"] | body
                world.add(who, "recovered", {"approval": None, "terms": terms}, **override)
                self.assertEqual(self.vault(world).stopped["seq"], seq)

    def test_an_officer_made_by_the_fork_or_after_it_does_not_settle_it(self):
        world = self.world()
        entry, seq = self.fork(world)
        world.add("lab", "role-set", role("clinic", "officer"))
        for name in ("uni", "clinic"):
            world.add(name, "recovered", recovered("vault", seq, entry))
        self.assertEqual(self.vault(world).stopped["seq"], seq)

    def test_approvals_behind_the_fork_count_for_its_settlement(self):
        world = self.world(approvals={"recovered": 1})
        world.add("lab", "role-set", role("clinic", "officer"))
        entry, seq = self.fork(world)
        terms = recovered("vault", seq, entry)["terms"]
        p = world.add("lab", "proposed", proposal("recovered", terms))
        world.add("lab", "recovered", {"approval": None, "terms": terms})
        for name in ("uni", "lab"):                     # no officer; the proposal's author
            a = world.add(name, "approved", {"proposal": p})
            world.add("lab", "recovered", {"approval": {"approvals": [a], "proposal": p}, "terms": terms})
        self.assertEqual(self.vault(world).stopped["seq"], seq)
        a = world.add("clinic", "approved", {"proposal": p})
        world.add("lab", "recovered", {"approval": {"approvals": [a], "proposal": p}, "terms": terms})
        fold = self.vault(world)
        self.assertIsNone(fold.stopped)
        self.assertEqual((self.outcome(fold), fold.proposals[p].used), ("applied", True))

    def test_two_forks_are_settled_one_by_one(self):
        world = self.world()
        first, a = self.fork(world)
        second, b = self.fork(world)
        world.add("lab", "recovered", recovered("vault", a, first))
        self.assertEqual(self.vault(world).stopped["seq"], b)
        world.add("lab", "recovered", recovered("vault", b, second))
        self.assertIsNone(self.vault(world).stopped)
