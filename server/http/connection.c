#include "server/http/connection.h"

#include "core/base/mem.h"

#include <sys/socket.h>

enum {
    SWEEP_MS = 1000,
    IDLE_MS = 15 * 1000,    /* until a request line */
    HEAD_MS = 10 * 1000,    /* from there until the headers are whole */
    BODY_MS = 30 * 1000,    /* for the body, and: */
    BODY_BYTES_PER_MS = 64, /* what a body must bring at least, some 64 KB/s */
};

/* The last moment, in ms of uv_now, at which this connection may still be where it is. */
static uint64_t connection_deadline(const struct connection *connection)
{
    const struct exchange *exchange = connection->current;
    if (!exchange)
        return connection->since_ms + IDLE_MS;
    if (exchange->phase == PHASE_HEAD)
        return connection->since_ms + HEAD_MS;
    if (exchange->phase == PHASE_BODY && !exchange->suspended)
        return connection->since_ms + HEAD_MS + BODY_MS + exchange->received / BODY_BYTES_PER_MS;
    return UINT64_MAX;
}

/* The client has closed its side and its request will never be whole. */
static bool is_stuck(struct connection *connection)
{
    const struct exchange *exchange = connection->current;
    bool reading = !exchange || (exchange->phase <= PHASE_BODY && !exchange->suspended);
    uint64_t received = exchange ? exchange->received : 0;
    bool progress = received != connection->received_seen;
    connection->received_seen = received;
    return connection->half_closed && reading && !progress;
}

static void on_sweep(uv_timer_t *timer)
{
    struct connection_list *list = timer->data;
    uint64_t now = uv_now(list->loop);
    for (struct connection *c = list->first; c; c = c->next) {
        if (now > connection_deadline(c) || is_stuck(c))
            connection_shut(c);
    }
}

void connection_list_init(struct connection_list *list, uv_loop_t *loop,
                          void (*left)(struct connection *connection))
{
    *list = (struct connection_list){.loop = loop, .left = left};
    uv_timer_init(loop, &list->sweep);
    list->sweep.data = list;
}

struct connection *connection_new(struct connection_list *list, void *transport, int fd)
{
    struct connection *connection = mem_zalloc(1, sizeof *connection);
    if (!connection)
        return NULL;
    connection->list = list;
    connection->transport = transport;
    connection->fd = fd;
    connection->since_ms = uv_now(list->loop);
    connection->watch.data = connection;
    connection->watched = uv_poll_init(list->loop, &connection->watch, fd) == 0;
    connection_watch(connection);
    connection->next = list->first;
    if (list->first)
        list->first->previous = connection;
    list->first = connection;
    if (list->count++ == 0)
        uv_timer_start(&list->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    return connection;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void connection_free(struct connection *connection)
{
    if (!connection)
        return;
    struct connection_list *list = connection->list;
    if (connection->next)
        connection->next->previous = connection->previous;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        list->first = connection->next;
    if (--list->count == 0)
        uv_timer_stop(&list->sweep);
    if (connection->watched)
        uv_close((uv_handle_t *)&connection->watch, on_closed);
    else
        mem_free(connection);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    if (status >= 0 && !(events & UV_DISCONNECT))
        return;
    uv_poll_stop(poll);
    connection->half_closed = true;
    if (connection->current && connection->current->suspended)
        connection->list->left(connection);
}

void connection_watch(struct connection *connection)
{
    /* Without a watch the client's leaving is noticed when the answer is written. */
    if (connection->watched && !uv_is_active((uv_handle_t *)&connection->watch))
        uv_poll_start(&connection->watch, UV_DISCONNECT, on_watch);
}

void connection_shut(struct connection *connection)
{
    shutdown(connection->fd, SHUT_RDWR);
}
