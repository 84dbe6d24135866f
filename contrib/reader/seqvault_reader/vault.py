"""The vault ledger: genesis, members, cards, roles (5.2)."""

from copy import deepcopy

from . import shapes
from .encoding import demand, emit_json, sha256_hex, unb64
from .keys import parse_card
from .ledger import Fold, Fork, History, NeedsNewer, Skipped, Void, need, parse_statement
from .primitives import SUITES


class NoVault(Exception):
    """The genesis is not valid, or not the one asked for."""


class Vault(Fold):
    shapes = shapes.VAULT
    acts = {"card-added": lambda self: self.rules["card_added"], "recovered": lambda self: self.rules["recovered"]}

    def __init__(self):
        super().__init__("vault", "")
        self.history = History()
        self.all_cards, self.members = {}, {}   # card id -> (Card, member); member -> ids of its cards, ever
        self.steward_datasets = set()
        self.recoveries = set()                 # (action, ledger, seq, hash)
        self.recovered_entries = []             # (number, terms) of each `recovered`
        self.generation = 0
        self.subject_keys = {}

    def run(self, stored, vault_id=None):
        if not stored:
            raise NoVault("there is no genesis")
        if vault_id not in (None, sha256_hex(stored[0])):
            raise NoVault("the genesis is of another vault")
        super().run(stored)
        if not self.verdicts or self.verdicts[0].outcome != "applied":
            reason = self.verdicts[0].reason if self.verdicts else self.stopped["reason"]
            raise NoVault(f"the genesis is not valid: {reason}")
        return self

    # --- what other folds ask, at v ---

    def has_entry(self, seq, entry_hash):
        """Whether it is an entry that was read: of a forked ledger nothing from the fork on is."""
        return seq < len(self.verdicts) and self.hashes[seq] == entry_hash

    def is_member(self, member, v):
        return self.history.at(("member", member), v, False)

    def is_retired(self, member, v):
        return self.history.at(("member", member), v) is False

    def current_cards(self, member, v):
        if not self.is_member(member, v):
            return set()
        return {c for c in self.members[member] if self.history.at(("card", c), v, False)}

    def owner(self, card_id):
        return self.all_cards[card_id][1] if card_id in self.all_cards else None

    def card(self, card_id):
        return self.all_cards[card_id][0]

    def card_is_current(self, card_id, v):
        return card_id in self.current_cards(self.owner(card_id), v)

    def was_retired(self, member, card_id, v):
        return self.is_retired(member, v) or self.history.at(("card", card_id), v) is False

    def has_role(self, member, role, v, dataset=None):
        return self.is_member(member, v) and self.history.at(("role", member, role, dataset), v, False)

    def role_since(self, member, role, v, dataset=None):
        return self.history.since(("role", member, role, dataset), v)

    def is_officer(self, member, v):
        return self.has_role(member, "officer", v)

    def info_hash(self, member, v):
        info = self.history.at(("info", member), v)
        return info and sha256_hex(emit_json(info))

    def packs_hash(self, v):
        """5.1, approval: of the packs in force, by name; None if there are none."""
        packs = [[name, digest] for name, digest in sorted(self.history.at("packs", v, {}).items())]
        return sha256_hex(emit_json({"act": "pack-set", "terms": packs})) if packs else None

    def format_at(self, v):
        return self.history.at("format", v, 1)

    # --- steps that differ in this ledger ---

    def parse(self, n, stored):
        return parse_statement(stored, genesis=n == 0)

    def expected_prev(self, n):
        return super().expected_prev(n) if n else ""

    def anchor(self, s):
        return s.seq - 1

    def authenticate(self, s):
        if s.seq:
            super().authenticate(s)

    def settled(self, n, stored):
        """4.5: the first later entry that passes in the state before n, but for proposals, and voids it."""
        wanted = {"action": "void", "hash": self.hashes[n], "ledger": "vault", "seq": n}
        before, self.proposals = self.proposals, deepcopy(self.proposals)
        try:
            for j in range(n + 1, len(stored)):
                try:
                    s, effect = self.judge(j, stored[j])
                except (Void, Skipped, Fork, NeedsNewer):
                    continue
                if s.prev != self.hashes[j - 1]:
                    continue
                if s.kind == "recovered" and s.body["terms"] == wanted:
                    return True
                if s.kind in ("proposed", "approved"):
                    effect()
            return False
        finally:
            self.proposals = before

    def before(self, s):
        need((s.kind == "genesis") == (s.seq == 0), "the genesis is entry 0")

    def may_propose(self, s):
        return self.is_officer(s.author, s.v)

    def is_approver(self, member, v):
        return self.is_officer(member, v)

    # --- kinds ---

    def new_cards(self, encoded, suite):
        cards = [parse_card(unb64(card)) for card in encoded]
        ids = [card.id for card in cards]
        demand(len(set(ids)) == len(ids) and self.all_cards.keys().isdisjoint(ids), "a card seen before")
        demand(all(card.suite == suite for card in cards), "a card of another suite")
        return cards

    def enrol(self, seq, member, cards, info):
        self.members[member] = []
        self.history.put(("member", member), seq, True)
        self.history.put(("info", member), seq, info)
        for card in cards:
            self.add_card(seq, member, card)

    def add_card(self, seq, member, card):
        self.members[member].append(card.id)
        self.all_cards[card.id] = (card, member)
        self.history.put(("card", card.id), seq, True)

    def genesis(self, s):
        b, suite = s.body, s.body["suite"]
        need(suite in SUITES and b["algorithms"]["kem"] == SUITES[suite].kem_name, "an unknown suite")
        members = {m["member"]: (self.new_cards(m["cards"], suite), m["info"]) for m in b["members"]}
        cards = {card.id: card for cards, _ in members.values() for card in cards}
        need(len(members) == len(b["members"]) and len(cards) == sum(len(c) for c, _ in members.values()),
             "a member or a card named twice")
        need(cards.keys() >= set(b["recovery"]), "a recovery card of nobody")
        need(s.author == b["members"][0]["member"] and s.card in {c.id for c in members[s.author][0]}, "unknown author")
        need(s.signed_by(cards[s.card]), "bad signature")

        def effect():
            self.vault_id = s.hash
            self.suite, self.rules, self.recovery = suite, b["approvals"], b["recovery"]
            for member, (own, info) in members.items():
                self.enrol(0, member, own, info)
            self.history.put(("role", s.author, "officer", None), 0, True)
        return effect

    def member_enrolled(self, s):
        b = s.body
        need(self.is_officer(s.author, s.v), "not an officer")
        need(b["member"] not in self.members, "a member id used before")
        cards = self.new_cards(b["cards"], self.suite)
        return lambda: self.enrol(s.seq, b["member"], cards, b["info"])

    def member_amended(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        need(s.body["member"] in self.members, "unknown member")
        return lambda: self.history.put(("info", s.body["member"]), s.seq, s.body["info"])

    def card_added(self, s):
        member = s.body["terms"]["member"]
        own = s.author == member
        need(own or self.is_officer(s.author, s.v), "neither that member nor an officer")
        need(self.is_member(member, s.v), "not a current member")
        need(len(self.current_cards(member, s.v)) < 64, "64 current cards already")
        card, = self.new_cards([s.body["terms"]["card"]], self.suite)
        use = self.approval(s, 0 if own else self.rules["card_added"])

        def effect():
            use()
            self.add_card(s.seq, member, card)
        return effect

    def card_retired(self, s):
        b = s.body
        need(s.author == b["member"] or self.is_officer(s.author, s.v), "neither that member nor an officer")
        need(b["card"] in self.current_cards(b["member"], s.v), "not a current card")
        return lambda: self.history.put(("card", b["card"]), s.seq, False)

    def is_last_officer(self, member, v):
        return [m for m in self.members if self.is_officer(m, v)] == [member]

    def member_retired(self, s):
        member = s.body["member"]
        need(s.author == member or self.is_officer(s.author, s.v), "neither that member nor an officer")
        need(self.is_member(member, s.v), "not a current member")
        need(not self.is_last_officer(member, s.v), "the last officer")
        return lambda: self.history.put(("member", member), s.seq, False)

    def role_set(self, s):
        member, role, dataset, on = (s.body[k] for k in ("member", "role", "dataset", "on"))
        need(self.is_officer(s.author, s.v), "not an officer")
        need((dataset is not None) == (role in ("steward", "approver")), "a role of another scope")
        need(member in self.members, "unknown member")
        need(not on or self.is_member(member, s.v), "not a current member")
        need(on or role != "officer" or not self.is_last_officer(member, s.v), "the last officer")

        def effect():
            self.history.put(("role", member, role, dataset), s.seq, on)
            if role == "steward":
                self.steward_datasets.add(dataset)
        return effect

    def officer_recovered(self, s):
        need(s.card in self.recovery, "not signed by a recovery card of the genesis")
        need(self.is_member(s.body["member"], s.v), "not a current member")
        return lambda: self.history.put(("role", s.body["member"], "officer", None), s.seq, True)

    def pack_set(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        packs = dict(self.history.at("packs", s.v, {}))
        packs.pop(s.body["name"], None)
        if s.body["on"]:
            packs[s.body["name"]] = s.body["hash"]
        return lambda: self.history.put("packs", s.seq, packs)

    def format_raised(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        need(s.body["format"] > self.format_at(s.v), "not above the present format")
        return lambda: self.history.put("format", s.seq, s.body["format"])

    def server_set(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        return lambda: None

    def seen(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        return lambda: None

    def recovered(self, s):
        need(self.is_officer(s.author, s.v), "not an officer")
        use, terms = self.approval(s, self.rules["recovered"]), s.body["terms"]

        def effect():
            use()
            self.recoveries.add((terms["action"], terms["ledger"], terms["seq"], terms["hash"]))
            self.recovered_entries.append((s.seq, terms))
        return effect

    def subject_key_set(self, s):
        steward = any(self.has_role(s.author, "steward", s.v, d) for d in self.steward_datasets)
        need(steward or self.has_role(s.author, "creator", s.v), "neither a steward by role-set nor a creator")
        need(s.body["generation"] == self.generation + 1, "not the next generation")

        def effect():
            self.generation += 1
            self.subject_keys[self.generation] = (s.author, s.body["seals"])
        return effect


