/* Zip archives made by hand for tests: stored entries under archive/, as torch.save lays them out.
 */
#ifndef TESTS_UNIT_PROTO_ZIP_H
#define TESTS_UNIT_PROTO_ZIP_H

#include "core/base/buf.h"

#include <stdint.h>
#include <string.h>

struct zip_maker {
    struct buf file, directory;
    uint16_t count;
};

static inline void zip_begin(struct zip_maker *zip)
{
    *zip = (struct zip_maker){0};
    buf_init(&zip->file, 1u << 28);
    buf_init(&zip->directory, 1u << 24);
}

static inline void zip_number(struct buf *out, uint32_t number, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_char(out, (char)(unsigned char)(i < 4 ? number >> (8 * i) : 0));
}

static inline uint32_t zip_checksum(const unsigned char *data, size_t size)
{
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        sum ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~sum;
}

/* What stands both before the data and in the directory. */
static inline void zip_fields(struct buf *out, uint32_t sum, size_t size, size_t name_size)
{
    zip_number(out, 10, 2); /* version that reads it */
    zip_number(out, 0, 8);  /* flags, stored, time, date */
    zip_number(out, sum, 4);
    zip_number(out, (uint32_t)size, 4);
    zip_number(out, (uint32_t)size, 4);
    zip_number(out, (uint32_t)name_size, 2);
    zip_number(out, 0, 2);
}

static inline void zip_add(struct zip_maker *zip, const char *name, const void *data, size_t size)
{
    uint32_t at = (uint32_t)zip->file.size, sum = zip_checksum(data, size);
    buf_text(&zip->file, "PK\3\4");
    zip_fields(&zip->file, sum, size, strlen(name));
    buf_text(&zip->file, name);
    buf_append(&zip->file, data, size);
    buf_text(&zip->directory, "PK\1\2");
    zip_number(&zip->directory, 10, 2);
    zip_fields(&zip->directory, sum, size, strlen(name));
    zip_number(&zip->directory, 0, 10); /* comment, disk, attributes */
    zip_number(&zip->directory, at, 4);
    buf_text(&zip->directory, name);
    zip->count++;
}

/* The archive is zip->file then. */
static inline void zip_end(struct zip_maker *zip)
{
    uint32_t at = (uint32_t)zip->file.size;
    buf_append(&zip->file, zip->directory.data, zip->directory.size);
    buf_append(&zip->file, "PK\5\6\0\0\0\0", 8);
    zip_number(&zip->file, zip->count, 2);
    zip_number(&zip->file, zip->count, 2);
    zip_number(&zip->file, (uint32_t)zip->directory.size, 4);
    zip_number(&zip->file, at, 4);
    zip_number(&zip->file, 0, 2);
    buf_release(&zip->directory);
}

#endif
