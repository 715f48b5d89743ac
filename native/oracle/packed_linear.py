"""Reference of the batch-packed encrypted linear layer (clear, slow, numpy): x[T,d] int8 times W[d,o] int8, exact.

One GLWE ciphertext per FEATURE; its N coefficients are N RECORDS. K bodies (secrets S_0..S_{K-1}) share one mask, so a
block holds T = K*N records. Evaluating the layer is an integer matrix product of (mask rows ; body rows) with W mod q.
"""
import numpy as np

def glwe_std(n, logq):                # tfhe-rs secure_noise.rs, 132-bit security, Gaussian, relative to q
    return np.sqrt(2.0 ** (4 - 2 * logq) + 2.0 ** (5.31469187675068 - 0.0497829131652661 * n))

def negacyclic(a, s, logq):           # a: [..., N] ints mod 2^logq, s: [N] binary -> a*s mod X^N+1 mod 2^logq (exact)
    N = a.shape[-1]
    z = np.exp(1j * np.pi * np.arange(N) / N)
    fs = np.fft.fft(s * z)
    def mul(v): return np.rint((np.fft.ifft(np.fft.fft(v * z) * fs) / z).real).astype(np.int64)
    out = np.zeros(a.shape, dtype=np.int64)
    for shift in range(0, logq, 20):  # digits of 20 bits: f64 sums stay below N*2^20, exact for any logq; << wraps mod 2^64
        out += mul((a >> shift) & ((1 << 20) - 1)) << shift
    return out & ((1 << logq) - 1)

class Params:
    def __init__(self, k, N, logq, bits): self.k, self.N, self.logq, self.bits = k, N, logq, bits
    delta = property(lambda s: 1 << (s.logq - s.bits))     # message m in [-2^(bits-1), 2^(bits-1)) is encoded as delta*m

def keygen(p, K, rng): return rng.integers(0, 2, size=(K, p.k, p.N)).astype(np.int64)

def encrypt(p, S, x, rng):            # x: [K*N, d] -> mask [d,k,N], body [d,K,N]
    K, d = len(S), x.shape[1]
    mask = rng.integers(0, 1 << p.logq, size=(d, p.k, p.N), dtype=np.int64)
    sd = glwe_std(p.k * p.N, p.logq) * 2.0 ** p.logq
    body = np.empty((d, K, p.N), dtype=np.int64)
    for b in range(K):
        m = x[b * p.N:(b + 1) * p.N].T.astype(np.int64) * p.delta
        e = np.rint(rng.normal(0, sd, size=m.shape)).astype(np.int64)
        body[:, b] = (sum(negacyclic(mask[:, j], S[b, j], p.logq) for j in range(p.k)) + m + e) & ((1 << p.logq) - 1)
    return mask, body

def evaluate(p, mask, body, W):       # the whole server: rows x W mod q, by 8-bit limbs as an int8 GEMM engine would
    d = mask.shape[0]
    rows = np.concatenate([mask.reshape(d, -1), body.reshape(d, -1)], axis=1).T          # [(k+K)*N, d]
    out = np.zeros((rows.shape[0], W.shape[1]), dtype=np.int64)
    for l in range((p.logq + 7) // 8):
        limb = ((rows >> (8 * l)) & 255)
        out += (limb.astype(np.float64) @ W.astype(np.float64)).astype(np.int64) << (8 * l)   # int32 accumulators in a kernel
    out &= (1 << p.logq) - 1
    return out[:p.k * p.N].T.reshape(-1, p.k, p.N), out[p.k * p.N:].T.reshape(-1, len(body[0]), p.N)

def decrypt(p, S, mask, body):        # -> [K*N, o] accumulators, and the residual noise in units of q
    K, o = body.shape[1], body.shape[0]
    y = np.empty((K * p.N, o), dtype=np.int64); noise = []
    for b in range(K):
        ph = (body[:, b] - sum(negacyclic(mask[:, j], S[b, j], p.logq) for j in range(p.k))) & ((1 << p.logq) - 1)
        ph = np.where(ph >= 1 << (p.logq - 1), ph - (1 << p.logq), ph)
        m = (ph + p.delta // 2) // p.delta                     # in integers: f64 cannot hold a phase of 56 bits
        noise.append(ph - m * p.delta); y[b * p.N:(b + 1) * p.N] = m.T
    return y, np.concatenate(noise, axis=None) / 2.0 ** p.logq

if __name__ == "__main__":
    rng = np.random.default_rng(1)
    for k, N, logq, bits, wb in [(3, 512, 40, 21, 8), (5, 256, 32, 15, 6), (6, 256, 40, 20, 8), (1, 2048, 54, 24, 8)]:
        p = Params(k, N, logq, bits); K, d, o = 4, 768, 32
        S = keygen(p, K, rng)
        ab = min(8, bits - 7)
        x = np.clip(np.rint(rng.normal(0, 2 ** (ab - 1) / 4, size=(K * N, d))), -2 ** (ab - 1), 2 ** (ab - 1) - 1).astype(np.int64)
        W = np.clip(np.rint(rng.normal(0, 2 ** (wb - 1) / 4, size=(d, o))), -2 ** (wb - 1), 2 ** (wb - 1) - 1).astype(np.int64)
        m, b = encrypt(p, S, x, rng); y, noise = decrypt(p, S, *evaluate(p, m, b, W))
        exact = x @ W
        w2 = np.linalg.norm(W, axis=0).max()
        pred = glwe_std(k * N, logq) * w2
        print(f"k={k} N={N} q=2^{logq} p={bits} acts {ab}b w {wb}b: wrong {np.sum(y != exact)}/{y.size} (range needs 2^{np.log2(np.abs(exact).max())+1:.1f})"
              f"  noise 2^{np.log2(noise.std()):.2f} predicted 2^{np.log2(pred):.2f}  margin {0.5 / 2**bits / noise.std():.1f} sigma")
