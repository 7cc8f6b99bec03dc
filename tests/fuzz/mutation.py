"""Damage to files: bytes, words and JSON, drawn from a `random.Random` so that a seed gives the same input again."""

import json
import random
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

Mutator = Callable[[random.Random, Sequence[bytes]], bytes]

_NUMBERS = [0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62]
_NUMBERS += [2**63 - 1, 2**63, 2**64 - 1, 10**9, 10**30]
_TEXTS = ["", " ", "\x00", "\n", "\x1b[31m", "\u202e", "é", "\ud7ff", "\U0001f600", "x" * 3000, "../../etc/passwd"]
_TEXTS += [
    "nan",
    "null",
    "True",
    "0",
    "-1",
    "1e999",
    "{{ 7 * 7 }}",
    "<script>",
    "[PAD]",
    "[MASK]",
    "a b",
    "'",
    '"',
    "|",
    "`",
]
_WORD = re.compile(rb"[A-Za-z_][\w-]*|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_LONGEST = 1 << 17  # of what is made; longer only takes longer


def pick(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One of the corpus."""
    return corpus[rng.randrange(len(corpus))]


def mutate_bytes(rng: random.Random, corpus: Sequence[bytes], within: tuple[int, int] | None = None) -> bytes:
    """A few damages to the bytes of one of the corpus. `within`: where most of them are done."""
    content = bytearray(pick(rng, corpus))
    for _ in range(1 << rng.randrange(5)):
        _damage(rng, content, corpus, within)
    return bytes(content[:_LONGEST])


def _damage(rng: random.Random, content: bytearray, corpus: Sequence[bytes], within: tuple[int, int] | None) -> None:
    low, high = (0, len(content)) if within is None or rng.random() < 0.2 else within
    high = max(low + 1, min(high, len(content)))
    at, length = rng.randrange(low, high), min(rng.choice((1, 1, 2, 4, 8, 16, 64, 300)), len(content))
    kind = rng.randrange(10)
    if kind == 0 and at < len(content):
        content[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and at < len(content):
        content[at] = rng.randrange(256)
    elif kind == 2:
        form = rng.choice(("<B", "<H", "<I", "<Q", ">I", ">Q"))
        size = struct.calcsize(form)
        number = (rng.choice(_NUMBERS) + rng.choice((-1, 0, 0, 1))) % (1 << 8 * size)
        content[at : at + size] = struct.pack(form, number)
    elif kind == 3:
        del content[at : at + length]
    elif kind == 4:
        content[at:at] = content[at : at + length] * rng.choice((1, 1, 2, 50))
    elif kind == 5:
        content[at:at] = rng.randbytes(length)
    elif kind == 6:
        start = rng.randrange(len(content) + 1)
        content[at : at + length] = content[start : start + length]
    elif kind == 7 and rng.random() < 0.3:
        del content[at:]
    elif kind == 8:
        other = pick(rng, corpus)
        start = rng.randrange(len(other) + 1)
        content[at : at + length] = other[start : start + rng.choice((length, 4 * length))]
    elif kind == 9:
        content[at:at] = rng.choice(_TEXTS).encode()


def mutate_text(rng: random.Random, corpus: Sequence[bytes], words: Sequence[str] = ()) -> bytes:
    """The same with whole words: swapped, left out, doubled, replaced by words of the format or by odd ones."""
    if rng.random() < 0.25:
        return mutate_bytes(rng, corpus)
    parts = _WORD.findall(pick(rng, corpus))
    for _ in range(1 << rng.randrange(4)):
        if not parts:
            break
        at, kind = rng.randrange(len(parts)), rng.randrange(7)
        if kind == 0:
            other = rng.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        elif kind == 1:
            del parts[at : at + rng.choice((1, 1, 2, 8))]
        elif kind == 2:
            parts[at:at] = parts[at : at + rng.choice((1, 3, 20))] * rng.choice((1, 2, 40))
        elif kind == 3 and words:
            parts[at] = rng.choice(words).encode()
        elif kind == 4 and words:
            parts.insert(at, rng.choice(words).encode())
        elif kind == 5:
            parts[at] = rng.choice(_TEXTS).encode()
        else:
            parts[at] = str(rng.choice(_NUMBERS) * rng.choice((1, 1, -1))).encode()
    return b"".join(parts)[:_LONGEST]


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    """A value of JSON that a reader may not expect."""
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice(_NUMBERS) * rng.choice((1, -1))
    if kind == 1:
        return rng.choice((0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("nan"), -1.5))
    if kind == 2:
        return rng.choice(_TEXTS)
    if kind == 3:
        return rng.choice((None, True, False))
    if kind == 4 and depth < 3:
        return [odd_value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 30)))]
    if kind == 5 and depth < 3:
        return {rng.choice(_TEXTS): odd_value(rng, depth + 1) for _ in range(rng.randrange(3))}
    if kind == 6 and rng.random() < 0.1:
        value: Any = 0
        for _ in range(rng.choice((50, 500))):
            value = [value]
        return value
    return rng.choice(_NUMBERS[:6])


def mutate_value(rng: random.Random, value: Any) -> Any:
    """One change somewhere in a value of JSON: another value, an entry less or more, another name, two swapped."""
    places: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict | list):
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            places += [(node, key) for key in keys]
            waiting += [node[key] for key in keys]
    if not places or rng.random() < 0.02:
        return odd_value(rng)
    node, key = rng.choice(places)
    kind = rng.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[rng.choice((*_TEXTS, str(key) + "_", str(key).upper()))] = node.pop(key)
    elif kind == 1:
        node.insert(key, odd_value(rng))
    elif kind == 2:
        other, other_key = rng.choice(places)
        if other_key in other if isinstance(other, dict) else other_key < len(other):
            copied = json.loads(json.dumps(other[other_key]))
            node[key] = copied
    elif kind == 3 and isinstance(node[key], int):
        node[key] = node[key] + rng.choice((-1, 1, 1000, 10**9))
    else:
        node[key] = odd_value(rng)
    return value


def mutate_json(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """Changes to a document of JSON, now and then to its text as well."""
    if rng.random() < 0.01:  # deeper than a reader by recursion goes
        content = pick(rng, corpus)
        at = rng.randrange(len(content) + 1)
        return content[:at] + rng.choice((b"[", b'{"a":')) * rng.choice((900, 20_000)) + content[at:]
    if rng.random() < 0.2:
        return mutate_text(rng, corpus, ("{", "}", "[", "]", ",", ":", '"', "null", "NaN", "1e400", "\\u0000"))
    try:
        value = json.loads(pick(rng, corpus))
    except (ValueError, RecursionError):
        return mutate_bytes(rng, corpus)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        value = mutate_value(rng, value)
    try:
        return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")[:_LONGEST]
    except RecursionError:
        return b"["


def mutate_json_lines(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """The same of one line, or lines doubled and swapped."""
    lines = pick(rng, corpus).split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = mutate_json(rng, [lines[at]])
    if rng.random() < 0.2:
        rng.shuffle(lines)
    return b"\n".join(lines)[:_LONGEST]
