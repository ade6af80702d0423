/* A worker: takes rows of one queue into its tile, steps the tile, lets rows out that have
   reached their frame, encodes units that are complete. It stays with a queue while that has
   rows; once its time slice is over and another queue waits, it lets the tile run empty and goes
   on to that one. */
#include "server/engine/run.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <string.h>

enum {
    WORKER_LANES = 64,
    WORKER_CLAIMS = WORKER_LANES, /* a claim holds at least one row */
    WORKER_SLICE_NS = 10 * 1000 * 1000,
};

struct worker {
    struct engine *engine;
    uv_thread_t thread;
    struct tile tile;
    struct model_ref *model; /* of the tile */
    float *row;              /* [dim] */
    struct sched_claim claims[WORKER_CLAIMS];
    size_t claim_count;
    struct {
        struct unit *unit;
        size_t steps; /* taken in this tile */
        size_t row;
        bool ok;
    } arrivals[2 * WORKER_LANES]; /* rows that are at their frame: from the tile, and new ones */
    size_t arrival_count;
    struct unit *complete[2 * WORKER_LANES]; /* units whose last row arrived: to be encoded */
    size_t complete_count;
    struct run *dead[2 * WORKER_LANES + WORKER_CLAIMS]; /* let go and unpinned: to be destroyed */
    size_t dead_count;
};

static struct run *worker_run_of(const struct sched_claim *claim)
{
    return (struct run *)((char *)claim->run - offsetof(struct run, sched));
}

static size_t worker_from_step(const struct unit *unit)
{
    const struct run *run = unit->run;
    size_t frame = sched_unit_frame(&run->sched, unit->index);
    return frame == 0 ? 0 : run->grid.frames[frame - 1];
}

static size_t worker_to_step(const struct unit *unit)
{
    const struct run *run = unit->run;
    return run->grid.frames[sched_unit_frame(&run->sched, unit->index)];
}

static bool worker_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            return false;
    }
    return true;
}

/* Where row `row` of the whole request begins in this unit: x0, noise, or its last frame. */
static void worker_begin_row(const struct unit *unit, uint64_t row, float *x)
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

static void worker_arrive(struct worker *worker, struct unit *unit, size_t row, size_t steps,
                          const float *x)
{
    struct run *run = unit->run;
    bool ok = worker_finite(x, run->dim);
    memcpy(unit->rows + row * run->dim, x, run->dim * sizeof *x);
    unit->ok[row] = ok;
    if (run->state) {
        uint64_t first = sched_unit_row(&run->sched, unit->index);
        memcpy(run->state + (first + row) * run->dim, x, run->dim * sizeof *x);
    }
    check(worker->arrival_count < 2 * WORKER_LANES);
    worker->arrivals[worker->arrival_count].unit = unit;
    worker->arrivals[worker->arrival_count].row = row;
    worker->arrivals[worker->arrival_count].steps = steps;
    worker->arrivals[worker->arrival_count].ok = ok;
    worker->arrival_count++;
}

static void worker_load(struct worker *worker)
{
    for (size_t i = 0; i < worker->claim_count; i++) {
        const struct sched_claim *claim = &worker->claims[i];
        struct run *run = worker_run_of(claim);
        struct unit *unit = run_unit(run, claim->unit);
        uint64_t first = sched_unit_row(&run->sched, claim->unit);
        for (size_t r = claim->first; r < claim->first + claim->count; r++) {
            worker_begin_row(unit, first + r, worker->row);
            size_t step = worker_from_step(unit);
            if (step == worker_to_step(unit) || !worker_finite(worker->row, run->dim))
                worker_arrive(worker, unit, r, 0, worker->row);
            else
                check(tile_add(&worker->tile, worker->row, &run->grid, step, unit, r) <
                      worker->tile.stride);
        }
    }
}

/* Lets out rows that are at their frame, have failed, or whose run was cancelled. */
static void worker_collect(struct worker *worker)
{
    struct tile *tile = &worker->tile;
    for (size_t i = 0; i < tile->stride; i++) {
        const struct lane *lane = &tile->lanes[i];
        if (!lane->grid)
            continue;
        struct unit *unit = lane->owner;
        bool cancelled = atomic_load_explicit(&unit->run->cancelled, memory_order_relaxed);
        if (lane->step < worker_to_step(unit) && lane->finite && !cancelled)
            continue;
        tile_get(tile, i, worker->row);
        worker_arrive(worker, unit, lane->row, lane->step - worker_from_step(unit), worker->row);
        tile_drop(tile, i);
    }
}

static void worker_note_failure(struct run *run, uint64_t row)
{
    if (!run->failures)
        run->failures = mem_alloc(RUN_FAILURES, sizeof *run->failures);
    if (run->failures && run->failure_count < RUN_FAILURES)
        run->failures[run->failure_count++] =
            (struct rows_failure){.row = row, .status = "non_finite"};
}

/* Lock held: books the arrivals. A pin of a row becomes the pin of its unit's encoding, or goes. */
static void worker_settle(struct worker *worker)
{
    struct engine *engine = worker->engine;
    for (size_t i = 0; i < worker->arrival_count; i++) {
        struct unit *unit = worker->arrivals[i].unit;
        struct run *run = unit->run;
        size_t evaluations = worker->arrivals[i].steps * run->spec.tableau->stages;
        size_t frame = sched_unit_frame(&run->sched, unit->index);
        run->evaluations += evaluations;
        engine->stats.evaluations += evaluations;
        engine->stats.rows_active--;
        engine->busy_cost += (double)evaluations * net_cost(&run->model->model.spec.net);
        if (frame + 1 == run->sched.frames) {
            engine->stats.rows++;
            if (!worker->arrivals[i].ok)
                worker_note_failure(run, sched_unit_row(&run->sched, unit->index) +
                                             worker->arrivals[i].row);
        }
        if (--unit->remaining == 0 && !run->released) {
            sched_unit_done(&run->sched, unit->index);
            worker->complete[worker->complete_count++] = unit;
        } else if (engine_unpin(run, 1)) {
            worker->dead[worker->dead_count++] = run;
        }
    }
    worker->arrival_count = 0;
}

static void worker_encode(struct unit *unit)
{
    struct run *run = unit->run;
    const struct rows_piece piece = {
        .first = sched_unit_row(&run->sched, unit->index),
        .rows = unit->rows,
        .ok = unit->ok,
        .count = unit->count,
    };
    if (run->frames)
        frames_body(&unit->bytes, run->format, &run->info,
                    sched_unit_frame(&run->sched, unit->index), &piece);
    else
        rows_body(&unit->bytes, run->format, &run->info, &piece);
}

/* Lock held, given back while encoding. */
static void worker_encode_complete(struct worker *worker)
{
    struct engine *engine = worker->engine;
    if (worker->complete_count == 0)
        return;
    /* Next frames of these blocks may be waiting for another worker. */
    uv_cond_broadcast(&engine->work);
    uv_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < worker->complete_count; i++)
        worker_encode(worker->complete[i]);
    uv_mutex_lock(&engine->lock);
    for (size_t i = 0; i < worker->complete_count; i++) {
        struct unit *unit = worker->complete[i];
        struct run *run = unit->run;
        if (unit->bytes.failed)
            run->error = ERR_NOMEM;
        unit->state = UNIT_READY;
        if (++run->units_ready == run->sched.units)
            run->ended_ns = uv_hrtime();
        engine_wake(engine, run);
        if (engine_unpin(run, 1))
            worker->dead[worker->dead_count++] = run;
    }
    worker->complete_count = 0;
}

/* Lock held: takes rows for the free lanes. Rows that wait are shared with workers that idle. */
static void worker_claim(struct worker *worker, bool yield)
{
    struct engine *engine = worker->engine;
    const struct tile *tile = &worker->tile;
    struct sched_queue *queue =
        sched_find(&engine->sched, worker->model, tile->tableau, tile->kernels);
    worker->claim_count = 0;
    if (!queue || (yield && sched_others_wait(&engine->sched, queue)))
        return;
    size_t room = tile->stride - tile->active;
    if (engine->idle > 0) {
        size_t sharers = engine->idle + 1;
        size_t ready = sched_ready_rows(queue, sharers * WORKER_LANES);
        size_t share = simd_whole_lanes((ready + sharers - 1) / sharers);
        room = share < room ? share : room;
    }
    worker->claim_count = sched_take(queue, room, worker->claims, WORKER_CLAIMS);
    for (size_t i = 0; i < worker->claim_count; i++) {
        const struct sched_claim *claim = &worker->claims[i];
        struct run *run = worker_run_of(claim);
        struct unit *unit = run_unit(run, claim->unit);
        if (claim->first == 0) {
            unit->index = claim->unit;
            unit->count = unit->remaining = sched_unit_rows(&run->sched, claim->unit);
            unit->state = UNIT_ISSUED;
        }
        run->pins += claim->count;
        engine->stats.rows_active += claim->count;
        if (!run->started_ns)
            run->started_ns = uv_hrtime();
    }
}

/* Lock held at both ends: serves a queue until it has nothing more for this worker. */
static void worker_serve(struct worker *worker)
{
    struct engine *engine = worker->engine;
    uint64_t began = uv_hrtime();
    for (;;) {
        bool yield = uv_hrtime() - began > WORKER_SLICE_NS;
        worker_claim(worker, yield);
        if (worker->claim_count == 0 && worker->tile.active == 0)
            break;
        uv_mutex_unlock(&engine->lock);
        for (; worker->dead_count > 0; worker->dead_count--)
            run_destroy(worker->dead[worker->dead_count - 1]);
        worker_load(worker);
        if (worker->tile.active > 0)
            tile_step(&worker->tile);
        worker_collect(worker);
        uv_mutex_lock(&engine->lock);
        worker_settle(worker);
        worker_encode_complete(worker);
    }
    engine->busy_seconds += (double)(uv_hrtime() - began) * 1e-9;
}

/* Lock held: no memory for a tile, so the runs of this queue cannot be carried out. */
static void worker_fail_queue(struct engine *engine, const struct sched_queue *key)
{
    struct sched_queue *queue;
    while ((queue = sched_find(&engine->sched, key->model, key->method, key->kernels)) &&
           !TAILQ_EMPTY(&queue->ready)) {
        struct sched_run *scheduled = TAILQ_FIRST(&queue->ready);
        struct run *run = worker_run_of(&(struct sched_claim){.run = scheduled});
        sched_remove(&engine->sched, scheduled);
        run->error = ERR_NOMEM;
        engine_wake(engine, run);
    }
}

/* Lock held at both ends. */
static void worker_take_queue(struct worker *worker, const struct sched_queue *queue)
{
    struct engine *engine = worker->engine;
    const struct sched_queue key = *queue; /* the queue itself may vanish without the lock */
    worker->model = model_ref_take((struct model_ref *)key.model);
    uv_mutex_unlock(&engine->lock);
    struct field field = model_field(&worker->model->model);
    worker->row = mem_alloc(field.dim, sizeof *worker->row);
    bool ready =
        worker->row && tile_init(&worker->tile, field, key.method, key.kernels, WORKER_LANES) == 0;
    uv_mutex_lock(&engine->lock);
    if (ready)
        worker_serve(worker);
    else
        worker_fail_queue(engine, &key);
    uv_mutex_unlock(&engine->lock);
    for (; worker->dead_count > 0; worker->dead_count--)
        run_destroy(worker->dead[worker->dead_count - 1]);
    if (ready)
        tile_release(&worker->tile);
    mem_free(worker->row);
    model_ref_drop(worker->model);
    uv_mutex_lock(&engine->lock);
}

static void worker_main(void *argument)
{
    struct worker *worker = argument;
    struct engine *engine = worker->engine;
    uv_mutex_lock(&engine->lock);
    while (!engine->stopping) {
        struct sched_queue *queue = sched_pick(&engine->sched);
        if (queue) {
            worker_take_queue(worker, queue);
            continue;
        }
        engine->idle++;
        uv_cond_wait(&engine->work, &engine->lock);
        engine->idle--;
    }
    uv_mutex_unlock(&engine->lock);
}

int worker_start_all(struct engine *engine, struct err *err)
{
    size_t wanted = engine->options.workers;
    engine->options.workers = 0; /* counts those that run, for worker_join_all */
    engine->workers = mem_zalloc(wanted, sizeof *engine->workers);
    if (!engine->workers)
        return err_set(err, ERR_NOMEM, "", "out of memory");
    for (size_t i = 0; i < wanted; i++) {
        struct worker *worker = &engine->workers[i];
        worker->engine = engine;
        if (uv_thread_create(&worker->thread, worker_main, worker))
            return err_set(err, ERR_INTERNAL, "", "worker %zu of %zu did not start", i + 1, wanted);
        engine->options.workers++;
    }
    return 0;
}

void worker_join_all(struct engine *engine)
{
    for (size_t i = 0; i < engine->options.workers; i++)
        uv_thread_join(&engine->workers[i].thread);
    mem_free(engine->workers);
    engine->workers = NULL;
}
