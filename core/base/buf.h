/* A byte buffer that grows up to a stated limit. */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H

#include <stddef.h>

/* Embedded by its owner. After a failed append the buffer is marked failed, keeps what it held, and
   refuses every later append, so that a writer may check once at the end. */
struct buf {
    char *data;      /* [size] owned; not NUL-terminated; NULL while empty */
    size_t size;     /* bytes held */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* most bytes it may hold */
    int failed;      /* 0, ERR_NOMEM or ERR_TOO_LARGE: the first failure */
};

void buf_init(struct buf *buf, size_t limit);
/* Frees the bytes; the buffer is empty again with the same limit. */
void buf_release(struct buf *buf);
/* Empties it, keeping the memory and clearing `failed`. */
void buf_clear(struct buf *buf);
/* 0, ERR_NOMEM, or ERR_TOO_LARGE. */
int buf_append(struct buf *buf, const void *data, size_t size);
int buf_text(struct buf *buf, const char *text);
int buf_char(struct buf *buf, char c);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `size` more bytes at data + size, or NULL; advance `size` by hand afterwards. */
char *buf_reserve(struct buf *buf, size_t size);

#endif
