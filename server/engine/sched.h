/* Which rows go into a tile next: pure bookkeeping, no thread, clock or memory of rows. The
   caller holds a lock around every call.  A run asks for `rows` trajectories that report
   `frames` states. It is cut into units: unit frame * blocks + block holds up to SCHED_BLOCK
   consecutive rows at one frame. Units are issued in order, read in order, and at most `window`
   of them are unread at any time, so that memory does not grow with the request and a slow
   reader parks its own run. Runs of one model, method and precision (its kernels) form a queue:
   their rows share tiles. Within a queue, runs take turns of SCHED_QUANTUM rows (round robin), so
   that a large request cannot hold up a small one; queues take turns likewise. */
#ifndef SERVER_ENGINE_SCHED_H
#define SERVER_ENGINE_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
    SCHED_BLOCK = 64,   /* rows of a unit */
    SCHED_QUANTUM = 16, /* rows of a turn: one group of SIMD lanes */
};

struct sched_queue;

/* Embedded in the caller's run. */
struct sched_run {
    const void *model;  /* runs with equal model, method and kernels share tiles */
    const void *method;
    const void *kernels;
    uint64_t rows;
    size_t frames;
    size_t window;      /* units, >= 1 */
    size_t blocks;      /* units of one frame */
    uint64_t units;     /* blocks * frames */
    uint64_t issue;     /* the unit whose rows are handed out now */
    size_t issue_row;   /* rows of it that were handed out */
    uint64_t read;      /* units the reader has taken */
    uint32_t *reached;  /* [blocks] frames that each block has completed; owned; NULL for one
                           frame */
    bool ready;         /* stands in its queue's ready list */
    struct sched_queue *queue; /* NULL: not scheduled */
    TAILQ_ENTRY(sched_run) link;
};
TAILQ_HEAD(sched_run_list, sched_run);

struct sched_queue {
    const void *model;
    const void *method;
    const void *kernels;
    size_t runs;                  /* scheduled, ready or not */
    struct sched_run_list ready;  /* runs with rows that can be taken now, in turn */
    TAILQ_ENTRY(sched_queue) link;
};
TAILQ_HEAD(sched_queue_list, sched_queue);

struct sched {
    struct sched_queue_list queues; /* in turn */
};

/* Rows first .. first + count - 1 of a unit, at most SCHED_QUANTUM. */
struct sched_claim {
    struct sched_run *run;
    uint64_t unit;
    size_t first;
    size_t count;
};

void sched_init(struct sched *sched);
/* All runs must have been removed. */
void sched_release(struct sched *sched);

/* Sets every field but model, method and kernels. 0 or ERR_NOMEM. */
int sched_run_init(struct sched_run *run, uint64_t rows, size_t frames, size_t window);
void sched_run_release(struct sched_run *run);
/* The place of a unit: its frame, its first row, its number of rows. */
size_t sched_unit_frame(const struct sched_run *run, uint64_t unit);
uint64_t sched_unit_row(const struct sched_run *run, uint64_t unit);
size_t sched_unit_rows(const struct sched_run *run, uint64_t unit);

/* Enters a run. 0 or ERR_NOMEM. */
int sched_add(struct sched *sched, struct sched_run *run);
/* Takes a run out, whatever is still issued. Idempotent. */
void sched_remove(struct sched *sched, struct sched_run *run);

/* The next queue that has rows to take, moved behind the others; NULL when none has. */
struct sched_queue *sched_pick(struct sched *sched);
/* The queue of a model, method and kernels, or NULL: pointers to queues are good only under the
   lock that was held when they were asked for. */
struct sched_queue *sched_find(struct sched *sched, const void *model, const void *method,
                               const void *kernels);
/* Whether any queue but this one (which may be NULL) has rows to take. */
bool sched_others_wait(const struct sched *sched, const struct sched_queue *queue);
/* Rows that can be taken now, counted up to `enough`. */
size_t sched_ready_rows(const struct sched_queue *queue, size_t enough);
/* Takes up to rows_max rows in turns; claims: [claims_max]. Returns the number of claims. */
size_t sched_take(struct sched_queue *queue, size_t rows_max, struct sched_claim *claims,
                  size_t claims_max);

/* Every row of the unit has reached its frame: the block's next frame may go on. */
void sched_unit_done(struct sched_run *run, uint64_t unit);
/* The reader has taken unit run->read. */
void sched_unit_read(struct sched_run *run);

#endif
