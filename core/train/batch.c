#include "core/train/batch.h"

#include "core/base/check.h"
#include "core/linalg/rng.h"

/* The step number of validation noise: no training step reaches it. */
static const uint32_t batch_fixed_step = (1u << 24) - 1;

/* Mixes half a block with a key; any function makes a bijection of the whole. */
static uint32_t shuffle_mix(uint32_t half, uint32_t key)
{
    uint32_t x = half ^ key;
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

struct shuffle shuffle_of(uint64_t seed, uint64_t epoch, uint32_t count)
{
    struct shuffle shuffle = {.count = count, .half = 1};
    check(count > 0);
    while (shuffle.half < 16 && (uint64_t)1 << 2 * shuffle.half < count)
        shuffle.half++;
    for (uint32_t i = 0; i < SHUFFLE_ROUNDS; i++) {
        const struct rng_key key = {.seed = seed, .stream = RNG_BATCH, .step = i};
        shuffle.keys[i] = (uint32_t)rng_below(key, epoch, (uint64_t)1 << 32);
    }
    return shuffle;
}

uint32_t shuffle_at(const struct shuffle *shuffle, uint32_t index)
{
    const uint32_t mask = (1u << shuffle->half) - 1;
    check(index < shuffle->count);
    do {
        uint32_t left = index >> shuffle->half;
        uint32_t right = index & mask;
        for (size_t i = 0; i < SHUFFLE_ROUNDS; i++) {
            uint32_t next = left ^ (shuffle_mix(right, shuffle->keys[i]) & mask);
            left = right;
            right = next;
        }
        index = left << shuffle->half | right;
    } while (index >= shuffle->count);
    return index;
}

/* Row r of the batch: x1 is given, x0 stands in x. */
static void batch_mix(const struct batch *batch, const struct batch_source *source, size_t r,
                      const float *x1)
{
    const struct path_point at = path_at(source->path, (double)batch->t[r]);
    float *x = batch->x + r * source->dim;
    float *v = batch->v + r * source->dim;
    for (size_t i = 0; i < source->dim; i++) {
        float x0 = x[i];
        x[i] = (float)at.alpha * x1[i] + (float)at.beta * x0;
        v[i] = (float)at.dalpha * x1[i] + (float)at.dbeta * x0;
    }
}

void batch_draw(const struct batch *batch, const struct batch_source *source, uint64_t step)
{
    const struct rng_key noise = {source->seed, RNG_TRAIN_X0, (uint32_t)step};
    const struct rng_key time = {source->seed, RNG_TRAIN_TIME, (uint32_t)step};
    uint64_t position = step * batch->size;
    uint64_t epoch = position / source->count;
    struct shuffle shuffle = shuffle_of(source->seed, epoch, (uint32_t)source->count);
    rng_uniform(time, 0, 0, batch->t, batch->size);
    for (size_t r = 0; r < batch->size; r++, position++) {
        if (position / source->count != epoch) {
            epoch = position / source->count;
            shuffle = shuffle_of(source->seed, epoch, (uint32_t)source->count);
        }
        uint32_t index = shuffle_at(&shuffle, (uint32_t)(position % source->count));
        batch->t[r] = ((float)r + batch->t[r]) / (float)batch->size;
        rng_normal(noise, r, 0, batch->x + r * source->dim, source->dim);
        batch_mix(batch, source, r, source->rows + (size_t)source->order[index] * source->dim);
    }
}

void batch_fixed(const struct batch *batch, const struct batch_source *source, uint64_t first)
{
    const struct rng_key noise = {source->seed, RNG_TRAIN_X0, batch_fixed_step};
    for (size_t r = 0; r < batch->size; r++) {
        uint64_t at = first + r;
        uint64_t index = at / VALIDATION_TIMES % source->count;
        batch->t[r] = ((float)(at % VALIDATION_TIMES) + 0.5f) / VALIDATION_TIMES;
        rng_normal(noise, at, 0, batch->x + r * source->dim, source->dim);
        batch_mix(batch, source, r, source->rows + (size_t)source->order[index] * source->dim);
    }
}
