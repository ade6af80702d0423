/* One job's turn: look into its folder, mark it running, train in a child, and see how that ended.
 */
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/json_write.h"
#include "proto/problem.h"
#include "server/jobs/jobs_internal.h"
#include "server/timestamp.h"
#include "server/train/job_dir.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Progress goes to the disk at most so often: losing it costs nothing but a number on restart. */
enum { SAVE_PROGRESS_MS = 10 * 1000 };

struct look {
    struct call call;
    struct jobs *jobs;
    struct job *job; /* jobs->active */
    bool model_there;
    int code;
    struct err err;
};

static void ignore(struct jobs *jobs, struct job *job, const struct err *err)
{
    (void)jobs;
    (void)job;
    (void)err;
}

void jobs_turn_over(struct jobs *jobs, struct job *job)
{
    job->busy = false;
    job->publishing = false;
    if (jobs->active == job) {
        jobs->active = NULL;
        jobs_job_drop(job);
    }
    if (jobs->draining)
        jobs_wake(jobs, false);
    jobs_pump(jobs);
}

/* A database that does not take a change leaves the jobs as they are until a restart. */
static void after_end(struct jobs *jobs, struct job *job, const struct err *err)
{
    if (err)
        jobs->halted = true;
    jobs_events_settle(job);
    jobs_turn_over(jobs, job);
}

static char *problem_text(const struct err *problem)
{
    struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    problem_write(&text, problem);
    buf_char(&text, '\0');
    if (text.failed)
        buf_release(&text);
    return text.data;
}

void jobs_end(struct jobs *jobs, struct job *job, enum job_state state, const struct err *problem)
{
    struct job_record next = job->record;
    next.request = NULL;
    next.error = NULL;
    if (problem)
        next.error = problem_text(problem);
    else if (state == JOB_FAILED && job->record.error)
        next.error = mem_strdup(job->record.error);
    next.state = state;
    next.finished_ms = timestamp_now_ms();
    job->busy = true;
    jobs_change(jobs, job, &next, after_end);
}

static void fail_turn(struct jobs *jobs, struct job *job, enum err_code code, const char *message)
{
    struct err err = {0};
    err_set(&err, code, "", "%s", message);
    jobs_end(jobs, job, JOB_FAILED, &err);
}

static void fail_loop(struct jobs *jobs, struct job *job)
{
    struct err err = {0};
    err_set(&err, ERR_INTERNAL, "crash_loop",
            "the trainer died %u times in a row before it had saved a step", job->record.stalls);
    jobs_end(jobs, job, JOB_FAILED, &err);
}

static void requeue(struct jobs *jobs, struct job *job, bool stopped)
{
    struct job_record next = job->record;
    next.request = next.error = NULL;
    next.state = JOB_QUEUED;
    next.stalls = stopped ? 0 : next.stalls;
    jobs_change(jobs, job, &next, after_end);
}

static void on_ended(void *context, struct job_exit end)
{
    struct jobs *jobs = context;
    struct job *job = jobs->active;
    bool stopped = end.signal == 0 && end.status == TRAINER_STOPPED;
    jobs->process = NULL;
    switch (job_verdict_exit(&job->record, end)) {
    case VERDICT_PUBLISH:
        jobs_publish(jobs, job, true);
        break;
    case VERDICT_CANCEL:
        jobs_end(jobs, job, JOB_CANCELLED, NULL);
        break;
    case VERDICT_FAIL:
        if (job->record.error)
            jobs_end(jobs, job, JOB_FAILED, NULL);
        else
            fail_turn(jobs, job, ERR_INTERNAL, "the trainer failed and did not say why");
        break;
    default:
        requeue(jobs, job, stopped);
    }
}

/* The first state that an attempt saves proves that it gets further. */
static void on_checkpoint(struct jobs *jobs, struct job *job)
{
    uint64_t now = uv_now(jobs->options.loop);
    if (job->record.stalls == 0 && now - jobs->saved_ms < SAVE_PROGRESS_MS)
        return;
    jobs->saved_ms = now;
    job->record.stalls = 0;
    struct job_record next = job->record;
    next.request = next.error = NULL;
    jobs_change(jobs, job, &next, ignore);
}

static void take_problem(struct job *job, struct json problem)
{
    struct buf text;
    buf_init(&text, LIMIT_JSON_BYTES);
    json_dump(problem, &text);
    buf_char(&text, '\0');
    if (text.failed) {
        buf_release(&text);
        return;
    }
    mem_free(job->record.error);
    job->record.error = text.data;
}

static void on_line(void *context, const char *line, size_t size)
{
    struct jobs *jobs = context;
    struct job *job = jobs->active;
    struct json_doc *doc;
    const char *event;
    if (json_parse(&doc, line, size, JOB_DIR_LINE, NULL))
        return;
    struct json root = json_root(doc);
    if (json_read_string(json_get(root, "event"), 64, &event, NULL) == 0) {
        job_record_apply(&job->record, root);
        if (strcmp(event, "checkpoint") == 0)
            on_checkpoint(jobs, job);
        if (strcmp(event, "error") == 0)
            take_problem(job, json_get(root, "problem"));
        jobs_event(jobs, job, line, size);
    }
    json_free(doc);
}

/* The row says running: start the child, unless something came in between. */
static void spawn(struct jobs *jobs, struct job *job, const struct err *err)
{
    if (err || jobs->draining) {
        jobs->halted = jobs->halted || err;
        if (!err)
            requeue(jobs, job, false);
        else
            jobs_turn_over(jobs, job);
        return;
    }
    if (job->record.cancelling) {
        jobs_end(jobs, job, JOB_CANCELLED, NULL);
        return;
    }
    const char *root = store_files(jobs->options.store)->path;
    size_t size = strlen(root) + sizeof "/jobs/" + JOB_ID;
    char *folder = mem_alloc(size, 1);
    struct err problem = {0};
    if (!folder) {
        fail_turn(jobs, job, ERR_NOMEM, "there is no memory to start the trainer");
        return;
    }
    snprintf(folder, size, "%s/jobs/%s", root, job->record.id);
    struct trainer_process_options options = {
        jobs->options.loop, jobs->program, folder, on_line, on_ended, jobs,
    };
    if (trainer_process_start(&jobs->process, &options, &problem))
        jobs_end(jobs, job, JOB_FAILED, &problem);
    mem_free(folder);
}

static void start(struct jobs *jobs, struct job *job)
{
    struct job_record next = job->record;
    next.request = next.error = NULL;
    next.state = JOB_RUNNING;
    next.attempts++;
    next.stalls++;
    if (!next.started_ms)
        next.started_ms = timestamp_now_ms();
    jobs->saved_ms = uv_now(jobs->options.loop);
    jobs_change(jobs, job, &next, spawn);
}

static void look_work(struct call *call)
{
    struct look *look = (struct look *)call;
    int dir;
    look->code = jobs_open_folder(look->jobs, look->job->record.id, &dir, &look->err);
    if (look->code)
        return;
    look->model_there = job_dir_has(dir, JOB_DIR_MODEL);
    close(dir);
}

static void look_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct jobs *jobs = look->jobs;
    struct job *job = look->job;
    if (jobs->draining) {
        jobs_turn_over(jobs, job);
    } else if (look->code) {
        fail_turn(jobs, job, ERR_NOT_FOUND, "the folder of the job is gone");
    } else {
        switch (job_verdict_turn(&job->record, look->model_there)) {
        case VERDICT_CANCEL:
            jobs_end(jobs, job, JOB_CANCELLED, NULL);
            break;
        case VERDICT_PUBLISH:
            jobs_publish(jobs, job, false);
            break;
        case VERDICT_FAIL_LOOP:
            fail_loop(jobs, job);
            break;
        default:
            start(jobs, job);
        }
    }
    mem_free(look);
}

void jobs_pump(struct jobs *jobs)
{
    if (jobs->active || jobs->draining || jobs->halted)
        return;
    size_t i = 0;
    while (i < jobs->count && (jobs->all[i]->busy || jobs->all[i]->record.state != JOB_QUEUED))
        i++;
    if (i == jobs->count)
        return;
    struct look *look = mem_zalloc(1, sizeof *look);
    if (!look)
        return; /* the next submission or end tries again */
    struct job *job = jobs->all[i];
    jobs->active = jobs_job_take(job);
    job->busy = true;
    *look = (struct look){
        .call = {.work = look_work, .done = look_done},
        .jobs = jobs,
        .job = job,
    };
    courier_submit(jobs->options.files_courier, &look->call);
}
