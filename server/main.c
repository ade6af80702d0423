#include "config/config.h"
#include "config/limits.h"
#include "core/linalg/mat.h"
#include "core/linalg/simd.h"
#include "proto/json.h"
#include "server/app.h"
#include "server/courier.h"
#include "server/engine/engine.h"
#include "server/healthcheck.h"
#include "server/http/httpd.h"
#include "server/http/listener.h"
#include "server/http/routes.h"
#include "server/jobs/jobs.h"
#include "server/kernels.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/models_load.h"
#include "server/store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct daemon {
    struct config config;
    struct simd_kernels halves[PRECISION_COUNT]; /* of the precisions below float32 */
    struct loop loop;
    struct app app;
};

static void on_drain(void *context)
{
    struct daemon *daemon = context;
    daemon->app.draining = true;
    httpd_drain(daemon->app.httpd);
    jobs_drain(daemon->app.jobs);
}

static void on_cancel(void *context)
{
    struct daemon *daemon = context;
    httpd_cancel(daemon->app.httpd);
}

static bool is_idle(void *context)
{
    const struct daemon *daemon = context;
    return httpd_connections(daemon->app.httpd) == 0 && jobs_idle(daemon->app.jobs);
}

static int start_loop(struct daemon *daemon, struct err *err)
{
    const struct loop_hooks hooks = {on_drain, on_cancel, is_idle, daemon};
    int code = loop_init(&daemon->loop, &hooks, daemon->config.grace_s * 1000, err);
    daemon->app.loop = &daemon->loop.uv;
    return code;
}

static void stop_loop(struct daemon *daemon)
{
    loop_release(&daemon->loop);
}

static int start_metrics(struct daemon *daemon, struct err *err)
{
    daemon->app.metrics = metrics_new(ADVECTD_VERSION);
    return daemon->app.metrics ? 0 : err_set(err, ERR_NOMEM, "", "No memory for the metrics.");
}

static void stop_metrics(struct daemon *daemon)
{
    metrics_free(daemon->app.metrics);
}

static int start_store(struct daemon *daemon, struct err *err)
{
    return store_open(&daemon->app.store, daemon->config.data_dir, err);
}

static void stop_store(struct daemon *daemon)
{
    store_close(daemon->app.store);
}

static int start_store_courier(struct daemon *daemon, struct err *err)
{
    return courier_start(&daemon->app.store_courier, daemon->app.loop, "store", err);
}

/* An answer of one courier may ask another: they are stopped when none has work. */
static void settle_couriers(struct daemon *daemon)
{
    const struct app *app = &daemon->app;
    while (courier_pending(app->store_courier) + courier_pending(app->files_courier) +
               courier_pending(app->compute_courier) >
           0)
        uv_run(app->loop, UV_RUN_ONCE);
}

static void stop_store_courier(struct daemon *daemon)
{
    courier_stop(daemon->app.store_courier);
}

static int start_files_courier(struct daemon *daemon, struct err *err)
{
    return courier_start(&daemon->app.files_courier, daemon->app.loop, "files", err);
}

static void stop_files_courier(struct daemon *daemon)
{
    courier_stop(daemon->app.files_courier);
}

static int start_compute_courier(struct daemon *daemon, struct err *err)
{
    return courier_start(&daemon->app.compute_courier, daemon->app.loop, "compute", err);
}

static void stop_compute_courier(struct daemon *daemon)
{
    courier_stop(daemon->app.compute_courier);
}

static int start_kernels(struct daemon *daemon, struct err *err)
{
    const char *name = daemon->config.kernels;
    const struct simd_kernels *kernels = simd_select(strcmp(name, "auto") ? name : NULL);
    if (!kernels)
        return err_set(err, ERR_INVALID, "--kernels", "\"%.32s\" does not run on this processor.",
                       name);
    return kernels_start(&daemon->app, daemon->halves, kernels, err);
}

static void stop_kernels(struct daemon *daemon)
{
    memset(daemon->app.kernels, 0, sizeof daemon->app.kernels);
}

static int start_registry(struct daemon *daemon, struct err *err)
{
    daemon->app.registry = registry_new();
    return daemon->app.registry ? 0 : err_set(err, ERR_NOMEM, "", "No memory for the registry.");
}

static void stop_registry(struct daemon *daemon)
{
    registry_free(daemon->app.registry);
}

static int start_engine(struct daemon *daemon, struct err *err)
{
    size_t workers = daemon->config.workers ? daemon->config.workers : uv_available_parallelism();
    workers = workers < LIMIT_WORKERS ? workers : LIMIT_WORKERS;
    const char *pin = daemon->config.pin;
    if (strcmp(pin, "auto") && strcmp(pin, "never"))
        return err_set(err, ERR_INVALID, "--pin", "It must be auto or never.");
    struct engine_options options = {.workers = workers,
                                     .pin = strcmp(pin, "auto") == 0,
                                     .linger = uv_available_parallelism() > 1,
                                     .loop = daemon->app.loop,
                                     .cost_limit = LIMIT_COST,
                                     .bytes_limit = LIMIT_RUN_BYTES};
    memcpy(options.kernels, daemon->app.kernels, sizeof options.kernels);
    int code = engine_start(&daemon->app.engine, &options, err);
    if (code == 0 && engine_metrics(daemon->app.engine, daemon->app.metrics)) {
        engine_stop(daemon->app.engine);
        code = err_set(err, ERR_NOMEM, "", "No memory for the metrics.");
    }
    return code;
}

static void stop_engine(struct daemon *daemon)
{
    engine_stop(daemon->app.engine);
}

static void stop_jobs(struct daemon *daemon)
{
    jobs_drain(daemon->app.jobs);
    settle_couriers(daemon);
    jobs_free(daemon->app.jobs);
}

static int start_jobs(struct daemon *daemon, struct err *err)
{
    struct app *app = &daemon->app;
    const struct jobs_options options = {.loop = app->loop,
                                         .store_courier = app->store_courier,
                                         .files_courier = app->files_courier,
                                         .store = app->store,
                                         .registry = app->registry};
    int code = jobs_start(&app->jobs, &options, err);
    if (code == 0 && jobs_metrics(app->jobs, app->metrics)) {
        stop_jobs(daemon);
        code = err_set(err, ERR_NOMEM, "", "No memory for the metrics.");
    }
    return code;
}

static int start_models(struct daemon *daemon, struct err *err)
{
    if (models_load_all(&daemon->app, NULL))
        return err_set(err, ERR_NOMEM, "", "No memory to load the models.");
    return 0;
}

static void stop_models(struct daemon *daemon)
{
    daemon->app.ready = false;
    daemon->app.draining = true; /* what is still loading ends with the model it is at */
}

/* Each connection is a descriptor; the soft limit is often 1024. */
static void raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_httpd(struct daemon *daemon, struct err *err)
{
    struct sockaddr_storage address;
    struct httpd_options options = {
        .app = &daemon->app,
        .connection_max = (unsigned)daemon->config.connections,
        .sets = routes_all,
        .set_count = routes_count,
    };
    char text[LISTENER_TEXT];
    raise_open_files();
    int code = listener_parse(&address, daemon->config.listen, err);
    if (!code)
        code = listener_open(&options.listen_fd, &address, err);
    if (!code)
        code = httpd_start(&daemon->app.httpd, &options, err);
    if (code)
        return code;
    listener_text(text, options.listen_fd);
    printf("listening on http://%s\n", text);
    fflush(stdout);
    return 0;
}

static void stop_httpd(struct daemon *daemon)
{
    httpd_stop(daemon->app.httpd);
    daemon->app.httpd = NULL;
}

/* What the daemon is made of, in order of construction; it is taken down in the opposite order. */
static const struct rung {
    int (*start)(struct daemon *daemon, struct err *err);
    void (*stop)(struct daemon *daemon);
} daemon_rungs[] = {
    {start_loop, stop_loop},
    {start_metrics, stop_metrics},
    {start_store, stop_store},
    {start_store_courier, stop_store_courier},
    {start_files_courier, stop_files_courier},
    {start_compute_courier, stop_compute_courier},
    {start_kernels, stop_kernels},
    {start_registry, stop_registry},
    {start_engine, stop_engine},
    {start_jobs, stop_jobs},
    {start_models, stop_models},
    {start_httpd, stop_httpd},
};

enum { DAEMON_RUNGS = sizeof daemon_rungs / sizeof *daemon_rungs };

static int daemon_run(struct daemon *daemon, struct err *err)
{
    size_t started = 0;
    int code = 0;
    while (started < DAEMON_RUNGS && !(code = daemon_rungs[started].start(daemon, err)))
        started++;
    if (!code)
        loop_run(&daemon->loop);
    while (started > 0)
        daemon_rungs[--started].stop(daemon);
    return code;
}

static int print_version(void)
{
    printf("advectd %s\nlibmicrohttpd %s\nlibuv %s\njansson %s\nSQLite %s\n%s\n", ADVECTD_VERSION,
           httpd_library_version(), uv_version_string(), json_library_version(),
           db_library_version(), mat_backend());
    return 0;
}

/* "where: message" on standard error, for a person at a terminal. */
static int complain(const struct err *err)
{
    fprintf(stderr, "advectd: %s%s%s\n", err->where, err->where[0] ? ": " : "", err->message);
    return EXIT_FAILURE;
}

static int serve(struct daemon *daemon)
{
    struct err err = {0};
    enum log_level level;
    if (log_level_parse(&level, daemon->config.log_level)) {
        err_set(&err, ERR_INVALID, "--log-level", "It must be debug, info, warn or error.");
        return complain(&err);
    }
    log_set_level(level);
    json_start();
    return daemon_run(daemon, &err) ? complain(&err) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct err err = {0};
    if (config_read(&daemon.config, argc, argv, getenv, &err))
        return complain(&err);
    switch (daemon.config.action) {
    case CONFIG_VERSION:
        return print_version();
    case CONFIG_HELP:
        fputs(config_help(), stdout);
        return EXIT_SUCCESS;
    case CONFIG_HEALTHCHECK:
        return healthcheck_run(daemon.config.listen, &err) ? complain(&err) : EXIT_SUCCESS;
    case CONFIG_RUN:
        break;
    }
    return serve(&daemon);
}
