#include "core/net/time_lanes.h"

#include "core/base/check.h"

#include <string.h>

enum { SLOT_BITS = 9, SLOTS = 1 << SLOT_BITS }; /* at least half of the slots stay free */

static uint32_t time_bits(float t)
{
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    return bits;
}

size_t time_lanes_sources(uint16_t *source, const float *t, size_t lanes)
{
    uint16_t slots[SLOTS] = {0}; /* 1 + the first lane of a time; 0: free */
    size_t distinct = 0;
    check(lanes <= TIME_LANES);
    for (size_t r = 0; r < lanes; r++) {
        uint32_t bits = time_bits(t[r]);
        if (r > 0 && bits == time_bits(t[r - 1])) {
            source[r] = source[r - 1];
            continue;
        }
        uint32_t slot = bits * 0x9E3779B1u >> (32 - SLOT_BITS); /* Knuth's multiplicative hash */
        while (slots[slot] && time_bits(t[slots[slot] - 1]) != bits)
            slot = (slot + 1) % SLOTS;
        if (!slots[slot]) {
            slots[slot] = (uint16_t)(r + 1);
            distinct++;
        }
        source[r] = (uint16_t)(slots[slot] - 1);
    }
    return distinct;
}

/* At most TIME_LANES lanes. */
static void time_lanes_chunk(float *features, const struct time_spec *time, const double *turns,
                             const float *t, struct simd_shape shape)
{
    float column[2 * LIMIT_TIME_FREQUENCIES];
    uint16_t source[TIME_LANES];
    size_t count = time_spec_features(time);
    time_lanes_sources(source, t, shape.lanes);
    for (size_t r = 0; r < shape.lanes; r++) {
        if (source[r] != r)
            continue;
        time_spec_embed(column, time, turns, (double)t[r]);
        for (size_t i = 0; i < count; i++)
            features[i * shape.stride + r] = column[i];
    }
    for (size_t i = 0; i < count; i++) {
        float *row = features + i * shape.stride;
        for (size_t r = 0; r < shape.lanes; r++)
            row[r] = row[source[r]];
    }
}

void time_lanes_embed(float *features, const struct time_spec *time, const double *turns,
                      const float *t, struct simd_shape shape)
{
    if (time_spec_features(time) == 1) {
        for (size_t r = 0; r < shape.lanes; r++)
            features[r] = time_spec_scaled(time, t[r]);
        return;
    }
    for (size_t first = 0; first < shape.lanes; first += TIME_LANES) {
        struct simd_shape chunk = shape;
        chunk.lanes = shape.lanes - first < TIME_LANES ? shape.lanes - first : TIME_LANES;
        time_lanes_chunk(features + first, time, turns, t + first, chunk);
    }
}
