/* The way of a request through its route: head, body, handler. What libmicrohttpd's callbacks
   decide, without libmicrohttpd. Thread: loop. */
#ifndef SERVER_HTTP_REQUEST_H
#define SERVER_HTTP_REQUEST_H

#include "server/http/exchange_state.h"

enum request_step {
    STEP_MORE,   /* read on */
    STEP_WAIT,   /* suspend; httpd_resume comes */
    STEP_ANSWER, /* send exchange->answer */
    STEP_CUT,    /* close the connection */
};

/* The headers are there, in exchange->headers: everything that can be refused is, before a body is
   read. */
enum request_step request_head(struct exchange *exchange, const struct route_set *sets,
                               size_t set_count, const char *method, const char *version);
/* A piece of the body. *taken: how much of it was consumed. */
enum request_step request_body(struct exchange *exchange, const char *data, size_t size,
                               size_t *taken);
/* The body is whole; called again after every wait. */
enum request_step request_complete(struct exchange *exchange);

#endif
