/* What /sample and /trajectory share: from a body to a run of the engine, and from its bytes to the
   client. Loop thread. */
#ifndef SERVER_HTTP_SAMPLING_H
#define SERVER_HTTP_SAMPLING_H

#include "proto/rows.h"
#include "server/app.h"
#include "server/http/exchange.h"

struct sampling_route {
    const enum row_format *formats; /* [format_count], best first */
    size_t format_count;
    bool trajectory;
};

/* Decodes the request, submits it and answers: at once when all of it is computed for a small
   /sample, else as a stream while it is computed. */
void sampling_handle(struct exchange *exchange, struct app *app,
                     const struct sampling_route *route);

#endif
