#include "server/engine/engine.h"

#include "config/limits.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "server/engine/place.h"
#include "server/engine/run.h"

#include <poll.h>
#include <sched.h>
#include <time.h>

enum {
    ENGINE_RUNS_MAX = 4096, /* requests at once; each holds its window in memory */
    ENGINE_FEW_RUNS = 4,    /* a worker; see engine_nap, measured */
    ENGINE_NAP_NS = 64 * 1000,
    ENGINE_LONGEST_NAP_NS = 1000 * 1000,
};

/* While runs are in work and a worker, and so a processor, has nothing to do, the loop looks out
   for what comes next a moment before it falls asleep. */
static void engine_linger(const struct engine *engine)
{
    struct pollfd events = {.fd = uv_backend_fd(engine->options.loop), .events = POLLIN};
    uint64_t until = uv_hrtime() + ENGINE_LINGER_NS;
    while (poll(&events, 1, 0) == 0 && uv_hrtime() < until)
        place_relax();
}

/* While many runs are in work and no worker is free, what comes waits anyway, and the loop works
   off a heap of events faster than one by one (a quarter more requests a second, measured). */
static void engine_nap(const struct engine *engine)
{
    size_t few = ENGINE_FEW_RUNS * engine->options.workers;
    if (engine->account.runs <= few)
        return;
    uint64_t wait = ENGINE_NAP_NS * (uint64_t)(engine->account.runs - few);
    const struct timespec nap = {
        .tv_nsec = (long)(wait < ENGINE_LONGEST_NAP_NS ? wait : ENGINE_LONGEST_NAP_NS)};
    nanosleep(&nap, NULL);
}

/* The loop is about to wait for events. */
static void engine_on_asleep(uv_prepare_t *asleep)
{
    struct engine *engine = asleep->data;
    int here = sched_getcpu();
    size_t resting = 0;
    bool needed = false; /* by a worker: this processor */
    if (!engine->options.linger || engine->account.runs == 0 ||
        uv_backend_timeout(engine->options.loop) == 0)
        return;
    uv_mutex_lock(&engine->lock);
    for (size_t i = 0; i < engine->options.workers; i++) {
        bool rests = engine->rests[i].state != REST_NOT;
        resting += rests;
        needed = needed || (!rests && engine->rests[i].cpu == here);
    }
    engine_unlock(engine);
    if (resting == 0)
        engine_nap(engine);
    else if (!needed)
        engine_linger(engine);
}

static void engine_deliver(struct engine *engine)
{
    uv_mutex_lock(&engine->lock);
    struct run *run;
    /* One at a time: a callback may free any run. */
    while ((run = TAILQ_FIRST(&engine->woken))) {
        TAILQ_REMOVE(&engine->woken, run, woken_link);
        run->woken = false;
        engine_unlock(engine);
        run->wake(run->context, run);
        uv_mutex_lock(&engine->lock);
    }
    engine_unlock(engine);
}

static void engine_on_bell(void *context)
{
    engine_deliver(context);
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
    size_t wanted = rows / SIMD_LANES + (rows % SIMD_LANES > 0);
    atomic_fetch_add_explicit(&engine->events, 1, memory_order_relaxed);
    engine->calls = wanted > SIZE_MAX - engine->calls ? SIZE_MAX : engine->calls + wanted;
}

/* Lock held: one that is asleep, if possible not one that keeps to the processor of the caller,
   which goes on there; or NULL. */
static struct rest *engine_sleeper(struct engine *engine, int here)
{
    struct rest *found = NULL;
    for (size_t i = 0; i < engine->options.workers; i++) {
        struct rest *rest = &engine->rests[i];
        if (rest->state == REST_ASLEEP && (!found || rest->cpu != here))
            found = rest;
        if (found && found->cpu != here)
            break;
    }
    return found;
}

/* Lock held: how many of so many calls are seen without one. */
static size_t engine_lookouts(struct engine *engine, size_t calls, int here)
{
    size_t count = 0;
    for (size_t i = 0; i < engine->options.workers && count < calls; i++) {
        struct rest *rest = &engine->rests[i];
        if (rest->state == REST_LINGERS && rest->cpu != here) {
            rest->state = REST_NOT;
            count++;
        }
    }
    return count;
}

void engine_unlock(struct engine *engine)
{
    struct rest *called[LIMIT_WORKERS];
    size_t count = 0;
    if (engine->calls > 0) {
        int here = sched_getcpu();
        size_t seen = engine_lookouts(engine, engine->calls, here);
        struct rest *rest;
        while (seen + count < engine->calls && (rest = engine_sleeper(engine, here))) {
            rest->state = REST_NOT;
            called[count++] = rest;
        }
    }
    engine->calls = 0;
    uv_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < count; i++)
        uv_cond_signal(&called[i]->called);
}

bool engine_unpin(struct run *run, size_t pins)
{
    check(run->pins >= pins);
    run->pins -= pins;
    return run->pins == 0 && run->released;
}

static void engine_on_deadline(uv_timer_t *timer);

/* Lock held, loop thread: the timer goes off at the next deadline, or a little later. */
static void engine_arm(struct engine *engine)
{
    uint64_t deadline = sched_next_deadline(&engine->sched), now = uv_hrtime();
    if (deadline == 0)
        return;
    uint64_t wait_ms = deadline > now ? (deadline - now) / 1000000 + 1 : 0;
    uv_timer_start(&engine->handles->deadline, engine_on_deadline, wait_ms, 0);
}

static void engine_on_deadline(uv_timer_t *timer)
{
    struct engine *engine = timer->data;
    struct sched_run *late;
    uv_mutex_lock(&engine->lock);
    while ((late = sched_expire(&engine->sched, uv_hrtime()))) {
        struct run *run = run_of(late);
        run->error = ERR_DEADLINE;
        atomic_store(&run->cancelled, true);
        engine_wake(engine, run);
    }
    engine_rouse(engine, 0);
    engine_arm(engine);
    engine_unlock(engine);
    engine_deliver(engine);
}

static void engine_on_closed(uv_handle_t *handle)
{
    struct engine_handles *handles = handle->data;
    if (--handles->open == 0)
        mem_free(handles);
}

/* What the engine has on the loop. */
static int engine_open(struct engine *engine)
{
    uv_loop_t *loop = engine->options.loop;
    engine->handles = mem_zalloc(1, sizeof *engine->handles);
    if (!engine->handles)
        return ERR_NOMEM;
    int code = bell_open(&engine->bell, loop, engine_on_bell, engine);
    if (code) {
        mem_free(engine->handles);
        return code;
    }
    uv_timer_init(loop, &engine->handles->deadline);
    uv_prepare_init(loop, &engine->handles->asleep);
    engine->handles->deadline.data = engine->handles->asleep.data = engine;
    engine->handles->open = 2;
    uv_prepare_start(&engine->handles->asleep, engine_on_asleep);
    return 0;
}

/* Whoever waits for the lock looks at it for a moment before falling asleep: it is held shortly. */
static void engine_init_lock(struct engine *engine)
{
    pthread_mutexattr_t attributes;
    check(pthread_mutexattr_init(&attributes) == 0);
    check(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP) == 0);
    check(pthread_mutex_init(&engine->lock, &attributes) == 0);
    pthread_mutexattr_destroy(&attributes);
}

int engine_start(struct engine **out, const struct engine_options *options, struct err *err)
{
    struct engine *engine = mem_zalloc(1, sizeof *engine);
    check(options->workers > 0 && options->workers <= LIMIT_WORKERS);
    if (!engine)
        return err_set(err, ERR_NOMEM, "", "out of memory");
    engine->options = *options;
    TAILQ_INIT(&engine->woken);
    sched_init(&engine->sched);
    engine->account = (struct account){.cost_limit = options->cost_limit,
                                       .bytes_limit = options->bytes_limit,
                                       .runs_limit = ENGINE_RUNS_MAX,
                                       .workers = options->workers,
                                       .retry_seconds = 1};
    atomic_init(&engine->events, 0);
    int code = engine_open(engine);
    if (code) {
        mem_free(engine);
        return err_set(err, (enum err_code)code, "", "the engine cannot wake the loop");
    }
    engine_init_lock(engine);
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
    engine_rouse(engine, SIZE_MAX);
    engine_unlock(engine);
    worker_join_all(engine);
    check(engine->account.runs == 0);
    sched_release(&engine->sched);
    uv_mutex_destroy(&engine->lock);
    bell_close(engine->bell);
    engine->handles->deadline.data = engine->handles->asleep.data = engine->handles;
    uv_close((uv_handle_t *)&engine->handles->deadline, engine_on_closed);
    uv_close((uv_handle_t *)&engine->handles->asleep, engine_on_closed);
    mem_free(engine);
}

/* Lock held. */
static int engine_admit(struct engine *engine, struct run *run, struct err *err)
{
    run->charge.work = (double)run->waiting * run->row_cost;
    int code = account_admit(&engine->account, &run->charge, err);
    if (code)
        return code;
    if (sched_add(&engine->sched, &run->sched)) {
        account_leave(&engine->account, &run->charge);
        return err_set(err, ERR_NOMEM, "", "out of memory");
    }
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
    if (code == 0)
        engine_arm(engine);
    engine_unlock(engine);
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
    unsigned seconds = engine->account.retry_seconds;
    engine_unlock(engine);
    return seconds;
}

struct engine_stats engine_stats(struct engine *engine)
{
    uv_mutex_lock(&engine->lock);
    struct engine_stats stats = engine->stats;
    stats.runs_active = engine->account.runs;
    stats.cost_queued = engine->account.held_cost;
    stats.bytes_held = engine->account.held_bytes;
    engine_unlock(engine);
    return stats;
}
