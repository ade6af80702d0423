#include "core/base/buf.h"

#include "core/base/err.h"
#include "core/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUF_CAPACITY_MIN = 256 };

void buf_init(struct buf *buf, size_t limit)
{
    *buf = (struct buf){.limit = limit};
}

void buf_release(struct buf *buf)
{
    mem_free(buf->data);
    buf_init(buf, buf->limit);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->failed = 0;
}

char *buf_reserve(struct buf *buf, size_t size)
{
    if (buf->failed)
        return NULL;
    if (size > buf->limit - buf->size) {
        buf->failed = ERR_TOO_LARGE;
        return NULL;
    }
    size_t needed = buf->size + size;
    if (needed > buf->capacity) {
        size_t capacity = buf->capacity ? buf->capacity : BUF_CAPACITY_MIN;
        while (capacity < needed)
            capacity = capacity > buf->limit / 2 ? buf->limit : capacity * 2;
        char *data = mem_realloc(buf->data, capacity, 1);
        if (!data) {
            buf->failed = ERR_NOMEM;
            return NULL;
        }
        buf->data = data;
        buf->capacity = capacity;
    }
    return buf->data + buf->size;
}

int buf_append(struct buf *buf, const void *data, size_t size)
{
    if (size == 0)
        return buf->failed;
    char *room = buf_reserve(buf, size);
    if (!room)
        return buf->failed;
    memcpy(room, data, size);
    buf->size += size;
    return 0;
}

int buf_text(struct buf *buf, const char *text)
{
    return buf_append(buf, text, strlen(text));
}

int buf_char(struct buf *buf, char c)
{
    return buf_append(buf, &c, 1);
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length >= 0 && (size_t)length < sizeof text)
        return buf_append(buf, text, (size_t)length);
    if (length < 0)
        return buf->failed = ERR_INTERNAL;
    char *room = buf_reserve(buf, (size_t)length + 1);
    if (!room)
        return buf->failed;
    va_start(args, format);
    vsnprintf(room, (size_t)length + 1, format, args);
    va_end(args);
    buf->size += (size_t)length;
    return 0;
}
