#include "server/http/routes.h"
#include "server/http/sampling.h"

#include "config/limits.h"

static const enum row_format sample_formats[] = {ROWS_JSON, ROWS_NDJSON, ROWS_CSV, ROWS_NPY};
static const enum row_format trajectory_formats[] = {ROWS_NDJSON, ROWS_SSE, ROWS_NPY};

static void sample_handle(struct exchange *exchange, struct app *app)
{
    static const struct sampling_route route = {
        .formats = sample_formats,
        .format_count = sizeof sample_formats / sizeof *sample_formats,
    };
    sampling_handle(exchange, app, &route);
}

static void trajectory_handle(struct exchange *exchange, struct app *app)
{
    static const struct sampling_route route = {
        .formats = trajectory_formats,
        .format_count = sizeof trajectory_formats / sizeof *trajectory_formats,
        .trajectory = true,
    };
    sampling_handle(exchange, app, &route);
}

const struct route sample_routes[] = {
    {.method = "POST",
     .path = "/sample",
     .body = BODY_MEMORY,
     .body_max = LIMIT_JSON_ROWS_BYTES,
     .type = "application/json",
     .operation = "sample",
     .handle = sample_handle},
    {.method = "POST",
     .path = "/trajectory",
     .body = BODY_MEMORY,
     .body_max = LIMIT_JSON_ROWS_BYTES,
     .type = "application/json",
     .operation = "trajectory",
     .handle = trajectory_handle},
};
const size_t sample_route_count = sizeof sample_routes / sizeof *sample_routes;
