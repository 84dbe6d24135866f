"""Schemathesis's hooks: who signs, and real names among the made-up ones. `outside.conformance` starts it with these in force."""

import re
from urllib.parse import unquote

import requests
import schemathesis
from hypothesis import strategies

from .conformance import HERE
from .signer import Message, authority, sign

KEY, VAULT, NAMES = HERE.load()
PACK = "packs/[a-z0-9-]+/[0-9a-f]{32}/[0-9a-f]{32}"


class Sign(requests.auth.AuthBase):
    """Signs what is sent, last of all."""

    def __call__(self, request):
        # An object's name is a path with slashes, which OpenAPI can't say of a parameter: schemathesis escapes them.
        if "/v1/objects/" in request.url:
            path, mark, query = request.url.partition("?")
            request.url = re.sub("%2F", "/", path, flags=re.IGNORECASE) + mark + query
        body = None
        if request.method in ("PUT", "POST"):
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            # Of a wrong length HTTP's own layer says so, in a bare 400 before any route: tests/tests/e2e/requests.rs has those.
            request.headers["Content-Length"] = str(len(body))
        for name in ("Seqvault-Vault", "Content-Digest", "Signature-Input", "Signature"):
            request.headers.pop(name, None)
        # RFC 9421 wants the host; requests adds it later.
        message = Message(request.method, request.url, {"Host": authority(request.url)})
        sign(message, VAULT, KEY, body)
        request.headers.update({name: value for name, value in message.headers.items() if name != "Host"})
        return request


schemathesis.auth.set_from_requests(Sign())


@schemathesis.hook
def filter_case(ctx, case):
    """No part "." or "..": the tool's own HTTP client takes such a path apart before it is sent, so that another resource is asked for, by right,
    and its answer would be judged as the first one's. That the server refuses them is shown by tests/tests/e2e/requests.rs, which sends paths as they are."""
    parts = (part for value in (case.path_parameters or {}).values() for part in re.split("/|%2F", str(value), flags=re.IGNORECASE))
    return not any(part.replace("%2e", ".").replace("%2E", ".") in (".", "..") for part in parts)


@schemathesis.hook
def flatmap_path_parameters(ctx, path_parameters):
    """Half of the requests are about what is there: made-up names alone would never come further than "not found". What is wrong on purpose stays
    wrong."""
    given = path_parameters or {}
    declared = ctx.operation.definition.raw.get("parameters", []) if ctx.operation else []
    patterns = {one["name"]: one["schema"]["pattern"] for one in declared if one["in"] == "path" and one["name"] in NAMES}
    real = {name: NAMES[name] for name, pattern in patterns.items() if all_match([unquote(str(given.get(name)))], pattern)}
    if not real or real.keys() != patterns.keys():
        return strategies.just(path_parameters)
    known = strategies.fixed_dictionaries({name: strategies.sampled_from(values) for name, values in real.items()})
    return strategies.one_of(strategies.just(path_parameters), known.map(lambda found: {**path_parameters, **found}))


@schemathesis.hook
def flatmap_body(ctx, body):
    """The same for names in bodies that are as they should be: what is wrong on purpose stays wrong."""
    if not isinstance(body, dict):
        return strategies.just(body)
    operation = ctx.operation.path if ctx.operation else ""
    packs = strategies.sampled_from(NAMES["pack"])
    if operation == "/v1/links" and body.keys() <= {"get", "put"} and not body.get("put", []) and all_match(body.get("get", []), PACK):
        known = strategies.fixed_dictionaries({"get": strategies.lists(packs, max_size=3), "put": strategies.just([])})
    elif operation.endswith("/sweep") and body.keys() == {"upload"} and all_match([body["upload"]], "[0-9a-f]{32}"):
        known = strategies.fixed_dictionaries({"upload": strategies.sampled_from(NAMES["upload"])})
    else:
        return strategies.just(body)
    return strategies.one_of(strategies.just(body), known)


def all_match(texts, pattern):
    return isinstance(texts, list) and all(isinstance(text, str) and re.fullmatch(pattern, text) for text in texts)
