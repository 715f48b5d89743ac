"""Times other libraries' encrypted activations times clear weights: one JSON request a line in, one reply a line out.

A request is {"peer", "inputs", "outputs", "records"}; PeerMeasurement.java says what a reply holds. Everything runs on
one core. Data is random; every result is decrypted and compared.
"""

import json
import os
import sys
import time
from importlib.metadata import version

os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["RAYON_NUM_THREADS"] = "1"

import concrete_ml_extensions as concrete  # noqa: E402
import numpy as np  # noqa: E402
import tenseal  # noqa: E402

# 4096 slots, one multiplication; the smallest primes of which TenSEAL keeps the result within 0.1 % of its range.
TENSEAL_RING = 8192
TENSEAL_PRIMES = [40, 30, 40]
TENSEAL_SCALE = 2.0**30

# The most significant bits that concrete-ml-extensions promises right (its tests/conftest.py).
CONCRETE_RIGHT_BITS = 12


def seconds(work):
    """Runs work; returns its result and the seconds of processor time it took.

    On a quiet machine that is the time it took; on a busy one it is less, in this side's favour.
    """
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


class Concrete:
    """concrete-ml-extensions: rows of records times a matrix, unsigned 8-bit by unsigned 8-bit."""

    def __init__(self):
        self.keys = {}

    def measure(self, inputs, outputs, records):
        rng = np.random.default_rng(inputs)
        x = rng.integers(0, 256, size=(records, inputs), dtype=np.uint64)
        w = rng.integers(0, 256, size=(inputs, outputs), dtype=np.uint64)
        bits = (255 * 255 * inputs).bit_length()
        parameters, private_key, compression_key = self.keys_of(bits)
        ring = json.loads(concrete.default_params())["polynomial_size"]
        encrypted, encrypt_seconds = seconds(lambda: concrete.encrypt_matrix(private_key, parameters, x))
        product, evaluate_seconds = seconds(lambda: concrete.matrix_multiplication(encrypted, w, compression_key))
        result, decrypt_seconds = seconds(
            lambda: concrete.decrypt_matrix(
                product, private_key, parameters, num_valid_glwe_values_in_last_ciphertext=outputs % ring or ring
            )
        )
        error = np.abs(result.astype(np.int64) - (x @ w).astype(np.int64)).max()
        if error >> (bits - CONCRETE_RIGHT_BITS):
            raise ValueError(f"concrete-ml-extensions: error {error} in {bits} bits")
        return {
            "version": version("concrete-ml-extensions"),
            "encryptSeconds": encrypt_seconds,
            "evaluateSeconds": evaluate_seconds,
            "evaluateHalfSeconds": 0,
            "decryptSeconds": decrypt_seconds,
            "bytesUp": len(encrypted.serialize()),
            "bytesDown": len(product.serialize()),
        }

    def keys_of(self, bits):
        """Keys for accumulators of so many bits, and one more for their sign."""
        if bits not in self.keys:
            fields = json.loads(concrete.default_params())
            fields["bits_reserved_for_computation"] = bits + 1
            parameters = concrete.MatmulCryptoParameters.deserialize(json.dumps(fields))
            self.keys[bits] = (parameters, *concrete.create_private_key(parameters))
        return self.keys[bits]


class Tenseal:
    """TenSEAL: a ciphertext a feature, a record a slot, as packed circuits have it."""

    def __init__(self):
        # Symmetric: what its owner encrypts is cheaper so.
        self.context = tenseal.context(
            tenseal.SCHEME_TYPE.CKKS,
            TENSEAL_RING,
            coeff_mod_bit_sizes=TENSEAL_PRIMES,
            encryption_type=tenseal.ENCRYPTION_TYPE.SYMMETRIC,
            n_threads=1,
        )
        self.context.global_scale = TENSEAL_SCALE

    def measure(self, inputs, outputs, records):
        rng = np.random.default_rng(inputs)
        x = rng.normal(size=(records, inputs))
        w = rng.integers(-127, 128, size=(inputs, outputs)).astype(float)
        batch = tenseal.plain_tensor(x.ravel().tolist(), [records, 1, inputs])
        weights = tenseal.plain_tensor(w.ravel().tolist(), [inputs, outputs])
        half = outputs // 2
        half_weights = tenseal.plain_tensor(w[:, :half].ravel().tolist(), [inputs, half])
        encrypted, encrypt_seconds = seconds(lambda: tenseal.ckks_tensor(self.context, batch, batch=True))
        _, evaluate_half_seconds = seconds(lambda: encrypted.mm(half_weights))
        product, evaluate_seconds = seconds(lambda: encrypted.mm(weights))
        result, decrypt_seconds = seconds(product.decrypt)
        expected = x @ w
        error = np.abs(np.array(result.tolist()).reshape(expected.shape) - expected).max() / np.abs(expected).max()
        if error > 1e-3:
            raise ValueError(f"TenSEAL: error {error} of the range")
        return {
            "version": version("tenseal"),
            "encryptSeconds": encrypt_seconds,
            "evaluateSeconds": evaluate_seconds,
            "evaluateHalfSeconds": evaluate_half_seconds,
            "decryptSeconds": decrypt_seconds,
            "bytesUp": len(encrypted.serialize()),
            "bytesDown": len(product.serialize()),
        }


def main():
    peers = {"concrete-ml-extensions": Concrete(), "tenseal": Tenseal()}
    for line in sys.stdin:
        request = json.loads(line)
        peer = peers[request.pop("peer")]
        print(json.dumps(request | peer.measure(**request)), flush=True)


if __name__ == "__main__":
    main()
