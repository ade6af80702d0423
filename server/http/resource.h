/* What the handlers of named resources (datasets, models) share: names, answers, and requests that
   a courier's thread works on. Thread: loop. */
#ifndef SERVER_HTTP_RESOURCE_H
#define SERVER_HTTP_RESOURCE_H

#include "proto/json_write.h"
#include "server/app.h"
#include "server/courier.h"
#include "server/engine/registry.h"
#include "server/http/exchange.h"

/* A request whose answer needs the disk; the first member of the handler's own struct. */
struct task {
    struct call call;
    struct app *app;
    uint64_t exchange;
    struct err err; /* filled on the courier's thread; code 0: it worked */
};

void task_init(struct task *task, struct exchange *exchange, struct app *app);
/* Puts a code that came without words into task->err. Thread: any. */
void task_note(struct task *task, int code);
/* The exchange if its client is still there; NULL, too, once a failed task was answered. */
struct exchange *task_exchange(struct task *task);

/* The path's first parameter if it is a name of the house; else answers (with `code`) and gives
 * NULL. */
const char *resource_name(struct exchange *exchange, const char *noun, enum err_code code);
/* The model that a request's "model" names, borrowed; NULL after err was filled. */
struct model_ref *resource_model(const struct app *app, const char *name, struct err *err);
/* The precision that a request is computed in: the one it asks for; else the model's, where this
   machine has that, or float32. Where it asks for one that the machine has not: ERR_INVALID; where
   nothing may be computed: ERR_UNAVAILABLE. */
int resource_precision(enum precision *precision, bool asked, const struct app *app,
                       const struct model_ref *model, struct err *err);
/* Allocates a task of `size` bytes; answers with a problem and gives NULL when memory runs out. */
void *resource_task(struct exchange *exchange, struct app *app, size_t size);
/* Answers with JSON; *body is taken over, also where it failed. */
void resource_json(struct exchange *exchange, int status, struct buf *body);
void resource_no_content(struct exchange *exchange);

/* Members every resource has. */
void resource_write_file(struct json_writer *w, uint64_t bytes, const char *sha256,
                         int64_t created_ms);
/* The members of a JSON object become members of the one that is open. */
void resource_write_members(struct json_writer *w, const char *object, size_t size);

#endif
