"""Prints each ledger of `seqvault_reader verify --json` as (name, entries, head), sorted: what both implementations must agree on."""

import json
import sys

report = json.load(sys.stdin)
for line in sorted((item["ledger"], item["entries"], item["head"]) for item in report["ledgers"]):
    print(line)
