#include "server/http/httpd.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "server/http/connection.h"
#include "server/http/request.h"
#include "server/log.h"
#include "server/metrics.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    HTTPD_BUCKETS = 1024,     /* of the table of exchanges; a power of two */
    HTTPD_MEMORY = 64 * 1024, /* bytes a connection: its headers, and a piece of a body */
    HTTPD_TIMEOUT_S = 30,     /* without a byte in either direction */
    HTTPD_BLOCK = 32 * 1024,  /* bytes of a stream asked for at once */
    HTTPD_PUMPS = 4,          /* MHD_run in a row */
    HTTPD_STOP_RUNS = 16,     /* MHD_run until every resumed connection has ended */
};

struct httpd {
    struct MHD_Daemon *daemon;
    struct app *app;
    const struct route_set *sets;
    size_t set_count;
    struct connection_list connections;
    struct exchange *buckets[HTTPD_BUCKETS]; /* by id */
    uint64_t last_id;
    uint32_t boot; /* random: request ids of two runs differ */
    bool running;  /* inside MHD_run */
    bool resumed;  /* a connection waits for the next MHD_run; MHD_get_timeout does not count it */
    unsigned open_handles;
    uv_poll_t poll;   /* on libmicrohttpd's epoll descriptor */
    uv_timer_t timer; /* MHD_get_timeout > 0 */
    uv_idle_t soon;   /* MHD_get_timeout = 0; a timer of 0 ms would starve everything else */
};

/* The loop */

static void httpd_pump(struct httpd *httpd);

static void on_timer(uv_timer_t *timer)
{
    httpd_pump(timer->data);
}

static void on_soon(uv_idle_t *idle)
{
    httpd_pump(idle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    httpd_pump(poll->data);
}

/* Whether libmicrohttpd has something to do at once; else *wait_ms is when, UINT64_MAX: never. */
static bool httpd_pending(struct httpd *httpd, uint64_t *wait_ms)
{
    MHD_UNSIGNED_LONG_LONG wait = 0;
    *wait_ms = UINT64_MAX;
    if (httpd->resumed)
        return true;
    if (MHD_get_timeout(httpd->daemon, &wait) == MHD_YES)
        *wait_ms = wait;
    return *wait_ms == 0;
}

static void httpd_rearm(struct httpd *httpd)
{
    uint64_t wait_ms;
    bool pending = httpd_pending(httpd, &wait_ms);
    uv_timer_stop(&httpd->timer);
    uv_idle_stop(&httpd->soon);
    if (pending)
        uv_idle_start(&httpd->soon, on_soon);
    else if (wait_ms != UINT64_MAX)
        uv_timer_start(&httpd->timer, on_timer, wait_ms, 0);
}

/* Its sockets are edge-triggered: MHD_run after every event, and a new look at its timeout after
   every run. What it wants to do at once, such as to end one request and read the next, is done
   without a turn of the loop, a few times: others are waiting there, too. */
static void httpd_pump(struct httpd *httpd)
{
    uint64_t wait_ms;
    check(!httpd->running);
    httpd->running = true;
    for (int i = 0; i < HTTPD_PUMPS; i++) {
        httpd->resumed = false;
        MHD_run(httpd->daemon);
        if (!httpd_pending(httpd, &wait_ms))
            break;
    }
    httpd->running = false;
    httpd_rearm(httpd);
}

/* The table of exchanges */

static struct exchange **httpd_bucket(struct httpd *httpd, uint64_t id)
{
    return &httpd->buckets[id & (HTTPD_BUCKETS - 1)];
}

struct exchange *httpd_find(struct httpd *httpd, uint64_t id)
{
    if (!httpd)
        return NULL;
    struct exchange *exchange = *httpd_bucket(httpd, id);
    while (exchange && exchange->id != id)
        exchange = exchange->next;
    return exchange;
}

void httpd_forget(struct exchange *exchange)
{
    struct exchange **link = httpd_bucket(exchange->httpd, exchange->id);
    while (*link && *link != exchange)
        link = &(*link)->next;
    if (*link)
        *link = exchange->next;
}

static void httpd_remember(struct httpd *httpd, struct exchange *exchange)
{
    exchange->id = ++httpd->last_id;
    snprintf(exchange->request_id, sizeof exchange->request_id, "%08" PRIx32 "-%" PRIx64,
             httpd->boot, exchange->id);
    struct exchange **bucket = httpd_bucket(httpd, exchange->id);
    exchange->next = *bucket;
    *bucket = exchange;
}

/* Suspending */

static void httpd_suspend(struct exchange *exchange)
{
    if (exchange->suspended)
        return;
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection->transport);
    connection_watch(exchange->connection);
}

void httpd_resume(struct exchange *exchange)
{
    if (!exchange->suspended)
        return;
    exchange->suspended = false;
    MHD_resume_connection(exchange->connection->transport);
    exchange->httpd->resumed = true;
    httpd_rearm(exchange->httpd);
}

static void on_left(struct connection *connection)
{
    struct exchange *exchange = connection->current;
    exchange_abandon(exchange);
    httpd_resume(exchange);
}

/* The answer */

static ssize_t on_read(void *context, uint64_t position, char *out, size_t max)
{
    struct exchange *exchange = context;
    const struct stream *stream = &exchange->answer.stream;
    size_t size = 0;
    (void)position;
    if (exchange->gone || exchange->suspended)
        return exchange->gone ? MHD_CONTENT_READER_END_WITH_ERROR : 0;
    switch (stream->read(stream->context, out, max, &size)) {
    case STREAM_DATA:
        check(size > 0 && size <= max);
        exchange->sent += size;
        return (ssize_t)size;
    case STREAM_WAIT:
        httpd_suspend(exchange);
        return 0;
    case STREAM_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case STREAM_ABORT:
        break;
    }
    exchange->cut = true;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* NULL: out of memory, or a file that cannot be sent. Bytes and file are libmicrohttpd's then. */
static struct MHD_Response *new_response(struct exchange *exchange)
{
    struct answer *answer = &exchange->answer;
    struct MHD_Response *response;
    switch (answer->kind) {
    case ANSWER_BYTES:
        response = MHD_create_response_from_buffer_with_free_callback(answer->bytes.size,
                                                                      answer->bytes.data, mem_free);
        exchange->sent = answer->bytes.size;
        if (response)
            answer->bytes = (struct buf){0};
        return response;
    case ANSWER_FILE:
        response = MHD_create_response_from_fd64(answer->size, answer->fd);
        exchange->sent = answer->size;
        if (response)
            answer->fd = -1;
        return response;
    case ANSWER_STREAM:
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTPD_BLOCK, on_read, exchange,
                                                 NULL);
    case ANSWER_NONE:
        break;
    }
    return NULL;
}

static bool add_headers(struct MHD_Response *response, const struct exchange *exchange)
{
    const struct answer *answer = &exchange->answer;
    const struct buf *further = &answer->headers;
    enum MHD_Result ok = MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    ok &= MHD_add_response_header(response, "Cache-Control", "no-store");
    ok &= MHD_add_response_header(response, "X-Request-Id", exchange->request_id);
    if (answer->type)
        ok &= MHD_add_response_header(response, "Content-Type", answer->type);
    if (answer->kind == ANSWER_STREAM)
        ok &= MHD_add_response_header(response, "X-Accel-Buffering", "no");
    if (answer->close)
        ok &= MHD_add_response_header(response, "Connection", "close");
    for (size_t at = 0; at < further->size;) {
        const char *name = further->data + at;
        const char *value = name + strlen(name) + 1;
        ok &= MHD_add_response_header(response, name, value);
        at += (size_t)(value - name) + strlen(value) + 1;
    }
    return ok == MHD_YES && !further->failed;
}

static enum MHD_Result send_answer(struct exchange *exchange, struct MHD_Connection *connection)
{
    struct MHD_Response *response = new_response(exchange);
    enum MHD_Result result = MHD_NO;
    if (!response)
        return MHD_NO;
    exchange->phase = PHASE_SENT;
    exchange->answer.close = exchange->answer.close || exchange->app->draining;
    if (add_headers(response, exchange))
        result = MHD_queue_response(connection, (unsigned)exchange->answer.status, response);
    MHD_destroy_response(response);
    return result;
}

/* The request */

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name,
                                 size_t name_size, const char *value, size_t value_size)
{
    struct exchange *exchange = context;
    (void)kind;
    if (exchange->header_count == GUARD_HEADERS) {
        exchange->headers_cut = true;
        return MHD_NO;
    }
    exchange->headers[exchange->header_count++] =
        (struct header){name, value ? value : "", name_size, value_size};
    return MHD_YES;
}

static enum MHD_Result take_step(enum request_step step, struct exchange *exchange,
                                 struct MHD_Connection *connection)
{
    if (step == STEP_CUT || exchange->gone)
        return MHD_NO;
    if (step == STEP_ANSWER)
        return send_answer(exchange, connection);
    if (step == STEP_WAIT)
        httpd_suspend(exchange);
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **request)
{
    struct httpd *httpd = context;
    struct exchange *exchange = *request;
    enum request_step step;
    (void)url;
    if (!exchange || exchange->gone)
        return MHD_NO;
    if (exchange->phase == PHASE_HEAD) {
        MHD_get_connection_values_n(connection, MHD_HEADER_KIND, on_header, exchange);
        step = request_head(exchange, httpd->sets, httpd->set_count, method, version);
    } else if (*size > 0) {
        size_t taken;
        step = request_body(exchange, data, *size, &taken);
        *size -= taken;
    } else {
        step = request_complete(exchange);
    }
    return take_step(step, exchange, connection);
}

static const char *outcome(const struct exchange *exchange, bool completed)
{
    if (!exchange_answered(exchange))
        return exchange->gone ? "left" : "unread";
    if (exchange->cut)
        return "cut";
    return completed && !exchange->gone ? "ok" : "left";
}

static void httpd_account(struct exchange *exchange, bool completed)
{
    const struct route *route = exchange->match.route;
    const char *operation = route ? route->operation : "none";
    double seconds = (double)(uv_hrtime() - exchange->started_ns) / 1e9;
    struct log_line line;
    if (strcmp(exchange->method, "HEAD") == 0)
        exchange->sent = 0;
    log_open(&line, route && route->probe ? LOG_DEBUG : LOG_INFO, "request");
    log_text(&line, "id", exchange->request_id);
    log_text(&line, "method", exchange->method);
    log_text(&line, "target", exchange->target);
    log_text(&line, "operation", operation);
    log_integer(&line, "status", exchange->answer.status);
    log_integer(&line, "bytes_in", (int64_t)exchange->received);
    log_integer(&line, "bytes_out", (int64_t)exchange->sent);
    log_real(&line, "duration_ms", seconds * 1e3, 3);
    log_text(&line, "outcome", outcome(exchange, completed));
    log_close(&line);
    if (exchange_answered(exchange))
        metrics_request(exchange->app->metrics, operation, exchange->answer.status, seconds);
}

/* The exchange ends here, whatever became of it. */
static void end_exchange(struct connection *connection, bool completed)
{
    struct exchange *exchange = connection->current;
    if (!exchange)
        return;
    connection->current = NULL;
    connection->since_ms = uv_now(connection->list->loop);
    httpd_account(exchange, completed);
    exchange_free(exchange);
}

static struct connection *connection_of(struct MHD_Connection *transport)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(transport, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* The request line has been read: the target as it came. */
static void *on_target(void *context, const char *target, struct MHD_Connection *transport)
{
    struct httpd *httpd = context;
    struct connection *connection = connection_of(transport);
    if (!connection)
        return NULL;
    end_exchange(connection, false);
    struct exchange *exchange = exchange_new(httpd, httpd->app, target);
    if (!exchange)
        return NULL;
    exchange->connection = connection;
    exchange->started_ns = uv_hrtime();
    httpd_remember(httpd, exchange);
    connection->current = exchange;
    connection->since_ms = uv_now(httpd->app->loop);
    return exchange;
}

static void on_completed(void *context, struct MHD_Connection *transport, void **request,
                         enum MHD_RequestTerminationCode code)
{
    const struct httpd *httpd = context;
    struct connection *connection = connection_of(transport);
    *request = NULL;
    if (!connection)
        return;
    end_exchange(connection, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    /* A stream that began before has not announced it. */
    if (httpd->app->draining)
        connection_shut(connection);
}

static void on_connection(void *context, struct MHD_Connection *transport, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct httpd *httpd = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(transport, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = connection_new(&httpd->connections, transport, info->connect_fd);
        return;
    }
    struct connection *connection = *socket_context;
    *socket_context = NULL;
    if (connection)
        end_exchange(connection, false);
    connection_free(connection);
}

/* Segments are decoded one by one, after the path was taken apart. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* Start and stop */

__attribute__((format(printf, 2, 0))) static void on_log(void *context, const char *format,
                                                         va_list args)
{
    char text[256];
    (void)context;
    vsnprintf(text, sizeof text, format, args);
    log_message(LOG_DEBUG, "microhttpd", "%s", text);
}

_Noreturn static void on_panic(void *context, const char *file, unsigned line, const char *reason)
{
    (void)context;
    log_message(LOG_ERROR, "microhttpd", "panic at %s:%u: %s", file, line, reason ? reason : "");
    abort();
}

static struct MHD_Daemon *start_daemon(struct httpd *httpd, const struct httpd_options *options)
{
    MHD_set_panic_func(on_panic, NULL);
    /* Not MHD_OPTION_STRICT_FOR_CLIENT: guard.c refuses the same and more, with an answer. */
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        httpd, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET,
        options->listen_fd, MHD_OPTION_CONNECTION_LIMIT, options->connection_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTPD_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTPD_TIMEOUT_S, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        httpd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, httpd, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, httpd, MHD_OPTION_END);
}

static void start_handles(struct httpd *httpd, uv_loop_t *loop)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(httpd->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    check(uv_poll_init(loop, &httpd->poll, info->epoll_fd) == 0);
    uv_timer_init(loop, &httpd->timer);
    uv_idle_init(loop, &httpd->soon);
    httpd->poll.data = httpd->timer.data = httpd->soon.data = httpd;
    connection_list_init(&httpd->connections, loop, on_left);
    uv_poll_start(&httpd->poll, UV_READABLE, on_poll);
    uv_idle_start(&httpd->soon, on_soon);
}

static double count_connections(void *context)
{
    return (double)httpd_connections(context);
}

int httpd_start(struct httpd **out, const struct httpd_options *options, struct err *err)
{
    struct httpd *httpd = mem_zalloc(1, sizeof *httpd);
    if (!httpd)
        return err_set(err, ERR_NOMEM, "", "No memory for the HTTP server.");
    httpd->app = options->app;
    httpd->sets = options->sets;
    httpd->set_count = options->set_count;
    if (getrandom(&httpd->boot, sizeof httpd->boot, 0) < 0)
        httpd->boot = (uint32_t)uv_hrtime();
    httpd->daemon = start_daemon(httpd, options);
    if (!httpd->daemon) {
        mem_free(httpd);
        return err_set(err, ERR_INTERNAL, "", "The HTTP server cannot be started.");
    }
    start_handles(httpd, options->app->loop);
    *out = httpd;
    /* One metric less is no reason not to serve. */
    metrics_gauge(options->app->metrics, "advectd_http_connections", "Open connections.",
                  count_connections, httpd);
    return 0;
}

size_t httpd_connections(const struct httpd *httpd)
{
    return httpd->connections.count;
}

void httpd_drain(struct httpd *httpd)
{
    httpd_pump(httpd);
    MHD_socket listener = MHD_quiesce_daemon(httpd->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close(listener);
    for (struct connection *c = httpd->connections.first; c; c = c->next) {
        if (!c->current)
            connection_shut(c);
        else
            exchange_wake(c->current);
    }
}

static void cancel_exchange(struct exchange *exchange)
{
    struct err err = {0};
    err_set(&err, ERR_UNAVAILABLE, "", "The daemon shut down before the answer was there.");
    exchange->answer.close = true;
    exchange_problem(exchange, &err);
    /* The handler learns that its answer is not wanted any more; this one is still sent. */
    httpd_forget(exchange);
    void (*on_close)(void *) = exchange->on_close;
    exchange->on_close = NULL;
    if (on_close)
        on_close(exchange->on_close_context);
}

void httpd_cancel(struct httpd *httpd)
{
    for (struct connection *c = httpd->connections.first; c; c = c->next) {
        struct exchange *exchange = c->current;
        if (exchange && exchange->phase == PHASE_HANDLED && !exchange_answered(exchange)) {
            cancel_exchange(exchange);
        } else if (exchange && exchange->answer.kind == ANSWER_STREAM) {
            exchange->cut = true;
            exchange_abandon(exchange);
            httpd_resume(exchange);
        } else {
            connection_shut(c);
        }
    }
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct httpd *httpd = handle->data;
    if (--httpd->open_handles == 0)
        mem_free(httpd);
}

static void close_handle(struct httpd *httpd, uv_handle_t *handle)
{
    httpd->open_handles++;
    handle->data = httpd;
    uv_close(handle, on_handle_closed);
}

void httpd_stop(struct httpd *httpd)
{
    if (!httpd)
        return;
    for (struct connection *c = httpd->connections.first; c; c = c->next) {
        if (c->current) {
            exchange_abandon(c->current);
            httpd_resume(c->current);
        }
    }
    /* Stopping with a suspended connection is a panic: they are let out first. */
    for (int i = 0; i < HTTPD_STOP_RUNS; i++)
        MHD_run(httpd->daemon);
    uv_poll_stop(&httpd->poll);
    MHD_stop_daemon(httpd->daemon);
    close_handle(httpd, (uv_handle_t *)&httpd->poll);
    close_handle(httpd, (uv_handle_t *)&httpd->timer);
    close_handle(httpd, (uv_handle_t *)&httpd->soon);
    close_handle(httpd, (uv_handle_t *)&httpd->connections.sweep);
}

const char *httpd_library_version(void)
{
    return MHD_get_version();
}
