/* From the trainer's file to a model that can be sampled: read and verified on the files courier,
   put in place with the job's end in one transaction on the store courier, published on the loop.
 */
#include "core/base/buf.h"
#include "core/base/mem.h"
#include "server/jobs/job_table.h"
#include "server/jobs/jobs_internal.h"
#include "server/log.h"
#include "server/timestamp.h"
#include "server/train/job_dir.h"

#include <stdio.h>
#include <unistd.h>

struct publish {
    struct call call;
    struct jobs *jobs;
    struct job *job; /* jobs->active */
    struct model_ref *ref;
    struct model_record record;
    struct job_record next;
    enum job_state from;
    bool trained_now;
    int code;
    struct err err;
};

static int load_file(struct publish *publish, int dir, struct err *err)
{
    struct model_ref *ref = publish->ref;
    struct buf bytes;
    buf_init(&bytes, LIMIT_CHECKPOINT_BYTES);
    int code = job_dir_read(dir, JOB_DIR_MODEL, &bytes, err);
    if (!code)
        code = model_load(&ref->model, &ref->config, (const unsigned char *)bytes.data, bytes.size,
                          NULL, err);
    if (!code) {
        struct hash hash;
        hash_init(&hash);
        hash_add(&hash, bytes.data, bytes.size);
        hash_text(&hash, ref->sha256);
        ref->bytes = bytes.size;
    }
    buf_release(&bytes);
    return code;
}

/* A model that was there before this turn and does not verify is removed, and trained again. */
static void load_work(struct call *call)
{
    struct publish *publish = (struct publish *)call;
    int dir;
    publish->code = jobs_open_folder(publish->jobs, publish->job->record.id, &dir, &publish->err);
    if (publish->code)
        return;
    publish->code = load_file(publish, dir, &publish->err);
    if (publish->code == ERR_FORMAT && !publish->trained_now)
        files_remove(dir, JOB_DIR_MODEL, NULL);
    close(dir);
}

static int mark_succeeded(struct db *db, void *context, struct err *err)
{
    struct publish *publish = context;
    publish->next.version = publish->record.version;
    return job_table_update(db, &publish->next, publish->from, err);
}

static void store_work(struct call *call)
{
    static const char *const unneeded[] = {JOB_DIR_CSV, JOB_DIR_NPY, JOB_DIR_STATE,
                                           JOB_DIR_PREVIOUS, JOB_DIR_PARTIAL};
    struct publish *publish = (struct publish *)call;
    struct jobs *jobs = publish->jobs;
    struct store_also also = {mark_succeeded, publish};
    int dir;
    publish->code = jobs_open_folder(jobs, publish->next.id, &dir, &publish->err);
    if (publish->code)
        return;
    publish->code = store_model_publish_file(jobs->options.store, dir, JOB_DIR_MODEL,
                                             &publish->record, &also, &publish->err);
    for (size_t i = 0; i < sizeof unneeded / sizeof *unneeded && !publish->code; i++)
        files_remove(dir, unneeded[i], NULL);
    close(dir);
}

static void publish_free(struct publish *publish)
{
    model_ref_drop(publish->ref);
    job_record_release(&publish->next);
    store_model_release(&publish->record);
    mem_free(publish);
}

static void give_up(struct publish *publish)
{
    struct jobs *jobs = publish->jobs;
    struct job *job = publish->job;
    if (publish->code == ERR_FORMAT && !publish->trained_now)
        jobs_turn_over(jobs, job);
    else
        jobs_end(jobs, job, JOB_FAILED, &publish->err);
    publish_free(publish);
}

static void store_done(struct call *call)
{
    struct publish *publish = (struct publish *)call;
    if (publish->code) {
        give_up(publish);
        return;
    }
    struct jobs *jobs = publish->jobs;
    struct job *job = publish->job;
    struct model_ref *ref = publish->ref;
    snprintf(ref->name, sizeof ref->name, "%s", publish->record.name);
    ref->version = publish->record.version;
    ref->created_ms = publish->record.created_ms;
    if (registry_publish(jobs->options.registry, ref) == 0)
        publish->ref = NULL;
    else
        log_message(LOG_ERROR, "model_not_loaded", "no memory for model %s; a restart loads it",
                    ref->name);
    jobs_show(jobs, job, &publish->next);
    jobs_events_settle(job);
    publish_free(publish);
    jobs_turn_over(jobs, job);
}

static void load_done(struct call *call)
{
    struct publish *publish = (struct publish *)call;
    struct jobs *jobs = publish->jobs;
    const struct job_record *record = &publish->job->record;
    if (publish->code) {
        give_up(publish);
        return;
    }
    snprintf(publish->record.name, sizeof publish->record.name, "%s", record->model);
    snprintf(publish->record.sha256, sizeof publish->record.sha256, "%s", publish->ref->sha256);
    publish->record.bytes = publish->ref->bytes;
    publish->next = *record;
    publish->next.request = publish->next.error = NULL;
    publish->next.state = JOB_SUCCEEDED;
    publish->next.finished_ms = timestamp_now_ms();
    publish->from = record->state;
    publish->call = (struct call){.work = store_work, .done = store_done};
    courier_submit(jobs->options.store_courier, &publish->call);
}

void jobs_publish(struct jobs *jobs, struct job *job, bool trained_now)
{
    struct publish *publish = mem_zalloc(1, sizeof *publish);
    struct model_ref *ref = model_ref_new();
    if (!publish || !ref) {
        struct err err = {0};
        err_set(&err, ERR_NOMEM, "", "there is no memory to load the trained model");
        mem_free(publish);
        model_ref_drop(ref);
        jobs_end(jobs, job, JOB_FAILED, &err);
        return;
    }
    job->publishing = true;
    *publish = (struct publish){
        .call = {.work = load_work, .done = load_done},
        .jobs = jobs,
        .job = job,
        .ref = ref,
        .trained_now = trained_now,
    };
    courier_submit(jobs->options.files_courier, &publish->call);
}
