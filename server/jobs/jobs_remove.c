/* DELETE: cancels what has not ended, deletes what has. */
#include "core/base/mem.h"
#include "server/jobs/job_table.h"
#include "server/jobs/jobs_internal.h"

struct removal {
    struct call call;
    struct jobs *jobs;
    struct job *job;        /* a reference */
    bool erase;             /* else: the wish to cancel is made durable */
    struct job_record next; /* without the job's texts, which the loop may change meanwhile */
    jobs_done_fn done;
    void *context;
    int code;
    struct err err;
};

static void removal_work(struct call *call)
{
    struct removal *removal = (struct removal *)call;
    struct store *store = removal->jobs->options.store;
    struct job_record *next = &removal->next;
    if (!removal->erase) {
        removal->code = job_table_update(store_db(store), next, next->state, &removal->err);
        return;
    }
    removal->code = job_table_delete(store_db(store), next->id, &removal->err);
    if (!removal->code)
        files_remove_dir(store_files(store)->jobs, next->id, NULL);
}

static void removal_free(struct removal *removal)
{
    jobs_job_drop(removal->job);
    mem_free(removal);
}

static void erase_done(struct call *call)
{
    struct removal *removal = (struct removal *)call;
    struct job *job = removal->job;
    job->busy = false;
    if (removal->code) {
        removal->done(removal->context, NULL, &removal->err);
    } else {
        jobs_forget(removal->jobs, job);
        for (struct jobs_watch *watch = job->watches, *next; watch; watch = next) {
            next = watch->next;
            watch->wake(watch, false);
        }
        removal->done(removal->context, NULL, NULL);
    }
    removal_free(removal);
}

/* The wish is durable: now the trainer may be told, or the queued job ended. */
static void cancel_done(struct call *call)
{
    struct removal *removal = (struct removal *)call;
    struct jobs *jobs = removal->jobs;
    struct job *job = removal->job;
    /* It may have moved on meanwhile: its next turn sees the wish as well. */
    if (removal->code && removal->code != ERR_CONFLICT) {
        removal->done(removal->context, NULL, &removal->err);
        removal_free(removal);
        return;
    }
    if (jobs->active == job && jobs->process)
        trainer_process_stop(jobs->process);
    else if (!job->busy && job->record.state == JOB_QUEUED)
        jobs_end(jobs, job, JOB_CANCELLED, NULL);
    removal->done(removal->context, job, NULL);
    removal_free(removal);
}

void jobs_remove(struct jobs *jobs, struct job *job, jobs_done_fn done, void *context)
{
    struct err err = {0};
    bool ended = job_record_ended(job->record.state);
    if (job->publishing || (ended && job->busy)) {
        err_set(&err, ERR_CONFLICT, "", "the job is about to end; try again");
        done(context, NULL, &err);
        return;
    }
    struct removal *removal = mem_zalloc(1, sizeof *removal);
    if (!removal) {
        err_set(&err, ERR_NOMEM, "", "there is no memory to remove a job");
        done(context, NULL, &err);
        return;
    }
    *removal = (struct removal){
        .call = {.work = removal_work, .done = ended ? erase_done : cancel_done},
        .jobs = jobs,
        .job = jobs_job_take(job),
        .erase = ended,
        .done = done,
        .context = context,
    };
    if (ended)
        job->busy = true;
    else
        job->record.cancelling = true;
    removal->next = job->record;
    removal->next.request = removal->next.error = NULL;
    courier_submit(jobs->options.store_courier, &removal->call);
}
