/* The inside of an exchange, for the files of server/http that carry it: exchange.c and httpd.c. */
#ifndef SERVER_HTTP_EXCHANGE_STATE_H
#define SERVER_HTTP_EXCHANGE_STATE_H

#include "server/http/exchange.h"
#include "server/http/guard.h"
#include "server/http/intake.h"
#include "server/http/router.h"

struct connection; /* httpd.c */

enum exchange_phase {
    PHASE_HEAD,    /* the request line was read */
    PHASE_BODY,    /* the head was accepted or refused; the body is coming */
    PHASE_FLUSH,   /* the body is here, and on its way to the disk */
    PHASE_HANDLED, /* the handler was called */
    PHASE_SENT,    /* the answer is with libmicrohttpd */
};

enum answer_kind { ANSWER_NONE, ANSWER_BYTES, ANSWER_FILE, ANSWER_STREAM };

struct answer {
    enum answer_kind kind;
    int status;
    const char *type;     /* static */
    bool close;           /* the connection ends with this answer */
    struct buf headers;   /* further ones: name NUL value NUL ... */
    struct buf bytes;     /* ANSWER_BYTES */
    int fd;               /* ANSWER_FILE: owned until it is sent */
    uint64_t size;        /* of the file */
    struct stream stream; /* ANSWER_STREAM */
};

struct exchange {
    uint64_t id;
    char request_id[40];
    struct exchange *next; /* in the bucket of httpd's table */
    struct httpd *httpd;
    struct app *app;
    struct connection *connection;
    enum exchange_phase phase;
    bool suspended; /* libmicrohttpd waits for httpd_resume */
    bool gone;      /* nobody will read the answer; not found by its id any more */
    bool cut;       /* the answer ended before its end */

    char method[16];
    char *target; /* owned; raw */
    size_t path_size;
    struct header headers[GUARD_HEADERS]; /* [header_count] */
    size_t header_count;
    bool headers_cut; /* there were more */
    struct route_match match;
    struct framing framing;
    struct buf query; /* decoded, once asked for: key NUL value NUL ... */
    bool query_parsed;

    struct buf body;
    struct intake *intake; /* owned; BODY_UPLOAD */
    uint64_t received;     /* bytes of the body */
    uint64_t started_ns;   /* uv_hrtime */

    struct answer answer;
    uint64_t sent; /* bytes of the body given to libmicrohttpd */
    void (*on_close)(void *context);
    void *on_close_context;
};

/* The request line has been read; NULL: out of memory. */
struct exchange *exchange_new(struct httpd *httpd, struct app *app, const char *target);
/* Ends what is still open (stream, on_close) and frees it. */
void exchange_free(struct exchange *exchange);
/* Nobody will read the answer: handler and stream are told. */
void exchange_abandon(struct exchange *exchange);
bool exchange_answered(const struct exchange *exchange);

/* httpd.c: the answer is there, or data of a stream. Harmless when nothing is suspended. */
void httpd_resume(struct exchange *exchange);
/* httpd.c: forgets the id. */
void httpd_forget(struct exchange *exchange);

#endif
