/* PyTorch files: each input is read as a pickle, as the data.pkl of an archive with some storages
   beside it, and as a whole archive. What is taken has tensors that can be read to their last byte
   and written again, and looks for its weights come to an end. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "proto/json.h"
#include "proto/safetensors.h"
#include "proto/torch_file.h"
#include "proto/torch_names.h"
#include "tests/unit/proto/zip.h"

enum { STORAGES = 4, STORAGE_BYTES = 96, FILE_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_choice(struct pickle *pickle, const char *weights)
{
    struct torch_names names;
    struct err err = {0};
    if (torch_names_find(&names, pickle, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    if (torch_names_choose(&names, pickle, weights, &err) == 0)
        check(names.count > 0);
    else
        check(err.code != ERR_NONE && err.message[0]);
    torch_names_release(&names);
}

static void try_pickle(const uint8_t *data, size_t size)
{
    struct pickle pickle;
    struct err err = {0};
    if (pickle_read(&pickle, data, size, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    try_choice(&pickle, NULL);
    try_choice(&pickle, "net");
    pickle_release(&pickle);
}

static void check_written(const struct tensor_table *table)
{
    struct safetensors again;
    struct err err = {0};
    struct buf out;
    buf_init(&out, FILE_MAX);
    if (safetensors_write(&out, table, NULL) == 0) {
        check(safetensors_read(&again, (unsigned char *)out.data, out.size, &err) == 0);
        check(again.table.count == table->count);
        safetensors_release(&again);
    }
    buf_release(&out);
}

static void try_file(const void *data, size_t size)
{
    struct torch_file file;
    struct err err = {0};
    if (torch_file_read(&file, data, size, NULL, &err)) {
        check(err.code != ERR_NONE && err.message[0]);
        return;
    }
    check(file.table.count > 0);
    check_written(&file.table);
    torch_file_release(&file);
}

static void try_archive(const uint8_t *data, size_t size)
{
    static const unsigned char numbers[STORAGE_BYTES] = {1, 2, 3};
    struct zip_maker zip;
    zip_begin(&zip);
    zip_add(&zip, "archive/data.pkl", data, size);
    for (int i = 0; i < STORAGES; i++) {
        char name[] = "archive/data/0";
        name[sizeof name - 2] = (char)('0' + i);
        zip_add(&zip, name, numbers, STORAGE_BYTES >> i);
    }
    zip_end(&zip);
    try_file(zip.file.data, zip.file.size);
    buf_release(&zip.file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_start();
    try_pickle(data, size);
    try_archive(data, size);
    try_file(data, size);
    return 0;
}
