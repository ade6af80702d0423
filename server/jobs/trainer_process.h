/* One advect-train as a child of the daemon: its lines come in, its end is told once. Thread: loop.
 */
#ifndef SERVER_JOBS_TRAINER_PROCESS_H
#define SERVER_JOBS_TRAINER_PROCESS_H

#include "core/base/err.h"
#include "server/jobs/job_verdict.h"

#include <uv.h>

struct trainer_process;

struct trainer_process_options {
    uv_loop_t *loop;
    const char *program; /* a path, or a name to look for in PATH */
    const char *folder;  /* the job's */
    /* A line of its standard output, without the newline, borrowed. */
    void (*line)(void *context, const char *line, size_t size);
    /* Once, after the last line; the process is gone and frees itself afterwards. */
    void (*ended)(void *context, struct job_exit end);
    void *context;
};

/* 0, ERR_NOMEM, ERR_INTERNAL (it cannot be started). */
int trainer_process_start(struct trainer_process **out,
                          const struct trainer_process_options *options, struct err *err);
/* Asks it to save and end; kills it when it has not done so in time. */
void trainer_process_stop(struct trainer_process *process);
/* Kills it now; neither callback is called any more. NULL is fine. */
void trainer_process_free(struct trainer_process *process);

#endif
