#include "server/loop.h"

#include "core/base/check.h"
#include "server/log.h"

#include <signal.h>

enum {
    LOOP_TICK_MS = 20,
    LOOP_CANCEL_MS = 2000, /* for the last answers to leave */
};

static void enter(struct loop *loop, enum loop_stage stage)
{
    loop->stage = stage;
    loop->stage_since = uv_now(&loop->uv);
}

static void cancel(struct loop *loop)
{
    enter(loop, LOOP_CANCELLED);
    loop->hooks.cancel(loop->hooks.context);
}

static void on_tick(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    uint64_t waited = uv_now(&loop->uv) - loop->stage_since;
    if (loop->hooks.idle(loop->hooks.context) ||
        (loop->stage == LOOP_CANCELLED && waited >= LOOP_CANCEL_MS))
        uv_stop(&loop->uv);
    else if (loop->stage == LOOP_DRAINING && waited >= loop->grace_ms)
        cancel(loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;
    log_message(LOG_INFO, "signal", "received %s", number == SIGTERM ? "SIGTERM" : "SIGINT");
    if (loop->stage == LOOP_DRAINING) {
        cancel(loop);
    } else if (loop->stage == LOOP_RUNNING) {
        enter(loop, LOOP_DRAINING);
        loop->hooks.drain(loop->hooks.context);
        uv_timer_start(&loop->tick, on_tick, 0, LOOP_TICK_MS);
    }
}

int loop_init(struct loop *loop, const struct loop_hooks *hooks, uint64_t grace_ms, struct err *err)
{
    *loop = (struct loop){.hooks = *hooks, .grace_ms = grace_ms};
    if (uv_loop_init(&loop->uv))
        return err_set(err, ERR_INTERNAL, "", "The event loop cannot be started.");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error like a full disk */
    uv_signal_init(&loop->uv, &loop->terminate);
    uv_signal_init(&loop->uv, &loop->interrupt);
    uv_timer_init(&loop->uv, &loop->tick);
    loop->terminate.data = loop->interrupt.data = loop->tick.data = loop;
    if (uv_signal_start(&loop->terminate, on_signal, SIGTERM) ||
        uv_signal_start(&loop->interrupt, on_signal, SIGINT)) {
        loop_release(loop);
        return err_set(err, ERR_INTERNAL, "", "Signals cannot be received.");
    }
    return 0;
}

void loop_run(struct loop *loop)
{
    loop->stage = LOOP_RUNNING;
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    loop->stage = LOOP_OFF;
    uv_timer_stop(&loop->tick);
    uv_signal_stop(&loop->terminate);
    uv_signal_stop(&loop->interrupt);
}

void loop_release(struct loop *loop)
{
    uv_close((uv_handle_t *)&loop->terminate, NULL);
    uv_close((uv_handle_t *)&loop->interrupt, NULL);
    uv_close((uv_handle_t *)&loop->tick, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    check(uv_loop_close(&loop->uv) == 0);
}
