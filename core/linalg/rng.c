#include "core/linalg/rng.h"

#include "core/base/check.h"

#include <math.h>
#include <string.h>

enum { RNG_BLOCK = 4, RNG_ROUNDS = 10, RNG_STEP_BITS = 24 };

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t x[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < RNG_ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * x[0];
        uint64_t p1 = (uint64_t)0xCD9E8D57u * x[2];
        x[0] = (uint32_t)(p1 >> 32) ^ x[1] ^ k0;
        x[1] = (uint32_t)p1;
        x[2] = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;
        x[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    memcpy(out, x, sizeof x);
}

/* The four words of dimensions 4 block .. 4 block + 3. */
static void rng_block(struct rng_key key, uint64_t row, size_t block, uint32_t out[4])
{
    check(key.step < 1u << RNG_STEP_BITS && block <= UINT32_MAX);
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)row, (uint32_t)(row >> 32),
                                 key.step | (uint32_t)key.stream << RNG_STEP_BITS};
    const uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    rng_philox(counter, seed, out);
}

/* 1.5 2^52: adding it rounds to a whole number, which then stands in the low bits. */
static const double round_to_integer = 6755399441055744.0;

static double rng_poly(double x, const double *coefficients, int count)
{
    double sum = coefficients[count - 1];
    for (int i = count - 2; i >= 0; i--)
        sum = sum * x + coefficients[i];
    return sum;
}

/* Natural logarithm of a normal number: 2^e m with m in [sqrt(1/2), sqrt(2)), and
   log m = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = (m - 1) / (m + 1), |s| < 0.172. */
double rng_log(double x)
{
    static const double series[] = {1.0,        1.0 / 3.0,  1.0 / 5.0,  1.0 / 7.0,  1.0 / 9.0,
                                    1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0, 1.0 / 17.0, 1.0 / 19.0};
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcdu;
    uint64_t bits;
    double m;
    memcpy(&bits, &x, sizeof bits);
    uint64_t exponent = (bits - sqrt_half) & 0xfff0000000000000u;
    bits -= exponent;
    memcpy(&m, &bits, sizeof m);
    double s = (m - 1) / (m + 1);
    double log_m = 2 * s * rng_poly(s * s, series, 10);
    return (double)((int64_t)exponent >> 52) * 0.69314718055994530942 + log_m;
}

/* 2^n e^r with |r| <= log(2) / 2 and Taylor's series. log(2) is taken off in two parts, of which
   the first has 21 zero bits at its end: n times it is exact. */
double rng_exp(double x)
{
    static const double series[] = {1.0,
                                    1.0,
                                    1.0 / 2.0,
                                    1.0 / 6.0,
                                    1.0 / 24.0,
                                    1.0 / 120.0,
                                    1.0 / 720.0,
                                    1.0 / 5040.0,
                                    1.0 / 40320.0,
                                    1.0 / 362880.0,
                                    1.0 / 3628800.0,
                                    1.0 / 39916800.0,
                                    1.0 / 479001600.0,
                                    1.0 / 6227020800.0};
    double shifted = x * 1.44269504088896340736 + round_to_integer;
    double n = shifted - round_to_integer;
    double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
    uint64_t bits;
    double scale;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return scale * rng_poly(r, series, 14);
}

/* The quadrant is taken off exactly; what is left is below pi / 4, where Taylor's series is exact
   to the last bits. */
void rng_sincos_turns(double turns, double *sine, double *cosine)
{
    static const double sin_series[] = {1.0,
                                        -1.0 / 6.0,
                                        1.0 / 120.0,
                                        -1.0 / 5040.0,
                                        1.0 / 362880.0,
                                        -1.0 / 39916800.0,
                                        1.0 / 6227020800.0,
                                        -1.0 / 1307674368000.0};
    static const double cos_series[] = {1.0,
                                        -1.0 / 2.0,
                                        1.0 / 24.0,
                                        -1.0 / 720.0,
                                        1.0 / 40320.0,
                                        -1.0 / 3628800.0,
                                        1.0 / 479001600.0,
                                        -1.0 / 87178291200.0,
                                        1.0 / 20922789888000.0};
    double shifted = 4 * turns + round_to_integer;
    double angle = (turns - (shifted - round_to_integer) * 0.25) * 6.28318530717958647693;
    double square = angle * angle;
    double s = angle * rng_poly(square, sin_series, 8);
    double c = rng_poly(square, cos_series, 9);
    uint64_t quadrant;
    memcpy(&quadrant, &shifted, sizeof quadrant);
    double first = quadrant & 1 ? c : s;
    double second = quadrant & 1 ? s : c;
    *sine = quadrant & 2 ? -first : first;
    *cosine = (quadrant + 1) & 2 ? -second : second;
}

/* Box and Muller 1958: two uniforms make two independent normals, of modulus at most 6.8. */
static void rng_pair(const uint32_t words[2], float out[2])
{
    double sine, cosine;
    double radius = sqrt(-2 * rng_log((words[0] + 0.5) * 0x1p-32));
    rng_sincos_turns(words[1] * 0x1p-32, &sine, &cosine);
    out[0] = (float)(radius * cosine);
    out[1] = (float)(radius * sine);
}

static void rng_normal_block(const uint32_t words[4], float out[4])
{
    rng_pair(words, out);
    rng_pair(words + 2, out + 2);
}

static void rng_uniform_block(const uint32_t words[4], float out[4])
{
    for (int i = 0; i < RNG_BLOCK; i++)
        out[i] = ((float)(words[i] >> 9) + 0.5f) * 0x1p-23f;
}

struct rng_range {
    uint64_t row;
    size_t first;
    size_t n;
};

static void rng_fill(struct rng_key key, struct rng_range range, float *out,
                     void (*convert)(const uint32_t words[4], float out[4]))
{
    check(range.first % RNG_BLOCK == 0);
    for (size_t i = 0; i < range.n; i += RNG_BLOCK) {
        uint32_t words[RNG_BLOCK];
        float values[RNG_BLOCK];
        size_t here = range.n - i < RNG_BLOCK ? range.n - i : RNG_BLOCK;
        rng_block(key, range.row, (range.first + i) / RNG_BLOCK, words);
        convert(words, values);
        memcpy(out + i, values, here * sizeof *out);
    }
}

void rng_normal(struct rng_key key, uint64_t row, size_t first, float *out, size_t n)
{
    rng_fill(key, (struct rng_range){row, first, n}, out, rng_normal_block);
}

void rng_uniform(struct rng_key key, uint64_t row, size_t first, float *out, size_t n)
{
    rng_fill(key, (struct rng_range){row, first, n}, out, rng_uniform_block);
}

/* The high half of a 64-bit fraction times the bound. */
uint64_t rng_below(struct rng_key key, uint64_t row, uint64_t bound)
{
    uint32_t words[RNG_BLOCK];
    check(bound > 0);
    rng_block(key, row, 0, words);
    uint64_t fraction = (uint64_t)words[1] << 32 | words[0];
    return (uint64_t)((unsigned __int128)fraction * bound >> 64);
}
