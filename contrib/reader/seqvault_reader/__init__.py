"""A second, independent reader of seqvault format 1, written from docs/spec alone.

Section numbers in comments are those of docs/spec. The package only reads: the code that writes lives in tests/.

    encoding    1.1, 1.2, 1.4   integers, base64, canonical JSON, bound contexts
    primitives  1.3, 2.3        Ed25519 (strict), X25519, X-Wing, HPKE
    floe        3.1             the body cipher, decryption only
    blake3tree  3.3             chaining values of BLAKE3 subtrees
    keys        2.x             cards, identity files, epochs, key tables, sealed single files
    bodies      3.2 to 3.6      pack lists, groups, manifests, file roots
    shapes      5.x             the members of every statement's body
    ledger      4.x             envelope, statement, fold, forks, approvals
    vault, dataset, exposure    5.2; 5.3 to 5.5; 5.6    preconditions and effects of every kind
    clients     4.6, 4.7        pins and invitations
    bucket      6.1             a vault in a folder
    opening     3.6 to 3.8      from an identity to keys, manifests, the view and files
"""
