/* /jobs: what trains, what has trained, its events as they happen, and its end. */
#include "server/jobs/jobs.h"
#include "core/base/mem.h"
#include "proto/json_write.h"
#include "proto/rows.h"
#include "server/app.h"
#include "server/http/exchange.h"
#include "server/http/resource.h"
#include "server/http/routes.h"
#include "server/train/job_dir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LIST_DEFAULT = 100,
    LIST_MAX = 1000,
    JOB_BYTES = 2 * LIMIT_JSON_BYTES, /* of one job's object */
    LIST_BYTES = LIST_MAX * 16 * 1024,
    STREAM_BYTES = 64 * 1024, /* formatted ahead for one client */
};

/* NULL after a 404 was sent. */
static struct job *find_job(struct exchange *exchange, struct app *app)
{
    struct job *job = jobs_find(app->jobs, exchange_param(exchange, 0));
    if (!job) {
        struct err err = {0};
        err_set(&err, ERR_NOT_FOUND, "", "there is no job with this id");
        exchange_problem(exchange, &err);
    }
    return job;
}

static void respond_job(struct exchange *exchange, int status, const struct job *job)
{
    struct buf body;
    buf_init(&body, JOB_BYTES);
    job_record_write(&body, jobs_record(job), true);
    resource_json(exchange, status, &body);
}

/* A whole decimal number up to max; ERR_INVALID names the place. */
static int read_number(uint64_t *out, const char *text, uint64_t max, const char *where,
                       struct err *err)
{
    uint64_t value = 0;
    size_t digits = strspn(text, "0123456789");
    bool good = digits > 0 && digits < 20 && text[digits] == '\0';
    if (good)
        value = strtoull(text, NULL, 10);
    if (!good || value > max)
        return err_set(err, ERR_INVALID, where, "must be a whole number from 0 to %llu",
                       (unsigned long long)max);
    *out = value;
    return 0;
}

/* ?state= and ?limit=. */
struct filter {
    bool by_state;
    enum job_state state;
    uint64_t limit;
};

static int read_filter(struct filter *filter, struct exchange *exchange, struct err *err)
{
    const char *state = exchange_query(exchange, "state");
    const char *limit = exchange_query(exchange, "limit");
    *filter = (struct filter){.by_state = state != NULL, .limit = LIST_DEFAULT};
    if (state && !job_record_state_find(state, &filter->state))
        return err_set(err, ERR_INVALID, "?state",
                       "must be queued, running, succeeded, failed or cancelled");
    return limit ? read_number(&filter->limit, limit, LIST_MAX, "?limit", err) : 0;
}

static void handle_list(struct exchange *exchange, struct app *app)
{
    struct err err = {0};
    struct filter filter;
    if (read_filter(&filter, exchange, &err)) {
        exchange_problem(exchange, &err);
        return;
    }
    struct buf body;
    buf_init(&body, LIST_BYTES);
    struct json_writer w = json_writer(&body);
    json_open_object(&w, NULL);
    json_open_array(&w, "jobs");
    uint64_t listed = 0;
    for (size_t i = 0; i < jobs_count(app->jobs) && listed < filter.limit; i++) {
        const struct job_record *record = jobs_record(jobs_at(app->jobs, i));
        if (filter.by_state && record->state != filter.state)
            continue;
        if (listed++ > 0)
            buf_char(&body, ',');
        job_record_write(&body, record, false);
    }
    json_close_array(&w);
    json_write_unsigned(&w, "total", jobs_count(app->jobs));
    json_close_object(&w);
    resource_json(exchange, 200, &body);
}

static void handle_get(struct exchange *exchange, struct app *app)
{
    const struct job *job = find_job(exchange, app);
    if (job)
        respond_job(exchange, 200, job);
}

/* What stays of a request that is answered later. */
struct later {
    struct call call;
    struct app *app;
    uint64_t exchange;
    char id[JOB_ID];
    enum job_state state;
    int fd;
    uint64_t size;
    int code;
    struct err err;
};

static struct later *later_new(struct exchange *exchange, struct app *app)
{
    struct later *later = mem_zalloc(1, sizeof *later);
    if (later) {
        later->app = app;
        later->exchange = exchange_id(exchange);
        return later;
    }
    struct err err = {0};
    err_set(&err, ERR_NOMEM, "", "there is no memory for this request");
    exchange_problem(exchange, &err);
    return NULL;
}

static void answer_delete(void *context, const struct job *job, const struct err *err)
{
    struct later *later = context;
    struct exchange *exchange = httpd_find(later->app->httpd, later->exchange);
    mem_free(later);
    struct buf empty;
    buf_init(&empty, 0);
    if (!exchange)
        return;
    if (err)
        exchange_problem(exchange, err);
    else if (job)
        respond_job(exchange, 202, job);
    else
        exchange_respond(exchange, 204, NULL, &empty);
}

static void handle_delete(struct exchange *exchange, struct app *app)
{
    struct job *job = find_job(exchange, app);
    struct later *later = job ? later_new(exchange, app) : NULL;
    if (later)
        jobs_remove(app->jobs, job, answer_delete, later);
}

static void checkpoint_work(struct call *call)
{
    struct later *later = (struct later *)call;
    const char *name = later->state == JOB_SUCCEEDED ? JOB_DIR_MODEL : JOB_DIR_PARTIAL;
    int dir;
    later->fd = -1;
    later->code =
        files_open_dir(store_files(later->app->store)->jobs, later->id, false, &dir, NULL);
    if (!later->code) {
        later->code = files_open_read(dir, name, &later->fd, &later->size, NULL);
        close(dir);
    }
    if (later->code)
        err_set(&later->err, (enum err_code)later->code, "", "this job has %s",
                job_record_ended(later->state)
                    ? "left no checkpoint"
                    : "no checkpoint yet; wait until it has succeeded or was cancelled");
}

static void checkpoint_done(struct call *call)
{
    struct later *later = (struct later *)call;
    struct exchange *exchange = httpd_find(later->app->httpd, later->exchange);
    if (!exchange && later->fd >= 0)
        close(later->fd);
    else if (exchange && later->code)
        exchange_problem(exchange, &later->err);
    else if (exchange)
        exchange_respond_file(exchange, 200, "application/octet-stream", later->fd, later->size);
    mem_free(later);
}

static void handle_checkpoint(struct exchange *exchange, struct app *app)
{
    const struct job *job = find_job(exchange, app);
    struct later *later = job ? later_new(exchange, app) : NULL;
    if (!later)
        return;
    memcpy(later->id, jobs_record(job)->id, sizeof later->id);
    later->state = jobs_record(job)->state;
    later->call = (struct call){.work = checkpoint_work, .done = checkpoint_done};
    courier_submit(app->files_courier, &later->call);
}

/* A client that follows the events of a job. */
struct viewer {
    struct jobs_watch watch;
    struct app *app;
    uint64_t exchange;
    uint64_t last_id; /* of the last event that was formatted */
    bool sse;
    bool beat;        /* 15 s have passed */
    struct buf ahead; /* formatted, of which `taken` bytes were sent */
    size_t taken;
};

static void wake(struct jobs_watch *watch, bool heartbeat)
{
    struct viewer *viewer = (struct viewer *)watch;
    if (heartbeat && !viewer->sse)
        return;
    viewer->beat = viewer->beat || heartbeat;
    struct exchange *exchange = httpd_find(viewer->app->httpd, viewer->exchange);
    if (exchange)
        exchange_wake(exchange);
}

static void fill(struct viewer *viewer)
{
    const struct job_log *log = jobs_watch_log(&viewer->watch);
    size_t i = log ? job_log_after(log, viewer->last_id) : 0;
    buf_clear(&viewer->ahead);
    viewer->taken = 0;
    for (; log && i < log->count && viewer->ahead.size < STREAM_BYTES; i++) {
        if (log->events[i].id > log->shown_id)
            break;
        job_log_write(&viewer->ahead, &log->events[i], viewer->sse);
        viewer->last_id = log->events[i].id;
    }
    if (viewer->beat && viewer->ahead.size == 0)
        buf_text(&viewer->ahead, ": keep-alive\n\n");
    viewer->beat = false;
}

static enum stream_result read_events(void *context, char *out, size_t max, size_t *size)
{
    struct viewer *viewer = context;
    if (viewer->taken == viewer->ahead.size)
        fill(viewer);
    if (viewer->ahead.failed)
        return STREAM_ABORT;
    size_t left = viewer->ahead.size - viewer->taken;
    if (left == 0)
        return jobs_watch_ended(&viewer->watch) ? STREAM_END : STREAM_WAIT;
    *size = left < max ? left : max;
    memcpy(out, viewer->ahead.data + viewer->taken, *size);
    viewer->taken += *size;
    return STREAM_DATA;
}

static void close_events(void *context)
{
    struct viewer *viewer = context;
    jobs_watch_stop(&viewer->watch);
    buf_release(&viewer->ahead);
    mem_free(viewer);
}

static int read_view(struct viewer *viewer, struct exchange *exchange, struct err *err)
{
    static const enum row_format offered[] = {ROWS_NDJSON, ROWS_SSE};
    enum row_format format;
    int code = row_format_accept(&format, exchange_header(exchange, "Accept"), offered, 2, err);
    if (code)
        return code;
    viewer->sse = format == ROWS_SSE;
    const char *after = exchange_query(exchange, "after");
    const char *last = exchange_header(exchange, "Last-Event-ID");
    if (after)
        return read_number(&viewer->last_id, after, INT64_MAX, "?after", err);
    return last ? read_number(&viewer->last_id, last, INT64_MAX, "Last-Event-ID", err) : 0;
}

static int follow(struct exchange *exchange, struct app *app, struct job *job, struct err *err)
{
    struct viewer *viewer = mem_zalloc(1, sizeof *viewer);
    if (!viewer)
        return err_set(err, ERR_NOMEM, "", "there is no memory for this request");
    *viewer = (struct viewer){
        .watch = {.wake = wake},
        .app = app,
        .exchange = exchange_id(exchange),
    };
    buf_init(&viewer->ahead, JOB_LOG_BYTES);
    int code = read_view(viewer, exchange, err);
    if (!code && jobs_watch_start(app->jobs, job, &viewer->watch))
        code = err_set(err, ERR_NOMEM, "", "there is no memory for this request");
    if (code) {
        mem_free(viewer);
        return code;
    }
    const char *type = row_format_type(viewer->sse ? ROWS_SSE : ROWS_NDJSON);
    struct stream stream = {read_events, close_events, viewer};
    exchange_stream(exchange, 200, type, stream);
    return 0;
}

static void handle_events(struct exchange *exchange, struct app *app)
{
    struct err err = {0};
    struct job *job = find_job(exchange, app);
    if (job && follow(exchange, app, job, &err))
        exchange_problem(exchange, &err);
}

const struct route jobs_routes[] = {
    {.method = "GET", .path = "/jobs", .operation = "listJobs", .handle = handle_list},
    {.method = "GET", .path = "/jobs/{id}", .operation = "getJob", .handle = handle_get},
    {.method = "DELETE", .path = "/jobs/{id}", .operation = "deleteJob", .handle = handle_delete},
    {.method = "GET",
     .path = "/jobs/{id}/events",
     .operation = "followJob",
     .handle = handle_events},
    {.method = "GET",
     .path = "/jobs/{id}/checkpoint",
     .operation = "getJobCheckpoint",
     .handle = handle_checkpoint},
};
const size_t jobs_route_count = sizeof jobs_routes / sizeof *jobs_routes;
