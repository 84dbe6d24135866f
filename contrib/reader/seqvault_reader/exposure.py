"""Exposure ledgers: what is counted across datasets for one ultimate recipient (5.6)."""

from . import shapes
from .ledger import Fold, need


class Exposure(Fold):
    shapes = shapes.EXPOSURE
    acts = {"released": lambda self: self.vault.rules["released"]}

    def __init__(self, ledger, vault_id, vault, created=None):
        """`created` gives the fold of entry 0 of a dataset's ledger by the dataset's id, which tells its creator."""
        super().__init__(ledger, vault_id, vault)
        self.created = created
        self.total, self.reservations, self.released_by = 0, {}, {}

    def may_propose(self, s):
        reserver = any(r.author == s.author for r in self.reservations.values())
        return reserver or self.vault.is_officer(s.author, s.v)

    def is_approver(self, member, v):
        return self.vault.is_officer(member, v)

    def reserved(self, s):
        b = s.body
        need(self.created(b["dataset"]).is_steward(s.author, s.v), "not a steward of that dataset")
        need(b["total"] == self.total + b["added"], "a wrong total")

        def effect():
            self.total, self.reservations[s.hash] = b["total"], s
        return effect

    def released(self, s):
        reservation = self.reservations.get(s.body["terms"]["reserved"])
        need(reservation and reservation.hash not in self.released_by, "no unreleased reservation")
        need(s.author == reservation.author or self.vault.is_officer(s.author, s.v), "neither reserver nor officer")
        # Without an approval it must cite `reservation-cancelled`, which `citation_error` checks beside the dataset.
        approved = s.body["approval"] is not None
        use = self.approval(s, self.vault.rules["released"] if approved else 0, reservation.body["member"])

        def effect():
            use()
            self.total -= reservation.body["added"]
            self.released_by[reservation.hash] = s
        return effect

    def citation_errors(self, datasets):
        """5.6, last line: what a reader who has the dataset's ledger finds wrong. `datasets` is {id: Dataset}."""
        for reserved, s in self.released_by.items():
            reservation, cites = self.reservations[reserved], s.body["cites"]
            dataset = datasets.get(reservation.body["dataset"])
            if dataset is None:
                continue
            cited = dataset.applied.get(cites["hash"])
            if not cited or (cites["ledger"], cites["seq"]) != (dataset.ledger, cited.seq):
                yield f"entry {s.seq} cites no valid entry of {dataset.ledger}"
            elif cited.kind == "reservation-cancelled":
                at = {"hash": reserved, "ledger": self.ledger, "seq": reservation.seq}
                if cited.body["reservation"] != at:
                    yield f"entry {s.seq} cites the cancellation of another reservation"
            elif cited.kind != "destruction-attested" or cited.body["member"] != reservation.body["member"]:
                yield f"entry {s.seq} cites neither a cancellation nor an attestation of the member"
            elif s.body["approval"] is None and self.vault.rules["released"]:
                yield f"entry {s.seq} cites an attestation without approval"
