"""Signed requests (7.2), by an RFC 9421 library that knows nothing of seqvault.

What the library leaves to us: which components and parameters, and their order. It has an order of its own for parameters, so
`_Signer` puts them into the one that 7.2 wants.
"""

import base64
import datetime
import hashlib
import os
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver
from http_message_signatures.algorithms import ED25519
from seqvault_reader.keys import Identity, load_identity

COMPONENTS = ("@method", "@authority", "@path", "@query", "seqvault-vault")
PARAMETERS = ("created", "nonce", "alg", "keyid", "tag")
TAG = "seqvault-1"


class _Signer(HTTPMessageSigner):
    """As the library's, with the parameters in the order of 7.2."""

    def _build_signature_base(self, message, *, signature_params, **rest):
        ordered = {name: signature_params[name] for name in PARAMETERS if name in signature_params}
        return super()._build_signature_base(message, signature_params=ordered, **rest)


class Message:
    """What the library needs of a request."""

    def __init__(self, method, url, headers):
        self.method, self.url, self.headers = method, url, headers


class Key(NamedTuple):
    """What signs: a card's id and its private key."""
    card: str
    private: Ed25519PrivateKey

    @classmethod
    def of(cls, identity: Identity):
        return cls(identity.card.id, Ed25519PrivateKey.from_private_bytes(identity.sign_seed))

    @classmethod
    def load(cls, path, passphrase):
        """From an identity file that `seqvault identity new` made."""
        return cls.of(load_identity(path, passphrase))


def content_digest(body):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(body).digest()).decode() + ":"


def sign(message, vault, key, body=None, created=None, nonce=None, **changes):
    """Adds the headers of 7.2 to a request. `body` is None for GET, HEAD and DELETE, and bytes, perhaps none, for PUT and POST.

    `changes` go to the library as they are: what a test wants to be wrong.
    """
    message.headers["Seqvault-Vault"] = vault
    made = changes.pop("signer", _Signer)(
        signature_algorithm=ED25519, key_resolver=MappingKeyResolver(public_keys={}, private_keys={key.card: key.private}))
    options = {"key_id": key.card, "nonce": nonce or os.urandom(16).hex(), "label": "sig", "tag": TAG,
               "created": created or datetime.datetime.now(), "covered_component_ids": COMPONENTS}
    # The library makes Content-Digest of the body and covers it, last.
    made.sign(message, body=body, **(options | changes))
    return message


def authority(url):
    """Host and port as `Host` has them."""
    return urlsplit(url).netloc
