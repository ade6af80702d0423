#include "server/models_load.h"

#include "core/base/mem.h"
#include "server/courier.h"
#include "server/engine/registry.h"
#include "server/log.h"
#include "server/store/model_file.h"
#include "server/store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Goes to and fro: the store lists; then for each model the files courier reads and the store says
   whether it is still the model of that name. */
struct load {
    struct call call;
    struct app *app;
    void (*done)(struct app *app, const struct err *err);
    struct model_record *records; /* [count] owned */
    size_t count;
    size_t at;
    struct model_ref *ref; /* of records[at]; NULL where it does not load */
    bool current;
    struct err err;      /* of the store */
    struct err file_err; /* of the file of records[at] */
};

static void load_end(struct load *load)
{
    load->app->ready = !load->err.code && !load->app->draining;
    if (load->err.code)
        log_message(LOG_ERROR, "models_unreadable", "%s", load->err.message);
    else if (load->app->ready)
        log_message(LOG_INFO, "ready", "%zu models are loaded",
                    registry_count(load->app->registry));
    if (load->done)
        load->done(load->app, load->err.code ? &load->err : NULL);
    store_model_list_free(load->records, load->count);
    mem_free(load);
}

static void read_work(struct call *call)
{
    struct load *load = (struct load *)call;
    const struct model_record *record = &load->records[load->at];
    int fd;
    uint64_t size;
    int code = files_open_read(store_files(load->app->store)->models, record->file, &fd, &size,
                               &load->file_err);
    if (code)
        return;
    code = model_file_read(&load->ref, fd, size, record->sidecar, &load->file_err);
    close(fd);
    if (!code && strcmp(load->ref->sha256, record->sha256) != 0) {
        model_ref_drop(load->ref);
        load->ref = NULL;
        err_set(&load->file_err, ERR_FORMAT, "",
                "the checkpoint on the disk is no longer the one that was stored");
    }
}

static void confirm_work(struct call *call)
{
    struct load *load = (struct load *)call;
    char error[sizeof load->file_err.where + sizeof load->file_err.message + 2];
    const struct err *err = &load->file_err;
    snprintf(error, sizeof error, "%s%s%s", err->where, err->where[0] ? ": " : "", err->message);
    store_model_loaded(load->app->store, &load->records[load->at], load->ref ? NULL : error,
                       &load->current, &load->err);
}

static void report(const struct load *load)
{
    struct log_line line;
    log_open(&line, LOG_ERROR, "model_failed");
    log_text(&line, "model", load->records[load->at].name);
    log_text(&line, "place", load->file_err.where);
    log_text(&line, "message", load->file_err.message);
    log_close(&line);
}

static int publish(struct load *load)
{
    const struct model_record *record = &load->records[load->at];
    struct model_ref *ref = load->ref;
    memcpy(ref->name, record->name, sizeof ref->name);
    ref->version = record->version;
    ref->created_ms = record->created_ms;
    load->ref = NULL;
    int code = registry_publish(load->app->registry, ref);
    if (code)
        model_ref_drop(ref);
    return code;
}

static void next(struct load *load);

static void confirm_done(struct call *call)
{
    struct load *load = (struct load *)call;
    if (load->current && !load->ref)
        report(load);
    if (load->current && load->ref && publish(load))
        err_set(&load->err, ERR_NOMEM, "", "memory ran out while the models were loaded");
    model_ref_drop(load->ref);
    load->ref = NULL;
    load->at++;
    next(load);
}

static void read_done(struct call *call)
{
    struct load *load = (struct load *)call;
    load->call = (struct call){.work = confirm_work, .done = confirm_done};
    courier_submit(load->app->store_courier, call);
}

static void next(struct load *load)
{
    if (load->err.code || load->at == load->count || load->app->draining) {
        load_end(load);
        return;
    }
    load->file_err = (struct err){0};
    load->call = (struct call){.work = read_work, .done = read_done};
    courier_submit(load->app->files_courier, &load->call);
}

static void list_work(struct call *call)
{
    struct load *load = (struct load *)call;
    store_model_list(load->app->store, &load->records, &load->count, &load->err);
}

static void list_done(struct call *call)
{
    next((struct load *)call);
}

int models_load_all(struct app *app, void (*done)(struct app *app, const struct err *err))
{
    struct load *load = mem_zalloc(1, sizeof *load);
    if (!load)
        return ERR_NOMEM;
    load->app = app;
    load->done = done;
    load->call = (struct call){.work = list_work, .done = list_done};
    courier_submit(app->store_courier, &load->call);
    return 0;
}
