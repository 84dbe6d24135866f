"""Envelope, statement, the fold's seven steps, forks, and approvals (4.1, 4.2, 4.4, 4.5; 5.1 "approval").

A kind's handler is a method of the same name with `_` for `-`. It checks the author and the preconditions, raises Void,
and returns the effect as a function, so that nothing is changed before step 6.
"""

from bisect import bisect_right
from dataclasses import dataclass
from typing import NamedTuple

from .encoding import Malformed, demand, emit_json, parse_json, sha256, sha256_hex, unb64
from .primitives import verify
from .shapes import H, M, N, TIME, any_object, boolean, check, integer, ledger_id, list_of, matches, nullable, obj, text

FORMAT = 1
STATEMENT_TYPE = "application/vnd.seqvault.statement+json"
MAX_ENTRY = 16 * 1024 * 1024


class Void(Exception):
    """The entry keeps its place and changes nothing."""


class Skipped(Exception):
    """Step 4: a newer, uncritical statement."""


class Fork(Exception):
    """The reader stops here, unless an officer's `recovered` settled it."""


class NeedsNewer(Exception):
    """Step 4: a newer, critical statement."""


def need(condition, reason):
    if not condition:
        raise Void(reason)


# --- 4.1 -----------------------------------------------------------------------------------------------------------

class Envelope(NamedTuple):
    payload: bytes
    keyid: str
    signature: bytes
    signed: bytes   # the pre-authentication encoding


def pae(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


ENVELOPE_SHAPE = obj(payload=text(MAX_ENTRY), payloadType=text(64),
                     signatures=list_of(obj(keyid=H, sig=text(88)), 1, 1))


def open_envelope(stored, payload_type):
    demand(len(stored) <= MAX_ENTRY, "stored bytes over the limit")
    fields = parse_json(stored, more_names=("payloadType",))
    check(ENVELOPE_SHAPE, fields)
    demand(fields["payloadType"] == payload_type, "another payload type")
    payload, signature = unb64(fields["payload"]), fields["signatures"][0]
    return Envelope(payload, signature["keyid"], unb64(signature["sig"], 64), pae(payload_type, payload))


# --- 4.2 -----------------------------------------------------------------------------------------------------------

@dataclass
class Statement:
    author: str
    body: dict
    card: str
    critical: bool
    format: int
    kind: str
    ledger: str
    prev: str
    seq: int
    time: int
    vault: str
    vault_head: dict
    envelope: Envelope = None
    hash: str = ""  # the entry hash
    v: int = -1     # the vault entry at which roles are asked for

    def signed_by(self, card):
        return verify(card.sign, self.envelope.signed, self.envelope.signature)


STATEMENT_SHAPE = obj(author=M, body=any_object, card=H, critical=boolean, format=integer(), kind=text(MAX_ENTRY),
                      ledger=ledger_id, prev=matches("([0-9a-f]{64})?"), seq=N, time=TIME,
                      vault=matches("([0-9a-f]{64})?"), vault_head=nullable(obj(hash=H, seq=N)))


def parse_statement(stored, genesis=False):
    envelope = open_envelope(stored, STATEMENT_TYPE)
    fields = parse_json(envelope.payload)
    check(STATEMENT_SHAPE, fields)
    s = Statement(**fields, envelope=envelope)
    demand(envelope.keyid == s.card, "another key id than the statement's card")
    demand((s.prev == "") == genesis and (s.vault == "") == genesis, "an empty id outside the genesis")
    demand((s.vault_head is None) == (s.ledger == "vault"), "a vault head where none belongs, or none where one does")
    return s


# --- 4.4 -----------------------------------------------------------------------------------------------------------

class History:
    """A value by key, with the entry since which it holds: it can be asked "at v" (5.2)."""

    def __init__(self):
        self._since, self._values = {}, {}

    def put(self, key, seq, value):
        self._since.setdefault(key, []).append(seq)
        self._values.setdefault(key, []).append(value)

    def since(self, key, v):
        """(entry, value) of the last change up to `v`, or None."""
        i = bisect_right(self._since.get(key, ()), v)
        return (self._since[key][i - 1], self._values[key][i - 1]) if i else None

    def at(self, key, v, default=None):
        found = self.since(key, v)
        return found[1] if found else default


class Verdict(NamedTuple):
    seq: int
    hash: str
    kind: str       # "" if it does not parse
    outcome: str    # applied, void, skipped
    reason: str


@dataclass
class Proposal:
    seq: int
    author: str
    body: dict
    approvals: dict     # hash of `approved` -> its author
    used: bool = False


def entry_hashes(stored, vault_id=""):
    """1.2: each stands for all entries before it. The genesis has nothing before it, so its hash is the vault id."""
    hashes, before = [], bytes.fromhex(vault_id)
    for b in stored:
        before = sha256(before + b)
        hashes.append(before.hex())
    return hashes


class Fold:
    """One ledger. `vault` is the vault ledger's fold, which is itself in the vault ledger."""

    shapes = {}
    acts = {}       # act -> count k, for acts marked +a; a function of the fold

    def __init__(self, ledger, vault_id, vault=None):
        self.ledger, self.vault_id, self.vault = ledger, vault_id, vault or self
        self.verdicts, self.hashes, self.stopped = [], [], None
        self.proposals = {}
        self.last_head = 0

    def run(self, stored):
        """Folds entries 0 .. in order; stops at a fork or at a statement that needs a newer reader."""
        self.hashes = entry_hashes(stored, self.vault_id)
        for n, b in enumerate(stored):
            self.kind = ""
            try:
                outcome, reason = self.step(n, b)
            except Fork as fork:
                kind = self.kind    # looking ahead judges other entries
                if not self.settled(n, stored):
                    self.stopped = {"seq": n, "hash": self.hashes[n], "reason": str(fork)}
                    break
                outcome, reason, self.kind = "void", f"{fork}, settled", kind
            except NeedsNewer:
                self.stopped = {"seq": n, "hash": self.hashes[n], "reason": "needs a newer version"}
                break
            self.verdicts.append(Verdict(n, self.hashes[n], self.kind, outcome, reason))
        return self

    def step(self, n, stored):
        try:
            s, effect = self.judge(n, stored)
        except Void as void:
            return "void", str(void)
        except Skipped:
            return "skipped", ""
        if s.prev != self.expected_prev(n):                                                                     # step 6
            raise Fork("fork")
        effect()                                                                                                # step 7
        self.last_head = s.v
        return "applied", ""

    def judge(self, n, stored):
        """Steps 1 to 5: the statement and its effect."""
        try:
            s = self.parse(n, stored)                                                                           # step 1
        except Malformed as error:
            raise Void(f"malformed ({error})") from None
        self.kind, s.hash = s.kind, self.hashes[n]
        need((s.ledger, s.seq) == (self.ledger, n) and s.vault in (self.vault_id, ""), "misplaced")
        s.v = self.anchor(s)                                                                                    # step 2
        self.authenticate(s)                                                                                    # step 3
        if FORMAT < s.format <= self.vault.format_at(s.v):                                                      # step 4
            raise NeedsNewer if s.critical else Skipped
        need(s.format == FORMAT and s.kind in self.shapes, "unknown kind")
        try:                                                                                                    # step 5
            demand(s.critical, "a kind of this format is critical")
            check(self.shapes[s.kind], s.body)
        except Malformed as error:
            raise Void(f"malformed body ({error})") from None
        self.before(s)
        try:
            return s, getattr(self, s.kind.replace("-", "_"))(s)
        except Malformed as error:      # a card or key inside the body
            raise Void(f"malformed body ({error})") from None

    def parse(self, n, stored):
        return parse_statement(stored)

    def expected_prev(self, n):
        return self.hashes[n - 1] if n else self.vault_id

    def anchor(self, s):
        head = s.vault_head
        need(head["seq"] >= self.last_head, "older vault head")
        if self.vault.has_entry(head["seq"], head["hash"]):
            return head["seq"]
        accepted = self.vault.owner(s.card) == s.author
        need(accepted and not self.vault.was_retired(s.author, s.card, self.last_head), "unanchored, unknown author")
        need(s.signed_by(self.vault.card(s.card)), "unanchored, bad signature")
        raise Fork("unanchored")

    def authenticate(self, s):
        need(s.card in self.vault.current_cards(s.author, s.v), "unknown author")
        need(s.signed_by(self.vault.card(s.card)), "bad signature")

    def settled(self, n, stored):
        """4.5, outside the vault ledger."""
        return ("void", self.ledger, n, self.hashes[n]) in self.vault.recoveries

    def before(self, s):
        """Preconditions common to a ledger's kinds."""

    # --- approvals (5.1, 5.2) ---

    def may_propose(self, s):
        """Whether the author of `s` may propose this ledger's acts."""
        raise NotImplementedError

    def is_approver(self, member, v):
        raise NotImplementedError

    def facts_hash(self):
        return None

    def facts_seq(self):
        """The number of the entry that states the present facts and level; none outside datasets."""
        return None

    def proposed(self, s):
        need(s.body["act"] in self.acts, "not an act that asks for approval")
        need(self.may_propose(s), "the author may not propose")
        need(s.body["ends"] > s.time, "ended already")

        def effect():
            self.proposals[s.hash] = Proposal(s.seq, s.author, s.body, {})
        return effect

    def approved(self, s):
        proposal = self.proposals.get(s.body["proposal"])
        need(self.is_approver(s.author, s.v), "not an approver")
        need(proposal, "unknown proposal")
        need(s.author != proposal.author, "the proposal's author")
        need(proposal.body["ends"] > s.time, "the proposal has ended")
        need(s.author not in proposal.approvals.values(), "approved already")

        def effect():
            proposal.approvals[s.hash] = s.author
        return effect

    def approval(self, s, count, beneficiary=None):
        """Checks an act marked +a; returns the effect on its proposal. What an act names is checked also where it needs none."""
        approval, terms = s.body["approval"], s.body["terms"]
        if approval is None:
            need(count == 0, "no approval")
            return lambda: None
        proposal = self.proposals.get(approval["proposal"])
        need(proposal, "unknown proposal")
        p, beneficiary = proposal.body, beneficiary or terms.get("member")
        need(not proposal.used, "the proposal is used")
        need((p["act"], p["terms"]) == (s.kind, sha256_hex(emit_json({"act": s.kind, "terms": terms}))),
             "the proposal is of other terms")
        need(p["ends"] > s.time, "the proposal has ended")
        need(p["facts"] == self.facts_hash(), "the facts have changed since the proposal")
        need(self.facts_seq() is None or proposal.seq > self.facts_seq(), "facts or level were stated anew since")
        need(p["member"] == self.vault.info_hash(beneficiary, s.v), "the member has changed since the proposal")
        need(p["pack"] == self.vault.packs_hash(s.v), "the rule packs have changed since the proposal")
        members = {proposal.approvals.get(h) for h in approval["approvals"]}
        need(None not in members, "an approval of something else")
        need(members.isdisjoint({s.author, proposal.author, beneficiary}), "an approval by somebody concerned")
        need(all(self.is_approver(m, s.v) for m in members), "an approval by somebody without the role")
        need(len(members) >= count, "too few approvals")

        def effect():
            proposal.used = True
        return effect
