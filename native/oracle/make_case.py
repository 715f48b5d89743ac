"""Writes a case encrypted and evaluated by the numpy reference, for our evaluation and decryption to be checked.

    python make_case.py DIR [--k 3] [--N 512] [--limbs 5] [--output-limbs 4] [--message-bits 20] [--bodies 2]
                            [--records 700] [--d-in 64] [--d-out 10] [--seed 1]

DIR must not exist; case.py describes the files. Besides what is encrypted it holds the reference's result
(out_mask, out_body) and the accumulators in clear (acc). Values are drawn so that the extremes of x and w occur and
the accumulators use the message bits without wrapping.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

import packed_linear as reference
from case import CaseError, Shape, of_bodies, write_array

DEFAULTS = Shape(k=3, N=512, limbs=5, outputLimbs=4, messageBits=20, bodies=2, records=700, dIn=64, dOut=10)


def make(directory: Path, shape: Shape, seed: int) -> None:
    """Writes the case of this shape to the new ``directory``.

    Raises CaseError where the noise of the shape is so large that its accumulators would be wrong.
    """
    rng = np.random.default_rng(seed)
    p = shape.parameters()
    x, w = clear_values(shape, rng)
    secret = reference.keygen(p, shape.bodies, rng)
    padded = np.zeros((shape.bodies * shape.N, shape.dIn), dtype=np.int64)
    padded[: shape.records] = x
    mask, body = reference.encrypt(p, secret, padded, rng)
    out_mask, out_body = reference.evaluate(p, mask, body, w.T)
    acc = x @ w.T
    decrypted, _ = reference.decrypt(p, secret, out_mask, out_body)
    if not np.array_equal(decrypted[: shape.records], acc):
        raise CaseError(
            f"n = k·N = {shape.k * shape.N} and q = 2^{8 * shape.limbs} are too noisy for {shape.messageBits} message bits: "
            "take a larger n or fewer message bits"
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    if directory.exists():
        raise CaseError(f"{directory} exists: name a directory that does not")
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as scratch:
        unfinished = Path(scratch) / "case"
        unfinished.mkdir()
        (unfinished / "case.json").write_text(json.dumps(asdict(shape), indent=2) + "\n")
        arrays = {
            "secret.u8": secret,
            "mask.i64": mask,
            "body.i64": of_bodies(shape, body),
            "x.i32": x,
            "w.i8": w,
            "out_mask.i64": out_mask,
            "out_body.i64": of_bodies(shape, out_body),
            "acc.i64": acc,
        }
        for file, array in arrays.items():
            write_array(unfinished, shape, file, array)
        os.rename(unfinished, directory)


def clear_values(shape: Shape, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Activations [records][dIn] and weights [dOut][dIn] whose accumulators fit the message bits.

    Weights are any s8, -128 too. Each record is as large as its worst accumulator allows; records 0 and 1 drive
    output 0 to either end.
    """
    w = rng.integers(-128, 128, size=(shape.dOut, shape.dIn))
    w[0, 0] = -128
    limit = (1 << (shape.messageBits - 1)) - 1
    largest = min(limit // int(np.abs(w).sum(axis=1).max()), (1 << 15) - 1)
    if largest < 1:
        raise CaseError(f"{shape.messageBits} message bits are too few for {shape.dIn} inputs of 8-bit weights")
    x = rng.integers(-largest, largest + 1, size=(shape.records, shape.dIn))
    for record, sign in zip(range(shape.records), (1, -1)):
        x[record] = sign * np.where(w[0] < 0, -largest, largest)
    return x, w


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("directory", type=Path, metavar="DIR")
    options = {
        "k": "--k", "N": "--N", "limbs": "--limbs", "outputLimbs": "--output-limbs", "messageBits": "--message-bits",
        "bodies": "--bodies", "records": "--records", "dIn": "--d-in", "dOut": "--d-out",
    }
    for field, option in options.items():
        arguments.add_argument(option, dest=field, type=int, default=getattr(DEFAULTS, field))
    arguments.add_argument("--seed", type=int, default=1)
    given = vars(arguments.parse_args())
    try:
        make(given.pop("directory"), seed=given.pop("seed"), shape=Shape(**given))
    except CaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
