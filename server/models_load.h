/* At the start: every stored model from the disk into the registry, one after the other, while the
   daemon already answers. */
#ifndef SERVER_MODELS_LOAD_H
#define SERVER_MODELS_LOAD_H

#include "core/base/err.h"
#include "server/app.h"

/* Reads on the files courier, publishes on the loop, then sets app->ready and calls `done` (may be
   NULL) on the loop; err: NULL, or why the list of models could not be read (app->ready then stays
   false). A model that does not load is logged and listed with its error; it stops nothing. Uploads
   and removals meanwhile are fine. Ends early, without `ready`, when the daemon drains. Thread:
   loop. 0 or ERR_NOMEM (done is not called). */
int models_load_all(struct app *app, void (*done)(struct app *app, const struct err *err));

#endif
