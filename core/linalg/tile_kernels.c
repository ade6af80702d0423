/* The kernels of simd.h, compiled once for each width of vec.h. A layer is computed in blocks of a
   few packed outputs by a few vectors of lanes whose sums stay in registers from the bias to the
   activation; the sum of one output in one lane always runs over the inputs in their order. */
#include "core/linalg/tile_kernels.h"

#include "core/linalg/row_kernels.h"
#include "core/linalg/vec_math.h"
#include "core/linalg/vec_slope.h"

/* Blocks that keep the multiply-add units busy and fit in the registers (measured, tests/bench). */
#if defined(TILE_AVX512)
enum { WIDE_VECTORS = 2, WIDE_BLOCKS = 2, NARROW_BLOCKS = 4 };
#elif defined(TILE_AVX2)
enum { WIDE_VECTORS = 2, WIDE_BLOCKS = 1, NARROW_BLOCKS = 1 };
#else
enum { WIDE_VECTORS = 4, WIDE_BLOCKS = 1, NARROW_BLOCKS = 1 };
#endif
enum { NARROW_VECTORS = SIMD_LANES / VEC_LANES };

struct pass {
    const struct simd_layer *layer;
    const float *in;
    float *out;
    size_t stride;
    size_t first, end; /* blocks of the panel at work */
    uintptr_t ahead;   /* weights of the next panel that are not fetched yet */
    size_t ahead_step; /* bytes of them that are fetched for each input */
};

/* Outputs 4 block .. 4 (block + blocks) - 1 in `vectors` vectors of lanes from `lane` on. */
VEC_INLINE void layer_block(struct pass *pass, size_t block, size_t lane, size_t blocks,
                            size_t vectors, enum activation activation)
{
    enum { ROWS = 16, COLUMNS = 4 };
    const struct simd_layer *layer = pass->layer;
    const size_t stride = pass->stride;
    const size_t rows = blocks * SIMD_OUTPUTS;
    const size_t first = block * SIMD_OUTPUTS;
    const float *weights = layer->weights + first / SIMD_PANEL * SIMD_PANEL * layer->in;
    weights += first % SIMD_PANEL;
    const float *in = pass->in + lane;
    vec sums[ROWS][COLUMNS];
    VEC_UNROLL
    for (size_t o = 0; o < rows; o++) {
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sums[o][v] = vec_set(layer->bias[first + o]);
    }
    for (size_t i = 0; i < layer->in; i++, in += stride, weights += SIMD_PANEL) {
        vec_prefetch(pass->ahead + i * pass->ahead_step);
        vec x[COLUMNS];
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            x[v] = vec_load(in + v * VEC_LANES);
        VEC_UNROLL
        for (size_t o = 0; o < rows; o++) {
            vec w = vec_set(weights[o]);
            VEC_UNROLL
            for (size_t v = 0; v < vectors; v++)
                sums[o][v] = vec_fma(w, x[v], sums[o][v]);
        }
    }
    const size_t group = VEC_GROUP / vectors; /* rows that are activated side by side */
    float *out = pass->out + first * stride + lane;
    VEC_UNROLL
    for (size_t o = 0; o < rows; o += group) {
        vec some[VEC_GROUP];
        VEC_EACH(j, VEC_GROUP)
            some[j] = sums[o + j / vectors][j % vectors];
        vec_activations(activation, some, VEC_GROUP);
        VEC_EACH(j, VEC_GROUP)
            vec_store(out + (o + j / vectors) * stride + j % vectors * VEC_LANES, some[j]);
    }
    pass->ahead += layer->in * pass->ahead_step;
}

/* The panel at work for some vectors of lanes. */
VEC_INLINE void layer_panel(struct pass *pass, size_t lane, size_t blocks, size_t vectors,
                            enum activation activation)
{
    size_t block = pass->first;
    for (; block + blocks <= pass->end; block += blocks)
        layer_block(pass, block, lane, blocks, vectors, activation);
    if (blocks > 1) {
        for (; block < pass->end; block++)
            layer_block(pass, block, lane, 1, vectors, activation);
    }
}

/* Panel by panel, so that weights come from memory once for all lanes; meanwhile the next panel is
   fetched, in even parts. */
VEC_INLINE void layer_run(struct pass *pass, size_t lanes, enum activation activation)
{
    enum { PANEL_BLOCKS = SIMD_PANEL / SIMD_OUTPUTS };
    const size_t wide = WIDE_VECTORS * VEC_LANES;
    const size_t count = simd_whole_outputs(pass->layer->out) / SIMD_OUTPUTS;
    const size_t panel = SIMD_PANEL * sizeof(float);
    const size_t parts = PANEL_BLOCKS / WIDE_BLOCKS * ((lanes + wide - 1) / wide);
    pass->ahead_step = panel / parts;
    for (size_t first = 0; first < count; first += PANEL_BLOCKS) {
        size_t lane = 0;
        pass->first = first;
        pass->end = first + PANEL_BLOCKS < count ? first + PANEL_BLOCKS : count;
        pass->ahead =
            (uintptr_t)pass->layer->weights + (first / PANEL_BLOCKS + 1) * pass->layer->in * panel;
        for (; lane + wide <= lanes; lane += wide)
            layer_panel(pass, lane, WIDE_BLOCKS, WIDE_VECTORS, activation);
        if ((int)WIDE_VECTORS > (int)NARROW_VECTORS) {
            for (; lane < lanes; lane += SIMD_LANES)
                layer_panel(pass, lane, NARROW_BLOCKS, NARROW_VECTORS, activation);
        }
    }
}

static void tile_layer(float *out, const float *in, const struct simd_layer *layer,
                       enum activation activation, struct simd_shape shape)
{
    struct pass pass = {.layer = layer, .in = in, .out = out, .stride = shape.stride};
    switch (activation) {
#define TILE_CASE(code, name)                                                                      \
    case ACTIVATION_##code:                                                                        \
        layer_run(&pass, simd_whole_lanes(shape.lanes), ACTIVATION_##code);                        \
        return;
        ACTIVATIONS(TILE_CASE)
#undef TILE_CASE
    case ACTIVATION_COUNT:
        return;
    }
}

/* sum_j c[j] k[j] at one place, terms with c = 0 left out. */
VEC_INLINE vec combine_terms(const float *c, const float *const *k, size_t n, size_t at)
{
    vec sum = vec_set(0.0f);
    for (size_t j = 0; j < n; j++) {
        if (c[j] != 0)
            sum = vec_fma(vec_set(c[j]), vec_load(k[j] + at), sum);
    }
    return sum;
}

static void tile_combine(float *out, const float *x, const float *h, const float *c,
                         const float *const *k, size_t n, size_t dim, struct simd_shape shape)
{
    for (size_t lane = 0; lane < shape.lanes; lane += VEC_LANES) {
        vec step = vec_load(h + lane);
        for (size_t i = 0; i < dim; i++) {
            size_t at = i * shape.stride + lane;
            vec from = vec_load(x + at);
            vec to = vec_fma(step, combine_terms(c, k, n, at), from);
            vec_store(out + at, vec_select(vec_abs(step), vec_set(0.0f), to, from));
        }
    }
}

VEC_INLINE void activate_run(float *value, float *slope, enum activation activation, size_t n)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        struct vec_slope pair = vec_slope(activation, vec_load(slope + i));
        vec_store(value + i, pair.value);
        vec_store(slope + i, pair.slope);
    }
}

static void tile_activate(float *value, float *slope, enum activation activation, size_t n)
{
    switch (activation) {
#define TILE_CASE(code, name)                                                                      \
    case ACTIVATION_##code:                                                                        \
        activate_run(value, slope, ACTIVATION_##code, n);                                          \
        return;
        ACTIVATIONS(TILE_CASE)
#undef TILE_CASE
    case ACTIVATION_COUNT:
        return;
    }
}

const struct simd_kernels TILE_KERNELS = {
    .name = TILE_NAME,
    .layer = tile_layer,
    .rows = row_layer,
    .combine = tile_combine,
    .activate = tile_activate,
};
