#include "server/engine/seat.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <unistd.h>

/* Of each core, as far as the kernel says. */
static size_t seat_cache_bytes(void)
{
    enum { USUAL = 1 << 20 };
    long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : USUAL;
}

int seat_take(struct seat *seat, const struct sched_key *key, struct simd_team *team)
{
    struct model_ref *model = (struct model_ref *)key->model;
    struct field field = model_field(&model->model);
    size_t lanes = net_tile_lanes(&model->model.spec.net, seat_cache_bytes());
    check(lanes <= SEAT_LANES);
    seat->row = mem_alloc(field.dim, sizeof *seat->row);
    if (!seat->row || tile_init(&seat->tile, field, key->method, key->kernels, lanes)) {
        mem_free(seat->row);
        return ERR_NOMEM;
    }
    seat->source_scale = (float)path_source_scale(&model->model.spec.path);
    seat->tile.team = team;
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

/* Standard normal numbers times what the model's path begins with: 1 on most. */
static void seat_draw_source(const struct seat *seat, const struct run *run, uint64_t row)
{
    const struct rng_key key = {.seed = run->spec.seed, .stream = RNG_SOURCE};
    rng_normal(key, row, 0, seat->row, run->dim);
    for (size_t i = 0; i < run->dim; i++)
        seat->row[i] *= seat->source_scale;
}

/* Puts row `row` of a unit into the tile where it begins: x0, noise, or its last frame. Returns its
   lane. */
static size_t seat_begin_row(struct seat *seat, struct unit *unit, size_t row)
{
    const struct run *run = unit->run;
    const struct sample_spec *spec = &run->spec;
    uint64_t of_all = sched_unit_row(&run->sched, unit->index) + row;
    size_t step = seat_from_step(unit);
    if (sched_unit_frame(&run->sched, unit->index) > 0)
        return tile_restore(&seat->tile, run->state + of_all * run->state_floats, &run->grid, step,
                            unit, row);
    if (spec->x0)
        return tile_add(&seat->tile, spec->x0 + of_all * run->dim, &run->grid, step, unit, row);
    seat_draw_source(seat, run, of_all);
    return tile_add(&seat->tile, seat->row, &run->grid, step, unit, row);
}

/* Takes a row out of the tile, with all that its next frame needs. */
static void seat_let_out(struct seat *seat, size_t lane)
{
    const struct lane *at = &seat->tile.lanes[lane];
    struct unit *unit = at->owner;
    struct run *run = unit->run;
    size_t end = seat_to_step(unit);
    tile_get_at(&seat->tile, lane, at->step < end ? at->step : end,
                unit->rows + at->row * run->dim);
    unit->ok[at->row] = at->status == ROW_OK;
    if (run->state) {
        uint64_t row = sched_unit_row(&run->sched, unit->index) + at->row;
        tile_save(&seat->tile, lane, run->state + row * run->state_floats);
    }
    check(seat->arrival_count < 2 * SEAT_LANES);
    seat->arrivals[seat->arrival_count++] =
        (struct arrival){unit, at->row, at->evaluations, at->status, at->solve};
    tile_drop(&seat->tile, lane);
}

/* Lets the lane out if its row is at its frame, has failed, or its run was cancelled; else notes
   when it may be. */
static void seat_attend(struct seat *seat, size_t lane)
{
    const struct lane *at = &seat->tile.lanes[lane];
    const struct unit *unit = at->owner;
    bool cancelled = atomic_load_explicit(&unit->run->cancelled, memory_order_relaxed);
    if (at->step >= seat_to_step(unit) || at->status != ROW_OK || cancelled) {
        seat_let_out(seat, lane);
        return;
    }
    /* A chosen step may pass any number of frames. */
    size_t left = tableau_adaptive(seat->tile.tableau) ? 1 : seat_to_step(unit) - at->step;
    if (left < seat->steps)
        seat->steps = left;
}

size_t seat_lanes(const struct seat *seat)
{
    size_t rows = seat->tile.active;
    for (size_t i = 0; i < seat->claim_count; i++)
        rows += seat->claims[i].count;
    return rows > seat->tile.end ? rows : seat->tile.end;
}

void seat_load(struct seat *seat)
{
    for (size_t i = 0; i < seat->claim_count; i++) {
        const struct sched_claim *claim = &seat->claims[i];
        struct unit *unit = run_unit(run_of(claim->run), claim->unit);
        for (size_t r = claim->first; r < claim->first + claim->count; r++) {
            size_t lane = seat_begin_row(seat, unit, r);
            check(lane < seat->tile.stride);
            seat_attend(seat, lane);
        }
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
    seat->steps = SIZE_MAX;
    for (size_t lane = 0; lane < seat->tile.stride; lane++) {
        if (seat->tile.lanes[lane].grid)
            seat_attend(seat, lane);
    }
}
