#include "server/engine/run.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    RUN_WINDOW_BYTES = 2 * 1024 * 1024, /* of rows that are issued and not read */
    RUN_WINDOW_MAX = 64,                /* units */
    RUN_TEXT_SHARE = 4,                 /* bytes of text for one of a row, about */
};

/* Most bytes of the states that a trajectory keeps between frames. */
#define RUN_STATE_BYTES (256.0 * 1024 * 1024)
/* Most text of one unit: 64 rows of LIMIT_DIM numbers at some 30 bytes each, or levels of a
   table. */
#define RUN_UNIT_TEXT ((size_t)64 * 1024 * 1024)

/* Units in flight: enough to keep every worker's tile full, and no more than the bytes allow. */
static size_t run_window(const struct run *run, uint64_t units, size_t workers)
{
    size_t window = RUN_WINDOW_BYTES / (SCHED_BLOCK * run->dim * sizeof(float));
    if (window > RUN_WINDOW_MAX)
        window = RUN_WINDOW_MAX;
    if (window < 2 * workers + 2)
        window = 2 * workers + 2;
    return window < units ? window : (size_t)units;
}

static int run_allocate(struct run *run, size_t workers, struct err *err)
{
    uint64_t rows = run->spec.count;
    uint64_t units = (rows + SCHED_BLOCK - 1) / SCHED_BLOCK * run->grid.frame_count;
    run->submitted_ns = uv_hrtime();
    const struct sched_ask ask = {
        .key = {.model = run->model, .method = run->spec.tableau,
                .kernels = run->engine->options.kernels[run->spec.precision]},
        .rows = rows,
        .frames = run->grid.frame_count,
        .window = run_window(run, units, workers),
        .evaluations = (uint64_t)sample_spec_evaluations(&run->spec),
        .deadline = run->timeout_ms ? run->submitted_ns + run->timeout_ms * 1000000 : 0,
    };
    if (sched_run_init(&run->sched, &ask))
        return err_set(err, ERR_NOMEM, "", "out of memory");
    size_t unit_rows = rows < SCHED_BLOCK ? (size_t)rows : SCHED_BLOCK;
    size_t window = run->sched.window;
    size_t held = window * unit_rows * run->dim;
    size_t states = run->grid.frame_count > 1 ? (size_t)rows * run->state_floats : 0;
    run->waiting = run->sched.left;
    run->evaluation_cost = net_cost(&run->model->model.spec.net);
    run->row_cost = (double)run->sched.row_cost * run->evaluation_cost;
    run->charge.bytes = (held * (1 + RUN_TEXT_SHARE) + states) * sizeof(float);
    run->units = mem_zalloc(window, sizeof *run->units);
    run->rows = mem_alloc(held, sizeof *run->rows);
    if (states > 0)
        run->state = mem_alloc(states, sizeof *run->state);
    if (!run->units || !run->rows || (states > 0 && !run->state))
        return err_set(err, ERR_NOMEM, "", "out of memory");
    for (size_t i = 0; i < window; i++) {
        run->units[i].run = run;
        run->units[i].rows = run->rows + i * unit_rows * run->dim;
        buf_init(&run->units[i].bytes, RUN_UNIT_TEXT);
    }
    return 0;
}

static int run_head(struct run *run, struct err *err)
{
    buf_init(&run->text, RUN_UNIT_TEXT);
    if (run->frames)
        frames_head(&run->text, run->format, &run->info);
    else
        rows_head(&run->text, run->format, &run->info);
    return run->text.failed ? err_set(err, ERR_NOMEM, "", "out of memory") : 0;
}

static int run_prepare(struct run *run, const struct run_options *options, size_t workers,
                       struct err *err)
{
    const struct sample_spec *spec = &run->spec;
    run->dim = run->model->model.spec.net.dim;
    check(run->engine->options.kernels[spec->precision]);
    int code = sample_spec_check(spec, run->dim, err);
    if (code == 0)
        code = sample_spec_grid(&run->grid, spec, options->frames, err);
    if (code)
        return code;
    run->state_floats = tile_state_floats(run->dim, spec->tableau);
    if (run->grid.frame_count > 1 &&
        (double)spec->count * (double)run->state_floats * sizeof(float) > RUN_STATE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "/count",
                       "a trajectory keeps the states of its rows: at most %.0f rows of this model "
                       "with this solver",
                       floor(RUN_STATE_BYTES / sizeof(float) / (double)run->state_floats));
    run->info = (struct rows_info){.model = run->model->name,
                                   .version = run->model->version,
                                   .spec = &run->spec,
                                   .grid = &run->grid,
                                   .schema = &run->model->config.schema};
    code = run_allocate(run, workers, err);
    return code ? code : run_head(run, err);
}

int run_new(struct run **out, struct engine *engine, const struct run_options *options,
            size_t workers, struct err *err)
{
    struct run *run = mem_zalloc(1, sizeof *run);
    if (!run)
        return err_set(err, ERR_NOMEM, "", "out of memory");
    run->engine = engine;
    run->model = model_ref_take(options->model);
    run->spec = *options->spec;
    run->format = options->format;
    run->frames = options->frames;
    run->timeout_ms = options->timeout_ms;
    run->wake = options->wake;
    run->context = options->context;
    atomic_init(&run->cancelled, false);
    int code = run_prepare(run, options, workers, err);
    if (code) {
        sample_spec_init(&run->spec); /* the caller keeps what it owns */
        run_destroy(run);
        return code;
    }
    sample_spec_init(options->spec);
    *out = run;
    return 0;
}

void run_destroy(struct run *run)
{
    check(run->pins == 0);
    for (size_t i = 0; run->units && i < run->sched.window; i++)
        buf_release(&run->units[i].bytes);
    mem_free(run->units);
    mem_free(run->rows);
    mem_free(run->state);
    mem_free(run->failures);
    buf_release(&run->text);
    sched_run_release(&run->sched);
    grid_release(&run->grid);
    sample_spec_release(&run->spec);
    model_ref_drop(run->model);
    mem_free(run);
}

struct unit *run_unit(struct run *run, uint64_t index)
{
    return &run->units[index % run->sched.window];
}

static void run_encode_tail(struct run *run)
{
    buf_clear(&run->text);
    uv_mutex_lock(&run->engine->lock);
    const struct rows_outcome outcome = {
        .evaluations = run->evaluations,
        .tally = run->tally,
        .failures = run->failures,
        .failure_count = run->failure_count,
    };
    engine_unlock(run->engine);
    if (run->frames)
        frames_tail(&run->text, run->format, &outcome);
    else
        rows_tail(&run->text, run->format, &outcome);
}

/* The piece that is read now, or NULL when it is not computed yet. */
static struct buf *run_piece(struct run *run)
{
    if (run->phase != RUN_UNITS)
        return &run->text;
    struct unit *unit = run_unit(run, run->sched.read);
    uv_mutex_lock(&run->engine->lock);
    bool ready = unit->state == UNIT_READY && unit->index == run->sched.read;
    engine_unlock(run->engine);
    return ready ? &unit->bytes : NULL;
}

/* The reader has taken the whole piece: goes on to the next. */
static void run_advance(struct run *run)
{
    run->taken = 0;
    if (run->phase == RUN_HEAD) {
        run->phase = RUN_UNITS;
    } else if (run->phase == RUN_UNITS) {
        struct unit *unit = run_unit(run, run->sched.read);
        buf_release(&unit->bytes);
        uv_mutex_lock(&run->engine->lock);
        unit->state = UNIT_FREE;
        if (sched_unit_read(&run->sched))
            engine_rouse(run->engine, SCHED_BLOCK);
        engine_unlock(run->engine);
        if (run->sched.read == run->sched.units) {
            run->phase = RUN_TAIL;
            run_encode_tail(run);
        }
    } else {
        run->phase = RUN_OVER;
    }
}

int run_error(const struct run *run, struct err *err)
{
    uv_mutex_lock(&run->engine->lock);
    int code = run->error;
    engine_unlock(run->engine);
    if (code == ERR_NOMEM)
        err_set(err, ERR_NOMEM, "", "memory ran out while the answer was made");
    else if (code == ERR_DEADLINE)
        err_set(err, ERR_DEADLINE, "/timeout_ms",
                "%" PRIu64 " ms have passed before all rows were computed", run->timeout_ms);
    return code;
}

/* The next unit will never come: true if the answer can say so at this place, and goes on to that.
   A frame that has begun, or a form without a place for errors, can only be cut. */
static bool run_tell_error(struct run *run)
{
    struct err err = {0};
    bool inside = run->frames && run->sched.read % run->sched.blocks != 0;
    if (inside || (run->format != ROWS_NDJSON && run->format != ROWS_SSE) ||
        run_error(run, &err) != ERR_DEADLINE)
        return false;
    buf_clear(&run->text);
    frames_error(&run->text, run->format, &err);
    run->phase = RUN_TAIL;
    return true;
}

size_t run_read(struct run *run, char *out, size_t max, enum run_state *state)
{
    size_t total = 0;
    bool stuck = false; /* at a unit that is not there */
    while (run->phase != RUN_OVER) {
        struct buf *piece = run_piece(run);
        if (!piece && run_tell_error(run))
            continue;
        stuck = !piece;
        if (stuck)
            break;
        size_t left = piece->size - run->taken;
        size_t size = left < max - total ? left : max - total;
        if (size > 0)
            memcpy(out + total, piece->data + run->taken, size);
        total += size;
        run->taken += size;
        if (run->taken < piece->size)
            break; /* out is full */
        run_advance(run);
    }
    int error = run->text.failed ? ERR_NOMEM : run_error(run, NULL);
    bool failed = total == 0 && (stuck ? error != 0 : error == ERR_NOMEM);
    *state = failed ? RUN_FAILED : run->phase == RUN_OVER ? RUN_END : RUN_MORE;
    return total;
}

uint64_t run_evaluations(const struct run *run)
{
    uv_mutex_lock(&run->engine->lock);
    uint64_t evaluations = run->evaluations;
    engine_unlock(run->engine);
    return evaluations;
}

static double run_seconds(const struct run *run, const uint64_t *from, const uint64_t *to)
{
    uv_mutex_lock(&run->engine->lock);
    uint64_t begin = *from, end = *to ? *to : uv_hrtime();
    engine_unlock(run->engine);
    return begin && end > begin ? (double)(end - begin) * 1e-9 : 0.0;
}

double run_queue_seconds(const struct run *run)
{
    return run_seconds(run, &run->submitted_ns, &run->started_ns);
}

double run_compute_seconds(const struct run *run)
{
    return run_seconds(run, &run->started_ns, &run->ended_ns);
}

void run_free(struct run *run)
{
    if (!run)
        return;
    struct engine *engine = run->engine;
    uv_mutex_lock(&engine->lock);
    atomic_store(&run->cancelled, true);
    sched_remove(&engine->sched, &run->sched);
    if (run->pins > 0)
        engine_rouse(engine, 0);
    if (run->woken)
        TAILQ_REMOVE(&engine->woken, run, woken_link);
    run->woken = false;
    run->released = true;
    engine->stats.runs++;
    account_leave(&engine->account, &run->charge);
    bool destroy = run->pins == 0;
    engine_unlock(engine);
    if (destroy)
        run_destroy(run);
}
