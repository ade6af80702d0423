/* One HTTP request and its answer, as handlers see it: no libmicrohttpd here. All on the loop
 * thread. */
#ifndef SERVER_HTTP_EXCHANGE_H
#define SERVER_HTTP_EXCHANGE_H

#include "core/base/buf.h"
#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct app;
struct exchange;
struct httpd;

enum body_kind {
    BODY_NONE,   /* a body is refused */
    BODY_MEMORY, /* gathered up to body_max, then the handler is called */
    BODY_UPLOAD, /* streamed into a file of the store as it arrives (server/store/upload.h), then
                    the handler */
};

enum { EXCHANGE_PARAMS = 2 };

struct route {
    const char *method;
    const char *path; /* "/models/{name}/checkpoint"; each {} is one segment, percent-decoded */
    enum body_kind body;
    uint64_t body_max;     /* bytes */
    const char *type;      /* accepted Content-Types, comma-separated, or NULL for any */
    const char *operation; /* operationId of openapi.yaml and label of metrics */
    /* First call, before the body: may answer at once (then the body is not read). NULL: nothing to
     * check. */
    void (*begin)(struct exchange *exchange, struct app *app);
    /* Called once, when the body is complete. Must answer now or later, exactly once. */
    void (*handle)(struct exchange *exchange, struct app *app);
    bool probe; /* answered while the daemon drains, too, and logged at debug level */
};

/* Ids are never reused: what outlives a handler (a call of a courier, a run) keeps the id and asks
   for the exchange again; NULL means that the client has left. httpd is NULL once it has stopped:
   couriers finish after the last connection. */
uint64_t exchange_id(const struct exchange *exchange);
struct exchange *httpd_find(struct httpd *httpd, uint64_t id);

const char *exchange_param(const struct exchange *exchange, size_t i);
/* NULL when absent; borrowed for the life of the exchange. */
const char *exchange_header(const struct exchange *exchange, const char *name);
const char *exchange_query(struct exchange *exchange, const char *key);
const char *exchange_body(const struct exchange *exchange, size_t *size);
struct upload;
/* The finished upload of a BODY_UPLOAD route; the handler takes it over. */
struct upload *exchange_take_upload(struct exchange *exchange);

/* Before the answer: a further header. */
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);
/* The bytes of *body are taken over (it is empty afterwards). */
void exchange_respond(struct exchange *exchange, int status, const char *type, struct buf *body);
void exchange_problem(struct exchange *exchange, const struct err *err);
/* Answers with an open file from offset 0; takes the descriptor over. */
void exchange_respond_file(struct exchange *exchange, int status, const char *type, int fd,
                           uint64_t size);

enum stream_result { STREAM_DATA, STREAM_WAIT, STREAM_END, STREAM_ABORT };

/* A body that is pulled. read: up to max bytes into out, *size > 0 with STREAM_DATA; STREAM_WAIT
   when nothing is there until exchange_wake. closed: called exactly once, when the exchange is over
   for any reason; last use of the context. */
struct stream {
    enum stream_result (*read)(void *context, char *out, size_t max, size_t *size);
    void (*closed)(void *context);
    void *context;
};
void exchange_stream(struct exchange *exchange, int status, const char *type, struct stream stream);
/* Something can be read now. */
void exchange_wake(struct exchange *exchange);

/* Called once if the client leaves, or the exchange ends, before or after the answer; for handlers
   that answer later. One per exchange; NULL takes it back. */
void exchange_on_close(struct exchange *exchange, void (*closed)(void *context), void *context);

#endif
