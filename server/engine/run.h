/* The inside of a run: shared by engine.c, run.c and worker.c only. Fields under "lock" belong
   to whoever holds the engine's mutex; a unit's rows belong to the workers while it is issued,
   its bytes to the loop once it is ready. */
#ifndef SERVER_ENGINE_RUN_H
#define SERVER_ENGINE_RUN_H

#include "core/flow/model.h"
#include "core/flow/tile.h"
#include "server/engine/account.h"
#include "server/engine/bell.h"
#include "server/engine/engine.h"
#include "server/engine/sched.h"
#include "server/engine/team.h"

enum unit_state { UNIT_FREE, UNIT_ISSUED, UNIT_READY };

/* Up to SCHED_BLOCK rows at one frame, from issue until they are read. */
struct unit {
    struct run *run;
    uint64_t index;        /* of the unit, see sched.h */
    size_t count;          /* rows */
    size_t remaining;      /* rows that have not arrived; lock */
    enum unit_state state; /* lock */
    float *rows;           /* [count, dim], carved from run->rows */
    bool ok[SCHED_BLOCK];  /* false: the row left the finite numbers */
    struct buf bytes;      /* encoded */
};

enum { RUN_FAILURES = 1000 }; /* failed rows that an answer lists by number */

enum run_phase { RUN_HEAD, RUN_UNITS, RUN_TAIL, RUN_OVER };

struct run {
    struct engine *engine;
    struct sched_run sched; /* lock */
    struct model_ref *model;
    struct sample_spec spec;
    struct grid grid;
    struct rows_info info;
    enum row_format format;
    bool frames;
    size_t dim;
    struct unit *units;     /* [sched.window] a ring */
    float *rows;            /* [sched.window][rows of a unit][dim] */
    float *state;           /* [rows][state_floats] each row at its last frame (tile_save); NULL
                               for one frame */
    size_t state_floats;
    atomic_bool cancelled;
    size_t pins;            /* rows in tiles and units being encoded: the run stays until 0; lock */
    bool released;          /* the owner let go; lock */
    int error;              /* see run_error: no further unit comes; lock */
    uint64_t timeout_ms;    /* as asked for */
    uint64_t units_ready;   /* so far; lock */
    uint64_t evaluations;   /* lock */
    struct rows_tally tally; /* of rows that have ended, where they choose their steps; lock */
    struct rows_failure *failures; /* [RUN_FAILURES], NULL until one fails; lock */
    size_t failure_count;          /* lock */
    uint64_t submitted_ns, started_ns, ended_ns; /* 0: not yet; lock */
    struct charge charge;   /* what it counts for in the engine's account; lock once submitted */
    double evaluation_cost; /* multiply-adds */
    double row_cost;        /* multiply-adds of a row from one frame to the next, about */
    uint64_t waiting;       /* rows that have not arrived, each frame counted; lock */

    enum run_phase phase;   /* loop */
    struct buf text;        /* head, later tail; loop */
    size_t taken;           /* bytes of the current piece that were read; loop */
    void (*wake)(void *context, struct run *run);
    void *context;
    bool woken;             /* lock */
    TAILQ_ENTRY(run) woken_link;
};
TAILQ_HEAD(run_list, run);

/* Builds a run that is not scheduled yet; *spec is moved out on success. workers: of the engine. */
int run_new(struct run **out, struct engine *engine, const struct run_options *options,
            size_t workers, struct err *err);
/* Frees the memory. Nothing may refer to it any more. */
void run_destroy(struct run *run);
struct unit *run_unit(struct run *run, uint64_t index);
static inline struct run *run_of(struct sched_run *scheduled)
{
    return (struct run *)((char *)scheduled - offsetof(struct run, sched));
}

/* What the engine has on the loop beside its bell. */
struct engine_handles {
    uv_prepare_t asleep;
    uv_timer_t deadline;
    unsigned open;
};

/* Whether a worker can be called. */
struct rest {
    enum { REST_NOT, REST_LINGERS, REST_ASLEEP } state; /* lingers: looks at `events`; lock */
    int cpu;          /* that it keeps to, or PLACE_ANYWHERE; lock */
    uv_cond_t called; /* it is asleep no longer */
};

struct engine {
    struct engine_options options;
    uv_mutex_t lock;
    struct sched sched;     /* lock */
    struct run_list woken;  /* lock */
    bool stopping;          /* lock */
    atomic_uint events;     /* counts what a worker in the middle of its steps should look up for;
                               written with the lock held */
    struct engine_handles *handles; /* allocated: outlives the engine until it is closed */
    size_t calls;           /* workers to be called; lock */
    size_t vacant[SCHED_CLASSES]; /* seats that are free to take rows; lock */
    struct engine_stats stats; /* lock */
    struct account account; /* lock */
    struct bell *bell;      /* owned; rung for woken */
    struct worker *workers; /* [options.workers] */
    struct team *team;      /* of the worker that idle ones may help, or NULL; lock */
    struct rest *rests;     /* [options.workers] */
    size_t started;         /* workers that run */
};

/* Lock held: asks the loop to call run->wake, once the bell is rung. */
void engine_wake(struct engine *engine, struct run *run);
/* Lock held: so many rows can be taken that could not before, or 0: something else has changed that
   workers should look at. Those that wait are called by engine_unlock. */
void engine_rouse(struct engine *engine, size_t rows);
/* Gives the lock back, and only then calls workers: one that wakes need not wait for it. */
void engine_unlock(struct engine *engine);
/* Lock held: true when the caller must run_destroy it after unlocking. */
bool engine_unpin(struct run *run, size_t pins);

enum { ENGINE_LINGER_NS = 50 * 1000 }; /* about what it costs to fall asleep and wake (measured) */

struct worker;
/* Allocates and starts options.workers threads. 0, ERR_NOMEM, ERR_INTERNAL. */
int worker_start_all(struct engine *engine, struct err *err);
/* engine->stopping is set and none is asleep: joins and frees them. */
void worker_join_all(struct engine *engine);

#endif
