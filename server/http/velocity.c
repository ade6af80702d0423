#include "server/http/routes.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "core/flow/evaluate.h"
#include "proto/json_write.h"
#include "proto/request_codec.h"
#include "server/app.h"
#include "server/courier.h"
#include "server/http/resource.h"

#include <math.h>
#include <stdatomic.h>

enum {
    VELOCITY_ANSWER_BYTES = 64 * 1024 * 1024,
    VELOCITY_WAITING = 256, /* requests: some 4 MB each */
    VELOCITY_PIECE = 256,   /* points between two looks at whether the client is there */
};

/* One request on its way through the compute courier. */
struct velocity {
    struct call call;
    struct app *app;
    uint64_t exchange;
    struct model_ref *model;
    struct velocity_request request;
    float *values[PREDICTION_COUNT]; /* [count, dim] of those that were asked for */
    struct buf body;
    struct err err;
    atomic_bool left; /* nobody waits for the answer */
};

static void velocity_free(struct velocity *velocity)
{
    model_ref_drop(velocity->model);
    velocity_request_release(&velocity->request);
    for (size_t i = 0; i < PREDICTION_COUNT; i++)
        mem_free(velocity->values[i]);
    buf_release(&velocity->body);
    mem_free(velocity);
}

static bool velocity_finite(const float *row, size_t dim)
{
    for (size_t d = 0; d < dim; d++) {
        if (!isfinite(row[d]))
            return false;
    }
    return true;
}

/* A point whose numbers are not finite has null in its place. */
static void velocity_encode_output(struct json_writer *w, const struct velocity *velocity,
                                   enum prediction output)
{
    size_t dim = velocity->request.dim;
    json_open_array(w, prediction_name(output));
    for (size_t i = 0; i < velocity->request.count; i++) {
        const float *row = velocity->values[output] + i * dim;
        if (!velocity_finite(row, dim)) {
            json_write_null(w, NULL);
            continue;
        }
        json_open_array(w, NULL);
        for (size_t d = 0; d < dim; d++)
            json_write_float(w, NULL, row[d]);
        json_close_array(w);
    }
    json_close_array(w);
}

static void velocity_encode(struct velocity *velocity)
{
    struct json_writer w = json_writer(&velocity->body);
    json_open_object(&w, NULL);
    json_write_string(&w, "model", velocity->model->name);
    json_write_unsigned(&w, "version", velocity->model->version);
    json_write_string(&w, "precision", precision_name(velocity->request.precision));
    for (size_t i = 0; i < PREDICTION_COUNT; i++) {
        if (velocity->values[i])
            velocity_encode_output(&w, velocity, (enum prediction)i);
    }
    json_close_object(&w);
}

static int velocity_evaluate(struct velocity *velocity, enum prediction output)
{
    const struct velocity_request *request = &velocity->request;
    const struct simd_kernels *kernels = velocity->app->kernels[request->precision];
    struct field field = model_output(&velocity->model->model, output);
    float *values = mem_alloc(request->count * request->dim, sizeof *values);
    int code = values ? 0 : ERR_NOMEM;
    velocity->values[output] = values;
    for (size_t i = 0; i < request->count && !code; i += VELOCITY_PIECE) {
        size_t left = request->count - i;
        if (atomic_load(&velocity->left))
            return ERR_CANCELLED;
        code = evaluate_field(values + i * request->dim, field, kernels,
                              request->points + i * request->dim, request->t + i,
                              left < VELOCITY_PIECE ? left : VELOCITY_PIECE);
    }
    return code;
}

static void velocity_work(struct call *call)
{
    struct velocity *velocity = (struct velocity *)call;
    int code = 0;
    for (size_t i = 0; i < PREDICTION_COUNT && !code; i++) {
        if (velocity->request.outputs[i])
            code = velocity_evaluate(velocity, (enum prediction)i);
    }
    if (code) {
        err_set(&velocity->err, (enum err_code)code, "", "%s", err_title((enum err_code)code));
        return;
    }
    velocity_encode(velocity);
    if (velocity->body.failed)
        err_set(&velocity->err, (enum err_code)velocity->body.failed, "/points",
                "the answer does not fit in memory");
}

static void velocity_left(void *context)
{
    struct velocity *velocity = context;
    atomic_store(&velocity->left, true);
}

static void velocity_done(struct call *call)
{
    struct velocity *velocity = (struct velocity *)call;
    struct exchange *exchange = httpd_find(velocity->app->httpd, velocity->exchange);
    if (exchange)
        exchange_on_close(exchange, NULL, NULL);
    if (exchange && velocity->err.code)
        exchange_problem(exchange, &velocity->err);
    else if (exchange)
        resource_json(exchange, 200, &velocity->body);
    velocity_free(velocity);
}

static int velocity_prepare(struct velocity *velocity, struct err *err)
{
    struct velocity_request *request = &velocity->request;
    if (courier_pending(velocity->app->compute_courier) >= VELOCITY_WAITING)
        return err_set(err, ERR_OVERLOADED, "", "%d requests are waiting already",
                       VELOCITY_WAITING);
    struct model_ref *model = resource_model(velocity->app, request->model, err);
    if (!model)
        return (int)err->code;
    size_t dim = model->model.spec.net.dim;
    if (request->dim != dim)
        return err_set(err, ERR_INVALID, "/points",
                       "points of this model have %zu numbers, not %zu", dim, request->dim);
    int code = resource_precision(&request->precision, request->has_precision, velocity->app, model,
                                  err);
    if (code)
        return code;
    velocity->model = model_ref_take(model);
    return 0;
}

static void velocity_handle(struct exchange *exchange, struct app *app)
{
    struct err err = {0};
    size_t size;
    const char *body = exchange_body(exchange, &size);
    struct velocity *velocity = mem_zalloc(1, sizeof *velocity);
    if (!velocity) {
        err_set(&err, ERR_NOMEM, "", "out of memory");
        exchange_problem(exchange, &err);
        return;
    }
    velocity->call = (struct call){.work = velocity_work, .done = velocity_done};
    velocity->app = app;
    velocity->exchange = exchange_id(exchange);
    buf_init(&velocity->body, VELOCITY_ANSWER_BYTES);
    if (velocity_request_decode(&velocity->request, body, size, &err) ||
        velocity_prepare(velocity, &err)) {
        exchange_problem(exchange, &err);
        velocity_free(velocity);
        return;
    }
    exchange_on_close(exchange, velocity_left, velocity);
    courier_submit(app->compute_courier, &velocity->call);
}

const struct route velocity_routes[] = {
    {.method = "POST",
     .path = "/velocity",
     .body = BODY_MEMORY,
     .body_max = LIMIT_JSON_ROWS_BYTES,
     .type = "application/json",
     .operation = "velocity",
     .handle = velocity_handle},
};
const size_t velocity_route_count = sizeof velocity_routes / sizeof *velocity_routes;
