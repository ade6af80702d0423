#include "server/engine/sched.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <string.h>

/* A step that took longer counts as this: the thread may have been kept off its processor. */
#define SCHED_TURN_NS 50000000

void sched_init(struct sched *sched)
{
    *sched = (struct sched){0};
    TAILQ_INIT(&sched->queues);
    TAILQ_INIT(&sched->timed);
}

void sched_release(struct sched *sched)
{
    check(TAILQ_EMPTY(&sched->queues) && TAILQ_EMPTY(&sched->timed));
}

int sched_run_init(struct sched_run *run, const struct sched_ask *ask)
{
    check(ask->rows > 0 && ask->frames > 0 && ask->window > 0);
    size_t blocks = (size_t)((ask->rows + SCHED_BLOCK - 1) / SCHED_BLOCK);
    uint64_t row_cost = (ask->evaluations + ask->frames - 1) / ask->frames;
    *run = (struct sched_run){
        .key = ask->key,
        .rows = ask->rows,
        .frames = ask->frames,
        .window = ask->window,
        .row_cost = row_cost > 0 ? row_cost : 1,
        .deadline = ask->deadline,
        .blocks = blocks,
        .units = (uint64_t)blocks * ask->frames,
        .left = ask->rows * ask->frames,
    };
    if (ask->frames > 1) {
        run->reached = mem_zalloc(blocks, sizeof *run->reached);
        if (!run->reached)
            return ERR_NOMEM;
    }
    return 0;
}

void sched_run_release(struct sched_run *run)
{
    check(!run->queue && !run->timed);
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

static enum sched_class sched_run_class(const struct sched_run *run)
{
    return run->left <= SCHED_EXPRESS / run->row_cost ? SCHED_IS_EXPRESS : SCHED_IS_BULK;
}

static void sched_run_leave(struct sched_run *run)
{
    if (run->ready)
        TAILQ_REMOVE(&run->queue->ready[run->class], run, link);
    run->ready = run->turn = false;
}

/* Puts a run at the end of its queue's ready list if it can give rows and does not stand there. A
   queue that had nothing to do begins where the others are: its rest is no credit. */
static bool sched_run_update(struct sched_run *run)
{
    struct sched_queue *queue = run->queue;
    if (!queue || run->ready || sched_run_ready_rows(run) == 0)
        return false;
    enum sched_class class = run->class = sched_run_class(run);
    uint64_t now = queue->sched->served[class];
    if (TAILQ_EMPTY(&queue->ready[class]) && queue->served[class] < now)
        queue->served[class] = now;
    run->ready = true;
    run->deficit = 0;
    TAILQ_INSERT_TAIL(&queue->ready[class], run, link);
    return true;
}

static bool sched_same(const struct sched_key *a, const struct sched_key *b)
{
    return a->model == b->model && a->method == b->method && a->kernels == b->kernels;
}

struct sched_queue *sched_find(struct sched *sched, const struct sched_key *key)
{
    struct sched_queue *queue;
    TAILQ_FOREACH(queue, &sched->queues, link)
    {
        if (sched_same(&queue->key, key))
            return queue;
    }
    return NULL;
}

static struct sched_queue *sched_queue_of(struct sched *sched, const struct sched_run *run)
{
    struct sched_queue *queue = sched_find(sched, &run->key);
    if (queue)
        return queue;
    queue = mem_zalloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->sched = sched;
    queue->key = run->key;
    for (size_t class = 0; class < SCHED_CLASSES; class++)
        TAILQ_INIT(&queue->ready[class]);
    TAILQ_INSERT_TAIL(&sched->queues, queue, link);
    return queue;
}

static void sched_add_deadline(struct sched *sched, struct sched_run *run)
{
    struct sched_run *before = TAILQ_LAST(&sched->timed, sched_run_list);
    while (before && before->deadline > run->deadline)
        before = TAILQ_PREV(before, sched_run_list, timed_link);
    if (before)
        TAILQ_INSERT_AFTER(&sched->timed, before, run, timed_link);
    else
        TAILQ_INSERT_HEAD(&sched->timed, run, timed_link);
    run->timed = true;
}

int sched_add(struct sched *sched, struct sched_run *run)
{
    check(!run->queue);
    run->queue = sched_queue_of(sched, run);
    if (!run->queue)
        return ERR_NOMEM;
    run->queue->runs++;
    if (run->deadline)
        sched_add_deadline(sched, run);
    sched_run_update(run);
    return 0;
}

void sched_remove(struct sched *sched, struct sched_run *run)
{
    struct sched_queue *queue = run->queue;
    if (run->timed)
        TAILQ_REMOVE(&sched->timed, run, timed_link);
    run->timed = false;
    if (!queue)
        return;
    sched_run_leave(run);
    run->queue = NULL;
    if (--queue->runs == 0) {
        TAILQ_REMOVE(&sched->queues, queue, link);
        mem_free(queue);
    }
}

struct sched_run *sched_expire(struct sched *sched, uint64_t now)
{
    struct sched_run *run = TAILQ_FIRST(&sched->timed);
    if (!run || run->deadline > now)
        return NULL;
    sched_remove(sched, run);
    return run;
}

uint64_t sched_next_deadline(const struct sched *sched)
{
    const struct sched_run *run = TAILQ_FIRST(&sched->timed);
    return run ? run->deadline : 0;
}

static void sched_begin_slice(struct sched_queue *queue, enum sched_class class, uint64_t slice_ns)
{
    if (queue->served[class] > queue->sched->served[class])
        queue->sched->served[class] = queue->served[class];
    queue->served[class] += slice_ns;
}

struct sched_queue *sched_pick(struct sched *sched, enum sched_class class, uint64_t slice_ns)
{
    struct sched_queue *queue, *least = NULL;
    TAILQ_FOREACH(queue, &sched->queues, link)
    {
        if (!TAILQ_EMPTY(&queue->ready[class]) &&
            (!least || queue->served[class] < least->served[class]))
            least = queue;
    }
    if (least)
        sched_begin_slice(least, class, slice_ns);
    return least;
}

void sched_settle(struct sched *sched, const struct sched_key *key, enum sched_class class,
                  uint64_t slice_ns, uint64_t used_ns)
{
    struct sched_queue *queue = sched_find(sched, key);
    if (queue)
        queue->served[class] = queue->served[class] + used_ns > slice_ns
                                   ? queue->served[class] + used_ns - slice_ns
                                   : 0;
}

void sched_renew(struct sched *sched, const struct sched_key *key, enum sched_class class,
                 uint64_t slice_ns, uint64_t used_ns)
{
    struct sched_queue *queue = sched_find(sched, key);
    if (!queue)
        return;
    sched_settle(sched, key, class, slice_ns, used_ns);
    sched_begin_slice(queue, class, slice_ns);
}

bool sched_others_wait(const struct sched *sched, enum sched_class class,
                       const struct sched_key *key)
{
    const struct sched_queue *other;
    TAILQ_FOREACH(other, &sched->queues, link)
    {
        if (!sched_same(&other->key, key) && !TAILQ_EMPTY(&other->ready[class]))
            return true;
    }
    return false;
}

size_t sched_ready_rows(const struct sched_queue *queue, enum sched_class class, size_t enough)
{
    size_t rows = 0;
    const struct sched_run *run;
    TAILQ_FOREACH(run, &queue->ready[class], link)
    {
        /* Of several frames only the unit at hand is known to be ready. */
        uint64_t open = (run->read + run->window - run->issue) * SCHED_BLOCK - run->issue_row;
        uint64_t free = run->left < open ? run->left : open;
        rows += run->reached ? sched_run_ready_rows(run) : (size_t)free;
        if (rows >= enough)
            return enough;
    }
    return rows;
}

/* Up to rows_max rows of the unit at hand. */
static struct sched_claim sched_run_claim(struct sched_run *run, uint64_t rows_max)
{
    size_t rows = sched_run_ready_rows(run);
    if (rows > rows_max)
        rows = (size_t)rows_max;
    struct sched_claim claim = {run, run->issue, run->issue_row, rows};
    run->left -= rows;
    run->issue_row += rows;
    if (run->issue_row == sched_unit_rows(run, run->issue)) {
        run->issue++;
        run->issue_row = 0;
    }
    return claim;
}

/* Ends the turn of the run at the head: it goes to the end, to the express list, or out. */
static void sched_end_turn(struct sched_run *run)
{
    uint64_t deficit = run->deficit;
    enum sched_class class = run->class;
    sched_run_leave(run);
    if (sched_run_update(run) && run->class == class)
        run->deficit = deficit;
}

/* A visit that hands out nothing grants evaluations all the same: what rounds over costly rows
   cost here is little beside the work they allow. */
size_t sched_take(struct sched_queue *queue, enum sched_class class, size_t rows_max,
                  struct sched_claim *claims, size_t claims_max)
{
    struct sched_run *run;
    size_t count = 0;
    while (count < claims_max && rows_max > 0 && (run = TAILQ_FIRST(&queue->ready[class]))) {
        if (!run->turn)
            run->deficit += SCHED_QUANTUM;
        run->turn = true;
        uint64_t rows = run->deficit / run->row_cost;
        if (rows > 0) {
            claims[count] = sched_run_claim(run, rows < rows_max ? rows : rows_max);
            rows_max -= claims[count].count;
            run->deficit -= claims[count].count * run->row_cost;
            count++;
        }
        if (run->deficit < run->row_cost || sched_run_ready_rows(run) == 0 ||
            sched_run_class(run) != class)
            sched_end_turn(run);
    }
    return count;
}

bool sched_unit_done(struct sched_run *run, uint64_t unit)
{
    if (run->reached)
        run->reached[unit % run->blocks] = (uint32_t)sched_unit_frame(run, unit) + 1;
    return sched_run_update(run);
}

bool sched_unit_read(struct sched_run *run)
{
    check(run->read < run->units);
    run->read++;
    return sched_run_update(run);
}

enum sched_class sched_turn_next(struct sched_turn *turn, bool express, bool bulk)
{
    if (!express || !bulk) {
        turn->ahead_ns = 0;
        return express ? SCHED_IS_EXPRESS : SCHED_IS_BULK;
    }
    return turn->ahead_ns <= 0 ? SCHED_IS_EXPRESS : SCHED_IS_BULK;
}

void sched_turn_charge(struct sched_turn *turn, enum sched_class class, uint64_t ns)
{
    int64_t spent = ns < SCHED_TURN_NS ? (int64_t)ns : SCHED_TURN_NS;
    turn->ahead_ns += class == SCHED_IS_EXPRESS ? spent : -SCHED_SHARE * spent;
}
