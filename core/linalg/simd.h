/* The tile's kernels: one source, built for several vector widths, chosen at start.

   A tile is feature-major: element (feature i, lane r) is x[i * stride + r], so that a vector lane
   is a trajectory. Every lane does the same operations in the same order whatever stands in the
   other lanes, and every variant uses explicit fused multiply-adds in that order and no reciprocal
   estimates, so that a lane's bits depend neither on its neighbours nor on the variant. */
#ifndef CORE_LINALG_SIMD_H
#define CORE_LINALG_SIMD_H

#include "core/linalg/activation.h"

#include <stddef.h>
#include <stdint.h>

enum {
    SIMD_LANES = 16,  /* lanes are processed in multiples of this, in every variant */
    SIMD_OUTPUTS = 4, /* outputs are computed in multiples of this in a tile, */
    SIMD_PANEL = 16,  /* and of this in rows: the outputs of one packed panel of weights */
    SIMD_SHARE = 1 << 17, /* multiply-adds from which a layer is shared out in a team (measured) */
};

/* A number of lanes, or of outputs, rounded up to whole blocks. */
static inline size_t simd_whole_lanes(size_t lanes)
{
    return (lanes + SIMD_LANES - 1) / SIMD_LANES * SIMD_LANES;
}

static inline size_t simd_whole_outputs(size_t outputs)
{
    return (outputs + SIMD_OUTPUTS - 1) / SIMD_OUTPUTS * SIMD_OUTPUTS;
}

static inline size_t simd_whole_panels(size_t outputs)
{
    return (outputs + SIMD_PANEL - 1) / SIMD_PANEL * SIMD_PANEL;
}

/* Threads that compute together with the caller while one call lasts. */
struct simd_team {
    size_t members; /* the caller included, >= 1 */
    /* Calls part(work, i, parts) once for each i < parts, for some parts <= members, on any of its
       threads, and returns when all have returned. */
    void (*share)(struct simd_team *team, void (*part)(void *work, size_t i, size_t members),
                  void *work);
};

/* Where lanes stand. */
struct simd_shape {
    size_t stride;          /* lanes a row of the tile holds; a multiple of SIMD_LANES */
    size_t lanes;           /* lanes to compute, a multiple of SIMD_LANES, <= stride */
    struct simd_team *team; /* borrowed, helps where a few rows meet a wide layer; NULL: nobody */
};

/* A linear layer packed once at load: weights[o / 16][i][o % 16], the last panel padded with zeros,
   so that a kernel finds the weights of one input side by side, whether it broadcasts them (tile)
   or takes them as vectors (rows). */
struct simd_layer {
    size_t in;
    size_t out;
    float *weights; /* [ceil(out / 16)][in][16], owned, aligned */
    float *bias;    /* [ceil(out / 16) * 16], owned, aligned; zeros where the layer has none */
    uint32_t *half; /* pairs of bfloat16 weights, inputs 2 p and 2 p + 1, high parts and then low
                       ones: [2][ceil(out / 16)][ceil(in / 32)][o % 16][p % 16], owned, aligned;
                       NULL where half.h has no use for them */
};

/* weight: [out, in] row-major (PyTorch's Linear), bias: [out] or NULL. 0 or ERR_NOMEM. */
int simd_layer_init(struct simd_layer *layer, const float *weight, const float *bias, size_t in,
                    size_t out);
void simd_layer_release(struct simd_layer *layer);

typedef void simd_layer_fn(float *out, const float *in, const struct simd_layer *layer,
                           enum activation activation, struct simd_shape shape);

/* All pointers borrowed, aligned to MEM_ALIGN; feature-major. Thread: any. */
struct simd_kernels {
    const char *name; /* "avx512", "avx2", "neon", "plain" */

    /* out[o] = f(bias[o] + sum_i weights[o][i] in[i]), i in order. out: [layer.out][stride] and
       padded rows up to ceil(out / 4) * 4 must exist; in: [layer.in][stride]; they may not overlap.
       Lanes up to whole blocks of them are computed. */
    simd_layer_fn *layer;

    /* The same sums to the bit for a few rows that stand one after the other: out and in are
       [lanes][stride], row-major; stride is a multiple of SIMD_PANEL and not below layer.in and
       layer.out, and out is written up to whole panels. NULL where a variant has none. */
    simd_layer_fn *rows;

    /* out[i] = x[i] + h * (c[0] k[0][i] + ... + c[n-1] k[n-1][i]), terms with c = 0 left out.
       A lane with h = 0 keeps x to the bit, whatever stands in k.
       out, x, k[j]: [dim][stride], out may be x; h: [stride], the step of each lane. */
    void (*combine)(float *out, const float *x, const float *h, const float *c,
                    const float *const *k, size_t n, size_t dim, struct simd_shape shape);

    /* For training, elementwise: value = f(z), slope = f'(z), where slope holds z at first. n: a
       multiple of SIMD_LANES. */
    void (*activate)(float *value, float *slope, enum activation activation, size_t n);
};

/* The widest variant that this processor runs; with a name, that one, or NULL where it cannot run
   or was not built. Thread: any. */
const struct simd_kernels *simd_select(const char *name);
/* The name of the i-th variant built into this binary, widest first, or NULL past the end. */
const char *simd_variant(size_t i);

#endif
