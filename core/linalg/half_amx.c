/* bfloat16 layers in AMX tiles: 32 outputs by 32 lanes of sums in four tiles, 32 inputs at a
   time. The system must have let the process use them; the tiles' shape is set and given up within
   a call, so that no thread carries their state. */
#include "core/linalg/half_variants.h"

#include "core/linalg/half_vec.h"

#include <string.h>

/* Rows and bytes of a row of each tile: all are full. */
struct amx_config {
    uint8_t palette;
    uint8_t start_row;
    uint8_t reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static const struct amx_config amx_config __attribute__((aligned(MEM_ALIGN))) = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

enum {
    AMX_BLOCKS = 2, /* of outputs in one go */
    AMX_ROWS = AMX_BLOCKS * HALF_OUTPUTS,
    AMX_WEIGHT_BYTES = HALF_PAIRS * 4,
    AMX_LANE_BYTES = HALF_LANES * 4,
};

/* Tiles by number, since the instructions take literals: 0 to 3 sums (outputs by lanes), 4 and 5
   weights of the two blocks of outputs, 6 and 7 inputs of the two vectors of lanes. */

struct amx_sums {
    float at[AMX_ROWS][HALF_LANES] __attribute__((aligned(MEM_ALIGN)));
};

/* One go: which outputs, and how much of it there is. */
struct amx_block {
    size_t output; /* the first */
    size_t rows;   /* outputs that are stored, up to AMX_ROWS */
    bool tall;     /* both blocks of outputs */
    bool wide;     /* both vectors of lanes */
};

/* The compiler must not move stores of what tiles load behind their loads. */
VEC_INLINE void amx_fence(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Adds weights x inputs of one block of pairs to the sums. second: from the first block of outputs
   to the other. */
VEC_INLINE void amx_multiply(const struct amx_block *block, const uint32_t *weights, size_t second,
                             const uint32_t *x)
{
    _tile_loadd(4, weights, AMX_WEIGHT_BYTES);
    _tile_loadd(6, x, AMX_LANE_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    if (block->wide) {
        _tile_loadd(7, x + VEC_LANES, AMX_LANE_BYTES);
        _tile_dpbf16ps(1, 4, 7);
    }
    if (block->tall) {
        _tile_loadd(5, weights + second, AMX_WEIGHT_BYTES);
        _tile_dpbf16ps(2, 5, 6);
        if (block->wide)
            _tile_dpbf16ps(3, 5, 7);
    }
}

VEC_INLINE void amx_load(const struct amx_sums *sums)
{
    _tile_loadd(0, &sums->at[0][0], AMX_LANE_BYTES);
    _tile_loadd(1, &sums->at[0][VEC_LANES], AMX_LANE_BYTES);
    _tile_loadd(2, &sums->at[HALF_OUTPUTS][0], AMX_LANE_BYTES);
    _tile_loadd(3, &sums->at[HALF_OUTPUTS][VEC_LANES], AMX_LANE_BYTES);
}

VEC_INLINE void amx_store(struct amx_sums *sums)
{
    _tile_stored(0, &sums->at[0][0], AMX_LANE_BYTES);
    _tile_stored(1, &sums->at[0][VEC_LANES], AMX_LANE_BYTES);
    _tile_stored(2, &sums->at[HALF_OUTPUTS][0], AMX_LANE_BYTES);
    _tile_stored(3, &sums->at[HALF_OUTPUTS][VEC_LANES], AMX_LANE_BYTES);
}

/* All products of a strip for one go. */
VEC_INLINE void amx_products(const struct half_pass *pass, const struct amx_block *block,
                             size_t parts)
{
    const struct half_strip *strip = pass->strip;
    const size_t low = half_part(pass->layer);
    const size_t second = half_pair_blocks(pass->layer) * HALF_BLOCK;
    const uint32_t *weights = half_weights(pass, block->output);
    for (size_t pair = 0; pair < pass->pairs; pair += HALF_PAIRS, weights += HALF_BLOCK) {
        amx_multiply(block, weights, second, strip->high[pair]);
        if (parts > 1) {
            amx_multiply(block, weights, second, strip->low[pair]);
            amx_multiply(block, weights + low, second, strip->high[pair]);
        }
    }
}

VEC_INLINE void amx_go(const struct half_pass *pass, struct amx_sums *sums,
                       const struct amx_block *block, size_t parts, enum activation activation)
{
    const size_t vectors = block->wide ? HALF_VECTORS : 1;
    for (size_t o = 0; o < block->rows; o++) {
        for (size_t v = 0; v < vectors; v++)
            vec_store(&sums->at[o][v * VEC_LANES], half_begin(pass, block->output + o, v));
    }
    amx_fence();
    amx_load(sums);
    amx_products(pass, block, parts);
    amx_store(sums);
    for (size_t o = 0; o < block->rows; o++) {
        for (size_t v = 0; v < vectors; v++)
            half_end(pass, block->output + o, v, vec_load(&sums->at[o][v * VEC_LANES]), parts,
                     activation);
    }
}

VEC_INLINE void amx_lanes(struct half_pass pass, struct amx_sums *sums, bool wide, size_t parts,
                          enum activation activation)
{
    const size_t all = half_pairs(pass.layer);
    const size_t outputs = simd_whole_outputs(pass.layer->out);
    for (; pass.first < all; pass.first += HALF_STRIP) {
        pass.pairs = all - pass.first < HALF_STRIP ? all - pass.first : HALF_STRIP;
        half_convert(&pass, wide ? HALF_VECTORS : 1, parts);
        for (size_t o = 0; o < outputs; o += AMX_ROWS) {
            size_t rows = outputs - o < AMX_ROWS ? outputs - o : AMX_ROWS;
            const struct amx_block block = {o, rows, rows > HALF_OUTPUTS, wide};
            amx_go(&pass, sums, &block, parts, activation);
        }
    }
}

VEC_INLINE void amx_run(float *out, const float *in, const struct simd_layer *layer,
                        struct simd_shape shape, size_t parts, enum activation activation)
{
    struct half_strip strip;
    struct amx_sums sums;
    struct half_pass pass = {
        .layer = layer, .strip = &strip, .in = in, .out = out, .stride = shape.stride};
    const size_t lanes = simd_whole_lanes(shape.lanes);
    memset(&sums, 0, sizeof sums);
    _tile_loadconfig(&amx_config);
    for (size_t lane = 0; lane < lanes; lane += HALF_LANES) {
        amx_lanes(pass, &sums, lane + HALF_LANES <= lanes, parts, activation);
        pass.in += HALF_LANES;
        pass.out += HALF_LANES;
    }
    _tile_release();
}

#define AMX_CASE(code, name)                                                                       \
    case ACTIVATION_##code:                                                                        \
        if (layer->half)                                                                           \
            amx_run(out, in, layer, shape, AMX_PARTS, ACTIVATION_##code);                          \
        else                                                                                       \
            half_run_f32(out, in, layer, shape, AMX_PARTS, ACTIVATION_##code);                     \
        return;

void half_amx_bf16x3(float *out, const float *in, const struct simd_layer *layer,
                     enum activation activation, struct simd_shape shape)
{
    enum { AMX_PARTS = 2 };
    switch (activation) {
        ACTIVATIONS(AMX_CASE)
    case ACTIVATION_COUNT:
        return;
    }
}

void half_amx_bf16(float *out, const float *in, const struct simd_layer *layer,
                   enum activation activation, struct simd_shape shape)
{
    enum { AMX_PARTS = 1 };
    switch (activation) {
        ACTIVATIONS(AMX_CASE)
    case ACTIVATION_COUNT:
        return;
    }
}
