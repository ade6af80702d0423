#include "server/http/probes.h"

#include "core/linalg/simd.h"
#include "proto/json_write.h"
#include "server/app.h"
#include "server/http/resource.h"
#include "server/metrics.h"
#include "server/store/store.h"

enum { PROBES_BYTES = 4 * 1024 * 1024 };

static void respond_text(struct exchange *exchange, const char *type, const char *text)
{
    struct buf body;
    buf_init(&body, PROBES_BYTES);
    buf_text(&body, text);
    exchange_respond(exchange, 200, type, &body);
}

/* proto/openapi.yaml, made by scripts/embed.py. */
extern const char openapi_text[];
extern const size_t openapi_text_size;

static void handle_openapi(struct exchange *exchange, struct app *app)
{
    struct buf body;
    (void)app;
    buf_init(&body, PROBES_BYTES);
    buf_append(&body, openapi_text, openapi_text_size);
    exchange_respond(exchange, 200, "application/yaml", &body);
}

/* Alive as long as the loop goes round. */
static void handle_livez(struct exchange *exchange, struct app *app)
{
    (void)app;
    respond_text(exchange, "application/json", "{\"status\":\"alive\"}\n");
}

/* With the kernels of each precision that this machine has. */
static void respond_ready(struct exchange *exchange, const struct app *app)
{
    struct buf body;
    buf_init(&body, PROBES_BYTES);
    struct json_writer w = json_writer(&body);
    json_open_object(&w, NULL);
    json_write_string(&w, "status", "ready");
    json_open_object(&w, "precisions");
    for (int i = 0; i < PRECISION_COUNT; i++) {
        if (app->kernels[i])
            json_write_string(&w, precision_name((enum precision)i), app->kernels[i]->name);
    }
    json_close_object(&w);
    json_close_object(&w);
    resource_json(exchange, 200, &body);
}

/* Whether to send work here. */
static void handle_readyz(struct exchange *exchange, struct app *app)
{
    struct err err = {0};
    if (app->draining)
        err_set(&err, ERR_UNAVAILABLE, "", "The daemon is shutting down.");
    else if (app->fault.code)
        err = app->fault;
    else if (!app->ready)
        err_set(&err, ERR_UNAVAILABLE, "", "The daemon is starting.");
    else if (store_degraded(app->store))
        err_set(&err, ERR_UNAVAILABLE, "",
                "The database had an I/O error; nothing is written until the daemon restarts.");
    if (err.code)
        exchange_problem(exchange, &err);
    else
        respond_ready(exchange, app);
}

static void handle_metrics(struct exchange *exchange, struct app *app)
{
    struct buf body;
    buf_init(&body, PROBES_BYTES);
    metrics_write(app->metrics, &body);
    exchange_respond(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

const struct route probes_routes[] = {
    {.method = "GET",
     .path = "/livez",
     .operation = "livez",
     .handle = handle_livez,
     .probe = true},
    {.method = "GET",
     .path = "/readyz",
     .operation = "readyz",
     .handle = handle_readyz,
     .probe = true},
    {.method = "GET",
     .path = "/metrics",
     .operation = "metrics",
     .handle = handle_metrics,
     .probe = true},
    {.method = "GET", .path = "/openapi.yaml", .operation = "openapi", .handle = handle_openapi},
};
const size_t probes_route_count = sizeof probes_routes / sizeof *probes_routes;
