"""A case: one batch-packed encrypted linear layer in a directory, in a form that any language writes in a few lines.

``case.json`` holds the shape, all integers::

    {"k": 3, "N": 512, "limbs": 5, "outputLimbs": 4, "messageBits": 20, "bodies": 2, "records": 700, "dIn": 64, "dOut": 10}

Beside it lie arrays without any header, little-endian, row-major; ciphertext entries are in [0, q), q = 2^(8*limbs):

============== ===================== ==========================================================================
file           shape                 content
============== ===================== ==========================================================================
secret.u8      [bodies][k][N]        the secret keys, bits
mask.i64       [dIn][k][N]           mask polynomials of the encrypted activations
body.i64       [dIn][records]        their bodies; record r is coefficient r % N of body r // N
x.i32          [records][dIn]        the activations in clear
w.i8           [dOut][dIn]           the weights
out_mask.i64   [dOut][k][N]          optional, with out_body: the result of the layer, all its limbs kept
out_body.i64   [dOut][records]
acc.i64        [records][dOut]       optional: the accumulators x W^T in clear
============== ===================== ==========================================================================

A ciphertext (mask, body) of m under the secret s has body = sum_j mask_j * s_j + m * q/2^messageBits + noise, in
Z_q[X]/(X^N + 1).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import packed_linear as reference


class CaseError(Exception):
    """The case is malformed, or the reference disagrees with it; the message says where."""


@dataclass(frozen=True)
class Shape:
    """Shape and parameters of a case, named as in ``case.json``."""

    k: int
    N: int
    limbs: int
    outputLimbs: int
    messageBits: int
    bodies: int
    records: int
    dIn: int
    dOut: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is not int or value < 1:
                raise CaseError(f"case.json: {name} is {value!r}, must be a positive integer")
        if self.limbs > 7:
            raise CaseError(f"case.json: limbs is {self.limbs}, the reference is exact up to 7")
        if self.outputLimbs > self.limbs:
            raise CaseError(f"case.json: outputLimbs is {self.outputLimbs}, above limbs, {self.limbs}")
        if self.messageBits > 8 * self.outputLimbs:
            raise CaseError(f"case.json: messageBits is {self.messageBits}, above {8 * self.outputLimbs}")
        if self.records > self.bodies * self.N:
            raise CaseError(f"case.json: {self.records} records, {self.bodies} bodies of {self.N} hold fewer")

    def parameters(self) -> reference.Params:
        return reference.Params(self.k, self.N, 8 * self.limbs, self.messageBits)

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Shape of the array in each file."""
        return {
            "secret.u8": (self.bodies, self.k, self.N),
            "mask.i64": (self.dIn, self.k, self.N),
            "body.i64": (self.dIn, self.records),
            "x.i32": (self.records, self.dIn),
            "w.i8": (self.dOut, self.dIn),
            "out_mask.i64": (self.dOut, self.k, self.N),
            "out_body.i64": (self.dOut, self.records),
            "acc.i64": (self.records, self.dOut),
        }


# Exclusive bounds of the arrays that have narrower ones than their type; None stands for q.
_BOUNDS = {"secret.u8": 2, "mask.i64": None, "body.i64": None, "out_mask.i64": None, "out_body.i64": None}


def read_shape(directory: Path) -> Shape:
    """The shape in ``case.json``."""
    try:
        return Shape(**json.loads((directory / "case.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise CaseError(f"case.json: {error}") from error


def read_array(directory: Path, shape: Shape, file: str) -> np.ndarray:
    """The array of ``file``, its length and range checked, as int64."""
    dimensions = shape.arrays()[file]
    try:
        flat = np.fromfile(directory / file, dtype=_type_of(file))
    except OSError as error:
        raise CaseError(f"{file}: {error}") from error
    bytes_found, bytes_wanted = (directory / file).stat().st_size, int(np.prod(dimensions)) * flat.itemsize
    if bytes_found != bytes_wanted:
        raise CaseError(f"{file}: {bytes_found} bytes, {dimensions} takes {bytes_wanted}")
    array = flat.astype(np.int64).reshape(dimensions)
    if file in _BOUNDS:
        bound = _BOUNDS[file] or 1 << 8 * shape.limbs
        outside = (array < 0) | (array >= bound)
        if outside.any():
            place = first(outside)
            raise CaseError(f"{file}: entry {place} is {array[place]}, must be in [0, {bound})")
    return array


def write_array(directory: Path, shape: Shape, file: str, array: np.ndarray) -> None:
    """Writes ``array`` to ``file``; its shape is the one that case.json implies and its values fit the type."""
    assert array.shape == shape.arrays()[file], (file, array.shape)
    narrow = array.astype(_type_of(file))
    assert np.array_equal(narrow, array), file
    narrow.tofile(directory / file)


def to_bodies(shape: Shape, rows: np.ndarray) -> np.ndarray:
    """Body entries [features][records] as polynomials [features][bodies][N], zero where no record is."""
    padded = np.zeros((len(rows), shape.bodies * shape.N), dtype=np.int64)
    padded[:, : shape.records] = rows
    return padded.reshape(len(rows), shape.bodies, shape.N)


def of_bodies(shape: Shape, polynomials: np.ndarray) -> np.ndarray:
    """Body entries [features][records] of polynomials [features][bodies][N]."""
    return polynomials.reshape(len(polynomials), -1)[:, : shape.records]


def first(condition: np.ndarray) -> tuple[int, ...]:
    """Index of the first entry that holds."""
    return tuple(int(i) for i in np.argwhere(condition)[0])


def expect_equal(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Refuses arrays that differ, naming ``what``, how many entries and the first of them."""
    differs = found != expected
    if differs.any():
        place = first(differs)
        raise CaseError(
            f"{what}: {int(differs.sum())} of {differs.size} entries differ, "
            f"the first at {list(place)} is {found[place]}, must be {expected[place]}"
        )


def _type_of(file: str) -> np.dtype:
    return np.dtype({"u8": "u1", "i8": "i1", "i32": "<i4", "i64": "<i8"}[file.rsplit(".", 1)[1]])
