#include "server/jobs/trainer_process.h"

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "server/train/job_dir.h"

#include <signal.h>
#include <string.h>

/* A state of a gigabyte can be written in this time. */
enum { STOP_MS = 30 * 1000, PIECE = 16 * 1024 };

struct trainer_process {
    struct trainer_process_options options;
    uv_process_t child;
    uv_pipe_t pipe; /* its standard output */
    uv_timer_t patience;
    struct buf line; /* the beginning of a line */
    struct job_exit end;
    bool exited, silent; /* silent: the pipe has ended */
    bool detached;       /* nobody wants to know */
    unsigned open_handles;
    char piece[PIECE];
};

static void on_closed(uv_handle_t *handle)
{
    struct trainer_process *process = handle->data;
    if (--process->open_handles > 0)
        return;
    buf_release(&process->line);
    mem_free(process);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, on_closed);
}

static void end_when_done(struct trainer_process *process)
{
    if (!process->exited || !process->silent)
        return;
    if (!process->detached)
        process->options.ended(process->options.context, process->end);
    process->detached = true;
    close_handle((uv_handle_t *)&process->child);
    close_handle((uv_handle_t *)&process->pipe);
    close_handle((uv_handle_t *)&process->patience);
}

static void on_exit_of_child(uv_process_t *child, int64_t status, int number)
{
    struct trainer_process *process = child->data;
    process->end = (struct job_exit){.status = status, .signal = number};
    process->exited = true;
    uv_timer_stop(&process->patience);
    end_when_done(process);
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
    (void)size;
    struct trainer_process *process = handle->data;
    *out = uv_buf_init(process->piece, PIECE);
}

/* A line past the limit is dropped whole: the buffer fails until its newline comes. */
static void take_bytes(struct trainer_process *process, const char *data, size_t size)
{
    while (size > 0) {
        const char *newline = memchr(data, '\n', size);
        size_t part = newline ? (size_t)(newline - data) : size;
        buf_append(&process->line, data, part);
        if (newline && !process->line.failed && !process->detached)
            process->options.line(process->options.context, process->line.data, process->line.size);
        if (newline)
            buf_clear(&process->line);
        part += newline != NULL;
        data += part;
        size -= part;
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *piece)
{
    struct trainer_process *process = stream->data;
    if (count >= 0) {
        take_bytes(process, piece->base, (size_t)count);
        return;
    }
    uv_read_stop(stream);
    process->silent = true;
    end_when_done(process);
}

static void on_patience(uv_timer_t *timer)
{
    struct trainer_process *process = timer->data;
    uv_process_kill(&process->child, SIGKILL);
}

static int spawn(struct trainer_process *process)
{
    const struct trainer_process_options *options = &process->options;
    char *arguments[] = {(char *)options->program, "--child", (char *)options->folder, NULL};
    uv_stdio_container_t stdio[] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    uv_process_options_t spawn_options = {
        .exit_cb = on_exit_of_child,
        .file = options->program,
        .args = arguments,
        .stdio = stdio,
        .stdio_count = 3,
    };
    return uv_spawn(options->loop, &process->child, &spawn_options);
}

int trainer_process_start(struct trainer_process **out,
                          const struct trainer_process_options *options, struct err *err)
{
    struct trainer_process *process = mem_zalloc(1, sizeof *process);
    if (!process)
        return err_set(err, ERR_NOMEM, "", "there is no memory for another trainer");
    process->options = *options;
    process->child.data = process->pipe.data = process->patience.data = process;
    process->open_handles = 3;
    buf_init(&process->line, JOB_DIR_LINE);
    uv_pipe_init(options->loop, &process->pipe, 0);
    uv_timer_init(options->loop, &process->patience);
    int failed = spawn(process); /* initialises the handle whatever happens */
    if (!failed)
        failed = uv_read_start((uv_stream_t *)&process->pipe, on_alloc, on_read);
    if (failed) {
        trainer_process_free(process);
        return err_set(err, ERR_INTERNAL, "", "advect-train cannot be started: %s",
                       uv_strerror(failed));
    }
    *out = process;
    return 0;
}

void trainer_process_stop(struct trainer_process *process)
{
    if (process->exited || uv_is_active((uv_handle_t *)&process->patience))
        return;
    uv_process_kill(&process->child, SIGTERM);
    uv_timer_start(&process->patience, on_patience, STOP_MS, 0);
}

void trainer_process_free(struct trainer_process *process)
{
    if (!process)
        return;
    process->detached = true;
    if (uv_is_active((uv_handle_t *)&process->child))
        uv_process_kill(&process->child, SIGKILL);
    process->exited = process->silent = true;
    end_when_done(process);
}
