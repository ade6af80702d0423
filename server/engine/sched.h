/* Which rows go into a tile next: pure bookkeeping, no thread, clock or memory of rows. The
   caller holds a lock around every call and says what time it is.

   A run asks for `rows` trajectories that report `frames` states. It is cut into units: unit
   frame * blocks + block holds up to SCHED_BLOCK consecutive rows at one frame. Units are issued
   in order, read in order, and at most `window` of them are unread at any time, so that memory
   does not grow with the request and a slow reader parks its own run.

   Runs with one key form a queue: their rows share tiles. Work is counted in field evaluations,
   which cost the same all over a queue. Within a queue runs take turns by deficit round robin: a
   turn grants SCHED_QUANTUM evaluations, so that neither many rows nor many steps a row hold
   others up. Among queues the next is the one that was served the least time.

   A run is express while it has at most SCHED_EXPRESS evaluations left to hand out, and bulk
   before that. A worker has a tile for each class and steps them in turns (sched_turn), so that
   a small request never waits for lanes that a large one has filled. */
#ifndef SERVER_ENGINE_SCHED_H
#define SERVER_ENGINE_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
    SCHED_BLOCK = 64,      /* rows of a unit */
    SCHED_QUANTUM = 2048,  /* evaluations a turn grants: 16 rows of 128 */
    SCHED_EXPRESS = 32768, /* evaluations: 64 rows of 512 */
    SCHED_SHARE = 3,       /* time of the express tile for 1 of the bulk tile, where both have work:
                              small requests wait little, and large ones go on */
};

enum sched_class { SCHED_IS_EXPRESS, SCHED_IS_BULK, SCHED_CLASSES };

/* What rows must have in common to share a tile. */
struct sched_key {
    const void *model;
    const void *method;
    const void *kernels; /* of the precision */
};

struct sched;
struct sched_queue;

/* Embedded in the caller's run. */
struct sched_run {
    struct sched_key key;
    uint64_t rows;
    size_t frames;
    size_t window;      /* units, >= 1 */
    uint64_t row_cost;  /* evaluations of a row from one frame to the next, >= 1 */
    uint64_t deadline;  /* on the caller's clock; 0: none */
    size_t blocks;      /* units of one frame */
    uint64_t units;     /* blocks * frames */
    uint64_t left;      /* rows that were not handed out, each frame counted */
    uint64_t issue;     /* the unit whose rows are handed out now */
    size_t issue_row;   /* rows of it that were handed out */
    uint64_t read;      /* units the reader has taken */
    uint64_t deficit;   /* evaluations that it may still hand out in its turn */
    uint32_t *reached;  /* [blocks] frames that each block has completed; owned; NULL for one
                           frame */
    bool ready;         /* stands in its queue's ready list */
    bool turn;          /* its turn was granted */
    bool timed;         /* stands in the list of deadlines */
    enum sched_class class;    /* of the ready list it stands in */
    struct sched_queue *queue; /* NULL: not scheduled */
    TAILQ_ENTRY(sched_run) link;
    TAILQ_ENTRY(sched_run) timed_link;
};
TAILQ_HEAD(sched_run_list, sched_run);

struct sched_queue {
    struct sched *sched;
    struct sched_key key;
    size_t runs;                                /* scheduled, ready or not */
    struct sched_run_list ready[SCHED_CLASSES]; /* runs with rows that can be taken now, in turn */
    uint64_t served[SCHED_CLASSES];             /* ns, see sched_pick */
    TAILQ_ENTRY(sched_queue) link;
};
TAILQ_HEAD(sched_queue_list, sched_queue);

struct sched {
    struct sched_queue_list queues;
    struct sched_run_list timed;    /* by deadline */
    uint64_t served[SCHED_CLASSES]; /* what the queue picked last had been served: where a queue
                                       that comes anew begins */
};

/* Rows first .. first + count - 1 of a unit. */
struct sched_claim {
    struct sched_run *run;
    uint64_t unit;
    size_t first;
    size_t count;
};

void sched_init(struct sched *sched);
/* All runs must have been removed. */
void sched_release(struct sched *sched);

struct sched_ask {
    struct sched_key key;
    uint64_t rows;
    size_t frames;
    size_t window;
    uint64_t evaluations; /* of a row, over all frames; an estimate will do */
    uint64_t deadline;    /* 0: none */
};
/* 0 or ERR_NOMEM. */
int sched_run_init(struct sched_run *run, const struct sched_ask *ask);
void sched_run_release(struct sched_run *run);
/* The place of a unit: its frame, its first row, its number of rows. */
size_t sched_unit_frame(const struct sched_run *run, uint64_t unit);
uint64_t sched_unit_row(const struct sched_run *run, uint64_t unit);
size_t sched_unit_rows(const struct sched_run *run, uint64_t unit);

/* Enters a run. 0 or ERR_NOMEM. */
int sched_add(struct sched *sched, struct sched_run *run);
/* Takes a run out, whatever is still issued. Idempotent. */
void sched_remove(struct sched *sched, struct sched_run *run);
/* Takes the next run out whose deadline is not after now; NULL when there is none. */
struct sched_run *sched_expire(struct sched *sched, uint64_t now);
/* 0: none. */
uint64_t sched_next_deadline(const struct sched *sched);

/* The queue with rows of a class to take that was served the least time, or NULL. It begins a
   slice of slice_ns, which it is charged for at once; sched_settle corrects that. Pointers to
   queues are good only under the lock that was held when they were asked for. */
struct sched_queue *sched_pick(struct sched *sched, enum sched_class class, uint64_t slice_ns);
/* A worker leaves the queue of this key, if it is still there, used_ns after its slice of slice_ns
   began. */
void sched_settle(struct sched *sched, const struct sched_key *key, enum sched_class class,
                  uint64_t slice_ns, uint64_t used_ns);
/* Instead of leaving it goes on with another slice. */
void sched_renew(struct sched *sched, const struct sched_key *key, enum sched_class class,
                 uint64_t slice_ns, uint64_t used_ns);
struct sched_queue *sched_find(struct sched *sched, const struct sched_key *key);
/* Whether any queue but that of the key has rows of a class to take. */
bool sched_others_wait(const struct sched *sched, enum sched_class class,
                       const struct sched_key *key);
/* Rows of a class that can be taken now, counted up to `enough`. */
size_t sched_ready_rows(const struct sched_queue *queue, enum sched_class class, size_t enough);
/* Takes up to rows_max rows of a class in turns; claims: [claims_max]. Returns the number of
   claims. */
size_t sched_take(struct sched_queue *queue, enum sched_class class, size_t rows_max,
                  struct sched_claim *claims, size_t claims_max);

/* Every row of the unit has reached its frame: the block's next frame may go on. True when the
   run has rows to take that it had not before. */
bool sched_unit_done(struct sched_run *run, uint64_t unit);
/* The reader has taken unit run->read. Returns likewise. */
bool sched_unit_read(struct sched_run *run);

/* Which of two tiles a worker steps next. Zero-initialise. */
struct sched_turn {
    int64_t ahead_ns; /* what the express tile has had beyond SCHED_SHARE times the bulk tile's */
};
enum sched_class sched_turn_next(struct sched_turn *turn, bool express, bool bulk);
/* The step took that long. */
void sched_turn_charge(struct sched_turn *turn, enum sched_class class, uint64_t ns);

#endif
