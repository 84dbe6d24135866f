"""What a client keeps and is given: pins, invitations, `seen` lists (4.6, 4.7, 6.1). The reader itself keeps no pins; a test can ask."""

import base64
from typing import NamedTuple

from .encoding import Differs, Malformed, demand, parse_json
from .shapes import H, M, N, any_text, check, ledger_id, obj, set_of

PREFIX = "seqvault-invite-1."
INVITATION = obj(hash=H, location=any_text, member=M, seq=N, vault=H)


SEEN_LIST = obj(ledgers=set_of(obj(hash=H, ledger=ledger_id, seq=N), key=lambda head: head["ledger"]))


class RolledBack(Exception):
    """A ledger that does not continue what was seen of it."""


class Pin(NamedTuple):
    hash: str
    seq: int
    vault_seq: int      # the newest vault entry known then


def check_pin(pin, ledger, hashes, vault):
    """4.6: `hashes` are those of the ledger's entries, `vault` is a fold that agrees with its own pin."""
    if pin.seq < len(hashes) and hashes[pin.seq] == pin.hash:
        return
    for seq, terms in vault.recovered_entries:
        there = terms["seq"] < len(hashes) and hashes[terms["seq"]] == terms["hash"]
        if (terms["action"], terms["ledger"]) == ("cut", ledger) and ledger != "vault" \
                and seq > pin.vault_seq and terms["seq"] <= pin.seq and there:
            return
    raise RolledBack


def parse_seen_list(data):
    """6.1: the heads of all ledgers, each once."""
    fields = parse_json(data)
    check(SEEN_LIST, fields)
    return fields["ledgers"]


def parse_invitation(text):
    """4.7: the fields of an invitation."""
    demand(text.startswith(PREFIX), "another prefix")
    body = text[len(PREFIX):]
    demand(not set(body) & set("+/="), "not unpadded base64url")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Malformed("not base64url") from None
    demand(base64.urlsafe_b64encode(data).decode().rstrip("=") == body, "not canonical base64url")
    fields = parse_json(data)
    check(INVITATION, fields)
    return fields


def check_invitation(said, vault, card):
    """4.7: the entry is there, and the member was enrolled with this card at it."""
    demand(vault.has_entry(said["seq"], said["hash"]), "the vault does not have the entry", Differs)
    demand(card.id in vault.current_cards(said["member"], said["seq"]), "not enrolled with this card", Differs)
