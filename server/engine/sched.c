#include "server/engine/sched.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"

void sched_init(struct sched *sched)
{
    TAILQ_INIT(&sched->queues);
}

void sched_release(struct sched *sched)
{
    check(TAILQ_EMPTY(&sched->queues));
}

int sched_run_init(struct sched_run *run, uint64_t rows, size_t frames, size_t window)
{
    check(rows > 0 && frames > 0 && window > 0);
    size_t blocks = (size_t)((rows + SCHED_BLOCK - 1) / SCHED_BLOCK);
    run->rows = rows;
    run->frames = frames;
    run->window = window;
    run->blocks = blocks;
    run->units = (uint64_t)blocks * frames;
    run->issue = run->read = 0;
    run->issue_row = 0;
    run->ready = false;
    run->queue = NULL;
    run->reached = NULL;
    if (frames > 1) {
        run->reached = mem_zalloc(blocks, sizeof *run->reached);
        if (!run->reached)
            return ERR_NOMEM;
    }
    return 0;
}

void sched_run_release(struct sched_run *run)
{
    check(!run->queue);
    mem_free(run->reached);
    run->reached = NULL;
}

size_t sched_unit_frame(const struct sched_run *run, uint64_t unit)
{
    return (size_t)(unit / run->blocks);
}

uint64_t sched_unit_row(const struct sched_run *run, uint64_t unit)
{
    return unit % run->blocks * SCHED_BLOCK;
}

size_t sched_unit_rows(const struct sched_run *run, uint64_t unit)
{
    uint64_t left = run->rows - sched_unit_row(run, unit);
    return left < SCHED_BLOCK ? (size_t)left : SCHED_BLOCK;
}

/* Rows of the unit at hand that can be taken now: its window is open and its block has come far
   enough. */
static size_t sched_run_ready_rows(const struct sched_run *run)
{
    if (run->issue >= run->units || run->issue - run->read >= run->window)
        return 0;
    if (run->reached && run->reached[run->issue % run->blocks] < sched_unit_frame(run, run->issue))
        return 0;
    return sched_unit_rows(run, run->issue) - run->issue_row;
}

/* Puts a run at the end of its queue's ready list if it can give rows and does not stand there. */
static void sched_run_update(struct sched_run *run)
{
    if (run->queue && !run->ready && sched_run_ready_rows(run) > 0) {
        run->ready = true;
        TAILQ_INSERT_TAIL(&run->queue->ready, run, link);
    }
}

struct sched_queue *sched_find(struct sched *sched, const void *model, const void *method,
                               const void *kernels)
{
    struct sched_queue *queue;
    TAILQ_FOREACH(queue, &sched->queues, link)
    {
        if (queue->model == model && queue->method == method && queue->kernels == kernels)
            return queue;
    }
    return NULL;
}

static struct sched_queue *sched_queue_of(struct sched *sched, const struct sched_run *run)
{
    struct sched_queue *queue = sched_find(sched, run->model, run->method, run->kernels);
    if (queue)
        return queue;
    queue = mem_zalloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->model = run->model;
    queue->method = run->method;
    queue->kernels = run->kernels;
    TAILQ_INIT(&queue->ready);
    TAILQ_INSERT_TAIL(&sched->queues, queue, link);
    return queue;
}

int sched_add(struct sched *sched, struct sched_run *run)
{
    check(!run->queue);
    run->queue = sched_queue_of(sched, run);
    if (!run->queue)
        return ERR_NOMEM;
    run->queue->runs++;
    sched_run_update(run);
    return 0;
}

void sched_remove(struct sched *sched, struct sched_run *run)
{
    struct sched_queue *queue = run->queue;
    if (!queue)
        return;
    if (run->ready)
        TAILQ_REMOVE(&queue->ready, run, link);
    run->ready = false;
    run->queue = NULL;
    if (--queue->runs == 0) {
        TAILQ_REMOVE(&sched->queues, queue, link);
        mem_free(queue);
    }
}

struct sched_queue *sched_pick(struct sched *sched)
{
    struct sched_queue *queue;
    TAILQ_FOREACH(queue, &sched->queues, link)
    {
        if (!TAILQ_EMPTY(&queue->ready)) {
            TAILQ_REMOVE(&sched->queues, queue, link);
            TAILQ_INSERT_TAIL(&sched->queues, queue, link);
            return queue;
        }
    }
    return NULL;
}

bool sched_others_wait(const struct sched *sched, const struct sched_queue *queue)
{
    const struct sched_queue *other;
    TAILQ_FOREACH(other, &sched->queues, link)
    {
        if (other != queue && !TAILQ_EMPTY(&other->ready))
            return true;
    }
    return false;
}

size_t sched_ready_rows(const struct sched_queue *queue, size_t enough)
{
    size_t rows = 0;
    const struct sched_run *run;
    TAILQ_FOREACH(run, &queue->ready, link)
    {
        /* Only the unit at hand is known to be ready; the rest of a long run will follow it. */
        uint64_t open = run->read + run->window - run->issue;
        uint64_t left = run->units - run->issue;
        uint64_t units = open < left ? open : left;
        rows += run->reached ? sched_run_ready_rows(run) : (size_t)units * SCHED_BLOCK;
        if (rows >= enough)
            return enough;
    }
    return rows;
}

/* One turn of the run at the head of the ready list. */
static struct sched_claim sched_take_turn(struct sched_queue *queue, size_t rows_max)
{
    struct sched_run *run = TAILQ_FIRST(&queue->ready);
    size_t rows = sched_run_ready_rows(run);
    if (rows > rows_max)
        rows = rows_max;
    if (rows > SCHED_QUANTUM)
        rows = SCHED_QUANTUM;
    struct sched_claim claim = {run, run->issue, run->issue_row, rows};
    run->issue_row += rows;
    if (run->issue_row == sched_unit_rows(run, run->issue)) {
        run->issue++;
        run->issue_row = 0;
    }
    TAILQ_REMOVE(&queue->ready, run, link);
    run->ready = false;
    sched_run_update(run);
    return claim;
}

size_t sched_take(struct sched_queue *queue, size_t rows_max, struct sched_claim *claims,
                  size_t claims_max)
{
    size_t count = 0;
    while (count < claims_max && rows_max > 0 && !TAILQ_EMPTY(&queue->ready)) {
        claims[count] = sched_take_turn(queue, rows_max);
        rows_max -= claims[count].count;
        count++;
    }
    return count;
}

void sched_unit_done(struct sched_run *run, uint64_t unit)
{
    if (run->reached)
        run->reached[unit % run->blocks] = (uint32_t)sched_unit_frame(run, unit) + 1;
    sched_run_update(run);
}

void sched_unit_read(struct sched_run *run)
{
    check(run->read < run->units);
    run->read++;
    sched_run_update(run);
}
