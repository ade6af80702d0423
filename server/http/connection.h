/* What libmicrohttpd does not watch: clients that leave while their request is suspended, and
   clients that are slow. Its own timeout starts anew with every byte, and ends while it is
   suspended. Thread: loop. */
#ifndef SERVER_HTTP_CONNECTION_H
#define SERVER_HTTP_CONNECTION_H

#include "server/http/exchange_state.h"

#include <uv.h>

struct connection {
    struct connection *next, *previous;
    struct connection_list *list;
    void *transport;          /* struct MHD_Connection, for httpd.c */
    int fd;                   /* libmicrohttpd's */
    struct exchange *current; /* owned: the request that is under way */
    uint64_t since_ms;        /* uv_now: accepted, last answer ended, or request line read */
    uint64_t received_seen;   /* bytes of the body at the last sweep */
    bool half_closed;         /* the client sends nothing more */
    bool watched;             /* `watch` is initialised */
    uv_poll_t watch;
};

struct connection_list {
    uv_loop_t *loop;
    uv_timer_t sweep; /* runs while there are connections */
    struct connection *first;
    size_t count;
    void (*left)(struct connection *connection); /* gone, with its request suspended */
};

void connection_list_init(struct connection_list *list, uv_loop_t *loop,
                          void (*left)(struct connection *connection));
/* NULL: out of memory. */
struct connection *connection_new(struct connection_list *list, void *transport, int fd);
/* While the descriptor is still open. NULL is fine. */
void connection_free(struct connection *connection);
/* Again, when its request is suspended: `left` is called if the client goes, or already went. A
   client that only closes its sending side counts as gone. */
void connection_watch(struct connection *connection);
/* The socket ends in both directions; libmicrohttpd notices and closes it. */
void connection_shut(struct connection *connection);

#endif
