/* A worker: a thread with a seat for each class of work (sched.h). It takes rows into the tiles of
   its seats, steps the tiles in turns, books the rows that arrive, and encodes the units that are
   complete. Between arrivals it steps without the lock, unless something happens in the engine. A
   seat stays with a queue while that has rows; once its slice is over and another queue waits, its
   tile runs empty and it goes on to that one. */
#include "server/engine/seat.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "server/engine/place.h"

enum {
    WORKER_ARRIVALS = SCHED_CLASSES * 2 * SEAT_LANES, /* at once */
};

/* Beside each other small requests of two models wait for a short slice, large ones for one that
   is worth the change of tiles. */
static const uint64_t worker_slices_ns[SCHED_CLASSES] = {4000000, 10000000};

struct worker {
    struct engine *engine;
    uv_thread_t thread;
    struct rest *rest;                      /* in engine->rests */
    bool lingered;                          /* since it last had work */
    struct seat seats[SCHED_CLASSES];
    struct team team;
    struct sched_turn turn;
    unsigned events;                        /* of the engine that it has seen */
    bool ring;                              /* the loop is to be called */
    struct unit *complete[WORKER_ARRIVALS]; /* units whose last row arrived: to be encoded */
    size_t complete_count;
    struct run *dead[2 * WORKER_ARRIVALS]; /* let go and unpinned: to be destroyed */
    size_t dead_count;
};

static void worker_note_failure(struct run *run, uint64_t row, enum row_status status)
{
    if (!run->failures)
        run->failures = mem_alloc(RUN_FAILURES, sizeof *run->failures);
    if (run->failures && run->failure_count < RUN_FAILURES)
        run->failures[run->failure_count++] =
            (struct rows_failure){.row = row, .status = row_status_name(status)};
}

/* Lock held: a row has ended. */
static void worker_tally(struct run *run, const struct solve *solve)
{
    struct rows_tally *tally = &run->tally;
    if (!tableau_adaptive(run->spec.tableau))
        return;
    if (tally->rows == 0 || solve->evaluations < tally->evaluations_min)
        tally->evaluations_min = solve->evaluations;
    if (solve->evaluations > tally->evaluations_max)
        tally->evaluations_max = solve->evaluations;
    tally->rows++;
    tally->accepted += solve->accepted;
    tally->rejected += solve->rejected;
}

/* Lock held: books one row. Its pin becomes the pin of its unit's encoding, or goes. */
static void worker_book(struct worker *worker, const struct arrival *arrival)
{
    struct engine *engine = worker->engine;
    struct unit *unit = arrival->unit;
    struct run *run = unit->run;
    run->evaluations += arrival->evaluations;
    engine->stats.evaluations += arrival->evaluations;
    engine->stats.rows_active--;
    account_measure(&engine->account, (double)arrival->evaluations * run->evaluation_cost, 0);
    if (!run->released)
        account_ease(&engine->account, &run->charge, (double)--run->waiting * run->row_cost);
    if (sched_unit_frame(&run->sched, unit->index) + 1 == run->sched.frames) {
        engine->stats.rows++;
        worker_tally(run, &arrival->solve);
        if (arrival->status != ROW_OK)
            worker_note_failure(run, sched_unit_row(&run->sched, unit->index) + arrival->row,
                                arrival->status);
    }
    if (--unit->remaining == 0 && !run->released && !run->error) {
        if (sched_unit_done(&run->sched, unit->index))
            engine_rouse(engine, SCHED_BLOCK);
        worker->complete[worker->complete_count++] = unit;
    } else if (engine_unpin(run, 1)) {
        worker->dead[worker->dead_count++] = run;
    }
}

static void worker_settle(struct worker *worker)
{
    for (size_t class = 0; class < SCHED_CLASSES; class++) {
        struct seat *seat = &worker->seats[class];
        for (size_t i = 0; i < seat->arrival_count; i++)
            worker_book(worker, &seat->arrivals[i]);
        seat->arrival_count = 0;
    }
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

/* Lock held: all of it is computed, in time. */
static void worker_end_run(struct run *run)
{
    run->ended_ns = uv_hrtime();
    sched_remove(&run->engine->sched, &run->sched);
    if (run->error == ERR_DEADLINE) /* while the last unit was encoded */
        run->error = 0;
}

/* Lock held: all that the window holds is computed and not read. */
static bool worker_outran_reader(const struct run *run)
{
    return run->units_ready - run->sched.read == run->sched.window;
}

/* Lock held, given back while encoding. */
static void worker_encode_complete(struct worker *worker)
{
    struct engine *engine = worker->engine;
    if (worker->complete_count == 0)
        return;
    engine_unlock(engine);
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
            worker_end_run(run);
        else if (!run->released && worker_outran_reader(run))
            account_park(&engine->account, &run->charge);
        engine_wake(engine, run);
        worker->ring = true;
        if (engine_unpin(run, 1))
            worker->dead[worker->dead_count++] = run;
    }
    worker->complete_count = 0;
}

/* Lock not held: what is better done without it. */
static void worker_let_go(struct worker *worker)
{
    if (worker->ring)
        bell_ring(worker->engine->bell);
    worker->ring = false;
    for (; worker->dead_count > 0; worker->dead_count--)
        run_destroy(worker->dead[worker->dead_count - 1]);
}

/* Lock held: the seat may take rows of its queue. False once its slice is over and another queue
   waits. */
static bool worker_stays(struct worker *worker, enum sched_class class)
{
    struct sched *sched = &worker->engine->sched;
    struct seat *seat = &worker->seats[class];
    uint64_t now = uv_hrtime(), slice = worker_slices_ns[class];
    if (now - seat->slice_ns < slice)
        return true;
    if (sched_others_wait(sched, class, &seat->key))
        return false;
    sched_renew(sched, &seat->key, class, slice, now - seat->slice_ns);
    seat->slice_ns = now;
    return true;
}

/* Rows for the free lanes; those that wait are shared with the seats of other workers that are
   vacant. */
static size_t worker_room(const struct worker *worker, enum sched_class class,
                          const struct sched_queue *queue)
{
    const struct tile *tile = &worker->seats[class].tile;
    size_t room = tile->stride - tile->active;
    size_t vacant = worker->engine->vacant[class];
    if (room == 0 || vacant == 0)
        return room;
    size_t ready = sched_ready_rows(queue, class, (vacant + 1) * tile->stride);
    size_t share = simd_whole_lanes((ready + vacant) / (vacant + 1));
    return share < room ? share : room;
}

/* Lock held. */
static void worker_claim(struct worker *worker, enum sched_class class)
{
    struct engine *engine = worker->engine;
    struct seat *seat = &worker->seats[class];
    struct sched_queue *queue = sched_find(&engine->sched, &seat->key);
    if (!queue || !worker_stays(worker, class))
        return;
    seat->claim_count = sched_take(queue, class, worker_room(worker, class, queue), seat->claims,
                                   SEAT_LANES);
    for (size_t i = 0; i < seat->claim_count; i++) {
        const struct sched_claim *claim = &seat->claims[i];
        struct run *run = run_of(claim->run);
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

/* Lock held: no memory for a tile, so the runs of this queue cannot be carried out. */
static void worker_fail_queue(struct worker *worker, const struct sched_key *key,
                              enum sched_class class)
{
    struct engine *engine = worker->engine;
    struct sched_queue *queue;
    while ((queue = sched_find(&engine->sched, key)) && !TAILQ_EMPTY(&queue->ready[class])) {
        struct run *run = run_of(TAILQ_FIRST(&queue->ready[class]));
        sched_remove(&engine->sched, &run->sched);
        run->error = ERR_NOMEM;
        engine_wake(engine, run);
        worker->ring = true;
    }
}

/* Lock held at both ends. */
static void worker_occupy(struct worker *worker, enum sched_class class,
                          const struct sched_queue *queue)
{
    struct engine *engine = worker->engine;
    struct seat *seat = &worker->seats[class];
    const struct sched_key key = queue->key;
    struct model_ref *model = model_ref_take((struct model_ref *)key.model);
    seat->slice_ns = uv_hrtime();
    engine->vacant[class]--;
    engine_unlock(engine);
    int code = seat_take(seat, &key, &worker->team.simd);
    uv_mutex_lock(&engine->lock);
    if (code == 0)
        return;
    engine->vacant[class]++;
    worker_fail_queue(worker, &key, class);
    engine_unlock(engine);
    model_ref_drop(model);
    uv_mutex_lock(&engine->lock);
}

/* Lock held at both ends. */
static void worker_vacate(struct worker *worker, enum sched_class class)
{
    struct engine *engine = worker->engine;
    struct seat *seat = &worker->seats[class];
    sched_settle(&engine->sched, &seat->key, class, worker_slices_ns[class],
                 uv_hrtime() - seat->slice_ns);
    engine->vacant[class]++;
    engine_unlock(engine);
    worker_let_go(worker);
    seat_leave(seat);
    uv_mutex_lock(&engine->lock);
}

/* Lock held at both ends: the seat takes rows, from another queue if its own has none for it. */
static void worker_fill(struct worker *worker, enum sched_class class)
{
    struct seat *seat = &worker->seats[class];
    for (;;) {
        if (seat_taken(seat)) {
            worker_claim(worker, class);
            if (seat->claim_count + seat->tile.active > 0)
                return;
            worker_vacate(worker, class);
        }
        const struct sched_queue *queue =
            sched_pick(&worker->engine->sched, class, worker_slices_ns[class]);
        if (!queue)
            return;
        worker_occupy(worker, class, queue);
    }
}

static bool worker_sees_news(const struct worker *worker)
{
    return atomic_load_explicit(&worker->engine->events, memory_order_relaxed) != worker->events;
}

/* Steps the tiles until rows arrive or there is news. */
static void worker_step(struct worker *worker)
{
    struct seat *seats = worker->seats;
    uint64_t before = uv_hrtime();
    bool due = false;
    while (!due) {
        bool express = seats[SCHED_IS_EXPRESS].tile.active > 0;
        bool bulk = seats[SCHED_IS_BULK].tile.active > 0;
        if (!express && !bulk)
            break;
        enum sched_class class = sched_turn_next(&worker->turn, express, bulk);
        seat_step(&seats[class]);
        uint64_t now = uv_hrtime();
        sched_turn_charge(&worker->turn, class, now - before);
        before = now;
        due = seat_due(&seats[class]) || worker_sees_news(worker);
    }
    for (size_t class = 0; class < SCHED_CLASSES; class++)
        seat_collect(&seats[class]);
}

/* Lock not held. */
static void worker_work(struct worker *worker)
{
    worker_let_go(worker);
    for (size_t class = 0; class < SCHED_CLASSES; class++)
        seat_load(&worker->seats[class]);
    worker_step(worker);
}

static bool worker_busy(const struct worker *worker)
{
    return seat_taken(&worker->seats[SCHED_IS_EXPRESS]) ||
           seat_taken(&worker->seats[SCHED_IS_BULK]);
}

/* Lock held: whether a tile has so few rows of so wide a network that others can help. */
static bool worker_can_share(const struct worker *worker)
{
    for (size_t class = 0; class < SCHED_CLASSES; class++) {
        const struct seat *seat = &worker->seats[class];
        size_t lanes = seat_taken(seat) ? seat_lanes(seat) : 0;
        if (lanes > 0 && seat->tile.kernels->rows &&
            net_shares(&seat->model->model.spec.net, lanes))
            return true;
    }
    return false;
}

/* Lock held: asks idle workers for help, or thanks them. */
static void worker_lead(struct worker *worker)
{
    struct engine *engine = worker->engine;
    bool leads = engine->team == &worker->team;
    bool shares = (leads || !engine->team) && worker_can_share(worker);
    if (shares == leads)
        return;
    engine->team = shares ? &worker->team : NULL;
    if (shares) {
        team_open(&worker->team);
        engine_rouse(engine, SIZE_MAX);
    } else {
        team_close(&worker->team);
        engine_rouse(engine, 0); /* for another to lead */
    }
    worker->events++; /* that was no news for this one */
}

/* Lock held at both ends: until there is news, or the other has done what it had. False when nobody
   needs help. */
static bool worker_helps(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct team *team = engine->team;
    if (!team)
        return false;
    engine_unlock(engine);
    uint64_t began = uv_hrtime();
    bool helped = team_help(team, &engine->events, worker->events);
    uv_mutex_lock(&engine->lock);
    if (helped)
        account_measure(&engine->account, 0, (double)(uv_hrtime() - began) * 1e-9);
    worker->lingered = worker->lingered && !helped;
    return helped;
}

/* Lock held at both ends: whether there was news within a moment. A client that asks again at once
   then need not wait until this thread and its processor are awake again. */
static bool worker_lingers(struct worker *worker)
{
    struct engine *engine = worker->engine;
    if (!engine->options.linger || worker->lingered)
        return false;
    worker->lingered = true;
    worker->rest->state = REST_LINGERS;
    engine_unlock(engine);
    uint64_t until = uv_hrtime() + ENGINE_LINGER_NS;
    while (!worker_sees_news(worker) && uv_hrtime() < until)
        place_relax();
    uv_mutex_lock(&engine->lock);
    worker->rest->state = REST_NOT;
    return worker_sees_news(worker);
}

/* Lock held, given back while waiting. */
static void worker_wait(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct rest *rest = worker->rest;
    if (worker->dead_count > 0 || worker->ring || engine->calls > 0 ||
        worker_sees_news(worker)) {
        engine_unlock(engine);
        worker_let_go(worker);
        uv_mutex_lock(&engine->lock);
        return;
    }
    if (worker_helps(worker) || worker_lingers(worker))
        return;
    rest->state = REST_ASLEEP;
    while (rest->state == REST_ASLEEP)
        uv_cond_wait(&rest->called, &engine->lock);
}

static void worker_main(void *argument)
{
    struct worker *worker = argument;
    struct engine *engine = worker->engine;
    size_t number = (size_t)(worker->rest - engine->rests);
    int cpu = place_worker(number, engine->options.workers, engine->options.pin);
    uv_mutex_lock(&engine->lock);
    worker->rest->cpu = cpu;
    for (;;) {
        worker->events = atomic_load_explicit(&engine->events, memory_order_relaxed);
        worker_fill(worker, SCHED_IS_EXPRESS);
        worker_fill(worker, SCHED_IS_BULK);
        worker_lead(worker);
        if (worker_busy(worker)) {
            worker->lingered = false;
            uint64_t began = uv_hrtime();
            engine_unlock(engine);
            worker_work(worker);
            uv_mutex_lock(&engine->lock);
            account_measure(&engine->account, 0, (double)(uv_hrtime() - began) * 1e-9);
            worker_settle(worker);
            worker_encode_complete(worker);
        } else if (engine->stopping && worker->dead_count == 0 && !worker->ring) {
            break;
        } else {
            worker_wait(worker);
        }
    }
    engine_unlock(engine);
}

int worker_start_all(struct engine *engine, struct err *err)
{
    size_t wanted = engine->options.workers;
    size_t processors = uv_available_parallelism();
    size_t members = wanted < processors ? wanted : processors;
    engine->workers = mem_zalloc(wanted, sizeof *engine->workers);
    engine->rests = mem_zalloc(wanted, sizeof *engine->rests);
    if (!engine->workers || !engine->rests) {
        engine->options.workers = 0; /* for engine_stop */
        return err_set(err, ERR_NOMEM, "", "out of memory");
    }
    for (size_t class = 0; class < SCHED_CLASSES; class++)
        engine->vacant[class] = wanted;
    for (size_t i = 0; i < wanted; i++) {
        engine->rests[i].cpu = PLACE_ANYWHERE;
        check(uv_cond_init(&engine->rests[i].called) == 0);
    }
    for (size_t i = 0; i < wanted; i++) {
        struct worker *worker = &engine->workers[i];
        worker->engine = engine;
        worker->rest = &engine->rests[i];
        team_init(&worker->team, members);
        if (uv_thread_create(&worker->thread, worker_main, worker))
            return err_set(err, ERR_INTERNAL, "", "worker %zu of %zu did not start", i + 1, wanted);
        engine->started++;
    }
    return 0;
}

void worker_join_all(struct engine *engine)
{
    for (size_t i = 0; i < engine->started; i++)
        uv_thread_join(&engine->workers[i].thread);
    for (size_t i = 0; i < engine->options.workers; i++)
        uv_cond_destroy(&engine->rests[i].called);
    mem_free(engine->workers);
    mem_free(engine->rests);
}
