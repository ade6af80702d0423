/* Bodies of POST /train: what is taken passes core's check, and its full text reads back as itself.
 */
#include "core/base/check.h"
#include "proto/json.h"
#include "proto/request_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct train_request *request)
{
    struct buf first, second;
    struct train_request again;
    struct err err = {0};
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    train_request_encode(&first, request);
    check(!first.failed);
    /* Spelled out, a body near the limit may pass it. */
    if (first.size <= LIMIT_JSON_BYTES) {
        check(train_request_decode(&again, first.data, first.size, &err) == 0);
        train_request_encode(&second, &again);
        check(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        train_request_release(&again);
    }
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct train_request request;
    struct err err = {0};
    json_start();
    if (train_request_decode(&request, (const char *)data, size, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    check(train_spec_check(&request.spec, &err) == 0);
    check_round_trip(&request);
    train_request_release(&request);
    return 0;
}
