/* Which rows, noise and times make a training batch: pure functions of (seed, step). */
#ifndef CORE_TRAIN_BATCH_H
#define CORE_TRAIN_BATCH_H

#include "core/flow/path.h"

#include <stddef.h>
#include <stdint.h>

enum { SHUFFLE_ROUNDS = 6 };

/* A bijection of 0 .. count - 1 for each (seed, epoch), computed where it is needed: a balanced
   Feistel network over the next power of four (Luby and Rackoff 1988), walked until it falls below
   count (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). */
struct shuffle {
    uint32_t keys[SHUFFLE_ROUNDS];
    uint32_t count;
    unsigned half; /* bits of half a block */
};

/* count >= 1. */
struct shuffle shuffle_of(uint64_t seed, uint64_t epoch, uint32_t count);
uint32_t shuffle_at(const struct shuffle *shuffle, uint32_t index);

/* Where batches come from; all borrowed. */
struct batch_source {
    uint64_t seed;
    const struct path *path;
    size_t dim;
    const float *rows;     /* [?, dim] */
    const uint32_t *order; /* [count] rows to draw from */
    size_t count;          /* >= 1 */
};

/* A point of the path for each row, and the conditional velocity there. */
struct batch {
    float *x; /* [size, dim] x_t = alpha x1 + beta x0 */
    float *v; /* [size, dim] dalpha x1 + dbeta x0 */
    float *t; /* [size] */
    size_t size;
};

/* The batch of step n: rows n size .. (n + 1) size - 1 of an endless sequence of shuffled epochs,
   so that every row is seen equally often; t is uniform in each of `size` equal strata of (0, 1).
 */
void batch_draw(const struct batch *batch, const struct batch_source *source, uint64_t step);

/* A batch for a validation loss: rows first .. first + size - 1 of a sequence that pairs every row
   of the source with VALIDATION_TIMES fixed times and fixed noise, again and again. */
enum { VALIDATION_TIMES = 10 };
void batch_fixed(const struct batch *batch, const struct batch_source *source, uint64_t first);

#endif
