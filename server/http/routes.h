/* All routes of the daemon: a resource adds its file's table to the list in routes.c. */
#ifndef SERVER_HTTP_ROUTES_H
#define SERVER_HTTP_ROUTES_H

#include "server/http/router.h"

extern const struct route_set routes_all[];
extern const size_t routes_count;

#endif
