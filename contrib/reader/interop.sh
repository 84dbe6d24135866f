#!/usr/bin/env bash
# The second implementation reads what the Rust client wrote, in both suites: ledgers, files whole, a sealed single file.
# Needs READER_PYTHON (a Python with requirements.txt installed) and SEQVAULT_BIN (the compiled program).

set -euo pipefail
reader_folder=$(cd "$(dirname "$0")" && pwd)
python=${READER_PYTHON:?names a Python with contrib/reader/requirements.txt installed}
program=$(realpath "${SEQVAULT_BIN:?names the seqvault program}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export SEQVAULT_INTEROP_PASSPHRASE='a passphrase with spaces, ümlauts and 中文'

# as WHO ARGUMENTS..: runs seqvault as somebody.
as() {
  local who=$1
  shift
  SEQVAULT=$vault SEQVAULT_IDENTITY="$who.id" SEQVAULT_STATE="$PWD/$who.state" \
    "$program" --quiet --passphrase-env SEQVAULT_INTEROP_PASSPHRASE "$@"
}

# reader ARGUMENTS..: runs the second implementation.
reader() {
  PYTHONPATH="$reader_folder" "$python" -m seqvault_reader "$@"
}

make_run() {
  mkdir -p run/deep/er/folder "run/名字"
  head -c 40000000 /dev/urandom >run/large.bam # two packs
  head -c 65536 /dev/urandom >run/one-segment
  head -c 131072 /dev/urandom >run/two-segments
  head -c 65537 /dev/urandom >run/one-more
  : >run/empty
  printf 'sample\n' >"run/名字/样本 1.txt"
  for i in $(seq 300); do head -c $((i * 7)) /dev/urandom >"run/deep/er/folder/tile-$i.bin"; done
  chmod +x run/one-more
}

# same NAME FILE: the second implementation opens a file of the dataset, and it is what was put.
same() {
  reader cat "$vault" cohort "$1" --identity anna.id --passphrase-env SEQVAULT_INTEROP_PASSPHRASE -o fetched
  cmp fetched "$2"
  rm fetched
}

checks=0
check_suite() {
  local suite=$1
  vault="vault-$suite"
  mkdir "suite-$suite"
  cd "suite-$suite"
  for who in officer lab sequencer anna ben; do
    as "$who" identity new "$who.id" --label "$who" --suite "$suite" --kdf-memory 8 --kdf-passes 1 >/dev/null 2>&1
    as "$who" identity card >"$who.card"
  done
  as officer init "$vault" --member officer --officer-only --jurisdiction CN >/dev/null
  for who in lab sequencer anna ben; do
    as officer member add "$who" --card "$who.card" --invitation "$who.invite" >/dev/null
    as "$who" join "$(cat "$who.invite")" >/dev/null
  done
  as officer member role lab creator >/dev/null
  as lab dataset create cohort --title 'Cohort — 队列' --uploader sequencer >/dev/null
  as sequencer put cohort ../run >/dev/null
  as lab grant cohort anna --purpose study >/dev/null
  as lab grant cohort ben --until 2100-01-01 >/dev/null

  # Keys from headers, then from a key table after a rotation, then from both.
  same run/large.bam ../run/large.bam
  as lab revoke cohort ben --reason over >/dev/null
  printf 'later\n' >later.txt
  as sequencer put cohort later.txt >/dev/null
  same later.txt later.txt
  while IFS= read -r -d '' file; do
    same "${file#../}" "$file"
    checks=$((checks + 1))
  done < <(find ../run -type f \( -size +30k -o -name '*1.*' -o -name empty -o -name one-more \) -print0)

  # The same paths, and nothing for somebody who was revoked.
  diff <(as anna ls cohort | sort) <(reader ls "$vault" cohort --identity anna.id --passphrase-env SEQVAULT_INTEROP_PASSPHRASE | sed -E "s/^ *[0-9]+ //" | sort)
  if reader cat "$vault" cohort later.txt --identity ben.id --passphrase-env SEQVAULT_INTEROP_PASSPHRASE -o no 2>/dev/null; then
    echo "a revoked member reads" >&2
    return 1
  fi

  # A re-encrypted dataset keeps its root and opens.
  as lab rotate cohort --reencrypt >/dev/null
  same run/large.bam ../run/large.bam
  same "run/名字/样本 1.txt" "../run/名字/样本 1.txt"

  # Both fold the ledgers to the same heads, and both see a changed entry.
  as lab verify --data >/dev/null
  reader verify "$vault"
  diff <(as lab verify --json | "$python" -c 'import json,sys; print(*sorted((l["ledger"], l["entries"], l["head"]) for l in json.load(sys.stdin)["ledgers"]), sep="\n")') \
    <(reader verify "$vault" --json | "$python" "$reader_folder/heads.py")
  cp -r "$vault" changed
  printf 'x' >>"changed/ledger/dataset/cohort/0000000003"
  if [ "$(reader verify changed --json | "$python" "$reader_folder/heads.py")" = "$(reader verify "$vault" --json | "$python" "$reader_folder/heads.py")" ]; then
    echo "the reader does not see a changed entry" >&2
    return 1
  fi
  rm -r changed

  as lab seal ../run/large.bam --to anna.card --to ben.card --output sealed >/dev/null
  reader open sealed --identity anna.id --passphrase-env SEQVAULT_INTEROP_PASSPHRASE -o opened
  cmp opened ../run/large.bam
  cd ..
}

make_run
check_suite 1
check_suite 2
[ "$checks" -gt 20 ] || { echo "only $checks files were compared" >&2; exit 1; }
echo "interop: both suites, $checks files compared"
