"""Checks the oracle itself: python self_check.py, some seconds, exits 0 when all holds.

The reference's arithmetic is compared with Python's unbounded integers on the largest entries there are; what
make_case writes passes check_blocks; and check_blocks refuses every kind of damage, naming the file.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

import packed_linear as reference
from case import CaseError, Shape
from check_blocks import check
from make_case import make


def exact_negacyclic(a: list[int], s: list[int], modulus: int) -> list[int]:
    """a·s mod X^N + 1 mod ``modulus``, through one product of two huge integers (Kronecker substitution)."""
    n, width = len(a), 12  # a coefficient of the product is below 2^12·2^56, so 12 bytes hold it
    packed = [int.from_bytes(b"".join(v.to_bytes(width, "little") for v in values), "little") for values in (a, s)]
    product = (packed[0] * packed[1]).to_bytes(2 * n * width, "little")
    wide = [int.from_bytes(product[i * width : (i + 1) * width], "little") for i in range(2 * n)]
    return [(wide[i] - wide[i + n]) % modulus for i in range(n)]


def negacyclic_products_are_exact_up_to_56_bits() -> None:
    rng = np.random.default_rng(1)
    for n in (64, 512, 4096):
        for logq in (24, 32, 40, 48, 56):
            q = 1 << logq
            random = rng.integers(0, q, n)
            for a in (np.full(n, q - 1), random, np.where(np.arange(n) % 2, q - 1, 0)):
                for s in (np.ones(n, dtype=np.int64), rng.integers(0, 2, n)):
                    found = reference.negacyclic(a, s, logq)
                    assert found.tolist() == exact_negacyclic(a.tolist(), s.tolist(), q), (n, logq)


def evaluation_is_exact_up_to_56_bits() -> None:
    rng = np.random.default_rng(2)
    for logq in (24, 40, 56):
        q, features = 1 << logq, 3000
        p = reference.Params(1, 8, logq, 8)
        mask, body = rng.integers(0, q, (features, 1, 8)), np.full((features, 2, 8), q - 1)
        w = rng.integers(-128, 128, (features, 3))
        w[:, 0] = -128
        for found, rows in zip(reference.evaluate(p, mask, body, w), (mask, body)):
            exact = (w.T.astype(object) @ rows.reshape(features, -1).astype(object)) % q
            assert found.reshape(3, -1).tolist() == exact.tolist(), logq


CASES = [
    Shape(k=3, N=512, limbs=5, outputLimbs=4, messageBits=20, bodies=2, records=700, dIn=64, dOut=10),
    Shape(k=5, N=256, limbs=4, outputLimbs=3, messageBits=15, bodies=3, records=513, dIn=16, dOut=4),
    Shape(k=7, N=256, limbs=5, outputLimbs=4, messageBits=22, bodies=1, records=1, dIn=100, dOut=3),
    Shape(k=1, N=2048, limbs=7, outputLimbs=5, messageBits=30, bodies=2, records=4096, dIn=20, dOut=5),
    Shape(k=24, N=64, limbs=5, outputLimbs=5, messageBits=18, bodies=4, records=200, dIn=8, dOut=1),
]


def what_make_case_writes_passes(scratch: Path) -> None:
    for index, shape in enumerate(CASES):
        directory = scratch / f"case-{index}"
        make(directory, shape, seed=index)
        figures = check(directory)
        assert figures["evaluated"], shape
        samples = shape.records * shape.dIn
        if samples > 1000:
            assert abs(figures["freshStd"] / figures["minimalStd"] - 1) < 5 / np.sqrt(2 * samples), (shape, figures)
        print(json.dumps({**vars(shape), **figures}))
        (directory / "out_mask.i64").unlink()
        (directory / "out_body.i64").unlink()
        assert not check(directory)["evaluated"], shape


def every_damage_is_refused(scratch: Path) -> None:
    sound = scratch / "sound"
    shape = CASES[0]
    make(sound, shape, seed=9)

    def refused(message: str, damage) -> None:
        directory = scratch / "damaged"
        shutil.copytree(sound, directory)
        damage(directory)
        try:
            check(directory)
        except CaseError as error:
            assert message in str(error), (message, str(error))
        else:
            raise AssertionError(f"damage was not noticed: {message}")
        shutil.rmtree(directory)

    def changed(file: str, kind: str, change) -> None:
        def damage(directory: Path) -> None:
            array = np.fromfile(directory / file, dtype=kind)
            change(array)
            array.tofile(directory / file)
        # Whichever array is wrong, the message names the first that no longer agrees.
        refused({"x.i32": "decryption of body", "w.i8": "out_mask"}.get(file, file.split(".")[0]), damage)

    def one_more(array: np.ndarray) -> None:
        array[-1] += 1 if array[-1] == 0 else -1

    def flipped_top_bit(array: np.ndarray) -> None:
        array[-1] ^= 1 << (8 * shape.limbs - 1)

    changed("x.i32", "<i4", one_more)
    changed("w.i8", "i1", one_more)
    for file in ("out_mask.i64", "out_body.i64", "acc.i64"):
        changed(file, "<i8", one_more)
    changed("body.i64", "<i8", flipped_top_bit)
    for file in ("mask.i64", "body.i64"):
        changed(file, "<i8", lambda array: array.__setitem__(0, 1 << 8 * shape.limbs))
    changed("secret.u8", "u1", lambda array: array.__setitem__(0, 2))
    refused("decryption of body", lambda d: np.zeros(shape.bodies * shape.k * shape.N, "u1").tofile(d / "secret.u8"))
    refused("decryption of body", lambda d: np.fromfile(d / "mask.i64", "<i8")[::-1].tofile(d / "mask.i64"))

    def noiseless(directory: Path) -> None:
        p = shape.parameters()
        mask, secret, x = (
            np.fromfile(directory / file, kind).astype(np.int64).reshape(shape.arrays()[file])
            for file, kind in (("mask.i64", "<i8"), ("secret.u8", "u1"), ("x.i32", "<i4"))
        )
        body = np.concatenate(
            [sum(reference.negacyclic(mask[:, j], s[j], p.logq) for j in range(shape.k)) for s in secret], axis=1
        )
        body = (body[:, : shape.records] + x.T * p.delta) & ((1 << p.logq) - 1)
        body.tofile(directory / "body.i64")

    refused("132-bit security", noiseless)
    refused("x.i32: 4 bytes", lambda d: (d / "x.i32").write_bytes(b"abcd"))
    refused("w.i8", lambda d: (d / "w.i8").unlink())
    refused("out_body.i64", lambda d: (d / "out_body.i64").unlink())
    refused("case.json", lambda d: (d / "case.json").write_text("{}"))
    refused("limbs is 8", lambda d: (d / "case.json").write_text(json.dumps({**vars(shape), "limbs": 8})))


def main() -> None:
    negacyclic_products_are_exact_up_to_56_bits()
    evaluation_is_exact_up_to_56_bits()
    with tempfile.TemporaryDirectory() as scratch:
        what_make_case_writes_passes(Path(scratch))
        every_damage_is_refused(Path(scratch))
    print("ok")


if __name__ == "__main__":
    main()
