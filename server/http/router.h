/* From method and path to a row of a route table. Pure. */
#ifndef SERVER_HTTP_ROUTER_H
#define SERVER_HTTP_ROUTER_H

#include "server/http/exchange.h"

enum {
    ROUTER_PARAM = 256, /* bytes of one decoded {segment}, the NUL included */
    ROUTER_ALLOW = 64,  /* bytes of an Allow header */
};

/* One file's routes. */
struct route_set {
    const struct route *routes; /* [*count] */
    const size_t *count;
};

struct route_match {
    const struct route *route; /* NULL: none of this path and method */
    bool path_known;           /* some route has this path, with another method */
    char allow[ROUTER_ALLOW];  /* "GET, HEAD, OPTIONS"; methods of this path */
    char params[EXCHANGE_PARAMS][ROUTER_PARAM];
};

/* path: raw, without the query. HEAD is answered by the route of GET. */
void router_match(struct route_match *out, const struct route_set *sets, size_t set_count,
                  const char *method, const char *path, size_t path_size);
/* Undoes %XX (and + for a space, in queries) of in[size] into out[max], NUL-terminated. The number
   of bytes, or max when it does not fit; malformed triplets are kept as they are. */
size_t router_decode(char *out, size_t max, const char *in, size_t size, bool plus);
/* True if the media type of a Content-Type value (parameters aside) is among the comma-separated
   `types`. */
bool router_type_accepted(const char *types, const char *content_type);

#endif
