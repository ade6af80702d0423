/* The uv loop with its signals: the first SIGTERM or SIGINT drains, a second one (or the end of the
   grace time) cancels what is left, then loop_run returns. Thread: loop. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "core/base/err.h"

#include <stdbool.h>
#include <uv.h>

struct loop_hooks {
    void (*drain)(void *context);  /* take no new work */
    void (*cancel)(void *context); /* end what still runs */
    bool (*idle)(void *context);   /* nothing is left to wait for */
    void *context;
};

/* LOOP_OFF: before and after loop_run; no hook is called. */
enum loop_stage { LOOP_OFF, LOOP_RUNNING, LOOP_DRAINING, LOOP_CANCELLED };

struct loop {
    uv_loop_t uv;
    uv_signal_t terminate, interrupt;
    uv_timer_t tick; /* looks whether draining has come to its end */
    struct loop_hooks hooks;
    enum loop_stage stage;
    uint64_t grace_ms;
    uint64_t stage_since; /* uv_now */
};

/* 0 or ERR_INTERNAL. SIGPIPE and SIGXFSZ are ignored from here on; the other signals wait for
   loop_run. */
int loop_init(struct loop *loop, const struct loop_hooks *hooks, uint64_t grace_ms,
              struct err *err);
/* Until it has drained. From then on a signal ends the process at once, as it does by default: what
   is still being finished may take long, and nothing that was answered is lost by a kill. */
void loop_run(struct loop *loop);
/* Runs the close callbacks that are due; every other handle must have been closed. */
void loop_release(struct loop *loop);

#endif
