"""Checks a receipt with nothing of Placet's but its documentation, and no signature: hashes and paths alone."""
import base64
import hashlib
import json
import sys


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def root(leaf, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    at, last, hash_ = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if at % 2 == 1 or at == last:
            hash_ = sha(b"\x01", beside, hash_)
            while at % 2 == 0 and at != 0:
                at, last = at >> 1, last >> 1
        else:
            hash_ = sha(b"\x01", hash_, beside)
        at, last = at >> 1, last >> 1
    return hash_ if last == 0 else None


with open(sys.argv[1], encoding="utf-8") as file:
    receipt = json.load(file)
assert receipt["format"] == "placet-receipt/v1"
origin, size, wanted = receipt["checkpoint"].split("\n")[:3]
kinds = []
for entry in receipt["entries"]:
    body = entry["body"].encode()
    path = [bytes.fromhex(hash_) for hash_ in entry["path"]]
    assert root(sha(b"\x00", body), entry["seq"] - 1, int(size), path) == base64.b64decode(wanted), entry["seq"]
    said = json.loads(body)
    assert (said["seq"], said["call"]) == (entry["seq"], receipt["call"])
    kinds.append(said["kind"])
print(origin, size, *kinds)
