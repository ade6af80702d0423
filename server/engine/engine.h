/* The pool of workers that integrates rows. Rows of different requests on one model, method
   and precision share tiles (core/flow/tile.h); finished rows leave and waiting rows enter at every
   step boundary. */
#ifndef SERVER_ENGINE_ENGINE_H
#define SERVER_ENGINE_ENGINE_H

#include "proto/rows.h"
#include "server/engine/registry.h"

#include <uv.h>

struct engine;

struct engine_options {
    size_t workers;                     /* threads, 1 to LIMIT_WORKERS */
    bool pin;                           /* each worker to a processor, see place.h */
    bool linger;                        /* look for work a moment before falling asleep, nap where
                                           many runs wait; not for a machine with one processor */
    const struct simd_kernels *kernels[PRECISION_COUNT]; /* NULL: not on this machine */
    uv_loop_t *loop;                    /* borrowed */
    double cost_limit;                  /* multiply-adds queued before requests get
                                           ERR_OVERLOADED */
    uint64_t bytes_limit;               /* likewise, of what they hold in memory */
};

/* Thread: loop, all of this header. 0, ERR_NOMEM, ERR_INTERNAL. */
int engine_start(struct engine **out, const struct engine_options *options, struct err *err);
/* Cancels what runs, joins the workers, frees. NULL is fine. */
void engine_stop(struct engine *engine);

/* One request in the engine. */
struct run;

struct run_options {
    struct model_ref *model; /* a reference is taken */
    struct sample_spec *spec; /* moved out on success: it is empty afterwards; the seed must be
                                 set, and the precision one that the engine has kernels for */
    enum row_format format;
    uint64_t timeout_ms;     /* from now until all must be computed; 0: any time */
    bool frames;             /* /trajectory: every frame of the grid; else the end only */
    void (*wake)(void *context, struct run *run); /* more bytes, the end, or a failure; on the
                                                     loop */
    void *context;
};

/* 0, ERR_NOMEM, ERR_INVALID (the grid, the spec), ERR_TOO_LARGE (the states of a trajectory),
   ERR_OVERLOADED (see engine_retry_seconds). */
int engine_submit(struct engine *engine, const struct run_options *options, struct run **out,
                  struct err *err);

/* When the engine will have worked off enough for what it refused last, at its measured rate: 1 to
   60. */
unsigned engine_retry_seconds(struct engine *engine);

enum run_state {
    RUN_MORE,  /* bytes are still to come */
    RUN_END,   /* all were taken */
    RUN_FAILED /* the answer cannot be completed, see run_error */
};

/* Copies the next bytes of the answer, in order, up to max; 0 with RUN_MORE: wait for `wake`. What
   was computed before a deadline is given; where the form can say so, the answer then ends with the
   error in place of its tail (RUN_END). */
size_t run_read(struct run *run, char *out, size_t max, enum run_state *state);
/* ERR_NOMEM, ERR_DEADLINE with a sentence, or 0: no error so far. */
int run_error(const struct run *run, struct err *err);
/* Of the rows that have finished. */
uint64_t run_evaluations(const struct run *run);
/* Seconds until the first row was picked up, and from then to the last (so far). */
double run_queue_seconds(const struct run *run);
double run_compute_seconds(const struct run *run);
/* The owner lets go: rows still waiting or running are cancelled at their next step; `wake` is not
   called again. */
void run_free(struct run *run);

struct engine_stats {
    uint64_t rows, evaluations, runs; /* finished, since start */
    uint64_t rows_active, runs_active;
    double cost_queued;               /* multiply-adds */
    uint64_t bytes_held;              /* at most, by the runs that are active */
};
struct engine_stats engine_stats(struct engine *engine);

/* Registers them. 0 or ERR_NOMEM. */
struct metrics;
int engine_metrics(struct engine *engine, struct metrics *metrics);

#endif
