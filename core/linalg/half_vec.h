/* What the kernels of half.h share: a strip of inputs as bfloat16 pairs, the sums' way in and out
   of the tile. AVX-512 with AVX512-BF16 only. */
#ifndef CORE_LINALG_HALF_VEC_H
#define CORE_LINALG_HALF_VEC_H

#include "core/base/mem.h"
#include "core/linalg/half.h"
#include "core/linalg/half_math.h"
#include "core/linalg/tile_kernels.h"

#if defined(TILE_AVX512)

enum {
    HALF_VECTORS = 2, /* of lanes that are computed together */
    HALF_LANES = HALF_VECTORS * VEC_LANES,
    HALF_STRIP = 256, /* pairs that are converted at a time, once for all outputs: 32 KiB a part */
};

/* An element holds inputs 2 p (low half) and 2 p + 1 of one lane. */
struct half_strip {
    uint32_t high[HALF_STRIP][HALF_LANES] __attribute__((aligned(MEM_ALIGN)));
    uint32_t low[HALF_STRIP][HALF_LANES];
};

/* One strip of one layer in some vectors of lanes. Between strips the sums wait in `out`. */
struct half_pass {
    const struct simd_layer *layer;
    struct half_strip *strip;
    const float *in; /* at the first lane, as out */
    float *out;
    size_t stride;
    size_t first; /* pair of the layer at which the strip begins, a multiple of HALF_PAIRS */
    size_t pairs; /* of the strip */
};

VEC_INLINE size_t half_pairs(const struct simd_layer *layer)
{
    return (layer->in + 1) / 2;
}

VEC_INLINE bool half_is_last(const struct half_pass *pass)
{
    return pass->first + pass->pairs == half_pairs(pass->layer);
}

/* Two vectors rounded to bfloat16, as pairs. */
VEC_INLINE vec_bits half_round(vec even, vec odd)
{
    static const uint16_t zip[2 * VEC_LANES] __attribute__((aligned(MEM_ALIGN))) = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i joined = (__m512i)_mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
    return (vec_bits)_mm512_permutexvar_epi16(_mm512_load_si512(zip), joined);
}

VEC_INLINE void half_convert_pair(struct half_strip *strip, size_t pair, size_t at, vec even,
                                  vec odd, size_t parts)
{
    vec_bits high = half_round(even, odd);
    *(vec_bits *)&strip->high[pair][at] = high;
    if (parts > 1) {
        vec rest_even = even - (vec)(high << 16);
        vec rest_odd = odd - (vec)(high & vec_splat(0xffff0000u));
        *(vec_bits *)&strip->low[pair][at] = half_round(rest_even, rest_odd);
    }
}

/* Fills whole blocks of pairs: what lies behind the last input is zero. */
VEC_INLINE void half_convert(const struct half_pass *pass, size_t vectors, size_t parts)
{
    const vec zero = vec_set(0.0f);
    const size_t count = (pass->pairs + HALF_PAIRS - 1) / HALF_PAIRS * HALF_PAIRS;
    for (size_t pair = 0; pair < count; pair++) {
        size_t input = 2 * (pass->first + pair);
        const float *from = pass->in + input * pass->stride;
        for (size_t v = 0; v < vectors; v++, from += VEC_LANES) {
            vec even = input < pass->layer->in ? vec_load(from) : zero;
            vec odd = input + 1 < pass->layer->in ? vec_load(from + pass->stride) : zero;
            half_convert_pair(pass->strip, pair, v * VEC_LANES, even, odd, parts);
        }
    }
}

/* The packed weights of output o from the strip's first pair on, in steps of HALF_BLOCK. */
VEC_INLINE const uint32_t *half_weights(const struct half_pass *pass, size_t o)
{
    size_t row = o / HALF_OUTPUTS * half_pair_blocks(pass->layer) + pass->first / HALF_PAIRS;
    return pass->layer->half + row * HALF_BLOCK + o % HALF_OUTPUTS * HALF_PAIRS;
}

/* From the high parts of all weights to the low ones. */
VEC_INLINE size_t half_part(const struct simd_layer *layer)
{
    return half_output_blocks(layer) * half_pair_blocks(layer) * HALF_BLOCK;
}

/* Where the sum of an output begins. */
VEC_INLINE vec half_begin(const struct half_pass *pass, size_t o, size_t v)
{
    if (pass->first == 0)
        return vec_set(pass->layer->bias[o]);
    return vec_load(pass->out + o * pass->stride + v * VEC_LANES);
}

VEC_INLINE void half_end(const struct half_pass *pass, size_t o, size_t v, vec sum, size_t parts,
                         enum activation activation)
{
    if (half_is_last(pass))
        sum = parts > 1 ? vec_activation(activation, sum) : half_activation(activation, sum);
    vec_store(pass->out + o * pass->stride + v * VEC_LANES, sum);
}

/* A layer that has no bfloat16 weights. */
VEC_INLINE void half_run_f32(float *out, const float *in, const struct simd_layer *layer,
                             struct simd_shape shape, size_t parts, enum activation activation)
{
    if (parts > 1 || !half_is_curved(activation)) {
        tile_kernels_avx512.layer(out, in, layer, activation, shape);
        return;
    }
    tile_kernels_avx512.layer(out, in, layer, ACTIVATION_NONE, shape);
    for (size_t o = 0; o < layer->out; o++, out += shape.stride) {
        for (size_t lane = 0; lane < simd_whole_lanes(shape.lanes); lane += VEC_LANES)
            vec_store(out + lane, half_activation(activation, vec_load(out + lane)));
    }
}

#endif
#endif
