"""A dataset's ledger: facts, roles, grants, epochs, uploads (5.3 to 5.5)."""

from dataclasses import dataclass, field

from . import shapes
from .encoding import emit_json, sha256_hex, unb64
from .ledger import Fold, Fork, need
from .primitives import check_kem_key

AFTER_DELETION = {"revoked", "upload-closed", "manifest-removed", "destruction-attested", "anchored"}


@dataclass
class Grant:
    ends: int | None
    entry: str          # hash of the statement that gave it


@dataclass
class Epoch:
    public: bytes
    seals: dict = field(default_factory=dict)   # (member, card) -> [(sha256, author)], oldest first


@dataclass
class Upload:
    opener: str
    ends: int
    state: str = "open"     # open, committed, closed


@dataclass
class Manifest:
    id: str
    entry: str              # hash of the `upload-committed`
    seq: int
    epoch: int
    author: str
    author_was_steward: bool
    upload: str
    man: dict
    removed: bool = False
    superseded: bool = False
    void: bool = False
    unreadable: bool = False
    removed_files: set = field(default_factory=set)

    @property
    def visible(self):
        return not (self.removed or self.superseded)

    @property
    def in_scope(self):
        return self.visible and not (self.void or self.unreadable)


class Dataset(Fold):
    shapes = shapes.DATASET
    acts = {"granted": lambda self: self.vault.rules["granted"][self.level - 1],
            "dataset-deleted": lambda self: self.vault.rules["dataset_deleted"]}

    def __init__(self, ledger, vault_id, vault, exposure=None):
        """`exposure` gives the fold of an exposure ledger by its id (4.4, 5.3)."""
        super().__init__(ledger, vault_id, vault)
        self.exposure = exposure
        self.id = ledger.partition("/")[2]
        self.creator, self.deleted = None, False
        self.applied = {}                           # hash -> Statement
        self.uploaders, self.recovery, self.ever_granted = set(), set(), set()
        self.grants, self.epochs, self.tables = {}, {}, {}
        self.newest = self.closed = 0
        self.uploads, self.manifests = {}, {}
        self.spent = set()                          # reservations, cited or cancelled, as (ledger, seq, hash)

    # --- terms of 5.1 ---

    def is_steward(self, member, v):
        """By the last `role-set`; the creator until one later than the vault entry that its creation cites."""
        last = self.vault.role_since(member, "steward", v, self.id)
        if member == self.creator and (last is None or last[0] <= self.created_at):
            by_role = True
        else:
            by_role = bool(last and last[1])
        return by_role and self.vault.is_member(member, v)

    def is_approver(self, member, v):
        return self.vault.has_role(member, "approver", v, self.id)

    def is_officer_or_steward(self, s):
        return self.vault.is_officer(s.author, s.v) or self.is_steward(s.author, s.v)

    def has_current_grant(self, member, t, v):
        grant = self.grants.get(member)
        return bool(grant) and (grant.ends is None or grant.ends > t) and self.vault.is_member(member, v)

    def granted_members(self, s, without=()):
        return {m for m in self.grants if m not in without and self.has_current_grant(m, s.time, s.v)}

    def current_recovery(self, v):
        return {c for c in self.recovery if self.vault.card_is_current(c, v)}

    def unclosed(self):
        return range(self.closed, self.newest + 1)

    def holds(self, member, epoch, t, v):
        """*holder of epoch n*."""
        cards = {c for m, c in self.epochs[epoch].seals if m == member} & self.vault.current_cards(member, v)
        return bool(cards) and (self.has_current_grant(member, t, v) or not cards.isdisjoint(self.recovery))

    def opens_unclosed(self, s):
        """*Opener of every unclosed epoch*: by the card that signs, whatever the member's others hold."""
        able = self.has_current_grant(s.author, s.time, s.v) or s.card in self.current_recovery(s.v)
        return able and all((s.author, s.card) in self.epochs[n].seals for n in self.unclosed())

    def is_holder(self, s):
        """*Holder*, alone."""
        return self.is_steward(s.author, s.v) and self.has_current_grant(s.author, s.time, s.v) \
            and (s.author, s.card) in self.epochs[self.newest].seals

    def sealed_members(self, epoch):
        return {m for m, _ in self.epochs[epoch].seals}

    def is_stale(self, s):
        recovery = self.current_recovery(s.v)
        return any(not self.vault.card_is_current(card, s.v)
                   or card not in recovery and not self.has_current_grant(member, s.time, s.v)
                   for member, card in self.epochs[self.newest].seals)

    def line(self, manifest):
        """3.7: what a manifest stands in the place of, oldest first, and itself."""
        line = [manifest]
        while line[-1].man["supersedes"]:
            line.append(self.manifests[line[-1].man["supersedes"]])
        return line[::-1]

    def in_scope(self):
        return {m.id for m in self.manifests.values() if m.in_scope}

    def facts_hash(self):
        return sha256_hex(emit_json(self.facts))

    def facts_seq(self):
        return self.facts_at

    def cards_of(self, members, s):
        return {(m, c) for m in members for c in self.vault.current_cards(m, s.v)}

    def recovery_cards(self, cards):
        return {(self.vault.owner(c), c) for c in cards}

    # --- bookkeeping ---

    def before(self, s):
        need((self.creator is None) == (s.kind == "dataset-created"), "not created yet, or already")
        need(not self.deleted or s.kind in AFTER_DELETION, "the dataset is deleted")

    def step(self, n, stored):
        outcome = super().step(n, stored)
        if outcome[0] == "applied":
            self.applied[self.hashes[n]] = self.statement
        return outcome

    def judge(self, n, stored):
        self.statement, effect = super().judge(n, stored)
        return self.statement, effect

    def may_propose(self, s):
        return self.is_steward(s.author, s.v)

    def may_rescue(self, s):
        """The exception of `granted`: there is no holder in the narrow sense, the author opens every unclosed epoch."""
        return self.opens_unclosed(s) and not any(
            self.is_steward(m, s.v) and self.has_current_grant(m, s.time, s.v) and self.vault.card_is_current(c, s.v)
            for m, c in self.epochs[self.newest].seals)

    def reservations(self, named, usable):
        """5.3: none may be spent; `usable(member, reserved)` judges those that exist. Returns the effect.

        It is the last check of a statement, because one that lacks nothing but a reservation is a fork (step 5)."""
        keys, missing = [(r["ledger"], r["seq"], r["hash"]) for _, r in named], False
        need(self.spent.isdisjoint(keys), "a reservation that is cited or cancelled")
        for (member, _), (ledger, seq, digest) in zip(named, keys):
            need(ledger.startswith("exposure/"), "a reservation outside the exposure ledgers")
            exposure = self.exposure(ledger)
            if seq < len(exposure.verdicts) and exposure.hashes[seq] == digest:
                need(digest in exposure.reservations, "not a valid `reserved`")
                usable(member, exposure.reservations[digest])
            else:
                missing = True
        if missing:
            raise Fork("a reservation that is not there")
        return lambda: self.spent.update(keys)

    def free_for(self, member, reserved):
        need((reserved.body["dataset"], reserved.body["member"]) == (self.id, member), "a reservation for another")

    def give(self, s, member, ends):
        self.grants[member] = Grant(ends, s.hash)
        self.ever_granted.add(member)

    def end_grants(self, members):
        for member in members:
            self.grants.pop(member, None)

    def add_seals(self, s, seals, epoch=None):
        for seal in seals:
            held = self.epochs[epoch or seal["epoch"]].seals
            held.setdefault((seal["member"], seal["card"]), []).append((seal["sha256"], s.author))

    def open_epoch(self, s, number, public, seals):
        self.newest, self.epochs[number] = number, Epoch(public)
        self.add_seals(s, seals, number)

    def public_key(self, encoded):
        public = unb64(encoded)
        check_kem_key(self.vault.suite, public)
        return public

    @staticmethod
    def exactly(seals, cards, epochs=None):
        named = {(s["member"], s["card"]) + ((s["epoch"],) if epochs is not None else ()) for s in seals}
        wanted = cards if epochs is None else {(m, c, n) for m, c in cards for n in epochs}
        need(named == wanted, "sealed to other cards than it must be")

    # --- 5.3 ---

    def dataset_created(self, s):
        b = s.body
        need(s.seq == 0, "not entry 0")
        need(self.vault.has_role(s.author, "creator", s.v), "not a creator")
        need(all(self.vault.card_is_current(c, s.v) for c in b["recovery"]), "a recovery card that is not current")
        self.exactly(b["epoch"]["seals"], self.cards_of([s.author], s) | self.recovery_cards(b["recovery"]))
        public = self.public_key(b["epoch"]["public"])

        def effect():
            self.creator, self.created_at = s.author, s.v
            self.set_facts(s)
            self.recovery, self.closed = set(b["recovery"]), 1
            self.open_epoch(s, 1, public, b["epoch"]["seals"])
            self.give(s, s.author, None)
        return effect

    def set_facts(self, s):
        self.facts, self.level, self.facts_author = s.body["facts"], s.body["level"], s.author
        self.facts_at = s.seq

    def facts_amended(self, s):
        b = s.body
        need(self.is_steward(s.author, s.v), "not a steward")
        need(self.grants.keys() >= set(b["suspends"]), "no grant")
        cite = self.reservations([(r["member"], r["reservation"]) for r in b["reservations"]], self.free_for)

        def effect():
            cite()
            self.set_facts(s)
            self.end_grants(b["suspends"])
        return effect

    def grade_confirmed(self, s):
        need(self.is_approver(s.author, s.v), "not an approver")
        need(s.author != self.facts_author, "the author of the facts")
        need((s.body["facts"], s.body["level"]) == (self.facts_hash(), self.level), "not the present facts and level")
        return lambda: None

    def uploader_set(self, s):
        member, on = s.body["member"], s.body["on"]
        need(self.is_steward(s.author, s.v), "not a steward")
        need(not on or self.vault.is_member(member, s.v), "not a current member")
        return lambda: (self.uploaders.add if on else self.uploaders.discard)(member)

    def recovery_set(self, s):
        cards, seals = set(s.body["cards"]), s.body["seals"]
        need(self.is_holder(s), "not a holder")
        need(all(self.vault.card_is_current(c, s.v) for c in cards), "a card that is not current")
        wanted = {(m, c, n) for m, c in self.recovery_cards(cards - self.recovery) for n in self.unclosed()
                  if (m, c) not in self.epochs[n].seals}
        need({(x["member"], x["card"], x["epoch"]) for x in seals} == wanted, "sealed to other cards than it must be")

        def effect():
            self.recovery = cards
            self.add_seals(s, seals)
        return effect

    def granted(self, s):
        b, terms = s.body, s.body["terms"]
        member = terms["member"]
        need(self.is_holder(s) or self.may_rescue(s) and self.is_steward(member, s.v), "not a holder")
        use = self.approval(s, self.acts["granted"](self))
        need(self.vault.current_cards(member, s.v), "not a current member with a current card")
        need(terms["ends"] is None or terms["ends"] > s.time, "ended already")
        self.exactly(b["seals"], self.cards_of([member], s), self.unclosed())
        cite = self.reservations([(member, b["reservation"])] if b["reservation"] else [], self.free_for)

        def effect():
            use()
            cite()
            self.give(s, member, terms["ends"])
            self.add_seals(s, b["seals"])
        return effect

    def card_sealed(self, s):
        member, seals = s.body["member"], s.body["seals"]
        own = s.author == member and self.opens_unclosed(s)
        need(self.is_holder(s) or own, "neither a holder nor the member, as opener of every unclosed epoch")
        need(self.has_current_grant(member, s.time, s.v), "no current grant")
        cards = {(member, seal["card"]) for seal in seals}
        need(cards and cards <= self.cards_of([member], s), "no card, or one that is not current")
        self.exactly(seals, cards, self.unclosed())
        return lambda: self.add_seals(s, seals)

    def agreement_accepted(self, s):
        grant = self.grants.get(s.author)
        need(self.has_current_grant(s.author, s.time, s.v) and grant.entry == s.body["grant"],
             "not the author's current grant")
        return lambda: None

    def suspended(self, s, at_least=1):
        members = s.body["members"]
        need(self.is_officer_or_steward(s), "neither an officer nor a steward")
        need(len(members) >= at_least, "nobody named")
        need(self.grants.keys() >= set(members), "no grant")
        return lambda: self.end_grants(members)

    def consent_withdrawn(self, s):
        return self.suspended(s, at_least=0)

    def revoked(self, s):
        member = s.body["member"]
        need(s.author == member or self.is_officer_or_steward(s), "neither that member nor an officer nor a steward")
        need(member in self.grants, "no grant")
        return lambda: self.end_grants([member])

    def destruction_attested(self, s):
        member = s.body["member"]
        need(s.author == member or self.vault.is_officer(s.author, s.v) and self.vault.is_retired(member, s.v),
             "neither that member nor an officer for a retired one")
        need(member in self.ever_granted, "never granted")
        return lambda: None

    def reservation_cancelled(self, s):
        def usable(_, reserved):
            need(s.author == reserved.author or self.vault.is_officer(s.author, s.v), "neither reserver nor officer")
        try:
            return self.reservations([(None, s.body["reservation"])], usable)
        except Fork:
            need(self.is_officer_or_steward(s), "neither an officer nor a steward, and it is not there")
            raise

    def anchored(self, s):
        need(s.v > self.last_head, "no newer vault head")
        return lambda: None

    def dataset_deleted(self, s):
        need(self.is_steward(s.author, s.v), "not a steward")
        use = self.approval(s, self.acts["dataset-deleted"](self))

        def effect():
            use()
            self.deleted = True
        return effect

    # --- 5.4 ---

    def epoch_opened(self, s):
        b, revokes = s.body, s.body["revokes"]
        need(self.is_holder(s) and s.author not in revokes, "not a holder, or revoked by itself")
        need(b["epoch"] == self.newest + 1, "not the next epoch")
        need(self.grants.keys() >= set(revokes), "no grant")
        members = self.granted_members(s, without=revokes)
        self.exactly(b["seals"], self.cards_of(members, s) | self.recovery_cards(self.current_recovery(s.v)))
        cardless = sorted(m for m in members if not self.vault.current_cards(m, s.v))
        need(b["unsealed"] == cardless, "other members without a card")
        public = self.public_key(b["public"])

        def effect():
            self.end_grants(revokes)
            self.open_epoch(s, b["epoch"], public, b["seals"])
        return effect

    def epoch_closed(self, s):
        b, void = s.body, set(s.body["void"])
        need(self.is_steward(s.author, s.v) and self.opens_unclosed(s), "not a steward, as opener of every unclosed epoch")
        need(b["epoch"] == self.newest > self.closed, "not the newest epoch, or closed already")
        earlier = {m for m in self.in_scope() if self.manifests[m].epoch < b["epoch"]}
        need(void <= earlier and b["count"] + len(void) == len(earlier), "other manifests than those in scope")
        need((b["table"] is None) == (b["count"] == 0), "a table of nothing, or none of something")

        def effect():
            self.closed, self.tables[b["epoch"]] = b["epoch"], (b["table"], b["count"])
            for manifest in void:
                self.manifests[manifest].void = True
        return effect

    def epoch_reset(self, s):
        b = s.body
        need(self.is_steward(s.author, s.v), "not a steward")
        need(not any(self.holds(m, self.newest, s.time, s.v) for m in self.sealed_members(self.newest)),
             "somebody holds the newest epoch")
        need(b["epoch"] == self.newest + 1, "not the next epoch")
        self.exactly(b["seals"], self.cards_of([s.author], s) | self.recovery_cards(self.current_recovery(s.v)))
        need(set(b["unreadable"]) == self.in_scope(), "other manifests than those in scope")
        public = self.public_key(b["public"])

        def effect():
            self.open_epoch(s, b["epoch"], public, b["seals"])
            self.closed = self.newest
            self.grants.clear()
            self.give(s, s.author, None)
            for manifest in b["unreadable"]:
                self.manifests[manifest].unreadable = True
        return effect

    # --- 5.5 ---

    def may_upload(self, member, v):
        return self.vault.is_member(member, v) and (member in self.uploaders or self.is_steward(member, v))

    def open_upload(self, s):
        upload = self.uploads.get(s.body["upload"])
        need(upload and upload.state == "open", "not an open upload")
        return upload

    def upload_opened(self, s):
        b = s.body
        need(self.may_upload(s.author, s.v), "neither an uploader nor a steward")
        need(b["upload"] not in self.uploads, "an upload id used before")
        need(b["ends"] > s.time, "ended already")

        def effect():
            self.uploads[b["upload"]] = Upload(s.author, b["ends"])
        return effect

    def upload_extended(self, s):
        upload = self.open_upload(s)
        need(s.author == upload.opener, "not the opener")
        need(s.body["ends"] > upload.ends, "not later than before")

        def effect():
            upload.ends = s.body["ends"]
        return effect

    def upload_committed(self, s):
        b, upload = s.body, self.open_upload(s)
        need(s.author == upload.opener and self.may_upload(s.author, s.v), "not the opener, or no uploader any more")
        need(b["epoch"] == self.newest, "not the newest epoch")
        need(not self.is_stale(s), "the epoch is stale")
        ids = [man["manifest"] for man in b["manifests"]]
        need(len(set(ids)) == len(ids) and self.manifests.keys().isdisjoint(ids), "a manifest id used before")
        superseded = [(man["supersedes"], man["root"]) for man in b["manifests"] if man["supersedes"]]
        steward = self.is_steward(s.author, s.v)
        need(steward or not superseded, "only a steward supersedes")
        need(len(dict(superseded)) == len(superseded), "superseded twice")
        for old, root in superseded:
            need(old in self.in_scope() and self.manifests[old].man["root"] == root, "supersedes what it may not")

        def effect():
            upload.state = "committed"
            for old, _ in superseded:
                self.manifests[old].superseded = True
            for man in b["manifests"]:
                self.manifests[man["manifest"]] = Manifest(
                    man["manifest"], s.hash, s.seq, b["epoch"], s.author, steward, b["upload"], man)
        return effect

    def upload_closed(self, s):
        upload = self.open_upload(s)
        left = s.time >= upload.ends or not self.may_upload(upload.opener, s.v)
        need(s.author == upload.opener or left and self.is_officer_or_steward(s) and not self.is_stale(s),
             "neither the opener nor, once it ended or its opener lost the role, a steward or officer")

        def effect():
            upload.state = "closed"
        return effect

    def committed_manifest(self, s):
        need(self.is_steward(s.author, s.v), "not a steward")
        manifest = self.manifests.get(s.body["manifest"])
        need(manifest and not manifest.removed, "not committed, or removed")
        return manifest

    def manifest_removed(self, s):
        manifest = self.committed_manifest(s)

        def effect():
            manifest.removed = True
        return effect

    def path_removed(self, s):
        manifest = self.committed_manifest(s)
        need(s.body["files"], "no file named")
        return lambda: manifest.removed_files.update(s.body["files"])
