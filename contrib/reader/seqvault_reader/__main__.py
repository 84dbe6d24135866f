"""Command line: `python -m seqvault_reader verify | ls | cat | open`. Exit status 0, or 1 with the reason on stderr."""

import argparse
import contextlib
import json
import os
import sys

from .bucket import Bucket, Gap, Missing, fold_ledger, fold_vault
from .dataset import Dataset
from .encoding import Malformed
from .exposure import Exposure
from .keys import load_identity, open_sealed_file
from .opening import Opener, Refused
from .primitives import CannotOpen
from .vault import NoVault


def report(ledger, fold=None, error=None, notes=()):
    """What `verify` says of one ledger; without a fold the error says why there is none."""
    verdicts, hashes = (fold.verdicts, fold.hashes) if fold else ((), ())
    return {"ledger": ledger, "entries": len(hashes), "head": hashes[-1] if hashes else None,
            "voids": [v._asdict() for v in verdicts if v.outcome == "void"],
            "skipped": [v.seq for v in verdicts if v.outcome == "skipped"],
            "stopped": fold and fold.stopped, "state": fold and state(fold),
            "errors": [error] if error else [], "notes": list(notes)}


def state(fold):
    """A summary by which two readers can be compared."""
    last = len(fold.verdicts) - 1
    if isinstance(fold, Dataset):
        return {"newest": fold.newest, "closed": fold.closed, "deleted": fold.deleted,
                "grants": {m: g.ends for m, g in sorted(fold.grants.items())}, "recovery": sorted(fold.recovery),
                "uploads": {u: x.state for u, x in sorted(fold.uploads.items())},
                "manifests": {m.id: "removed" if m.removed else "superseded" if m.superseded else "void" if m.void
                              else "unreadable" if m.unreadable else "visible"
                              for m in sorted(fold.manifests.values(), key=lambda m: m.id)}}
    if isinstance(fold, Exposure):
        return {"total": fold.total}
    return {"members": {m: sorted(fold.current_cards(m, last)) if fold.is_member(m, last) else None
                        for m in sorted(fold.members)},
            "officers": [m for m in sorted(fold.members) if fold.is_officer(m, last)],
            "format": fold.format_at(last), "suite": fold.suite}


def verify(args):
    bucket = Bucket(args.folder)
    vault = fold_vault(bucket, args.vault_id)
    reports = [report("vault", vault, notes=bucket.bundle_errors("vault"))]
    folds = {}
    for ledger in bucket.ledgers():
        try:
            fold = folds[ledger] = fold_ledger(bucket, vault, ledger)
        except Gap as error:
            reports.append(report(ledger, error=str(error)))
            continue
        r = report(ledger, fold, notes=bucket.bundle_errors(ledger))
        reports.append(r)
        if args.scrub and isinstance(fold, Dataset):
            errors, notes = Opener(bucket, vault, fold, None).scrub()
            r["errors"] += errors
            r["notes"] += notes
    datasets = {fold.id: fold for fold in folds.values() if isinstance(fold, Dataset)}
    for r in reports:
        if isinstance(folds.get(r["ledger"]), Exposure):
            r["errors"] += folds[r["ledger"]].citation_errors(datasets)
    bad = any(r["stopped"] or r["errors"] for r in reports)
    if args.json:
        print(json.dumps({"vault": vault.vault_id, "ok": not bad, "ledgers": reports}, indent=1))
    else:
        print("\n".join(["vault " + vault.vault_id, *map(line, reports)]))
    return bad


def line(r):
    parts = [f"{r['ledger']}: {r['entries']} entries"]
    parts += [f"void {v['seq']} ({v['reason']})" for v in r["voids"]]
    if r["stopped"]:
        parts.append(f"STOPPED at {r['stopped']['seq']} ({r['stopped']['reason']})")
    return ", ".join(parts + [f"ERROR {e}" for e in r["errors"]] + [f"note: {n}" for n in r["notes"]])


def identity_of(args):
    passphrase = os.environ.get(args.passphrase_env)
    if passphrase is None:
        raise Refused(f"the environment variable {args.passphrase_env} is not set")
    return load_identity(args.identity, passphrase)


def opener_of(args):
    bucket = Bucket(args.folder)
    vault = fold_vault(bucket, args.vault_id)
    dataset = fold_ledger(bucket, vault, "dataset/" + args.dataset)
    for fold in (vault, dataset):
        if fold.stopped:
            stop = fold.stopped
            print(f"warning: {fold.ledger} stops at entry {stop['seq']} ({stop['reason']})", file=sys.stderr)
    if dataset.creator is None:
        raise Refused(f"no dataset {args.dataset}")
    return Opener(bucket, vault, dataset, identity_of(args))


def ls(args):
    paths, unopened = opener_of(args).view()
    rows = [{"path": path, "size": v.file.size, "modified": v.file.modified, "executable": v.file.executable,
             "blake3": v.file.blake3.hex(), "manifest": v.manifest.id, "number": v.file.number, "entry": v.line[0].seq,
             "contested": len(shown) > 1} for path, shown in sorted(paths.items()) for v in shown]
    if args.json:
        print(json.dumps({"files": rows, "unopened": {m.id: reason for m, reason in unopened}}, indent=1))
    else:
        for row in rows:
            note = f"  (contested, entry {row['entry']})" if row["contested"] else ""
            print(f"{row['size']:>15} {row['path']}{note}")
    for m, reason in unopened:
        print(f"manifest {m.id}, entry {m.seq}: {reason}", file=sys.stderr)
    return bool(unopened)


def cat(args):
    opener = opener_of(args)
    write_out(args.output, opener.plaintext(opener.find(args.path), args.groups))


def open_sealed(args):
    identity = identity_of(args)
    with open(args.sealed, "rb") as file:
        write_out(args.output, open_sealed_file(identity, file.read))


def write_out(path, pieces):
    """To standard output piece by piece; a named file appears only when all of it was checked."""
    if path is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    part = path + ".part"
    try:
        with open(part, "wb") as out:
            for piece in pieces:
                out.write(piece)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def arguments():
    parser = argparse.ArgumentParser(prog="seqvault_reader", description=__doc__)
    verbs = parser.add_subparsers(required=True)

    def verb(name, run, *positional, key=True):
        p = verbs.add_parser(name)
        p.set_defaults(run=run)
        for argument in positional:
            p.add_argument(argument)
        if key:
            p.add_argument("--identity", required=True)
            p.add_argument("--passphrase-env", required=True, metavar="VAR")
        return p

    p = verb("verify", verify, "folder", key=False)
    p.add_argument("--json", action="store_true")
    p.add_argument("--vault-id", metavar="HEX")
    p.add_argument("--scrub", action="store_true", help="also check the hashes of manifests, packs and groups")
    p = verb("ls", ls, "folder", "dataset")
    p.add_argument("--json", action="store_true")
    p.add_argument("--vault-id", metavar="HEX")
    p = verb("cat", cat, "folder", "dataset", "path")
    p.add_argument("-o", "--output")
    p.add_argument("--groups", action="store_true", help="check the groups touched instead of whole packs (slow)")
    p.add_argument("--vault-id", metavar="HEX")
    p = verb("open", open_sealed, "sealed")
    p.add_argument("-o", "--output", required=True)
    return parser


def main(argv=None):
    args = arguments().parse_args(argv)
    try:
        return int(bool(args.run(args)))
    except CannotOpen:
        print("seqvault_reader: it does not open: another key, or other bytes than were sealed", file=sys.stderr)
    except (Gap, Malformed, Missing, NoVault, Refused, OSError) as error:
        print(f"seqvault_reader: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
