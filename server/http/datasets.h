/* The resource /datasets: tables that models are trained on. */
#ifndef SERVER_HTTP_DATASETS_H
#define SERVER_HTTP_DATASETS_H

#include "server/http/exchange.h"

extern const struct route datasets_routes[];
extern const size_t datasets_route_count;

#endif
