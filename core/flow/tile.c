#include "core/flow/tile.h"

#include "core/base/check.h"

#include <math.h>
#include <string.h>

/* Takes the arrays from the arena, or only adds up their bytes when there is none yet. */
static void *tile_take(struct tile *tile, size_t *bytes, size_t count, size_t size)
{
    *bytes += arena_bytes(count, size);
    return tile->arena.base ? arena_take(&tile->arena, count, size) : NULL;
}

static size_t tile_carve(struct tile *tile)
{
    size_t dim = tile->field.dim;
    size_t stride = tile->stride;
    size_t state = dim * stride;
    size_t bytes = 0;
    tile->lanes = tile_take(tile, &bytes, stride, sizeof *tile->lanes);
    tile->x = tile_take(tile, &bytes, state, sizeof(float));
    tile->stage = tile_take(tile, &bytes, state, sizeof(float));
    for (size_t s = 0; s < tile->tableau->stages; s++)
        tile->k[s] = tile_take(tile, &bytes, simd_whole_outputs(dim) * stride, sizeof(float));
    tile->h = tile_take(tile, &bytes, stride, sizeof(float));
    tile->t = tile_take(tile, &bytes, stride, sizeof(float));
    tile->scratch =
        tile_take(tile, &bytes, tile->field.scratch(tile->field.self, stride), sizeof(float));
    return bytes;
}

int tile_init(struct tile *tile, struct field field, const struct tableau *tableau,
              const struct simd_kernels *kernels, size_t stride)
{
    check(stride > 0 && stride % SIMD_LANES == 0 && field.dim > 0);
    *tile = (struct tile){
        .field = field,
        .tableau = tableau,
        .kernels = kernels,
        .stride = stride,
    };
    int code = arena_init(&tile->arena, tile_carve(tile));
    if (code)
        return code;
    tile_carve(tile);
    return 0;
}

void tile_release(struct tile *tile)
{
    arena_release(&tile->arena);
    *tile = (struct tile){0};
}

size_t tile_add(struct tile *tile, const float *x, const struct grid *grid, size_t step,
                void *owner, size_t row)
{
    size_t lane = 0;
    check(grid && step <= grid->steps);
    if (tile->active == tile->stride)
        return tile->stride;
    while (tile->lanes[lane].grid)
        lane++;
    for (size_t i = 0; i < tile->field.dim; i++)
        tile->x[i * tile->stride + lane] = x[i];
    tile->lanes[lane] = (struct lane){
        .grid = grid,
        .step = step,
        .finite = true,
        .owner = owner,
        .row = row,
    };
    tile->active++;
    if (lane >= tile->end)
        tile->end = lane + 1;
    return lane;
}

void tile_get(const struct tile *tile, size_t lane, float *out)
{
    check(lane < tile->stride);
    for (size_t i = 0; i < tile->field.dim; i++)
        out[i] = tile->x[i * tile->stride + lane];
}

void tile_drop(struct tile *tile, size_t lane)
{
    check(lane < tile->stride && tile->lanes[lane].grid);
    /* A free lane is computed with its block: keep it off denormals and infinities. */
    for (size_t i = 0; i < tile->field.dim; i++)
        tile->x[i * tile->stride + lane] = 0.0f;
    tile->h[lane] = 0.0f;
    tile->t[lane] = 0.0f;
    tile->lanes[lane] = (struct lane){0};
    tile->active--;
    while (tile->end && !tile->lanes[tile->end - 1].grid)
        tile->end--;
}

static bool tile_moves(const struct lane *lane)
{
    return lane->grid && lane->finite && lane->step < lane->grid->steps;
}

/* Fills h; false when no lane moves. */
static bool tile_set_steps(struct tile *tile, size_t lanes)
{
    bool any = false;
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        bool moves = tile_moves(lane);
        const double *times = moves ? &lane->grid->times[lane->step] : NULL;
        tile->h[r] = moves ? (float)(times[1] - times[0]) : 0.0f;
        any = any || moves;
    }
    return any;
}

/* from + c (to - from), never outside the step whatever the rounding. */
static double tile_between(double from, double to, double c)
{
    double t = from + c * (to - from);
    double low = from < to ? from : to;
    double high = from < to ? to : from;
    return t < low ? low : t > high ? high : t;
}

/* Fills t for a stage; a lane that stands still is evaluated where it stands, a free one at 0. */
static void tile_set_times(struct tile *tile, size_t lanes, double c)
{
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        double t = lane->grid ? lane->grid->times[lane->step] : 0.0;
        if (tile_moves(lane))
            t = tile_between(t, lane->grid->times[lane->step + 1], c);
        tile->t[r] = (float)t;
    }
}

/* k[0] .. k[stages - 1], each from the states the tableau asks for. */
static void tile_evaluate(struct tile *tile, struct simd_shape shape)
{
    const struct tableau *tableau = tile->tableau;
    const struct field *field = &tile->field;
    const float *x = tile->x;
    for (size_t s = 0; s < tableau->stages; s++) {
        if (s > 0) {
            tile->kernels->combine(tile->stage, tile->x, tile->h, tableau->a[s],
                                   (const float *const *)tile->k, s, field->dim, shape);
            x = tile->stage;
        }
        tile_set_times(tile, shape.lanes, tableau->c[s]);
        field->velocity(field->self, tile->kernels, tile->k[s], x, tile->t, tile->scratch, shape);
    }
}

/* The lanes that had a step stand at its end. */
static void tile_arrive(struct tile *tile, size_t lanes)
{
    float *bad = tile->t; /* 0, or NaN once a coordinate is not finite: 0 * x says which */
    memset(bad, 0, lanes * sizeof *bad);
    for (size_t i = 0; i < tile->field.dim; i++)
        for (size_t r = 0; r < lanes; r++)
            bad[r] += 0.0f * tile->x[i * tile->stride + r];
    for (size_t r = 0; r < lanes; r++) {
        struct lane *lane = &tile->lanes[r];
        if (!tile_moves(lane))
            continue;
        lane->step++;
        lane->finite = isfinite(bad[r]);
    }
}

void tile_step(struct tile *tile)
{
    const struct simd_shape shape = {
        .stride = tile->stride,
        .lanes = tile->end,
        .team = tile->team,
    };
    if (!tile_set_steps(tile, shape.lanes))
        return;
    tile_evaluate(tile, shape);
    tile->kernels->combine(tile->x, tile->x, tile->h, tile->tableau->b,
                           (const float *const *)tile->k, tile->tableau->stages, tile->field.dim,
                           shape);
    tile_arrive(tile, shape.lanes);
}
