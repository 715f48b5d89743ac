"""Checks blocks of ours against the numpy reference, which shares no code with them.

    python check_blocks.py DIR         # the directory is described in case.py

1. Our encryption decrypts to x, and its noise is not below the published curve for 132-bit security.
2. The reference's evaluation of it decrypts to x W^T, with all limbs and with the top ``outputLimbs`` of them.
3. out_mask and out_body, where given, equal the reference's evaluation entry by entry, so they decrypt to x W^T too.
4. acc, where given, is x W^T.

Prints ``ok`` and, on a second line, a JSON object; standard deviations are relative to q:

    freshStd        of the encryption's noise          minimalStd      of the 132-bit curve (tfhe-rs, Gaussian)
    outputStd       of the result's noise              truncatedStd    the same with outputLimbs limbs
    marginSigmas    half a message step over truncatedStd
    evaluated       whether out_mask and out_body were there

Otherwise prints one line to stderr that says what differs and where, and exits 1.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import packed_linear as reference
from case import CaseError, Shape, expect_equal, first, of_bodies, read_array, read_shape, to_bodies

# Fewer samples say too little of a standard deviation.
SAMPLES_TO_JUDGE_NOISE = 1000


def check(directory: Path) -> dict:
    """Checks the case in ``directory`` and returns the noise figures.

    Raises CaseError for whatever does not hold.
    """
    shape = read_shape(directory)
    secret, mask, body, x, w = (
        read_array(directory, shape, file) for file in ["secret.u8", "mask.i64", "body.i64", "x.i32", "w.i8"]
    )
    acc = x @ w.T
    expect_messages("x.i32", shape, x)
    expect_messages("accumulators x W^T", shape, acc)

    decrypted, fresh_noise = decrypt(shape, secret, mask, body)
    expect_equal("decryption of body.i64", decrypted, x)
    minimal_std = reference.glwe_std(shape.k * shape.N, 8 * shape.limbs)
    fresh_std = float(fresh_noise.std())
    # A sample's standard deviation is off by one part in sqrt(2·samples): 5 sigmas below the curve are no chance.
    chance = 5 / np.sqrt(2 * fresh_noise.size)
    if fresh_noise.size >= SAMPLES_TO_JUDGE_NOISE and fresh_std < minimal_std * (1 - chance):
        raise CaseError(f"body.i64: noise has std {fresh_std:.3g} of q, 132-bit security takes {minimal_std:.3g}")

    out_mask, out_body = reference.evaluate(shape.parameters(), mask, to_bodies(shape, body), w.T)
    out_body = of_bodies(shape, out_body)
    decrypted, output_noise = decrypt(shape, secret, out_mask, out_body)
    expect_equal("decryption of the reference's result", decrypted, acc)
    decrypted, truncated_noise = decrypt(shape, secret, truncated(shape, out_mask), truncated(shape, out_body))
    expect_equal(f"decryption of the reference's result in {shape.outputLimbs} limbs", decrypted, acc)

    ours = [(directory / file).exists() for file in ["out_mask.i64", "out_body.i64"]]
    if any(ours):
        expect_equal("out_mask.i64", read_array(directory, shape, "out_mask.i64"), out_mask)
        expect_equal("out_body.i64", read_array(directory, shape, "out_body.i64"), out_body)
    if (directory / "acc.i64").exists():
        expect_equal("acc.i64", read_array(directory, shape, "acc.i64"), acc)

    truncated_std = float(truncated_noise.std())
    return {
        "freshStd": fresh_std,
        "minimalStd": minimal_std,
        "outputStd": float(output_noise.std()),
        "truncatedStd": truncated_std,
        "marginSigmas": 2.0 ** -(shape.messageBits + 1) / truncated_std if truncated_std else None,
        "evaluated": any(ours),
    }


def decrypt(shape: Shape, secret: np.ndarray, mask: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Messages [records][features] of mask [features][k][N] and body [features][records], and the noise relative to q."""
    messages, noise = reference.decrypt(shape.parameters(), secret, mask, to_bodies(shape, body))
    # The reference returns the noise by bodies, [bodies·features·N]; coefficients without a record hold none.
    noise = noise.reshape(shape.bodies, len(body), shape.N).transpose(1, 0, 2)
    return messages[: shape.records], of_bodies(shape, noise)


def truncated(shape: Shape, entries: np.ndarray) -> np.ndarray:
    """Entries that kept only their top outputLimbs bytes, each put in the middle of what it can have been."""
    lost = 8 * (shape.limbs - shape.outputLimbs)
    return ((entries >> lost) << lost) + ((1 << lost) >> 1)


def expect_messages(what: str, shape: Shape, values: np.ndarray) -> None:
    """Refuses values that messageBits cannot hold: they would wrap, and say nothing about the blocks."""
    limit = 1 << (shape.messageBits - 1)
    outside = (values < -limit) | (values >= limit)
    if outside.any():
        place = first(outside)
        raise CaseError(f"{what}: entry {list(place)} is {values[place]}, {shape.messageBits} message bits end at {limit}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("directory", type=Path, metavar="DIR")
    try:
        figures = check(arguments.parse_args().directory)
    except CaseError as error:
        print(error, file=sys.stderr)
        return 1
    print("ok")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
