"""Schemathesis against a server process: `python -m outside.conformance [SECONDS] [folder|s3]`.

It makes a vault with a dataset, serves it, and lets schemathesis send what the server's own OpenAPI document allows and what it does
not, signed (hooks.py), for so many seconds. What it finds is a failure: a 5xx, an answer that the document does not have, an unsigned
request that is answered, a request against the document that is taken.
"""

import collections
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .client import Client
from .signer import Key
from .site import PASSPHRASE, Site

DATASET = "conformance"


class Here(NamedTuple):
    """What the hooks, in schemathesis's own process, have to know of the site: by way of a file."""
    path: Path

    def load(self):
        said = json.loads(self.path.read_text())
        return Key.load(said["identity"], PASSPHRASE), said["vault"], said["names"]


HERE = Here(Path(os.environ.get("OUTSIDE_SITE", "/nonexistent")))


def furnish(site):
    """A dataset that somebody reads, a removed manifest, an open upload; the names of what is there."""
    run = site.room / "run"
    run.mkdir()
    for number in range(3):
        (run / f"{number}.fastq").write_bytes(os.urandom(2000))
    site.ok("lab", "dataset", "create", DATASET, "--title", "Conformance")
    site.ok("lab", "put", DATASET, "run")
    site.ok("lab", "grant", DATASET, "anna")
    site.ok("lab", "rotate", DATASET)


def names(site, url, vault):
    """By the entries of the dataset's ledger, as any client would find them."""
    from seqvault_reader.encoding import parse_json
    from seqvault_reader.ledger import STATEMENT_TYPE, open_envelope
    client = Client(url, vault, site.key("lab"))
    uploads, objects = [], ["seqvault-format"]
    for stored in client.get(f"/v1/ledgers/dataset/{DATASET}/entries").entries():
        said = parse_json(open_envelope(stored, STATEMENT_TYPE).payload)
        body = said["body"]
        if said["kind"] == "upload-committed":
            uploads.append(body["upload"])
            for man in body["manifests"]:
                objects += [f"manifests/{DATASET}/{man['manifest']}", f"packs/{DATASET}/{body['upload']}/{man['manifest']}.list"]
                listed = client.get("/v1/objects/" + objects[-1]).body
                packs = [listed[at:at + 16].hex() for at in range(20, len(listed), 52)]
        if said["kind"] == "epoch-opened":
            objects += [f"epochs/{DATASET}/{body['epoch']:010}/grants/{seal['member']}/{seal['card']}-{seal['sha256']}" for seal in body["seals"]]
        if said["kind"] == "epoch-closed":
            objects.append(f"epochs/{DATASET}/{body['epoch']:010}/table-{body['table']}")
    packs = [f"packs/{DATASET}/{uploads[0]}/{pack}" for pack in packs]
    for name in (*objects, *packs):
        assert client.ask("HEAD", "/v1/objects/" + name).status in (200, 403), name
    return {"name": objects + packs, "dataset": [DATASET], "upload": uploads, "pack": packs}


def run(seconds, store):
    with Site() as site:
        if store == "s3":
            site.weed()
        vault = site.found("anna")
        furnish(site)
        server, url = site.serve()
        here = {"identity": str(site.room / "lab.id"), "vault": vault, "names": names(site, url, vault)}
        (site.room / "site.json").write_text(json.dumps(here))
        report = site.room / "report.ndjson"
        settings = Path(__file__).resolve().parent.parent / "schemathesis.toml"
        command = [Path(sys.executable).with_name("schemathesis"), f"--config-file={settings}", "run", url + "/v1/openapi.json", f"--max-time={seconds}",
                   "--continue-on-failure", "--no-color", "--phases=examples,coverage,fuzzing", "--report=ndjson", f"--report-ndjson-path={report}", "--output-truncate=false",
                   *os.environ.get("OUTSIDE_OPTIONS", "").split()]
        environment = os.environ | {"SCHEMATHESIS_HOOKS": "outside.hooks", "OUTSIDE_SITE": str(site.room / "site.json")}
        done = subprocess.run(command, cwd=site.room, env=environment, check=False)
        statuses = seen(report)
        failed = done.returncode != 0
        # Whatever it was sent, it still does what it is for, and ends in good order.
        site.ok("lab", "verify", "--data", at=url)
        site.ok("anna", "get", DATASET, "--output", "got", at=url)
        ended = server.end(signal.SIGTERM)
        if ended != 0 or "panic" in server.said():
            print(f"the server ended with {ended}: {server.said()[-3000:]}")
            failed = True
        total = sum(statuses.values())
        print(f"{total} requests over a {store}: " + ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items())))
        # A run in which nothing was answered has shown nothing.
        for status in (200, 400, 401, 404):
            if not statuses[status]:
                print(f"no request was answered with {status}: the hooks do not work")
                failed = True
        return failed


def seen(report):
    """How many answers of each status."""
    text = report.read_text() if report.exists() else ""
    return collections.Counter(int(status) for status in re.findall(r'"status_code":\s*(\d{3})', text))


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]) if len(sys.argv) > 1 else 300, sys.argv[2] if len(sys.argv) > 2 else "folder"))
