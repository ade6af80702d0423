#include "server/jobs/jobs.h"

#include "core/base/mem.h"
#include "server/jobs/job_table.h"
#include "server/jobs/jobs_internal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BEAT_MS = 15 * 1000, PATH_BYTES = 4096 };

struct job *jobs_job_new(struct job_record *record)
{
    struct job *job = mem_zalloc(1, sizeof *job);
    if (!job)
        return NULL;
    job->references = 1;
    job->record = *record;
    record->request = record->error = NULL;
    job_log_init(&job->log);
    return job;
}

struct job *jobs_job_take(struct job *job)
{
    job->references++;
    return job;
}

void jobs_job_drop(struct job *job)
{
    if (--job->references > 0)
        return;
    job_record_release(&job->record);
    job_log_release(&job->log);
    mem_free(job);
}

int jobs_add(struct jobs *jobs, struct job *job)
{
    struct job **all = mem_realloc(jobs->all, jobs->count + 1, sizeof(struct job *));
    if (!all)
        return ERR_NOMEM;
    jobs->all = all;
    all[jobs->count++] = job;
    return 0;
}

void jobs_forget(struct jobs *jobs, struct job *job)
{
    size_t i = 0;
    while (i < jobs->count && jobs->all[i] != job)
        i++;
    if (i == jobs->count)
        return;
    memmove(jobs->all + i, jobs->all + i + 1, (jobs->count - i - 1) * sizeof(struct job *));
    jobs->count--;
    job->removed = true;
    jobs_job_drop(job);
}

struct job *jobs_find(struct jobs *jobs, const char *id)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (strcmp(jobs->all[i]->record.id, id) == 0)
            return jobs->all[i];
    }
    return NULL;
}

size_t jobs_count(const struct jobs *jobs)
{
    return jobs->count;
}

size_t jobs_count_state(const struct jobs *jobs, enum job_state state)
{
    size_t count = 0;
    for (size_t i = 0; i < jobs->count; i++)
        count += jobs->all[i]->record.state == state;
    return count;
}

struct job *jobs_at(const struct jobs *jobs, size_t i)
{
    return jobs->all[jobs->count - 1 - i];
}

const struct job_record *jobs_record(const struct job *job)
{
    return &job->record;
}

int jobs_open_folder(const struct jobs *jobs, const char *id, int *dir, struct err *err)
{
    return files_open_dir(store_files(jobs->options.store)->jobs, id, false, dir, err);
}

/* Beside the running binary, where both are built and installed; else PATH will say. */
static char *find_program(void)
{
    char path[PATH_BYTES];
    size_t size = sizeof path - sizeof "/advect-train";
    if (uv_exepath(path, &size) == 0) {
        path[size] = '\0';
        char *slash = strrchr(path, '/');
        if (slash) {
            snprintf(slash, sizeof "/advect-train", "/advect-train");
            if (access(path, X_OK) == 0)
                return mem_strdup(path);
        }
    }
    return mem_strdup("advect-train");
}

/* Before the loop runs: a job that was running when the daemon ended waits for its turn again. */
static int take_stored(struct job_record *record, void *context, struct err *err)
{
    struct jobs *jobs = context;
    struct job *job = jobs_job_new(record);
    if (!job || jobs_add(jobs, job)) {
        job_record_release(record);
        if (job)
            jobs_job_drop(job);
        return err_set(err, ERR_NOMEM, "", "there is no memory for the jobs");
    }
    return 0;
}

static int restore(struct jobs *jobs, struct job *job, struct err *err)
{
    struct db *db = store_db(jobs->options.store);
    bool running = job->record.state == JOB_RUNNING;
    int dir;
    job->record.state = JOB_QUEUED;
    int code = running ? job_table_update(db, &job->record, JOB_RUNNING, err) : 0;
    if (code || jobs_open_folder(jobs, job->record.id, &dir, NULL))
        return code;
    code = jobs_events_read(job, dir);
    close(dir);
    if (code)
        return err_set(err, ERR_NOMEM, "", "there is no memory for the events of the jobs");
    if (running)
        jobs_event_state(jobs, job);
    return 0;
}

/* Folders of jobs whose row was never written, or is gone already. */
static int remove_orphans(struct jobs *jobs, struct err *err)
{
    int folder = store_files(jobs->options.store)->jobs;
    struct files_list list;
    int code = files_list(folder, &list, err);
    if (code)
        return code;
    for (size_t i = 0; i < list.count && !code; i++) {
        if (!jobs_find(jobs, list.names[i]))
            code = files_remove_dir(folder, list.names[i], err);
    }
    files_list_free(&list);
    return code;
}

static int load(struct jobs *jobs, struct err *err)
{
    int code = job_table_load(store_db(jobs->options.store), take_stored, jobs, err);
    for (size_t i = 0; i < jobs->count && !code; i++) {
        if (!job_record_ended(jobs->all[i]->record.state))
            code = restore(jobs, jobs->all[i], err);
    }
    return code ? code : remove_orphans(jobs, err);
}

static void on_beat(uv_timer_t *timer)
{
    jobs_wake(timer->data, true);
}

int jobs_start(struct jobs **out, const struct jobs_options *options, struct err *err)
{
    struct jobs *jobs = mem_zalloc(1, sizeof *jobs);
    if (!jobs)
        return err_set(err, ERR_NOMEM, "", "there is no memory for the jobs");
    jobs->options = *options;
    jobs->program = options->program ? mem_strdup(options->program) : find_program();
    uv_timer_init(options->loop, &jobs->beat);
    jobs->beat.data = jobs;
    int code = jobs->program ? load(jobs, err)
                             : err_set(err, ERR_NOMEM, "", "there is no memory for the jobs");
    if (code) {
        jobs_free(jobs);
        return code;
    }
    uv_timer_start(&jobs->beat, on_beat, BEAT_MS, BEAT_MS);
    uv_unref((uv_handle_t *)&jobs->beat);
    *out = jobs;
    jobs_pump(jobs);
    return 0;
}

void jobs_drain(struct jobs *jobs)
{
    jobs->draining = true;
    if (jobs->process)
        trainer_process_stop(jobs->process);
    jobs_wake(jobs, false);
}

bool jobs_idle(const struct jobs *jobs)
{
    return !jobs->active && !jobs->creates;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    trainer_process_free(jobs->process);
    if (jobs->active)
        jobs_job_drop(jobs->active);
    for (size_t i = 0; i < jobs->count; i++)
        jobs_job_drop(jobs->all[i]);
    mem_free(jobs->all);
    mem_free(jobs->program);
    uv_close((uv_handle_t *)&jobs->beat, on_closed);
}
