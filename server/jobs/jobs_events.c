/* Events: numbered in memory, appended to the job's file behind the loop's back, and handed to
   whoever watches. */
#include "core/base/mem.h"
#include "proto/json_write.h"
#include "server/jobs/jobs_internal.h"
#include "server/log.h"
#include "server/timestamp.h"
#include "server/train/job_dir.h"

#include <fcntl.h>
#include <unistd.h>

struct append {
    struct call call;
    struct jobs *jobs;
    struct job *job; /* a reference */
    struct buf lines;
    uint64_t last_id; /* of the lines */
    bool rewrite;
    int code;
    struct err err;
};

struct reading {
    struct call call;
    struct jobs *jobs;
    struct job *job; /* a reference */
    struct job_log log;
};

static void flush(struct jobs *jobs, struct job *job);

static void wake_all(struct job *job, bool heartbeat)
{
    struct jobs_watch *next;
    for (struct jobs_watch *watch = job->watches; watch; watch = next) {
        next = watch->next;
        watch->wake(watch, heartbeat);
    }
}

static int append_lines(int dir, const struct buf *lines, struct err *err)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dir, JOB_DIR_EVENTS, flags, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, "", "the events of a job cannot be opened");
    int code = files_write(fd, lines->data, lines->size, err);
    close(fd);
    return code;
}

static void append_work(struct call *call)
{
    struct append *append = (struct append *)call;
    int dir;
    append->code = jobs_open_folder(append->jobs, append->job->record.id, &dir, &append->err);
    if (append->code)
        return;
    append->code = append->rewrite
                       ? job_dir_write(dir, JOB_DIR_EVENTS, NULL, &append->lines, &append->err)
                       : append_lines(dir, &append->lines, &append->err);
    close(dir);
}

static void append_done(struct call *call)
{
    struct append *append = (struct append *)call;
    struct job *job = append->job;
    if (append->code && !job->removed)
        log_message(LOG_ERROR, "job_events_not_stored", "job %s: %s", job->record.id,
                    append->err.message);
    job->log_saving = false;
    job->log.shown_id = append->last_id;
    wake_all(job, false);
    flush(append->jobs, job);
    jobs_events_settle(job);
    buf_release(&append->lines);
    mem_free(append);
    jobs_job_drop(job);
}

static void flush(struct jobs *jobs, struct job *job)
{
    if (job->log_saving || job->removed || job->log.unsaved.size == 0)
        return;
    struct append *append = mem_zalloc(1, sizeof *append);
    if (!append)
        return; /* the next event tries again */
    *append = (struct append){
        .call = {.work = append_work, .done = append_done},
        .jobs = jobs,
        .job = jobs_job_take(job),
        .last_id = job->log.last_id,
    };
    job_log_take_unsaved(&job->log, &append->lines, &append->rewrite);
    job->log_saving = true;
    courier_submit(jobs->options.store_courier, &append->call);
}

void jobs_event(struct jobs *jobs, struct job *job, const char *line, size_t size)
{
    job->log_loaded = true;
    if (job_log_add(&job->log, line, size, timestamp_now_ms()))
        log_message(LOG_ERROR, "job_event_dropped", "job %s", job->record.id);
    flush(jobs, job); /* watchers are woken when it is in the file */
}

void jobs_event_state(struct jobs *jobs, struct job *job)
{
    const struct job_record *record = &job->record;
    struct buf line;
    buf_init(&line, LIMIT_JSON_BYTES);
    struct json_writer w = json_writer(&line);
    json_open_object(&w, NULL);
    json_write_string(&w, "event", "state");
    json_write_string(&w, "state", job_record_state_name(record->state));
    json_write_unsigned(&w, "attempts", record->attempts);
    json_write_unsigned(&w, "step", record->progress.step);
    if (record->state == JOB_SUCCEEDED) {
        json_write_string(&w, "model", record->model);
        json_write_unsigned(&w, "version", record->version);
    }
    json_close_object(&w);
    if (!line.failed)
        jobs_event(jobs, job, line.data, line.size);
    buf_release(&line);
}

int jobs_events_read(struct job *job, int dir)
{
    struct buf text;
    buf_init(&text, JOB_LOG_BYTES);
    int code = 0;
    if (job_dir_read(dir, JOB_DIR_EVENTS, &text, NULL) == 0)
        code = job_log_read(&job->log, text.data, text.size);
    buf_release(&text);
    job->log_loaded = !code;
    return code;
}

void jobs_events_settle(struct job *job)
{
    bool needed = job->watches || job->log_saving || job->log_loading || job->log.unsaved.size > 0;
    if (!job_record_ended(job->record.state) || needed || !job->log_loaded)
        return;
    job_log_release(&job->log);
    job->log_loaded = false;
}

/* The file of an ended job, read for somebody who watches. */
static void reading_work(struct call *call)
{
    struct reading *reading = (struct reading *)call;
    struct buf text;
    int dir;
    buf_init(&text, JOB_LOG_BYTES);
    if (jobs_open_folder(reading->jobs, reading->job->record.id, &dir, NULL))
        return;
    if (job_dir_read(dir, JOB_DIR_EVENTS, &text, NULL) == 0)
        job_log_read(&reading->log, text.data, text.size);
    buf_release(&text);
    close(dir);
}

static void reading_done(struct call *call)
{
    struct reading *reading = (struct reading *)call;
    struct job *job = reading->job;
    job->log = reading->log; /* was empty: it is only read when it was let go */
    job->log_loading = false;
    job->log_loaded = true;
    wake_all(job, false);
    jobs_events_settle(job);
    jobs_job_drop(job);
    mem_free(reading);
}

static int read_again(struct jobs *jobs, struct job *job)
{
    struct reading *reading = mem_zalloc(1, sizeof *reading);
    if (!reading)
        return ERR_NOMEM;
    *reading = (struct reading){
        .call = {.work = reading_work, .done = reading_done},
        .jobs = jobs,
        .job = jobs_job_take(job),
    };
    job_log_init(&reading->log);
    job->log_loading = true;
    courier_submit(jobs->options.files_courier, &reading->call);
    return 0;
}

int jobs_watch_start(struct jobs *jobs, struct job *job, struct jobs_watch *watch)
{
    bool ended = job_record_ended(job->record.state);
    if (ended && !job->log_loaded && !job->log_loading && read_again(jobs, job))
        return ERR_NOMEM;
    watch->job = jobs_job_take(job);
    watch->jobs = jobs;
    watch->next = job->watches;
    job->watches = watch;
    return 0;
}

void jobs_watch_stop(struct jobs_watch *watch)
{
    struct jobs_watch **at = &watch->job->watches;
    while (*at && *at != watch)
        at = &(*at)->next;
    if (*at)
        *at = watch->next;
    jobs_events_settle(watch->job);
    jobs_job_drop(watch->job);
    watch->job = NULL;
}

const struct job_log *jobs_watch_log(const struct jobs_watch *watch)
{
    return watch->job->log_loading ? NULL : &watch->job->log;
}

bool jobs_watch_ended(const struct jobs_watch *watch)
{
    const struct job *job = watch->job;
    bool parted = watch->jobs->draining && watch->jobs->active != job;
    bool told = job->removed || job->log.shown_id == job->log.last_id;
    return !job->log_loading && told &&
           (parted || job->removed || job_record_ended(job->record.state));
}

void jobs_wake(struct jobs *jobs, bool heartbeat)
{
    for (size_t i = 0; i < jobs->count; i++)
        wake_all(jobs->all[i], heartbeat);
}
