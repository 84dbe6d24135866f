"""Dataset and exposure ledgers: anchoring, forks, every kind (4.4, 4.5, 5.3 to 5.6)."""

import os

from seqvault_reader.bucket import Bucket, Gap, fold_ledger
from seqvault_reader.dataset import Dataset
from seqvault_reader.encoding import b64, emit_json, sha256_hex

from tests.test_fold_vault import HASH, FoldTest, recovered
from tests.writer import INFO, START, DatasetWriter, Key, fake_man, proposal, role


class DatasetTest(FoldTest):
    def setUp(self):
        super().setUp()
        self.w = self.world(names=("lab", "clinic", "uni", "board"), approvals=self.APPROVALS)
        self.d = DatasetWriter(self.w)

    APPROVALS = {}

    def fold(self, ledger=None):
        return fold_ledger(Bucket(self.folder), self.vault(self.w), ledger or self.d.ledger)

    def check(self, wanted, who, kind, body, ledger=None, **override):
        """Appends to the dataset's ledger; `wanted` is "applied" or part of the reason."""
        ledger = ledger or self.d.ledger
        self.w.add(who, kind, body, ledger, **override)
        fold = self.fold(ledger)
        self.assertIsNone(fold.stopped)
        self.assertIn(wanted, self.outcome(fold), f"{kind} by {who}")
        return fold

    def role(self, *args, **kwargs):
        self.w.add("lab", "role-set", role(*args, **kwargs))

    def revoke(self, member, wanted="applied", who="lab"):
        return self.check(wanted, who, "revoked", {"member": member, "reason": ""})


class Creation(DatasetTest):
    def created(self, wanted, author="lab", **change):
        d = DatasetWriter(self.w, name="other-" + os.urandom(4).hex(), create=False)
        body = d.creation(author)
        for name, value in change.items():
            if name in body["epoch"]:
                body["epoch"][name] = value(body["epoch"][name])
            else:
                body[name] = value
        return self.check(wanted, author, "dataset-created", body, d.ledger)

    def test_a_creator_creates(self):
        fold = self.created("applied")
        self.assertTrue(fold.is_steward("lab", fold.last_head) and fold.newest == fold.closed == 1)
        self.created("not a creator", "uni")
        self.role("uni", "creator")
        self.created("applied", "uni")

    def test_seals_go_to_exactly_the_author_and_the_recovery_cards(self):
        self.created("other cards", seals=lambda s: s[:1])
        self.created("other cards", seals=lambda s: [s[0], s[1] | {"member": "uni"}])
        self.created("other cards", recovery=[])
        self.created("malformed", seals=lambda s: s[::-1])
        self.created("not current", recovery=[HASH])
        self.created("malformed", public=lambda p: b64(bytes(32)))
        self.created("malformed", level=6)

    def test_it_is_entry_0_and_nothing_goes_before_it(self):
        self.check("already", "lab", "dataset-created", self.d.creation("lab"))
        d = DatasetWriter(self.w, name="late", create=False)
        self.check("not created", "lab", "uploader-set", {"member": "uni", "on": True}, d.ledger)
        self.check("not entry 0", "lab", "dataset-created", d.creation("lab"), d.ledger)

    def test_the_first_prev_is_the_vault_id(self):
        d = DatasetWriter(self.w, name="forked", create=False)
        self.w.add("lab", "dataset-created", d.creation("lab"), d.ledger, prev=HASH)
        self.assertEqual(self.fold(d.ledger).stopped["reason"], "fork")

    def test_a_retired_recovery_card_is_not_current(self):
        self.w.add("spare", "card-retired", {"card": self.w.spare.key.id, "member": "spare", "reason": ""})
        self.created("not current")


class Anchoring(DatasetTest):
    BODY = {"member": "uni", "on": True}

    def test_the_head_never_falls(self):
        self.role("board", "approver", "ds")
        self.check("applied", "lab", "uploader-set", self.BODY)
        self.check("older vault head", "lab", "uploader-set", self.BODY, vault_head=self.w.head(back=1))
        self.check("no newer", "uni", "anchored", {})
        self.role("uni", "auditor")
        self.check("applied", "uni", "anchored", {})

    def test_a_head_that_does_not_exist_is_a_fork_if_its_author_signed_it(self):
        stranger, uni = Key(), self.w.people["uni"].key
        for head in ({"hash": HASH, "seq": 1}, {"hash": self.w.head()["hash"], "seq": 99}):
            self.check("unanchored, unknown author", "uni", "uploader-set", self.BODY, key=stranger, vault_head=head)
            self.check("unanchored, unknown author", "nobody", "uploader-set", self.BODY, key=uni, vault_head=head)
            self.check("unanchored, bad signature", "uni", "uploader-set", self.BODY, key=stranger, card=uni.id, keyid=uni.id, vault_head=head)
        self.w.add("uni", "uploader-set", self.BODY, self.d.ledger, vault_head=head)
        self.assertEqual(self.fold().stopped["reason"], "unanchored")

    def test_who_was_retired_forks_no_ledger_that_cites_the_retirement(self):
        new, ahead = Key(), {"hash": HASH, "seq": 99}
        self.w.add("uni", "card-added", {"approval": None, "terms": {"card": b64(new.card), "member": "uni"}})
        self.w.add("uni", "card-retired", {"card": new.id, "member": "uni", "reason": ""})
        self.w.add("lab", "member-retired", {"member": "clinic", "reason": ""})
        signed = {who: self.w.sign(who, "anchored", {}, self.d.ledger, key=key, vault_head=ahead) for who, key in (("uni", new), ("clinic", None))}
        for stored in signed.values():
            entries = self.w.ledgers[self.d.ledger] + [stored]
            fold = Dataset(self.d.ledger, self.w.vault_id, self.vault(self.w)).run(entries)
            self.assertEqual(fold.stopped["reason"], "unanchored")      # nobody has cited the retirement yet
        self.check("applied", "lab", "anchored", {})
        self.check("unanchored, unknown author", "uni", "anchored", {}, key=new, vault_head=ahead)
        self.check("unanchored, unknown author", "clinic", "anchored", {}, vault_head=ahead)

    def test_roles_are_asked_for_at_the_head_that_is_cited(self):
        before = self.w.head()
        self.role("uni", "steward", "ds")
        self.check("not a steward", "uni", "uploader-set", self.BODY, vault_head=before)
        self.check("applied", "uni", "uploader-set", self.BODY)
        before = self.w.head()
        self.w.add("lab", "member-retired", {"member": "uni", "reason": ""})
        self.check("applied", "uni", "uploader-set", self.BODY, vault_head=before)      # in a quiet ledger, back-dated
        self.check("unknown author", "uni", "uploader-set", self.BODY)
        self.check("applied", "lab", "anchored", {})
        self.check("older vault head", "uni", "uploader-set", self.BODY, vault_head=before)

    def test_the_creator_is_a_steward_until_a_later_role_set_removes_it(self):
        self.role("lab", "steward", "ds", on=False)
        self.check("not a steward", "lab", "uploader-set", self.BODY)
        self.role("lab", "steward", "ds")
        self.check("applied", "lab", "uploader-set", self.BODY)

    def test_a_role_set_before_the_creation_leaves_the_creator_a_steward(self):
        self.role("lab", "steward", "next", on=False)
        d = DatasetWriter(self.w, "next")
        self.check("applied", "lab", "uploader-set", self.BODY, d.ledger)
        self.role("lab", "steward", "next", on=False)
        self.check("not a steward", "lab", "uploader-set", self.BODY, d.ledger)

    def test_nothing_beyond_a_fork_of_the_vault_is_anchored(self):
        self.w.add("lab", "role-set", role("uni", "officer"), prev=HASH)
        self.w.add("lab", "uploader-set", self.BODY, self.d.ledger)
        vault = self.vault(self.w)
        self.assertEqual(vault.stopped["reason"], "fork")
        self.assertEqual(fold_ledger(Bucket(self.folder), vault, self.d.ledger).stopped["reason"], "unanchored")


class Forks(DatasetTest):
    def test_a_fork_stops_and_an_officer_settles_it(self):
        entry = self.w.add("lab", "uploader-set", {"member": "uni", "on": True}, self.d.ledger, prev=HASH)
        self.w.add("lab", "uploader-set", {"member": "clinic", "on": True}, self.d.ledger)
        fold = self.fold()
        self.assertEqual((fold.stopped["seq"], len(fold.verdicts)), (1, 1))
        for other in (recovered(self.d.ledger, 2, entry), recovered("dataset/x", 1, entry), recovered(self.d.ledger, 1, HASH),
                      recovered(self.d.ledger, 1, entry, "cut")):
            self.w.add("lab", "recovered", other)
            self.assertTrue(self.fold().stopped)
        self.w.add("uni", "recovered", recovered(self.d.ledger, 1, entry))
        self.assertTrue(self.fold().stopped)
        self.w.add("lab", "recovered", recovered(self.d.ledger, 1, entry))
        fold = self.fold()
        self.assertIsNone(fold.stopped)
        self.assertEqual((self.outcome(fold, 1), self.outcome(fold, 2)), ("void: fork, settled", "applied"))
        self.assertEqual(fold.uploaders, {"clinic"})

    def test_a_recovered_of_a_good_entry_changes_nothing(self):
        entry = self.w.add("lab", "uploader-set", {"member": "uni", "on": True}, self.d.ledger)
        self.w.add("lab", "recovered", recovered(self.d.ledger, 1, entry))
        self.assertEqual(self.outcome(self.fold()), "applied")

    def test_a_newer_critical_kind_stops_this_ledger(self):
        self.w.add("lab", "format-raised", {"format": 2})
        self.check("unknown kind", "lab", "novelty", {})
        self.check("unknown kind", "lab", "novelty", {}, format=3)
        self.w.add("lab", "novelty", {}, self.d.ledger, format=2)
        self.assertEqual(self.fold().stopped["reason"], "needs a newer version")


class Grants(DatasetTest):
    def granted(self, wanted, author="lab", member="uni", **options):
        override = {k: options.pop(k) for k in ("time", "vault_head", "key") if k in options}
        return self.check(wanted, author, "granted", self.d.granting(author, member, **options), **override)

    def test_a_holder_grants_and_a_steward_revokes(self):
        fold = self.granted("applied")
        self.assertTrue(fold.has_current_grant("uni", self.w.clock, fold.last_head))
        self.granted("not a holder", "uni", "clinic")
        self.revoke("uni", "neither", "clinic")
        self.revoke("uni", who="uni")
        self.revoke("uni", "no grant")
        self.granted("applied", ends=START + 10**6)
        self.granted("ended already", ends=START)
        self.role("clinic", "officer")
        self.revoke("uni", who="clinic")

    def test_it_is_sealed_to_exactly_the_members_cards_and_unclosed_epochs(self):
        self.granted("other cards", seals=[])
        self.d.secrets[2] = bytes(32)
        self.granted("other cards", seals=self.d.seals("lab", ["uni", "clinic"], 1))
        self.granted("other cards", seals=self.d.seals("lab", ["uni"], 1, 2))
        self.d.open_epoch(["lab"])
        self.granted("other cards", seals=self.d.seals("lab", ["uni"], 2))
        self.granted("applied")
        self.d.close_epoch()
        self.granted("applied", seals=self.d.seals("lab", ["uni"], 2))

    def test_a_steward_without_the_epoch_does_not_grant(self):
        self.role("board", "steward", "ds")
        self.granted("not a holder", "board")
        self.granted("applied", member="board")
        self.granted("applied", "board")
        self.revoke("board")
        self.granted("not a holder", "board", "clinic")

    def test_a_holder_signs_with_the_card_that_holds(self):
        new = Key()
        self.w.add("lab", "card-added", {"approval": None, "terms": {"card": b64(new.card), "member": "lab"}})
        self.granted("not a holder", key=new)
        seals = self.d.seals("lab", ["lab"], 1, keys=[new])
        self.check("applied", "lab", "card-sealed", {"member": "lab", "seals": seals})
        self.granted("applied", key=new)

    def test_a_retired_member_gets_and_keeps_no_grant(self):
        self.granted("applied")
        self.w.add("lab", "member-retired", {"member": "uni", "reason": ""})
        fold = self.check("applied", "lab", "anchored", {})
        self.assertFalse(fold.has_current_grant("uni", self.w.clock, fold.last_head))
        self.granted("not a current member")
        self.revoke("uni")      # a grant, though not current

    def test_without_a_steward_that_holds_any_holder_grants_to_a_steward(self):
        self.granted("applied")
        self.role("lab", "steward", "ds", on=False)
        self.granted("not a holder", "uni", "clinic")
        self.role("clinic", "steward", "ds")
        self.granted("not a holder", "uni", "board")
        self.granted("applied", "uni", "clinic")
        self.granted("not a holder", "uni", "clinic")
        self.granted("applied", "clinic", "board")

    def test_a_recovery_card_rescues_too(self):
        self.role("lab", "steward", "ds", on=False)
        self.role("clinic", "steward", "ds")
        self.revoke("lab", who="clinic")
        self.granted("not a holder", "lab", "clinic")
        self.granted("applied", "spare", "clinic")

    def test_cards_are_sealed_by_a_holder_or_by_the_member_that_holds(self):
        self.granted("applied")
        new = Key()
        self.w.add("uni", "card-added", {"approval": None, "terms": {"card": b64(new.card), "member": "uni"}})
        body = {"member": "uni", "seals": self.d.seals("uni", ["uni"], 1, keys=[new])}
        self.check("neither a holder", "clinic", "card-sealed", body)
        self.check("applied", "uni", "card-sealed", body)
        self.check("applied", "lab", "card-sealed", body)
        other = Key()
        self.check("not current", "lab", "card-sealed", {"member": "uni", "seals": self.d.seals("lab", ["uni"], 1, keys=[other])})
        self.check("no current grant", "lab", "card-sealed", {"member": "clinic", "seals": self.d.seals("lab", ["clinic"], 1)})

    def test_suspension_and_withdrawn_consent_end_grants(self):
        self.granted("applied")
        self.check("nobody named", "lab", "suspended", {"members": [], "reason": ""})
        self.check("no grant", "lab", "suspended", {"members": ["clinic", "uni"], "reason": ""})
        self.check("neither an officer", "uni", "suspended", {"members": ["uni"], "reason": ""})
        self.check("applied", "lab", "suspended", {"members": ["uni"], "reason": ""})
        self.check("no grant", "lab", "consent-withdrawn", {"members": ["uni"], "reason": "", "subjects": None})
        self.check("applied", "lab", "consent-withdrawn", {"members": [], "reason": "", "subjects": HASH})
        self.granted("applied")
        fold = self.check("applied", "lab", "facts-amended", {"facts": {}, "level": 2, "reservations": [], "suspends": ["uni"], "why": ""})
        self.assertEqual(set(fold.grants), {"lab"})

    def test_agreements_name_the_current_grant(self):
        first = self.d.grant("uni")
        second = self.d.grant("uni")
        body = {"agreement": HASH, "grant": second}
        self.check("not the author's", "uni", "agreement-accepted", body | {"grant": first})
        self.check("not the author's", "clinic", "agreement-accepted", body)
        self.check("applied", "uni", "agreement-accepted", body)
        created = self.w.hash(self.d.ledger, 0)     # gave the creator's
        self.check("applied", "lab", "agreement-accepted", body | {"grant": created})

    def test_destruction_is_attested_by_whom_was_granted(self):
        body = {"document": None, "member": "uni", "scope": "all"}
        self.check("never granted", "uni", "destruction-attested", body)
        self.granted("applied")
        self.revoke("uni")
        self.check("applied", "uni", "destruction-attested", body)
        self.check("neither that member", "lab", "destruction-attested", body)
        self.w.add("lab", "member-retired", {"member": "uni", "reason": ""})
        self.check("applied", "lab", "destruction-attested", body)

    def reserve(self, member="uni", dataset="ds", who="lab"):
        ledger = "exposure/" + HASH
        self.total = getattr(self, "total", 0) + 1
        body = {"added": 1, "dataset": dataset, "member": member, "subjects": None, "total": self.total}
        digest = self.w.add(who, "reserved", body, ledger)
        return {"hash": digest, "ledger": ledger, "seq": len(self.w.ledgers[ledger]) - 1}

    def amending(self, **change):
        return {"facts": {}, "level": 2, "reservations": [], "suspends": [], "why": ""} | change

    def test_a_reservation_is_for_its_member_and_used_once(self):
        self.role("clinic", "officer")
        first, second, third, fourth = (self.reserve() for _ in range(4))
        void = self.reserve(who="board")
        self.total -= 1
        self.granted("for another", member="board", reservation=first)
        self.granted("not a valid", reservation=void)
        self.granted("outside the exposure", reservation=first | {"ledger": "vault"})
        self.granted("applied", reservation=first)
        self.granted("cited or cancelled", reservation=first)
        self.check("cited or cancelled", "lab", "reservation-cancelled", {"reservation": first})
        self.check("neither reserver", "uni", "reservation-cancelled", {"reservation": second})
        self.check("applied", "lab", "reservation-cancelled", {"reservation": second})
        self.check("applied", "clinic", "reservation-cancelled", {"reservation": third})
        self.check("cited or cancelled", "clinic", "reservation-cancelled", {"reservation": third})
        self.granted("cited or cancelled", reservation=second)
        self.check("for another", "lab", "facts-amended", self.amending(reservations=[{"member": "board", "reservation": fourth}]))
        self.check("malformed", "lab", "facts-amended", self.amending(reservations=[fourth]))
        self.check("applied", "lab", "facts-amended", self.amending(reservations=[{"member": "uni", "reservation": fourth}]))
        self.granted("cited or cancelled", reservation=fourth)
        DatasetWriter(self.w, "other")
        self.granted("for another", reservation=self.reserve(dataset="other"))

    def test_an_entry_that_lacks_nothing_but_a_reservation_is_a_fork(self):
        missing = {"hash": HASH, "ledger": "exposure/" + HASH, "seq": 7}
        self.granted("not a holder", "uni", "clinic", reservation=missing)
        self.check("no grant", "lab", "facts-amended", self.amending(suspends=["uni"], reservations=[{"member": "uni", "reservation": missing}]))
        before, entries = list(self.w.ledgers[self.d.ledger]), self.w.ledgers[self.d.ledger]
        for kind, body in (("granted", self.d.granting("lab", "uni", reservation=missing)), ("reservation-cancelled", {"reservation": missing}),
                           ("facts-amended", self.amending(reservations=[{"member": "uni", "reservation": missing}]))):
            entries[:] = before
            entry = self.d.add("lab", kind, body)
            self.assertEqual(self.fold().stopped["reason"], "a reservation that is not there")
        self.w.add("lab", "recovered", recovered(self.d.ledger, len(before), entry))
        self.assertIsNone(self.fold().stopped)

    def test_a_gap_in_a_cited_ledger_is_an_error_and_voids_nothing(self):
        self.d.add("lab", "granted", self.d.granting("lab", "uni", reservation=self.reserve()))
        self.assertIsNone(self.fold().stopped)
        self.w.put("ledger", "exposure/" + HASH, f"{5:010}", data=b"later")
        self.assertRaises(Gap, self.fold)

    def test_facts_suspend_only_whom_was_granted(self):
        self.check("no grant", "lab", "facts-amended", self.amending(suspends=["uni"]))
        self.check("malformed", "lab", "facts-amended", self.amending(level=0))
        self.granted("applied")
        fold = self.check("applied", "lab", "facts-amended", self.amending(suspends=["uni"]))
        self.assertNotIn("uni", fold.grants)

    def test_a_card_that_was_added_in_a_members_name_opens_nothing(self):
        new, closing = Key(), {"count": 0, "epoch": 2, "table": None, "void": []}
        self.role("uni", "steward", "ds")
        self.granted("applied")
        self.d.open_epoch(["lab", "uni"])
        self.w.add("lab", "card-added", {"approval": None, "terms": {"card": b64(new.card), "member": "uni"}})
        seals = {"member": "uni", "seals": self.d.seals("uni", ["uni"], 1, 2, keys=[new])}
        self.check("as opener", "uni", "card-sealed", seals, key=new)
        self.check("as opener", "uni", "epoch-closed", closing, key=new)
        self.check("applied", "uni", "card-sealed", seals)
        self.check("applied", "uni", "epoch-closed", closing, key=new)

    def test_a_steward_that_opens_by_a_recovery_card_grants_itself_a_way_back(self):
        self.role("spare", "steward", "ds")
        self.granted("not a holder", "spare", "spare")      # lab still holds
        self.revoke("lab")
        self.granted("applied", "spare", "spare", seals=self.d.seals("spare", ["spare"], 1))
        self.granted("applied", "spare", "clinic")

    def test_grades_are_confirmed_by_another(self):
        self.role("board", "approver", "ds")
        self.role("lab", "approver", "ds")
        body = {"facts": sha256_hex(b'{"a":1}'), "level": 1}
        self.check("author of the facts", "lab", "grade-confirmed", body)
        self.check("not an approver", "uni", "grade-confirmed", body)
        self.check("present", "board", "grade-confirmed", body | {"level": 2})
        self.check("present", "board", "grade-confirmed", body | {"facts": HASH})
        self.check("applied", "board", "grade-confirmed", body)

    def test_recovery_cards_are_set_and_sealed(self):
        extra = self.w.people["board"].key
        cards = sorted([self.w.spare.key.id, extra.id])
        seals = self.d.seals("lab", ["board"], 1)
        self.check("not a holder", "board", "recovery-set", {"cards": cards, "seals": seals})
        self.check("other cards", "lab", "recovery-set", {"cards": cards, "seals": []})
        self.check("not current", "lab", "recovery-set", {"cards": [HASH], "seals": []})
        self.check("applied", "lab", "recovery-set", {"cards": cards, "seals": seals})
        self.check("applied", "lab", "recovery-set", {"cards": [extra.id], "seals": []})
        self.check("other cards", "lab", "recovery-set", {"cards": cards, "seals": self.d.seals("lab", ["spare"], 1)})   # sealed already
        self.check("applied", "lab", "recovery-set", {"cards": cards, "seals": []})


class GrantApprovals(DatasetTest):
    APPROVALS = {"granted": [0, 1, 2, 2, 2], "dataset_deleted": 1}

    def setUp(self):
        super().setUp()
        self.role("board", "approver", "ds")
        self.role("clinic", "approver", "ds")
        self.check("applied", "lab", "facts-amended", {"facts": {"a": 1}, "level": 2, "reservations": [], "suspends": [], "why": ""})

    def proposal(self, act, terms, **override):
        facts = {"facts": sha256_hex(b'{"a":1}')}
        if "member" in terms:
            facts["member"] = sha256_hex(emit_json(INFO))
        return proposal(act, terms, **(facts | override))

    def test_a_grant_asks_for_as_many_approvals_as_its_level(self):
        body = self.d.granting("lab", "uni")
        self.check("no approval", "lab", "granted", body)
        self.check("author may not", "uni", "proposed", self.proposal("granted", body["terms"]))
        self.check("asks for approval", "lab", "proposed", self.proposal("card-added", body["terms"]))
        p = self.d.add("lab", "proposed", self.proposal("granted", body["terms"]))
        self.check("not an approver", "uni", "approved", {"proposal": p})
        a = self.d.add("board", "approved", {"proposal": p})
        body["approval"] = {"approvals": [a], "proposal": p}
        self.check("other terms", "lab", "granted", body | {"terms": body["terms"] | {"ends": START + 10**6}})
        self.check("applied", "lab", "granted", body)
        self.check("used", "lab", "granted", body)

    def test_amended_facts_end_a_proposal(self):
        body = self.d.granting("lab", "uni")
        p = self.d.add("lab", "proposed", self.proposal("granted", body["terms"]))
        a = self.d.add("board", "approved", {"proposal": p})
        body["approval"] = {"approvals": [a], "proposal": p}
        self.d.add("lab", "facts-amended", {"facts": {"a": 2}, "level": 2, "reservations": [], "suspends": [], "why": ""})
        self.check("facts have changed", "lab", "granted", body)
        # The same facts again are stated later than they were proposed of, whatever their level.
        self.d.add("lab", "facts-amended", {"facts": {"a": 1}, "level": 1, "reservations": [], "suspends": [], "why": ""})
        self.check("stated anew", "lab", "granted", body)
        self.d.add("lab", "facts-amended", {"facts": {"a": 1}, "level": 3, "reservations": [], "suspends": [], "why": ""})
        p = self.d.add("lab", "proposed", self.proposal("granted", body["terms"]))
        a = self.d.add("board", "approved", {"proposal": p})
        body["approval"] = {"approvals": [a], "proposal": p}
        self.check("too few", "lab", "granted", body)

    def test_a_proposals_author_does_not_approve_and_its_hashes_are_the_acts(self):
        body = self.d.granting("lab", "uni")
        self.role("board", "steward", "ds")
        p = self.d.add("board", "proposed", self.proposal("granted", body["terms"]))
        self.check("proposal's author", "board", "approved", {"proposal": p})
        for override, wanted in (({"facts": None}, "facts have"), ({"member": None}, "member has"), ({"pack": HASH}, "packs have")):
            p = self.d.add("lab", "proposed", self.proposal("granted", body["terms"], **override))
            a = self.d.add("board", "approved", {"proposal": p})
            self.check(wanted, "lab", "granted", body | {"approval": {"approvals": [a], "proposal": p}})

    def test_the_beneficiary_does_not_approve(self):
        body = self.d.granting("lab", "board")
        p = self.d.add("lab", "proposed", self.proposal("granted", body["terms"]))
        a = self.d.add("board", "approved", {"proposal": p})
        body["approval"] = {"approvals": [a], "proposal": p}
        self.check("somebody concerned", "lab", "granted", body)

    def test_a_deleted_dataset_only_winds_down(self):
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        upload = self.d.open_upload()
        terms = {"reason": "over"}
        self.check("no approval", "lab", "dataset-deleted", {"approval": None, "terms": terms})
        p = self.d.add("lab", "proposed", self.proposal("dataset-deleted", terms))
        a = self.d.add("board", "approved", {"proposal": p})
        self.check("applied", "lab", "dataset-deleted", {"approval": {"approvals": [a], "proposal": p}, "terms": terms})
        self.check("is deleted", "lab", "uploader-set", {"member": "uni", "on": True})
        self.check("is deleted", "lab", "upload-extended", {"ends": START + 10**7, "upload": upload})
        self.check("applied", "lab", "upload-closed", {"reason": "", "upload": upload})
        self.revoke("lab")


class Epochs(DatasetTest):
    def opened(self, wanted, members, author="lab", **options):
        body = self.d.opening(author, members, **options)
        fold = self.check(wanted, author, "epoch-opened", body)
        if wanted == "applied":
            self.d.newest += 1
        return fold

    def test_an_epoch_is_sealed_to_exactly_the_holders(self):
        self.d.grant("uni")
        self.opened("other cards", ["lab"])
        self.opened("other cards", ["lab", "uni", "clinic"])
        self.opened("other cards", ["lab", "uni"], recovery=False)
        self.opened("not a holder", ["lab", "uni"], author="uni")
        self.opened("applied", ["lab", "uni"])

    def test_it_revokes_at_once(self):
        self.d.grant("uni")
        self.opened("other cards", ["lab", "uni"], revokes=["uni"])
        self.opened("not a holder", ["uni"], revokes=["lab"])
        self.opened("no grant", ["lab", "uni"], revokes=["clinic"])
        fold = self.opened("applied", ["lab"], revokes=["uni"])
        self.assertNotIn("uni", fold.grants)

    def test_members_without_a_card_are_named(self):
        self.d.grant("uni")
        self.w.add("lab", "card-retired", {"card": self.w.people["uni"].key.id, "member": "uni", "reason": "lost"})
        self.opened("without a card", ["lab"])
        self.opened("without a card", ["lab"], unsealed=["clinic", "uni"])
        self.opened("applied", ["lab"], unsealed=["uni"])

    def test_an_ended_grant_is_left_out(self):
        self.d.grant("uni", ends=START + 60)
        self.w.clock = START + 100
        self.opened("other cards", ["lab", "uni"])
        self.opened("applied", ["lab"])

    def test_numbers_follow_and_public_keys_are_valid(self):
        body = self.d.opening("lab", ["lab"])
        self.check("not the next", "lab", "epoch-opened", body | {"epoch": 3})
        self.check("malformed", "lab", "epoch-opened", body | {"public": b64(bytes(32))})
        self.check("malformed", "lab", "epoch-opened", body | {"public": b64(bytes(31))})

    def test_a_recovery_card_of_a_granted_member_is_sealed_once(self):
        self.d.grant("spare")
        self.opened("applied", ["lab", "spare"], recovery=False)

    def test_closing_counts_the_manifests_of_earlier_epochs(self):
        upload = self.d.open_upload()
        mans = [fake_man() for _ in range(3)]
        self.d.commit("lab", upload, *mans)
        self.d.keys.update({m["manifest"]: bytes(32) for m in mans})
        ids = sorted(m["manifest"] for m in mans)
        self.check("not the newest", "lab", "epoch-closed", {"count": 3, "epoch": 1, "table": HASH, "void": []})
        self.d.open_epoch(["lab"])
        late = self.d.open_upload()
        self.d.commit("lab", late, fake_man())
        good = {"count": 3, "epoch": 2, "table": HASH, "void": []}
        self.check("other manifests", "lab", "epoch-closed", good | {"count": 4})
        self.check("other manifests", "lab", "epoch-closed", good | {"void": [HASH[:32]]})
        self.check("table of nothing", "lab", "epoch-closed", good | {"table": None})
        self.check("table of nothing", "lab", "epoch-closed", good | {"count": 0, "void": ids})
        self.check("not a steward", "uni", "epoch-closed", good)
        self.check("applied", "lab", "manifest-removed", {"manifest": ids[0], "reason": ""})
        self.check("other manifests", "lab", "epoch-closed", good)
        fold = self.check("applied", "lab", "epoch-closed", good | {"count": 1, "void": [ids[1]]})
        self.assertEqual((fold.closed, fold.manifests[ids[1]].void, fold.tables[2]), (2, True, (HASH, 1)))
        self.check("not the newest", "lab", "epoch-closed", good | {"count": 1})

    def test_a_newer_epoch_supersedes_one_that_is_not_closed(self):
        self.d.open_epoch(["lab"])
        self.d.open_epoch(["lab"])
        self.check("not the newest", "lab", "epoch-closed", {"count": 0, "epoch": 2, "table": None, "void": []})
        fold = self.check("applied", "lab", "epoch-closed", {"count": 0, "epoch": 3, "table": None, "void": []})
        self.assertEqual(list(fold.unclosed()), [3])

    def test_a_closer_holds_every_unclosed_epoch(self):
        self.role("board", "steward", "ds")
        self.d.open_epoch(["lab"])
        self.check("applied", "lab", "granted", self.d.granting("lab", "board"))
        self.d.open_epoch(["lab", "board"])
        self.check("applied", "board", "epoch-closed", {"count": 0, "epoch": 3, "table": None, "void": []})

    def test_an_epoch_is_reset_only_when_nobody_holds_it(self):
        man = fake_man()
        self.d.commit("lab", self.d.open_upload(), man)
        self.role("board", "steward", "ds")
        self.d.grant("uni")
        reset = self.d.opening("board", ["board"]) | {"unreadable": [man["manifest"]]}
        del reset["revokes"], reset["unsealed"]
        self.check("somebody holds", "board", "epoch-reset", reset)
        self.revoke("uni")
        self.revoke("lab")
        self.check("somebody holds", "board", "epoch-reset", reset)         # the recovery card
        self.w.add("spare", "card-retired", {"card": self.w.spare.key.id, "member": "spare", "reason": ""})
        self.check("other cards", "board", "epoch-reset", reset)
        reset["seals"] = [s for s in reset["seals"] if s["member"] == "board"]
        self.check("not a steward", "uni", "epoch-reset", reset)
        self.check("other manifests", "board", "epoch-reset", reset | {"unreadable": []})
        fold = self.check("applied", "board", "epoch-reset", reset)
        self.assertEqual((fold.newest, fold.closed, set(fold.grants)), (2, 2, {"board"}))
        self.assertTrue(fold.manifests[man["manifest"]].unreadable)


class Uploads(DatasetTest):
    def test_an_upload_is_opened_extended_committed_once(self):
        body = {"ends": START + 1000, "upload": "ab" * 16}
        self.check("neither an uploader", "uni", "upload-opened", body)
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        self.check("ended already", "uni", "upload-opened", body | {"ends": START})
        self.check("applied", "uni", "upload-opened", body)
        self.check("used before", "uni", "upload-opened", body)
        self.check("not the opener", "lab", "upload-extended", body | {"ends": START + 2000})
        self.check("not later", "uni", "upload-extended", body)
        self.check("applied", "uni", "upload-extended", body | {"ends": START + 2000})
        commit = {"epoch": 1, "manifests": [fake_man()], "upload": "ab" * 16}
        self.check("not an open upload", "uni", "upload-committed", commit | {"upload": "cd" * 16})
        self.check("not the opener", "lab", "upload-committed", commit)
        self.check("not the newest", "uni", "upload-committed", commit | {"epoch": 2})
        self.check("malformed", "uni", "upload-committed", commit | {"manifests": []})
        self.check("used before", "uni", "upload-committed", commit | {"manifests": commit["manifests"] * 2})
        fold = self.check("applied", "uni", "upload-committed", commit)
        self.assertFalse(fold.manifests[commit["manifests"][0]["manifest"]].author_was_steward)
        self.check("not an open upload", "uni", "upload-committed", commit)
        self.check("not an open upload", "uni", "upload-extended", body | {"ends": START + 3000})
        self.check("not an open upload", "uni", "upload-closed", {"reason": "", "upload": "ab" * 16})
        again = self.d.open_upload("uni")
        self.check("used before", "uni", "upload-committed", commit | {"upload": again})
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": False})
        self.check("no uploader any more", "uni", "upload-committed", {"epoch": 1, "manifests": [fake_man()], "upload": again})

    def test_a_stale_epoch_takes_no_commit(self):
        self.d.grant("uni")
        upload = self.d.open_upload()
        self.revoke("uni")
        commit = {"epoch": 1, "manifests": [fake_man()], "upload": upload}
        self.check("stale", "lab", "upload-committed", commit)
        self.d.open_epoch(["lab"])
        self.check("not the newest", "lab", "upload-committed", commit)
        self.check("applied", "lab", "upload-committed", commit | {"epoch": 2})

    def test_an_epoch_is_stale_by_a_retired_card_an_end_or_a_recovery_card_taken_out(self):
        self.d.grant("uni", ends=START + 1000)
        upload = self.d.open_upload()
        commit = {"epoch": 1, "manifests": [fake_man()], "upload": upload}
        self.check("stale", "lab", "upload-committed", commit, time=START + 1000)
        self.check("applied", "lab", "recovery-set", {"cards": [], "seals": []})
        self.check("stale", "lab", "upload-committed", commit)
        self.check("applied", "lab", "recovery-set", {"cards": [self.w.spare.key.id], "seals": []})
        head = self.w.head()
        self.w.add("lab", "card-retired", {"card": self.w.people["uni"].key.id, "member": "uni", "reason": ""})
        self.check("stale", "lab", "upload-committed", commit)
        self.check("applied", "lab", "upload-committed", commit, vault_head=head)       # what its author had seen

    def test_closing_belongs_to_the_opener_and_later_to_stewards_and_officers(self):
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        self.role("clinic", "officer")
        first, second = self.d.open_upload("uni", START + 500), self.d.open_upload("uni", START + 500)
        body = {"reason": "", "upload": first}
        self.check("neither the opener", "lab", "upload-closed", body)
        self.check("neither the opener", "board", "upload-closed", body, time=START + 500)
        self.check("applied", "uni", "upload-closed", body)
        self.check("not an open upload", "uni", "upload-committed", {"epoch": 1, "manifests": [fake_man()], "upload": first})
        self.d.grant("board")
        self.revoke("board")
        self.check("neither the opener", "clinic", "upload-closed", body | {"upload": second}, time=START + 500)    # stale
        self.d.open_epoch(["lab"])
        self.check("applied", "clinic", "upload-closed", body | {"upload": second}, time=START + 500)

    def test_the_upload_of_a_former_uploader_is_closed_early(self):
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        first, second = self.d.open_upload("uni"), self.d.open_upload("uni")
        body = {"reason": "", "upload": first}
        self.check("neither the opener", "lab", "upload-closed", body)
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": False})
        self.check("applied", "lab", "upload-closed", body)
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        self.check("neither the opener", "lab", "upload-closed", body | {"upload": second})
        self.w.add("lab", "member-retired", {"member": "uni", "reason": ""})
        self.check("applied", "lab", "upload-closed", body | {"upload": second})

    def test_a_manifest_has_files_packs_and_bytes(self):
        upload = self.d.open_upload()
        packs = fake_man()["packs"]
        for change in ({"files": 0}, {"files": 10_001}, {"packs": packs | {"count": 0}}, {"packs": packs | {"bytes": 0}}):
            self.check("malformed", "lab", "upload-committed", {"epoch": 1, "manifests": [fake_man(**change)], "upload": upload})

    def test_only_a_steward_supersedes_and_with_the_same_root(self):
        self.check("applied", "lab", "uploader-set", {"member": "uni", "on": True})
        old = fake_man()
        self.d.commit("uni", self.d.open_upload("uni"), old)
        upload = self.d.open_upload()

        def commit(*mans):
            return {"epoch": 1, "manifests": list(mans), "upload": upload}
        good = fake_man(supersedes=old["manifest"], root=old["root"])
        other = self.d.open_upload("uni")
        self.check("only a steward", "uni", "upload-committed", commit(good) | {"upload": other})
        self.check("may not", "lab", "upload-committed", commit(fake_man(supersedes=old["manifest"])))
        self.check("may not", "lab", "upload-committed", commit(good | {"supersedes": "cd" * 16}))
        self.check("twice", "lab", "upload-committed", commit(good, good | {"manifest": "cd" * 16}))
        fold = self.check("applied", "lab", "upload-committed", commit(good))
        self.assertTrue(fold.manifests[old["manifest"]].superseded)
        upload = self.d.open_upload()
        self.check("may not", "lab", "upload-committed", commit(good | {"manifest": "ef" * 16}))

    def test_manifests_and_paths_are_removed_by_stewards(self):
        man = fake_man()
        self.d.commit("lab", self.d.open_upload(), man)
        body = {"manifest": man["manifest"], "reason": ""}
        self.check("not a steward", "uni", "path-removed", body | {"files": [1]})
        self.check("no file named", "lab", "path-removed", body | {"files": []})
        self.check("malformed", "lab", "path-removed", body | {"files": [2, 1]})
        self.check("applied", "lab", "path-removed", body | {"files": [1, 20]})
        self.check("not committed", "lab", "manifest-removed", body | {"manifest": "ab" * 16})
        self.check("applied", "lab", "manifest-removed", body)
        self.check("or removed", "lab", "manifest-removed", body)
        self.check("or removed", "lab", "path-removed", body | {"files": [1]})


class ExposureLedgers(DatasetTest):
    APPROVALS = {"released": 1}
    LEDGER = "exposure/" + HASH

    def setUp(self):
        super().setUp()
        self.role("uni", "steward", "ds")
        self.role("clinic", "officer")

    def reserve(self, wanted="applied", who="uni", added=100, total=100):
        return self.check(wanted, who, "reserved", {"added": added, "dataset": "ds", "member": "board", "subjects": None, "total": total}, self.LEDGER)

    def released(self, wanted, reserved, cites, approval=None, who="uni"):
        body = {"approval": approval, "cites": cites, "terms": {"reserved": reserved}}
        return self.check(wanted, who, "released", body, self.LEDGER)

    def test_totals_add_up(self):
        self.reserve("not a steward", "board")
        self.reserve("wrong total", "lab", total=99)        # a steward as the creator, told from entry 0
        self.reserve()
        self.reserve("wrong total")
        fold = self.reserve(added=5, total=105)
        self.assertEqual(fold.total, 105)

    def test_a_cancelled_reservation_is_released(self):
        at = {"ledger": self.LEDGER, "seq": 0, "hash": self.reserve().hashes[-1]}
        self.w.add("uni", "reservation-cancelled", {"reservation": at}, self.d.ledger)
        cites = {"ledger": self.d.ledger, "seq": 1, "hash": self.fold().hashes[1]}
        self.released("no unreleased", HASH, cites)
        self.released("neither reserver", at["hash"], cites, who="board")
        fold = self.released("applied", at["hash"], cites)
        self.assertEqual((fold.total, list(fold.citation_errors({"ds": self.fold()}))), (0, []))
        self.released("no unreleased", at["hash"], cites)

    def test_an_attestation_asks_for_approval(self):
        self.d.grant("board")
        self.w.add("board", "destruction-attested", {"document": None, "member": "board", "scope": ""}, self.d.ledger)
        cites = {"ledger": self.d.ledger, "seq": 2, "hash": self.fold().hashes[2]}
        first = self.reserve().hashes[-1]
        second = self.reserve(added=5, total=105).hashes[-1]
        fold = self.released("applied", first, cites)
        self.assertIn("without approval", "".join(fold.citation_errors({"ds": self.fold()})))
        self.check("author may not", "board", "proposed", proposal("released", {"reserved": second}), self.LEDGER)
        p = self.w.add("uni", "proposed", proposal("released", {"reserved": second}), self.LEDGER)
        a = self.w.add("clinic", "approved", {"proposal": p}, self.LEDGER)
        self.released("member has changed", second, cites, {"approvals": [a], "proposal": p})
        beneficiary = {"member": sha256_hex(emit_json(INFO))}
        p = self.w.add("uni", "proposed", proposal("released", {"reserved": second}, **beneficiary), self.LEDGER)
        self.check("not an approver", "uni", "approved", {"proposal": p}, self.LEDGER)
        a = self.w.add("clinic", "approved", {"proposal": p}, self.LEDGER)
        fold = self.released("applied", second, cites, {"approvals": [a], "proposal": p})
        self.assertEqual((fold.total, len(list(fold.citation_errors({"ds": self.fold()})))), (0, 1))

    def test_citations_of_something_else_are_found(self):
        at = self.reserve().hashes[-1]
        fold = self.released("applied", at, {"ledger": self.d.ledger, "seq": 0, "hash": self.fold().hashes[0]})
        self.assertIn("neither a cancellation", "".join(fold.citation_errors({"ds": self.fold()})))
        self.assertEqual(list(fold.citation_errors({})), [])

    def test_a_kind_of_another_ledger_is_void(self):
        self.check("unknown kind", "lab", "uploader-set", {"member": "uni", "on": True}, self.LEDGER)
        self.assertIsInstance(self.fold(), Dataset)
