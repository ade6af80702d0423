/* Routes about the daemon itself: /livez, /readyz, /metrics. */
#ifndef SERVER_HTTP_PROBES_H
#define SERVER_HTTP_PROBES_H

#include "server/http/exchange.h"

extern const struct route probes_routes[];
extern const size_t probes_route_count;

#endif
