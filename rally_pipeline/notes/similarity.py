"""A hash by which nearly equal texts are told: simhash over runs of words, or of Chinese characters.

Belongs here: the hash. Does not belong here: finding the notes that are near (`quality/notes.py`).
"""

from __future__ import annotations

import hashlib
import itertools
import re

#: Words are what stands between blanks and punctuation; of Chinese, every character counts as one.
_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")
_RUN = 3
#: Of a longer text only so many words count: more do not change which text it is.
_MAX_WORDS = 20_000


def similarity_hash(text: str) -> str:
    """Simhash (Charikar 2002) of runs of three words, 64 bits in hexadecimal; case is ignored.

    Texts with fewer than eight words have the hash of all zeros, which is like no other: short headlines share too many
    words to be told apart by them.
    """
    words = [match.group().casefold() for match in itertools.islice(_WORD.finditer(text), _MAX_WORDS)]
    if len(words) < 8:
        return "0" * 16
    runs = {" ".join(words[at : at + _RUN]) for at in range(len(words) - _RUN + 1)}
    import numpy as np

    digests = b"".join(hashlib.blake2b(run.encode(), digest_size=8).digest() for run in runs)
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8).reshape(len(runs), 8), axis=1)
    majority = bits.sum(axis=0) * 2 > len(runs)
    return np.packbits(majority).tobytes().hex()
