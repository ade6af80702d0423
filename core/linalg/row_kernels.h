/* The row kernel of simd.h: here a vector lane is an output, weights are loaded as vectors and an
   input is broadcast. Each sum runs as in a tile: from the bias over the inputs in their order. */
#ifndef CORE_LINALG_ROW_KERNELS_H
#define CORE_LINALG_ROW_KERNELS_H

#include "core/linalg/simd.h"
#include "core/linalg/vec_math.h"

/* Blocks of panels: enough sums at once to hide the latency of a multiply-add (measured). */
enum {
    PANEL_VECTORS = SIMD_PANEL / VEC_LANES,
    ROW_PANELS = PANEL_VECTORS < 4 ? 8 / PANEL_VECTORS : 2,
};

struct row_pass {
    const struct simd_layer *layer;
    enum activation activation;
    const float *in;
    float *out;
    size_t stride;
    size_t rows;
};

VEC_INLINE void row_store_as(float *out, vec *sums, size_t vectors, enum activation activation)
{
    const size_t group = vectors < VEC_GROUP ? vectors : VEC_GROUP;
    VEC_UNROLL
    for (size_t v = 0; v < vectors; v += group) {
        vec_activations(activation, sums + v, group);
        VEC_EACH(j, group)
            vec_store(out + (v + j) * VEC_LANES, sums[v + j]);
    }
}

VEC_INLINE void row_store(float *out, vec *sums, size_t vectors, enum activation activation)
{
    switch (activation) {
#define ROW_CASE(code, name)                                                                       \
    case ACTIVATION_##code:                                                                        \
        row_store_as(out, sums, vectors, ACTIVATION_##code);                                       \
        return;
        ACTIVATIONS(ROW_CASE)
#undef ROW_CASE
    case ACTIVATION_COUNT:
        return;
    }
}

/* `rows` rows from `row` on, `panels` panels from `panel` on. The activation of a single row is
   applied at once, that of several by row_finish: in each block it would be much code. */
VEC_INLINE void row_block(const struct row_pass *pass, size_t row, size_t panel, size_t rows,
                          size_t panels)
{
    enum { ROWS = 4, VECTORS = ROW_PANELS * PANEL_VECTORS };
    const struct simd_layer *layer = pass->layer;
    const size_t step = SIMD_PANEL * layer->in; /* from one panel to the next */
    const size_t vectors = panels * PANEL_VECTORS;
    const float *weights = layer->weights + panel * step;
    const float *in = pass->in + row * pass->stride;
    vec sums[ROWS][VECTORS];
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++) {
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++)
            sums[r][v] = vec_load(layer->bias + panel * SIMD_PANEL + v * VEC_LANES);
    }
    for (size_t i = 0; i < layer->in; i++, weights += SIMD_PANEL) {
        vec x[ROWS];
        VEC_UNROLL
        for (size_t r = 0; r < rows; r++)
            x[r] = vec_set(in[r * pass->stride + i]);
        VEC_UNROLL
        for (size_t v = 0; v < vectors; v++) {
            vec w = vec_load(weights + v / PANEL_VECTORS * step + v % PANEL_VECTORS * VEC_LANES);
            VEC_UNROLL
            for (size_t r = 0; r < rows; r++)
                sums[r][v] = vec_fma(w, x[r], sums[r][v]);
        }
    }
    VEC_UNROLL
    for (size_t r = 0; r < rows; r++)
        row_store(pass->out + (row + r) * pass->stride + panel * SIMD_PANEL, sums[r], vectors,
                  rows == 1 ? pass->activation : ACTIVATION_NONE);
}

/* Panels first .. end - 1 of some rows. */
VEC_INLINE void row_panels(const struct row_pass *pass, size_t row, size_t rows, size_t first,
                           size_t end)
{
    size_t panel = first;
    for (; panel + ROW_PANELS <= end; panel += ROW_PANELS)
        row_block(pass, row, panel, rows, ROW_PANELS);
    if (ROW_PANELS > 4 && panel + 4 <= end) {
        row_block(pass, row, panel, rows, 4);
        panel += 4;
    }
    if (ROW_PANELS > 2 && panel + 2 <= end) {
        row_block(pass, row, panel, rows, 2);
        panel += 2;
    }
    if (panel < end)
        row_block(pass, row, panel, rows, 1);
}

VEC_INLINE void row_activate(float *values, enum activation activation, size_t n)
{
    for (size_t i = 0; i < n; i += VEC_LANES)
        vec_store(values + i, vec_activation(activation, vec_load(values + i)));
}

static void row_finish(float *values, enum activation activation, size_t n)
{
    switch (activation) {
#define ROW_CASE(code, name)                                                                       \
    case ACTIVATION_##code:                                                                        \
        row_activate(values, ACTIVATION_##code, n);                                                \
        return;
        ACTIVATIONS(ROW_CASE)
#undef ROW_CASE
    case ACTIVATION_COUNT:
        return;
    }
}

/* The share of one of `members` threads: some panels of all rows. */
static void row_part(void *work, size_t i, size_t members)
{
    const struct row_pass *pass = work;
    const size_t panels = simd_whole_panels(pass->layer->out) / SIMD_PANEL;
    const size_t first = panels * i / members;
    const size_t end = panels * (i + 1) / members;
    size_t row = 0;
    for (; row + 4 <= pass->rows; row += 4)
        row_panels(pass, row, 4, first, end);
    for (; row + 2 <= pass->rows; row += 2)
        row_panels(pass, row, 2, first, end);
    for (size_t r = 0; r < row; r++)
        row_finish(pass->out + r * pass->stride + first * SIMD_PANEL, pass->activation,
                   (end - first) * SIMD_PANEL);
    if (row < pass->rows)
        row_panels(pass, row, 1, first, end);
}

static void row_layer(float *out, const float *in, const struct simd_layer *layer,
                      enum activation activation, struct simd_shape shape)
{
    struct row_pass pass = {layer, activation, in, out, shape.stride, shape.lanes};
    if (shape.team && layer->in * layer->out >= SIMD_SHARE)
        shape.team->share(shape.team, row_part, &pass);
    else
        row_part(&pass, 0, 1);
}

#endif
