#include "core/flow/evaluate.h"

#include "core/base/arena.h"

enum { EVALUATE_LANES = 64 };

struct evaluate_tile {
    float *x; /* [dim][EVALUATE_LANES] */
    float *v; /* [dim rounded up to SIMD_OUTPUTS][EVALUATE_LANES] */
    float *t; /* [EVALUATE_LANES] */
    float *scratch;
    struct arena arena;
};

static int evaluate_tile_init(struct evaluate_tile *tile, struct field field)
{
    size_t padded = simd_whole_outputs(field.dim);
    size_t scratch = field.scratch(field.self, EVALUATE_LANES);
    size_t bytes = arena_bytes(field.dim * EVALUATE_LANES, sizeof(float)) +
                   arena_bytes(padded * EVALUATE_LANES, sizeof(float)) +
                   arena_bytes(EVALUATE_LANES, sizeof(float)) + arena_bytes(scratch, sizeof(float));
    int code = arena_init(&tile->arena, bytes);
    if (code)
        return code;
    tile->x = arena_take(&tile->arena, field.dim * EVALUATE_LANES, sizeof(float));
    tile->v = arena_take(&tile->arena, padded * EVALUATE_LANES, sizeof(float));
    tile->t = arena_take(&tile->arena, EVALUATE_LANES, sizeof(float));
    tile->scratch = arena_take(&tile->arena, scratch, sizeof(float));
    return 0;
}

int evaluate_field(float *v, struct field field, const struct simd_kernels *kernels, const float *x,
                   const float *t, size_t count)
{
    struct evaluate_tile tile;
    int code = evaluate_tile_init(&tile, field);
    if (code)
        return code;
    for (size_t first = 0; first < count; first += EVALUATE_LANES) {
        size_t rows = count - first < EVALUATE_LANES ? count - first : EVALUATE_LANES;
        for (size_t r = 0; r < rows; r++) {
            tile.t[r] = t[first + r];
            for (size_t d = 0; d < field.dim; d++)
                tile.x[d * EVALUATE_LANES + r] = x[(first + r) * field.dim + d];
        }
        field.velocity(field.self, kernels, tile.v, tile.x, tile.t, tile.scratch,
                       (struct simd_shape){.stride = EVALUATE_LANES, .lanes = rows});
        for (size_t r = 0; r < rows; r++) {
            for (size_t d = 0; d < field.dim; d++)
                v[(first + r) * field.dim + d] = tile.v[d * EVALUATE_LANES + r];
        }
    }
    arena_release(&tile.arena);
    return 0;
}
