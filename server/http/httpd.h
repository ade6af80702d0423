/* libmicrohttpd under the libuv loop: connections, deadlines and the way of a request through its
   route. Thread: loop, all of this header. */
#ifndef SERVER_HTTP_HTTPD_H
#define SERVER_HTTP_HTTPD_H

#include "server/app.h"
#include "server/http/router.h"

struct httpd;

struct httpd_options {
    struct app *app;              /* borrowed */
    int listen_fd;                /* listening; taken over on success */
    unsigned connection_max;      /* more wait in the kernel's backlog */
    const struct route_set *sets; /* [set_count] borrowed */
    size_t set_count;
};

/* 0, ERR_NOMEM, ERR_INTERNAL. */
int httpd_start(struct httpd **out, const struct httpd_options *options, struct err *err);
/* Accepts no more: idle connections end, the others with their answer. Every waiting stream is
   woken, so that one which would go on for long can end itself (app->draining). */
void httpd_drain(struct httpd *httpd);
/* Exchanges that still wait are answered 503, streams are cut. */
void httpd_cancel(struct httpd *httpd);
size_t httpd_connections(const struct httpd *httpd);
/* Ends every connection and frees it. NULL is fine. The loop must still run close callbacks. */
void httpd_stop(struct httpd *httpd);
/* Of libmicrohttpd; static. */
const char *httpd_library_version(void);

#endif
