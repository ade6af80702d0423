/* What becomes of a job when its trainer has ended, or when the daemon finds it at its start. Pure.
 */
#ifndef SERVER_JOBS_JOB_VERDICT_H
#define SERVER_JOBS_JOB_VERDICT_H

#include "server/jobs/job_record.h"

/* Attempts in a row that may end without having saved a step. */
enum { JOB_STALLS = 3 };

enum job_verdict {
    VERDICT_START,     /* run a trainer, which goes on from the last state */
    VERDICT_PUBLISH,   /* the model is there: verify it and put it into the registry */
    VERDICT_REQUEUE,   /* back to the queue */
    VERDICT_FAIL,      /* the trainer has said why */
    VERDICT_FAIL_LOOP, /* it dies again and again without getting further */
    VERDICT_CANCEL,
};

/* How a trainer ended. */
struct job_exit {
    int64_t status; /* its exit code (enum trainer_exit) */
    int signal;     /* that killed it, or 0 */
};

/* A queued job whose turn it is. model_there: its folder holds a model. */
enum job_verdict job_verdict_turn(const struct job_record *record, bool model_there);
/* Its trainer has ended. */
enum job_verdict job_verdict_exit(const struct job_record *record, struct job_exit end);

#endif
