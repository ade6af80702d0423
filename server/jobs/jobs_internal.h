/* Shared by jobs*.c only. */
#ifndef SERVER_JOBS_JOBS_INTERNAL_H
#define SERVER_JOBS_JOBS_INTERNAL_H

#include "server/jobs/jobs.h"
#include "server/jobs/trainer_process.h"

struct job {
    unsigned references;
    struct job_record record;
    bool busy;       /* a change of state is on its way */
    bool publishing; /* too late to cancel */
    bool removed;    /* deleted: no longer in the list */
    bool log_loaded, log_loading;
    bool log_saving; /* lines are on their way to the file */
    struct job_log log;
    struct jobs_watch *watches;
};

struct jobs_create; /* a submission on its way to the disk */

struct jobs {
    struct jobs_options options;
    char *program;    /* owned */
    struct job **all; /* [count] in order of creation; owned */
    size_t count;
    struct job *active; /* the one whose turn it is; a reference is held */
    struct trainer_process *process;
    struct jobs_create *creates;
    uint64_t saved_ms; /* loop time when progress was last made durable */
    bool draining;
    bool halted; /* the database failed: nothing starts before a restart */
    uv_timer_t beat;
};

struct job *jobs_job_new(struct job_record *record); /* moves the record; NULL: out of memory */
struct job *jobs_job_take(struct job *job);
void jobs_job_drop(struct job *job);
/* Takes over the reference. 0 or ERR_NOMEM. */
int jobs_add(struct jobs *jobs, struct job *job);
void jobs_forget(struct jobs *jobs, struct job *job);

/* Opens the folder of a job. Thread: any, where the disk may be waited for. */
int jobs_open_folder(const struct jobs *jobs, const char *id, int *dir, struct err *err);

/* jobs_change.c: makes *next (moved) durable, then shows it. `then` runs on the loop; on failure
   the record stays what it was. */
typedef void (*jobs_then_fn)(struct jobs *jobs, struct job *job, const struct err *err);
void jobs_change(struct jobs *jobs, struct job *job, struct job_record *next, jobs_then_fn then);
/* What a change shows; used by publishing, which is durable by itself. */
void jobs_show(struct jobs *jobs, struct job *job, struct job_record *next);

/* jobs_run.c: gives the next queued job its turn. */
void jobs_pump(struct jobs *jobs);
/* Ends a job; problem NULL for cancelled. */
void jobs_end(struct jobs *jobs, struct job *job, enum job_state state, const struct err *problem);
void jobs_turn_over(struct jobs *jobs, struct job *job);

/* jobs_publish.c: verifies the model in the folder and puts it in place, with the job's end. */
void jobs_publish(struct jobs *jobs, struct job *job, bool trained_now);

/* jobs_events.c */
void jobs_event(struct jobs *jobs, struct job *job, const char *line, size_t size);
void jobs_event_state(struct jobs *jobs, struct job *job);
int jobs_events_read(struct job *job, int dir);
/* Lets go of what is in the file when nobody looks. */
void jobs_events_settle(struct job *job);
/* Wakes whoever watches any job. */
void jobs_wake(struct jobs *jobs, bool heartbeat);

#endif
