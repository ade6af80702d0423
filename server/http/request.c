#include "server/http/request.h"

#include "core/base/mem.h"
#include "server/app.h"
#include "server/store/store.h"

#include <stdio.h>
#include <string.h>

/* Read and thrown away behind an answer that is already known, so that the client gets to see it.
 */
enum { DISCARD_MAX = 16 * 1024 * 1024 };

static void refuse(struct exchange *exchange, enum err_code code, const char *where,
                   const char *message)
{
    struct err err = {0};
    err_set(&err, code, where, "%s", message);
    exchange_problem(exchange, &err);
}

static int check_request(struct exchange *exchange, const char *method, const char *version,
                         struct err *err)
{
    if (exchange->headers_cut)
        return err_set(err, ERR_MALFORMED, "", "A request may have at most %d headers.",
                       GUARD_HEADERS);
    if (strlen(method) >= sizeof exchange->method)
        return err_set(err, ERR_MALFORMED, "", "The method is not one of HTTP's.");
    int code = guard_target(exchange->target, err);
    if (code)
        return code;
    return guard_headers(&exchange->framing, exchange->headers, exchange->header_count,
                         strcmp(version, "HTTP/1.1") == 0, err);
}

static void answer_options(struct exchange *exchange)
{
    struct buf empty;
    buf_init(&empty, 0);
    exchange_add_header(exchange, "Allow", exchange->match.allow);
    exchange_respond(exchange, 204, NULL, &empty);
}

/* Without a route: 404, 405, or the answer to OPTIONS. */
static void answer_unrouted(struct exchange *exchange)
{
    if (!exchange->match.path_known) {
        refuse(exchange, ERR_NOT_FOUND, "", "There is nothing at this path.");
    } else if (strcmp(exchange->method, "OPTIONS") == 0) {
        answer_options(exchange);
    } else {
        struct err err = {0};
        err_set(&err, ERR_METHOD, "", "This path knows the methods %s.", exchange->match.allow);
        exchange_add_header(exchange, "Allow", exchange->match.allow);
        exchange_problem(exchange, &err);
    }
}

static int check_length(const struct exchange *exchange, struct err *err)
{
    const struct route *route = exchange->match.route;
    uint64_t most = route->body == BODY_NONE ? 0 : route->body_max;
    if (!exchange->framing.has_body)
        return 0;
    if (most == 0)
        return err_set(err, ERR_TOO_LARGE, "", "This request takes no body.");
    if (exchange->framing.length <= most)
        return 0;
    return err_set(err, ERR_TOO_LARGE, "", "The body may have at most %llu bytes.",
                   (unsigned long long)most);
}

static int check_type(const struct exchange *exchange, struct err *err)
{
    const struct route *route = exchange->match.route;
    const char *type = exchange_header(exchange, "Content-Type");
    if (!exchange->framing.has_body || !route->type)
        return 0;
    /* A page of another origin can send neither PUT nor a named type unasked; curl -T names
       none. */
    if (!type && strcmp(route->method, "PUT") == 0)
        return 0;
    if (type && router_type_accepted(route->type, type))
        return 0;
    bool form = type && router_type_accepted("application/x-www-form-urlencoded", type);
    return err_set(err, ERR_UNSUPPORTED, "Content-Type", "It must be one of: %s.%s", route->type,
                   form ? " (curl -d labels a body as a form; curl --json does not.)" : "");
}

static void on_intake(void *context)
{
    struct exchange *exchange = context;
    if (exchange->phase == PHASE_BODY ? !intake_full(exchange->intake)
                                      : intake_idle(exchange->intake))
        httpd_resume(exchange);
}

/* Room for the body, of the kind that the route asks for. */
static int open_body(struct exchange *exchange, struct err *err)
{
    const struct app *app = exchange->app;
    const struct route *route = exchange->match.route;
    buf_init(&exchange->body, route->body == BODY_MEMORY ? (size_t)route->body_max : 0);
    if (route->body != BODY_UPLOAD)
        return 0;
    exchange->intake = intake_new(app->store_courier, store_files(app->store), on_intake, exchange);
    if (!exchange->intake || intake_push(exchange->intake, NULL, 0))
        return err_set(err, ERR_NOMEM, "", "Memory ran out.");
    return 0;
}

/* Everything that is decided before the body. */
static void begin(struct exchange *exchange)
{
    const struct route *route = exchange->match.route;
    struct app *app = exchange->app;
    struct err err = {0};
    if (app->draining && !route->probe) {
        refuse(exchange, ERR_UNAVAILABLE, "", "The daemon is shutting down.");
        return;
    }
    if (check_length(exchange, &err) || check_type(exchange, &err)) {
        exchange_problem(exchange, &err);
        return;
    }
    if (route->begin)
        route->begin(exchange, app);
    if (!exchange_answered(exchange) && open_body(exchange, &err))
        exchange_problem(exchange, &err);
}

enum request_step request_head(struct exchange *exchange, const struct route_set *sets,
                               size_t set_count, const char *method, const char *version)
{
    struct err err = {0};
    exchange->phase = PHASE_BODY;
    exchange->answer.close = exchange->app->draining;
    snprintf(exchange->method, sizeof exchange->method, "%s", method);
    if (check_request(exchange, method, version, &err)) {
        exchange->answer.close = true;
        exchange_problem(exchange, &err);
        return STEP_ANSWER;
    }
    router_match(&exchange->match, sets, set_count, method, exchange->target, exchange->path_size);
    if (exchange->match.route)
        begin(exchange);
    else
        answer_unrouted(exchange);
    if (!exchange_answered(exchange) || !exchange->framing.has_body)
        return STEP_MORE;
    exchange->answer.close = true;
    return STEP_ANSWER;
}

static void keep_body(struct exchange *exchange, const char *data, size_t size)
{
    const struct route *route = exchange->match.route;
    struct err err = {0};
    int code = 0;
    if (exchange->received > route->body_max)
        code = err_set(&err, ERR_TOO_LARGE, "", "The body may have at most %llu bytes.",
                       (unsigned long long)route->body_max);
    else if (exchange->intake)
        code = intake_push(exchange->intake, data, size);
    else
        code = buf_append(&exchange->body, data, size);
    if (!code)
        return;
    err_set(&err, ERR_NOMEM, "", "Memory ran out.");
    exchange_problem(exchange, &err);
    exchange->answer.close = true;
    buf_release(&exchange->body);
    intake_free(exchange->intake);
    exchange->intake = NULL;
}

enum request_step request_body(struct exchange *exchange, const char *data, size_t size,
                               size_t *taken)
{
    *taken = 0;
    /* Several chunks in one read: the rest comes again after the wait. */
    if (exchange->suspended)
        return STEP_MORE;
    *taken = size;
    exchange->received += size;
    if (!exchange_answered(exchange)) {
        keep_body(exchange, data, size);
        return exchange->intake && intake_full(exchange->intake) ? STEP_WAIT : STEP_MORE;
    }
    return exchange->received > exchange->match.route->body_max + DISCARD_MAX ? STEP_CUT
                                                                              : STEP_MORE;
}

/* The bytes are on disk, or could not be written. */
static void finish_intake(struct exchange *exchange)
{
    struct err err = {0};
    if (intake_result(exchange->intake, &err))
        exchange_problem(exchange, &err);
}

enum request_step request_complete(struct exchange *exchange)
{
    if (exchange->phase == PHASE_BODY)
        exchange->phase = PHASE_FLUSH;
    if (exchange->phase == PHASE_FLUSH && !exchange_answered(exchange)) {
        if (exchange->intake && !intake_idle(exchange->intake))
            return STEP_WAIT;
        if (exchange->intake)
            finish_intake(exchange);
        exchange->phase = PHASE_HANDLED;
        if (!exchange_answered(exchange))
            exchange->match.route->handle(exchange, exchange->app);
    }
    return exchange_answered(exchange) ? STEP_ANSWER : STEP_WAIT;
}
