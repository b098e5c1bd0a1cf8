"""Ways to spoil the bytes of a file, drawn by a random.Random."""

from collections.abc import Callable
import random
import struct
import zlib


def spoil(rng: random.Random, data: bytes) -> tuple[str, bytes]:
  """How, and the spoilt bytes. Compressed variables of MATLAB are half the time spoilt inside."""
  change = rng.choice(CHANGES)
  if data[:6] == b'MATLAB' and rng.random() < 0.5:
    return f'{change.__name__} inside', _inside_mat(rng, data, change)
  return change.__name__, change(rng, data)


def _inside_mat(rng: random.Random, data: bytes, change: Callable) -> bytes:
  """MATLAB v5 with one of its compressed elements spoilt and packed again."""
  starts, at = [], 128
  while at + 8 <= len(data):
    starts.append(at)
    at += 8 + struct.unpack_from('<I', data, at + 4)[0]
  at = rng.choice(starts)
  kind, size = struct.unpack_from('<II', data, at)
  if kind != 15:
    return change(rng, data)
  packed = zlib.compress(change(rng, zlib.decompress(data[at + 8:at + 8 + size])))
  return data[:at] + struct.pack('<II', kind, len(packed)) + packed + data[at + 8 + size:]


def _place(rng: random.Random, data: bytes) -> int:
  """Half the time near the beginning, where headers are."""
  return rng.randrange(max(1, min(len(data), 256) if rng.random() < 0.5 else len(data)))


def flip(rng, data):
  spoilt = bytearray(data)
  for _ in range(rng.choice((1, 1, 4, 32))):
    if spoilt:
      spoilt[_place(rng, data)] ^= 1 << rng.randrange(8)
  return bytes(spoilt)


def truncate(rng, data):
  return data[:rng.randrange(len(data) + 1)]


def append(rng, data):
  return data + rng.randbytes(rng.choice((1, 2, 7, 64, 5000)))


def swap(rng, data):
  """Two blocks exchanged."""
  size = rng.randrange(1, max(2, len(data) // 3))
  a, b = sorted(rng.randrange(max(1, len(data) - size)) for _ in range(2))
  b = max(b, a + size)
  return data[:a] + data[b:b + size] + data[a + size:b] + data[a:a + size] + data[b + size:]


def huge(rng, data):
  """A size, binary or in digits, that no file has."""
  value = rng.choice((2**31 - 1, 2**32 - 1, 2**40, 2**63 - 1, 0x80000000))
  kind = rng.choice(('<I', '>I', '<Q', '>Q', 'digits'))
  new = (str(value) * rng.choice((1, 1, 20))).encode() if kind == 'digits' else struct.pack(
      kind, value & (0xffffffff if kind[1] == 'I' else 2**64 - 1))
  at = _place(rng, data)
  return data[:at] + new + data[at + len(new):]


def nan(rng, data):
  new = rng.choice((b'\0\0\xc0\x7f', b'\0\0\0\0\0\0\xf8\x7f', b'\0\0\x80\x7f', b'nan', b'-inf',
                    b'1e999', b'NaN'))
  at = _place(rng, data)
  at -= at % len(new) if len(new) in (4, 8) else 0
  return data[:at] + new + data[at + len(new):]


def not_utf8(rng, data):
  at = _place(rng, data)
  return data[:at] + rng.choice((b'\xff\xfe', b'\x80', b'\xc3\x28', b'\xed\xa0\x80')) + data[at:]


def empty(rng, data):
  del rng, data
  return b''


def repeat(rng, data):
  """A block that is there again and again."""
  at, size = _place(rng, data), rng.randrange(1, 200)
  return data[:at] + data[at:at + size] * rng.choice((2, 50)) + data[at + size:]


def cut(rng, data):
  at = _place(rng, data)
  return data[:at] + data[at + rng.randrange(1, 200):]


def blank(rng, data):
  """A block of one byte's value."""
  at, size = _place(rng, data), rng.randrange(1, 200)
  return data[:at] + rng.choice((b'\0', b'\xff', b' ', b'\n', b'9', b'(')) * size + data[at + size:]


CHANGES = (flip, truncate, append, swap, huge, nan, not_utf8, empty, repeat, cut, blank)
