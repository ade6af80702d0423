/* An upload goes: temp file -> files courier (a .pt is converted; config, every check, packed
   weights) -> store courier (fsync, rename, row, version) -> registry on the loop -> answer. A
   description is read off the registry; only what is not loaded is asked of the store. */
#include "server/http/models.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/model_codec.h"
#include "server/http/resource.h"
#include "server/http/router.h"
#include "server/store/model_file.h"
#include "server/store/store.h"
#include "server/store/upload.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ANSWER_MAX = 32 * 1024 * 1024 };

static void write_network(struct json_writer *w, const struct net_spec *spec)
{
    json_write_unsigned(w, "dim", spec->dim);
    json_write_unsigned(w, "parameters", net_spec_parameters(spec));
    json_open_array(w, "hidden");
    for (size_t i = 0; i < spec->hidden_count; i++)
        json_write_unsigned(w, NULL, spec->hidden[i]);
    json_close_array(w);
}

static void write_ready(struct json_writer *w, const struct model_ref *ref)
{
    json_write_string(w, "name", ref->name);
    json_write_unsigned(w, "version", ref->version);
    json_write_string(w, "state", "ready");
    write_network(w, &ref->model.spec.net);
    resource_write_file(w, ref->bytes, ref->sha256, ref->created_ms);
}

/* Stored, but not in the registry: still to be loaded, or broken. */
static void write_absent(struct json_writer *w, const struct model_record *record)
{
    json_write_string(w, "name", record->name);
    json_write_unsigned(w, "version", record->version);
    json_write_string(w, "state", record->error ? "failed" : "loading");
    if (record->error)
        json_write_string(w, "error", record->error);
    resource_write_file(w, record->bytes, record->sha256, record->created_ms);
}

static void describe(struct buf *out, const struct model_ref *ref)
{
    struct buf config;
    buf_init(&config, out->limit);
    model_config_encode(&config, &ref->config);
    struct json_writer w = json_writer(out);
    json_open_object(&w, NULL);
    write_ready(&w, ref);
    if (config.failed)
        out->failed = config.failed;
    else
        resource_write_members(&w, config.data, config.size);
    json_close_object(&w);
    buf_release(&config);
}

static void respond_ready(struct exchange *exchange, int status, const struct model_ref *ref)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    describe(&body, ref);
    resource_json(exchange, status, &body);
}

struct put {
    struct task task;
    struct upload *upload;
    struct model_record record; /* its sidecar is the header Advect-Config */
    struct model_ref *ref;
    bool replaced;
};

static void put_free(struct put *put)
{
    store_model_release(&put->record);
    model_ref_drop(put->ref);
    mem_free(put);
}

static void put_read(struct call *call)
{
    struct put *put = (struct put *)call;
    struct err *err = &put->task.err;
    if (!err->code)
        task_note(&put->task, model_file_adopt(&put->upload, &put->record.sidecar, err));
    if (!err->code)
        task_note(&put->task, model_file_read(&put->ref, put->upload->fd, put->upload->size,
                                              put->record.sidecar, err));
    if (put->task.err.code)
        upload_free(put->upload);
}

static void put_store(struct call *call)
{
    struct put *put = (struct put *)call;
    struct model_record *record = &put->record;
    record->bytes = put->ref->bytes;
    memcpy(record->sha256, put->ref->sha256, sizeof record->sha256);
    int code = files_sync(put->upload->fd, &put->task.err);
    if (!code)
        code = store_model_put(put->task.app->store, put->upload->name, record, &put->replaced,
                               &put->task.err);
    task_note(&put->task, code);
    upload_free(put->upload);
}

static void put_publish(struct put *put)
{
    struct model_ref *ref = model_ref_take(put->ref);
    memcpy(ref->name, put->record.name, sizeof ref->name);
    ref->version = put->record.version;
    ref->created_ms = put->record.created_ms;
    int code = registry_publish(put->task.app->registry, ref);
    task_note(&put->task, code);
    if (code)
        model_ref_drop(ref);
}

static void put_answer(struct call *call)
{
    struct put *put = (struct put *)call;
    if (!put->task.err.code)
        put_publish(put);
    struct exchange *exchange = task_exchange(&put->task);
    if (exchange)
        respond_ready(exchange, put->replaced ? 200 : 201, put->ref);
    put_free(put);
}

static void put_was_read(struct call *call)
{
    struct put *put = (struct put *)call;
    if (put->task.err.code) {
        put_answer(call);
        return;
    }
    put->task.call = (struct call){.work = put_store, .done = put_answer};
    courier_submit(put->task.app->store_courier, call);
}

static int check_headers(const struct exchange *exchange, struct err *err)
{
    const char *type = exchange_header(exchange, "Content-Type");
    const char *sidecar = exchange_header(exchange, "Advect-Config");
    if (type && !router_type_accepted("application/octet-stream", type))
        return err_set(err, ERR_UNSUPPORTED, "Content-Type",
                       "a model is a safetensors file or one of torch.save, sent with "
                       "Content-Type: application/octet-stream (curl -T FILE sends none, which "
                       "is fine, too)");
    if (sidecar && strlen(sidecar) > LIMIT_SIDECAR_BYTES)
        return err_set(err, ERR_TOO_LARGE, "Advect-Config",
                       "the header may have at most %u bytes; a longer config belongs into the "
                       "file, as the text \"advect\" of __metadata__",
                       LIMIT_SIDECAR_BYTES);
    return 0;
}

static void put_begin(struct exchange *exchange, struct app *app)
{
    struct err err = {0};
    (void)app;
    if (resource_name(exchange, "model", ERR_INVALID) && check_headers(exchange, &err))
        exchange_problem(exchange, &err);
}

static void put_handle(struct exchange *exchange, struct app *app)
{
    struct put *put = resource_task(exchange, app, sizeof *put);
    if (!put)
        return;
    const char *sidecar = exchange_header(exchange, "Advect-Config");
    snprintf(put->record.name, sizeof put->record.name, "%s", exchange_param(exchange, 0));
    put->upload = exchange_take_upload(exchange);
    put->record.sidecar = sidecar ? mem_strdup(sidecar) : NULL;
    if (sidecar && !put->record.sidecar)
        task_note(&put->task, ERR_NOMEM);
    put->task.call = (struct call){.work = put_read, .done = put_was_read};
    courier_submit(app->files_courier, &put->task.call);
}

/* GET, DELETE, download and the list: what the store has to be asked for. */
struct look {
    struct task task;
    char name[LIMIT_NAME + 1];
    struct model_record record;
    struct model_record *list; /* [count] */
    size_t count;
    int fd; /* of the checkpoint, or -1 */
    uint64_t size;
};

static void look_start(struct exchange *exchange, struct app *app, const char *name,
                       struct call call)
{
    struct look *look = resource_task(exchange, app, sizeof *look);
    if (!look)
        return;
    look->fd = -1;
    snprintf(look->name, sizeof look->name, "%s", name);
    look->task.call = call;
    courier_submit(app->store_courier, &look->task.call);
}

static void look_free(struct look *look)
{
    if (look->fd >= 0)
        close(look->fd);
    store_model_release(&look->record);
    store_model_list_free(look->list, look->count);
    mem_free(look);
}

static void get_work(struct call *call)
{
    struct look *look = (struct look *)call;
    task_note(&look->task,
              store_model_get(look->task.app->store, look->name, &look->record, &look->task.err));
}

static void get_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange) {
        struct buf body;
        buf_init(&body, ANSWER_MAX);
        struct json_writer w = json_writer(&body);
        json_open_object(&w, NULL);
        write_absent(&w, &look->record);
        json_close_object(&w);
        resource_json(exchange, 200, &body);
    }
    look_free(look);
}

static void get_handle(struct exchange *exchange, struct app *app)
{
    const char *name = resource_name(exchange, "model", ERR_NOT_FOUND);
    if (!name)
        return;
    const struct model_ref *ref = registry_find(app->registry, name);
    if (ref)
        respond_ready(exchange, 200, ref);
    else
        look_start(exchange, app, name, (struct call){.work = get_work, .done = get_done});
}

static void remove_work(struct call *call)
{
    struct look *look = (struct look *)call;
    task_note(&look->task, store_model_remove(look->task.app->store, look->name, &look->task.err));
}

static void remove_done(struct call *call)
{
    struct look *look = (struct look *)call;
    if (!look->task.err.code)
        registry_remove(look->task.app->registry, look->name);
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange)
        resource_no_content(exchange);
    look_free(look);
}

static void remove_handle(struct exchange *exchange, struct app *app)
{
    const char *name = resource_name(exchange, "model", ERR_NOT_FOUND);
    if (name)
        look_start(exchange, app, name, (struct call){.work = remove_work, .done = remove_done});
}

static void download_work(struct call *call)
{
    struct look *look = (struct look *)call;
    struct store *store = look->task.app->store;
    int code = store_model_get(store, look->name, &look->record, &look->task.err);
    if (!code)
        code = files_open_read(store_files(store)->models, look->record.file, &look->fd,
                               &look->size, &look->task.err);
    task_note(&look->task, code);
}

/* True if If-None-Match names this file, so that the client has it already. */
static bool client_has(struct exchange *exchange, const char *etag)
{
    const char *match = exchange_header(exchange, "If-None-Match");
    return match && (strstr(match, etag) || strcmp(match, "*") == 0);
}

static void respond_checkpoint(struct exchange *exchange, struct look *look)
{
    char etag[HASH_TEXT + 2];
    char disposition[LIMIT_NAME + 64];
    snprintf(etag, sizeof etag, "\"%s\"", look->record.sha256);
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.safetensors\"",
             look->name);
    exchange_add_header(exchange, "ETag", etag);
    if (client_has(exchange, etag)) {
        struct buf body;
        buf_init(&body, 0);
        exchange_respond(exchange, 304, NULL, &body);
        return;
    }
    exchange_add_header(exchange, "Content-Disposition", disposition);
    if (look->record.sidecar)
        exchange_add_header(exchange, "Advect-Config", look->record.sidecar);
    exchange_respond_file(exchange, 200, "application/octet-stream", look->fd, look->size);
    look->fd = -1;
}

static void download_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange)
        respond_checkpoint(exchange, look);
    look_free(look);
}

static void download_handle(struct exchange *exchange, struct app *app)
{
    const char *name = resource_name(exchange, "model", ERR_NOT_FOUND);
    if (name)
        look_start(exchange, app, name,
                   (struct call){.work = download_work, .done = download_done});
}

static void list_work(struct call *call)
{
    struct look *look = (struct look *)call;
    task_note(&look->task,
              store_model_list(look->task.app->store, &look->list, &look->count, &look->task.err));
}

static void respond_list(struct exchange *exchange, const struct look *look)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    struct json_writer w = json_writer(&body);
    json_open_object(&w, NULL);
    json_open_array(&w, "models");
    for (size_t i = 0; i < look->count; i++) {
        const struct model_record *record = &look->list[i];
        const struct model_ref *ref = registry_find(look->task.app->registry, record->name);
        json_open_object(&w, NULL);
        if (ref)
            write_ready(&w, ref);
        else
            write_absent(&w, record);
        json_close_object(&w);
    }
    json_close_array(&w);
    json_close_object(&w);
    resource_json(exchange, 200, &body);
}

static void list_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange)
        respond_list(exchange, look);
    look_free(look);
}

static void list_handle(struct exchange *exchange, struct app *app)
{
    look_start(exchange, app, "", (struct call){.work = list_work, .done = list_done});
}

const struct route models_routes[] = {
    {.method = "PUT",
     .path = "/models/{name}",
     .body = BODY_UPLOAD,
     .body_max = LIMIT_CHECKPOINT_BYTES,
     .operation = "putModel",
     .begin = put_begin,
     .handle = put_handle},
    {.method = "GET", .path = "/models/{name}", .operation = "getModel", .handle = get_handle},
    {.method = "GET",
     .path = "/models/{name}/checkpoint",
     .operation = "getCheckpoint",
     .handle = download_handle},
    {.method = "DELETE",
     .path = "/models/{name}",
     .operation = "deleteModel",
     .handle = remove_handle},
    {.method = "GET", .path = "/models", .operation = "listModels", .handle = list_handle},
};

const size_t models_route_count = sizeof models_routes / sizeof *models_routes;
