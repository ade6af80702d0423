/* POST /train. */
#include "core/base/mem.h"
#include "proto/request_codec.h"
#include "server/app.h"
#include "server/http/exchange.h"
#include "server/http/resource.h"
#include "server/http/routes.h"
#include "server/jobs/jobs.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* What stays of the request while the job is made durable. */
struct submission {
    struct app *app;
    uint64_t exchange;
};

static void answer(void *context, const struct job *job, bool replayed, const struct err *err)
{
    struct submission *submission = context;
    struct exchange *exchange = httpd_find(submission->app->httpd, submission->exchange);
    mem_free(submission);
    if (!exchange)
        return;
    if (err) {
        exchange_problem(exchange, err);
        return;
    }
    char location[sizeof "/jobs/" + JOB_ID];
    struct buf body;
    buf_init(&body, 2 * LIMIT_JSON_BYTES);
    snprintf(location, sizeof location, "/jobs/%s", jobs_record(job)->id);
    job_record_write(&body, jobs_record(job), true);
    exchange_add_header(exchange, "Location", location);
    if (replayed)
        exchange_add_header(exchange, "Idempotent-Replayed", "true");
    resource_json(exchange, 202, &body);
}

/* 0, or ERR_INVALID: an empty or long key, or one with bytes that are not visible ASCII. */
static int check_key(const char *key, struct err *err)
{
    size_t size = strlen(key);
    bool good = size > 0 && size < JOB_KEY;
    for (size_t i = 0; i < size && good; i++)
        good = key[i] > ' ' && key[i] < 0x7f;
    if (good)
        return 0;
    return err_set(err, ERR_INVALID, "Idempotency-Key", "must be 1 to %d visible ASCII characters",
                   JOB_KEY - 1);
}

/* Below 2^53, so that every JSON reader keeps it. */
static uint64_t draw_seed(void)
{
    uint64_t seed = 0;
    while (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        ;
    return seed >> 11;
}

static int submit(struct exchange *exchange, struct app *app, struct train_request *request,
                  struct err *err)
{
    const char *key = exchange_header(exchange, "Idempotency-Key");
    int code = key ? check_key(key, err) : 0;
    if (code)
        return code;
    struct submission *context = mem_alloc(1, sizeof *context);
    if (!context)
        return err_set(err, ERR_NOMEM, "", "there is no memory for a job");
    *context = (struct submission){app, exchange_id(exchange)};
    struct jobs_submission submission = {
        .request = request,
        .key = key,
        .done = answer,
        .context = context,
    };
    submission.body = exchange_body(exchange, &submission.body_size);
    jobs_submit(app->jobs, &submission);
    return 0;
}

static void handle_train(struct exchange *exchange, struct app *app)
{
    struct train_request request = {0};
    struct err err = {0};
    size_t size;
    const char *body = exchange_body(exchange, &size);
    int code = train_request_decode(&request, body, size, &err);
    if (!code && !request.has_seed) {
        request.spec.seed = draw_seed();
        request.has_seed = true;
    }
    if (!code)
        code = submit(exchange, app, &request, &err);
    if (code)
        exchange_problem(exchange, &err);
    train_request_release(&request);
}

const struct route train_routes[] = {
    {.method = "POST",
     .path = "/train",
     .body = BODY_MEMORY,
     .body_max = LIMIT_JSON_BYTES,
     .type = "application/json",
     .operation = "train",
     .handle = handle_train},
};
const size_t train_route_count = sizeof train_routes / sizeof *train_routes;
