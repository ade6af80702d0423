/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
   easy as 1, 2, 3"). A number is a pure function of (seed, stream, row, dimension, step), so that
   row i is the same whatever is drawn beside it. Bit-equal on every IEEE machine: no libm, no fused
   or reassociated arithmetic. Thread: any. */
#ifndef CORE_LINALG_RNG_H
#define CORE_LINALG_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What the numbers are for: part of the counter, so that uses never meet. At most 255. */
enum rng_stream {
    RNG_SOURCE,     /* x0 of sampling */
    RNG_WIENER,     /* increments of stochastic samplers */
    RNG_INIT,       /* initial weights */
    RNG_BATCH,      /* which training rows make a batch */
    RNG_TRAIN_X0,   /* x0 of training */
    RNG_TRAIN_TIME, /* t of training */
    RNG_SPLIT,      /* which rows are held out */
    RNG_TABLE,      /* dequantisation and imputation of table cells */
    RNG_PROBE,      /* previews and reports */
};

struct rng_key {
    uint64_t seed;
    enum rng_stream stream;
    uint32_t step; /* < 2^24 */
};

/* The raw block, for the published test vectors. */
void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* out[j] = standard normal for dimension first + j of `row`, j < n. first must be a multiple of 4.
 */
void rng_normal(struct rng_key key, uint64_t row, size_t first, float *out, size_t n);
/* Uniform over the midpoints (k + 1/2) 2^-23 of (0, 1): never 0 or 1. */
void rng_uniform(struct rng_key key, uint64_t row, size_t first, float *out, size_t n);
/* Uniform in 0 .. bound - 1 (bound >= 1), with a bias below bound 2^-64. */
uint64_t rng_below(struct rng_key key, uint64_t row, uint64_t bound);

/* Elementary functions in double arithmetic with the same bits everywhere, where libm's may differ:
   sin and cos of 2 pi turns, error below 1e-12 for |turns| < 2^20; log of a positive normal number
   and e^x for |x| <= 700, relative error below 1e-15. */
void rng_sincos_turns(double turns, double *sine, double *cosine);
double rng_log(double x);
double rng_exp(double x);

#endif
