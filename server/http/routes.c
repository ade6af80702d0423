#include "server/http/routes.h"

/* X(file): FILE.c has `const struct route FILE_routes[]` and `const size_t FILE_route_count`. */
#define ROUTE_FILES(X) X(datasets) X(jobs) X(models) X(probes) X(sample) X(train) X(velocity)

#define ROUTES_DECLARE(file)                                                                       \
    extern const struct route file##_routes[];                                                     \
    extern const size_t file##_route_count;
ROUTE_FILES(ROUTES_DECLARE)
#undef ROUTES_DECLARE

#define ROUTES_ROW(file) {file##_routes, &file##_route_count},
const struct route_set routes_all[] = {ROUTE_FILES(ROUTES_ROW)};
#undef ROUTES_ROW

const size_t routes_count = sizeof routes_all / sizeof *routes_all;
