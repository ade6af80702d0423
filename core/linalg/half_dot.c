/* bfloat16 layers in vdpbf16ps: a vector of lanes times a broadcast pair of weights, two products
   added to each sum at once. */
#include "core/linalg/half_variants.h"

#include "core/linalg/half_vec.h"

enum { DOT_ROWS = 8, DOT_NARROW_ROWS = 16, DOT_SUMS = 16 };

VEC_INLINE vec dot_add(vec sum, uint32_t w, vec_bits x)
{
    return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)vec_splat(w), (__m512bh)x);
}

/* Adds one pair of inputs to the sums of `rows` outputs. */
VEC_INLINE void dot_pair(vec sums[DOT_SUMS][HALF_VECTORS], const uint32_t *weights,
                         const uint32_t *x, size_t rows, size_t vectors)
{
    vec_bits lanes[HALF_VECTORS];
    VEC_UNROLL
    for (size_t v = 0; v < vectors; v++)
        lanes[v] = *(const vec_bits *)(x + v * VEC_LANES);
    VEC_UNROLL
    for (size_t o = 0; o < rows; o++) {
        uint32_t w = weights[o * HALF_PAIRS];
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sums[o][v] = dot_add(sums[o][v], w, lanes[v]);
    }
}

/* Outputs o .. o + rows - 1. */
VEC_INLINE void dot_rows(const struct half_pass *pass, size_t o, size_t rows, size_t vectors,
                         size_t parts, enum activation activation)
{
    const struct half_strip *strip = pass->strip;
    const size_t low = half_part(pass->layer);
    const uint32_t *weights = half_weights(pass, o);
    vec sums[DOT_SUMS][HALF_VECTORS];
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++) {
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sums[r][v] = half_begin(pass, o + r, v);
    }
    for (size_t block = 0; block < pass->pairs; block += HALF_PAIRS, weights += HALF_BLOCK) {
        size_t left = pass->pairs - block;
        size_t pairs = left < HALF_PAIRS ? left : HALF_PAIRS;
        for (size_t p = 0; p < pairs; p++) {
            const uint32_t *w = weights + p;
            dot_pair(sums, w, strip->high[block + p], rows, vectors);
            if (parts > 1) {
                dot_pair(sums, w, strip->low[block + p], rows, vectors);
                dot_pair(sums, w + low, strip->high[block + p], rows, vectors);
            }
        }
    }
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++) {
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            half_end(pass, o + r, v, sums[r][v], parts, activation);
    }
}

VEC_INLINE void dot_strip(const struct half_pass *pass, size_t rows, size_t vectors, size_t parts,
                          enum activation activation)
{
    const size_t outputs = simd_whole_outputs(pass->layer->out);
    size_t o = 0;
    half_convert(pass, vectors, parts);
    for (; o + rows <= outputs; o += rows)
        dot_rows(pass, o, rows, vectors, parts, activation);
    for (; o < outputs; o += SIMD_OUTPUTS)
        dot_rows(pass, o, SIMD_OUTPUTS, vectors, parts, activation);
}

/* All inputs for some vectors of lanes. */
VEC_INLINE void dot_lanes(struct half_pass pass, size_t rows, size_t vectors, size_t parts,
                          enum activation activation)
{
    const size_t all = half_pairs(pass.layer);
    for (; pass.first < all; pass.first += HALF_STRIP) {
        pass.pairs = all - pass.first < HALF_STRIP ? all - pass.first : HALF_STRIP;
        dot_strip(&pass, rows, vectors, parts, activation);
    }
}

VEC_INLINE void dot_run(float *out, const float *in, const struct simd_layer *layer,
                        struct simd_shape shape, size_t parts, enum activation activation)
{
    struct half_strip strip;
    struct half_pass pass = {
        .layer = layer, .strip = &strip, .in = in, .out = out, .stride = shape.stride};
    const size_t lanes = simd_whole_lanes(shape.lanes);
    size_t lane = 0;
    for (; lane + HALF_LANES <= lanes; lane += HALF_LANES) {
        dot_lanes(pass, DOT_ROWS, HALF_VECTORS, parts, activation);
        pass.in += HALF_LANES;
        pass.out += HALF_LANES;
    }
    if (lane < lanes)
        dot_lanes(pass, DOT_NARROW_ROWS, 1, parts, activation);
}

#define DOT_CASE(code, name)                                                                       \
    case ACTIVATION_##code:                                                                        \
        if (layer->half)                                                                           \
            dot_run(out, in, layer, shape, DOT_PARTS, ACTIVATION_##code);                          \
        else                                                                                       \
            half_run_f32(out, in, layer, shape, DOT_PARTS, ACTIVATION_##code);                     \
        return;

void half_dot_bf16x3(float *out, const float *in, const struct simd_layer *layer,
                     enum activation activation, struct simd_shape shape)
{
    enum { DOT_PARTS = 2 };
    switch (activation) {
        ACTIVATIONS(DOT_CASE)
    case ACTIVATION_COUNT:
        return;
    }
}

void half_dot_bf16(float *out, const float *in, const struct simd_layer *layer,
                   enum activation activation, struct simd_shape shape)
{
    enum { DOT_PARTS = 1 };
    switch (activation) {
        ACTIVATIONS(DOT_CASE)
    case ACTIVATION_COUNT:
        return;
    }
}
