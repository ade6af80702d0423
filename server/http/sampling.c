#include "server/http/sampling.h"

#include "core/base/mem.h"
#include "proto/request_codec.h"
#include "server/engine/engine.h"
#include "server/http/resource.h"

#include <stdio.h>
#include <sys/random.h>

enum {
    SAMPLING_GATHER_CELLS = 64 * 1024, /* a /sample of so few numbers is answered in one piece */
    SAMPLING_GATHER_BYTES = 64 * 1024 * 1024,
};

/* One answer in the making: owned by the exchange, freed when that closes. */
struct sampling {
    struct app *app;
    uint64_t exchange;
    struct run *run;
    enum row_format format;
    bool answered;   /* a stream or a problem has begun */
    struct buf body; /* of an answer in one piece */
};

static void sampling_closed(void *context)
{
    struct sampling *sampling = context;
    run_free(sampling->run);
    buf_release(&sampling->body);
    mem_free(sampling);
}

static enum stream_result sampling_read(void *context, char *out, size_t max, size_t *size)
{
    struct sampling *sampling = context;
    enum run_state state;
    *size = run_read(sampling->run, out, max, &state);
    if (state == RUN_FAILED)
        return STREAM_ABORT;
    if (*size > 0)
        return STREAM_DATA;
    return state == RUN_END ? STREAM_END : STREAM_WAIT;
}

static void sampling_stream(struct sampling *sampling, struct exchange *exchange)
{
    sampling->answered = true;
    exchange_stream(exchange, 200, row_format_type(sampling->format),
                    (struct stream){.read = sampling_read,
                                    .closed = sampling_closed,
                                    .context = sampling});
}

static void sampling_wake_stream(void *context, struct run *run)
{
    struct sampling *sampling = context;
    struct exchange *exchange = httpd_find(sampling->app->httpd, sampling->exchange);
    struct err err = {0};
    if (!exchange)
        return;
    if (sampling->answered) {
        exchange_wake(exchange);
    } else if (run_error(run, &err)) {
        sampling->answered = true;
        exchange_problem(exchange, &err);
    } else {
        exchange_on_close(exchange, NULL, NULL);
        sampling_stream(sampling, exchange);
    }
}

static void sampling_respond(struct sampling *sampling, struct exchange *exchange)
{
    char timing[96];
    snprintf(timing, sizeof timing, "queue;dur=%.3f, compute;dur=%.3f",
             run_queue_seconds(sampling->run) * 1e3, run_compute_seconds(sampling->run) * 1e3);
    exchange_add_header(exchange, "Server-Timing", timing);
    exchange_respond(exchange, 200, row_format_type(sampling->format), &sampling->body);
}

static void sampling_wake_gather(void *context, struct run *run)
{
    struct sampling *sampling = context;
    struct exchange *exchange = httpd_find(sampling->app->httpd, sampling->exchange);
    enum run_state state = RUN_MORE;
    size_t size = 1;
    while (size > 0 && state == RUN_MORE) {
        char piece[16 * 1024];
        size = run_read(run, piece, sizeof piece, &state);
        buf_append(&sampling->body, piece, size);
    }
    if (!exchange || (state == RUN_MORE && !sampling->body.failed))
        return;
    struct err err = {0};
    if (run_error(run, &err) || sampling->body.failed) {
        err_set(&err, ERR_NOMEM, "", "the answer does not fit into memory");
        exchange_problem(exchange, &err);
    } else {
        sampling_respond(sampling, exchange);
    }
    /* A client that takes its answer slowly must not count as work. */
    run_free(run);
    sampling->run = NULL;
}

/* A seed that every client can read as a JSON number. */
static int sampling_draw_seed(struct sample_spec *spec, struct err *err)
{
    uint64_t seed;
    if (spec->has_seed)
        return 0;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return err_set(err, ERR_INTERNAL, "", "no random numbers for a seed");
    spec->seed = seed >> 11;
    spec->has_seed = true;
    return 0;
}

static void sampling_problem(struct exchange *exchange, struct app *app, const struct err *err)
{
    if (err->code == ERR_OVERLOADED) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%u", engine_retry_seconds(app->engine));
        exchange_add_header(exchange, "Retry-After", seconds);
    }
    exchange_problem(exchange, err);
}

static int sampling_submit(struct sampling *sampling, struct sample_request *request,
                           const struct sampling_route *route, bool gather, struct err *err)
{
    struct model_ref *model = resource_model(sampling->app, request->model, err);
    if (!model)
        return (int)err->code;
    struct sample_spec *spec = &request->spec;
    int code =
        resource_precision(&spec->precision, spec->has_precision, sampling->app, model, err);
    if (code)
        return code;
    struct run_options options = {
        .model = model,
        .spec = spec,
        .format = sampling->format,
        .timeout_ms = request->timeout_ms,
        .frames = route->trajectory,
        .wake = gather ? sampling_wake_gather : sampling_wake_stream,
        .context = sampling,
    };
    return engine_submit(sampling->app->engine, &options, &sampling->run, err);
}

/* Whether the whole answer is small enough to be sent in one piece, with its timing. */
static bool sampling_gathers(const struct sampling *sampling, const struct sample_request *request,
                             const struct sampling_route *route)
{
    const struct model_ref *model = registry_find(sampling->app->registry, request->model);
    return model && !route->trajectory &&
           request->spec.count <= SAMPLING_GATHER_CELLS / model->config.schema.count;
}

static void sampling_begin(struct exchange *exchange, struct sampling *sampling,
                           struct sample_request *request, const struct sampling_route *route)
{
    struct err err = {0};
    bool gather = sampling_gathers(sampling, request, route);
    if (sampling_draw_seed(&request->spec, &err) ||
        sampling_submit(sampling, request, route, gather, &err)) {
        sampling_problem(exchange, sampling->app, &err);
        mem_free(sampling);
    } else if (gather || request->timeout_ms > 0) {
        /* With a deadline the status has to wait for the first rows: they may come too late. */
        exchange_on_close(exchange, sampling_closed, sampling);
    } else {
        sampling_stream(sampling, exchange);
    }
}

void sampling_handle(struct exchange *exchange, struct app *app, const struct sampling_route *route)
{
    struct err err = {0};
    struct sample_request request;
    enum row_format format;
    size_t size;
    const char *body = exchange_body(exchange, &size);
    if (row_format_accept(&format, exchange_header(exchange, "Accept"), route->formats,
                          route->format_count, &err) ||
        sample_request_decode(&request, body, size, route->trajectory, &err)) {
        exchange_problem(exchange, &err);
        return;
    }
    struct sampling *sampling = mem_zalloc(1, sizeof *sampling);
    if (sampling) {
        sampling->app = app;
        sampling->exchange = exchange_id(exchange);
        sampling->format = format;
        buf_init(&sampling->body, SAMPLING_GATHER_BYTES);
        sampling_begin(exchange, sampling, &request, route);
    } else {
        err_set(&err, ERR_NOMEM, "", "out of memory");
        exchange_problem(exchange, &err);
    }
    sample_request_release(&request);
}
