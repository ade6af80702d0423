/* Writing JSON straight into a buffer: no tree. Commas are kept by the writer; a failed buffer
   stays failed, so check buf->failed once at the end. */
#ifndef PROTO_JSON_WRITE_H
#define PROTO_JSON_WRITE_H

#include "core/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json_writer {
    struct buf *out; /* borrowed */
    bool comma;      /* a value has been written at this level */
};

struct json_writer json_writer(struct buf *out);
/* key NULL inside arrays and at the root. */
void json_open_object(struct json_writer *w, const char *key);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w, const char *key);
void json_close_array(struct json_writer *w);
void json_write_string(struct json_writer *w, const char *key, const char *text);
void json_write_string_n(struct json_writer *w, const char *key, const char *text, size_t size);
void json_write_integer(struct json_writer *w, const char *key, int64_t value);
void json_write_unsigned(struct json_writer *w, const char *key, uint64_t value);
/* Shortest text that reads back as the same double / float; null where it is not finite. */
void json_write_number(struct json_writer *w, const char *key, double value);
void json_write_float(struct json_writer *w, const char *key, float value);
void json_write_boolean(struct json_writer *w, const char *key, bool value);
void json_write_null(struct json_writer *w, const char *key);
/* Text that is JSON already. */
void json_write_raw(struct json_writer *w, const char *key, const char *json, size_t size);
/* A seed: a number up to 2^53 - 1, a decimal string above. */
void json_write_seed(struct json_writer *w, const char *key, uint64_t seed);

#endif
