/* Safetensors files made by hand for tests: any header, any payload. */
#ifndef TESTS_UNIT_PROTO_FILE_H
#define TESTS_UNIT_PROTO_FILE_H

#include "core/base/buf.h"

#include <stdint.h>
#include <string.h>

static inline void file_length(struct buf *out, uint64_t length)
{
    for (int i = 0; i < 8; i++)
        buf_char(out, (char)(unsigned char)(length >> (8 * i)));
}

/* `header` and `bytes` zero bytes of data. */
static inline void file_make(struct buf *out, const char *header, size_t bytes)
{
    buf_clear(out);
    file_length(out, strlen(header));
    buf_text(out, header);
    for (size_t i = 0; i < bytes; i++)
        buf_char(out, '\0');
}

#endif
