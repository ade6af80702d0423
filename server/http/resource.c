#include "server/http/resource.h"

#include "config/limits.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "server/timestamp.h"

#include <stdio.h>

void task_init(struct task *task, struct exchange *exchange, struct app *app)
{
    task->app = app;
    task->exchange = exchange_id(exchange);
}

void task_note(struct task *task, int code)
{
    if (code)
        err_set(&task->err, (enum err_code)code, "", "%s", err_title((enum err_code)code));
}

struct exchange *task_exchange(struct task *task)
{
    struct exchange *exchange = httpd_find(task->app->httpd, task->exchange);
    if (!exchange || !task->err.code)
        return exchange;
    exchange_problem(exchange, &task->err);
    return NULL;
}

const char *resource_name(struct exchange *exchange, const char *noun, enum err_code code)
{
    const char *name = exchange_param(exchange, 0);
    if (json_name_valid(name))
        return name;
    struct err err = {0};
    err_set(
        &err, code, "name",
        "the name of a %s has 1 to %d characters: a-z, 0-9, _ and -, and begins with a letter or "
        "a digit",
        noun, LIMIT_NAME);
    exchange_problem(exchange, &err);
    return NULL;
}

struct model_ref *resource_model(const struct app *app, const char *name, struct err *err)
{
    struct model_ref *model = registry_find(app->registry, name);
    if (model)
        return model;
    if (app->ready)
        err_set(err, ERR_NOT_FOUND, "/model", "there is no model named %s", name);
    else
        err_set(err, ERR_UNAVAILABLE, "/model", "The models are still being loaded");
    return NULL;
}

int resource_precision(enum precision *precision, bool asked, const struct app *app,
                       const struct model_ref *model, struct err *err)
{
    char names[64] = "";
    size_t length = 0;
    if (app->fault.code)
        return err_set(err, app->fault.code, "", "%s", app->fault.message);
    if (!asked)
        *precision = app->kernels[model->config.precision] ? model->config.precision
                                                           : PRECISION_F32;
    if (app->kernels[*precision])
        return 0;
    for (int i = 0; i < PRECISION_COUNT; i++) {
        if (app->kernels[i])
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s",
                                       i ? ", " : "", precision_name((enum precision)i));
    }
    return err_set(err, ERR_INVALID, "/precision",
                   "%s is not available on this machine; what it has: %s",
                   precision_name(*precision), names);
}

void *resource_task(struct exchange *exchange, struct app *app, size_t size)
{
    struct task *task = mem_zalloc(1, size);
    if (task) {
        task_init(task, exchange, app);
        return task;
    }
    struct err err = {0};
    err_set(&err, ERR_NOMEM, "", "memory ran out");
    exchange_problem(exchange, &err);
    return NULL;
}

void resource_json(struct exchange *exchange, int status, struct buf *body)
{
    if (!body->failed)
        buf_char(body, '\n');
    if (!body->failed) {
        exchange_respond(exchange, status, "application/json", body);
        return;
    }
    struct err err = {0};
    err_set(&err, (enum err_code)body->failed, "", "the answer could not be built");
    exchange_problem(exchange, &err);
    buf_release(body);
}

void resource_no_content(struct exchange *exchange)
{
    struct buf body;
    buf_init(&body, 0);
    exchange_respond(exchange, 204, NULL, &body);
}

void resource_write_file(struct json_writer *w, uint64_t bytes, const char *sha256,
                         int64_t created_ms)
{
    char created[TIMESTAMP_TEXT];
    timestamp_text(created, created_ms);
    json_write_unsigned(w, "bytes", bytes);
    json_write_string(w, "sha256", sha256);
    json_write_string(w, "created", created);
}

void resource_write_members(struct json_writer *w, const char *object, size_t size)
{
    struct json_doc *doc;
    struct err err = {0};
    int code = json_parse(&doc, object, size, size, &err);
    if (code) {
        w->out->failed = code;
        return;
    }
    struct json root = json_root(doc);
    struct buf value;
    buf_init(&value, w->out->limit);
    void *at = NULL;
    const char *key;
    while (json_next(root, &at, &key)) {
        buf_clear(&value);
        json_dump(json_get(root, key), &value);
        if (value.failed)
            w->out->failed = value.failed;
        else
            json_write_raw(w, key, value.data, value.size);
    }
    buf_release(&value);
    json_free(doc);
}
