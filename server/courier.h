/* A thread with a mailbox: work that may wait for a disk is done there and answered on the loop.
   The daemon has two: "store" (SQLite and every fsync) and "files" (parsing uploads, loading
   models). */
#ifndef SERVER_COURIER_H
#define SERVER_COURIER_H

#include "core/base/err.h"

#include <uv.h>

/* Embedded in the caller's own struct, which must live until `done` has run. */
struct call {
    void (*work)(struct call *call); /* on the courier's thread */
    void (*done)(struct call *call); /* on the loop thread, afterwards; may free the struct */
    struct call *next;               /* the courier's */
};

struct courier;

/* The loop stays borrowed. Thread: loop. 0, ERR_NOMEM, ERR_INTERNAL. */
int courier_start(struct courier **out, uv_loop_t *loop, const char *name, struct err *err);
/* In order of submission. Thread: loop. */
void courier_submit(struct courier *courier, struct call *call);
/* Calls whose `done` has not run yet. */
size_t courier_pending(const struct courier *courier);
/* Finishes what is queued, joins the thread, runs the remaining `done`s, frees it. NULL is fine;
   the loop must still be able to run close callbacks afterwards. */
void courier_stop(struct courier *courier);

#endif
