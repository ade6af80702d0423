/* Training jobs: a queue of which one runs at a time, in a child process. All state belongs to the
   loop thread; the disk is reached through the couriers only. */
#ifndef SERVER_JOBS_JOBS_H
#define SERVER_JOBS_JOBS_H

#include "proto/request_codec.h"
#include "server/courier.h"
#include "server/engine/registry.h"
#include "server/jobs/job_log.h"
#include "server/jobs/job_record.h"
#include "server/store/store.h"

struct jobs;
struct metrics;

/* All borrowed until jobs_free. */
struct jobs_options {
    uv_loop_t *loop;
    struct courier *store_courier;
    struct courier *files_courier;
    struct store *store;
    struct registry *registry;
    const char *program; /* advect-train; NULL: beside the running binary, else from PATH */
};

/* Before the loop runs, so it may wait for the disk: reads the jobs and puts those that were
   running back into the queue. 0, ERR_NOMEM, ERR_IO, ... */
int jobs_start(struct jobs **out, const struct jobs_options *options, struct err *err);
/* Starts nothing any more and asks a running trainer to save and end. */
void jobs_drain(struct jobs *jobs);
/* True when no trainer runs and no result is on its way to the disk. */
bool jobs_idle(const struct jobs *jobs);
/* Kills a trainer that still runs; its job goes on at the next start. The couriers must have
   answered all they were given; the loop must still run for close callbacks. NULL is fine. */
void jobs_free(struct jobs *jobs);

/* A job, counted: jobs holds one reference until it is deleted. */
struct job;
struct job *jobs_find(struct jobs *jobs, const char *id);
size_t jobs_count(const struct jobs *jobs);
size_t jobs_count_state(const struct jobs *jobs, enum job_state state);
/* Registers advectd_jobs{state}. 0 or ERR_NOMEM. */
int jobs_metrics(struct jobs *jobs, struct metrics *metrics);
/* Newest first. */
struct job *jobs_at(const struct jobs *jobs, size_t i);
const struct job_record *jobs_record(const struct job *job);

/* A new job. `done` runs on the loop exactly once, maybe before jobs_submit returns: with the job,
   or NULL and *err. `replayed`: the key was used before with the same body. */
struct jobs_submission {
    struct train_request *request; /* moved out: empty afterwards */
    const char *key;               /* Idempotency-Key or NULL; borrowed during the call */
    const char *body;              /* [body_size] as it was sent; borrowed during the call */
    size_t body_size;
    void (*done)(void *context, const struct job *job, bool replayed, const struct err *err);
    void *context;
};
void jobs_submit(struct jobs *jobs, const struct jobs_submission *submission);

/* Cancels a job that has not ended, deletes the record and the folder of one that has. `done` as
   above: job NULL and err NULL when it was deleted. ERR_CONFLICT: it is about to succeed. */
typedef void (*jobs_done_fn)(void *context, const struct job *job, const struct err *err);
void jobs_remove(struct jobs *jobs, struct job *job, jobs_done_fn done, void *context);

/* Somebody who follows the events of a job. Embedded by its owner. */
struct jobs_watch {
    void (*wake)(struct jobs_watch *watch,
                 bool heartbeat); /* more events, the end, or 15 s passed */
    struct job *job;              /* the rest is set by jobs_watch_start */
    struct jobs *jobs;
    struct jobs_watch *next;
};
/* 0 or ERR_NOMEM. The events of an ended job are read from its file first: then wake is called. */
int jobs_watch_start(struct jobs *jobs, struct job *job, struct jobs_watch *watch);
void jobs_watch_stop(struct jobs_watch *watch);
/* NULL while the events are being read. */
const struct job_log *jobs_watch_log(const struct jobs_watch *watch);
/* True once no event will follow those in the log, or the daemon is about to stop. */
bool jobs_watch_ended(const struct jobs_watch *watch);

#endif
