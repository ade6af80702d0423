#include "server/engine/engine.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "server/engine/run.h"

#include <math.h>

enum {
    ENGINE_RUNS_MAX = 4096,     /* requests at once; each holds its window in memory */
    ENGINE_ACCOUNT_ROWS = 4096, /* rows of one run in progress: what it is charged for */
};

void engine_loop_wakes(struct engine *engine)
{
    unsigned loop = engine ? atomic_load_explicit(&engine->loop, memory_order_relaxed) : 1;
    if (loop % 2 == 0)
        atomic_store_explicit(&engine->loop, loop + 1, memory_order_relaxed);
}

static void engine_on_asleep(uv_prepare_t *asleep)
{
    struct engine *engine = asleep->data;
    unsigned loop = atomic_load_explicit(&engine->loop, memory_order_relaxed);
    if (loop % 2 == 1)
        atomic_store_explicit(&engine->loop, loop + 1, memory_order_relaxed);
}

static void engine_on_bell(void *context)
{
    struct engine *engine = context;
    engine_loop_wakes(engine);
    uv_mutex_lock(&engine->lock);
    struct run *run;
    /* One at a time: a callback may free any run. */
    while ((run = TAILQ_FIRST(&engine->woken))) {
        TAILQ_REMOVE(&engine->woken, run, woken_link);
        run->woken = false;
        uv_mutex_unlock(&engine->lock);
        run->wake(run->context, run);
        uv_mutex_lock(&engine->lock);
    }
    uv_mutex_unlock(&engine->lock);
}

void engine_wake(struct engine *engine, struct run *run)
{
    if (run->woken || run->released)
        return;
    run->woken = true;
    TAILQ_INSERT_TAIL(&engine->woken, run, woken_link);
}

void engine_rouse(struct engine *engine, size_t rows)
{
    atomic_fetch_add_explicit(&engine->events, 1, memory_order_relaxed);
    for (size_t i = 0; i < engine->idle && i * SIMD_LANES < rows; i++)
        uv_cond_signal(&engine->work);
}

bool engine_unpin(struct run *run, size_t pins)
{
    check(run->pins >= pins);
    run->pins -= pins;
    return run->pins == 0 && run->released;
}

static void engine_free_handle(uv_handle_t *handle)
{
    mem_free(handle);
}

/* What the engine has on the loop. */
static int engine_open(struct engine *engine)
{
    engine->asleep = mem_zalloc(1, sizeof *engine->asleep);
    if (!engine->asleep)
        return ERR_NOMEM;
    int code = bell_open(&engine->bell, engine->options.loop, engine_on_bell, engine);
    if (code) {
        mem_free(engine->asleep);
        return code;
    }
    uv_prepare_init(engine->options.loop, engine->asleep);
    engine->asleep->data = engine;
    uv_prepare_start(engine->asleep, engine_on_asleep);
    return 0;
}

int engine_start(struct engine **out, const struct engine_options *options, struct err *err)
{
    struct engine *engine = mem_zalloc(1, sizeof *engine);
    if (!engine)
        return err_set(err, ERR_NOMEM, "", "out of memory");
    engine->options = *options;
    TAILQ_INIT(&engine->woken);
    sched_init(&engine->sched);
    atomic_init(&engine->events, 0);
    atomic_init(&engine->loop, 0);
    int code = engine_open(engine);
    if (code) {
        mem_free(engine);
        return err_set(err, (enum err_code)code, "", "the engine cannot wake the loop");
    }
    check(uv_mutex_init(&engine->lock) == 0);
    check(uv_cond_init(&engine->work) == 0);
    code = worker_start_all(engine, err);
    if (code) {
        engine_stop(engine);
        return code;
    }
    *out = engine;
    return 0;
}

void engine_stop(struct engine *engine)
{
    if (!engine)
        return;
    uv_mutex_lock(&engine->lock);
    engine->stopping = true;
    uv_cond_broadcast(&engine->work);
    uv_mutex_unlock(&engine->lock);
    worker_join_all(engine);
    check(engine->stats.runs_active == 0);
    sched_release(&engine->sched);
    uv_cond_destroy(&engine->work);
    uv_mutex_destroy(&engine->lock);
    bell_close(engine->bell);
    uv_close((uv_handle_t *)engine->asleep, engine_free_handle);
    mem_free(engine);
}

static double engine_run_cost(const struct run *run)
{
    double rows = (double)run->spec.count;
    if (rows > ENGINE_ACCOUNT_ROWS)
        rows = ENGINE_ACCOUNT_ROWS;
    return rows * sample_spec_evaluations(&run->spec) * net_cost(&run->model->model.spec.net);
}

/* Lock held. A run that comes to an idle engine is always taken. */
static int engine_admit(struct engine *engine, struct run *run, struct err *err)
{
    run->cost = engine_run_cost(run);
    if (engine->stats.runs_active > 0 &&
        engine->stats.cost_queued + run->cost > engine->options.cost_limit)
        return err_set(err, ERR_OVERLOADED, "", "%.3g multiply-adds are waiting already",
                       engine->stats.cost_queued);
    if (engine->stats.runs_active > 0 &&
        engine->stats.bytes_held + run->bytes > engine->options.bytes_limit)
        return err_set(err, ERR_OVERLOADED, "", "the requests in progress hold %.3g bytes already",
                       (double)engine->stats.bytes_held);
    if (engine->stats.runs_active >= ENGINE_RUNS_MAX)
        return err_set(err, ERR_OVERLOADED, "", "%d requests are in progress already",
                       ENGINE_RUNS_MAX);
    if (sched_add(&engine->sched, &run->sched))
        return err_set(err, ERR_NOMEM, "", "out of memory");
    engine->stats.cost_queued += run->cost;
    engine->stats.bytes_held += run->bytes;
    engine->stats.runs_active++;
    run->submitted_ns = uv_hrtime();
    engine_rouse(engine, run->spec.count < SCHED_BLOCK ? (size_t)run->spec.count : SIZE_MAX);
    return 0;
}

int engine_submit(struct engine *engine, const struct run_options *options, struct run **out,
                  struct err *err)
{
    struct run *run;
    int code = run_new(&run, engine, options, engine->options.workers, err);
    if (code)
        return code;
    uv_mutex_lock(&engine->lock);
    code = engine_admit(engine, run, err);
    uv_mutex_unlock(&engine->lock);
    if (code) {
        *options->spec = run->spec;
        sample_spec_init(&run->spec);
        run_destroy(run);
        return code;
    }
    *out = run;
    return 0;
}

unsigned engine_retry_seconds(struct engine *engine)
{
    uv_mutex_lock(&engine->lock);
    double rate = engine->busy_seconds > 0
                      ? engine->busy_cost / engine->busy_seconds * (double)engine->options.workers
                      : 0;
    double seconds = rate > 0 ? ceil(engine->stats.cost_queued / rate) : 1;
    uv_mutex_unlock(&engine->lock);
    return seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)seconds;
}

struct engine_stats engine_stats(struct engine *engine)
{
    uv_mutex_lock(&engine->lock);
    struct engine_stats stats = engine->stats;
    uv_mutex_unlock(&engine->lock);
    return stats;
}
