"""The second implementation's writer (contrib/reader/tests/writer.py) with a server instead of a folder: what it would write to a file
goes out as a request of page 7, signed by whoever says it."""

import time

from seqvault_reader.keys import load_identity, parse_card
from seqvault_reader.primitives import SUITES
from tests_of_reader.writer import Key as WriterKey
from tests_of_reader.writer import World

from .client import Client
from .signer import Key
from .site import PASSPHRASE


class Person(WriterKey):
    """A real identity as the writer wants it."""

    def __init__(self, identity):
        signing = Key.of(identity)
        self.suite, self.kem_private = identity.card.suite, identity.kem_private
        self.sign, self.kem = signing.private, SUITES[identity.card.suite].public_of(identity.kem_private)
        self.id, self.card = identity.card.id, identity.card.stored


class Stranger:
    """Somebody's card, without the secrets."""

    def __init__(self, stored):
        card = parse_card(stored)
        self.id, self.kem = card.id, card.kem


class Member:
    def __init__(self, name, key):
        self.name, self.keys = name, [key]

    @property
    def key(self):
        return self.keys[0]


class RemoteWorld(World):
    """A vault behind a server. `me` is whoever writes; `cards` are the cards of the others by member id."""

    def __init__(self, url, vault, me, path, cards):
        identity = load_identity(path, PASSPHRASE)
        self.suite, self.vault_id, self.me = identity.card.suite, vault, me
        self.client = Client(url, vault, Key.of(identity))
        self.people = {me: Member(me, Person(identity))} | {name: Member(name, Stranger(card)) for name, card in cards.items()}
        self.ledgers = {}
        self.read("vault")

    def read(self, ledger):
        """Everything of a ledger, in as many requests as it takes."""
        entries = self.ledgers[ledger] = []
        more = True
        while more:
            answer = self.client.get(f"/v1/ledgers/{ledger}/entries?from={len(entries)}")
            assert answer.status == 200, answer
            entries += answer.entries()
            more = answer.headers.get("seqvault-more") == "true"
        return entries

    def put(self, *parts, data):
        answer = self.client.put("/v1/objects/" + "/".join(parts), data)
        assert answer.status == 201, (parts, answer)

    def sign(self, who, kind, body, ledger="vault", key=None, keyid=None, **override):
        self.clock = int(time.time()) - 1       # the writer's own goes on by one a statement
        return super().sign(who, kind, body, ledger, key, keyid, **override)

    def store(self, ledger, stored):
        entries = self.ledgers.setdefault(ledger, [])
        answer = self.client.put(f"/v1/ledgers/{ledger}/entries/{len(entries)}", stored)
        assert answer.status == 201, answer
        entries.append(stored)
        return self.hash(ledger)
