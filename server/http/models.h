/* The resource /models: velocity fields that can be sampled. */
#ifndef SERVER_HTTP_MODELS_H
#define SERVER_HTTP_MODELS_H

#include "server/http/exchange.h"

extern const struct route models_routes[];
extern const size_t models_route_count;

#endif
