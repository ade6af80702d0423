#include "server/http/exchange.h"

#include "config/limits.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "proto/problem.h"
#include "server/http/exchange_state.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    EXCHANGE_HEADERS_BYTES = LIMIT_SIDECAR_BYTES + 8192, /* further headers of an answer */
    EXCHANGE_QUERY_BYTES = 8192,
    EXCHANGE_PROBLEM_BYTES = 8192,
};

struct exchange *exchange_new(struct httpd *httpd, struct app *app, const char *target)
{
    struct exchange *exchange = mem_zalloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->target = mem_strdup(target);
    if (!exchange->target) {
        mem_free(exchange);
        return NULL;
    }
    exchange->httpd = httpd;
    exchange->app = app;
    exchange->path_size = strcspn(target, "?");
    exchange->answer.fd = -1;
    buf_init(&exchange->query, EXCHANGE_QUERY_BYTES);
    buf_init(&exchange->answer.headers, EXCHANGE_HEADERS_BYTES);
    return exchange;
}

void exchange_abandon(struct exchange *exchange)
{
    if (!exchange->gone)
        httpd_forget(exchange);
    exchange->gone = true;
    void (*on_close)(void *) = exchange->on_close;
    void (*closed)(void *) = exchange->answer.stream.closed;
    exchange->on_close = NULL;
    exchange->answer.stream.closed = NULL;
    if (closed)
        closed(exchange->answer.stream.context);
    if (on_close)
        on_close(exchange->on_close_context);
}

void exchange_free(struct exchange *exchange)
{
    exchange_abandon(exchange);
    intake_free(exchange->intake);
    if (exchange->answer.fd >= 0)
        close(exchange->answer.fd);
    buf_release(&exchange->answer.bytes);
    buf_release(&exchange->answer.headers);
    buf_release(&exchange->query);
    buf_release(&exchange->body);
    mem_free(exchange->target);
    mem_free(exchange);
}

bool exchange_answered(const struct exchange *exchange)
{
    return exchange->answer.kind != ANSWER_NONE;
}

uint64_t exchange_id(const struct exchange *exchange)
{
    return exchange->id;
}

const char *exchange_param(const struct exchange *exchange, size_t i)
{
    check(i < EXCHANGE_PARAMS);
    return exchange->match.params[i];
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    const struct header *header = guard_find(exchange->headers, exchange->header_count, name);
    return header ? header->value : NULL;
}

/* Appends the decoded text and a NUL. */
static void query_append(struct buf *out, const char *text, size_t size)
{
    char *room = buf_reserve(out, size + 1);
    if (room)
        out->size += router_decode(room, size + 1, text, size, true) + 1;
}

static void query_parse(struct buf *out, const char *query)
{
    while (*query) {
        size_t size = strcspn(query, "&");
        const char *equals = memchr(query, '=', size);
        size_t key = equals ? (size_t)(equals - query) : size;
        query_append(out, query, key);
        query_append(out, equals ? equals + 1 : "", equals ? size - key - 1 : 0);
        query += size + (query[size] == '&');
    }
}

const char *exchange_query(struct exchange *exchange, const char *key)
{
    if (!exchange->query_parsed) {
        const char *mark = strchr(exchange->target, '?');
        query_parse(&exchange->query, mark ? mark + 1 : "");
        exchange->query_parsed = true;
    }
    const struct buf *query = &exchange->query;
    for (size_t at = 0; at < query->size && !query->failed;) {
        const char *found = query->data + at;
        const char *value = found + strlen(found) + 1;
        if (strcmp(found, key) == 0)
            return value;
        at += (size_t)(value - found) + strlen(value) + 1;
    }
    return NULL;
}

const char *exchange_body(const struct exchange *exchange, size_t *size)
{
    *size = exchange->body.size;
    return exchange->body.data ? exchange->body.data : "";
}

struct upload *exchange_take_upload(struct exchange *exchange)
{
    check(exchange->intake);
    return intake_take(exchange->intake);
}

static bool has_answer_header(const struct buf *headers, const char *name)
{
    for (size_t at = 0; at < headers->size;) {
        const char *found = headers->data + at;
        if (strcmp(found, name) == 0)
            return true;
        at += strlen(found) + 1;
        at += strlen(headers->data + at) + 1;
    }
    return false;
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    struct buf *headers = &exchange->answer.headers;
    size_t name_size = strlen(name) + 1, value_size = strlen(value) + 1;
    char *room = buf_reserve(headers, name_size + value_size);
    if (!room)
        return;
    memcpy(room, name, name_size);
    memcpy(room + name_size, value, value_size);
    headers->size += name_size + value_size;
}

/* True if the answer may be set; it is the first one. */
static bool answer_open(struct exchange *exchange, enum answer_kind kind, int status,
                        const char *type)
{
    if (exchange->gone)
        return false;
    check(exchange->answer.kind == ANSWER_NONE);
    exchange->answer.kind = kind;
    exchange->answer.status = status;
    exchange->answer.type = type;
    return true;
}

void exchange_respond(struct exchange *exchange, int status, const char *type, struct buf *body)
{
    if (body->failed) {
        struct err err = {0};
        err_set(&err, (enum err_code)body->failed, "", "The answer does not fit into memory.");
        buf_release(body);
        exchange_problem(exchange, &err);
        return;
    }
    if (!answer_open(exchange, ANSWER_BYTES, status, type)) {
        buf_release(body);
        return;
    }
    exchange->answer.bytes = *body;
    buf_init(body, body->limit);
    httpd_resume(exchange);
}

void exchange_problem(struct exchange *exchange, const struct err *err)
{
    struct buf body;
    buf_init(&body, EXCHANGE_PROBLEM_BYTES);
    problem_write(&body, err);
    buf_char(&body, '\n');
    /* Out of memory even for that: the status alone has to say it. */
    if (body.failed)
        buf_release(&body);
    bool later = err->code == ERR_OVERLOADED || err->code == ERR_UNAVAILABLE;
    if (later && !has_answer_header(&exchange->answer.headers, "Retry-After"))
        exchange_add_header(exchange, "Retry-After", "1");
    exchange_respond(exchange, problem_status(err->code), "application/problem+json", &body);
}

void exchange_respond_file(struct exchange *exchange, int status, const char *type, int fd,
                           uint64_t size)
{
    if (!answer_open(exchange, ANSWER_FILE, status, type)) {
        close(fd);
        return;
    }
    exchange->answer.fd = fd;
    exchange->answer.size = size;
    httpd_resume(exchange);
}

void exchange_stream(struct exchange *exchange, int status, const char *type, struct stream stream)
{
    if (!answer_open(exchange, ANSWER_STREAM, status, type)) {
        stream.closed(stream.context);
        return;
    }
    exchange->answer.stream = stream;
    httpd_resume(exchange);
}

void exchange_wake(struct exchange *exchange)
{
    /* Before the answer the handler is waited for, not its data. */
    if (exchange_answered(exchange))
        httpd_resume(exchange);
}

void exchange_on_close(struct exchange *exchange, void (*closed)(void *context), void *context)
{
    check(!exchange->gone && !(closed && exchange->on_close));
    exchange->on_close = closed;
    exchange->on_close_context = context;
}
