#include "server/engine/seat.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <string.h>

int seat_take(struct seat *seat, const struct sched_key *key)
{
    struct model_ref *model = (struct model_ref *)key->model;
    struct field field = model_field(&model->model);
    seat->row = mem_alloc(field.dim, sizeof *seat->row);
    if (!seat->row || tile_init(&seat->tile, field, key->method, key->kernels, SEAT_LANES)) {
        mem_free(seat->row);
        return ERR_NOMEM;
    }
    seat->key = *key;
    seat->model = model;
    seat->steps = SIZE_MAX;
    seat->claim_count = seat->arrival_count = 0;
    return 0;
}

void seat_leave(struct seat *seat)
{
    check(seat->tile.active == 0 && seat->arrival_count == 0);
    tile_release(&seat->tile);
    mem_free(seat->row);
    model_ref_drop(seat->model);
    seat->key = (struct sched_key){0};
}

static size_t seat_from_step(const struct unit *unit)
{
    const struct run *run = unit->run;
    size_t frame = sched_unit_frame(&run->sched, unit->index);
    return frame == 0 ? 0 : run->grid.frames[frame - 1];
}

static size_t seat_to_step(const struct unit *unit)
{
    const struct run *run = unit->run;
    return run->grid.frames[sched_unit_frame(&run->sched, unit->index)];
}

static bool seat_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

/* Where row `row` of the whole request begins in this unit: x0, noise, or its last frame. */
static void seat_begin_row(const struct unit *unit, uint64_t row, float *x)
{
    const struct run *run = unit->run;
    const struct sample_spec *spec = &run->spec;
    size_t dim = run->dim;
    if (sched_unit_frame(&run->sched, unit->index) > 0)
        memcpy(x, run->state + row * dim, dim * sizeof *x);
    else if (spec->x0)
        memcpy(x, spec->x0 + row * dim, dim * sizeof *x);
    else
        rng_normal((struct rng_key){.seed = spec->seed, .stream = RNG_SOURCE}, row, 0, x, dim);
}

/* The row in seat->row is at the end of its unit, or of its life. */
static void seat_arrive(struct seat *seat, struct unit *unit, size_t row, size_t steps)
{
    struct run *run = unit->run;
    const float *x = seat->row;
    bool ok = seat_finite(x, run->dim);
    memcpy(unit->rows + row * run->dim, x, run->dim * sizeof *x);
    unit->ok[row] = ok;
    if (run->state) {
        uint64_t first = sched_unit_row(&run->sched, unit->index);
        memcpy(run->state + (first + row) * run->dim, x, run->dim * sizeof *x);
    }
    check(seat->arrival_count < 2 * SEAT_LANES);
    seat->arrivals[seat->arrival_count++] =
        (struct arrival){unit, row, steps * run->spec.tableau->stages, ok};
}

void seat_load(struct seat *seat)
{
    for (size_t i = 0; i < seat->claim_count; i++) {
        const struct sched_claim *claim = &seat->claims[i];
        struct run *run = run_of(claim->run);
        struct unit *unit = run_unit(run, claim->unit);
        uint64_t first = sched_unit_row(&run->sched, claim->unit);
        size_t step = seat_from_step(unit), end = seat_to_step(unit);
        for (size_t r = claim->first; r < claim->first + claim->count; r++) {
            seat_begin_row(unit, first + r, seat->row);
            if (step == end || !seat_finite(seat->row, run->dim))
                seat_arrive(seat, unit, r, 0);
            else
                check(tile_add(&seat->tile, seat->row, &run->grid, step, unit, r) <
                      seat->tile.stride);
        }
        if (step < end && end - step < seat->steps)
            seat->steps = end - step;
    }
    seat->claim_count = 0;
}

void seat_step(struct seat *seat)
{
    tile_step(&seat->tile);
    seat->steps--;
}

bool seat_due(const struct seat *seat)
{
    return seat->steps == 0;
}

void seat_collect(struct seat *seat)
{
    struct tile *tile = &seat->tile;
    seat->steps = SIZE_MAX;
    for (size_t i = 0; i < tile->stride; i++) {
        const struct lane *lane = &tile->lanes[i];
        if (!lane->grid)
            continue;
        struct unit *unit = lane->owner;
        size_t left = seat_to_step(unit) - lane->step;
        bool cancelled = atomic_load_explicit(&unit->run->cancelled, memory_order_relaxed);
        if (left > 0 && lane->finite && !cancelled) {
            if (left < seat->steps)
                seat->steps = left;
            continue;
        }
        tile_get(tile, i, seat->row);
        seat_arrive(seat, unit, lane->row, lane->step - seat_from_step(unit));
        tile_drop(tile, i);
    }
}
