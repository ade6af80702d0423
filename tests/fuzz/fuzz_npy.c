/* A header that is taken describes exactly the bytes that follow it. */
#include "core/base/check.h"
#include "proto/npy.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct npy_header header;
    struct err err = {0};
    double sum = 0;
    if (npy_read_header(&header, data, size, size, &err)) {
        check(err.code == ERR_FORMAT && err.message[0]);
        return 0;
    }
    size_t items = 1;
    check(header.rank >= 1 && header.rank <= 3);
    for (size_t i = 0; i < header.rank; i++)
        items *= header.shape[i];
    check(header.header_size + items * header.item_size == size);
    for (size_t i = 0; i < items; i++)
        sum += npy_item(data + header.header_size, header.type, i);
    (void)sum;
    return 0;
}
