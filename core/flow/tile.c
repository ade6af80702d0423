#include "core/flow/tile.h"

#include "core/base/check.h"
#include "core/flow/adaptive.h"

#include <math.h>
#include <string.h>

const char *row_status_name(enum row_status status)
{
    static const char *const names[] = {
        [ROW_OK] = "ok",
        [ROW_NON_FINITE] = "non_finite",
        [ROW_MAX_EVALUATIONS] = "max_evaluations",
        [ROW_STEP_UNDERFLOW] = "step_underflow",
    };
    check((size_t)status < sizeof names / sizeof names[0]);
    return names[status];
}

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
    if (tableau_adaptive(tile->tableau)) {
        tile->rtol = tile_take(tile, &bytes, stride, sizeof(float));
        tile->atol = tile_take(tile, &bytes, stride, sizeof(float));
        tile->error = tile_take(tile, &bytes, stride, sizeof(float));
        tile->sum = tile_take(tile, &bytes, stride, sizeof(float));
        tile->keep = tile_take(tile, &bytes, stride, sizeof(float));
    }
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

/* The lowest free lane, or stride. */
static size_t tile_take_lane(struct tile *tile, const struct lane *lane)
{
    size_t free_lane = 0;
    check(lane->grid && lane->step <= lane->grid->steps);
    if (tile->active == tile->stride)
        return tile->stride;
    while (tile->lanes[free_lane].grid)
        free_lane++;
    tile->lanes[free_lane] = *lane;
    tile->active++;
    if (free_lane >= tile->end)
        tile->end = free_lane + 1;
    return free_lane;
}

/* Where a row enters; one that is not finite has failed. */
static void tile_put(struct tile *tile, size_t lane, const float *x)
{
    struct lane *at = &tile->lanes[lane];
    for (size_t i = 0; i < tile->field.dim; i++) {
        tile->x[i * tile->stride + lane] = x[i];
        if (!isfinite(x[i]))
            at->status = ROW_NON_FINITE;
    }
    if (tableau_adaptive(tile->tableau))
        adaptive_begin(tile, lane);
}

size_t tile_add(struct tile *tile, const float *x, const struct grid *grid, size_t step,
                void *owner, size_t row)
{
    const struct lane entering = {.grid = grid, .step = step, .owner = owner, .row = row};
    size_t lane = tile_take_lane(tile, &entering);
    if (lane < tile->stride)
        tile_put(tile, lane, x);
    return lane;
}

void tile_get(const struct tile *tile, size_t lane, float *out)
{
    check(lane < tile->stride);
    tile_get_at(tile, lane, tile->lanes[lane].step, out);
}

void tile_get_at(const struct tile *tile, size_t lane, size_t step, float *out)
{
    check(lane < tile->stride && step <= tile->lanes[lane].step);
    if (tableau_adaptive(tile->tableau)) {
        adaptive_get(tile, lane, step, out);
        return;
    }
    for (size_t i = 0; i < tile->field.dim; i++)
        out[i] = tile->x[i * tile->stride + lane];
}

size_t tile_state_floats(size_t dim, const struct tableau *tableau)
{
    return tableau_adaptive(tableau) ? adaptive_state_floats(dim, tableau) : dim;
}

void tile_save(const struct tile *tile, size_t lane, float *state)
{
    if (tableau_adaptive(tile->tableau))
        adaptive_save(tile, lane, state);
    else
        tile_get(tile, lane, state);
}

size_t tile_restore(struct tile *tile, const float *state, const struct grid *grid, size_t step,
                    void *owner, size_t row)
{
    const struct lane entering = {.grid = grid, .step = step, .owner = owner, .row = row};
    size_t lane = tile_take_lane(tile, &entering);
    if (lane == tile->stride)
        return lane;
    if (tableau_adaptive(tile->tableau))
        adaptive_restore(tile, lane, state);
    else
        tile_put(tile, lane, state);
    return lane;
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
    return lane->grid && lane->status == ROW_OK && lane->step < lane->grid->steps;
}

/* Fills h, and t for a first stage at the beginning of the step: a lane that stands still is
   evaluated where it stands, a free one at 0. False when no lane moves. */
static bool tile_set_steps(struct tile *tile, size_t lanes)
{
    bool any = false;
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        const double *times = lane->grid ? &lane->grid->times[lane->step] : NULL;
        bool moves = tile_moves(lane);
        tile->h[r] = moves ? (float)(times[1] - times[0]) : 0.0f;
        tile->t[r] = times ? (float)times[0] : 0.0f;
        any = any || moves;
    }
    return any;
}

/* Fills t for a later stage. */
static void tile_set_times(struct tile *tile, size_t lanes, double c)
{
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        if (!tile_moves(lane))
            continue;
        const double *times = &lane->grid->times[lane->step];
        tile->t[r] = (float)grid_between(times[0], times[1], c);
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
        if (tableau->c[s] > 0) /* before, t is where tile_set_steps left it */
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
        lane->evaluations += tile->tableau->stages;
        if (!isfinite(bad[r]))
            lane->status = ROW_NON_FINITE;
    }
}

void tile_step(struct tile *tile)
{
    const struct simd_shape shape = {
        .stride = tile->stride,
        .lanes = tile->end,
        .team = tile->team,
    };
    if (tableau_adaptive(tile->tableau)) {
        adaptive_step(tile, shape);
        return;
    }
    if (!tile_set_steps(tile, shape.lanes))
        return;
    tile_evaluate(tile, shape);
    tile->kernels->combine(tile->x, tile->x, tile->h, tile->tableau->b,
                           (const float *const *)tile->k, tile->tableau->stages, tile->field.dim,
                           shape);
    tile_arrive(tile, shape.lanes);
}
