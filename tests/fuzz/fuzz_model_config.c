/* Descriptions of checkpoints: what is taken reads back as itself. */
#include "core/base/check.h"
#include "proto/json.h"
#include "proto/model_codec.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct model_config *config)
{
    struct buf first, second;
    struct model_config again;
    struct err err = {0};
    buf_init(&first, 8 * LIMIT_HEADER_BYTES);
    buf_init(&second, 8 * LIMIT_HEADER_BYTES);
    model_config_encode(&first, config);
    check(!first.failed);
    if (first.size <= LIMIT_HEADER_BYTES) {
        check(model_config_decode(&again, first.data, first.size, &err) == 0);
        model_config_encode(&second, &again);
        check(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        model_config_release(&again);
    }
    buf_release(&first);
    buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model_config config;
    struct err err = {0};
    json_start();
    if (model_config_decode(&config, (const char *)data, size, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return 0;
    }
    check(schema_width(&config.schema) <= LIMIT_DIM);
    check_round_trip(&config);
    model_config_release(&config);
    return 0;
}
