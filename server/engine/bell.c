#include "server/engine/bell.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bell {
    uv_poll_t poll;
    int fd;
    atomic_bool rung; /* and not answered */
    void (*answer)(void *context);
    void *context;
};

static void bell_on_poll(uv_poll_t *poll, int status, int events)
{
    struct bell *bell = poll->data;
    eventfd_t count;
    (void)status;
    (void)events;
    eventfd_read(bell->fd, &count);
    /* Before the answer: what is rung for from here on is answered again. */
    atomic_store(&bell->rung, false);
    bell->answer(bell->context);
}

int bell_open(struct bell **out, uv_loop_t *loop, void (*answer)(void *context), void *context)
{
    struct bell *bell = mem_zalloc(1, sizeof *bell);
    if (!bell)
        return ERR_NOMEM;
    bell->answer = answer;
    bell->context = context;
    bell->poll.data = bell;
    atomic_init(&bell->rung, false);
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0 || uv_poll_init(loop, &bell->poll, bell->fd)) {
        if (bell->fd >= 0)
            close(bell->fd);
        mem_free(bell);
        return ERR_INTERNAL;
    }
    check(uv_poll_start(&bell->poll, UV_READABLE, bell_on_poll) == 0);
    *out = bell;
    return 0;
}

static void bell_on_closed(uv_handle_t *handle)
{
    struct bell *bell = handle->data;
    close(bell->fd);
    mem_free(bell);
}

void bell_close(struct bell *bell)
{
    uv_close((uv_handle_t *)&bell->poll, bell_on_closed);
}

void bell_ring(struct bell *bell)
{
    if (!atomic_exchange(&bell->rung, true))
        eventfd_write(bell->fd, 1);
}
