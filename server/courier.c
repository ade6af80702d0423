#include "server/courier.h"

#include "core/base/check.h"
#include "core/base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

struct call_list {
    struct call *first, *last;
};

struct courier {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;   /* signalled when `queued` or `stopping` changes */
    struct call_list queued; /* under mutex: for the courier's thread */
    struct call_list worked; /* under mutex: for the loop */
    bool stopping;           /* under mutex */
    size_t pending;          /* loop: calls whose done has not run */
    uv_async_t async;        /* owned by the loop until its close callback */
    char name[16];
};

static void list_append(struct call_list *list, struct call *call)
{
    call->next = NULL;
    if (list->last)
        list->last->next = call;
    else
        list->first = call;
    list->last = call;
}

static struct call *list_take(struct call_list *list)
{
    struct call *call = list->first;
    if (call) {
        list->first = call->next;
        if (!list->first)
            list->last = NULL;
    }
    return call;
}

/* Waits for the next call; NULL once the courier stops and nothing is queued. */
static struct call *courier_next(struct courier *courier)
{
    pthread_mutex_lock(&courier->mutex);
    while (!courier->queued.first && !courier->stopping)
        pthread_cond_wait(&courier->wanted, &courier->mutex);
    struct call *call = list_take(&courier->queued);
    pthread_mutex_unlock(&courier->mutex);
    return call;
}

static void *courier_main(void *context)
{
    struct courier *courier = context;
    pthread_setname_np(pthread_self(), courier->name);
    struct call *call;
    while ((call = courier_next(courier))) {
        call->work(call);
        pthread_mutex_lock(&courier->mutex);
        list_append(&courier->worked, call);
        pthread_mutex_unlock(&courier->mutex);
        uv_async_send(&courier->async);
    }
    return NULL;
}

/* Sends coalesce, so the whole list is taken at once. */
static void courier_deliver(struct courier *courier)
{
    pthread_mutex_lock(&courier->mutex);
    struct call_list worked = courier->worked;
    courier->worked = (struct call_list){NULL, NULL};
    pthread_mutex_unlock(&courier->mutex);
    struct call *call;
    while ((call = list_take(&worked))) {
        courier->pending--;
        call->done(call);
    }
}

static void on_async(uv_async_t *async)
{
    courier_deliver(async->data);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static int start_thread(struct courier *courier)
{
    pthread_mutex_init(&courier->mutex, NULL);
    pthread_cond_init(&courier->wanted, NULL);
    if (pthread_create(&courier->thread, NULL, courier_main, courier) == 0)
        return 0;
    pthread_cond_destroy(&courier->wanted);
    pthread_mutex_destroy(&courier->mutex);
    return ERR_INTERNAL;
}

int courier_start(struct courier **out, uv_loop_t *loop, const char *name, struct err *err)
{
    struct courier *courier = mem_zalloc(1, sizeof *courier);
    if (!courier)
        return err_set(err, ERR_NOMEM, "", "No memory for the %s thread.", name);
    snprintf(courier->name, sizeof courier->name, "%s", name);
    courier->async.data = courier;
    if (uv_async_init(loop, &courier->async, on_async)) {
        mem_free(courier);
        return err_set(err, ERR_INTERNAL, "", "The %s thread cannot reach the loop.", name);
    }
    if (start_thread(courier)) {
        uv_close((uv_handle_t *)&courier->async, on_closed);
        return err_set(err, ERR_INTERNAL, "", "The %s thread cannot be started.", name);
    }
    *out = courier;
    return 0;
}

void courier_submit(struct courier *courier, struct call *call)
{
    check(call->work && call->done);
    courier->pending++;
    pthread_mutex_lock(&courier->mutex);
    list_append(&courier->queued, call);
    pthread_cond_signal(&courier->wanted);
    pthread_mutex_unlock(&courier->mutex);
}

size_t courier_pending(const struct courier *courier)
{
    return courier->pending;
}

/* A `done` may submit again when the thread has ended: that work is done here. */
static void courier_finish(struct courier *courier)
{
    courier_deliver(courier);
    struct call *call;
    while ((call = list_take(&courier->queued))) {
        call->work(call);
        courier->pending--;
        call->done(call);
    }
    check(courier->pending == 0);
}

void courier_stop(struct courier *courier)
{
    if (!courier)
        return;
    pthread_mutex_lock(&courier->mutex);
    courier->stopping = true;
    pthread_cond_signal(&courier->wanted);
    pthread_mutex_unlock(&courier->mutex);
    pthread_join(courier->thread, NULL);
    courier_finish(courier);
    pthread_cond_destroy(&courier->wanted);
    pthread_mutex_destroy(&courier->mutex);
    uv_close((uv_handle_t *)&courier->async, on_closed);
}
