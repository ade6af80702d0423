/* Everything that handlers may reach: one struct, owned by main.c, used on the loop thread. */
#ifndef SERVER_APP_H
#define SERVER_APP_H

#include "core/base/err.h"
#include "core/linalg/precision.h"

#include <stdbool.h>
#include <uv.h>

struct app {
    uv_loop_t *loop;
    struct httpd *httpd;
    struct courier *store_courier; /* SQLite, fsync */
    struct courier *files_courier; /* parsing and loading */
    struct courier *compute_courier; /* field evaluations outside any solve: /velocity */
    struct store *store;           /* its functions run on store_courier only (store.h) */
    struct registry *registry;
    struct engine *engine;
    const struct simd_kernels *kernels[PRECISION_COUNT]; /* NULL: not on this machine */
    struct err fault;              /* its code is set where nothing may be computed, nor is */
    struct jobs *jobs;
    struct metrics *metrics;
    bool ready;                    /* models are loaded, the store is open */
    bool draining;                 /* SIGTERM was received */
};

#endif
