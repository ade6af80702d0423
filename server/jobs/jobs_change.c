/* Changes of a job: first in the database, then in memory and in its events, so that nobody sees a
   state that a power cut could take back. */
#include "core/base/mem.h"
#include "server/jobs/job_table.h"
#include "server/jobs/jobs_internal.h"
#include "server/log.h"
#include "server/train/job_dir.h"

#include <unistd.h>

struct change {
    struct call call;
    struct jobs *jobs;
    struct job *job; /* a reference */
    struct job_record next;
    enum job_state from;
    jobs_then_fn then;
    int code;
    struct err err;
};

/* What an ended job needs no more. The dataset's file is freed here if the dataset is gone. */
static void tidy_folder(const struct change *change)
{
    static const char *const always[] = {JOB_DIR_CSV, JOB_DIR_NPY, JOB_DIR_PREVIOUS};
    int dir;
    if (jobs_open_folder(change->jobs, change->next.id, &dir, NULL))
        return;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        files_remove(dir, always[i], NULL);
    if (job_dir_has(dir, JOB_DIR_MODEL) || job_dir_has(dir, JOB_DIR_PARTIAL))
        files_remove(dir, JOB_DIR_STATE, NULL);
    close(dir);
}

static void change_work(struct call *call)
{
    struct change *change = (struct change *)call;
    struct db *db = store_db(change->jobs->options.store);
    change->code = job_table_update(db, &change->next, change->from, &change->err);
    if (!change->code && job_record_ended(change->next.state))
        tidy_folder(change);
}

void jobs_show(struct jobs *jobs, struct job *job, struct job_record *next)
{
    struct job_record *record = &job->record;
    bool changed = record->state != next->state;
    record->state = next->state;
    record->version = next->version;
    record->started_ms = next->started_ms;
    record->finished_ms = next->finished_ms;
    record->attempts = next->attempts;
    record->stalls = next->stalls;
    if (next->error) {
        mem_free(record->error);
        record->error = next->error;
        next->error = NULL;
    }
    if (changed)
        jobs_event_state(jobs, job);
}

static void change_done(struct call *call)
{
    struct change *change = (struct change *)call;
    struct jobs *jobs = change->jobs;
    struct job *job = change->job;
    if (change->code)
        log_message(LOG_ERROR, "job_not_stored", "job %s: %s", job->record.id, change->err.message);
    else
        jobs_show(jobs, job, &change->next);
    change->then(jobs, job, change->code ? &change->err : NULL);
    job_record_release(&change->next);
    jobs_job_drop(job);
    mem_free(change);
}

void jobs_change(struct jobs *jobs, struct job *job, struct job_record *next, jobs_then_fn then)
{
    struct change *change = mem_zalloc(1, sizeof *change);
    if (!change) {
        struct err err = {0};
        err_set(&err, ERR_NOMEM, "", "there is no memory to change a job");
        job_record_release(next);
        then(jobs, job, &err);
        return;
    }
    *change = (struct change){
        .call = {.work = change_work, .done = change_done},
        .jobs = jobs,
        .job = jobs_job_take(job),
        .next = *next,
        .from = job->record.state,
        .then = then,
    };
    courier_submit(jobs->options.store_courier, &change->call);
}
