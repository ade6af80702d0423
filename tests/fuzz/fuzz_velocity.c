/* Bodies of POST /velocity: as many times as points, all of them finite. */
#include "core/base/check.h"
#include "proto/json.h"
#include "proto/request_codec.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct velocity_request request;
    struct err err = {0};
    json_start();
    if (velocity_request_decode(&request, (const char *)data, size, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    check(request.count >= 1 && request.dim >= 1 && request.dim <= LIMIT_DIM);
    for (size_t i = 0; i < request.count; i++)
        check(request.t[i] >= 0 && request.t[i] <= 1);
    for (size_t i = 0; i < request.count * request.dim; i++)
        check(isfinite(request.points[i]));
    velocity_request_release(&request);
    return 0;
}
