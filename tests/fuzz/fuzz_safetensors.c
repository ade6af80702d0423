/* Checkpoint files: the tensors of one that is taken cover its data exactly, it can be written
   again, and loading it as a network ends in a model or in an error. Most random files die in the
   header's length, so each input is also read as the rest of a file whose length is right. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/model_codec.h"
#include "proto/safetensors.h"

#include <string.h>

enum { LENGTH_BYTES = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t bytes_of(const struct tensor *tensor)
{
    return tensor->count * dtype_size(tensor->dtype);
}

static void check_cover(const struct tensor_table *table, const uint8_t *data, size_t size)
{
    size_t sum = 0;
    uint8_t seen = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct tensor *tensor = &table->tensors[i];
        check(tensor->data >= data && tensor->data + bytes_of(tensor) <= data + size);
        for (size_t j = 0; j < bytes_of(tensor); j++)
            seen ^= tensor->data[j];
        sum += bytes_of(tensor);
    }
    (void)seen;
    check(sum < size);
}

static void check_written(const struct safetensors *file)
{
    struct safetensors again;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 8 * LIMIT_HEADER_BYTES);
    if (safetensors_write(&out, &file->table, file->advect) == 0) {
        const unsigned char *bytes = (const unsigned char *)out.data;
        check(safetensors_read(&again, bytes, out.size, &err) == 0);
        check(again.table.count == file->table.count);
        safetensors_release(&again);
    }
    buf_release(&out);
}

static void try_load(const uint8_t *data, size_t size, const char *sidecar)
{
    struct model model;
    struct model_config config;
    struct err err = {0};
    if (model_load(&model, &config, data, size, sidecar, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    check(schema_width(&config.schema) == model.spec.net.dim);
    model_release(&model);
    model_config_release(&config);
}

static void try_file(const uint8_t *data, size_t size)
{
    struct safetensors file;
    struct err err = {0};
    if (safetensors_read(&file, data, size, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    check_cover(&file.table, data, size);
    check_written(&file);
    safetensors_release(&file);
    try_load(data, size, NULL);
    try_load(data, size, "{\"activation\":\"silu\",\"time\":{\"input\":\"last\"}}");
}

/* The header ends at the last brace. */
static size_t header_length(const uint8_t *data, size_t size)
{
    while (size > 0 && data[size - 1] != '}')
        size--;
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_start();
    try_file(data, size);
    uint8_t *framed = mem_alloc(size + LENGTH_BYTES, 1);
    check(framed != NULL);
    size_t length = header_length(data, size);
    for (size_t i = 0; i < LENGTH_BYTES; i++)
        framed[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(framed + LENGTH_BYTES, data, size);
    try_file(framed, size + LENGTH_BYTES);
    mem_free(framed);
    return 0;
}
