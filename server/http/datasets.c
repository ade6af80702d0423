/* An upload goes: temp file (as it arrives) -> files courier (read once: schema, statistics, hash)
   -> store courier (fsync, rename, row) -> answer. What cannot be read leaves nothing behind. */
#include "server/http/datasets.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/model_codec.h"
#include "server/http/resource.h"
#include "server/http/router.h"
#include "server/store/dataset_file.h"
#include "server/store/store.h"
#include "server/store/upload.h"

#include <stdio.h>
#include <string.h>

#define TYPES_CSV "text/csv,text/plain"
#define TYPES_NPY "application/x-npy"
#define TYPES_ANY "application/octet-stream"

enum { ANSWER_MAX = DB_TEXT_MAX + 64 * 1024 };

static void write_dataset(struct json_writer *w, const struct dataset_record *record)
{
    json_write_string(w, "name", record->name);
    json_write_string(w, "format", store_dataset_format_name(record->format));
    json_write_unsigned(w, "rows", record->rows);
    resource_write_file(w, record->bytes, record->sha256, record->created_ms);
}

static void respond_dataset(struct exchange *exchange, int status,
                            const struct dataset_record *record)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    struct json_writer w = json_writer(&body);
    json_open_object(&w, NULL);
    write_dataset(&w, record);
    json_write_raw(&w, "columns", record->schema, strlen(record->schema));
    json_close_object(&w);
    resource_json(exchange, status, &body);
}

struct put {
    struct task task;
    struct upload *upload;
    const char *declared; /* types of the Content-Type, or NULL */
    struct dataset_record record;
    bool replaced;
};

static void put_free(struct put *put)
{
    store_dataset_release(&put->record);
    mem_free(put);
}

static const char *declared_types(struct exchange *exchange)
{
    static const char *const known[] = {TYPES_CSV, TYPES_NPY};
    const char *type = exchange_header(exchange, "Content-Type");
    for (size_t i = 0; type && i < sizeof known / sizeof *known; i++) {
        if (router_type_accepted(known[i], type))
            return known[i];
    }
    return NULL;
}

static int check_declared(const struct put *put, struct err *err)
{
    bool npy = put->record.format == DATASET_NPY;
    if (!put->declared || strcmp(put->declared, npy ? TYPES_NPY : TYPES_CSV) == 0)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "Content-Type",
                   npy ? "the body is an NPY file, but its Content-Type says CSV; send it as "
                         "application/x-npy"
                       : "the Content-Type says NPY, but the body does not begin as an NPY file");
}

static int keep_schema(struct put *put, const struct schema *schema, struct err *err)
{
    struct buf text;
    buf_init(&text, DB_TEXT_MAX);
    schema_write(&text, schema);
    buf_char(&text, '\0');
    if (text.failed) {
        int code = err_set(err, (enum err_code)text.failed, "",
                           "the description of the columns and their levels would pass %d MiB",
                           DB_TEXT_MAX / (1024 * 1024));
        buf_release(&text);
        return code;
    }
    put->record.schema = text.data;
    put->record.rows = schema->rows;
    return 0;
}

static int read_upload(struct put *put, struct err *err)
{
    struct schema schema = {0};
    struct dataset_file file = {.fd = put->upload->fd, .size = put->upload->size};
    int code = dataset_file_sniff(file.fd, file.size, &file.format, err);
    put->record.format = file.format;
    if (!code)
        code = check_declared(put, err);
    if (!code)
        code = dataset_file_describe(&file, &schema, put->record.sha256, err);
    if (!code)
        code = keep_schema(put, &schema, err);
    schema_release(&schema);
    put->record.bytes = file.size;
    return code;
}

static void put_read(struct call *call)
{
    struct put *put = (struct put *)call;
    int code = read_upload(put, &put->task.err);
    task_note(&put->task, code);
    if (code)
        upload_free(put->upload);
}

static void put_store(struct call *call)
{
    struct put *put = (struct put *)call;
    struct store *store = put->task.app->store;
    int code = files_sync(put->upload->fd, &put->task.err);
    if (!code)
        code = store_dataset_put(store, put->upload->name, &put->record, &put->replaced,
                                 &put->task.err);
    task_note(&put->task, code);
    upload_free(put->upload);
}

static void put_answer(struct call *call)
{
    struct put *put = (struct put *)call;
    struct exchange *exchange = task_exchange(&put->task);
    if (exchange)
        respond_dataset(exchange, put->replaced ? 200 : 201, &put->record);
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

static void put_begin(struct exchange *exchange, struct app *app)
{
    (void)app;
    if (!resource_name(exchange, "dataset", ERR_INVALID))
        return;
    const char *type = exchange_header(exchange, "Content-Type");
    if (!type || router_type_accepted(TYPES_CSV "," TYPES_NPY "," TYPES_ANY, type))
        return;
    struct err err = {0};
    bool form = router_type_accepted("application/x-www-form-urlencoded,multipart/form-data", type);
    err_set(
        &err, ERR_UNSUPPORTED, "Content-Type",
        form ? "the body is labelled as a form (curl -d, --data-binary and -F do that); send the "
               "file itself with Content-Type: text/csv or application/x-npy"
             : "a dataset is sent with Content-Type: text/csv or application/x-npy");
    exchange_problem(exchange, &err);
}

static void put_handle(struct exchange *exchange, struct app *app)
{
    struct put *put = resource_task(exchange, app, sizeof *put);
    if (!put)
        return;
    snprintf(put->record.name, sizeof put->record.name, "%s", exchange_param(exchange, 0));
    put->declared = declared_types(exchange);
    put->upload = exchange_take_upload(exchange);
    put->task.call = (struct call){.work = put_read, .done = put_was_read};
    courier_submit(app->files_courier, &put->task.call);
}

/* GET and DELETE of one dataset, and the list. */
struct look {
    struct task task;
    struct dataset_record record; /* its name is what is looked for */
    struct dataset_record *list;  /* [count] */
    size_t count;
};

static void look_start(struct exchange *exchange, struct app *app, const char *name,
                       struct call call)
{
    struct look *look = resource_task(exchange, app, sizeof *look);
    if (!look)
        return;
    snprintf(look->record.name, sizeof look->record.name, "%s", name);
    look->task.call = call;
    courier_submit(app->store_courier, &look->task.call);
}

static void look_free(struct look *look)
{
    store_dataset_release(&look->record);
    mem_free(look->list);
    mem_free(look);
}

static void get_work(struct call *call)
{
    struct look *look = (struct look *)call;
    char name[LIMIT_NAME + 1];
    snprintf(name, sizeof name, "%s", look->record.name);
    task_note(&look->task,
              store_dataset_get(look->task.app->store, name, &look->record, &look->task.err));
}

static void get_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange)
        respond_dataset(exchange, 200, &look->record);
    look_free(look);
}

static void get_handle(struct exchange *exchange, struct app *app)
{
    const char *name = resource_name(exchange, "dataset", ERR_NOT_FOUND);
    if (name)
        look_start(exchange, app, name, (struct call){.work = get_work, .done = get_done});
}

static void remove_work(struct call *call)
{
    struct look *look = (struct look *)call;
    task_note(&look->task,
              store_dataset_remove(look->task.app->store, look->record.name, &look->task.err));
}

static void remove_done(struct call *call)
{
    struct look *look = (struct look *)call;
    struct exchange *exchange = task_exchange(&look->task);
    if (exchange)
        resource_no_content(exchange);
    look_free(look);
}

static void remove_handle(struct exchange *exchange, struct app *app)
{
    const char *name = resource_name(exchange, "dataset", ERR_NOT_FOUND);
    if (name)
        look_start(exchange, app, name, (struct call){.work = remove_work, .done = remove_done});
}

static void list_work(struct call *call)
{
    struct look *look = (struct look *)call;
    task_note(&look->task, store_dataset_list(look->task.app->store, &look->list, &look->count,
                                              &look->task.err));
}

static void respond_list(struct exchange *exchange, const struct look *look)
{
    struct buf body;
    buf_init(&body, ANSWER_MAX);
    struct json_writer w = json_writer(&body);
    json_open_object(&w, NULL);
    json_open_array(&w, "datasets");
    for (size_t i = 0; i < look->count; i++) {
        json_open_object(&w, NULL);
        write_dataset(&w, &look->list[i]);
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

const struct route datasets_routes[] = {
    {.method = "PUT",
     .path = "/datasets/{name}",
     .body = BODY_UPLOAD,
     .body_max = LIMIT_DATASET_BYTES,
     .operation = "putDataset",
     .begin = put_begin,
     .handle = put_handle},
    {.method = "GET", .path = "/datasets/{name}", .operation = "getDataset", .handle = get_handle},
    {.method = "DELETE",
     .path = "/datasets/{name}",
     .operation = "deleteDataset",
     .handle = remove_handle},
    {.method = "GET", .path = "/datasets", .operation = "listDatasets", .handle = list_handle},
};

const size_t datasets_route_count = sizeof datasets_routes / sizeof *datasets_routes;
